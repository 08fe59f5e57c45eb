//! Batches to rows, in one transaction.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, ToSql, Transaction, TransactionBehavior};
use telemetry_core::records::Enrichment;
use telemetry_core::wire::Reader;
use telemetry_core::{
    AvroRecord, BatchReader, ClockQuality, Envelope, FieldSink, Fingerprint, Plan, Scalar, Schema,
    StreamName,
};

use super::catalogue::{Catalogue, Cause, KEY_COLUMNS, StreamTable, migrate};
use super::error::WriteError;
use super::{Inner, damaged};
use crate::evolve::EvolveError;
use crate::{Limits, Outcome, Refusal, StoreError, Write, bucket_of};

/// How batches of one stream and schema become rows: compiled once.
#[derive(Debug)]
pub(super) struct Writer {
    plan: Plan,
    fields: usize,
    /// Which field is the event time.
    event_time: Option<usize>,
    array: Fingerprint,
    insert: String,
    /// Sets the `meta_*` columns of a row that is already there.
    update_meta: String,
}

/// The enrichment's schema and the way to its fields.
#[derive(Debug)]
pub(super) struct Meta {
    schema: Schema,
    plan: Plan,
}

impl Meta {
    pub(super) fn new() -> Result<Self, StoreError> {
        let schema = Schema::parse(Enrichment::SCHEMA)?;
        let plan = Plan::compile(&schema, &schema).map_err(|e| damaged(e.to_string()))?;
        Ok(Self { schema, plan })
    }
}

/// A table that a transaction changed, as it was before: `None` for a new one.
type Changed = (StreamName, Option<StreamTable>);

impl Inner {
    /// Writes a group in one transaction.
    ///
    /// Where the database refuses something of the group, the transaction is gone with all of it.
    /// Then each batch is written alone, so that only the one at fault has to answer for it.
    pub(super) fn write(&mut self, writes: &[Write<'_>]) -> Vec<Outcome> {
        match self.write_together(writes) {
            Ok(outcomes) => outcomes,
            Err(error) if error.is_everyones() => {
                let again = || match &error {
                    WriteError::Store(error) => Outcome::Unknown(error.clone()),
                    WriteError::Row(reason) => refused(reason.clone()),
                };
                writes.iter().map(|_| again()).collect()
            }
            Err(_) => writes.iter().map(|write| self.write_alone(write)).collect(),
        }
    }

    fn write_alone(&mut self, write: &Write<'_>) -> Outcome {
        match self.write_together(std::slice::from_ref(write)) {
            Ok(mut outcomes) => outcomes.remove(0),
            Err(WriteError::Store(error)) => Outcome::Unknown(error),
            Err(WriteError::Row(reason)) => refused(reason),
        }
    }

    fn write_together(&mut self, writes: &[Write<'_>]) -> Result<Vec<Outcome>, WriteError> {
        let mut changed = Vec::new();
        let result = self.transact(writes, &mut changed);
        if result.is_err() {
            // What the rolled-back transaction created is not there: forget it.
            for (stream, before) in changed.into_iter().rev() {
                match before {
                    Some(table) => self.catalogue.tables.insert(stream, table),
                    None => self.catalogue.tables.remove(&stream),
                };
            }
            self.writers.clear();
        }
        result
    }

    fn transact(
        &mut self,
        writes: &[Write<'_>],
        changed: &mut Vec<Changed>,
    ) -> Result<Vec<Outcome>, WriteError> {
        let Self {
            connection,
            catalogue,
            writers,
            meta,
            limits,
        } = self;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            let envelope = &write.batch.envelope;
            let key = envelope
                .schema
                .map(|schema| (envelope.subject.clone(), schema));
            let known = key.as_ref().and_then(|key| writers.get(key)).cloned();
            let writer = match known {
                Some(writer) => Ok(writer),
                None => writer_of(&tx, catalogue, meta, *limits, envelope, changed)?,
            };
            outcomes.push(match writer {
                Ok(writer) => {
                    let outcome = writer.write(&tx, write, &meta.plan)?;
                    writers.extend(key.map(|key| (key, writer)));
                    outcome
                }
                Err(refusal) => Outcome::Refused(refusal),
            });
        }
        tx.commit()?;
        Ok(outcomes)
    }
}

const fn refused(reason: String) -> Outcome {
    Outcome::Refused(Refusal::Row { reason })
}

/// The writer of a stream and schema that was not written since the opening, for which the table
/// may have to grow.
fn writer_of(
    tx: &Transaction<'_>,
    catalogue: &mut Catalogue,
    meta: &Meta,
    limits: Limits,
    envelope: &Envelope,
    changed: &mut Vec<Changed>,
) -> Result<Result<Arc<Writer>, Refusal>, WriteError> {
    let stream = &envelope.subject;
    let Some(fingerprint) = envelope.schema else {
        return Ok(Err(Refusal::Opaque {
            content_type: envelope.content_type.clone(),
        }));
    };
    let Some(entry) = catalogue.entry(stream, fingerprint).cloned() else {
        return Ok(Err(Refusal::UnknownSchema {
            stream: stream.clone(),
            fingerprint,
        }));
    };
    if let Some(reason) = entry.quarantine {
        return Ok(Err(Refusal::Quarantined {
            stream: stream.clone(),
            fingerprint,
            reason,
        }));
    }
    let before = catalogue.tables.get(stream).cloned();
    let mut table = catalogue.table(stream);
    let made = Writer::make(
        tx,
        &entry.schema,
        &meta.schema,
        envelope,
        &mut table,
        before.is_none(),
        limits.columns_max,
    )?;
    Ok(made.map(|writer| {
        changed.push((stream.clone(), before));
        catalogue.tables.insert(stream.clone(), table);
        Arc::new(writer)
    }))
}

impl Writer {
    /// Evolves the table for `schema` and prepares the statements.
    fn make(
        tx: &Transaction<'_>,
        schema: &Schema,
        meta_schema: &Schema,
        envelope: &Envelope,
        table: &mut StreamTable,
        is_new: bool,
        columns_max: usize,
    ) -> Result<Result<Self, Refusal>, WriteError> {
        let fields = match table.fields.evolve(schema) {
            Ok(fields) => fields,
            Err(reason) => return Ok(Err(reason.into())),
        };
        let meta = table
            .meta
            .evolve(meta_schema)
            .map_err(|e| damaged(format!("enrichment: {e}")))?;
        let columns = KEY_COLUMNS.len()
            + table.fields.columns().len()
            + table.meta.columns().len()
            + fields.added.len()
            + meta.added.len();
        if columns > columns_max {
            return Ok(Err(Refusal::TooManyColumns {
                columns,
                max: columns_max,
            }));
        }
        let plan = match Plan::compile(schema, schema) {
            Ok(plan) => plan,
            Err(reason) => return Ok(Err(EvolveError::from(reason).into())),
        };
        let cause = Cause {
            stream: &envelope.subject,
            schema: schema.fingerprint(),
            at: envelope.published,
        };
        migrate(tx, &cause, table, is_new, &fields, &meta)?;

        let all: Vec<&str> = KEY_COLUMNS
            .iter()
            .copied()
            .chain(fields.columns.iter().map(String::as_str))
            .chain(meta.columns.iter().map(String::as_str))
            .collect();
        let marks = vec!["?"; all.len()].join(",");
        let sets: Vec<String> = meta.columns.iter().map(|c| format!("{c}=?")).collect();
        Ok(Ok(Self {
            fields: fields.columns.len(),
            event_time: schema.event_time(),
            array: schema.array_fingerprint(),
            plan,
            insert: format!(
                "INSERT OR IGNORE INTO {}({}) VALUES ({marks})",
                table.name,
                all.join(",")
            ),
            update_meta: format!(
                "UPDATE {} SET {} WHERE device=? AND bucket=? AND ts=? AND epoch=? AND seq=?",
                table.name,
                sets.join(",")
            ),
        }))
    }

    fn write(
        &self,
        tx: &Transaction<'_>,
        write: &Write<'_>,
        meta_plan: &Plan,
    ) -> Result<Outcome, WriteError> {
        let envelope = &write.batch.envelope;
        // Decoded as a whole before the first row is written: a batch is stored or it is not.
        let rows = match self.decode(write) {
            Ok(rows) => rows,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let mut message = Vec::new();
        write.enrichment.put_datum(&mut message);
        let mut meta = Row::default();
        meta_plan
            .decode(&mut Reader::new(&message), &mut meta)
            .map_err(|e| damaged(format!("enrichment: {e}")))?;

        let device = envelope.device.to_bytes();
        let boot = envelope.clock.boot.to_bytes();
        let synchronised = envelope.clock.quality == ClockQuality::Synchronised;
        let mut insert = tx.prepare_cached(&self.insert)?;
        let (mut new, mut duplicates) = (0, 0);
        let mut seq = envelope.first_seq;
        for values in rows.chunks(self.fields.max(1)) {
            let ts = self.event_time.and_then(|i| match values.get(i) {
                Some(Scalar::Long(ts)) => Some(*ts),
                _ => None,
            });
            let key = [
                Scalar::Bytes(&device),
                Scalar::Long(bucket_of(ts, seq)),
                Scalar::Long(ts.unwrap_or(0)),
                // Both are below 2^63.
                Scalar::Long(envelope.epoch.get() as i64),
                Scalar::Long(seq.get() as i64),
            ];
            let about = [
                // SQLite integers are signed: the same 64 bits.
                Scalar::Long(envelope.schema.map_or(0, |f| f.0) as i64),
                Scalar::Bytes(&boot),
                Scalar::String(envelope.clock.quality.as_str()),
                ts.filter(|_| synchronised)
                    .map_or(Scalar::Null, Scalar::Long),
            ];
            let parts = [&key[..], &about, values, &meta.0];
            if execute(&mut insert, &parts)? == 0 {
                let mut update = tx.prepare_cached(&self.update_meta)?;
                execute(&mut update, &[&meta.0, &key])?;
                duplicates += 1;
            } else {
                new += 1;
            }
            seq = seq.next();
        }
        Ok(Outcome::Stored { new, duplicates })
    }

    /// The values of all records, row after row.
    fn decode<'a>(&'a self, write: &Write<'a>) -> Result<Vec<Scalar<'a>>, Refusal> {
        let envelope = &write.batch.envelope;
        let mut reader = BatchReader::new(&write.batch.body, self.array)?;
        if reader.left() != envelope.count {
            return Err(Refusal::Count {
                expected: envelope.count,
                found: reader.left(),
            });
        }
        let mut rows = Row::default();
        let mut start = 0;
        loop {
            rows.1 = start;
            if !reader.next(&self.plan, &mut rows)? {
                break;
            }
            start += self.fields;
        }
        reader.finish()?;
        Ok(rows.0)
    }
}

/// Collects the fields of records, each at its place behind the rows before it.
#[derive(Default)]
struct Row<'a>(Vec<Scalar<'a>>, usize);

impl<'a> FieldSink<'a> for Row<'a> {
    fn set(&mut self, field: usize, value: Scalar<'a>) {
        let at = self.1 + field;
        if at >= self.0.len() {
            self.0.resize(at + 1, Scalar::Null);
        }
        self.0[at] = value;
    }
}

fn execute(
    statement: &mut CachedStatement<'_>,
    parts: &[&[Scalar<'_>]],
) -> rusqlite::Result<usize> {
    for (i, value) in parts.iter().flat_map(|part| part.iter()).enumerate() {
        statement.raw_bind_parameter(i + 1, Bound(*value))?;
    }
    statement.raw_execute()
}

/// A value bound without a copy.
struct Bound<'a>(Scalar<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Scalar::Null => ValueRef::Null,
            Scalar::Boolean(v) => ValueRef::Integer(i64::from(v)),
            Scalar::Int(v) => ValueRef::Integer(i64::from(v)),
            Scalar::Long(v) => ValueRef::Integer(v),
            Scalar::Float(v) => ValueRef::Real(f64::from(v)),
            Scalar::Double(v) => ValueRef::Real(v),
            Scalar::String(v) => ValueRef::Text(v.as_bytes()),
            Scalar::Bytes(v) => ValueRef::Blob(v),
        }))
    }
}
