//! Types that hold others.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::def::{Type, nullable};
use super::scalar::other;
use super::{AvroType, Decode, DecodeError, Encode, make_room};
use crate::plan::Op;
use crate::wire::{Out, VARINT_LEN_MAX};
use crate::{Cursor, Datum, OpId};

impl<T: AvroType> AvroType for Box<T> {
    const TYPE: &'static Type = T::TYPE;
    const REFERENCE: &'static Type = T::REFERENCE;
    const MIN_LEN: usize = T::MIN_LEN;
}

impl<T: Encode> Encode for Box<T> {
    #[inline]
    fn bound(&self) -> usize {
        T::bound(self)
    }

    #[inline]
    fn put(&self, out: &mut Out<'_>) {
        T::put(self, out);
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Box<T> {
    fn read(datum: &mut Datum<'a>) -> Result<Self, DecodeError> {
        T::read(datum).map(Box::new)
    }

    fn resolve(cursor: &mut Cursor<'a, 'a>, op: OpId) -> Result<Self, DecodeError> {
        T::resolve(cursor, op).map(Box::new)
    }
}

impl<T: AvroType> AvroType for Option<T> {
    const TYPE: &'static Type = &nullable(T::TYPE);
    const REFERENCE: &'static Type = &nullable(T::REFERENCE);
    const MIN_LEN: usize = 1;
}

impl<T: Encode> Encode for Option<T> {
    #[inline]
    fn bound(&self) -> usize {
        1 + self.as_ref().map_or(0, T::bound)
    }

    #[inline]
    fn put(&self, out: &mut Out<'_>) {
        match self {
            None => out.byte(0),
            Some(value) => {
                // Branch 1 of ["null", T], zig-zag encoded.
                out.byte(2);
                value.put(out);
            }
        }
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Option<T> {
    #[inline(always)]
    fn read(datum: &mut Datum<'a>) -> Result<Self, DecodeError> {
        match datum.branch(2)? {
            0 => Ok(None),
            _ => T::read(datum).map(Some),
        }
    }

    fn resolve(cursor: &mut Cursor<'a, 'a>, op: OpId) -> Result<Self, DecodeError> {
        match cursor.settle(op)? {
            // Only null resolves to null, and takes no bytes.
            Op::Wrap { branch: 0, .. } => Ok(None),
            Op::Wrap { then, .. } => cursor.take(*then).map(Some),
            _ => Err(other("a nullable type")),
        }
    }
}

impl<T: AvroType> AvroType for Vec<T> {
    const TYPE: &'static Type = &Type::Array(T::TYPE);
    const REFERENCE: &'static Type = &Type::Array(T::REFERENCE);
    const MIN_LEN: usize = 1;
}

impl<T: Encode> Encode for Vec<T> {
    #[inline]
    fn bound(&self) -> usize {
        VARINT_LEN_MAX + 1 + self.iter().map(T::bound).sum::<usize>()
    }

    #[inline]
    fn put(&self, out: &mut Out<'_>) {
        if !self.is_empty() {
            out.long(self.len() as i64);
            T::put_items(self, out);
        }
        out.byte(0);
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    #[inline]
    fn read(datum: &mut Datum<'a>) -> Result<Self, DecodeError> {
        let mut items = Self::new();
        datum.enter()?;
        while let Some(block) = datum.block(T::MIN_LEN)? {
            T::read_items(datum, block.count, &mut items)?;
            datum.close(&block)?;
        }
        datum.leave();
        Ok(items)
    }

    fn resolve(cursor: &mut Cursor<'a, 'a>, op: OpId) -> Result<Self, DecodeError> {
        let Op::Array { item, min } = cursor.settle(op)? else {
            return Err(other("array"));
        };
        let same = cursor.plan.same(*item);
        let mut items = Self::new();
        cursor.datum.enter()?;
        while let Some(block) = cursor.datum.block(*min as usize)? {
            if same {
                T::read_items(&mut cursor.datum, block.count, &mut items)?;
            } else {
                for left in (1..=block.count).rev() {
                    make_room(&mut items, left);
                    items.push(T::resolve(cursor, *item)?);
                }
            }
            cursor.datum.close(&block)?;
        }
        cursor.datum.leave();
        Ok(items)
    }
}

impl<K: AvroType, V: AvroType> AvroType for BTreeMap<K, V> {
    const TYPE: &'static Type = &map::<K>(V::TYPE);
    const REFERENCE: &'static Type = &map::<K>(V::REFERENCE);
    const MIN_LEN: usize = 1;
}

/// A map whose keys are `K`.
const fn map<K: AvroType>(values: &'static Type) -> Type {
    assert!(
        K::TYPE.is_string(),
        "the keys of a map are String, &str or Cow<str>"
    );
    Type::Map(values)
}

impl<K: Encode, V: Encode> Encode for BTreeMap<K, V> {
    #[inline]
    fn bound(&self) -> usize {
        let pairs = self.iter().map(|(key, value)| key.bound() + value.bound());
        VARINT_LEN_MAX + 1 + pairs.sum::<usize>()
    }

    #[inline]
    fn put(&self, out: &mut Out<'_>) {
        if !self.is_empty() {
            out.long(self.len() as i64);
            for (key, value) in self {
                key.put(out);
                value.put(out);
            }
        }
        out.byte(0);
    }
}

/// A key that is there twice keeps its last value.
impl<'a, K: Decode<'a> + Ord, V: Decode<'a>> Decode<'a> for BTreeMap<K, V> {
    #[inline]
    fn read(datum: &mut Datum<'a>) -> Result<Self, DecodeError> {
        let mut pairs = Self::new();
        datum.enter()?;
        while let Some(block) = datum.block(K::MIN_LEN + V::MIN_LEN)? {
            for _ in 0..block.count {
                let key = K::read(datum)?;
                pairs.insert(key, V::read(datum)?);
            }
            datum.close(&block)?;
        }
        datum.leave();
        Ok(pairs)
    }

    fn resolve(cursor: &mut Cursor<'a, 'a>, op: OpId) -> Result<Self, DecodeError> {
        let Op::Map { value, min } = cursor.settle(op)? else {
            return Err(other("map"));
        };
        let mut pairs = Self::new();
        cursor.datum.enter()?;
        while let Some(block) = cursor.datum.block(*min as usize)? {
            for _ in 0..block.count {
                let key = K::read(&mut cursor.datum)?;
                pairs.insert(key, cursor.take(*value)?);
            }
            cursor.datum.close(&block)?;
        }
        cursor.datum.leave();
        Ok(pairs)
    }
}
