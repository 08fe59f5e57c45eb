//! How long a confirmation may take: longer on a way that has shown to be slow.

use core::time::Duration;

/// A time-out that doubles when it was too short, and learns from what came in time.
///
/// Bytes that were handed to the operating system may wait in front of a slow link, in buffers that
/// nobody can look into: a batch of 64 KiB takes 55 s at 9,600 bit/s. A fixed time-out below that
/// sends the same batch for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    least: Duration,
    most: Duration,
    limit: Duration,
}

impl Patience {
    pub(super) fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most: most.max(least),
            limit: least,
        }
    }

    /// Longest time without progress.
    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    /// It was too short, as far as anybody knows.
    pub(super) fn expire(&mut self) {
        self.limit = (self.limit * 2).min(self.most);
    }

    /// A confirmation came after a time without progress: twice of it is enough the next time. What
    /// was learned is forgotten by an eighth with every confirmation that came sooner.
    pub(super) fn confirm(&mut self, took: Duration) {
        let learned = (took * 2).max(self.limit - self.limit / 8);
        self.limit = learned.clamp(self.least, self.most);
    }
}
