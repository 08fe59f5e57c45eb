//! Reading past what goes nowhere.

use crate::Primitive;
use crate::plan::op::{Op, OpId, RecordOp};
use crate::plan::program::Way;
use crate::plan::{Cursor, DecodeError};
use crate::wire::{Reader, WireError};

/// Reads past a value without parts.
#[inline(always)]
pub(in crate::plan) fn skip(input: &mut Reader<'_>, primitive: Primitive) -> Result<(), WireError> {
    match primitive {
        Primitive::Null => {}
        Primitive::Boolean => drop(input.boolean()?),
        // Four bytes hold 28 bits, eight hold 56.
        Primitive::Int if input.pass_varint(4) => {}
        Primitive::Long if input.pass_varint(8) => {}
        Primitive::Int => drop(input.int()?),
        Primitive::Long => drop(input.long()?),
        Primitive::Float => drop(input.take(4)?),
        Primitive::Double => drop(input.take(8)?),
        Primitive::Bytes | Primitive::String => drop(input.bytes()?),
    }
    Ok(())
}

impl Cursor<'_, '_> {
    /// Reads a value that goes nowhere. Skipped text is not checked to be UTF-8.
    ///
    /// What has parts is read by calls of its own, so that the rest needs none.
    pub(crate) fn skip(&mut self, id: OpId) -> Result<(), DecodeError> {
        match self.plan.op(id) {
            Op::Scalar(promotion) => promotion.skip(&mut self.datum.input)?,
            Op::Fixed { size } => drop(self.datum.input.take(*size)?),
            Op::Enum { symbols, .. } => drop(self.datum.symbol(symbols.len())?),
            Op::Union { branches, sizes } => {
                let branch = self.datum.branch(branches.len())?;
                match sizes.get(branch) {
                    Some(&size) => drop(self.datum.input.take(size)?),
                    None => return self.skip(branches[branch]),
                }
            }
            Op::Array { item, min } => return self.skip_blocks(*item, *min, false),
            Op::Map { value, min } => return self.skip_blocks(*value, *min, true),
            Op::Record(record) => return self.skip_fields(record),
            Op::Wrap { then, .. } => return self.skip(*then),
            Op::Fail { problem } => return Err(self.fail(*problem)),
        }
        Ok(())
    }

    fn skip_fields(&mut self, record: &RecordOp) -> Result<(), DecodeError> {
        self.datum.enter()?;
        for step in &record.steps {
            if let Way::Skip(op) | Way::Set { op, .. } = step.way() {
                self.skip(op)?;
            }
        }
        self.datum.leave();
        Ok(())
    }

    /// Skips items of at least `min` bytes, each behind a key if there are `keys`.
    fn skip_blocks(&mut self, item: OpId, min: u32, keys: bool) -> Result<(), DecodeError> {
        self.datum.enter()?;
        while let Some(block) = self.datum.block(min as usize)? {
            if self.datum.jump(&block)? {
                continue;
            }
            for _ in 0..block.count {
                if keys {
                    self.datum.input.bytes()?;
                }
                self.skip(item)?;
            }
        }
        self.datum.leave();
        Ok(())
    }
}
