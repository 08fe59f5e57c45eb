//! The Arrow type of each Avro type.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use arrow_schema::{DataType, Field, Fields, TimeUnit, UnionFields, UnionMode};

use super::{ArrowError, logical};
use crate::{Kind, NodeId, Primitive, Schema};

/// The Arrow schema of the batches of a record.
pub fn schema(schema: &Schema) -> Result<arrow_schema::Schema, ArrowError> {
    let Kind::Record(record) = &schema.root().kind else {
        return Err(ArrowError::NoRecord);
    };
    let mut types = Types {
        schema,
        open: alloc::vec![schema.root_id()],
    };
    let fields = record
        .fields
        .iter()
        .map(|f| types.field(&f.name, f.node, &format!("{}.{}", record.name, f.name)))
        .collect::<Result<Fields, _>>()?;
    Ok(arrow_schema::Schema::new(fields))
}

/// The branch of a union of null and one more type, and which of the two is null.
pub(super) fn nullable(schema: &Schema, node: NodeId) -> Option<(NodeId, u8)> {
    let Kind::Union(branches) = &schema.node(node).kind else {
        return None;
    };
    let is_null = |id: NodeId| matches!(schema.node(id).kind, Kind::Primitive(Primitive::Null));
    match branches[..] {
        [null, other] if is_null(null) && !is_null(other) => Some((other, 0)),
        [other, null] if is_null(null) => Some((other, 1)),
        _ => None,
    }
}

struct Types<'s> {
    schema: &'s Schema,
    /// Records that are being described, from the root.
    open: Vec<NodeId>,
}

impl Types<'_> {
    fn field(&mut self, name: &str, node: NodeId, path: &str) -> Result<Field, ArrowError> {
        if let Some((inner, _)) = nullable(self.schema, node) {
            return Ok(Field::new(name, self.ty(inner, path)?, true));
        }
        let ty = self.ty(node, path)?;
        let takes_null = match &ty {
            DataType::Null => true,
            DataType::Union(fields, _) => fields.iter().any(|(_, f)| f.is_nullable()),
            _ => false,
        };
        Ok(Field::new(name, ty, takes_null))
    }

    fn ty(&mut self, id: NodeId, path: &str) -> Result<DataType, ArrowError> {
        let none = |reason| ArrowError::NoType {
            path: path.to_string(),
            reason,
        };
        let node = self.schema.node(id);
        if let Some(ty) = logical::ty(node) {
            return Ok(ty);
        }
        Ok(match &node.kind {
            Kind::Primitive(p) => primitive(*p, node.logical.as_deref()),
            Kind::Array(items) => {
                let item = self.field("item", *items, &format!("{path}[]"))?;
                DataType::List(Arc::new(item))
            }
            Kind::Map(values) => {
                let value = self.field("value", *values, &format!("{path}{{}}"))?;
                let key = Field::new("key", DataType::Utf8, false);
                let entries = DataType::Struct(Fields::from(alloc::vec![key, value]));
                DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
            }
            Kind::Union(branches) => {
                let mut fields = Vec::new();
                for (i, &branch) in branches.iter().enumerate() {
                    let i = i8::try_from(i)
                        .map_err(|_| none("a union of Arrow has at most 128 branches"))?;
                    let name = branch_name(self.schema, branch);
                    let field = self.field(&name, branch, &format!("{path}({name})"))?;
                    fields.push((i, Arc::new(field)));
                }
                if fields.is_empty() {
                    return Err(none("a union of Arrow has a branch"));
                }
                DataType::Union(UnionFields::from_iter(fields), UnionMode::Dense)
            }
            Kind::Record(record) => {
                if self.open.contains(&id) {
                    return Err(none("no type of Arrow holds itself"));
                }
                self.open.push(id);
                let fields = record
                    .fields
                    .iter()
                    .map(|f| self.field(&f.name, f.node, &format!("{path}.{}", f.name)))
                    .collect::<Result<Fields, _>>()?;
                self.open.pop();
                DataType::Struct(fields)
            }
            Kind::Enum(_) => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            Kind::Fixed(fixed) => DataType::FixedSizeBinary(
                i32::try_from(fixed.size).map_err(|_| none("a fixed of Arrow has 31 bits"))?,
            ),
        })
    }
}

pub(super) fn primitive(p: Primitive, logical: Option<&str>) -> DataType {
    let instant = |unit, zoned: bool| DataType::Timestamp(unit, zoned.then(|| "+00:00".into()));
    match (p, logical) {
        (Primitive::Int, Some("date")) => DataType::Date32,
        (Primitive::Int, Some("time-millis")) => DataType::Time32(TimeUnit::Millisecond),
        (Primitive::Long, Some("time-micros")) => DataType::Time64(TimeUnit::Microsecond),
        (Primitive::Long, Some("timestamp-millis")) => instant(TimeUnit::Millisecond, true),
        (Primitive::Long, Some("timestamp-micros")) => instant(TimeUnit::Microsecond, true),
        (Primitive::Long, Some("timestamp-nanos")) => instant(TimeUnit::Nanosecond, true),
        (Primitive::Long, Some("local-timestamp-millis")) => instant(TimeUnit::Millisecond, false),
        (Primitive::Long, Some("local-timestamp-micros")) => instant(TimeUnit::Microsecond, false),
        (Primitive::Long, Some("local-timestamp-nanos")) => instant(TimeUnit::Nanosecond, false),
        (Primitive::Null, _) => DataType::Null,
        (Primitive::Boolean, _) => DataType::Boolean,
        (Primitive::Int, _) => DataType::Int32,
        (Primitive::Long, _) => DataType::Int64,
        (Primitive::Float, _) => DataType::Float32,
        (Primitive::Double, _) => DataType::Float64,
        (Primitive::Bytes, _) => DataType::Binary,
        (Primitive::String, _) => DataType::Utf8,
    }
}

fn branch_name(schema: &Schema, node: NodeId) -> String {
    match &schema.node(node).kind {
        Kind::Primitive(p) => p.as_str().to_string(),
        Kind::Array(_) => "array".to_string(),
        Kind::Map(_) => "map".to_string(),
        Kind::Union(_) => "union".to_string(),
        Kind::Record(t) => t.name.clone(),
        Kind::Enum(t) => t.name.clone(),
        Kind::Fixed(t) => t.name.clone(),
    }
}
