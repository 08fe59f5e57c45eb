//! Schema resolution, compiled once: from what a writer wrote to what a reader wants.
//!
//! Source: Avro 1.12 specification, "Schema Resolution".

mod compile;
mod constant;
mod cursor;
mod error;
mod exec;
mod explain;
mod flat;
mod op;
mod program;
mod promotion;
mod rules;
mod same;
mod value;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Fingerprint, Schema};
use constant::Constant;
#[cfg(feature = "std")]
pub(crate) use constant::default_branch;
#[cfg(feature = "serde")]
pub(crate) use constant::field_default;
pub use cursor::{Cursor, Datum, DecodeLimits};
pub use error::DecodeError;
pub use exec::{FieldSink, TreeSink};
pub use explain::Origin;
use flat::Flat;
pub(crate) use op::Op;
pub use op::OpId;
pub(crate) use program::Step;
pub(crate) use promotion::{Promotion, Target};
pub use value::{Value, ValueError};
#[cfg(feature = "arrow")]
pub(crate) use {
    cursor::symbol,
    program::{Null, Take, Way},
    rules::wire_min,
};

/// A value of a flat field, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// No value.
    Null,
    /// A `boolean`.
    Boolean(bool),
    /// An `int`.
    Int(i32),
    /// A `long`.
    Long(i64),
    /// A `float`.
    Float(f32),
    /// A `double`.
    Double(f64),
    /// `bytes`.
    Bytes(&'a [u8]),
    /// A `string`.
    String(&'a str),
}

/// How to read records of one schema as records of another.
///
/// A plan is a flat list of operations in the *writer's* order; recursive types are operations
/// that call each other, and what cannot be read is an operation that fails. The same plan decodes
/// and answers compatibility: a pair is compatible when the plan has no
/// [`problems`](Plan::problems), and then every valid datum within the limits decodes.
///
/// Executors run it, besides derived types and columns: [`value`](Plan::value) and
/// [`transcode`](Plan::transcode) for every schema, [`decode_tree`](Plan::decode_tree) field by field
/// into a [`TreeSink`] for records, [`decode`](Plan::decode) into a [`FieldSink`] for flat records
/// (fields that are primitives or nullable primitives), without an allocation.
///
/// One problem is said but hinders no executor: two records that meet under different names are
/// read by their fields, as the reference implementation does.
///
/// ```
/// use telemetry_avro::{FieldSink, Plan, Scalar, Schema, wire::Reader};
///
/// let old = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
///     {"name":"hr","type":"int"}]}"#)?;
/// let new = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
///     {"name":"bpm","type":"double","aliases":["hr"]},
///     {"name":"source","type":"string","default":"strap"}]}"#)?;
/// let plan = Plan::compile(&old, &new)?;
/// assert!(plan.problems().is_empty());
///
/// struct Print(Vec<String>);
/// impl<'a> FieldSink<'a> for Print {
///     fn set(&mut self, field: usize, value: Scalar<'a>) {
///         self.0.push(format!("{field}: {value:?}"));
///     }
/// }
/// let mut out = Print(Vec::new());
/// plan.decode(&mut Reader::new(&[0x82, 0x01]), &mut out)?;
/// assert_eq!(out.0, ["0: Double(65.0)", r#"1: String("strap")"#]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    /// The schema of what the plan reads.
    writer: Fingerprint,
    /// The schema of what the plan gives.
    reader: Fingerprint,
    ops: Box<[Op]>,
    /// For each operation, whether it gives the bytes it reads as they are.
    same: Box<[bool]>,
    root: OpId,
    constants: Box<[Constant]>,
    problems: Vec<Incompatibility>,
    flat: Result<Flat, PlanError>,
}

/// Bounds on a plan, for schemas that strangers send.
#[derive(Clone, Copy, Debug)]
pub struct PlanLimits {
    /// Operations, one for each pair of types that meet, with the fields, symbols and branches in
    /// their tables. 262,144: some 8 MiB, and many times what a schema of 4,096 types needs.
    pub ops_max: usize,
    /// Bytes of defaults, at least one each. 1 MiB: defaults that fill in each other's fields
    /// can be far larger than their text.
    pub default_bytes_max: usize,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self {
            ops_max: 262_144,
            default_bytes_max: 1 << 20,
        }
    }
}

/// Where a plan takes a field of the reader from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source<'a> {
    /// This field of the writer, counted from 0.
    Writer(usize),
    /// The reader's default.
    Default(Scalar<'a>),
}

/// Why some datum of the writer cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    /// Where in the reader's schema: `Record.field`, `[]` for items, `{}` for values of a map.
    pub path: String,
    /// Which rule of resolution fails.
    pub rule: &'static str,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Incompatibility {
    /// `Record.field: the rule that fails; what to do`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.rule, self.hint)
    }
}

/// A plan with problems: see [`Plan::check`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the reader does not read everything that the writer writes: {}",
    said(problems)
)]
pub struct Incompatible {
    /// What stands against it, outermost first; at least one.
    pub problems: Vec<Incompatibility>,
}

fn said(problems: &[Incompatibility]) -> String {
    match problems {
        [] => String::new(),
        [one] => format!("{one}"),
        [first, more @ ..] => format!("{first} (and {} more)", more.len()),
    }
}

crate::error_codes!(Incompatible => 1042);

/// A pair of schemas that no plan, or no flat plan, can be made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The schema is not a flat record, where one is needed.
    #[error("{path}: only a record of primitives and nullable primitives is flat")]
    NotFlat {
        /// Where.
        path: String,
    },
    /// Over a bound of [`PlanLimits`].
    #[error("{what} over the limit of {max}: raise it, or simplify the schemas")]
    Limit {
        /// Which bound.
        what: &'static str,
        /// What is allowed.
        max: usize,
    },
}

crate::error_codes!(PlanError {
    NotFlat { .. } => 1040,
    Limit { .. } => 1041,
});

impl Plan {
    /// Compiles the way from `writer` to `reader` within the default limits.
    pub fn compile(writer: &Schema, reader: &Schema) -> Result<Self, PlanError> {
        Self::compile_with(writer, reader, PlanLimits::default())
    }

    /// Compiles the way from `writer` to `reader` within `limits`.
    pub fn compile_with(
        writer: &Schema,
        reader: &Schema,
        limits: PlanLimits,
    ) -> Result<Self, PlanError> {
        compile::compile(writer, reader, limits)
    }

    /// Whether both schemas are flat records, which a [`FieldSink`] and a store need; else why not.
    pub fn flat(&self) -> Result<(), PlanError> {
        self.flat.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Where each field of the reader comes from, in no particular order; nothing if the records
    /// are not [flat](Plan::flat).
    ///
    /// A store uses this to resolve rows by the schema they were written with.
    pub fn sources(&self) -> impl Iterator<Item = (usize, Source<'_>)> {
        self.flat.iter().flat_map(|flat| {
            let written = flat.written.iter();
            let written = written.map(|&(field, from)| (field, Source::Writer(from)));
            let defaults = flat.defaults.iter().map(|(field, value)| {
                // A flat field's default is a scalar, perhaps in a union.
                let scalar = value.scalar().unwrap_or(Scalar::Null);
                (*field, Source::Default(scalar))
            });
            written.chain(defaults)
        })
    }

    /// What a datum meets at `offset` that the reader has no place for.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&self, offset: usize, problem: usize) -> DecodeError {
        let problem = Box::new(self.problems[problem].clone());
        DecodeError::Problem { offset, problem }
    }

    /// What stands against reading *every* datum of the writer, outermost first; empty if
    /// compatible.
    pub fn problems(&self) -> &[Incompatibility] {
        &self.problems
    }

    /// The plan, if no problem stands against any datum of the writer.
    ///
    /// A plan with problems still reads the datums that do not meet one, which is what a reader of old
    /// data wants; who expects that everything can be read asks here.
    ///
    /// ```
    /// use telemetry_avro::{Plan, Schema};
    ///
    /// let (text, number) = (Schema::parse(r#""string""#)?, Schema::parse(r#""int""#)?);
    /// let error = Plan::compile(&text, &number)?.check().unwrap_err();
    /// assert_eq!(error.problems[0].path, "$");
    /// let plan = Plan::compile(&number, &number)?.check()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(self) -> Result<Self, Incompatible> {
        if self.problems.is_empty() {
            return Ok(self);
        }
        Err(Incompatible {
            problems: self.problems,
        })
    }

    /// The fingerprint of the writer's schema.
    pub const fn writer(&self) -> Fingerprint {
        self.writer
    }

    /// The fingerprint of the reader's schema.
    pub const fn reader(&self) -> Fingerprint {
        self.reader
    }

    pub(crate) const fn root(&self) -> OpId {
        self.root
    }

    #[inline]
    pub(crate) fn op(&self, id: OpId) -> &Op {
        &self.ops[id as usize]
    }

    /// Whether an operation gives the bytes it reads as they are, so that a datum of the reader is
    /// what is there.
    #[inline]
    pub(crate) fn same(&self, id: OpId) -> bool {
        self.same[id as usize]
    }

    #[inline]
    pub(crate) fn constant(&self, id: u32) -> &Constant {
        &self.constants[id as usize]
    }
}

#[cfg(test)]
mod tests;
