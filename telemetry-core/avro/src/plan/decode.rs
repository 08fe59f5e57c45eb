//! Flat steps over bytes.

use alloc::boxed::Box;

use super::flat::{Flat, Target};
use super::op::{Op, Step};
use super::{Fault, Incompatibility, Plan, Scalar};
use crate::wire::{Reader, WireError};
use crate::{FlatType, Primitive};

/// Takes the fields of a record as they are decoded: each field of the reader once, in any order.
///
/// Values borrow from the datum and from the plan's defaults, which both live for `'a`.
pub trait FieldSink<'a> {
    /// Takes the value of the reader's `field`, counted from 0.
    fn set(&mut self, field: usize, value: Scalar<'a>);
}

/// A datum that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are no datum of the writer's schema.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The plan leads to another type than the one asked for.
    #[error("the plan does not lead to {expected}: compile it for that reader")]
    OtherReader {
        /// The type asked for.
        expected: &'static str,
    },
    /// No record of this writer can be read.
    #[error("the reader's schema cannot read this writer's records: {problem}")]
    Incompatible {
        /// The first of [`Plan::problems`].
        problem: Box<Incompatibility>,
    },
    /// A field sink takes flat records only, and [`Plan::flat`] says what is not: use a derived
    /// struct, [`Plan::value`] or [`Plan::transcode`].
    #[error("a field sink takes flat records only")]
    NotFlat,
    /// The datum has what the reader has no place for.
    #[error("at byte {offset}: {problem}")]
    Problem {
        /// Where the value starts.
        offset: usize,
        /// Where in the reader's schema, why, and what to do: one of [`Plan::problems`].
        problem: Box<Incompatibility>,
    },
    /// Text that is no UUID, where the type of the field is one.
    #[error("at byte {offset}: the text is no UUID")]
    Uuid {
        /// Where the text starts.
        offset: usize,
    },
    /// A `decimal` of more digits than its type has, where columns are made of it.
    #[error("at byte {offset}: the decimal has more than {precision} digits")]
    Decimal {
        /// Where the decimal starts.
        offset: usize,
        /// Digits of the type.
        precision: u8,
    },
    /// A `duration` of more than 2³¹ months or days, which Arrow has no interval for.
    #[error("at byte {offset}: the duration has more than 2^31 months or days")]
    Duration {
        /// Where the duration starts.
        offset: usize,
    },
    /// A symbol that the writer's enum does not have.
    #[error("at byte {offset}: symbol {symbol} of an enum of {symbols}")]
    Symbol {
        /// Where the symbol starts.
        offset: usize,
        /// The position read.
        symbol: i64,
        /// Symbols of the enum.
        symbols: usize,
    },
    /// A block claims more items than the bytes that are left can hold.
    #[error("at byte {offset}: {left} bytes left cannot hold {count} items")]
    Count {
        /// Where the block starts.
        offset: usize,
        /// Items claimed.
        count: u64,
        /// Bytes that are left after the count.
        left: usize,
    },
    /// A block whose size in bytes is not what its items take.
    #[error("the block ends at byte {offset}, its size says {expected}")]
    Block {
        /// Where the items end.
        offset: usize,
        /// Where they should.
        expected: usize,
    },
    /// Over a bound of [`DecodeLimits`](super::DecodeLimits).
    #[error("at byte {offset}: {what} over the limit of {max}")]
    Limit {
        /// Where it was noticed.
        offset: usize,
        /// Which bound.
        what: &'static str,
        /// What is allowed.
        max: usize,
    },
}

crate::error_codes!(DecodeError {
    Wire(_) => 1050,
    Incompatible { .. } => 1052,
    OtherReader { .. } => 1053,
    NotFlat => 1054,
    Problem { .. } => 1055,
    Symbol { .. } => 1056,
    Count { .. } => 1057,
    Block { .. } => 1058,
    Limit { .. } => 1059,
    Uuid { .. } => 1048,
    Decimal { .. } => 1047,
    Duration { .. } => 1046,
});

impl Plan {
    /// Decodes one flat record, setting every field of the reader once.
    ///
    /// Where [`Plan::flat`] refuses, so does this. On an error the sink may have got some of the fields.
    #[inline]
    pub fn decode<'a>(
        &'a self,
        input: &mut Reader<'a>,
        sink: &mut impl FieldSink<'a>,
    ) -> Result<(), DecodeError> {
        self.fields(input, sink).map_err(|fault| self.error(fault))
    }

    #[inline]
    fn fields<'a>(
        &'a self,
        input: &mut Reader<'a>,
        sink: &mut impl FieldSink<'a>,
    ) -> Result<(), Fault> {
        let flat = match &self.flat {
            Ok(flat) => flat,
            Err(_) => return Err(Fault::NotFlat),
        };
        if flat.hopeless {
            return Err(Fault::Incompatible);
        }
        for step in &flat.steps {
            let offset = input.offset();
            let present = match step.wire.null_branch {
                None => step.wire.primitive != Primitive::Null,
                Some(null) => present(input, null)?,
            };
            match (step.target, present) {
                (None, false) => {}
                (None, true) => skip(input, step.wire.primitive)?,
                (Some(target), false) if target.null => sink.set(target.field, Scalar::Null),
                (
                    Some(Target {
                        field,
                        value: Some(to),
                        ..
                    }),
                    true,
                ) => sink.set(field, scalar(input, step.wire.primitive, to)?),
                (Some(target), present) => {
                    return Err(self.unresolved(target.field, step.wire, present, offset));
                }
            }
        }
        for (field, value) in &flat.defaults {
            sink.set(*field, Flat::default(value));
        }
        Ok(())
    }

    /// Why a flat field has no value: its operation, or that of the branch that was written, fails.
    #[cold]
    fn unresolved(&self, field: usize, wire: FlatType, present: bool, offset: usize) -> Fault {
        let Op::Record(record) = self.op(self.root) else {
            return Fault::NotFlat;
        };
        let set = record.steps.iter().find_map(|step| match step {
            Step::Set { field: f, op } if *f as usize == field => Some(*op),
            _ => None,
        });
        let mut op = set.map(|id| self.op(id));
        if let (Some(Op::Union { branches, .. }), Some(null)) = (op, wire.null_branch) {
            let branch = if present { 1 - null } else { null };
            op = branches.get(usize::from(branch)).map(|&id| self.op(id));
        }
        if let Some(Op::Wrap { then, .. }) = op {
            op = Some(self.op(*then));
        }
        match op {
            Some(Op::Fail { problem }) => Fault::Problem {
                offset,
                problem: *problem,
            },
            _ => Fault::NotFlat,
        }
    }
}

/// Reads a two-branch union's index: whether a value follows.
#[inline]
fn present(input: &mut Reader<'_>, null: u8) -> Result<bool, WireError> {
    let offset = input.offset();
    match input.long()? {
        branch @ 0..=1 => Ok(branch != i64::from(null)),
        branch => Err(WireError::Branch { offset, branch }),
    }
}

#[inline(always)]
pub(crate) fn skip(input: &mut Reader<'_>, primitive: Primitive) -> Result<(), WireError> {
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

/// Reads a value of the writer's type and gives it as the reader's, to which it promotes.
#[inline]
pub(super) fn scalar<'a>(
    input: &mut Reader<'a>,
    wire: Primitive,
    to: Primitive,
) -> Result<Scalar<'a>, WireError> {
    Ok(match wire {
        Primitive::Null => Scalar::Null,
        Primitive::Boolean => Scalar::Boolean(input.boolean()?),
        Primitive::Int => {
            let v = input.int()?;
            match to {
                Primitive::Long => Scalar::Long(i64::from(v)),
                Primitive::Float => Scalar::Float(v as f32),
                Primitive::Double => Scalar::Double(f64::from(v)),
                _ => Scalar::Int(v),
            }
        }
        Primitive::Long => {
            let v = input.long()?;
            match to {
                Primitive::Float => Scalar::Float(v as f32),
                Primitive::Double => Scalar::Double(v as f64),
                _ => Scalar::Long(v),
            }
        }
        Primitive::Float => {
            let v = input.float()?;
            match to {
                Primitive::Double => Scalar::Double(f64::from(v)),
                _ => Scalar::Float(v),
            }
        }
        Primitive::Double => Scalar::Double(input.double()?),
        Primitive::Bytes if to == Primitive::String => Scalar::String(input.string()?),
        Primitive::Bytes => Scalar::Bytes(input.bytes()?),
        Primitive::String if to == Primitive::Bytes => Scalar::Bytes(input.bytes()?),
        Primitive::String => Scalar::String(input.string()?),
    })
}
