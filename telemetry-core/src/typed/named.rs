//! What derived records, enums and unions do to read themselves.

use super::Decode;
use super::scalar::other;
use crate::plan::{Op, Step};
use crate::wire::Reader;
use crate::{Cursor, Datum, DecodeError, DecodeLimits, OpId};

/// Where a plan takes a field of a record from.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum FieldFrom {
    /// The writer's field as it is.
    Same,
    /// What the plan makes of the writer's field.
    Op(OpId),
    /// A default of the plan.
    Constant(u32),
}

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
    #[inline]
    pub(crate) fn take<T: Decode<'a>>(&mut self, op: OpId) -> Result<T, DecodeError> {
        if self.plan.same(op) {
            T::read(&mut self.datum)
        } else {
            T::resolve(self, op)
        }
    }

    /// Reads a record: `set` takes each field of the reader once, in any order.
    #[doc(hidden)]
    #[inline(always)]
    pub fn read_fields(
        &mut self,
        op: OpId,
        name: &'static str,
        mut set: impl FnMut(&mut Self, u32, FieldFrom) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let Op::Record(record) = self.settle(op)? else {
            return Err(other(name));
        };
        self.open(record)?;
        for step in &record.steps {
            let (field, from) = match *step {
                Step::Skip(op) => {
                    self.skip(op)?;
                    continue;
                }
                Step::Set { field, op, same } if !same => (field, FieldFrom::Op(op)),
                Step::Set { field, .. } => (field, FieldFrom::Same),
                Step::Default { field, constant } => (field, FieldFrom::Constant(constant)),
            };
            set(self, field, from)?;
        }
        self.datum.leave();
        Ok(())
    }

    /// Reads a field of a record.
    #[doc(hidden)]
    #[inline(always)]
    pub fn field<T: Decode<'a>>(&mut self, from: FieldFrom) -> Result<T, DecodeError> {
        match from {
            FieldFrom::Same => T::read(&mut self.datum),
            FieldFrom::Op(op) => T::resolve(self, op),
            FieldFrom::Constant(constant) => self.default(constant),
        }
    }

    /// Reads a default: a datum of the reader, made and bounded when the plan was.
    #[inline(never)]
    fn default<T: Decode<'a>>(&self, constant: u32) -> Result<T, DecodeError> {
        let bytes = &self.plan.constant(constant).bytes;
        T::read(&mut Datum::new(Reader::new(bytes), DecodeLimits::default()))
    }

    /// Reads a symbol: its position in the reader's enum.
    #[doc(hidden)]
    #[inline]
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
    ) -> Result<(u32, FieldFrom), DecodeError> {
        match self.settle(op)? {
            Op::Wrap { branch, then } if self.plan.same(*then) => Ok((*branch, FieldFrom::Same)),
            Op::Wrap { branch, then } => Ok((*branch, FieldFrom::Op(*then))),
            _ => Err(other(name)),
        }
    }
}
