//! `Serialize` to a value of a schema, and a value of a schema to any format.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_core::ser::{self, Impossible, Serialize, SerializeMap as _, SerializeSeq as _};
use uuid::Uuid;

use super::{NamedValue, is_called};
use crate::plan::field_default;
use crate::{Kind, Node, NodeId, Primitive, RecordType, Schema, Value, ValueError};

/// An item of a sequence of bytes.
static BYTE: Node = Node {
    kind: Kind::Primitive(Primitive::Int),
    logical: None,
    decimal: None,
};

/// The key of a map.
static KEY: Node = Node {
    kind: Kind::Primitive(Primitive::String),
    logical: None,
    decimal: None,
};

/// Makes a value of one type of a schema.
#[derive(Clone, Copy)]
pub(super) struct Serializer<'s> {
    schema: &'s Schema,
    node: &'s Node,
}

/// The type that was chosen for a value, and which branch of a union it is.
struct Chosen<'s> {
    schema: &'s Schema,
    node: &'s Node,
    branch: Option<u32>,
}

impl<'s> Serializer<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        Self {
            schema,
            node: schema.root(),
        }
    }

    fn at(schema: &'s Schema, node: NodeId) -> Self {
        let node = schema.node(node);
        Self { schema, node }
    }

    /// Chooses the type that fits best, by a rank of which less is better; the first of equals.
    fn choose(
        self,
        what: &dyn core::fmt::Display,
        rank: impl Fn(&Node) -> Option<u8>,
    ) -> Result<Chosen<'s>, ValueError> {
        let Self { schema, node } = self;
        let no = || {
            let ty = node.kind.branch_name();
            ValueError::new(format!("{what} does not fit into {ty}"))
        };
        let Kind::Union(branches) = &node.kind else {
            rank(node).ok_or_else(no)?;
            return Ok(Chosen {
                schema,
                node,
                branch: None,
            });
        };
        let ranked = (0..).zip(branches).filter_map(|(i, &branch)| {
            let node = schema.node(branch);
            Some((rank(node)?, i, node))
        });
        let (_, i, node) = ranked.min_by_key(|(rank, ..)| *rank).ok_or_else(no)?;
        Ok(Chosen {
            schema,
            node,
            branch: Some(i),
        })
    }

    fn whole(self, v: i128, is_long: bool) -> Result<Value, ValueError> {
        let (int, long) = (i32::try_from(v).ok(), i64::try_from(v).ok());
        let chosen = self.choose(&format_args!("the number {v}"), |node| match node.kind {
            Kind::Primitive(Primitive::Int) => int.map(|_| u8::from(is_long)),
            Kind::Primitive(Primitive::Long) => long.map(|_| u8::from(!is_long)),
            Kind::Primitive(Primitive::Double) => (v as f64 as i128 == v).then_some(2),
            Kind::Primitive(Primitive::Float) => (v as f32 as i128 == v).then_some(3),
            _ => None,
        })?;
        Ok(match chosen.node.kind {
            Kind::Primitive(Primitive::Int) => chosen.wrap(Value::Int(int.unwrap_or_default())),
            Kind::Primitive(Primitive::Long) => chosen.wrap(Value::Long(long.unwrap_or_default())),
            Kind::Primitive(Primitive::Float) => chosen.wrap(Value::Float(v as f32)),
            _ => chosen.wrap(Value::Double(v as f64)),
        })
    }

    fn null(self, what: &'static str) -> Result<Value, ValueError> {
        let chosen = self.choose(&what, |node| match node.kind {
            Kind::Primitive(Primitive::Null) => Some(0),
            _ => None,
        })?;
        Ok(chosen.wrap(Value::Null))
    }

    /// The type that a variant of a Rust enum is called.
    fn variant(self, variant: &'static str) -> Result<Chosen<'s>, ValueError> {
        self.choose(&format_args!("the variant `{variant}`"), |node| {
            is_called(&node.kind, variant).then_some(0)
        })
    }

    fn items(self, what: &'static str) -> Result<Items<'s>, ValueError> {
        let chosen = self.choose(&what, |node| match node.kind {
            Kind::Array(_) => Some(0),
            Kind::Primitive(Primitive::Bytes) => Some(1),
            Kind::Fixed(_) => Some(2),
            _ => None,
        })?;
        let values = Vec::new();
        Ok(Items { chosen, values })
    }

    /// The record of a struct, or the map.
    fn pairs(self, name: Option<&'static str>) -> Result<Pairs<'s>, ValueError> {
        let chosen = self.choose(&"a struct or a map", |node| match (&node.kind, name) {
            (Kind::Record(_), Some(name)) if is_called(&node.kind, name) => Some(0),
            (Kind::Record(_), Some(_)) | (Kind::Map(_), None) => Some(1),
            (Kind::Record(_), None) | (Kind::Map(_), Some(_)) => Some(2),
            _ => None,
        })?;
        Ok(Pairs::new(chosen))
    }
}

impl<'s> Chosen<'s> {
    fn wrap(&self, value: Value) -> Value {
        match self.branch {
            Some(branch) => Value::Union(branch, Box::new(value)),
            None => value,
        }
    }

    fn serializer(&self) -> Serializer<'s> {
        Serializer {
            schema: self.schema,
            node: self.node,
        }
    }
}

fn is_uuid(node: &Node) -> bool {
    let sized = matches!(&node.kind, Kind::Fixed(fixed) if fixed.size == 16);
    sized && node.logical.as_deref() == Some("uuid")
}

fn symbol(kind: &Kind, text: &str) -> Option<u32> {
    let Kind::Enum(e) = kind else {
        return None;
    };
    (0..)
        .zip(&e.symbols)
        .find_map(|(i, s)| (s == text).then_some(i))
}

impl<'s> ser::Serializer for Serializer<'s> {
    type Ok = Value;
    type Error = ValueError;
    type SerializeSeq = Items<'s>;
    type SerializeTuple = Items<'s>;
    type SerializeTupleStruct = Items<'s>;
    type SerializeTupleVariant = Impossible<Value, ValueError>;
    type SerializeMap = Pairs<'s>;
    type SerializeStruct = Pairs<'s>;
    type SerializeStructVariant = Variant<'s>;

    fn serialize_bool(self, v: bool) -> Result<Value, ValueError> {
        let chosen = self.choose(&"a boolean", |node| match node.kind {
            Kind::Primitive(Primitive::Boolean) => Some(0),
            _ => None,
        })?;
        Ok(chosen.wrap(Value::Boolean(v)))
    }

    fn serialize_i8(self, v: i8) -> Result<Value, ValueError> {
        self.whole(v.into(), false)
    }

    fn serialize_i16(self, v: i16) -> Result<Value, ValueError> {
        self.whole(v.into(), false)
    }

    fn serialize_i32(self, v: i32) -> Result<Value, ValueError> {
        self.whole(v.into(), false)
    }

    fn serialize_i64(self, v: i64) -> Result<Value, ValueError> {
        self.whole(v.into(), true)
    }

    fn serialize_i128(self, v: i128) -> Result<Value, ValueError> {
        self.whole(v, true)
    }

    fn serialize_u8(self, v: u8) -> Result<Value, ValueError> {
        self.whole(v.into(), false)
    }

    fn serialize_u16(self, v: u16) -> Result<Value, ValueError> {
        self.whole(v.into(), false)
    }

    fn serialize_u32(self, v: u32) -> Result<Value, ValueError> {
        self.whole(v.into(), true)
    }

    fn serialize_u64(self, v: u64) -> Result<Value, ValueError> {
        self.whole(v.into(), true)
    }

    fn serialize_f32(self, v: f32) -> Result<Value, ValueError> {
        let chosen = self.choose(&"a number", |node| match node.kind {
            Kind::Primitive(Primitive::Float) => Some(0),
            Kind::Primitive(Primitive::Double) => Some(1),
            _ => None,
        })?;
        Ok(chosen.wrap(match chosen.node.kind {
            Kind::Primitive(Primitive::Float) => Value::Float(v),
            _ => Value::Double(v.into()),
        }))
    }

    fn serialize_f64(self, v: f64) -> Result<Value, ValueError> {
        let narrow = v as f32;
        let is_exact = v.is_nan() || f64::from(narrow).to_bits() == v.to_bits();
        let chosen = self.choose(&format_args!("the number {v}"), |node| match node.kind {
            Kind::Primitive(Primitive::Double) => Some(0),
            Kind::Primitive(Primitive::Float) => is_exact.then_some(1),
            _ => None,
        })?;
        Ok(chosen.wrap(match chosen.node.kind {
            Kind::Primitive(Primitive::Float) => Value::Float(narrow),
            _ => Value::Double(v),
        }))
    }

    fn serialize_char(self, v: char) -> Result<Value, ValueError> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<Value, ValueError> {
        let uuid = |node: &Node| is_uuid(node).then(|| Uuid::try_parse(v).ok()).flatten();
        let chosen = self.choose(&"this text", |node| match &node.kind {
            Kind::Primitive(Primitive::String) => Some(0),
            Kind::Enum(_) => symbol(&node.kind, v).map(|_| 1),
            _ => uuid(node).map(|_| 2),
        })?;
        Ok(
            chosen.wrap(match (symbol(&chosen.node.kind, v), uuid(chosen.node)) {
                (Some(symbol), _) => Value::Enum(symbol),
                (_, Some(uuid)) => Value::Fixed(uuid.as_bytes().to_vec()),
                _ => Value::String(v.to_owned()),
            }),
        )
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Value, ValueError> {
        let chosen = self.choose(&format_args!("{} bytes", v.len()), |node| {
            match &node.kind {
                Kind::Primitive(Primitive::Bytes) => Some(0),
                Kind::Fixed(fixed) if fixed.size as usize == v.len() => Some(1),
                _ => None,
            }
        })?;
        Ok(chosen.wrap(match chosen.node.kind {
            Kind::Fixed(_) => Value::Fixed(v.to_vec()),
            _ => Value::Bytes(v.to_vec()),
        }))
    }

    fn serialize_none(self) -> Result<Value, ValueError> {
        self.null("no value")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ValueError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, ValueError> {
        self.null("no value")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<Value, ValueError> {
        match self.null("a struct without fields") {
            Ok(value) => Ok(value),
            Err(_) => self.pairs(Some(name))?.finish(),
        }
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Value, ValueError> {
        let what = format_args!("the variant `{variant}`");
        let chosen = self.choose(&what, |node| match &node.kind {
            Kind::Enum(_) => symbol(&node.kind, variant).map(|_| 0),
            Kind::Primitive(Primitive::String) => Some(2),
            kind => is_called(kind, variant).then_some(1),
        })?;
        match &chosen.node.kind {
            Kind::Enum(_) => {
                let symbol = symbol(&chosen.node.kind, variant);
                Ok(chosen.wrap(Value::Enum(symbol.unwrap_or_default())))
            }
            Kind::Primitive(Primitive::Null) => Ok(chosen.wrap(Value::Null)),
            Kind::Record(_) => Pairs::new(chosen).finish(),
            Kind::Primitive(Primitive::String) => {
                Ok(chosen.wrap(Value::String(variant.to_owned())))
            }
            kind => Err(ValueError::new(format!(
                "the variant `{variant}` has no value, which {} needs",
                kind.branch_name()
            ))),
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Value, ValueError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, ValueError> {
        let chosen = self.variant(variant)?;
        Ok(chosen.wrap(value.serialize(chosen.serializer())?))
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Items<'s>, ValueError> {
        self.items("a sequence")
    }

    fn serialize_tuple(self, _len: usize) -> Result<Items<'s>, ValueError> {
        self.items("a tuple")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'s>, ValueError> {
        self.items("a tuple")
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleVariant, ValueError> {
        Err(ValueError::new(format!(
            "the variant `{variant}` has values without names: give it fields, or one struct"
        )))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Pairs<'s>, ValueError> {
        self.pairs(None)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Pairs<'s>, ValueError> {
        self.pairs(Some(name))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Variant<'s>, ValueError> {
        let chosen = self.variant(variant)?;
        match chosen.node.kind {
            Kind::Record(_) | Kind::Map(_) => Ok(Variant(Pairs::new(chosen))),
            _ => Err(ValueError::other(&chosen.node.kind)),
        }
    }
}

/// The items of a sequence.
pub(super) struct Items<'s> {
    chosen: Chosen<'s>,
    values: Vec<Value>,
}

impl Items<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ValueError> {
        let schema = self.chosen.schema;
        let serializer = match self.chosen.node.kind {
            Kind::Array(items) => Serializer::at(schema, items),
            _ => Serializer {
                schema,
                node: &BYTE,
            },
        };
        let value = item.serialize(serializer);
        self.values.push(value.map_err(|e| e.within("[]"))?);
        Ok(())
    }

    fn finish(self) -> Result<Value, ValueError> {
        let bytes = || {
            let bytes = self.values.iter().map(|value| match value {
                Value::Int(v) => u8::try_from(*v).ok(),
                _ => None,
            });
            let bytes: Option<Vec<u8>> = bytes.collect();
            bytes.ok_or_else(|| ValueError::new("an item is no byte").within("[]"))
        };
        let value = match &self.chosen.node.kind {
            Kind::Array(_) => return Ok(self.chosen.wrap(Value::Array(self.values))),
            Kind::Fixed(fixed) => {
                let (len, size) = (self.values.len(), fixed.size);
                if len != size as usize {
                    let reason = format!("{len} bytes do not fit into a fixed of {size}");
                    return Err(ValueError::new(reason));
                }
                Value::Fixed(bytes()?)
            }
            _ => Value::Bytes(bytes()?),
        };
        Ok(self.chosen.wrap(value))
    }
}

macro_rules! items {
    ($($serialize:ident, $part:ident;)*) => {
        $(
            impl ser::$serialize for Items<'_> {
                type Ok = Value;
                type Error = ValueError;

                fn $part<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ValueError> {
                    self.push(item)
                }

                fn end(self) -> Result<Value, ValueError> {
                    self.finish()
                }
            }
        )*
    };
}

items! {
    SerializeSeq, serialize_element;
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
}

/// The fields of a record, or the pairs of a map.
pub(super) struct Pairs<'s> {
    chosen: Chosen<'s>,
    /// By the fields of the record; empty for a map.
    fields: Vec<Option<Value>>,
    pairs: Vec<(String, Value)>,
    /// The key that waits for its value.
    key: String,
}

impl<'s> Pairs<'s> {
    fn new(chosen: Chosen<'s>) -> Self {
        let mut fields = Vec::new();
        if let Kind::Record(record) = &chosen.node.kind {
            fields.resize(record.fields.len(), None);
        }
        Self {
            chosen,
            fields,
            pairs: Vec::new(),
            key: String::new(),
        }
    }

    fn record(&self) -> Option<&'s RecordType> {
        match &self.chosen.node.kind {
            Kind::Record(record) => Some(record),
            _ => None,
        }
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), ValueError> {
        let schema = self.chosen.schema;
        match &self.chosen.node.kind {
            Kind::Record(record) => {
                let found = record.fields.iter().position(|f| f.name == name);
                let Some(i) = found else {
                    let reason = format!("`{}` has no field `{name}`", record.name);
                    return Err(ValueError::new(reason));
                };
                let value = value.serialize(Serializer::at(schema, record.fields[i].node));
                self.fields[i] = Some(value.map_err(|e| e.in_field(name))?);
            }
            Kind::Map(values) => {
                let value = value.serialize(Serializer::at(schema, *values));
                self.pairs
                    .push((name.to_owned(), value.map_err(|e| e.within("{}"))?));
            }
            kind => return Err(ValueError::other(kind)),
        }
        Ok(())
    }

    fn finish(self) -> Result<Value, ValueError> {
        let Some(record) = self.record() else {
            return Ok(self.chosen.wrap(Value::Map(self.pairs)));
        };
        let schema = self.chosen.schema;
        let fields = record.fields.iter().zip(self.fields);
        let values = fields.map(|(field, value)| {
            value
                .or_else(|| field_default(schema, field))
                .ok_or_else(|| {
                    ValueError::new("the field is missing, and has no default")
                        .in_field(&field.name)
                })
        });
        let values = values.collect::<Result<_, _>>()?;
        Ok(self.chosen.wrap(Value::Record(values)))
    }
}

impl ser::SerializeMap for Pairs<'_> {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        let schema = self.chosen.schema;
        let key = key.serialize(Serializer { schema, node: &KEY })?;
        if let Value::String(key) = key {
            self.key = key;
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let key = core::mem::take(&mut self.key);
        self.field(&key, value)
    }

    fn end(self) -> Result<Value, ValueError> {
        self.finish()
    }
}

impl ser::SerializeStruct for Pairs<'_> {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.field(name, value)
    }

    fn end(self) -> Result<Value, ValueError> {
        self.finish()
    }
}

/// The fields of a variant.
pub(super) struct Variant<'s>(Pairs<'s>);

impl ser::SerializeStructVariant for Variant<'_> {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.0.field(name, value)
    }

    fn end(self) -> Result<Value, ValueError> {
        self.0.finish()
    }
}

impl Serialize for NamedValue<'_> {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let none = || <S::Error as ser::Error>::custom(ValueError::other(self.kind()));
        match (self.value, self.kind()) {
            (Value::Null, _) => serializer.serialize_unit(),
            (Value::Boolean(v), _) => serializer.serialize_bool(*v),
            (Value::Int(v), _) => serializer.serialize_i32(*v),
            (Value::Long(v), _) => serializer.serialize_i64(*v),
            (Value::Float(v), _) => serializer.serialize_f32(*v),
            (Value::Double(v), _) => serializer.serialize_f64(*v),
            (Value::Bytes(v) | Value::Fixed(v), _) => serializer.serialize_bytes(v),
            (Value::String(v), _) => serializer.serialize_str(v),
            (Value::Enum(i), Kind::Enum(e)) => {
                let symbol = e.symbols.get(*i as usize).ok_or_else(none)?;
                serializer.serialize_str(symbol)
            }
            (Value::Array(items), Kind::Array(of)) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&self.part(*of, item))?;
                }
                seq.end()
            }
            (Value::Map(pairs), Kind::Map(of)) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(key, &self.part(*of, value))?;
                }
                map.end()
            }
            (Value::Union(i, value), Kind::Union(branches)) => {
                let branch = branches.get(*i as usize).ok_or_else(none)?;
                self.part(*branch, value).serialize(serializer)
            }
            (Value::Record(values), Kind::Record(record))
                if values.len() == record.fields.len() =>
            {
                let mut map = serializer.serialize_map(Some(values.len()))?;
                for (field, value) in record.fields.iter().zip(values) {
                    map.serialize_entry(&field.name, &self.part(field.node, value))?;
                }
                map.end()
            }
            _ => Err(none()),
        }
    }
}
