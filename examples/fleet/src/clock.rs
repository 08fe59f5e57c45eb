//! The run's one clock: virtual time, moved by the conductor in steps.

use std::time::Duration;

use telemetry_core::{Instant, Timestamp};

/// A moment of the run: virtual wall time, and virtual monotonic time since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Virtual time since the start of the run.
    pub since_start: Duration,
    start: Timestamp,
}

impl Now {
    /// The moment `since_start` after `start`.
    pub const fn new(start: Timestamp, since_start: Duration) -> Self {
        Self { since_start, start }
    }

    /// Start of the run.
    pub const fn start(self) -> Timestamp {
        self.start
    }

    /// Wall time: what goes into records.
    pub fn wall(self) -> Timestamp {
        self.start + self.since_start
    }

    /// Monotonic time: what deadlines are counted in.
    pub fn instant(self) -> Instant {
        Instant::from_nanos(0) + self.since_start
    }

    /// The same moment, as services have it.
    pub fn at(self) -> services::Now {
        services::Now {
            instant: self.instant(),
            wall: self.wall(),
        }
    }

    /// The moment a step later.
    #[must_use]
    pub fn after(self, step: Duration) -> Self {
        Self {
            since_start: self.since_start + step,
            ..self
        }
    }
}

/// `1:02:03` or `2:03`.
pub fn hms(d: Duration) -> String {
    let s = d.as_secs();
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

/// Real time, for latencies and processor shares only: nothing is decided by it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "latencies are measured on the real clock, here alone"
    )]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Real time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Keeps virtual time from running faster than asked for.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    speed: Option<f64>,
    watch: Stopwatch,
    passed: Duration,
}

impl Pace {
    /// At most `speed` virtual seconds per real second; `None` for no limit.
    pub fn new(speed: Option<f64>) -> Self {
        Self {
            speed,
            watch: Stopwatch::start(),
            passed: Duration::ZERO,
        }
    }

    /// Waits until `step` more of virtual time may have passed, or `hurry` says so.
    #[expect(
        clippy::disallowed_methods,
        reason = "virtual time is tied to real time here alone"
    )]
    pub fn wait(&mut self, step: Duration, hurry: impl Fn() -> bool) {
        const NAP: Duration = Duration::from_millis(100);
        self.passed += step;
        let Some(speed) = self.speed else { return };
        let due = self.passed.as_secs_f64() / speed;
        let due = Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX);
        while !hurry() {
            let left = due.saturating_sub(self.watch.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}
