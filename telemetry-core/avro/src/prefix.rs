//! The prefixes by which schema registries say what a datum was written with.
//!
//! A registry numbers schemas. Its clients put the number before each datum, or into a header of
//! the message beside it:
//!
//! | form | bytes | who |
//! |---|---|---|
//! | [`SchemaId::Number`] | `00`, number in 4 bytes | Confluent; Apicurio 3 |
//! | [`SchemaId::Guid`] | `01`, GUID in 16 bytes | Confluent, as header [`VALUE_HEADER`] |
//! | [`SchemaId::Global`] | `00`, number in 8 bytes | Apicurio 2 |
//!
//! Numbers are big-endian. The two that begin with `00` cannot be told apart, so a reader says
//! which it expects.
//!
//! ```
//! use telemetry_avro::prefix::{Expect, SchemaId};
//!
//! let mut message = Vec::new();
//! SchemaId::Number(7).put(&mut message);
//! message.extend(b"datum");
//! assert_eq!(message, b"\0\0\0\0\x07datum");
//! assert_eq!(SchemaId::split(&message, Expect::Number)?, (SchemaId::Number(7), &b"datum"[..]));
//! # Ok::<(), telemetry_avro::prefix::PrefixError>(())
//! ```

use alloc::vec::Vec;

/// The header of a message that holds the [`SchemaId`] of its value, in the bytes of a prefix.
pub const VALUE_HEADER: &str = "__value_schema_id";

/// The header of a message that holds the [`SchemaId`] of its key.
pub const KEY_HEADER: &str = "__key_schema_id";

/// What a registry calls a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaId {
    /// Its number in 32 bits.
    Number(u32),
    /// Its number in 64 bits.
    Global(u64),
    /// Its GUID.
    Guid([u8; 16]),
}

/// Which number a prefix that begins with `00` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// One of 32 bits.
    Number,
    /// One of 64 bits.
    Global,
}

impl SchemaId {
    /// Appends the prefix, or the value of the header.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(0);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Global(number) => {
                out.push(0);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Guid(guid) => {
                out.push(1);
                out.extend_from_slice(guid);
            }
        }
    }

    /// Splits a message into what its prefix says and the datum.
    pub fn split(message: &[u8], expect: Expect) -> Result<(Self, &[u8]), PrefixError> {
        let (&magic, rest) = message.split_first().ok_or(PrefixError::Short { len: 0 })?;
        let short = PrefixError::Short { len: message.len() };
        match (magic, expect) {
            (0, Expect::Number) => rest
                .split_first_chunk()
                .map(|(number, datum)| (Self::Number(u32::from_be_bytes(*number)), datum)),
            (0, Expect::Global) => rest
                .split_first_chunk()
                .map(|(number, datum)| (Self::Global(u64::from_be_bytes(*number)), datum)),
            (1, _) => rest
                .split_first_chunk()
                .map(|(guid, datum)| (Self::Guid(*guid), datum)),
            (found, _) => return Err(PrefixError::Magic { found }),
        }
        .ok_or(short)
    }

    /// Reads the value of a header: a prefix and nothing behind it.
    pub fn from_header(value: &[u8], expect: Expect) -> Result<Self, PrefixError> {
        match Self::split(value, expect)? {
            (id, []) => Ok(id),
            (_, rest) => Err(PrefixError::Rest { len: rest.len() }),
        }
    }
}

/// Bytes without the prefix of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// The bytes end within the prefix.
    #[error("a prefix has 5, 9 or 17 bytes, here are {len}")]
    Short {
        /// How many there are.
        len: usize,
    },
    /// Another first byte than a prefix has.
    #[error("a prefix starts with 00 or 01, this one with {found:02X}")]
    Magic {
        /// The byte found.
        found: u8,
    },
    /// A header with more than a prefix.
    #[error("{len} bytes behind the prefix in a header")]
    Rest {
        /// How many.
        len: usize,
    },
}

crate::error_codes!(PrefixError {
    Short { .. } => 1023,
    Magic { .. } => 1024,
    Rest { .. } => 1025,
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_prefix_is_named() {
        let number = |bytes: &[u8]| SchemaId::split(bytes, Expect::Number).unwrap_err();
        assert_eq!(number(&[]), PrefixError::Short { len: 0 });
        assert_eq!(number(&[0, 1, 2, 3]), PrefixError::Short { len: 4 });
        assert_eq!(number(&[1; 16]), PrefixError::Short { len: 16 });
        assert_eq!(number(&[0xc3, 1]), PrefixError::Magic { found: 0xc3 });
        assert_eq!(
            SchemaId::split(&[0; 8], Expect::Global),
            Err(PrefixError::Short { len: 8 })
        );
        assert_eq!(
            SchemaId::from_header(&[0; 6], Expect::Number),
            Err(PrefixError::Rest { len: 1 })
        );
    }

    proptest! {
        #[test]
        fn prefixes_round_trip(number: u32, global: u64, guid: [u8; 16], datum: Vec<u8>) {
            for (id, expect) in [
                (SchemaId::Number(number), Expect::Number),
                (SchemaId::Global(global), Expect::Global),
                (SchemaId::Guid(guid), Expect::Number),
            ] {
                let mut message = Vec::new();
                id.put(&mut message);
                prop_assert_eq!(SchemaId::from_header(&message, expect), Ok(id));
                message.extend_from_slice(&datum);
                prop_assert_eq!(SchemaId::split(&message, expect), Ok((id, &datum[..])));
            }
        }

        #[test]
        fn any_bytes_are_split_or_refused(bytes: Vec<u8>) {
            for expect in [Expect::Number, Expect::Global] {
                if let Ok((id, datum)) = SchemaId::split(&bytes, expect) {
                    let mut again = Vec::new();
                    id.put(&mut again);
                    again.extend_from_slice(datum);
                    prop_assert_eq!(again, bytes.clone());
                }
            }
        }
    }
}
