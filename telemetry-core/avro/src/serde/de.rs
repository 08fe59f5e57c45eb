//! A value of a schema to `Deserialize`.

use alloc::format;
use core::slice;

use serde_core::de::value::{StrDeserializer, U8Deserializer};
use serde_core::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde_core::forward_to_deserialize_any;

use super::{NamedValue, is_called};
use crate::{Field, Kind, Value, ValueError};

impl<'de> NamedValue<'de> {
    /// What a union holds; anything else is itself.
    fn shown(self) -> Result<Self, ValueError> {
        match (self.value, self.kind()) {
            (Value::Union(i, value), Kind::Union(branches)) => {
                let branch = branches.get(*i as usize);
                let branch = branch.ok_or_else(|| ValueError::other(self.kind()))?;
                Ok(self.part(*branch, value))
            }
            _ => Ok(self),
        }
    }

    fn symbol(&self) -> Option<&'de str> {
        match (self.value, self.kind()) {
            (Value::Enum(i), Kind::Enum(e)) => e.symbols.get(*i as usize).map(|s| s.as_str()),
            (Value::String(text), _) => Some(text),
            _ => None,
        }
    }

    /// A whole number, also where a `float` or `double` holds it.
    fn whole<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        let part = match self.shown()?.value {
            Value::Float(v) => f64::from(*v),
            Value::Double(v) => *v,
            _ => return self.deserialize_any(visitor),
        };
        let whole = part as i64;
        match whole as f64 == part && whole != i64::MAX {
            true => visitor.visit_i64(whole),
            false => self.deserialize_any(visitor),
        }
    }

    fn items<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match (self.value, self.kind()) {
            (Value::Array(items), Kind::Array(_)) => visitor.visit_seq(Items {
                of: self,
                items: items.iter(),
            }),
            (Value::Bytes(bytes) | Value::Fixed(bytes), _) => {
                visitor.visit_seq(Bytes(bytes.iter()))
            }
            _ => self.deserialize_any(visitor),
        }
    }
}

macro_rules! whole_numbers {
    ($($deserialize:ident)*) => {
        $(
            fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
                self.whole(visitor)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for NamedValue<'de> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        let this = self.shown()?;
        match (this.value, this.kind()) {
            (Value::Null, _) => visitor.visit_unit(),
            (Value::Boolean(v), _) => visitor.visit_bool(*v),
            (Value::Int(v), _) => visitor.visit_i32(*v),
            (Value::Long(v), _) => visitor.visit_i64(*v),
            (Value::Float(v), _) => visitor.visit_f32(*v),
            (Value::Double(v), _) => visitor.visit_f64(*v),
            (Value::Bytes(v) | Value::Fixed(v), _) => visitor.visit_borrowed_bytes(v),
            (Value::String(v), _) => visitor.visit_borrowed_str(v),
            (Value::Array(_), Kind::Array(_)) => this.items(visitor),
            (Value::Map(pairs), Kind::Map(_)) => visitor.visit_map(Pairs {
                of: this,
                pairs: pairs.iter(),
                value: None,
            }),
            (Value::Record(values), Kind::Record(record))
                if values.len() == record.fields.len() =>
            {
                visitor.visit_map(Fields {
                    of: this,
                    fields: record.fields.iter().zip(values),
                    value: None,
                })
            }
            _ => match this.symbol() {
                Some(symbol) => visitor.visit_borrowed_str(symbol),
                None => Err(ValueError::other(this.kind())),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.shown()?.value {
            Value::Null => visitor.visit_none(),
            // The union still says which branch it is.
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match self.shown()?.value {
            Value::Record(fields) if fields.is_empty() => visitor.visit_unit(),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.shown()?.items(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.shown()?.items(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.shown()?.items(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let this = self.shown()?;
        let variant = match this.symbol() {
            Some(symbol) if variants.contains(&symbol) => symbol,
            symbol => {
                let called = variants
                    .iter()
                    .find(|variant| is_called(this.kind(), variant));
                let found = called.copied().or(symbol);
                found.unwrap_or_else(|| this.kind().branch_name())
            }
        };
        visitor.visit_enum(Variant {
            variant,
            value: this,
        })
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit map struct identifier ignored_any
    }
}

struct Items<'de> {
    of: NamedValue<'de>,
    items: slice::Iter<'de, Value>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ValueError> {
        let (Some(item), Kind::Array(of)) = (self.items.next(), self.of.kind()) else {
            return Ok(None);
        };
        let item = seed.deserialize(self.of.part(*of, item));
        item.map(Some).map_err(|e| e.within("[]"))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Bytes<'de>(slice::Iter<'de, u8>);

impl<'de> SeqAccess<'de> for Bytes<'de> {
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ValueError> {
        let byte = self.0.next().map(|byte| (*byte).into_deserializer());
        byte.map(|byte: U8Deserializer<ValueError>| seed.deserialize(byte))
            .transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Pairs<'de> {
    of: NamedValue<'de>,
    pairs: slice::Iter<'de, (alloc::string::String, Value)>,
    value: Option<&'de Value>,
}

impl<'de> MapAccess<'de> for Pairs<'de> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ValueError> {
        let Some((key, value)) = self.pairs.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ValueError> {
        match (self.value.take(), self.of.kind()) {
            (Some(value), Kind::Map(of)) => seed
                .deserialize(self.of.part(*of, value))
                .map_err(|e| e.within("{}")),
            (_, kind) => Err(ValueError::other(kind)),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.pairs.len())
    }
}

struct Fields<'de> {
    of: NamedValue<'de>,
    fields: core::iter::Zip<slice::Iter<'de, Field>, slice::Iter<'de, Value>>,
    value: Option<(&'de Field, &'de Value)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ValueError> {
        self.value = self.fields.next();
        let name = self.value.map(|(field, _)| field.name.as_str());
        name.map(|name| seed.deserialize(de::value::BorrowedStrDeserializer::new(name)))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ValueError> {
        match self.value.take() {
            Some((field, value)) => seed
                .deserialize(self.of.part(field.node, value))
                .map_err(|e| e.in_field(&field.name)),
            None => Err(ValueError::other(self.of.kind())),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

struct Variant<'de> {
    variant: &'de str,
    value: NamedValue<'de>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = ValueError;
    type Variant = NamedValue<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, NamedValue<'de>), ValueError> {
        let variant: StrDeserializer<'_, ValueError> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self.value))
    }
}

impl<'de> VariantAccess<'de> for NamedValue<'de> {
    type Error = ValueError;

    fn unit_variant(self) -> Result<(), ValueError> {
        match self.value {
            Value::Null | Value::Enum(_) | Value::String(_) => Ok(()),
            Value::Record(fields) if fields.is_empty() => Ok(()),
            _ => Err(ValueError::new(format!(
                "a variant without a value is not {}",
                self.kind().branch_name()
            ))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, ValueError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.items(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.deserialize_any(visitor)
    }
}
