//! Single-object encoding: a datum that names its schema.
//!
//! `C3 01`, the fingerprint in 8 bytes little-endian, the datum. Source: Avro 1.12 specification,
//! "Single-object encoding".

use crate::Fingerprint;

/// Bytes before the datum.
pub const HEADER_LEN: usize = 10;

/// The header that announces a schema.
pub const fn header(fingerprint: Fingerprint) -> [u8; HEADER_LEN] {
    let f = fingerprint.0.to_le_bytes();
    [0xc3, 0x01, f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]]
}

/// Splits a message into fingerprint and datum.
pub fn split(message: &[u8]) -> Result<(Fingerprint, &[u8]), HeaderError> {
    match message.split_first_chunk::<HEADER_LEN>() {
        Some(([0xc3, 0x01, fp @ ..], datum)) => Ok((Fingerprint(u64::from_le_bytes(*fp)), datum)),
        Some(([a, b, ..], _)) => Err(HeaderError::Marker { found: [*a, *b] }),
        None => Err(HeaderError::Short { len: message.len() }),
    }
}

/// A message without a single-object header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Fewer bytes than a header has.
    #[error("a single-object message has at least 10 bytes, this one {len}")]
    Short {
        /// Length of the message in bytes.
        len: usize,
    },
    /// Other first bytes than `C3 01`.
    #[error("a single-object message starts with C3 01, this one with {:02X} {:02X}", found[0], found[1])]
    Marker {
        /// The two bytes found.
        found: [u8; 2],
    },
}

crate::error_codes!(HeaderError {
    Short { .. } => 1020,
    Marker { .. } => 1021,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_it_makes() {
        let mut message = header(Fingerprint(0x0102_0304_0506_0708)).to_vec();
        assert_eq!(message[2], 8);
        message.push(7);
        assert_eq!(
            split(&message),
            Ok((Fingerprint(0x0102_0304_0506_0708), &[7][..]))
        );
        assert_eq!(split(&message[..9]), Err(HeaderError::Short { len: 9 }));
        assert_eq!(split(&[0; 10]), Err(HeaderError::Marker { found: [0, 0] }));
    }
}
