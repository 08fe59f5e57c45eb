//! Why a datum cannot be read, as callers see it.

use alloc::boxed::Box;

use super::Incompatibility;
use crate::wire::WireError;

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
        /// The first of [`Plan::problems`](crate::Plan::problems).
        problem: Box<Incompatibility>,
    },
    /// A field sink takes flat records only, and [`Plan::flat`](crate::Plan::flat) says what is not: use
    /// a derived struct, [`Plan::decode_tree`](crate::Plan::decode_tree) or
    /// [`Plan::value`](crate::Plan::value).
    #[error("a field sink takes flat records only")]
    NotFlat,
    /// The datum has what the reader has no place for.
    #[error("at byte {offset}: {problem}")]
    Problem {
        /// Where the value starts.
        offset: usize,
        /// Where in the reader's schema, why, and what to do: one of
        /// [`Plan::problems`](crate::Plan::problems).
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
