//! The plan seen by a [`FieldSink`](super::FieldSink): one step a field, no calls.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::constant::Constant;
use super::op::{Op, OpId, RecordOp, Step};
use super::{PlanError, Scalar, Value};
use crate::{FlatType, Primitive, RecordType, Schema};

/// Steps over flat records: fields that are primitives or nullable primitives.
#[derive(Clone, Debug)]
pub(super) struct Flat {
    pub(super) steps: Vec<FlatStep>,
    pub(super) defaults: Vec<(usize, Value)>,
    /// Whether a problem stands against every datum, not only against some.
    pub(super) hopeless: bool,
}

/// What to do with one field of the writer.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlatStep {
    pub(super) wire: FlatType,
    pub(super) target: Option<Target>,
}

/// Where a writer's field goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) field: usize,
    /// The reader's type of a present value; `None` if no promotion leads there.
    pub(super) value: Option<Primitive>,
    /// Whether the reader takes null.
    pub(super) null: bool,
}

impl Flat {
    pub(super) fn new(
        writer: &Schema,
        reader: &Schema,
        ops: &[Op],
        root: OpId,
        constants: &[Constant],
    ) -> Result<Self, PlanError> {
        let from = require(writer)?;
        require(reader)?;
        let Op::Record(record) = &ops[root as usize] else {
            return Err(not_flat("$".to_owned()));
        };
        let mut defaults = Vec::new();
        let mut fields = from.fields.iter();
        let mut steps = Vec::with_capacity(from.fields.len());
        for step in &record.steps {
            let target = match *step {
                Step::Default { field, constant } => {
                    let value = constants[constant as usize].value.clone();
                    defaults.push((field as usize, value));
                    continue;
                }
                Step::Skip(_) => None,
                Step::Set { field, op } => Some(aim(ops, field as usize, op)),
            };
            // Every other step is a field of the writer, in order.
            let wire = fields.next().and_then(|field| writer.flat(field));
            if let Some(wire) = wire {
                steps.push(FlatStep { wire, target });
            }
        }
        Ok(Self {
            steps,
            defaults,
            hopeless: matches!(
                record,
                RecordOp {
                    problem: Some(_),
                    ..
                }
            ),
        })
    }

    pub(super) fn default(value: &Value) -> Scalar<'_> {
        // A flat field's default is a scalar, perhaps in a union.
        value.scalar().unwrap_or(Scalar::Null)
    }
}

fn not_flat(path: String) -> PlanError {
    PlanError::NotFlat { path }
}

/// The record of a schema all of whose fields are flat.
fn require(schema: &Schema) -> Result<&RecordType, PlanError> {
    let record = schema.record().ok_or_else(|| not_flat("$".to_owned()))?;
    match record.fields.iter().find(|f| schema.flat(f).is_none()) {
        Some(field) => Err(not_flat(format!("{}.{}", record.name, field.name))),
        None => Ok(record),
    }
}

/// What a flat field's operation does with a value, and with null.
fn aim(ops: &[Op], field: usize, op: OpId) -> Target {
    let mut target = Target {
        field,
        value: None,
        null: false,
    };
    let one = [op];
    let branches = match &ops[op as usize] {
        Op::Union { branches, .. } => &branches[..],
        _ => &one,
    };
    for &branch in branches {
        let mut op = &ops[branch as usize];
        if let Op::Wrap { then, .. } = op {
            op = &ops[*then as usize];
        }
        match op {
            Op::Scalar {
                wire: Primitive::Null,
                ..
            } => target.null = true,
            Op::Scalar { to, .. } => target.value = Some(*to),
            _ => {}
        }
    }
    target
}
