//! The name of a batch between a spool, a sender and a publisher.

use core::cmp::Ordering;
use core::fmt;

use telemetry_core::Epoch;

/// Names a batch for as long as anybody may speak of it.
///
/// A spool numbers the batches that it hands out from 1 at every opening, so a number alone would
/// name another batch after the next opening. `opening` is the epoch of the opening that *hands
/// out* the batch, which is a later one than that of its records when they were left over.
///
/// Ids of one opening have an order: that in which it hands batches out. Ids of two openings have
/// none, since the epoch of a device without a synchronised clock does not grow. So `a <= b` is
/// false for them, and "everything up to `b` is confirmed" says nothing about `a`.
///
/// ```
/// use telemetry_transport::BatchId;
/// use telemetry_transport::telemetry_core::Epoch;
///
/// let (opening, next) = (Epoch::new(7)?, Epoch::new(8)?);
/// assert!(BatchId::new(opening, 1) < BatchId::new(opening, 2));
/// assert_eq!(BatchId::new(opening, 1).partial_cmp(&BatchId::new(next, 1)), None);
/// # Ok::<(), telemetry_transport::telemetry_core::IdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId {
    /// Epoch of the opening that hands the batch out.
    pub opening: Epoch,
    /// Number of the batch within the opening; it grows.
    pub number: u64,
}

impl BatchId {
    /// A name; batches that no spool hands out have an epoch of their maker's choice.
    pub const fn new(opening: Epoch, number: u64) -> Self {
        Self { opening, number }
    }
}

impl PartialOrd for BatchId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.opening == other.opening).then(|| self.number.cmp(&other.number))
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of opening {}", self.number, self.opening)
    }
}
