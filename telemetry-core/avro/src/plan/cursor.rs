//! What every executor of a plan shares: position, limits, blocks, skipping.

use super::op::{Op, OpId, RecordOp};
use super::{DecodeError, Plan};
use crate::wire::{Reader, WireError};

/// Bounds on one datum, for datums that strangers send.
///
/// Lengths and counts need none: they are checked against what is left of the input, a count
/// by the least bytes that the *writer's* items take.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// Records, arrays and maps inside each other. 64: what a schema may nest, and well within
    /// any thread's stack.
    pub depth_max: usize,
    /// Items that take no bytes (null, empty records) in one datum, since no input bounds them.
    /// 65,536: as many values of 32 bytes are 2 MiB.
    pub zero_width_max: usize,
    /// Encoded bytes that defaults add to one datum, at least one for each field that takes its
    /// default. 16 MiB: a small datum of many records may stand for much.
    pub default_bytes_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            depth_max: 64,
            zero_width_max: 65_536,
            default_bytes_max: 16 << 20,
        }
    }
}

/// A datum being read: position, and what is left of its limits.
///
/// What derived types read from; made by [`AvroRecord::read`](crate::AvroRecord::read_datum) and, inside a
/// [`Cursor`], by [`AvroRecord::decode`](crate::AvroRecord::decode).
#[derive(Clone, Debug)]
pub struct Datum<'a> {
    pub(crate) input: Reader<'a>,
    limits: DecodeLimits,
    depth: usize,
    zero_width: usize,
}

/// A block of an array or a map.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) count: usize,
    /// Where it ends, if the writer said so.
    end: Option<usize>,
}

impl<'a> Datum<'a> {
    #[inline]
    pub(crate) const fn new(input: Reader<'a>, limits: DecodeLimits) -> Self {
        Self {
            input,
            limits,
            depth: 0,
            zero_width: 0,
        }
    }

    /// Enters a record, an array or a map.
    #[inline]
    pub(crate) fn enter(&mut self) -> Result<(), DecodeError> {
        if self.depth >= self.limits.depth_max {
            return Err(over(self.input.offset(), "nesting", self.limits.depth_max));
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    pub(crate) const fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Reads which of a union's `branches` follows.
    #[inline(always)]
    pub(crate) fn branch(&mut self, branches: usize) -> Result<usize, DecodeError> {
        Ok(self.input.branch(branches)?)
    }

    /// Reads which of an enum's `symbols` it is.
    #[inline(always)]
    pub(crate) fn symbol(&mut self, symbols: usize) -> Result<usize, DecodeError> {
        position(&mut self.input, symbols)
    }

    /// The next block of items of at least `min` bytes; `None` at the end.
    #[inline(always)]
    pub(crate) fn block(&mut self, min: usize) -> Result<Option<Block>, DecodeError> {
        let offset = self.input.offset();
        let written = self.input.long()?;
        if written == 0 {
            return Ok(None);
        }
        let mut end = None;
        if written < 0 {
            let size = self.input.long()?;
            let start = self.input.offset();
            match usize::try_from(size) {
                Ok(size) if size <= self.input.rest().len() => end = Some(start + size),
                _ => return Err(WireError::Length { offset, len: size }.into()),
            }
        }
        let left = self.input.rest().len();
        let count = written.unsigned_abs();
        let fits = match min {
            0 => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                self.zero_width = self.zero_width.saturating_add(count);
                if self.zero_width > self.limits.zero_width_max {
                    let max = self.limits.zero_width_max;
                    return Err(over(self.input.offset(), "items without bytes", max));
                }
                true
            }
            1 => count <= left as u64,
            min => count <= (left / min) as u64,
        };
        if fits && let Ok(count) = usize::try_from(count) {
            return Ok(Some(Block { count, end }));
        }
        Err(DecodeError::Count {
            offset,
            count,
            left,
        })
    }

    /// Checks that a block ends where its writer said.
    #[inline]
    pub(crate) fn close(&self, block: &Block) -> Result<(), DecodeError> {
        match block.end {
            Some(expected) if expected != self.input.offset() => Err(DecodeError::Block {
                offset: self.input.offset(),
                expected,
            }),
            _ => Ok(()),
        }
    }

    /// Jumps to the end of a block whose size the writer said; else does nothing.
    pub(super) fn jump(&mut self, block: &Block) -> Result<bool, DecodeError> {
        let Some(end) = block.end else {
            return Ok(false);
        };
        self.input.take(end - self.input.offset())?;
        Ok(true)
    }
}

/// Which of the writer's `symbols` follows.
#[inline(always)]
fn position(input: &mut Reader<'_>, symbols: usize) -> Result<usize, DecodeError> {
    let offset = input.offset();
    let symbol = input.long()?;
    match usize::try_from(symbol) {
        Ok(i) if i < symbols => Ok(i),
        _ => Err(DecodeError::Symbol {
            offset,
            symbol,
            symbols,
        }),
    }
}

/// Reads the writer's symbol and gives the reader's.
#[inline(always)]
pub(crate) fn symbol(
    plan: &Plan,
    input: &mut Reader<'_>,
    symbols: &[Option<u32>],
    problem: usize,
) -> Result<u32, DecodeError> {
    let offset = input.offset();
    let symbol = position(input, symbols.len())?;
    match symbols[symbol] {
        Some(symbol) => Ok(symbol),
        None => Err(plan.fail(offset, problem)),
    }
}

#[cold]
const fn over(offset: usize, what: &'static str, max: usize) -> DecodeError {
    DecodeError::Limit { offset, what, max }
}

/// A datum being read by a plan.
#[derive(Clone, Debug)]
pub struct Cursor<'p, 'a> {
    pub(crate) plan: &'p Plan,
    pub(crate) datum: Datum<'a>,
    default_bytes: usize,
}

impl<'p, 'a> Cursor<'p, 'a> {
    #[inline]
    pub(crate) const fn new(plan: &'p Plan, input: Reader<'a>, limits: DecodeLimits) -> Self {
        Self {
            plan,
            datum: Datum::new(input, limits),
            default_bytes: 0,
        }
    }

    /// Runs `read` on a datum of `input`, which ends up behind what was read.
    #[inline]
    pub(crate) fn run<T>(
        plan: &'p Plan,
        input: &mut Reader<'a>,
        limits: DecodeLimits,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut cursor = Self::new(plan, input.clone(), limits);
        let result = read(&mut cursor);
        *input = cursor.datum.input;
        result
    }

    /// Enters a record and pays for its defaults.
    #[inline]
    pub(crate) fn open(&mut self, record: &RecordOp) -> Result<(), DecodeError> {
        self.datum.enter()?;
        if let Some(problem) = record.problem {
            return Err(self.fail(problem));
        }
        let cost = self.default_bytes.saturating_add(record.default_cost);
        let max = self.datum.limits.default_bytes_max;
        if cost > max {
            return Err(over(self.datum.input.offset(), "bytes of defaults", max));
        }
        self.default_bytes = cost;
        Ok(())
    }

    pub(crate) fn fail(&self, problem: usize) -> DecodeError {
        self.plan.fail(self.datum.input.offset(), problem)
    }

    /// Reads the writer's symbol and gives the reader's.
    #[inline]
    pub(crate) fn symbol(
        &mut self,
        symbols: &[Option<u32>],
        problem: usize,
    ) -> Result<u32, DecodeError> {
        symbol(self.plan, &mut self.datum.input, symbols, problem)
    }

    /// Reads the writer's branches, if it is a union, down to an operation that is none.
    #[inline(always)]
    pub(crate) fn settle(&mut self, id: OpId) -> Result<&'p Op, DecodeError> {
        match self.plan.op(id) {
            Op::Union { branches, .. } => self.settle_union(branches),
            Op::Fail { problem } => Err(self.fail(*problem)),
            op => Ok(op),
        }
    }

    /// Reads the writer's branch, if it is a union: the operation to go on with.
    #[inline(always)]
    pub(crate) fn choose(&mut self, id: OpId) -> Result<OpId, DecodeError> {
        match self.plan.op(id) {
            Op::Union { branches, .. } => Ok(branches[self.datum.branch(branches.len())?]),
            _ => Ok(id),
        }
    }

    fn settle_union(&mut self, branches: &'p [OpId]) -> Result<&'p Op, DecodeError> {
        // No union holds a union.
        match self.plan.op(branches[self.datum.branch(branches.len())?]) {
            Op::Fail { problem } => Err(self.fail(*problem)),
            op => Ok(op),
        }
    }
}
