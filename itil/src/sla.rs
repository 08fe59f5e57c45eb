//! SLA clocks: what runs, what pauses, when to warn and when a target is missed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry_core::Timestamp;

/// The hours in which a clock counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Calendar {
    /// 24 × 7: elapsed time is wall time, in every time zone.
    #[default]
    Always,
}

impl Calendar {
    /// The working time between two moments, zero if `to` is earlier.
    pub const fn elapsed(self, from: Timestamp, to: Timestamp) -> Duration {
        match self {
            Self::Always => to.saturating_since(from),
        }
    }

    /// The moment at which `work` has passed since `from`.
    pub fn after(self, from: Timestamp, work: Duration) -> Timestamp {
        match self {
            Self::Always => from + work,
        }
    }
}

/// What a clock measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockKind {
    /// Time to own: from creation until someone is assigned.
    Own,
    /// Time to resolve: stops in `Resolved`, pauses on the hold reasons the SLA allows.
    Resolve,
}

/// A mark on the way to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threshold {
    /// Three quarters of the target are used.
    Warn,
    /// The target is missed.
    Breach,
}

/// One target of one incident. Time consumed is never given back: a reopened clock goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    kind: ClockKind,
    calendar: Calendar,
    #[serde(with = "crate::wire::duration")]
    target: Duration,
    #[serde(with = "crate::wire::duration")]
    consumed: Duration,
    #[serde(with = "crate::wire::timestamp_option")]
    running_since: Option<Timestamp>,
    reached: Option<Threshold>,
}

impl Clock {
    /// A clock that stands at zero.
    pub const fn new(kind: ClockKind, calendar: Calendar, target: Duration) -> Self {
        Self {
            kind,
            calendar,
            target,
            consumed: Duration::ZERO,
            running_since: None,
            reached: None,
        }
    }

    /// What it measures.
    pub const fn kind(&self) -> ClockKind {
        self.kind
    }

    /// What was promised.
    pub const fn target(&self) -> Duration {
        self.target
    }

    /// Whether it counts now.
    pub const fn is_running(&self) -> bool {
        self.running_since.is_some()
    }

    /// The highest threshold passed so far.
    pub const fn reached(&self) -> Option<Threshold> {
        self.reached
    }

    /// Working time used up to `now`.
    pub fn consumed(&self, now: Timestamp) -> Duration {
        let running = self
            .running_since
            .map_or(Duration::ZERO, |since| self.calendar.elapsed(since, now));
        self.consumed + running
    }

    /// The next threshold and when it is passed, `None` while the clock stands or after a breach.
    pub fn next_threshold(&self) -> Option<(Timestamp, Threshold)> {
        let since = self.running_since?;
        let (threshold, at) = match self.reached {
            None => (Threshold::Warn, self.target / 4 * 3),
            Some(Threshold::Warn) => (Threshold::Breach, self.target),
            Some(Threshold::Breach) => return None,
        };
        let rest = at.saturating_sub(self.consumed);
        Some((self.calendar.after(since, rest), threshold))
    }

    pub(crate) fn start(&mut self, now: Timestamp) {
        self.running_since.get_or_insert(now);
    }

    pub(crate) fn stop(&mut self, now: Timestamp) {
        self.consumed = self.consumed(now);
        self.running_since = None;
    }

    pub(crate) fn reach(&mut self, threshold: Threshold) {
        self.reached = self.reached.max(Some(threshold));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: Timestamp = Timestamp::from_micros(1_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn warns_at_three_quarters_and_pauses_shift_the_rest() {
        let mut c = Clock::new(ClockKind::Resolve, Calendar::Always, 4 * HOUR);
        assert_eq!(c.next_threshold(), None);
        c.start(T0);
        assert_eq!(c.next_threshold(), Some((T0 + 3 * HOUR, Threshold::Warn)));
        c.stop(T0 + HOUR);
        c.start(T0 + 10 * HOUR);
        assert_eq!(c.next_threshold(), Some((T0 + 12 * HOUR, Threshold::Warn)));
        c.reach(Threshold::Warn);
        assert_eq!(
            c.next_threshold(),
            Some((T0 + 13 * HOUR, Threshold::Breach))
        );
        c.reach(Threshold::Breach);
        assert_eq!(c.next_threshold(), None);
    }

    proptest! {
        /// Running and pausing at any moments: what is consumed is what ran.
        #[test]
        fn consumed_is_what_ran(steps in prop::collection::vec((0u64..10_000_000, any::<bool>()), 0..50)) {
            let mut clock = Clock::new(ClockKind::Own, Calendar::Always, HOUR);
            let (mut now, mut running, mut expected) = (T0, false, Duration::ZERO);
            for (micros, run) in steps {
                let step = Duration::from_micros(micros);
                now = now + step;
                if running { expected += step; }
                if run { clock.start(now) } else { clock.stop(now) }
                running = run;
                prop_assert_eq!(clock.consumed(now), expected);
            }
        }
    }
}
