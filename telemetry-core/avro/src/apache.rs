//! To and from the types of the crate `apache-avro`.
//!
//! Schemas convert by `TryFrom`. A [`Value`] has no names, so it needs its schema:
//!
//! ```
//! use telemetry_avro::{Schema, Value};
//!
//! let schema = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
//!     {"name":"bpm","type":"int"}]}"#)?;
//! let value = Value::Record(vec![Value::Int(65)]);
//! let theirs = value.to_apache_avro(&schema)?;
//! assert_eq!(
//!     theirs,
//!     apache_avro::types::Value::Record(vec![("bpm".into(), apache_avro::types::Value::Int(65))])
//! );
//! assert_eq!(Value::from_apache_avro(&schema, &theirs)?, value);
//!
//! let theirs = apache_avro::Schema::try_from(&schema)?;
//! assert_eq!(Schema::try_from(&theirs)?.canonical(), schema.canonical());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::string::{String, ToString as _};
use std::vec::Vec;

use apache_avro::types::Value as Theirs;
use apache_avro::{Decimal, Duration};

use crate::{Kind, NodeId, Primitive, Schema, SchemaError, Value, ValueError};

impl TryFrom<&Schema> for apache_avro::Schema {
    type Error = apache_avro::Error;

    fn try_from(schema: &Schema) -> Result<Self, apache_avro::Error> {
        Self::parse_str(schema.json())
    }
}

impl TryFrom<&apache_avro::Schema> for Schema {
    type Error = SchemaError;

    fn try_from(schema: &apache_avro::Schema) -> Result<Self, SchemaError> {
        let json = serde_json::to_string(schema).map_err(|error| SchemaError::Json {
            line: 0,
            column: 0,
            reason: error.to_string(),
        })?;
        Self::parse(&json)
    }
}

impl Value {
    /// The value as `apache-avro` has it, logical types by their own variants.
    pub fn to_apache_avro(&self, schema: &Schema) -> Result<Theirs, ValueError> {
        to(schema, schema.root_id(), self)
    }

    /// The value of `apache-avro`, if it is one of the schema. It must be in the schema's own form:
    /// resolve it first if it is not. Pairs of a map come in the order of their keys.
    pub fn from_apache_avro(schema: &Schema, value: &Theirs) -> Result<Self, ValueError> {
        from(schema, schema.root_id(), value)
    }
}

fn to(schema: &Schema, id: NodeId, value: &Value) -> Result<Theirs, ValueError> {
    let node = schema.node(id);
    let other = || ValueError::other(&node.kind);
    let logical = node.logical.as_deref();
    Ok(match (value, &node.kind) {
        (Value::Null, Kind::Primitive(Primitive::Null)) => Theirs::Null,
        (Value::Boolean(v), Kind::Primitive(Primitive::Boolean)) => Theirs::Boolean(*v),
        (Value::Int(v), Kind::Primitive(Primitive::Int)) => match logical {
            Some("date") => Theirs::Date(*v),
            Some("time-millis") => Theirs::TimeMillis(*v),
            _ => Theirs::Int(*v),
        },
        (Value::Long(v), Kind::Primitive(Primitive::Long)) => match logical {
            Some("time-micros") => Theirs::TimeMicros(*v),
            Some("timestamp-millis") => Theirs::TimestampMillis(*v),
            Some("timestamp-micros") => Theirs::TimestampMicros(*v),
            Some("timestamp-nanos") => Theirs::TimestampNanos(*v),
            Some("local-timestamp-millis") => Theirs::LocalTimestampMillis(*v),
            Some("local-timestamp-micros") => Theirs::LocalTimestampMicros(*v),
            Some("local-timestamp-nanos") => Theirs::LocalTimestampNanos(*v),
            _ => Theirs::Long(*v),
        },
        (Value::Float(v), Kind::Primitive(Primitive::Float)) => Theirs::Float(*v),
        (Value::Double(v), Kind::Primitive(Primitive::Double)) => Theirs::Double(*v),
        (Value::Bytes(v), Kind::Primitive(Primitive::Bytes)) => match node.decimal {
            Some(_) => Theirs::Decimal(Decimal::from(v)),
            None => Theirs::Bytes(v.clone()),
        },
        (Value::String(v), Kind::Primitive(Primitive::String)) => match logical {
            Some("uuid") => match v.parse() {
                Ok(uuid) => Theirs::Uuid(uuid),
                Err(_) => Theirs::String(v.clone()),
            },
            _ => Theirs::String(v.clone()),
        },
        (Value::Fixed(v), Kind::Fixed(fixed)) if v.len() == fixed.size as usize => {
            fixed_to(node.decimal.is_some(), logical, v)
        }
        (Value::Enum(v), Kind::Enum(of)) => {
            let symbol = of.symbols.get(*v as usize).ok_or_else(other)?;
            Theirs::Enum(*v, symbol.clone())
        }
        (Value::Array(items), Kind::Array(of)) => Theirs::Array(
            items
                .iter()
                .map(|item| to(schema, *of, item).map_err(|e| e.within("[]")))
                .collect::<Result<_, _>>()?,
        ),
        (Value::Map(pairs), Kind::Map(of)) => Theirs::Map(
            pairs
                .iter()
                .map(|(k, v)| Ok((k.clone(), to(schema, *of, v).map_err(|e| e.within("{}"))?)))
                .collect::<Result<_, ValueError>>()?,
        ),
        (Value::Union(branch, value), Kind::Union(branches)) => {
            let of = branches.get(*branch as usize).ok_or_else(other)?;
            Theirs::Union(*branch, to(schema, *of, value)?.into())
        }
        (Value::Record(values), Kind::Record(of)) if values.len() == of.fields.len() => {
            let fields = of.fields.iter().zip(values);
            let fields = fields.map(|(field, value)| {
                let value = to(schema, field.node, value);
                let value = value.map_err(|e| e.in_field(&field.name))?;
                Ok((field.name.clone(), value))
            });
            Theirs::Record(fields.collect::<Result<_, ValueError>>()?)
        }
        _ => return Err(other()),
    })
}

fn fixed_to(is_decimal: bool, logical: Option<&str>, bytes: &[u8]) -> Theirs {
    let plain = || Theirs::Fixed(bytes.len(), bytes.to_vec());
    match logical {
        _ if is_decimal => Theirs::Decimal(Decimal::from(bytes)),
        Some("duration") => <[u8; 12]>::try_from(bytes)
            .map_or_else(|_| plain(), |b| Theirs::Duration(Duration::from(b))),
        Some("uuid") => uuid::Uuid::from_slice(bytes).map_or_else(|_| plain(), Theirs::Uuid),
        _ => plain(),
    }
}

fn from(schema: &Schema, id: NodeId, value: &Theirs) -> Result<Value, ValueError> {
    let kind = &schema.node(id).kind;
    let other = || ValueError::other(kind);
    Ok(match (value, kind) {
        (Theirs::Null, Kind::Primitive(Primitive::Null)) => Value::Null,
        (Theirs::Boolean(v), Kind::Primitive(Primitive::Boolean)) => Value::Boolean(*v),
        (
            Theirs::Int(v) | Theirs::Date(v) | Theirs::TimeMillis(v),
            Kind::Primitive(Primitive::Int),
        ) => Value::Int(*v),
        (
            Theirs::Long(v)
            | Theirs::TimeMicros(v)
            | Theirs::TimestampMillis(v)
            | Theirs::TimestampMicros(v)
            | Theirs::TimestampNanos(v)
            | Theirs::LocalTimestampMillis(v)
            | Theirs::LocalTimestampMicros(v)
            | Theirs::LocalTimestampNanos(v),
            Kind::Primitive(Primitive::Long),
        ) => Value::Long(*v),
        (Theirs::Float(v), Kind::Primitive(Primitive::Float)) => Value::Float(*v),
        (Theirs::Double(v), Kind::Primitive(Primitive::Double)) => Value::Double(*v),
        (Theirs::Bytes(v), Kind::Primitive(Primitive::Bytes)) => Value::Bytes(v.clone()),
        (Theirs::Decimal(v), Kind::Primitive(Primitive::Bytes)) => {
            Value::Bytes(Vec::try_from(v).map_err(|_| other())?)
        }
        (Theirs::String(v), Kind::Primitive(Primitive::String)) => Value::String(v.clone()),
        (Theirs::Uuid(v), Kind::Primitive(Primitive::String)) => Value::String(v.to_string()),
        (value, Kind::Fixed(of)) => {
            let bytes = match value {
                Theirs::Fixed(_, v) => v.clone(),
                Theirs::Decimal(v) => Vec::try_from(v).map_err(|_| other())?,
                Theirs::Duration(v) => <[u8; 12]>::from(*v).to_vec(),
                Theirs::Uuid(v) => v.as_bytes().to_vec(),
                _ => return Err(other()),
            };
            if bytes.len() != of.size as usize {
                return Err(other());
            }
            Value::Fixed(bytes)
        }
        (Theirs::Enum(v, symbol), Kind::Enum(of))
            if of.symbols.get(*v as usize) == Some(symbol) =>
        {
            Value::Enum(*v)
        }
        (Theirs::Array(items), Kind::Array(of)) => Value::Array(
            items
                .iter()
                .map(|item| from(schema, *of, item).map_err(|e| e.within("[]")))
                .collect::<Result<_, _>>()?,
        ),
        (Theirs::Map(pairs), Kind::Map(of)) => {
            let pairs = pairs.iter().map(|(k, v)| {
                let value = from(schema, *of, v).map_err(|e| e.within("{}"))?;
                Ok((k.clone(), value))
            });
            let mut pairs: Vec<(String, Value)> = pairs.collect::<Result<_, ValueError>>()?;
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Map(pairs)
        }
        (Theirs::Union(branch, value), Kind::Union(branches)) => {
            let of = branches.get(*branch as usize).ok_or_else(other)?;
            Value::Union(*branch, from(schema, *of, value)?.into())
        }
        (Theirs::Record(values), Kind::Record(of)) if values.len() == of.fields.len() => {
            let fields = of.fields.iter().zip(values);
            let fields = fields.map(|(field, (name, value))| {
                if *name != field.name {
                    return Err(other().in_field(&field.name));
                }
                from(schema, field.node, value).map_err(|e| e.in_field(&field.name))
            });
            Value::Record(fields.collect::<Result<_, _>>()?)
        }
        _ => return Err(other()),
    })
}
