//! What the derive makes of a struct: schema, fingerprint, encoder and decoder.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::wire::{self, Reader, VARINT_LEN_MAX};
use crate::{
    DecodeError, Fingerprint, Plan, Primitive, Scalar, StreamName, Timestamp, single_object,
};

/// A struct that is an Avro record. Made by `#[derive(AvroRecord)]` (feature `derive`).
pub trait AvroRecord: Sized {
    /// Full name of the record, and of its stream.
    const NAME: &'static str;
    /// The schema as JSON, with doc, aliases, defaults and `xpt.*` properties.
    const SCHEMA: &'static str;
    /// The Parsing Canonical Form of the schema.
    const CANONICAL: &'static str;
    /// CRC-64-AVRO of the canonical form.
    const FINGERPRINT: Fingerprint = Fingerprint::of(Self::CANONICAL);
    /// What single-object encoding puts before the datum.
    const HEADER: [u8; single_object::HEADER_LEN] = single_object::header(Self::FINGERPRINT);

    /// An upper bound of the datum's length in bytes.
    fn datum_len_bound(&self) -> usize;

    /// Appends the datum.
    fn put_datum(&self, out: &mut Vec<u8>);

    /// Reads a datum that `plan` resolves to this record's schema.
    fn decode<'a>(plan: &'a Plan, input: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// The event time, if the record has one.
    fn event_time(&self) -> Option<Timestamp>;

    /// Appends the record in single-object encoding.
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(single_object::HEADER_LEN + self.datum_len_bound());
        out.extend_from_slice(&Self::HEADER);
        self.put_datum(out);
    }

    /// The record in single-object encoding.
    fn to_message(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// The stream that records of type `R` belong to.
pub fn stream_of<R: AvroRecord>() -> StreamName {
    #[expect(
        clippy::expect_used,
        reason = "the derive refuses names that are no stream name"
    )]
    StreamName::new(R::NAME).expect("a derived record's name is a stream name")
}

/// A type that a field of a derived record may have.
pub trait AvroField: Sized {
    /// Its Avro type where a value is there.
    const PRIMITIVE: Primitive;
    /// Whether its Avro type is a union with null.
    const NULLABLE: bool = false;

    /// An upper bound of the encoded length in bytes.
    fn len_bound(&self) -> usize;

    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes what a plan decoded; `None` if the plan is not for this type.
    fn take(value: Scalar<'_>) -> Option<Self>;
}

macro_rules! field {
    ($type:ty, $variant:ident, |$v:ident, $out:ident| $bound:expr, $put:expr, $take:expr) => {
        impl AvroField for $type {
            const PRIMITIVE: Primitive = Primitive::$variant;

            #[inline]
            fn len_bound(&self) -> usize {
                let $v = self;
                let _ = $v;
                $bound
            }

            #[inline]
            fn put(&self, $out: &mut Vec<u8>) {
                let $v = self;
                $put;
            }

            #[inline]
            fn take(value: Scalar<'_>) -> Option<Self> {
                match value {
                    Scalar::$variant(v) => Some($take(v)),
                    _ => None,
                }
            }
        }
    };
}

field!(bool, Boolean, |v, out| 1, out.push(u8::from(*v)), |v| v);
field!(
    i32,
    Int,
    |v, out| VARINT_LEN_MAX,
    wire::put_long(out, i64::from(*v)),
    |v| v
);
field!(
    i64,
    Long,
    |v, out| VARINT_LEN_MAX,
    wire::put_long(out, *v),
    |v| v
);
field!(
    Timestamp,
    Long,
    |v, out| VARINT_LEN_MAX,
    wire::put_long(out, v.as_micros()),
    Timestamp::from_micros
);
field!(
    f32,
    Float,
    |v, out| 4,
    out.extend_from_slice(&v.to_le_bytes()),
    |v| v
);
field!(
    f64,
    Double,
    |v, out| 8,
    out.extend_from_slice(&v.to_le_bytes()),
    |v| v
);
field!(
    String,
    String,
    |v, out| VARINT_LEN_MAX + v.len(),
    wire::put_bytes(out, v.as_bytes()),
    str::to_owned
);
field!(
    Vec<u8>,
    Bytes,
    |v, out| VARINT_LEN_MAX + v.len(),
    wire::put_bytes(out, v),
    <[u8]>::to_vec
);

impl<T: AvroField> AvroField for Option<T> {
    const PRIMITIVE: Primitive = T::PRIMITIVE;
    const NULLABLE: bool = true;

    #[inline]
    fn len_bound(&self) -> usize {
        1 + self.as_ref().map_or(0, T::len_bound)
    }

    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                // Branch 1 of ["null", T], zig-zag encoded.
                out.push(2);
                value.put(out);
            }
        }
    }

    #[inline]
    fn take(value: Scalar<'_>) -> Option<Self> {
        match value {
            Scalar::Null => Some(None),
            value => T::take(value).map(Some),
        }
    }
}
