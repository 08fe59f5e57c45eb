//! The operations of a plan: a flat list in which records, arrays and unions call by position.

use alloc::boxed::Box;

use crate::Primitive;

/// Position of an operation in its plan. Recursive types are operations that call each other.
pub type OpId = u32;

/// How to read one type of the writer.
///
/// With a tag of its own, which every executor looks at for every value.
#[derive(Clone, Debug)]
#[repr(u8)]
pub(crate) enum Op {
    /// Reads `wire` and gives it as `to`.
    Scalar { wire: Primitive, to: Primitive },
    /// Reads so many bytes.
    Fixed { size: usize },
    /// Reads a symbol: for each of the writer's the reader's, if it has one.
    Enum {
        symbols: Box<[Option<u32>]>,
        problem: usize,
    },
    /// Reads blocks of items that take at least `min` bytes each.
    Array { item: OpId, min: u32 },
    /// Reads blocks of keys and values that take at least `min` bytes a pair.
    Map { value: OpId, min: u32 },
    /// Reads the writer's branch and goes on with the operation of that branch.
    Union {
        branches: Box<[OpId]>,
        /// The bytes that each branch takes, if every one always takes as many; else nothing.
        sizes: Box<[usize]>,
    },
    /// Reads nothing: what `then` gives becomes this branch of the reader's union.
    Wrap { branch: u32, then: OpId },
    /// Reads a record's fields.
    Record(RecordOp),
    /// Cannot go on: the datum has what the reader has no place for.
    Fail { problem: usize },
}

/// How to read a record.
#[derive(Clone, Debug)]
pub(crate) struct RecordOp {
    /// Fields of the reader's record.
    pub(crate) fields: usize,
    /// In the writer's order; defaults stand between them where that is the reader's order too.
    pub(crate) steps: Box<[Step]>,
    /// The steps as derived records take them.
    pub(crate) moves: Box<[Move]>,
    /// Whether the steps set the reader's fields in the reader's order.
    pub(crate) in_order: bool,
    /// What the defaults of one record cost, in encoded bytes, at least one each.
    pub(crate) default_cost: usize,
    /// The problem that makes every such record unreadable.
    pub(crate) problem: Option<usize>,
}

/// One field of a record, of the writer or of the reader.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The writer's field goes nowhere.
    Skip(OpId),
    /// The writer's field becomes this field of the reader.
    Set { field: u32, op: OpId },
    /// The reader's field takes a default of the plan.
    Default { field: u32, constant: u32 },
}

/// A step in two numbers, so that a derived record takes it in one jump.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Four times the reader's field, and how it comes; other numbers stand for a skip.
    pub code: u32,
    /// The operation, or the default of the plan.
    pub operand: u32,
}

impl Move {
    /// The field as it was written.
    pub(crate) const SAME: u32 = 0;
    /// The field as the operation resolves it.
    pub(crate) const RESOLVED: u32 = 1;
    /// The default.
    pub(crate) const DEFAULT: u32 = 2;

    /// `same` says which operations give what they read as it is.
    pub(crate) fn of(step: &Step, same: &[bool]) -> Self {
        let (field, how, operand) = match *step {
            // The last of the four ways is nobody's.
            Step::Skip(op) => (0, 3, op),
            Step::Set { field, op } if same[op as usize] => (field, Self::SAME, op),
            Step::Set { field, op } => (field, Self::RESOLVED, op),
            Step::Default { field, constant } => (field, Self::DEFAULT, constant),
        };
        Self {
            code: field * 4 + how,
            operand,
        }
    }
}
