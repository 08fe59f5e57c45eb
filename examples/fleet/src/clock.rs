//! The run's one clock: virtual time, moved by the conductor in steps.

use std::ops::Range;
use std::time::Duration;

use activity::{Sample, Summary};
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

/// The clock of a device that replays a workout: the workout's own, from the moment the device is
/// switched on.
///
/// What the device writes carries this time: samples, frames, input, system state. When something is
/// published, and how late that is, is told by the run's clock ([`Now`]) alone.
#[derive(Clone, Debug)]
pub struct DeviceClock {
    /// When the device is switched on, after the start of the run.
    starts: Duration,
    /// When each stretch begins after that, and what the clock shows from its beginning to its end.
    stretches: Vec<(Duration, Range<Timestamp>)>,
}

/// How long a device may write after its last sample, by its own clock.
const LINGERS: Duration = Duration::from_secs(3600);

impl DeviceClock {
    /// The clock of a device that is switched on `starts` after `start`, the start of the run. A
    /// workout without any time is replayed as if it were recorded now.
    pub fn new(summary: &Summary, start: Timestamp, starts: Duration) -> Self {
        let at = |seconds: i64| Timestamp::from_micros(seconds.saturating_mul(1_000_000));
        let set = summary.stretches.iter();
        let mut stretches: Vec<_> = set
            .map(|stretch| (stretch.offset, at(stretch.from)..at(stretch.to)))
            .collect();
        if stretches.is_empty() {
            let from = summary.started.map_or(start + starts, at);
            stretches.push((Duration::ZERO, from..from + summary.duration));
        }
        Self { starts, stretches }
    }

    /// What it shows at a moment of the run.
    pub fn at(&self, now: Now) -> Timestamp {
        self.after(now.since_start.saturating_sub(self.starts))
    }

    /// What it shows when a sample is taken: two samples of one moment have the times before and after
    /// the clock was set.
    pub fn of(&self, sample: &Sample) -> Timestamp {
        match sample.time {
            Some(time) => Timestamp::from_micros(time.saturating_mul(1_000_000)),
            None => self.after(sample.offset),
        }
    }

    /// What it shows so long after the device was switched on.
    pub fn after(&self, offset: Duration) -> Timestamp {
        let begun = |(begins, _): &&(Duration, _)| *begins <= offset;
        let stretch = self.stretches.iter().rfind(begun);
        stretch.map_or_else(
            // Before the first sample that has a time.
            || self.first().start - self.stretches[0].0.saturating_sub(offset),
            |(begins, shown)| shown.start + (offset - *begins),
        )
    }

    /// When, after the start of the run, it showed this time.
    pub fn moment(&self, time: Timestamp) -> Duration {
        let shows = |(_, shown): &&(Duration, Range<Timestamp>)| {
            shown.start <= time && time <= shown.end + LINGERS
        };
        let stretch = self.stretches.iter().find(shows);
        stretch.map_or(self.starts, |(begins, shown)| {
            self.starts + *begins + time.saturating_since(shown.start)
        })
    }

    /// Times that records of the device may carry.
    pub fn shown(&self) -> impl Iterator<Item = Range<Timestamp>> {
        let begins = self.stretches[0].0;
        self.stretches
            .iter()
            .map(move |(_, shown)| shown.start - begins..shown.end + LINGERS)
    }

    fn first(&self) -> &Range<Timestamp> {
        &self.stretches[0].1
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

    /// Waits until `step` more of virtual time may have passed, or `hurry` says so: then the next wait
    /// is as much longer.
    #[expect(
        clippy::disallowed_methods,
        reason = "virtual time is tied to real time here alone"
    )]
    pub fn wait(&mut self, step: Duration, mut hurry: impl FnMut() -> bool) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use activity::Stretch;

    #[test]
    fn a_device_shows_the_time_of_its_workout_and_follows_when_that_was_set() {
        let seconds = Duration::from_secs;
        let stretch = |offset, from, to| Stretch {
            offset: seconds(offset),
            from,
            to,
        };
        let summary = Summary {
            started: Some(1_000),
            duration: seconds(20),
            stretches: vec![stretch(0, 1_000, 1_009), stretch(10, 9_000, 9_010)],
            ..Summary::default()
        };
        let start = Timestamp::from_micros(1_700_000_000_000_000);
        let clock = DeviceClock::new(&summary, start, seconds(30));
        let at = |second| {
            let shown = clock.at(Now::new(start, seconds(second)));
            shown.as_micros() / 1_000_000
        };
        assert_eq!(
            [at(30), at(39), at(40), at(50)],
            [1_000, 1_009, 9_000, 9_010]
        );
        for second in [30, 39, 40, 50] {
            let shown = clock.at(Now::new(start, seconds(second)));
            assert_eq!(clock.moment(shown), seconds(second));
        }
        // Without any time, it is recorded now.
        let clock = DeviceClock::new(&Summary::default(), start, seconds(30));
        assert_eq!(clock.after(seconds(5)), start + seconds(35));
    }
}
