//! The operations of a plan: a flat list in which records, arrays and unions call by position.

use alloc::boxed::Box;

use super::program::Step;
use super::promotion::Promotion;

/// Position of an operation in its plan. Recursive types are operations that call each other.
pub type OpId = u32;

/// How to read one type of the writer.
///
/// With a tag of its own, which every executor looks at for every value.
#[derive(Clone, Debug)]
#[repr(u8)]
pub(crate) enum Op {
    /// Reads a value without parts.
    Scalar(Promotion),
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
    /// Whether the steps set the reader's fields in the reader's order.
    pub(crate) in_order: bool,
    /// What the defaults of one record cost, in encoded bytes, at least one each.
    pub(crate) default_cost: usize,
    /// The problem that makes every such record unreadable.
    pub(crate) problem: Option<usize>,
}
