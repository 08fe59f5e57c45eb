//! The clock that schedules work, and what ties it to wall time.

use core::ops::Add;
use core::time::Duration;

pub use telemetry_base::Timestamp;

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

    #[test]
    fn arithmetic_saturates() {
        let t = Instant::from_nanos(u64::MAX);
        assert_eq!(t + Duration::from_secs(1), t);
        assert_eq!(
            Instant::from_nanos(7).saturating_since(Instant::from_nanos(4)),
            Duration::from_nanos(3)
        );
    }
}
