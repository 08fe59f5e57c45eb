//! Avro's binary primitives: zig-zag varints, little-endian floats, length-prefixed bytes.
//!
//! Source: Avro 1.12 specification, "Binary encoding".

mod out;
mod text;

use alloc::vec::Vec;

pub use out::Out;

/// Most bytes a varint takes: ⌈64 / 7⌉.
pub const VARINT_LEN_MAX: usize = 10;

/// Appends a `long` (or `int`): zig-zag, then base 128, least significant group first.
#[inline]
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut z = ((value << 1) ^ (value >> 63)) as u64;
    while z >= 0x80 {
        out.push(z as u8 | 0x80);
        z >>= 7;
    }
    out.push(z as u8);
}

/// Appends `bytes` or `string`: length as `long`, then the bytes.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // A slice never has more than isize::MAX bytes, so the length fits an i64.
    put_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// Reads primitives from a slice; every length is checked against what is left.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            len: bytes.len(),
        }
    }

    /// Bytes read so far.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    /// What is left.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything is read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    #[inline(always)]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        match self.rest.split_at_checked(n) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(end(self.offset(), n, self.rest.len())),
        }
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, WireError> {
        if let Some((&first, rest)) = self.rest.split_first()
            && first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(first));
        }
        if let Some(word) = self.rest.first_chunk() {
            let word = u64::from_le_bytes(*word);
            // The high bit of the varint's last byte, if it ends within eight.
            let stop = !word & 0x8080_8080_8080_8080;
            if stop != 0 {
                let len = stop.trailing_zeros() as usize / 8 + 1;
                self.rest = &self.rest[len..];
                return Ok(gather(word & (stop ^ (stop - 1))));
            }
        }
        let (value, rest) = varint_bytewise(self.rest, self.offset())?;
        self.rest = rest;
        Ok(value)
    }

    /// A `long`.
    #[inline(always)]
    pub fn long(&mut self) -> Result<i64, WireError> {
        let z = self.varint()?;
        Ok((z >> 1) as i64 ^ -((z & 1) as i64))
    }

    /// Reads past a varint that ends within `bytes_max` of at most eight bytes; else does nothing.
    ///
    /// What is so short needs no look at its value.
    #[inline(always)]
    pub(crate) fn pass_varint(&mut self, bytes_max: u32) -> bool {
        let Some(word) = self.rest.first_chunk() else {
            return false;
        };
        let stop = !u64::from_le_bytes(*word) & 0x8080_8080_8080_8080;
        let len = stop.trailing_zeros() / 8 + 1;
        if len > bytes_max {
            return false;
        }
        self.rest = &self.rest[len as usize..];
        true
    }

    /// An `int`: a `long` that fits 32 bits.
    #[inline(always)]
    pub fn int(&mut self) -> Result<i32, WireError> {
        let offset = self.offset();
        let value = self.long()?;
        i32::try_from(value).map_err(|_| WireError::IntRange { offset, value })
    }

    /// A `boolean`: one byte, 0 or 1.
    #[inline(always)]
    pub fn boolean(&mut self) -> Result<bool, WireError> {
        let offset = self.offset();
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(WireError::Boolean { offset }),
        }
    }

    /// A `float`.
    #[inline(always)]
    pub fn float(&mut self) -> Result<f32, WireError> {
        self.array().map(f32::from_le_bytes)
    }

    /// A `double`.
    #[inline(always)]
    pub fn double(&mut self) -> Result<f64, WireError> {
        self.array().map(f64::from_le_bytes)
    }

    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        match self.rest.split_first_chunk() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(end(self.offset(), N, self.rest.len())),
        }
    }

    /// Which of a union's `branches` follows.
    #[inline(always)]
    pub(crate) fn branch(&mut self, branches: usize) -> Result<usize, WireError> {
        let offset = self.offset();
        let branch = self.long()?;
        match usize::try_from(branch) {
            Ok(i) if i < branches => Ok(i),
            _ => Err(WireError::Branch { offset, branch }),
        }
    }

    /// `bytes`: a length, then as many bytes.
    #[inline(always)]
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let offset = self.offset();
        let len = self.long()?;
        match usize::try_from(len) {
            Ok(len) => self.take(len),
            Err(_) => Err(WireError::Length { offset, len }),
        }
    }

    /// A `string`: `bytes` in UTF-8.
    #[inline(always)]
    pub fn string(&mut self) -> Result<&'a str, WireError> {
        let offset = self.offset();
        let bytes = self.bytes()?;
        text::check(bytes).ok_or(WireError::Utf8 { offset })
    }
}

/// Puts the seven low bits of each byte together.
#[inline]
const fn gather(x: u64) -> u64 {
    let x = (x & 0x007f_007f_007f_007f) | ((x & 0x7f00_7f00_7f00_7f00) >> 1);
    let x = (x & 0x0000_3fff_0000_3fff) | ((x & 0x3fff_0000_3fff_0000) >> 2);
    (x & 0x0fff_ffff) | ((x & 0x0fff_ffff_0000_0000) >> 4)
}

/// A varint near the end of the input, or of more than eight bytes.
///
/// Takes and gives values instead of the reader, which so stays in registers.
#[cold]
#[inline(never)]
fn varint_bytewise(bytes: &[u8], offset: usize) -> Result<(u64, &[u8]), WireError> {
    let mut value = 0u64;
    for i in 0..VARINT_LEN_MAX {
        let Some(&byte) = bytes.get(i) else {
            return Err(end(offset, i + 1, bytes.len()));
        };
        // The tenth byte holds bit 63 alone; anything else does not fit.
        if i == VARINT_LEN_MAX - 1 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Ok((value, &bytes[i + 1..]));
        }
    }
    Err(WireError::Varint { offset })
}

#[cold]
#[inline(never)]
const fn end(offset: usize, needed: usize, left: usize) -> WireError {
    WireError::End {
        offset,
        needed,
        left,
    }
}

/// Bytes that are no Avro datum. Offsets count from the start of the [`Reader`]'s slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes end inside a value.
    #[error("at byte {offset}: {needed} bytes needed, {left} left")]
    End {
        /// Where the value starts.
        offset: usize,
        /// Bytes the value needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A varint of more than 64 bits.
    #[error("at byte {offset}: a varint of more than 64 bits")]
    Varint {
        /// Where the varint starts.
        offset: usize,
    },
    /// An `int` outside 32 bits.
    #[error("at byte {offset}: {value} does not fit an int of 32 bits")]
    IntRange {
        /// Where the value starts.
        offset: usize,
        /// The value read.
        value: i64,
    },
    /// A `boolean` other than 0 and 1.
    #[error("at byte {offset}: a boolean is 0 or 1")]
    Boolean {
        /// Where the value is.
        offset: usize,
    },
    /// A negative or impossible length.
    #[error("at byte {offset}: {len} is no length")]
    Length {
        /// Where the length starts.
        offset: usize,
        /// The length read.
        len: i64,
    },
    /// A `string` that is not UTF-8.
    #[error("at byte {offset}: the string is not UTF-8")]
    Utf8 {
        /// Where the string starts.
        offset: usize,
    },
    /// A union branch that the schema does not have.
    #[error("at byte {offset}: the union has no branch {branch}")]
    Branch {
        /// Where the branch index starts.
        offset: usize,
        /// The index read.
        branch: i64,
    },
}

crate::error_codes!(WireError {
    End { .. } => 1010,
    Varint { .. } => 1011,
    IntRange { .. } => 1012,
    Boolean { .. } => 1013,
    Length { .. } => 1014,
    Utf8 { .. } => 1015,
    Branch { .. } => 1016,
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_of_the_specification() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
        ] {
            let mut out = Vec::new();
            put_long(&mut out, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let overlong = [0xff; 9].iter().copied().chain([0x02]).collect::<Vec<_>>();
        assert_eq!(
            Reader::new(&overlong).long(),
            Err(WireError::Varint { offset: 0 })
        );
        assert_eq!(
            Reader::new(&[0x80]).long(),
            Err(WireError::End {
                offset: 0,
                needed: 2,
                left: 1
            })
        );
        assert_eq!(
            Reader::new(&[0x01]).bytes(),
            Err(WireError::Length { offset: 0, len: -1 })
        );
        assert_eq!(
            Reader::new(&[0x06, b'a']).bytes(),
            Err(WireError::End {
                offset: 1,
                needed: 3,
                left: 1
            })
        );
    }

    proptest! {
        #[test]
        fn longs_round_trip(value: i64) {
            let mut out = Vec::new();
            put_long(&mut out, value);
            prop_assert!(out.len() <= VARINT_LEN_MAX);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.long(), Ok(value));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.string().is_ok() && !reader.is_empty() {}
            let mut reader = Reader::new(&bytes);
            while reader.int().is_ok() {}
        }
    }
}
