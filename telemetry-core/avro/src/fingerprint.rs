//! CRC-64-AVRO: the fingerprint that names a schema on the wire.

use core::fmt;
use core::str::FromStr;

/// CRC-64-AVRO of a schema's Parsing Canonical Form.
///
/// Source: Avro 1.12 specification, "Schema fingerprints".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut fp = i as u64;
        let mut bit = 0;
        while bit < 8 {
            fp = (fp >> 1) ^ (EMPTY & (fp & 1).wrapping_neg());
            bit += 1;
        }
        table[i] = fp;
        i += 1;
    }
    table
};

impl Fingerprint {
    /// The fingerprint of a canonical form; runs at compile time for derived records.
    pub const fn of(canonical: &str) -> Self {
        Hasher::new().update(canonical.as_bytes()).finish()
    }

    /// The fingerprint of the array whose items have this canonical form: the schema of a batch.
    ///
    /// The array's canonical form is `{"type":"array","items":` + `canonical` + `}`, so any Avro
    /// library that knows the item schema reads a batch.
    pub const fn of_array(canonical: &str) -> Self {
        Hasher::of_array()
            .update(canonical.as_bytes())
            .finish_array()
    }
}

/// A fingerprint in the making, of a canonical form that comes in pieces.
#[derive(Clone, Copy)]
pub(crate) struct Hasher(u64);

impl Hasher {
    pub(crate) const fn new() -> Self {
        Self(EMPTY)
    }

    /// For the array of the form that follows; ends with [`finish_array`](Self::finish_array).
    pub(crate) const fn of_array() -> Self {
        Self::new().update(br#"{"type":"array","items":"#)
    }

    #[must_use]
    pub(crate) const fn update(self, bytes: &[u8]) -> Self {
        let Self(mut fp) = self;
        let mut i = 0;
        while i < bytes.len() {
            fp = (fp >> 8) ^ TABLE[((fp ^ bytes[i] as u64) & 0xff) as usize];
            i += 1;
        }
        Self(fp)
    }

    pub(crate) const fn finish(self) -> Fingerprint {
        Fingerprint(self.0)
    }

    pub(crate) const fn finish_array(self) -> Fingerprint {
        self.update(b"}").finish()
    }
}

impl fmt::Display for Fingerprint {
    /// 16 hex digits, most significant first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    /// The same digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(s: &str) -> Result<Self, FingerprintError> {
        if s.len() != 16 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(FingerprintError);
        }
        u64::from_str_radix(s, 16)
            .map(Self)
            .map_err(|_| FingerprintError)
    }
}

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 16 hex digits")]
pub struct FingerprintError;

crate::error_codes!(FingerprintError => 1022);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn agrees_with_the_reference() {
        // Rows of share/test/data/schema-tests.txt of Apache Avro.
        assert_eq!(Fingerprint::of("\"null\"").0, 7_195_948_357_588_979_594);
        assert_eq!(
            Fingerprint::of("\"boolean\"").0 as i64,
            -6_970_731_678_124_411_036
        );
        assert_eq!(
            Fingerprint::of_array("\"int\""),
            Fingerprint::of(r#"{"type":"array","items":"int"}"#)
        );
    }

    #[test]
    fn text_round_trips() {
        let fp = Fingerprint(0x00ab);
        assert_eq!(fp.to_string(), "00000000000000ab");
        assert_eq!(fp.to_string().parse(), Ok(fp));
        assert!("+0000000000000ab".parse::<Fingerprint>().is_err());
    }
}
