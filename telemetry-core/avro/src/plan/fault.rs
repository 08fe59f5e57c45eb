//! Why a datum cannot be read, as the executors tell each other.

use alloc::boxed::Box;

use super::{DecodeError, Plan};
use crate::wire::WireError;

/// Why a datum cannot be read, by positions in its plan.
///
/// It owns nothing, so that a result costs nothing to drop where all is well; what a caller gets is a
/// [`DecodeError`], which says path and rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// [`DecodeError::Wire`].
    Wire(WireError),
    /// [`DecodeError::OtherReader`].
    OtherReader {
        /// The type asked for.
        expected: &'static str,
    },
    /// [`DecodeError::Problem`].
    Problem {
        /// Where the value starts.
        offset: usize,
        /// Position in [`Plan::problems`].
        problem: usize,
    },
    /// [`DecodeError::Incompatible`].
    Incompatible,
    /// [`DecodeError::NotFlat`].
    NotFlat,
    /// [`DecodeError::Uuid`].
    Uuid {
        /// Where the text starts.
        offset: usize,
    },
    /// [`DecodeError::Decimal`].
    Decimal {
        /// Where the decimal starts.
        offset: usize,
        /// Digits of the type.
        precision: u8,
    },
    /// [`DecodeError::Duration`].
    Duration {
        /// Where the duration starts.
        offset: usize,
    },
    /// [`DecodeError::Symbol`].
    Symbol {
        /// Where the symbol starts.
        offset: usize,
        /// The position read.
        symbol: i64,
        /// Symbols of the enum.
        symbols: usize,
    },
    /// [`DecodeError::Count`].
    Count {
        /// Where the block starts.
        offset: usize,
        /// Items claimed.
        count: u64,
        /// Bytes that are left after the count.
        left: usize,
    },
    /// [`DecodeError::Block`].
    Block {
        /// Where the items end.
        offset: usize,
        /// Where they should.
        expected: usize,
    },
    /// [`DecodeError::Limit`].
    Limit {
        /// Where it was noticed.
        offset: usize,
        /// Which bound.
        what: &'static str,
        /// What is allowed.
        max: usize,
    },
}

impl From<WireError> for Fault {
    #[inline]
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Plan {
    /// What a fault of this plan's executors means.
    #[cold]
    #[inline(never)]
    pub(crate) fn error(&self, fault: Fault) -> DecodeError {
        let problem = |at: usize| self.problems.get(at).cloned().map(Box::new);
        match fault {
            Fault::Problem {
                offset,
                problem: at,
            } => match problem(at) {
                Some(problem) => DecodeError::Problem { offset, problem },
                None => fault.into(),
            },
            Fault::Incompatible => match problem(0) {
                Some(problem) => DecodeError::Incompatible { problem },
                None => fault.into(),
            },
            _ => fault.into(),
        }
    }
}

impl From<Fault> for DecodeError {
    /// What a fault means where no plan is known; then nothing resolves, and there are no problems.
    #[cold]
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Wire(error) => Self::Wire(error),
            Fault::OtherReader { expected } => Self::OtherReader { expected },
            Fault::Problem { .. } | Fault::Incompatible => Self::OtherReader {
                expected: "what was written",
            },
            Fault::NotFlat => Self::NotFlat,
            Fault::Uuid { offset } => Self::Uuid { offset },
            Fault::Decimal { offset, precision } => Self::Decimal { offset, precision },
            Fault::Duration { offset } => Self::Duration { offset },
            Fault::Symbol {
                offset,
                symbol,
                symbols,
            } => Self::Symbol {
                offset,
                symbol,
                symbols,
            },
            Fault::Count {
                offset,
                count,
                left,
            } => Self::Count {
                offset,
                count,
                left,
            },
            Fault::Block { offset, expected } => Self::Block { offset, expected },
            Fault::Limit { offset, what, max } => Self::Limit { offset, what, max },
        }
    }
}
