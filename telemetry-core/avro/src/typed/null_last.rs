//! An `Option` whose union names null last.

use super::def::{Type, null_last};
use super::scalar::other;
use super::{AvroType, Decode, DecodeError, Encode};
use crate::plan::Op;
use crate::wire::Out;
use crate::{Cursor, Datum, OpId};

/// A field with `#[avro(null_last)]`, as the derive writes and reads it.
#[doc(hidden)]
#[derive(Debug)]
pub struct NullLast<T>(pub Option<T>);

impl<T: Encode> NullLast<T> {
    #[inline]
    pub fn bound(option: &Option<T>) -> usize {
        1 + option.as_ref().map_or(0, T::bound)
    }

    #[inline]
    pub fn put(option: &Option<T>, out: &mut Out<'_>) {
        match option {
            // Branches 1 and 0 of [T, "null"], zig-zag encoded.
            None => out.byte(2),
            Some(value) => {
                out.byte(0);
                value.put(out);
            }
        }
    }
}

impl<T: AvroType> AvroType for NullLast<T> {
    const TYPE: &'static Type = &null_last(T::TYPE);
    const REFERENCE: &'static Type = &null_last(T::REFERENCE);
    const MIN_LEN: usize = 1;
}

impl<'a, T: Decode<'a>> Decode<'a> for NullLast<T> {
    #[inline]
    fn read(datum: &mut Datum<'a>) -> Result<Self, DecodeError> {
        match datum.branch(2)? {
            0 => T::read(datum).map(|value| Self(Some(value))),
            _ => Ok(Self(None)),
        }
    }

    fn resolve(cursor: &mut Cursor<'a, 'a>, op: OpId) -> Result<Self, DecodeError> {
        match cursor.settle(op)? {
            Op::Wrap { branch: 0, then } => cursor.take(*then).map(|value| Self(Some(value))),
            // Only null resolves to null, and takes no bytes.
            Op::Wrap { .. } => Ok(Self(None)),
            _ => Err(other("a nullable type")),
        }
    }
}
