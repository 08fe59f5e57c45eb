//! The two clocks: wall time that travels with data, monotonic time that schedules work.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// Wall time in microseconds since 1970-01-01T00:00:00Z (Avro `timestamp-micros`).
///
/// This is *data*: it is stored and sent, and may jump. Cheap devices boot in 1980.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A time stamp from microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The time that passed since `earlier`, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(if micros > 0 { micros as u64 } else { 0 })
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the largest time stamp.
    fn add(self, d: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the smallest time stamp.
    fn sub(self, d: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 in UTC with microseconds, e.g. `2026-11-24T08:30:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(86_400_000_000);
        let micros = self.0.rem_euclid(86_400_000_000);
        // Days to civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        let s = micros / 1_000_000;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
            s / 3_600,
            s / 60 % 60,
            s % 60,
            micros % 1_000_000
        )
    }
}

/// Monotonic time in nanoseconds from any fixed point: for deadlines, never for data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// An instant from nanoseconds since the fixed point.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the fixed point.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time that passed since `earlier`, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates after 584 years.
    fn add(self, d: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// How far a device's wall clock can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClockQuality {
    /// Never set: only differences mean anything.
    #[default]
    Unset,
    /// Set once, by hand or a battery-backed clock, and drifting since.
    FreeRunning,
    /// Follows a reference (NTP, GPS, a phone).
    Synchronised,
}

impl ClockQuality {
    /// The word used in headers and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::FreeRunning => "free-running",
            Self::Synchronised => "synchronised",
        }
    }

    /// The quality named by `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "unset" => Some(Self::Unset),
            "free-running" => Some(Self::FreeRunning),
            "synchronised" => Some(Self::Synchronised),
            _ => None,
        }
    }
}

/// One reading of both clocks of a boot: what ties monotonic to wall time.
///
/// The spool writes one at every opening and at every clock step; a batch never crosses one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClockMark {
    /// The boot both readings belong to.
    pub boot: crate::BootId,
    /// Monotonic clock of that boot.
    pub monotonic: Instant,
    /// Wall clock at the same moment.
    pub wall: Timestamp,
    /// How far `wall` can be trusted.
    pub quality: ClockQuality,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn prints_civil_dates() {
        assert_eq!(
            Timestamp::from_micros(0).to_string(),
            "1970-01-01T00:00:00.000000Z"
        );
        assert_eq!(
            Timestamp::from_micros(951_782_400_000_001).to_string(),
            "2000-02-29T00:00:00.000001Z"
        );
        assert_eq!(
            Timestamp::from_micros(-1).to_string(),
            "1969-12-31T23:59:59.999999Z"
        );
    }

    #[test]
    fn arithmetic_saturates() {
        let t = Timestamp::from_micros(i64::MAX);
        assert_eq!(t + Duration::from_secs(1), t);
        assert_eq!(
            Timestamp::from_micros(5).saturating_since(Timestamp::from_micros(9)),
            Duration::ZERO
        );
        assert_eq!(
            Instant::from_nanos(7).saturating_since(Instant::from_nanos(4)),
            Duration::from_nanos(3)
        );
    }
}
