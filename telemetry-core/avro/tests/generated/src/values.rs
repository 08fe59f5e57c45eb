//! Arbitrary values of a schema, the same in every run.

use telemetry_avro::{Kind, NodeId, Primitive, Schema, Value};

use super::random::Random;

/// An arbitrary value; below a depth of 0 as small as it can be.
pub(crate) fn value(r: &mut Random, schema: &Schema, id: NodeId, depth: usize) -> Value {
    let node = schema.node(id);
    let bytes = |r: &mut Random, n: usize| (0..n).map(|_| r.below(256) as u8).collect();
    let count = if depth == 0 { 1 } else { 3 };
    match &node.kind {
        Kind::Primitive(p) => match p {
            Primitive::Null => Value::Null,
            Primitive::Boolean => Value::Boolean(r.below(2) == 1),
            Primitive::Int => Value::Int(r.below(1 << 40) as i32),
            Primitive::Long => Value::Long(r.below(usize::MAX) as i64),
            Primitive::Float => Value::Float(r.below(1000) as f32),
            Primitive::Double => Value::Double(r.below(1000) as f64),
            Primitive::Bytes => Value::Bytes(bytes(r, 3)),
            Primitive::String if node.logical.as_deref() == Some("uuid") => Value::String(format!(
                "67e55044-10b1-426f-9247-bb680e5f{:04x}",
                r.below(1 << 16)
            )),
            Primitive::String => Value::String(r.below(1000).to_string()),
        },
        Kind::Array(items) => Value::Array(
            (0..r.below(count))
                .map(|_| value(r, schema, *items, depth.saturating_sub(1)))
                .collect(),
        ),
        Kind::Map(values) => Value::Map(
            (0..r.below(count))
                .map(|i| {
                    (
                        i.to_string(),
                        value(r, schema, *values, depth.saturating_sub(1)),
                    )
                })
                .collect(),
        ),
        Kind::Union(branches) => {
            // Null, where there is one, ends what holds itself.
            let null = branches
                .iter()
                .position(|&b| matches!(schema.node(b).kind, Kind::Primitive(Primitive::Null)));
            let i = match null {
                Some(null) if depth == 0 => null,
                _ => r.below(branches.len()),
            };
            Value::Union(
                i as u32,
                Box::new(value(r, schema, branches[i], depth.saturating_sub(1))),
            )
        }
        Kind::Record(record) => Value::Record(
            record
                .fields
                .iter()
                .map(|f| value(r, schema, f.node, depth.saturating_sub(1)))
                .collect(),
        ),
        Kind::Enum(e) => Value::Enum(r.below(e.symbols.len()) as u32),
        Kind::Fixed(fixed) => Value::Fixed(bytes(r, fixed.size as usize)),
    }
}
