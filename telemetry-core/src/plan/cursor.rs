//! What every executor of a plan shares: position, limits, blocks, skipping.

use super::decode::scalar;
use super::op::{Op, OpId, RecordOp, Step};
use super::{DecodeError, Plan, Scalar};
use crate::Primitive;
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

/// A datum being read by a plan.
pub(super) struct Cursor<'p, 'r, 'a> {
    pub(super) plan: &'p Plan,
    pub(super) input: &'r mut Reader<'a>,
    limits: DecodeLimits,
    depth: usize,
    zero_width: usize,
    default_bytes: usize,
}

/// A block of an array or a map.
pub(super) struct Block {
    pub(super) count: usize,
    /// Where it ends, if the writer said so.
    end: Option<usize>,
}

impl<'p, 'r, 'a> Cursor<'p, 'r, 'a> {
    pub(super) const fn new(
        plan: &'p Plan,
        input: &'r mut Reader<'a>,
        limits: DecodeLimits,
    ) -> Self {
        Self {
            plan,
            input,
            limits,
            depth: 0,
            zero_width: 0,
            default_bytes: 0,
        }
    }

    fn over(&self, what: &'static str, max: usize) -> DecodeError {
        DecodeError::Limit {
            offset: self.input.offset(),
            what,
            max,
        }
    }

    pub(super) fn enter(&mut self) -> Result<(), DecodeError> {
        if self.depth >= self.limits.depth_max {
            return Err(self.over("nesting", self.limits.depth_max));
        }
        self.depth += 1;
        Ok(())
    }

    pub(super) const fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Enters a record and pays for its defaults.
    pub(super) fn open(&mut self, record: &RecordOp) -> Result<(), DecodeError> {
        self.enter()?;
        if let Some(problem) = record.problem {
            return Err(self.fail(problem));
        }
        let cost = self.default_bytes.saturating_add(record.default_cost);
        if cost > self.limits.default_bytes_max {
            return Err(self.over("bytes of defaults", self.limits.default_bytes_max));
        }
        self.default_bytes = cost;
        Ok(())
    }

    pub(super) fn fail(&self, problem: usize) -> DecodeError {
        DecodeError::Problem {
            offset: self.input.offset(),
            problem,
        }
    }

    pub(super) fn scalar(
        &mut self,
        wire: Primitive,
        to: Primitive,
    ) -> Result<Scalar<'a>, DecodeError> {
        Ok(scalar(self.input, wire, to)?)
    }

    /// Reads the writer's symbol and gives the reader's.
    pub(super) fn symbol(
        &mut self,
        symbols: &[Option<u32>],
        problem: usize,
    ) -> Result<u32, DecodeError> {
        let offset = self.input.offset();
        let symbol = self.input.long()?;
        match usize::try_from(symbol).ok().and_then(|i| symbols.get(i)) {
            Some(Some(symbol)) => Ok(*symbol),
            Some(None) => Err(DecodeError::Problem { offset, problem }),
            None => Err(DecodeError::Symbol {
                offset,
                symbol,
                symbols: symbols.len(),
            }),
        }
    }

    /// Reads the writer's branch and gives its operation.
    pub(super) fn branch(&mut self, branches: &[OpId]) -> Result<OpId, DecodeError> {
        let offset = self.input.offset();
        let branch = self.input.long()?;
        usize::try_from(branch)
            .ok()
            .and_then(|i| branches.get(i).copied())
            .ok_or_else(|| WireError::Branch { offset, branch }.into())
    }

    /// The next block of items of at least `min` bytes; `None` at the end.
    pub(super) fn block(&mut self, min: u32) -> Result<Option<Block>, DecodeError> {
        let offset = self.input.offset();
        let written = self.input.long()?;
        if written == 0 {
            return Ok(None);
        }
        let end = if written < 0 {
            let size = self.input.long()?;
            let start = self.input.offset();
            match usize::try_from(size) {
                Ok(size) if size <= self.input.rest().len() => Some(start + size),
                _ => return Err(WireError::Length { offset, len: size }.into()),
            }
        } else {
            None
        };
        let left = self.input.rest().len();
        let too_many = DecodeError::Count {
            offset,
            count: written.unsigned_abs(),
            left,
        };
        let Ok(count) = usize::try_from(written.unsigned_abs()) else {
            return Err(too_many);
        };
        match min {
            0 => {
                self.zero_width = self.zero_width.saturating_add(count);
                if self.zero_width > self.limits.zero_width_max {
                    return Err(self.over("items without bytes", self.limits.zero_width_max));
                }
            }
            min if count > left / min as usize => return Err(too_many),
            _ => {}
        }
        Ok(Some(Block { count, end }))
    }

    /// Checks that a block ends where its writer said.
    pub(super) fn close(&self, block: Block) -> Result<(), DecodeError> {
        match block.end {
            Some(expected) if expected != self.input.offset() => Err(DecodeError::Block {
                offset: self.input.offset(),
                expected,
            }),
            _ => Ok(()),
        }
    }

    /// Reads a value that goes nowhere. Skipped text is not checked to be UTF-8.
    pub(super) fn skip(&mut self, id: OpId) -> Result<(), DecodeError> {
        let plan = self.plan;
        match plan.op(id) {
            Op::Scalar { wire, .. } => super::decode::skip(self.input, *wire)?,
            Op::Fixed { size } => drop(self.input.take(*size)?),
            Op::Enum { symbols, problem } => drop(self.symbol(symbols, *problem)?),
            Op::Array { item, min } => {
                self.enter()?;
                while let Some(block) = self.block(*min)? {
                    self.skip_block(block, *item, false)?;
                }
                self.leave();
            }
            Op::Map { value, min } => {
                self.enter()?;
                while let Some(block) = self.block(*min)? {
                    self.skip_block(block, *value, true)?;
                }
                self.leave();
            }
            Op::Union { branches } => {
                let branch = self.branch(branches)?;
                self.skip(branch)?;
            }
            Op::Wrap { then, .. } => self.skip(*then)?,
            Op::Record(record) => {
                self.enter()?;
                for step in &record.steps {
                    if let Step::Skip(op) | Step::Set { op, .. } = *step {
                        self.skip(op)?;
                    }
                }
                self.leave();
            }
            Op::Fail { problem } => return Err(self.fail(*problem)),
        }
        Ok(())
    }

    fn skip_block(&mut self, block: Block, item: OpId, keys: bool) -> Result<(), DecodeError> {
        if let Some(end) = block.end {
            self.input.take(end - self.input.offset())?;
            return Ok(());
        }
        for _ in 0..block.count {
            if keys {
                self.input.bytes()?;
            }
            self.skip(item)?;
        }
        Ok(())
    }
}
