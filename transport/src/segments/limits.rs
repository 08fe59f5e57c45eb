//! Bounds of a journal on disk.

use crate::error::OpenError;
use crate::journal::FRAME_LEN;

/// What a spool does with a record that finds no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Refuses it, until something is confirmed.
    #[default]
    Refuse,
    /// Drops the oldest segment, confirmed or not, and counts what was lost with it
    /// ([`Stats::dropped`](crate::Stats::dropped)).
    DropOldest,
}

/// Bounds of a journal on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a segment file, less than 4 GiB; default 8 MiB. A record of more than half of it is
    /// refused.
    pub segment_bytes: u64,
    /// Bytes of all frames kept; default 1 GiB. Appending beyond is refused.
    pub total_bytes: u64,
    /// Whether a spool refuses what is beyond, or drops its oldest records; default refuse. An
    /// embedded log always refuses.
    pub when_full: WhenFull,
    /// Freed segment files kept for reuse; default 2.
    pub spare_segments: usize,
    /// Bytes of the log that one read looks at; default 1 MiB.
    pub window_bytes: usize,
    /// Bytes of `*.quarantine` files; default 64 MiB. Damage beyond is counted and not kept.
    pub quarantine_bytes: u64,
    /// Bytes of a consumer's dead letters; default 64 MiB. Beyond, a rejection is refused.
    pub dead_letter_bytes: u64,
    /// Deliveries that a consumer of an embedded log holds at a time, from handing out until its
    /// place has passed them; default 16,384. Beyond, it gets no more until it answers.
    pub deliveries_open_max: usize,
}

impl Limits {
    /// The smallest segment: room for a header and a small record.
    pub const SEGMENT_BYTES_MIN: u64 = 1024;

    /// The largest segment: a frame knows its place to 32 bits.
    pub const SEGMENT_BYTES_MAX: u64 = u32::MAX as u64;

    pub(super) fn check(&self) -> Result<(), OpenError> {
        let least = [
            ("segment_bytes", self.segment_bytes, Self::SEGMENT_BYTES_MIN),
            ("total_bytes", self.total_bytes, self.segment_bytes),
            ("window_bytes", self.window_bytes as u64, FRAME_LEN as u64),
            ("deliveries_open_max", self.deliveries_open_max as u64, 1),
        ];
        for (field, value, min) in least {
            if value < min {
                return Err(OpenError::Limits { field, value, min });
            }
        }
        let (field, value, max) = ("segment_bytes", self.segment_bytes, Self::SEGMENT_BYTES_MAX);
        match value > max {
            true => Err(OpenError::LimitTooLarge { field, value, max }),
            false => Ok(()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            total_bytes: 1 << 30,
            when_full: WhenFull::Refuse,
            spare_segments: 2,
            window_bytes: 1 << 20,
            quarantine_bytes: 64 << 20,
            dead_letter_bytes: 64 << 20,
            deliveries_open_max: 16_384,
        }
    }
}
