//! Rust types as Avro types: what the derives implement, and what they build on.

mod collections;
mod def;
mod named;
mod null_last;
mod scalar;
mod text;
mod view;

use alloc::vec::Vec;

use crate::wire::Out;
use crate::{Cursor, Datum, OpId};

pub use crate::plan::DecodeError;
pub use def::{FieldDef, Json, Logical, Named, Type};
#[doc(hidden)]
pub use null_last::NullLast;
#[cfg(feature = "std")]
pub(crate) use text::SCHEMA_BYTES_MAX;
pub(crate) use text::{canonical, schema};
pub use view::{Entries, EntriesIter, Items, ItemsIter};

/// What the derives' output names: checks that run at compile time.
#[doc(hidden)]
pub mod check {
    pub use super::def::{
        check as field, check_logical as logical, check_newtype as newtype, nullable, union,
    };
}

/// A Rust type that stands for an Avro type.
///
/// | Rust | Avro |
/// |---|---|
/// | `()`, `bool`, `i32`, `i64`, `f32`, `f64` | `null`, `boolean`, `int`, `long`, `float`, `double` |
/// | `String`, `&str`, `Cow<str>` | `string` |
/// | `Vec<u8>`, `&[u8]`, `Cow<[u8]>` | `bytes` |
/// | [`Timestamp`](crate::Timestamp), [`Uuid`](crate::Uuid) | `long` as `timestamp-micros`, `string` as `uuid` |
/// | `[u8; N]` | a `fixed` named `fixed_N`; `struct Md5([u8; 16])` has a name of its own |
/// | `Option<T>` | `["null", T]`; `[T, "null"]` in a field with `#[avro(null_last)]` |
/// | `Vec<T>`, `BTreeMap<String, T>` | `array`, `map` |
/// | [`Items<T>`], [`Entries<T>`] | the same, read when they are walked |
/// | `Box<T>` | T |
/// | a struct with `#[derive(AvroRecord)]` | `record` |
/// | an enum with `#[derive(AvroType)]` | `enum`; a union if its variants hold values |
///
/// Borrowed types borrow from the datum.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no Avro type",
    label = "no Avro type",
    note = "Avro has bool, i32, i64, f32, f64, String, Vec<u8>, [u8; N], Option, Vec, BTreeMap<String, _> and Timestamp",
    note = "a struct needs #[derive(AvroRecord)], an enum or a newtype #[derive(AvroType)]"
)]
pub trait AvroType {
    /// Its Avro type.
    const TYPE: &'static Type;

    /// Its Avro type with named types by their names alone: what a recursive field holds.
    const REFERENCE: &'static Type = Self::TYPE;

    /// The least bytes it takes on the wire.
    const MIN_LEN: usize;
}

/// A type whose values are written as datums.
pub trait Encode: AvroType {
    /// An upper bound of the encoded length in bytes.
    fn bound(&self) -> usize;

    /// Appends the value.
    fn put(&self, out: &mut Out<'_>);

    /// Appends values that follow each other.
    #[doc(hidden)]
    #[inline]
    fn put_items(items: &[Self], out: &mut Out<'_>)
    where
        Self: Sized,
    {
        for item in items {
            item.put(out);
        }
    }
}

/// A type whose values are read from datums, from which they may borrow.
pub trait Decode<'a>: AvroType + Sized {
    /// Reads a value that was written as this type.
    fn read(datum: &mut Datum<'a>) -> Result<Self, DecodeError>;

    /// Reads a value that `op` of a plan resolves to this type.
    fn resolve(cursor: &mut Cursor<'a, 'a>, op: OpId) -> Result<Self, DecodeError>;

    /// Reads values that follow each other; their count is checked against what is left.
    #[doc(hidden)]
    #[inline]
    fn read_items(
        datum: &mut Datum<'a>,
        count: usize,
        items: &mut Vec<Self>,
    ) -> Result<(), DecodeError> {
        for left in (1..=count).rev() {
            make_room(items, left);
            items.push(Self::read(datum)?);
        }
        Ok(())
    }

    /// Reads values that follow each other and drops them.
    #[doc(hidden)]
    #[inline]
    fn pass_items(datum: &mut Datum<'a>, count: usize) -> Result<(), DecodeError> {
        for _ in 0..count {
            Self::read(datum)?;
        }
        Ok(())
    }
}

/// Makes room for an item where there is none, and for some of the `left` ones of its block.
///
/// A count is only a claim, and claims nest, so room for more than a few is made only after as many
/// were read; and never for more than are left, so that little stays unused. Small blocks behind each
/// other still grow by a part, so that copying costs a constant for each item.
#[inline]
pub(crate) fn make_room<T>(items: &mut Vec<T>, left: usize) {
    /// Items for which room is made before the first is read.
    const FIRST: usize = 16;
    let len = items.len();
    if len == items.capacity() {
        items.reserve_exact(left.min(len.max(FIRST)).max(len / 8));
    }
}
