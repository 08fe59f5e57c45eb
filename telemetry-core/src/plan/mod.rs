//! Schema resolution, compiled once: from what a writer wrote to what a reader wants.
//!
//! Source: Avro 1.12 specification, "Schema Resolution".

mod compile;
mod decode;

use alloc::string::String;
use alloc::vec::Vec;

use crate::{FlatType, Primitive, Schema};
pub use decode::{DecodeError, FieldSink};

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
/// A plan is a list of steps in the *writer's* order. The same plan decodes and answers
/// compatibility: a pair is compatible when the plan has no [`problems`](Plan::problems), and then
/// every valid datum decodes.
///
/// It covers flat records: fields that are primitives or nullable primitives.
///
/// ```
/// use telemetry_core::{FieldSink, Plan, Scalar, Schema, wire::Reader};
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
    steps: Vec<Step>,
    defaults: Vec<(usize, Constant)>,
    problems: Vec<Incompatibility>,
    /// Whether a problem stands against every datum, not only against some.
    hopeless: bool,
}

/// What to do with one field of the writer.
#[derive(Clone, Copy, Debug)]
struct Step {
    wire: FlatType,
    target: Option<Target>,
}

/// Where a writer's field goes.
#[derive(Clone, Copy, Debug)]
struct Target {
    field: usize,
    /// The reader's type of a present value; `None` if no promotion leads there.
    value: Option<Primitive>,
    /// Whether the reader takes null.
    null: bool,
}

/// A default, kept by the plan so that decoding borrows it.
#[derive(Clone, Debug)]
enum Constant {
    Null,
    Boolean(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Bytes(Vec<u8>),
    String(String),
}

impl Constant {
    fn as_scalar(&self) -> Scalar<'_> {
        match self {
            Self::Null => Scalar::Null,
            Self::Boolean(v) => Scalar::Boolean(*v),
            Self::Int(v) => Scalar::Int(*v),
            Self::Long(v) => Scalar::Long(*v),
            Self::Float(v) => Scalar::Float(*v),
            Self::Double(v) => Scalar::Double(*v),
            Self::Bytes(v) => Scalar::Bytes(v),
            Self::String(v) => Scalar::String(v),
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
    /// Where, as `Record.field`.
    pub path: String,
    /// Which rule of resolution fails.
    pub rule: &'static str,
    /// What to do about it.
    pub hint: String,
}

/// A pair of schemas that no plan can be made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The schema is not a flat record.
    #[error("{path}: only records of primitives and nullable primitives can be resolved")]
    NotFlat {
        /// Where.
        path: String,
    },
}

crate::error_codes!(PlanError { NotFlat { .. } => 1040 });

impl Plan {
    /// Compiles the way from `writer` to `reader`.
    pub fn compile(writer: &Schema, reader: &Schema) -> Result<Self, PlanError> {
        compile::compile(writer, reader)
    }

    /// Where each field of the reader comes from, in no particular order.
    ///
    /// A store uses this to resolve rows by the schema they were written with.
    pub fn sources(&self) -> impl Iterator<Item = (usize, Source<'_>)> {
        let written = self.steps.iter().enumerate().filter_map(|(i, step)| {
            let target = step.target?;
            Some((target.field, Source::Writer(i)))
        });
        let defaults = self.defaults.iter();
        written.chain(defaults.map(|(field, c)| (*field, Source::Default(c.as_scalar()))))
    }

    /// What stands against reading *every* datum of the writer; empty if compatible.
    pub fn problems(&self) -> &[Incompatibility] {
        &self.problems
    }
}

#[cfg(test)]
mod tests;
