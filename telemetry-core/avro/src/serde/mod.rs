//! Types of the crate `serde` as Avro values, and Avro values as types of `serde` (feature `serde`).
//!
//! Derived records ([`AvroRecord`](crate::AvroRecord)) are many times faster and know their schema.
//! This module is for types that implement `Serialize` and `Deserialize` already, for JSON and other
//! formats of `serde`, and for schemas that are known only at run time.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use telemetry_avro::serde::{from_value, to_value};
//! use telemetry_avro::{Plan, Schema, wire::Reader};
//!
//! #[derive(Serialize, Deserialize, Debug, PartialEq)]
//! struct Beat {
//!     bpm: f64,
//!     source: Option<String>,
//! }
//!
//! let schema = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
//!     {"name":"bpm","type":"double"},
//!     {"name":"source","type":["null","string"]}]}"#)?;
//! let beat = Beat { bpm: 65.0, source: Some("strap".into()) };
//! let mut datum = Vec::new();
//! to_value(&beat, &schema)?.put(&mut datum);
//!
//! let plan = Plan::compile(&schema, &schema)?;
//! let value = plan.value(&mut Reader::new(&datum))?;
//! assert_eq!(from_value::<Beat>(&value, &schema)?, beat);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | `serde` | Avro |
//! |---|---|
//! | a struct, or a map with text keys | `record` by names of fields, or `map`; a field that is left out takes its default |
//! | a unit variant | a symbol of an `enum` by its name, or `string` |
//! | a variant with one value | the branch of a union with its name: the last part of a named type's, or a primitive's in any case |
//! | an untagged value | the first branch of a union that fits it best |
//! | `None`, `()` | `null` |
//! | a whole number | `int` or `long`, whichever is nearer to its type and holds it; a `float` or `double` that holds it exactly |
//! | `f32`, `f64` | `float` or `double`, which holds it exactly |
//! | text | `string`, a symbol of an `enum`; a UUID also a `fixed` of 16 bytes that is one |
//! | bytes, a sequence of `u8` | `bytes`, a `fixed` of as many bytes, `array` |
//!
//! A type that looks at `is_human_readable` is told yes: it gives text, which is what a schema has for
//! a UUID or an address.

mod de;
mod ser;

use alloc::string::ToString as _;
use core::fmt;

use serde_core::de::Deserialize;
use serde_core::ser::Serialize;

pub use serde_core;

use crate::{Kind, NodeId, Schema, Value, ValueError};

impl serde_core::ser::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

impl serde_core::de::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

/// The value of `schema` that `value` serializes to.
///
/// It satisfies [`Value::check`].
pub fn to_value<T: Serialize + ?Sized>(value: &T, schema: &Schema) -> Result<Value, ValueError> {
    value.serialize(ser::Serializer::new(schema))
}

/// The `T` that a value of `schema` deserializes to; it may borrow text and bytes from the value.
pub fn from_value<'a, T: Deserialize<'a>>(
    value: &'a Value,
    schema: &'a Schema,
) -> Result<T, ValueError> {
    T::deserialize(value.named(schema))
}

/// A value with the names that its schema has: what `serde` serializes and deserializes.
///
/// ```
/// use telemetry_avro::{Schema, Value};
///
/// let schema = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
///     {"name":"bpm","type":["null","int"]}]}"#)?;
/// let beat = Value::Record(vec![Value::Union(1, Box::new(Value::Int(65)))]);
/// assert_eq!(serde_json::to_string(&beat.named(&schema))?, r#"{"bpm":65}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NamedValue<'a> {
    schema: &'a Schema,
    node: NodeId,
    value: &'a Value,
}

impl Value {
    /// The value with the names of `schema`, for a format of `serde`.
    ///
    /// A union shows what it holds; a symbol is text; a record and a map are maps.
    pub const fn named<'a>(&'a self, schema: &'a Schema) -> NamedValue<'a> {
        NamedValue {
            schema,
            node: schema.root_id(),
            value: self,
        }
    }
}

impl<'a> NamedValue<'a> {
    fn kind(&self) -> &'a Kind {
        &self.schema.node(self.node).kind
    }

    /// A part of the value, with its own type.
    const fn part(&self, node: NodeId, value: &'a Value) -> Self {
        let schema = self.schema;
        Self {
            schema,
            node,
            value,
        }
    }
}

/// The last part of a full name.
fn simple(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, simple)| simple)
}

/// Whether a union's branch is what a variant of a Rust enum is called.
fn is_called(branch: &Kind, variant: &str) -> bool {
    match branch.name() {
        Some(name) => name == variant || simple(name) == variant,
        None => branch.branch_name().eq_ignore_ascii_case(variant),
    }
}

#[cfg(test)]
mod tests;
