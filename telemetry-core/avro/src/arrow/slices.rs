//! Rows of varying length: where each ends, and texts or bytes behind each other.

use alloc::vec::Vec;
use core::mem::replace;

use arrow_array::StringArray;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::typed::DecodeError;
use crate::wire::Out;

/// Where rows end. As Arrow has it, what is before the first row ends at 0.
#[derive(Debug)]
pub(super) struct Ends(Vec<i32>);

impl Default for Ends {
    fn default() -> Self {
        Self(alloc::vec![0])
    }
}

impl Ends {
    /// Adds a row that ends there, which is not before the last one.
    #[inline(always)]
    pub(super) fn push(&mut self, len: usize) -> Result<(), DecodeError> {
        debug_assert!(len >= self.last(), "rows grow");
        self.0.push(end(len)?);
        Ok(())
    }

    /// Where the last row ends.
    #[inline]
    pub(super) fn last(&self) -> usize {
        self.0.last().map_or(0, |&end| end as usize)
    }

    /// Takes away what was added after the first `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows + 1);
    }

    /// The rows as Arrow has them; there are none then.
    #[expect(unsafe_code, reason = "each row ends no earlier than the one before")]
    pub(super) fn take(&mut self) -> OffsetBuffer<i32> {
        let mut next = Vec::with_capacity(self.0.len());
        next.push(0);
        let ends = ScalarBuffer::from(replace(&mut self.0, next));
        // SAFETY: the first is 0. `push` gets what a column has so far, which only grows between two
        // rows, and `truncate` goes back to where a row ended.
        unsafe { OffsetBuffer::new_unchecked(ends) }
    }
}

/// A position in a column, which Arrow has in 31 bits.
#[inline]
pub(super) fn end(len: usize) -> Result<i32, DecodeError> {
    i32::try_from(len).map_err(|_| DecodeError::Limit {
        offset: 0,
        what: "bytes or items of a column",
        max: i32::MAX as usize,
    })
}

/// Texts or bytes.
#[derive(Debug, Default)]
pub(super) struct Slices {
    ends: Ends,
    bytes: Vec<u8>,
}

impl Slices {
    #[inline(always)]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), DecodeError> {
        Out::new(&mut self.bytes, value.len()).raw(value);
        self.ends.push(self.bytes.len())
    }

    /// Adds the only row so many times more.
    pub(super) fn repeat(&mut self, times: usize) -> Result<(), DecodeError> {
        let len = self.bytes.len();
        end(len.saturating_mul(times + 1))?;
        self.bytes = self.bytes.repeat(times + 1);
        (2..=times + 1).try_for_each(|row| self.ends.push(row * len))
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.bytes.truncate(self.ends.last());
    }

    /// The rows as Arrow has them; there are none then.
    pub(super) fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let next = Vec::with_capacity(self.bytes.len());
        let bytes = Buffer::from_vec(replace(&mut self.bytes, next));
        (self.ends.take(), bytes)
    }

    /// The rows as texts, if all of them came as texts.
    #[expect(
        unsafe_code,
        reason = "each text was checked when it came, with its place"
    )]
    pub(super) fn text(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        let (offsets, bytes) = self.take();
        // SAFETY: a column of texts gets `str`s alone, and is cut at their ends alone, so all
        // between two offsets is UTF-8. There is a null for each row, or there is none.
        unsafe { StringArray::new_unchecked(offsets, bytes, nulls) }
    }
}
