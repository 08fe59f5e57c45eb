//! The values of FIT fields, by the type that the file gives them.

/// Bytes of a field, with the type from its definition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Number of the field within its message.
    pub(crate) number: u8,
    /// FIT base type.
    pub(crate) base: u8,
    pub(crate) big_endian: bool,
    pub(crate) bytes: &'a [u8],
}

/// Set in the base type of numbers of several bytes; the numbers below it are unique without.
const ENDIAN_FLAG: u8 = 0x80;

impl<'a> Field<'a> {
    /// The first valid number. Fields that should have one value hold several in some files.
    pub(crate) fn number(self) -> Option<f64> {
        self.numbers().flatten().next()
    }

    /// Every element: `None` where it is the type's invalid value, and nothing for text and for a
    /// size that is no multiple of the type's.
    pub(crate) fn numbers(self) -> impl Iterator<Item = Option<f64>> + 'a {
        let size = match self.base & !ENDIAN_FLAG {
            0 | 1 | 2 | 10 | 13 => 1,
            3 | 4 | 11 => 2,
            5 | 6 | 8 | 12 => 4,
            9 | 14 | 15 | 16 => 8,
            _ => 0,
        };
        let fits = size > 0 && self.bytes.len().is_multiple_of(size);
        let bytes = if fits { self.bytes } else { &[] };
        bytes
            .chunks_exact(size.max(1))
            .map(move |element| self.element(element))
    }

    /// One number. FIT marks "no value" with the type's largest value, or 0 for the `z` types.
    fn element(self, bytes: &[u8]) -> Option<f64> {
        let mut raw = [0; 8];
        for (place, byte) in raw.iter_mut().zip(bytes) {
            *place = *byte;
        }
        if self.big_endian {
            raw[..bytes.len()].reverse();
        }
        let bits = u64::from_le_bytes(raw);
        let width = 8 * bytes.len() as u32;
        let ones = u64::MAX >> (64 - width);
        let (signed_most, sign_shift) = (ones >> 1, 64 - width);
        match self.base & !ENDIAN_FLAG {
            1 | 3 | 5 | 14 => {
                let value = (bits << sign_shift) as i64 >> sign_shift;
                (bits != signed_most).then_some(value as f64)
            }
            10 | 11 | 12 | 16 => (bits != 0).then_some(bits as f64),
            8 => finite(f64::from(f32::from_bits(bits as u32))),
            9 => finite(f64::from_bits(bits)),
            _ => (bits != ones).then_some(bits as f64),
        }
    }

    /// The text of a string field, up to its end mark; bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn text(self) -> Option<String> {
        let end = self.bytes.iter().position(|byte| *byte == 0);
        let bytes = &self.bytes[..end.unwrap_or(self.bytes.len())];
        (self.base & !ENDIAN_FLAG == 7 && !bytes.is_empty())
            .then(|| String::from_utf8_lossy(bytes).into_owned())
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(base: u8, bytes: &[u8]) -> Field<'_> {
        Field {
            number: 0,
            base,
            big_endian: false,
            bytes,
        }
    }

    #[test]
    fn every_type_has_its_own_invalid_value() {
        let numbers = |base, bytes: &[u8]| field(base, bytes).numbers().collect::<Vec<_>>();
        assert_eq!(numbers(0x02, &[7, 0xff]), [Some(7.0), None]);
        assert_eq!(numbers(0x01, &[0x80, 0x7f]), [Some(-128.0), None]);
        assert_eq!(numbers(0x0a, &[0, 3]), [None, Some(3.0)]);
        assert_eq!(numbers(0x83, &[0xfe, 0xff, 0xff, 0x7f]), [Some(-2.0), None]);
        assert_eq!(
            numbers(0x84, &[0xfe, 0xff, 0xff, 0xff]),
            [Some(65534.0), None]
        );
        assert_eq!(numbers(0x85, &[0, 0, 0, 0x80]), [Some(-2_147_483_648.0)]);
        assert_eq!(numbers(0x86, &[0xff; 4]), [None]);
        assert_eq!(numbers(0x88, &200_f32.to_le_bytes()), [Some(200.0)]);
        assert_eq!(numbers(0x88, &[0xff; 4]), [None]);
        assert_eq!(numbers(0x89, &f64::NAN.to_le_bytes()), [None]);
        assert_eq!(numbers(0x8e, &(-5_i64).to_le_bytes()), [Some(-5.0)]);
        assert_eq!(numbers(0x8f, &[0xff; 8]), [None]);
    }

    #[test]
    fn an_odd_size_and_an_unknown_type_have_no_number() {
        assert_eq!(field(0x86, &[1]).number(), None);
        assert_eq!(field(0x07, b"12\0").number(), None);
        assert_eq!(field(0x6f, &[1, 2]).number(), None);
        assert_eq!(field(0x84, &[]).number(), None);
    }

    #[test]
    fn text_ends_at_its_mark_and_survives_bytes_that_are_no_utf8() {
        assert_eq!(field(7, b"bpm\0\0").text().as_deref(), Some("bpm"));
        assert_eq!(
            field(7, b"F\x9fnix").text().as_deref(),
            Some("F\u{fffd}nix")
        );
        assert_eq!(field(7, b"\0").text(), None);
        assert_eq!(field(2, b"a").text(), None);
    }
}
