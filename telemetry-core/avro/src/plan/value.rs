//! Values without a struct.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Scalar;
use crate::wire;
use crate::{Kind, NodeId, Primitive, Schema};

/// A value of any schema. Names of fields and symbols are in the schema, not here.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
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
    Bytes(Vec<u8>),
    /// A `string`.
    String(String),
    /// A `fixed`, as many bytes as its schema says.
    Fixed(Vec<u8>),
    /// A symbol of an `enum`, by position.
    Enum(u32),
    /// The items of an `array`.
    Array(Vec<Value>),
    /// The pairs of a `map`, as they were written.
    Map(Vec<(String, Value)>),
    /// A value of a `union`, and which branch it is.
    Union(u32, Box<Value>),
    /// The fields of a `record`, in the order of its schema.
    Record(Vec<Value>),
}

impl Value {
    /// Appends the datum: arrays and maps as one block.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Boolean(v) => out.push(u8::from(*v)),
            Self::Int(v) => wire::put_long(out, i64::from(*v)),
            Self::Long(v) => wire::put_long(out, *v),
            Self::Float(v) => out.extend_from_slice(&v.to_le_bytes()),
            Self::Double(v) => out.extend_from_slice(&v.to_le_bytes()),
            Self::Bytes(v) => wire::put_bytes(out, v),
            Self::String(v) => wire::put_bytes(out, v.as_bytes()),
            Self::Fixed(v) => out.extend_from_slice(v),
            Self::Enum(v) => wire::put_long(out, i64::from(*v)),
            Self::Array(items) => {
                if !items.is_empty() {
                    wire::put_long(out, items.len() as i64);
                    items.iter().for_each(|item| item.put(out));
                }
                out.push(0);
            }
            Self::Map(pairs) => {
                if !pairs.is_empty() {
                    wire::put_long(out, pairs.len() as i64);
                    for (key, value) in pairs {
                        wire::put_bytes(out, key.as_bytes());
                        value.put(out);
                    }
                }
                out.push(0);
            }
            Self::Union(branch, value) => {
                wire::put_long(out, i64::from(*branch));
                value.put(out);
            }
            Self::Record(fields) => fields.iter().for_each(|field| field.put(out)),
        }
    }

    /// The value as a scalar, looked up through a union; `None` if it has parts.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        Some(match self {
            Self::Null => Scalar::Null,
            Self::Boolean(v) => Scalar::Boolean(*v),
            Self::Int(v) => Scalar::Int(*v),
            Self::Long(v) => Scalar::Long(*v),
            Self::Float(v) => Scalar::Float(*v),
            Self::Double(v) => Scalar::Double(*v),
            Self::Bytes(v) => Scalar::Bytes(v),
            Self::String(v) => Scalar::String(v),
            Self::Union(_, value) => return value.scalar(),
            Self::Fixed(_) | Self::Enum(_) | Self::Array(_) | Self::Map(_) | Self::Record(_) => {
                return None;
            }
        })
    }
}

/// A value that does not fit its schema, or the type that it is read as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("${path}: {reason}")]
pub struct ValueError {
    /// Where: `.field`, `[]` for items, `{}` for values of a map, from the root on; empty for the root.
    pub path: String,
    /// What does not fit.
    pub reason: String,
}

crate::error_codes!(ValueError => 1160);

impl ValueError {
    #[cold]
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            reason: reason.into(),
        }
    }

    /// A value of another type than this one.
    #[cold]
    pub(crate) fn other(kind: &Kind) -> Self {
        Self::new(format!("the value is none of type {}", kind.branch_name()))
    }

    /// Says in which part it happened.
    #[cold]
    pub(crate) fn within(mut self, part: &str) -> Self {
        self.path.insert_str(0, part);
        self
    }

    #[cold]
    pub(crate) fn in_field(self, name: &str) -> Self {
        self.within(name).within(".")
    }
}

impl Value {
    /// Whether it is a value of `schema`, so that what [`put`](Self::put) writes is one of its datums.
    pub fn check(&self, schema: &Schema) -> Result<(), ValueError> {
        self.check_node(schema, schema.root_id())
    }

    fn check_node(&self, schema: &Schema, node: NodeId) -> Result<(), ValueError> {
        let kind = &schema.node(node).kind;
        let other = || Err(ValueError::other(kind));
        match (self, kind) {
            (value, Kind::Primitive(p)) => {
                let fits = matches!(
                    (value, p),
                    (Self::Null, Primitive::Null)
                        | (Self::Boolean(_), Primitive::Boolean)
                        | (Self::Int(_), Primitive::Int)
                        | (Self::Long(_), Primitive::Long)
                        | (Self::Float(_), Primitive::Float)
                        | (Self::Double(_), Primitive::Double)
                        | (Self::Bytes(_), Primitive::Bytes)
                        | (Self::String(_), Primitive::String)
                );
                if fits { Ok(()) } else { other() }
            }
            (Self::Fixed(bytes), Kind::Fixed(fixed)) if bytes.len() == fixed.size as usize => {
                Ok(())
            }
            (Self::Enum(i), Kind::Enum(e)) if (*i as usize) < e.symbols.len() => Ok(()),
            (Self::Array(values), Kind::Array(items)) => values.iter().try_for_each(|value| {
                let checked = value.check_node(schema, *items);
                checked.map_err(|e| e.within("[]"))
            }),
            (Self::Map(pairs), Kind::Map(values)) => pairs.iter().try_for_each(|(_, value)| {
                let checked = value.check_node(schema, *values);
                checked.map_err(|e| e.within("{}"))
            }),
            (Self::Union(i, value), Kind::Union(branches)) => match branches.get(*i as usize) {
                Some(&branch) => value.check_node(schema, branch),
                None => other(),
            },
            (Self::Record(values), Kind::Record(record)) if values.len() == record.fields.len() => {
                let fields = values.iter().zip(&record.fields);
                fields.into_iter().try_for_each(|(value, field)| {
                    let checked = value.check_node(schema, field.node);
                    checked.map_err(|e| e.in_field(&field.name))
                })
            }
            _ => other(),
        }
    }

    /// The value of a field of the root's record, by its name in `schema`; a union shows what it holds.
    ///
    /// ```
    /// use telemetry_avro::{Schema, Value};
    ///
    /// let schema = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
    ///     {"name":"bpm","type":["null","int"]}]}"#)?;
    /// let beat = Value::Record(vec![Value::Union(1, Box::new(Value::Int(65)))]);
    /// assert_eq!(beat.field(&schema, "bpm"), Some(&Value::Int(65)));
    /// assert_eq!(beat.field(&schema, "hr"), None);
    /// # Ok::<(), telemetry_avro::SchemaError>(())
    /// ```
    pub fn field(&self, schema: &Schema, name: &str) -> Option<&Self> {
        let at = schema
            .record()?
            .fields
            .iter()
            .position(|f| f.name == name)?;
        match self {
            Self::Record(values) => values.get(at).map(Self::shown),
            _ => None,
        }
    }

    /// What a union holds; anything else is itself.
    pub fn shown(&self) -> &Self {
        match self {
            Self::Union(_, value) => value.shown(),
            value => value,
        }
    }
}

impl From<Scalar<'_>> for Value {
    fn from(scalar: Scalar<'_>) -> Self {
        match scalar {
            Scalar::Null => Self::Null,
            Scalar::Boolean(v) => Self::Boolean(v),
            Scalar::Int(v) => Self::Int(v),
            Scalar::Long(v) => Self::Long(v),
            Scalar::Float(v) => Self::Float(v),
            Scalar::Double(v) => Self::Double(v),
            Scalar::Bytes(v) => Self::Bytes(v.to_vec()),
            Scalar::String(v) => Self::String(v.to_owned()),
        }
    }
}
