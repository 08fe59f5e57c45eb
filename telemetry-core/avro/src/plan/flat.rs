//! Records whose fields are primitives or nullable primitives, seen by their fields.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::constant::Constant;
use super::op::{Op, OpId};
use super::program::Way;
use super::{PlanError, Value};
use crate::{RecordType, Schema};

/// Where the fields of the reader come from.
#[derive(Clone, Debug)]
pub(super) struct Flat {
    /// Fields of the reader and of the writer.
    pub(super) written: Vec<(usize, usize)>,
    pub(super) defaults: Vec<(usize, Value)>,
}

impl Flat {
    pub(super) fn new(
        writer: &Schema,
        reader: &Schema,
        ops: &[Op],
        root: OpId,
        constants: &[Constant],
    ) -> Result<Self, PlanError> {
        require(writer)?;
        require(reader)?;
        let Op::Record(record) = &ops[root as usize] else {
            return Err(not_flat("$".to_owned()));
        };
        let (mut written, mut defaults) = (Vec::new(), Vec::new());
        // Every step that is no default is a field of the writer, in order.
        let mut from = 0;
        for step in &record.steps {
            match step.way() {
                Way::Default { field, constant } => {
                    defaults.push((field, constants[constant as usize].value.clone()));
                    continue;
                }
                Way::Skip(_) => {}
                Way::Set { field, .. } => written.push((field, from)),
            }
            from += 1;
        }
        Ok(Self { written, defaults })
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
