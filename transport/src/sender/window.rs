//! How many batches may be in flight: as many as the way to the receiver and back holds.

use core::time::Duration;

use telemetry_core::Instant;

/// What was known when a batch was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    published: Instant,
    /// Confirmations until then.
    confirmed: u64,
}

/// A window of rate times round trip, measured round by round.
///
/// What is confirmed while one batch is on its way, scaled to the shortest round trip, is what the
/// link holds. A gain of two lets a window that is the bottleneck double per round; where the
/// link is the bottleneck, confirmations come no faster and the window stays.
///
/// It does not go below its beginning: a receiver that syncs what came together takes more at once
/// the more is on the way, which one round trip alone does not show.
#[derive(Debug)]
pub(super) struct Window {
    batches: usize,
    first: usize,
    most: usize,
    /// Shortest round trip on this link: longer ones waited in queues that the window filled.
    round_trip: Option<Duration>,
    confirmed: u64,
    /// Begin of the round, first with a confirmation; it ends with that of a batch published later.
    since: Option<Instant>,
    /// Most batches that the link held in the round.
    held: u128,
    /// Whether the window held something back in the round.
    limited: bool,
}

impl Window {
    pub(super) fn new(first: usize, most: usize) -> Self {
        let most = most.max(1);
        let first = first.clamp(1, most);
        Self {
            batches: first,
            first,
            most,
            round_trip: None,
            confirmed: 0,
            since: None,
            held: 0,
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

    /// A batch is published.
    pub(super) const fn publish(&self, now: Instant) -> Flight {
        Flight {
            published: now,
            confirmed: self.confirmed,
        }
    }

    /// A batch was confirmed.
    pub(super) fn confirm(&mut self, now: Instant, flight: Flight) {
        let trip = now.saturating_since(flight.published);
        let shortest = self.round_trip.map_or(trip, |r| r.min(trip));
        self.round_trip = Some(shortest);
        self.confirmed += 1;
        let meanwhile = u128::from(self.confirmed - flight.confirmed);
        if !trip.is_zero() {
            let held = meanwhile * shortest.as_nanos() / trip.as_nanos();
            self.held = self.held.max(held);
        }
        if flight.published <= *self.since.get_or_insert(now) {
            return;
        }
        // A round that the window did not limit says what was offered, not what the link takes.
        if self.limited && self.held > 0 {
            let target = usize::try_from(self.held * 2).unwrap_or(usize::MAX);
            self.batches = target.clamp(self.first, self.most);
        }
        self.begin(Some(now));
    }

    /// Nothing came in time.
    pub(super) fn shrink(&mut self) {
        self.batches = (self.batches / 2).max(1);
    }

    /// A new link measures anew.
    pub(super) const fn new_link(&mut self) {
        self.round_trip = None;
        self.begin(None);
    }

    const fn begin(&mut self, since: Option<Instant>) {
        self.since = since;
        self.held = 0;
        self.limited = false;
    }
}
