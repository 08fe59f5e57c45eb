//! Arrow record batches: datums to columns, columns to datums (feature `arrow`).
//!
//! Each value goes from the datum into its column through the plan, without a row in between;
//! defaults of the record are filled in once for a batch.
//!
//! ```
//! use telemetry_avro::arrow::{Columns, encode};
//! use telemetry_avro::{Plan, Schema, wire::Reader};
//!
//! let old = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
//!     {"name":"hr","type":"int"}]}"#)?;
//! let new = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
//!     {"name":"bpm","type":"double","aliases":["hr"]},
//!     {"name":"source","type":"string","default":"strap"}]}"#)?;
//! let plan = Plan::compile(&old, &new)?;
//! let mut columns = Columns::new(&plan, &new)?;
//! for datum in [[0x82, 0x01], [0x84, 0x01]] {
//!     columns.push(&mut Reader::new(&datum))?;
//! }
//! let batch = columns.finish()?;
//! assert_eq!((batch.num_rows(), batch.num_columns()), (2, 2));
//!
//! let mut datum = Vec::new();
//! encode(&new, &batch, |row, bytes| if row == 1 { datum = bytes.to_vec() })?;
//! assert_eq!(&datum[8..], b"\x0astrap");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Avro | Arrow |
//! |---|---|
//! | `null`, `boolean`, `int`, `long`, `float`, `double` | `Null`, `Boolean`, `Int32`, `Int64`, `Float32`, `Float64` |
//! | `date`, `time-*`, `timestamp-*`, `local-timestamp-*` | `Date32`, `Time32`/`Time64`, `Timestamp` in UTC, or without a zone |
//! | `string`, `bytes`, `fixed` | `Utf8`, `Binary`, `FixedSizeBinary` |
//! | `decimal` of `bytes` or a `fixed`, of at most 38, 76 digits | `Decimal128`, `Decimal256` of that precision and scale |
//! | `duration` | `Interval(MonthDayNano)` |
//! | `uuid` of `string` or of 16 bytes | `FixedSizeBinary(16)` |
//! | `enum` | `Dictionary(Int32, Utf8)` with all symbols |
//! | `array`, `map`, `record` | `List`, `Map`, `Struct` |
//! | a union of null and one more | that type, nullable |
//! | another union | dense `Union` |
//!
//! A value that its type has no place for is an error in both directions: a decimal of more digits than
//! its precision says, a duration of more than 2³¹ months or days, an interval that is negative or
//! finer than milliseconds, a text that is no UUID. A `decimal` of more than 76 digits and any other
//! logical type stay what they are on the wire.

pub use {arrow_array, arrow_schema};

mod column;
mod encode;
mod finish;
mod logical;
mod rows;
mod slices;
mod temporal;
mod types;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use crate::plan::{Op, Step, Way};
use crate::wire::Reader;
use crate::{Cursor, Datum, DecodeError, DecodeLimits, Kind, Plan, Schema};
use column::Column;
pub use encode::encode;
pub use types::schema;

/// Columns that grow by datums and become record batches.
#[derive(Debug)]
pub struct Columns<'p> {
    plan: &'p Plan,
    schema: SchemaRef,
    limits: DecodeLimits,
    /// The steps of the root without the defaults, which are the same in every row.
    steps: Box<[Step]>,
    fields: Vec<Column>,
    /// Fields of the reader that take a default, which is filled in once for a batch.
    defaults: Vec<(usize, u32)>,
    rows: usize,
}

impl<'p> Columns<'p> {
    /// Columns for `reader`'s record, to which `plan` leads.
    pub fn new(plan: &'p Plan, reader: &Schema) -> Result<Self, ArrowError> {
        Self::with_limits(plan, reader, DecodeLimits::default())
    }

    /// Columns for datums within `limits`.
    pub fn with_limits(
        plan: &'p Plan,
        reader: &Schema,
        limits: DecodeLimits,
    ) -> Result<Self, ArrowError> {
        if plan.reader() != reader.fingerprint() {
            return Err(ArrowError::OtherReader);
        }
        let schema = Arc::new(types::schema(reader)?);
        let Kind::Record(record) = &reader.root().kind else {
            return Err(ArrowError::NoRecord);
        };
        let fields = record.fields.iter().map(|f| Column::new(reader, f.node));
        let all = match plan.op(plan.root()) {
            Op::Record(record) => &record.steps[..],
            // A union of records: each row's record says what it lacks.
            _ => &[],
        };
        let steps = all
            .iter()
            .filter(|step| !matches!(step.way(), Way::Default { .. }));
        let steps = steps.copied();
        let defaults = all.iter().filter_map(|step| match step.way() {
            Way::Default { field, constant } => Some((field, constant)),
            Way::Skip(_) | Way::Set { .. } => None,
        });
        let (steps, defaults) = (steps.collect(), defaults.collect::<Vec<_>>());
        let mut fields: Vec<Column> = fields.collect();
        // A default may be no value of its logical type: no batch shall find that out.
        for (field, constant) in &defaults {
            fields[*field].constant(plan, *constant)?;
            fields[*field].truncate(0);
        }
        Ok(Self {
            plan,
            schema,
            limits,
            steps,
            fields,
            defaults,
            rows: 0,
        })
    }

    /// The schema of the batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Rows so far.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Reads one datum into a row. On an error there are the rows from before.
    pub fn push(&mut self, input: &mut Reader<'_>) -> Result<(), ArrowError> {
        let mut rest = input.clone();
        let result = self.row(&mut rest);
        *input = rest;
        match result {
            Ok(()) => self.rows += 1,
            Err(_) => self.fields.iter_mut().for_each(|f| f.truncate(self.rows)),
        }
        Ok(result?)
    }

    /// `rest` is nobody's but the caller's, so that it stays in registers.
    #[inline(always)]
    fn row(&mut self, rest: &mut Reader<'_>) -> Result<(), DecodeError> {
        let plan = self.plan;
        let mut op = plan.root();
        if let Op::Union { branches, .. } = plan.op(op) {
            op = branches[rest.branch(branches.len())?];
        }
        let mut cursor = Cursor::new(plan, rest.clone(), self.limits);
        match plan.op(op) {
            Op::Record(record) => {
                cursor.open(record)?;
                let steps = match op == plan.root() {
                    true => &self.steps,
                    false => &record.steps,
                };
                rows::fields(steps, &mut self.fields, &mut cursor, rest)
            }
            Op::Fail { problem } => Err(cursor.fail(*problem)),
            _ => Err(DecodeError::OtherReader {
                expected: "a record",
            }),
        }
    }

    /// The rows as a batch; the columns start again.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = core::mem::take(&mut self.rows);
        for (field, constant) in &self.defaults {
            let column = &mut self.fields[*field];
            column.truncate(0);
            if rows > 0 {
                column.constant(self.plan, *constant)?;
                column.repeat(rows - 1, |column| column.constant(self.plan, *constant))?;
            }
        }
        let fields = self.schema.fields().iter().zip(&mut self.fields);
        let arrays = fields
            .map(|(field, column)| column.finish(field.data_type()))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }
}

/// A datum of the reader, made and bounded when the plan was.
fn constant(plan: &Plan, constant: u32) -> Datum<'_> {
    let bytes = &plan.constant(constant).bytes;
    Datum::new(Reader::new(bytes), DecodeLimits::default())
}

/// Records that cannot become columns, or columns that cannot become records.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrowError {
    /// The datum cannot be read; or a column would have more than the 2^31 bytes or items that Arrow
    /// allows: finish the batch before.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A batch has the columns of a record.
    #[error("the schema is no record, so it has no columns")]
    NoRecord,
    /// Arrow has no type for it.
    #[error("{path}: {reason}")]
    NoType {
        /// Where in the schema: `Record.field`.
        path: String,
        /// What Arrow lacks.
        reason: &'static str,
    },
    /// The plan leads to another schema.
    #[error("the plan leads to another schema than the columns': compile it for that reader")]
    OtherReader,
    /// The columns of a batch are not those of the schema.
    #[error("{path}: the schema has {expected}, the batch {found}")]
    Column {
        /// Where in the schema.
        path: String,
        /// The Arrow type that the schema asks for.
        expected: String,
        /// What the batch has.
        found: String,
    },
    /// A value of the batch that the schema has no place for.
    #[error("row {row}: {reason}")]
    Row {
        /// Row of the batch, from 0.
        row: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Arrow refuses the columns.
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
}

crate::error_codes!(ArrowError {
    Decode(_) => 1110,
    NoRecord => 1111,
    NoType { .. } => 1112,
    OtherReader => 1113,
    Column { .. } => 1114,
    Row { .. } => 1115,
    Arrow(_) => 1116,
});

#[cfg(test)]
mod tests;
