//! Everything that a receiver waits for, in one table.

use telemetry_core::Instant;

/// A moment that a receiver waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// An attempt to connect begins, or has taken too long.
    Link,
    /// What is done is acknowledged, together with what was done meanwhile.
    Acknowledge,
    /// The first delivery that was put off goes back to its queue.
    PutBack,
    /// The queues are looked at.
    Look,
}

impl Timer {
    /// In the order in which they are served where several are due.
    const ALL: [Self; 4] = [Self::Link, Self::Acknowledge, Self::PutBack, Self::Look];
}

/// When each timer is due.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    /// Sets a timer, or stops it.
    pub(super) const fn set(&mut self, timer: Timer, due: Option<Instant>) {
        self.0[timer as usize] = due;
    }

    /// Whether a timer runs.
    pub(super) const fn runs(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    /// When the first of them is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes one that is due by now.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Timer> {
        let due = |timer: &Timer| self.0[*timer as usize].is_some_and(|due| due <= now);
        let timer = Timer::ALL.into_iter().find(due)?;
        self.set(timer, None);
        Some(timer)
    }
}
