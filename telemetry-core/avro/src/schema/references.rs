//! One schema out of several texts that refer to each other's types.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::parse::{namespace_of, qualify, within};
use super::{Primitive, SchemaError, SchemaLimits};

/// Puts the definitions of `others` that `json` refers to where it first refers to them.
///
/// The size of what comes out is within `limits` too, however the texts multiply each other.
pub(super) fn bundle(
    json: &str,
    others: &[&str],
    limits: SchemaLimits,
) -> Result<String, SchemaError> {
    let mut bundle = Bundle {
        known: BTreeMap::new(),
        defined: BTreeSet::new(),
        bytes_left: limits.json_bytes_max,
        limits,
    };
    for other in others {
        bundle.collect(&read(other, limits)?, "");
    }
    let whole = bundle.schema(&read(json, limits)?, "", Side::Own)?;
    Ok(alloc::format!("{whole}"))
}

/// The text as a tree, which bundling takes apart.
fn read(json: &str, limits: SchemaLimits) -> Result<Value, SchemaError> {
    within(json, limits)?;
    serde_json::from_str(json).map_err(SchemaError::json)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    /// The text that refers.
    Own,
    /// A definition taken from another text.
    Other,
}

struct Bundle {
    /// Definitions of the other texts, by full name, with the namespace they stand in.
    known: BTreeMap<String, (Value, String)>,
    /// What stands in the text so far.
    defined: BTreeSet<String>,
    bytes_left: usize,
    limits: SchemaLimits,
}

/// Full name of a definition and namespace of what is inside.
pub(crate) fn place(object: &Map<String, Value>, outer: &str) -> Option<(String, String)> {
    let kind = object.get("type")?.as_str()?;
    if !matches!(kind, "record" | "error" | "enum" | "fixed") {
        return None;
    }
    let namespace = object.get("namespace").and_then(Value::as_str);
    let full = qualify(object.get("name")?.as_str()?, namespace.unwrap_or(outer)).into_owned();
    let inner = namespace_of(&full).to_owned();
    Some((full, inner))
}

impl Bundle {
    /// Notes every definition of a text. JSON nests no deeper than its parser allows.
    fn collect(&mut self, value: &Value, outer: &str) {
        match value {
            Value::Array(parts) => parts.iter().for_each(|part| self.collect(part, outer)),
            Value::Object(object) => {
                let mut namespace = outer.to_owned();
                if let Some((full, inner)) = place(object, outer) {
                    self.known
                        .entry(full)
                        .or_insert_with(|| (value.clone(), outer.to_owned()));
                    namespace = inner;
                }
                for key in ["type", "items", "values"] {
                    if let Some(part) = object.get(key) {
                        self.collect(part, &namespace);
                    }
                }
                let fields = object.get("fields").and_then(Value::as_array);
                for field in fields.into_iter().flatten() {
                    if let Some(part) = field.get("type") {
                        self.collect(part, &namespace);
                    }
                }
            }
            _ => {}
        }
    }

    fn schema(&mut self, value: &Value, outer: &str, side: Side) -> Result<Value, SchemaError> {
        Ok(match value {
            Value::String(name) => return self.name(name, outer),
            Value::Array(parts) => parts
                .iter()
                .map(|part| self.schema(part, outer, side))
                .collect::<Result<_, _>>()?,
            Value::Object(object) => {
                let mut namespace = outer.to_owned();
                let mut out = object.clone();
                if let Some((full, inner)) = place(object, outer) {
                    let again = !self.defined.insert(full.clone());
                    if again && side == Side::Other {
                        return Ok(Value::String(full));
                    }
                    // It may stand in another namespace than in its own text.
                    if side == Side::Other {
                        let simple = full.rsplit('.').next().unwrap_or_default();
                        out.insert("name".to_owned(), simple.into());
                        out.insert("namespace".to_owned(), inner.as_str().into());
                    }
                    namespace = inner;
                }
                for key in ["type", "items", "values"] {
                    // `"type": "record"` is no reference: the parser's own words are no names.
                    if let Some(part) = object.get(key) {
                        out.insert(key.to_owned(), self.schema(part, &namespace, side)?);
                    }
                }
                if let Some(Value::Array(fields)) = object.get("fields") {
                    let mut whole = Vec::with_capacity(fields.len());
                    for field in fields {
                        let mut field = field.clone();
                        if let Some(part) = field.get("type") {
                            let part = self.schema(&part.clone(), &namespace, side)?;
                            field["type"] = part;
                        }
                        whole.push(field);
                    }
                    out.insert("fields".to_owned(), whole.into());
                }
                Value::Object(out)
            }
            other => other.clone(),
        })
    }

    fn name(&mut self, name: &str, outer: &str) -> Result<Value, SchemaError> {
        let words = ["record", "error", "enum", "fixed", "array", "map"];
        let full = qualify(name, outer).into_owned();
        if Primitive::from_name(name).is_some()
            || words.contains(&name)
            || self.defined.contains(&full)
        {
            return Ok(Value::String(name.to_owned()));
        }
        let Some((definition, namespace)) = self.known.get(&full).cloned() else {
            // The parser says what is wrong with it, and where.
            return Ok(Value::String(name.to_owned()));
        };
        let size = alloc::format!("{definition}").len();
        self.bytes_left = self
            .bytes_left
            .checked_sub(size)
            .ok_or_else(|| SchemaError::Limit {
                path: full,
                what: "size of the JSON text",
                found: self.limits.json_bytes_max - self.bytes_left + size,
                max: self.limits.json_bytes_max,
            })?;
        self.schema(&definition, &namespace, Side::Other)
    }
}
