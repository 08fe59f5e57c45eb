//! Checking text, most of which is short and ASCII.

#![expect(unsafe_code, reason = "ASCII is checked inline, faster than by a call")]

/// Bytes up to which the check is made inline.
const SHORT: usize = 64;

/// The bytes as text, if they are UTF-8.
#[inline]
pub(super) fn check(bytes: &[u8]) -> Option<&str> {
    if bytes.len() <= SHORT && is_ascii(bytes) {
        // SAFETY: no byte has its high bit set, so each is a character by itself.
        return Some(unsafe { core::str::from_utf8_unchecked(bytes) });
    }
    check_all(bytes)
}

#[inline(never)]
fn check_all(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

/// Whether no byte has its high bit set: eight at a time, the last eight overlapping.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let (Some(last), (words, _)) = (bytes.last_chunk(), bytes.as_chunks()) else {
        return is_ascii_of_less(bytes);
    };
    let word = |chunk: &[u8; 8]| u64::from_ne_bytes(*chunk);
    let high = words
        .iter()
        .fold(word(last), |high, chunk| high | word(chunk));
    high & 0x8080_8080_8080_8080 == 0
}

/// Whether no byte of less than eight has its high bit set: the first four and the last four, which
/// overlap.
#[inline]
fn is_ascii_of_less(bytes: &[u8]) -> bool {
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else {
        let high = bytes.iter().fold(0, |high, byte| high | byte);
        return high < 0x80;
    };
    (u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last)) & 0x8080_8080 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_library_wherever_a_byte_is_high() {
        for len in 0..100 {
            let plain = alloc::vec![b'x'; len];
            assert_eq!(check(&plain), core::str::from_utf8(&plain).ok());
            for at in 0..len {
                for (byte, next) in [(0x80, b'x'), (0xc3, 0xa9)] {
                    let mut bytes = plain.clone();
                    bytes[at] = byte;
                    if at + 1 < len {
                        bytes[at + 1] = next;
                    }
                    assert_eq!(check(&bytes), core::str::from_utf8(&bytes).ok());
                }
            }
        }
    }
}
