//! Defaults as the derive takes them.

use super::docs::each;
use crate::plan::default_branch;
use crate::schema::json::{self, Json, Shape};
use crate::{Kind, NodeId, Primitive, Schema};

pub(super) fn literal(schema: &Schema, id: NodeId, json: Json<'_>) -> String {
    let text = || json::string(json).unwrap_or_default();
    match (&schema.node(id).kind, json::shape(json)) {
        (Kind::Primitive(Primitive::Bytes) | Kind::Fixed(_), Shape::String) => {
            // Code points 0 to 255 stand for the bytes.
            let bytes: String = text()
                .chars()
                .map(|c| format!("\\x{:02x}", u32::from(c) & 0xff))
                .collect();
            format!("b\"{bytes}\"")
        }
        // A number without a point has 64 bits in Rust.
        (Kind::Primitive(Primitive::Float | Primitive::Double), Shape::Number)
            if !json.get().contains(['.', 'e', 'E']) =>
        {
            format!("{}.0", json.get())
        }
        (Kind::Primitive(Primitive::Int | Primitive::Long), Shape::Number) => {
            json::integer::<i64>(json).unwrap_or_default().to_string()
        }
        (Kind::Array(items), Shape::Array) => {
            let mut values = Vec::new();
            each(json, |_, item| values.push(literal(schema, *items, item)));
            format!("[{}]", values.join(", "))
        }
        (Kind::Map(values), Shape::Object) => {
            let mut pairs = Vec::new();
            each(json, |key, value| {
                pairs.push(format!("{key:?}: {}", literal(schema, *values, value)));
            });
            format!("{{{}}}", pairs.join(", "))
        }
        (Kind::Record(record), Shape::Object) => {
            let mut pairs = Vec::new();
            each(json, |key, value| {
                if let Some(field) = record.fields.iter().find(|f| f.name == key) {
                    pairs.push(format!("{key:?}: {}", literal(schema, field.node, value)));
                }
            });
            format!("{{{}}}", pairs.join(", "))
        }
        (Kind::Union(branches), _) => match default_branch(schema, branches, json) {
            Some(branch) => literal(schema, branch, json),
            None => json.get().to_owned(),
        },
        (_, Shape::String) => format!("{:?}", text()),
        _ => json.get().to_owned(),
    }
}
