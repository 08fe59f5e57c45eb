//! What derived records, enums and unions do to read themselves.

use super::scalar::other;
use super::{Decode, DecodeError};
use crate::plan::{Op, Step};
use crate::wire::Reader;
use crate::{Cursor, Datum, DecodeLimits, OpId};

impl<'a> Datum<'a> {
    /// Reads a record.
    #[doc(hidden)]
    #[inline]
    pub fn record<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.enter()?;
        let record = read(self)?;
        self.leave();
        Ok(record)
    }

    /// Reads which of an enum's symbols it is.
    #[doc(hidden)]
    #[inline]
    pub fn position_of_symbol(&mut self, symbols: usize) -> Result<usize, DecodeError> {
        self.symbol(symbols)
    }

    /// Reads which of a union's branches follows.
    #[doc(hidden)]
    #[inline]
    pub fn position_of_branch(&mut self, branches: usize) -> Result<usize, DecodeError> {
        self.branch(branches)
    }
}

impl<'a> Cursor<'a, 'a> {
    /// Reads a value of a derived type.
    #[inline(always)]
    pub(crate) fn take<T: Decode<'a>>(&mut self, op: OpId) -> Result<T, DecodeError> {
        if self.plan.same(op) {
            T::read(&mut self.datum)
        } else {
            T::resolve(self, op)
        }
    }

    /// Enters a record: gives the way of each field of the reader, and of what is skipped.
    #[doc(hidden)]
    #[inline(always)]
    pub fn open_record(&mut self, op: OpId, name: &'static str) -> Result<&'a [Step], DecodeError> {
        let Op::Record(record) = self.settle(op)? else {
            return Err(other(name));
        };
        self.open(record)?;
        Ok(&record.steps)
    }

    /// Leaves a record.
    #[doc(hidden)]
    #[inline(always)]
    pub const fn close_record(&mut self) {
        self.datum.leave();
    }

    /// Reads a value as it was written.
    #[doc(hidden)]
    #[inline(always)]
    pub fn same<T: Decode<'a>>(&mut self) -> Result<T, DecodeError> {
        T::read(&mut self.datum)
    }

    /// Reads a value of a branch.
    #[doc(hidden)]
    #[inline]
    pub fn branch<T: Decode<'a>>(&mut self, op: OpId) -> Result<T, DecodeError> {
        self.take(op)
    }

    /// Reads a field that comes as its operation resolves it, or takes its default.
    ///
    /// A call for each type instead of code for each field: a record's loop stays small enough for the
    /// processor's cache of instructions, and for its caller to take it in.
    #[doc(hidden)]
    #[inline(never)]
    pub fn made<T: Decode<'a>>(&mut self, step: &Step) -> Result<T, DecodeError> {
        if step.code % 4 == Step::RESOLVED {
            return T::resolve(self, step.operand);
        }
        // A datum of the reader, made and bounded when the plan was.
        let bytes = &self.plan.constant(step.operand).bytes;
        T::read(&mut Datum::new(Reader::new(bytes), DecodeLimits::default()))
    }

    /// Reads a symbol: its position in the reader's enum.
    #[doc(hidden)]
    #[inline(always)]
    pub fn reader_symbol(&mut self, op: OpId, name: &'static str) -> Result<usize, DecodeError> {
        match self.settle(op)? {
            Op::Enum { symbols, problem } => Ok(self.symbol(symbols, *problem)? as usize),
            _ => Err(other(name)),
        }
    }

    /// Reads what becomes a branch of the reader's union: its position, and how to go on.
    #[doc(hidden)]
    #[inline]
    pub fn reader_branch(
        &mut self,
        op: OpId,
        name: &'static str,
    ) -> Result<(u32, OpId), DecodeError> {
        match self.settle(op)? {
            Op::Wrap { branch, then } => Ok((*branch, *then)),
            _ => Err(other(name)),
        }
    }
}

impl Cursor<'_, '_> {
    /// Reads past a field that goes nowhere.
    #[doc(hidden)]
    #[inline(always)]
    pub fn pass(&mut self, op: OpId) -> Result<(), DecodeError> {
        match self.plan.op(op) {
            Op::Scalar(promotion) => Ok(promotion.skip(&mut self.datum.input)?),
            Op::Union { sizes, .. } if !sizes.is_empty() => {
                let branch = self.datum.branch(sizes.len())?;
                self.datum.input.take(sizes[branch])?;
                Ok(())
            }
            _ => self.skip(op),
        }
    }
}
