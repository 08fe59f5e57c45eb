//! How many batches may be in flight: as many as the way to the receiver and back holds.

use core::time::Duration;

use telemetry_core::Instant;

/// A window of rate times round trip, measured round by round.
///
/// A round ends when a batch that was published in it is confirmed. The gain of two lets a window
/// that is the bottleneck double per round; where the link is the bottleneck, confirmations come
/// no faster and the window stays at two round trips' worth.
#[derive(Debug)]
pub(super) struct Window {
    batches: usize,
    most: usize,
    /// Shortest round trip on this link: longer ones waited in queues that the window filled.
    round_trip: Option<Duration>,
    /// Begin of the round.
    since: Instant,
    confirmed: u32,
    /// Whether the window held something back in the round.
    limited: bool,
}

impl Window {
    pub(super) fn new(first: usize, most: usize) -> Self {
        Self {
            batches: first.min(most).max(1),
            most: most.max(1),
            round_trip: None,
            since: Instant::default(),
            confirmed: 0,
            limited: false,
        }
    }

    /// Batches that may be in flight.
    pub(super) const fn batches(&self) -> usize {
        self.batches
    }

    /// Something had to wait for the window.
    pub(super) const fn limit(&mut self) {
        self.limited = true;
    }

    /// A batch published at `published` was confirmed.
    pub(super) fn confirm(&mut self, now: Instant, published: Instant) {
        let sample = now.saturating_since(published);
        let round_trip = self.round_trip.map_or(sample, |r| r.min(sample));
        self.round_trip = Some(round_trip);
        self.confirmed += 1;
        if published < self.since {
            return;
        }
        let elapsed = now.saturating_since(self.since).as_nanos();
        // A round that the window did not limit says what was offered, not what the link takes.
        if self.limited && elapsed > 0 {
            let held = u128::from(self.confirmed) * round_trip.as_nanos() / elapsed;
            let target = usize::try_from(held.saturating_mul(2)).unwrap_or(usize::MAX);
            self.batches = target.clamp(1, self.most);
        }
        self.begin(now);
    }

    /// Nothing came in time.
    pub(super) fn shrink(&mut self) {
        self.batches = (self.batches / 2).max(1);
    }

    /// A new link measures anew.
    pub(super) fn new_link(&mut self, now: Instant) {
        self.round_trip = None;
        self.begin(now);
    }

    fn begin(&mut self, now: Instant) {
        self.since = now;
        self.confirmed = 0;
        self.limited = false;
    }
}
