//! Writer and reader schema to steps.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::{Constant, Incompatibility, Plan, PlanError, Step, Target};
use crate::{Field, FlatType, Primitive, RecordType, Schema};

pub(super) fn compile(writer: &Schema, reader: &Schema) -> Result<Plan, PlanError> {
    let from = record(writer)?;
    let to = record(reader)?;
    let mut problems = Vec::new();
    if !same_name(from, to) {
        problems.push(Incompatibility {
            path: to.name.clone(),
            rule: "records resolve by name or alias",
            hint: format!("add the alias `{}` to the reader's record", from.name),
        });
    }

    let mut target_of: Vec<Option<usize>> = Vec::new();
    target_of.resize(from.fields.len(), None);
    let mut defaults = Vec::new();
    for (i, field) in to.fields.iter().enumerate() {
        let path = format!("{}.{}", to.name, field.name);
        match find(from, field) {
            Some(w) if target_of[w].is_none() => target_of[w] = Some(i),
            Some(w) => problems.push(Incompatibility {
                path,
                rule: "a writer's field goes to one field of the reader",
                hint: format!(
                    "two fields claim `{}`: remove an alias",
                    from.fields[w].name
                ),
            }),
            None => match &field.default {
                Some(default) => defaults.push((i, constant(flat(reader, to, field)?, default))),
                None => problems.push(Incompatibility {
                    path,
                    rule: "a field that the writer lacks needs a default",
                    hint: format!("give `{}` a default", field.name),
                }),
            },
        }
    }

    // So far the problems are about the records as a whole; those below depend on the datum.
    let hopeless = !problems.is_empty();
    let mut steps = Vec::with_capacity(from.fields.len());
    for (field, target) in from.fields.iter().zip(target_of) {
        let wire = flat(writer, from, field)?;
        let target = match target {
            None => None,
            Some(i) => Some(aim(
                wire,
                i,
                flat(reader, to, &to.fields[i])?,
                || format!("{}.{}", to.name, to.fields[i].name),
                &mut problems,
            )),
        };
        steps.push(Step { wire, target });
    }
    Ok(Plan {
        steps,
        defaults,
        problems,
        hopeless,
    })
}

fn aim(
    wire: FlatType,
    field: usize,
    to: FlatType,
    path: impl Fn() -> String,
    problems: &mut Vec<Incompatibility>,
) -> Target {
    let null = to.null_branch.is_some() || to.primitive == Primitive::Null;
    if wire.null_branch.is_some() && !null {
        problems.push(Incompatibility {
            path: path(),
            rule: "null needs a reader that takes null",
            hint: "make the reader's field nullable".to_owned(),
        });
    }
    let value = promotes(wire.primitive, to.primitive).then_some(to.primitive);
    if value.is_none() && !(wire.primitive == Primitive::Null && null) {
        problems.push(Incompatibility {
            path: path(),
            rule: "a type resolves to itself or by promotion",
            hint: format!(
                "{} does not promote to {}: add a field of a new name instead",
                wire.primitive.as_str(),
                to.primitive.as_str()
            ),
        });
    }
    Target { field, value, null }
}

fn record(schema: &Schema) -> Result<&RecordType, PlanError> {
    schema.record().ok_or_else(|| PlanError::NotFlat {
        path: "$".to_owned(),
    })
}

fn flat(schema: &Schema, record: &RecordType, field: &Field) -> Result<FlatType, PlanError> {
    schema.flat(field).ok_or_else(|| PlanError::NotFlat {
        path: format!("{}.{}", record.name, field.name),
    })
}

/// Unqualified names match, or a full alias of the reader.
fn same_name(writer: &RecordType, reader: &RecordType) -> bool {
    fn simple(name: &str) -> &str {
        name.rsplit_once('.').map_or(name, |(_, simple)| simple)
    }
    simple(&writer.name) == simple(&reader.name) || reader.aliases.contains(&writer.name)
}

/// The writer's field for a field of the reader: by name, then by the reader's aliases.
fn find(writer: &RecordType, field: &Field) -> Option<usize> {
    let by_name = |name: &str| writer.fields.iter().position(|f| f.name == name);
    by_name(&field.name).or_else(|| field.aliases.iter().find_map(|a| by_name(a)))
}

fn promotes(from: Primitive, to: Primitive) -> bool {
    use Primitive::{Bytes, Double, Float, Int, Long, String};
    from == to
        || matches!(
            (from, to),
            (Int, Long | Float | Double)
                | (Long, Float | Double)
                | (Float, Double)
                | (String, Bytes)
                | (Bytes, String)
        )
}

/// The default of a field whose schema was checked against it at parsing.
fn constant(to: FlatType, value: &Value) -> Constant {
    if value.is_null() {
        return Constant::Null;
    }
    let number = || value.as_f64().unwrap_or_default();
    match to.primitive {
        Primitive::Null => Constant::Null,
        Primitive::Boolean => Constant::Boolean(value.as_bool().unwrap_or_default()),
        Primitive::Int => Constant::Int(value.as_i64().unwrap_or_default() as i32),
        Primitive::Long => Constant::Long(value.as_i64().unwrap_or_default()),
        Primitive::Float => Constant::Float(number() as f32),
        Primitive::Double => Constant::Double(number()),
        Primitive::String => Constant::String(value.as_str().unwrap_or_default().to_owned()),
        // Code points 0 to 255 stand for the bytes (Avro 1.12, "Complex types, Records").
        Primitive::Bytes => Constant::Bytes(
            value
                .as_str()
                .unwrap_or_default()
                .chars()
                .map(|c| c as u32 as u8)
                .collect(),
        ),
    }
}
