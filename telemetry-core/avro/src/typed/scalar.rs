//! Types without parts.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;

use uuid::Uuid;

use super::def::{Logical, Named, Type};
use super::{AvroType, Decode, DecodeError, Encode};
use crate::plan::{Op, Promotion, Target};
use crate::wire::{Out, VARINT_LEN_MAX};
use crate::{Cursor, Datum, OpId, Primitive, Timestamp};

#[cold]
pub(super) const fn other(expected: &'static str) -> DecodeError {
    DecodeError::OtherReader { expected }
}

/// How a value that resolves to a type without parts was written.
#[inline(always)]
fn promotion(
    cursor: &mut Cursor<'_, '_>,
    op: OpId,
    to: Primitive,
) -> Result<Promotion, DecodeError> {
    match cursor.settle(op)? {
        Op::Scalar(promotion) => Ok(*promotion),
        _ => Err(other(to.as_str())),
    }
}

/// What is on the wire of a type without parts.
macro_rules! wire_type {
    ([$($life:lifetime)?] $type:ty, $primitive:ident, $min:literal, |$v:ident| $bound:expr, |$out:ident| $put:expr) => {
        impl$(<$life>)? AvroType for $type {
            const TYPE: &'static Type = &Type::Primitive(Primitive::$primitive);
            const MIN_LEN: usize = $min;
        }

        impl$(<$life>)? Encode for $type {
            #[inline]
            fn bound(&self) -> usize {
                let $v = self;
                let _ = $v;
                $bound
            }

            #[inline]
            fn put(&self, $out: &mut Out<'_>) {
                let $v = self;
                let _ = $v;
                $put
            }
        }
    };
}

/// How a type is made of the one value without parts that it stands for.
macro_rules! read {
    (
        <$de:lifetime> [$($life:lifetime)?] $type:ty, $primitive:ident,
        fn $give:ident($($v:tt: $given:ty),*) { $from:expr } $($more:item)*
    ) => {
        impl<$de $(: $life, $life)?> Target<$de> for Make<$type> {
            type Out = $type;

            #[inline(always)]
            fn takes(of: Primitive) -> bool {
                matches!(of, Primitive::$primitive)
            }

            #[cold]
            fn other() -> DecodeError {
                other(Primitive::$primitive.as_str())
            }

            #[inline(always)]
            fn $give(self, $($v: $given),*) -> Result<$type, DecodeError> {
                Ok($from)
            }
        }

        impl<$de $(: $life, $life)?> Decode<$de> for $type {
            #[inline]
            fn read(datum: &mut Datum<$de>) -> Result<Self, DecodeError> {
                Promotion::$primitive.read(&mut datum.input, Make(PhantomData::<Self>))
            }

            #[inline(always)]
            fn resolve(cursor: &mut Cursor<$de, $de>, op: OpId) -> Result<Self, DecodeError> {
                let promotion = promotion(cursor, op, Primitive::$primitive)?;
                let input = &mut cursor.datum.input;
                promotion.read(input, Make(PhantomData::<Self>))
            }

            $($more)*
        }
    };
}

/// Makes a Rust type of what a plan reads.
struct Make<T>(PhantomData<T>);

wire_type!([](), Null, 0, |v| 0, |out| {
    let _ = out;
});
read!(<'de> [] (), Null, fn null() { () });

wire_type!([] bool, Boolean, 1, |v| 1, |out| out.byte(u8::from(*v)));
read!(<'de> [] bool, Boolean, fn boolean(v: bool) { v });

wire_type!([] i32, Int, 1, |v| 5, |out| out.long(i64::from(*v)));
read!(<'de> [] i32, Int, fn int(v: i32) { v });

wire_type!([] i64, Long, 1, |v| VARINT_LEN_MAX, |out| out.long(*v));
read!(<'de> [] i64, Long, fn long(v: i64) { v });

/// Floats follow each other without anything between: they are copied at once.
macro_rules! float {
    ($type:ty, $primitive:ident, $size:literal, $give:ident) => {
        impl AvroType for $type {
            const TYPE: &'static Type = &Type::Primitive(Primitive::$primitive);
            const MIN_LEN: usize = $size;
        }

        impl Encode for $type {
            #[inline]
            fn bound(&self) -> usize {
                $size
            }

            #[inline]
            fn put(&self, out: &mut Out<'_>) {
                out.array(self.to_le_bytes());
            }

            #[inline]
            fn put_items(items: &[Self], out: &mut Out<'_>) {
                out.arrays(items, <$type>::to_le_bytes);
            }
        }

        read!(<'de> [] $type, $primitive, fn $give(v: $type) { v }
            #[inline]
            fn read_items(
                datum: &mut Datum<'de>,
                count: usize,
                items: &mut Vec<Self>,
            ) -> Result<(), DecodeError> {
                // `count` was checked against the bytes that are left.
                let bytes = datum.input.take(count * $size)?.as_chunks().0;
                items.extend(bytes.iter().map(|chunk| <$type>::from_le_bytes(*chunk)));
                Ok(())
            }

            #[inline]
            fn pass_items(datum: &mut Datum<'de>, count: usize) -> Result<(), DecodeError> {
                datum.input.take(count * $size)?;
                Ok(())
            }
        );
    };
}

float!(f32, Float, 4, float);
float!(f64, Double, 8, double);

macro_rules! text {
    ([$($life:lifetime)?] $type:ty, |$text:ident| $from:expr) => {
        wire_type!([$($life)?] $type, String, 1, |v| VARINT_LEN_MAX + v.len(), |out| out.bytes(v.as_bytes()));
        read!(<'de> [$($life)?] $type, String, fn string($text: &'de str, _: usize) { $from });
    };
}

macro_rules! bytes {
    ([$($life:lifetime)?] $type:ty, |$bytes:ident| $from:expr) => {
        wire_type!([$($life)?] $type, Bytes, 1, |v| VARINT_LEN_MAX + v.len(), |out| out.bytes(v));
        read!(<'de> [$($life)?] $type, Bytes, fn bytes($bytes: &'de [u8], _: usize) { $from });
    };
}

text!([] String, |text| text.to_owned());
text!(['a] &'a str, |text| text);
text!(['a] Cow<'a, str>, |text| Cow::Borrowed(text));
bytes!([] Vec<u8>, |bytes| bytes.to_vec());
bytes!(['a] &'a [u8], |bytes| bytes);
bytes!(['a] Cow<'a, [u8]>, |bytes| Cow::Borrowed(bytes));

/// A type that is another one on the wire.
macro_rules! logical {
    (<$de:lifetime> $type:ty, $base:ty, $read_as:ty, $name:literal, |$v:ident, $out:ident| $bound:expr, $put:expr, |$offset:ident, $read:ident| $from:expr) => {
        impl AvroType for $type {
            const TYPE: &'static Type = &Type::Logical {
                base: <$base as AvroType>::TYPE,
                logical: Logical {
                    name: $name,
                    decimal: None,
                },
            };
            const MIN_LEN: usize = <$base as AvroType>::MIN_LEN;
        }

        impl Encode for $type {
            #[inline]
            fn bound(&self) -> usize {
                $bound
            }

            #[inline]
            fn put(&self, $out: &mut Out<'_>) {
                let $v = self;
                $put;
            }
        }

        impl<$de> Decode<$de> for $type {
            #[inline]
            fn read(datum: &mut Datum<$de>) -> Result<Self, DecodeError> {
                let $offset = datum.input.offset();
                let $read = <$read_as as Decode<$de>>::read(datum)?;
                $from
            }

            #[inline]
            fn resolve(cursor: &mut Cursor<$de, $de>, op: OpId) -> Result<Self, DecodeError> {
                let $offset = cursor.datum.input.offset();
                let $read = <$read_as as Decode<$de>>::resolve(cursor, op)?;
                $from
            }
        }
    };
}

logical!(
    <'de> Timestamp, i64, i64, "timestamp-micros",
    |v, out| VARINT_LEN_MAX, out.long(v.as_micros()),
    |_offset, micros| Ok(Timestamp::from_micros(micros))
);
logical!(
    <'de> Uuid, String, &'de str, "uuid",
    |v, out| 1 + uuid::fmt::Hyphenated::LENGTH,
    {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        out.bytes(v.hyphenated().encode_lower(&mut text).as_bytes());
    },
    |offset, text| Uuid::try_parse(text).map_err(|_| DecodeError::Uuid { offset })
);

impl<const N: usize> AvroType for [u8; N] {
    const TYPE: &'static Type = &Type::Named {
        name: Numbered::<N>::NAME,
        aliases: &[],
        doc: None,
        kind: Named::Fixed(N, None),
    };
    const MIN_LEN: usize = N;
}

/// `fixed_N`.
struct Numbered<const N: usize>;

impl<const N: usize> Numbered<N> {
    const PREFIX: &'static [u8; 6] = b"fixed_";
    const TEXT: &'static ([u8; 26], usize) = &{
        let mut text = [0; 26];
        let mut len = 0;
        while len < Self::PREFIX.len() {
            text[len] = Self::PREFIX[len];
            len += 1;
        }
        let mut unit = 1;
        while N / unit >= 10 {
            unit *= 10;
        }
        while unit > 0 {
            text[len] = b'0' + (N / unit % 10) as u8;
            unit /= 10;
            len += 1;
        }
        (text, len)
    };
    const NAME: &'static str = match core::str::from_utf8(Self::TEXT.0.split_at(Self::TEXT.1).0) {
        Ok(name) => name,
        Err(_) => panic!("digits are text"),
    };
}

impl<const N: usize> Encode for [u8; N] {
    #[inline]
    fn bound(&self) -> usize {
        N
    }

    #[inline]
    fn put(&self, out: &mut Out<'_>) {
        out.array(*self);
    }
}

impl<'a, const N: usize> Decode<'a> for [u8; N] {
    #[inline]
    fn read(datum: &mut Datum<'a>) -> Result<Self, DecodeError> {
        Ok(datum.input.array()?)
    }

    #[inline]
    fn resolve(cursor: &mut Cursor<'a, 'a>, op: OpId) -> Result<Self, DecodeError> {
        match cursor.settle(op)? {
            // A fixed keeps its size, so what is not N bytes is another reader's.
            Op::Fixed { size } if *size == N => Self::read(&mut cursor.datum),
            _ => Err(other("fixed")),
        }
    }
}
