//! The steps of a record: all that the executors ask of a field, in one place.
//!
//! A compiled plan keeps one list for each record. A derived struct jumps by [`Step::code`]; columns and
//! field sinks look at [`Step::null`] and [`Step::take`], so that most values need one choice; whoever
//! needs no speed asks [`Step::way`]. A new way for a field to come is one variant here.

use super::op::{Op, OpId};
use super::promotion::Promotion;
use crate::Primitive;

/// One field of a record, of the writer or of the reader.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Four times the reader's field, and how it comes. A skip has a field that no record has.
    pub code: u32,
    /// The operation, or the default of the plan.
    pub operand: u32,
    /// The operation of a value that is not null.
    pub(crate) value: OpId,
    pub(crate) null: Null,
    pub(crate) take: Take,
}

/// Where a field comes from and where it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// The writer's field goes nowhere.
    Skip(OpId),
    /// The writer's field becomes this field of the reader.
    Set { field: usize, op: OpId },
    /// The reader's field takes a default of the plan.
    Default { field: usize, constant: u32 },
}

/// How a field is null.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
pub(crate) enum Null {
    /// It cannot be.
    Never,
    /// By the first branch of the writer's union of two.
    First,
    /// By the second.
    Second,
    /// The reader's field is nullable, the writer's is not.
    Unwritten,
}

/// What is done with what is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Take {
    /// A value without parts.
    Scalar(Promotion),
    /// A symbol, by the table of the operation.
    Symbol,
    /// A union whose branches have known sizes, that is passed.
    Sizes,
    /// A default.
    Default,
    /// Anything else, by its operation.
    Parts,
}

impl Step {
    /// The field as it was written.
    pub(crate) const SAME: u32 = 0;
    /// The field as the operation resolves it.
    pub(crate) const RESOLVED: u32 = 1;
    /// The default.
    pub(crate) const DEFAULT: u32 = 2;
    const SKIP: u32 = 3;
    const NO_FIELD: usize = (u32::MAX / 4) as usize;

    /// A step as far as it is known before all operations are.
    pub(super) const fn new(way: Way) -> Self {
        let (field, how, operand) = match way {
            Way::Skip(op) => (Self::NO_FIELD, Self::SKIP, op),
            Way::Set { field, op } => (field, Self::RESOLVED, op),
            Way::Default { field, constant } => (field, Self::DEFAULT, constant),
        };
        Self {
            code: field as u32 * 4 + how,
            operand,
            value: operand,
            null: Null::Never,
            take: Take::Parts,
        }
    }

    /// The reader's field; past all fields for a skip.
    #[inline(always)]
    pub(crate) const fn field(&self) -> usize {
        (self.code / 4) as usize
    }

    #[inline(always)]
    pub(crate) const fn is_skip(&self) -> bool {
        self.code % 4 == Self::SKIP
    }

    #[inline]
    pub(crate) const fn way(&self) -> Way {
        let field = self.field();
        match self.code % 4 {
            Self::SKIP => Way::Skip(self.operand),
            Self::DEFAULT => Way::Default {
                field,
                constant: self.operand,
            },
            _ => Way::Set {
                field,
                op: self.operand,
            },
        }
    }
}

/// Completes the steps of all records; `same` says which operations give what they read as it is.
pub(super) fn complete(ops: &mut [Op], same: &[bool]) {
    for i in 0..ops.len() {
        let Op::Record(record) = &ops[i] else {
            continue;
        };
        let steps = record.steps.iter().map(|step| completed(ops, same, step));
        let steps = steps.collect();
        if let Op::Record(record) = &mut ops[i] {
            record.steps = steps;
        }
    }
}

fn completed(ops: &[Op], same: &[bool], step: &Step) -> Step {
    let take = |op: OpId| Take::of(&ops[op as usize]);
    match step.way() {
        Way::Skip(op) => Step {
            take: take(op),
            ..*step
        },
        Way::Default { .. } => Step {
            take: Take::Default,
            ..*step
        },
        Way::Set { field, op } => {
            let how = match same[op as usize] {
                true => Step::SAME,
                false => Step::RESOLVED,
            };
            let (null, value) = Null::of(ops, op).unwrap_or((Null::Never, op));
            Step {
                code: field as u32 * 4 + how,
                operand: op,
                value,
                null,
                take: take(value),
            }
        }
    }
}

impl Null {
    /// How a field is null that becomes a branch of the reader's union, and the operation of its other
    /// values.
    fn of(ops: &[Op], op: OpId) -> Option<(Self, OpId)> {
        let value = |op: OpId| match &ops[op as usize] {
            Op::Wrap { then, .. } => Some(*then),
            _ => None,
        };
        let is_null = |op: OpId| matches!(&ops[op as usize], Op::Scalar(Promotion::Null));
        if let Op::Union { branches, .. } = &ops[op as usize] {
            let [first, second] = branches[..] else {
                return None;
            };
            let (first, second) = (value(first)?, value(second)?);
            return match (is_null(first), is_null(second)) {
                (true, false) => Some((Self::First, second)),
                (false, true) => Some((Self::Second, first)),
                _ => None,
            };
        }
        let value = value(op)?;
        (!is_null(value)).then_some((Self::Unwritten, value))
    }

    /// The branch of the writer's union that is null.
    #[inline(always)]
    pub(crate) const fn branch(self) -> Option<usize> {
        match self {
            Self::First => Some(0),
            Self::Second => Some(1),
            Self::Never | Self::Unwritten => None,
        }
    }
}

impl Take {
    fn of(op: &Op) -> Self {
        match op {
            Op::Scalar(promotion) => Self::Scalar(*promotion),
            Op::Enum { .. } => Self::Symbol,
            Op::Union { sizes, .. } if !sizes.is_empty() => Self::Sizes,
            _ => Self::Parts,
        }
    }
}

/// The bytes that a value without parts always takes.
pub(super) const fn width(wire: Primitive) -> Option<usize> {
    match wire {
        Primitive::Null => Some(0),
        Primitive::Float => Some(4),
        Primitive::Double => Some(8),
        _ => None,
    }
}
