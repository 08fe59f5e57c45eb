//! Appending to a buffer without a call for each byte.

#![expect(
    unsafe_code,
    reason = "writes past a Vec's length, into room that was made before"
)]

use alloc::vec::Vec;
use core::marker::PhantomData;

use super::VARINT_LEN_MAX;

/// Appends primitives to a buffer.
///
/// Made with an upper bound of what will come, it makes room once; should more come, it makes more.
/// What is written belongs to the buffer once this is dropped.
///
/// ```
/// use telemetry_avro::wire::Out;
///
/// let mut buffer = Vec::new();
/// let mut out = Out::new(&mut buffer, 16);
/// out.long(-64);
/// out.bytes(b"strap");
/// drop(out);
/// assert_eq!(buffer, b"\x7f\x0astrap");
/// ```
#[derive(Debug)]
pub struct Out<'v> {
    vec: *mut Vec<u8>,
    /// Where the next byte goes. Between the buffer's length and `end`, never before.
    at: *mut u8,
    /// One past the buffer's capacity.
    end: *mut u8,
    life: PhantomData<&'v mut Vec<u8>>,
}

impl<'v> Out<'v> {
    /// Most that one primitive asks for beyond what it takes.
    const SLACK: usize = VARINT_LEN_MAX;

    /// Appends to `vec`, which gets room for `bound` bytes.
    #[inline]
    pub fn new(vec: &'v mut Vec<u8>, bound: usize) -> Self {
        vec.reserve(bound + Self::SLACK);
        let (at, end) = spare(vec);
        Self {
            vec,
            at,
            end,
            life: PhantomData,
        }
    }

    /// Makes sure that `n` bytes can be written at `at`.
    #[inline]
    fn room(&mut self, n: usize) {
        if (self.end as usize) - (self.at as usize) < n {
            // SAFETY: `vec` came from a reference that lives for 'v and is used by `self` alone;
            // everything before `at` is written.
            (self.at, self.end) = unsafe { grow(&mut *self.vec, self.at, n) };
        }
    }

    /// Appends one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.room(1);
        // SAFETY: `room` made sure of one byte.
        unsafe {
            self.at.write(byte);
            self.at = self.at.add(1);
        }
    }

    /// Appends a `long` (or `int`): zig-zag, then base 128, least significant group first.
    #[inline]
    pub fn long(&mut self, value: i64) {
        self.room(VARINT_LEN_MAX);
        // SAFETY: `room` made sure of the most bytes a varint takes.
        unsafe { self.varint(((value << 1) ^ (value >> 63)) as u64) }
    }

    /// # Safety
    /// There is room for [`VARINT_LEN_MAX`] bytes.
    #[inline]
    unsafe fn varint(&mut self, mut z: u64) {
        // SAFETY: each branch writes at most ten bytes from `at`.
        unsafe {
            if z < 0x80 {
                self.at.write(z as u8);
                self.at = self.at.add(1);
            } else if z < 1 << 56 {
                let len = (63 - z.leading_zeros()) / 7 + 1;
                let more = 0x8080_8080_8080_8080 & ((1u64 << (8 * (len - 1))) - 1);
                let word = (spread(z) | more).to_le_bytes();
                self.at.cast::<[u8; 8]>().write(word);
                self.at = self.at.add(len as usize);
            } else {
                while z >= 0x80 {
                    self.at.write(z as u8 | 0x80);
                    self.at = self.at.add(1);
                    z >>= 7;
                }
                self.at.write(z as u8);
                self.at = self.at.add(1);
            }
        }
    }

    /// Appends so many bytes as they are: a `float`, a `double`, a `fixed`.
    #[inline]
    pub fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.room(N);
        // SAFETY: `room` made sure of N bytes; an array of bytes has no alignment.
        unsafe {
            self.at.cast::<[u8; N]>().write(bytes);
            self.at = self.at.add(N);
        }
    }

    /// Appends items of one size.
    #[inline]
    pub fn arrays<T: Copy, const N: usize>(&mut self, items: &[T], bytes: impl Fn(T) -> [u8; N]) {
        self.room(items.len().saturating_mul(N));
        for &item in items {
            // SAFETY: `room` made sure of N bytes for each of them.
            unsafe {
                self.at.cast::<[u8; N]>().write(bytes(item));
                self.at = self.at.add(N);
            }
        }
    }

    /// Appends `bytes` or `string`: length as `long`, then the bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        // A slice never has more than isize::MAX bytes, so neither sum nor shift overflows.
        self.room(VARINT_LEN_MAX + bytes.len());
        // SAFETY: `room` made sure of a varint and the bytes behind it.
        unsafe {
            self.varint((bytes.len() as u64) << 1);
            copy(bytes, self.at);
            self.at = self.at.add(bytes.len());
        }
    }

    /// Appends bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        // SAFETY: `room` made sure of the bytes.
        unsafe {
            copy(bytes, self.at);
            self.at = self.at.add(bytes.len());
        }
    }
}

impl Drop for Out<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `vec` came from a reference that lives for 'v and is used by `self` alone; the
        // bytes from its length to `at`, which is within its capacity, are written.
        unsafe { commit(&mut *self.vec, self.at) }
    }
}

/// Where a buffer's next byte goes, and one past its capacity.
#[inline]
fn spare(vec: &mut Vec<u8>) -> (*mut u8, *mut u8) {
    let room = vec.spare_capacity_mut().as_mut_ptr_range();
    (room.start.cast(), room.end.cast())
}

/// # Safety
/// `at` is within the buffer's spare capacity, and the bytes before it are written.
#[inline]
unsafe fn commit(vec: &mut Vec<u8>, at: *mut u8) {
    let len = at as usize - vec.as_ptr() as usize;
    // SAFETY: the caller's promise.
    unsafe { vec.set_len(len) }
}

/// Takes and gives pointers instead of [`Out`], which so stays in registers.
///
/// # Safety
/// As for [`commit`].
#[cold]
#[inline(never)]
unsafe fn grow(vec: &mut Vec<u8>, at: *mut u8, n: usize) -> (*mut u8, *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { commit(vec, at) };
    vec.reserve(n);
    spare(vec)
}

/// Puts seven bits into each byte.
#[inline]
const fn spread(v: u64) -> u64 {
    let x = (v & 0x0fff_ffff) | ((v & 0x00ff_ffff_f000_0000) << 4);
    let x = (x & 0x0000_3fff_0000_3fff) | ((x & 0x0fff_c000_0fff_c000) << 2);
    (x & 0x007f_007f_007f_007f) | ((x & 0x3f80_3f80_3f80_3f80) << 1)
}

/// Copies short texts without a call: two words that may overlap.
///
/// # Safety
/// `to` has room for the bytes, and is no part of them.
#[inline]
unsafe fn copy(bytes: &[u8], to: *mut u8) {
    /// # Safety
    /// There are N to 2·N bytes, and `to` has room for them.
    #[inline]
    unsafe fn ends<const N: usize>(bytes: &[u8], to: *mut u8) {
        // SAFETY: both words are within the bytes, and within as much room.
        unsafe {
            let (from, last) = (bytes.as_ptr(), bytes.len() - N);
            let head = from.cast::<[u8; N]>().read();
            let tail = from.add(last).cast::<[u8; N]>().read();
            to.cast::<[u8; N]>().write(head);
            to.add(last).cast::<[u8; N]>().write(tail);
        }
    }
    // SAFETY: each arm copies exactly the bytes; the caller's promise.
    unsafe {
        match bytes.len() {
            0 => {}
            1 => to.write(bytes[0]),
            2..=3 => ends::<2>(bytes, to),
            4..=7 => ends::<4>(bytes, to),
            8..=15 => ends::<8>(bytes, to),
            16..=31 => ends::<16>(bytes, to),
            32..=64 => ends::<32>(bytes, to),
            n => to.copy_from_nonoverlapping(bytes.as_ptr(), n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Reader, put_bytes, put_long};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_length_is_copied_whole() {
        for n in 0..100u8 {
            let bytes: Vec<u8> = (0..n).collect();
            let mut ours = alloc::vec![0xee];
            let mut out = Out::new(&mut ours, 0);
            out.bytes(&bytes);
            out.raw(&bytes);
            drop(out);
            let mut plain = alloc::vec![0xee];
            put_bytes(&mut plain, &bytes);
            plain.extend_from_slice(&bytes);
            assert_eq!(ours, plain);
        }
    }

    #[test]
    fn room_is_made_once_for_the_bound() {
        let mut vec = Vec::new();
        let mut out = Out::new(&mut vec, 8 * 10);
        let end = out.end;
        for v in [0, -1, 63, 64, 1 << 20, 1 << 40, i64::MAX, i64::MIN] {
            out.long(v);
        }
        assert_eq!(out.end, end);
        drop(out);
        let mut input = Reader::new(&vec);
        for v in [0, -1, 63, 64, 1 << 20, 1 << 40, i64::MAX, i64::MIN] {
            assert_eq!(input.long(), Ok(v));
        }
    }

    proptest! {
        #[test]
        fn longs_are_as_the_plain_writer_puts_them(values: Vec<i64>, shift in 0u32..64) {
            let (mut ours, mut plain) = (Vec::new(), Vec::new());
            let mut out = Out::new(&mut ours, 0);
            for v in values {
                out.long(v >> shift);
                out.array(v.to_le_bytes());
                out.byte(7);
                put_long(&mut plain, v >> shift);
                plain.extend_from_slice(&v.to_le_bytes());
                plain.push(7);
            }
            drop(out);
            prop_assert_eq!(ours, plain);
        }
    }
}
