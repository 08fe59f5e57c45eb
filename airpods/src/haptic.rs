//! A small vocabulary of haptic patterns, as data a player can follow.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// A pattern by its meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Haptic {
    /// Up to three heart beats at this rate (30 to 220 a minute).
    Heartbeat {
        /// Beats a minute.
        bpm: u8,
    },
    /// One tap.
    Notice,
    /// Two buzzes.
    Warning,
    /// Three times three taps and a long fading buzz.
    Critical,
    /// Rising taps and a fading buzz.
    Goal,
}

impl fmt::Debug for Haptic {
    /// Leaves the heart rate out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Heartbeat { .. } => "Heartbeat",
            Self::Notice => "Notice",
            Self::Warning => "Warning",
            Self::Critical => "Critical",
            Self::Goal => "Goal",
        })
    }
}

/// One touch of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// When it begins, after the start of the pattern.
    pub at: Duration,
    /// How long it lasts; zero for a tap.
    pub length: Duration,
    /// Strength, 0 to 100.
    pub intensity: u8,
    /// From round (0) to crisp (100).
    pub sharpness: u8,
    /// The strength falls to nothing over its length.
    pub fades: bool,
}

/// What a tap takes of the time line.
const TAP: Duration = Duration::from_millis(50);

fn tap(at_ms: u64, intensity: u8, sharpness: u8) -> Touch {
    Touch {
        at: Duration::from_millis(at_ms),
        length: Duration::ZERO,
        intensity,
        sharpness,
        fades: false,
    }
}

fn buzz(at_ms: u64, length_ms: u64, intensity: u8, sharpness: u8, fades: bool) -> Touch {
    Touch {
        length: Duration::from_millis(length_ms),
        fades,
        ..tap(at_ms, intensity, sharpness)
    }
}

impl Haptic {
    /// The touches in order of time.
    pub fn touches(self) -> Vec<Touch> {
        match self {
            Self::Heartbeat { bpm } => {
                let period = 60_000 / u64::from(bpm.clamp(30, 220));
                let second = (period * 35 / 100).min(220);
                (0..3)
                    .map(|beat| beat * period)
                    // A slow heart gets fewer beats: no pattern lasts over 3 s.
                    .filter(|start| start + second <= 2_950)
                    .flat_map(|start| [tap(start, 90, 25), tap(start + second, 60, 15)])
                    .collect()
            }
            Self::Notice => [tap(0, 50, 50)].into(),
            Self::Warning => [buzz(0, 120, 60, 50, false), buzz(240, 120, 60, 50, false)].into(),
            Self::Critical => [0, 500, 1_000]
                .into_iter()
                .flat_map(|start| [0, 90, 180].map(|at| tap(start + at, 100, 80)))
                .chain([buzz(1_250, 500, 100, 40, true)])
                .collect(),
            Self::Goal => (0u8..4)
                .map(|n| tap(u64::from(n) * 120, 40 + n * 20, 30 + n * 50 / 3))
                .chain([buzz(480, 400, 100, 80, true)])
                .collect(),
        }
    }

    /// How long the pattern takes.
    pub fn length(self) -> Duration {
        let end = |t: &Touch| t.at + t.length.max(TAP);
        self.touches().iter().map(end).max().unwrap_or_default()
    }
}
