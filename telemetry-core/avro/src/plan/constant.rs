//! Defaults: JSON to values of the reader's schema, once per plan.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use super::{PlanError, Value};
use crate::schema::json::{self, Json, Shape};
use crate::{Kind, NodeId, Primitive, RecordType, Schema};

/// A default, ready for every executor.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub(crate) value: Value,
    pub(crate) bytes: Vec<u8>,
}

/// Makes constants; what all of them cost together is bounded.
pub(super) struct Constants<'s> {
    reader: &'s Schema,
    bytes_left: usize,
    bytes_max: usize,
}

/// Values inside each other, one default filling in another's.
const DEPTH_MAX: usize = 64;

impl<'s> Constants<'s> {
    pub(super) const fn new(reader: &'s Schema, bytes_max: usize) -> Self {
        Self {
            reader,
            bytes_left: bytes_max,
            bytes_max,
        }
    }

    /// The default of a field; `None` if the JSON is no value of its type.
    pub(super) fn make(&mut self, node: NodeId, json: &str) -> Result<Option<Constant>, PlanError> {
        let Some(value) = self.text(node, json, 0)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        value.put(&mut bytes);
        Ok(Some(Constant { value, bytes }))
    }

    fn pay(&mut self, bytes: usize) -> Result<(), PlanError> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or(PlanError::Limit {
            what: "bytes of defaults",
            max: self.bytes_max,
        })?;
        Ok(())
    }

    /// The value of a default as a schema keeps it.
    fn text(&mut self, node: NodeId, json: &str, depth: usize) -> Result<Option<Value>, PlanError> {
        match json::known(json) {
            Some(json) => self.value(node, json, depth),
            None => Ok(None),
        }
    }

    fn value(
        &mut self,
        node: NodeId,
        json: Json<'_>,
        depth: usize,
    ) -> Result<Option<Value>, PlanError> {
        if depth > DEPTH_MAX {
            return Err(PlanError::Limit {
                what: "nesting of defaults",
                max: DEPTH_MAX,
            });
        }
        let schema = self.reader;
        let depth = depth + 1;
        let shape = json::shape(json);
        let text = || json::string(json).unwrap_or_default();
        self.pay(if shape == Shape::String {
            1 + text().len()
        } else {
            1
        })?;
        Ok(match (&schema.node(node).kind, shape) {
            (Kind::Primitive(p), _) => primitive(*p, json),
            (Kind::Array(items), Shape::Array) => {
                let mut values = Vec::new();
                let done = json::items(json, |_, item| {
                    values.push(self.part(*items, item, depth)?);
                    Ok(())
                });
                whole(done)?.map(|()| Value::Array(values))
            }
            (Kind::Map(values), Shape::Object) => {
                // The last pair of a key counts, as in a tree of the JSON.
                let mut pairs = BTreeMap::new();
                let done = json::entries(json, |key, value| {
                    self.pay(key.len())?;
                    pairs.insert(key.to_owned(), self.part(*values, value, depth)?);
                    Ok(())
                });
                whole(done)?.map(|()| Value::Map(pairs.into_iter().collect()))
            }
            // A default is a value of one of the branches (Avro 1.12, "Unions").
            (Kind::Union(branches), _) => {
                for (i, branch) in branches.iter().enumerate() {
                    if let Some(value) = self.value(*branch, json, depth)? {
                        return Ok(Some(Value::Union(i as u32, Box::new(value))));
                    }
                }
                None
            }
            (Kind::Record(record), Shape::Object) => self.record(record, json, depth)?,
            (Kind::Enum(e), Shape::String) => {
                let position = e.symbols.iter().position(|symbol| *symbol == text());
                position.map(|i| Value::Enum(i as u32))
            }
            (Kind::Fixed(fixed), Shape::String) => latin1(&text())
                .filter(|bytes| bytes.len() == fixed.size as usize)
                .map(Value::Fixed),
            _ => None,
        })
    }

    fn record(
        &mut self,
        record: &RecordType,
        json: Json<'_>,
        depth: usize,
    ) -> Result<Option<Value>, PlanError> {
        let mut given: BTreeMap<String, Json<'_>> = BTreeMap::new();
        let _ = json::entries(json, |key, value| {
            given.insert(key.to_owned(), value);
            Ok::<_, Infallible>(())
        });
        let mut values = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let value = match (given.get(&field.name), &field.default) {
                (Some(json), _) => self.value(field.node, json, depth)?,
                (None, Some(default)) => self.text(field.node, default, depth)?,
                (None, None) => None,
            };
            match value {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(Value::Record(values)))
    }

    fn part(&mut self, node: NodeId, json: Json<'_>, depth: usize) -> Result<Value, Stop> {
        self.value(node, json, depth)?.ok_or(Stop::Unfit)
    }
}

/// More than any schema's text has.
#[cfg(any(feature = "std", feature = "serde"))]
const BYTES_MAX: usize = 1 << 24;

/// The value that a field takes where nobody gives one.
#[cfg(feature = "serde")]
pub(crate) fn field_default(schema: &Schema, field: &crate::Field) -> Option<Value> {
    let made = Constants::new(schema, BYTES_MAX).make(field.node, field.default.as_deref()?);
    Some(made.ok()??.value)
}

/// The branch of a union that a default is a value of.
#[cfg(feature = "std")]
pub(crate) fn default_branch(
    schema: &Schema,
    branches: &[NodeId],
    json: Json<'_>,
) -> Option<NodeId> {
    let mut constants = Constants::new(schema, BYTES_MAX);
    let mut branches = branches.iter().copied();
    branches.find(|&branch| matches!(constants.value(branch, json, 0), Ok(Some(_))))
}

/// Why looking at parts ends early.
enum Stop {
    /// One of them is no value of its type.
    Unfit,
    Plan(PlanError),
}

impl From<PlanError> for Stop {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

/// `None` if a part did not fit.
fn whole(done: Result<(), Stop>) -> Result<Option<()>, PlanError> {
    match done {
        Ok(()) => Ok(Some(())),
        Err(Stop::Unfit) => Ok(None),
        Err(Stop::Plan(error)) => Err(error),
    }
}

fn primitive(p: Primitive, json: Json<'_>) -> Option<Value> {
    let shape = json::shape(json);
    let text = || json::string(json);
    match p {
        Primitive::Null => (shape == Shape::Null).then_some(Value::Null),
        Primitive::Boolean => {
            (shape == Shape::Boolean).then(|| Value::Boolean(json.get() == "true"))
        }
        Primitive::Int => json::integer(json).map(Value::Int),
        Primitive::Long => json::integer(json).map(Value::Long),
        // By way of a double, as the reference implementation does.
        Primitive::Float => json::float(json).map(|v| Value::Float(v as f32)),
        Primitive::Double => json::float(json).map(Value::Double),
        Primitive::Bytes => latin1(&text()?).map(Value::Bytes),
        Primitive::String => text().map(|s| Value::String(s.into_owned())),
    }
}

/// Code points 0 to 255 stand for the bytes (Avro 1.12, "Complex types, Records").
fn latin1(s: &str) -> Option<Vec<u8>> {
    s.chars().map(|c| u8::try_from(c).ok()).collect()
}
