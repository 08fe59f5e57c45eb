//! Defaults: JSON to values of the reader's schema, once per plan.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::vec::Vec;

use serde_json::Value as Json;

use super::{PlanError, Value};
use crate::{Kind, NodeId, Primitive, Schema};

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
        match serde_json::from_str(json) {
            Ok(json) => self.value(node, &json, depth),
            Err(_) => Ok(None),
        }
    }

    fn value(
        &mut self,
        node: NodeId,
        json: &Json,
        depth: usize,
    ) -> Result<Option<Value>, PlanError> {
        if depth > DEPTH_MAX {
            return Err(PlanError::Limit {
                what: "nesting of defaults",
                max: DEPTH_MAX,
            });
        }
        self.pay(1 + json.as_str().map_or(0, str::len))?;
        let schema = self.reader;
        let depth = depth + 1;
        Ok(match (&schema.node(node).kind, json) {
            (Kind::Primitive(p), json) => primitive(*p, json),
            (Kind::Array(items), Json::Array(list)) => {
                let mut values = Vec::with_capacity(list.len());
                for item in list {
                    match self.value(*items, item, depth)? {
                        Some(value) => values.push(value),
                        None => return Ok(None),
                    }
                }
                Some(Value::Array(values))
            }
            (Kind::Map(values), Json::Object(map)) => {
                let mut pairs = Vec::with_capacity(map.len());
                for (key, value) in map {
                    self.pay(key.len())?;
                    match self.value(*values, value, depth)? {
                        Some(value) => pairs.push((key.clone(), value)),
                        None => return Ok(None),
                    }
                }
                Some(Value::Map(pairs))
            }
            // A default is a value of one of the branches (Avro 1.12, "Unions").
            (Kind::Union(branches), json) => {
                for (i, branch) in branches.iter().enumerate() {
                    if let Some(value) = self.value(*branch, json, depth)? {
                        return Ok(Some(Value::Union(i as u32, Box::new(value))));
                    }
                }
                None
            }
            (Kind::Record(record), Json::Object(map)) => {
                let mut values = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    let value = match (map.get(&field.name), &field.default) {
                        (Some(json), _) => self.value(field.node, json, depth)?,
                        (None, Some(default)) => self.text(field.node, default, depth)?,
                        (None, None) => None,
                    };
                    match value {
                        Some(value) => values.push(value),
                        None => return Ok(None),
                    }
                }
                Some(Value::Record(values))
            }
            (Kind::Enum(e), Json::String(s)) => {
                let position = e.symbols.iter().position(|symbol| symbol == s);
                position.map(|i| Value::Enum(i as u32))
            }
            (Kind::Fixed(fixed), Json::String(s)) => latin1(s)
                .filter(|bytes| bytes.len() == fixed.size as usize)
                .map(Value::Fixed),
            _ => None,
        })
    }
}

fn primitive(p: Primitive, json: &Json) -> Option<Value> {
    match p {
        Primitive::Null => json.is_null().then_some(Value::Null),
        Primitive::Boolean => json.as_bool().map(Value::Boolean),
        Primitive::Int => json.as_i64()?.try_into().ok().map(Value::Int),
        Primitive::Long => json.as_i64().map(Value::Long),
        Primitive::Float => json.as_f64().map(|v| Value::Float(v as f32)),
        Primitive::Double => json.as_f64().map(Value::Double),
        Primitive::Bytes => latin1(json.as_str()?).map(Value::Bytes),
        Primitive::String => json.as_str().map(|s| Value::String(s.to_owned())),
    }
}

/// Code points 0 to 255 stand for the bytes (Avro 1.12, "Complex types, Records").
fn latin1(s: &str) -> Option<Vec<u8>> {
    s.chars().map(|c| u8::try_from(c).ok()).collect()
}
