//! From a series to scores, and by a rule to events.
//!
//! A detector sees each value once, in order, never looks ahead and needs constant memory. Its
//! score is an opinion; only a declared [`Rule`](crate::Rule), through a [`Watch`], makes an
//! exception of it.

mod range;
mod watch;

pub use range::{RangeBreak, RangeBreakConfig};
pub use watch::Watch;

/// What a detector thinks of one value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// How far outside of its own history, in widths of that history; 0 = inside.
    pub excess: f64,
    /// The worst of a while: says once what a long excursion would repeat.
    pub fresh: bool,
}
