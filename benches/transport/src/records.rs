//! The built-in streams as the main job writes them: a sample, a frame and a state every second.

use telemetry_core::records::{ActivitySample, FrameTiming, SystemState};
use telemetry_core::{AvroRecord as _, Timestamp};

/// Streams in the order in which their records come.
pub(crate) const STREAMS: [&str; 3] = ["ActivitySample", "FrameTiming", "SystemState"];

/// Seconds before the same records come again.
const SECONDS: i64 = 600;

/// Records in turn, without end.
pub(crate) struct Mix {
    records: Vec<Vec<u8>>,
    next: usize,
}

impl Mix {
    pub(crate) fn new() -> Self {
        let start = 1_792_000_000_000_000;
        let records = (0..SECONDS).flat_map(|second| {
            let time = Timestamp::from_micros(start + second * 1_000_000);
            let wave = second as f64 / 17.0;
            // A ride outdoors; the values follow a wave, so that their lengths vary as measured
            // ones do.
            let sample = ActivitySample {
                time,
                source: "garmin-edge-1040".to_owned(),
                serial: second + 1,
                heart_rate: Some(140 + (wave.sin() * 25.0) as i32),
                power_watts: Some(210 + (wave.cos() * 120.0) as i32),
                cadence: Some(88 + (wave.sin() * 9.0) as i32),
                speed: Some(9.1 + wave.sin()),
                distance: Some(second as f64 * 9.1),
                altitude: Some(312.4 + wave.cos() * 40.0),
                latitude: Some(47.3769 + wave / 1e4),
                longitude: Some(8.5417 + wave / 1e4),
                temperature: Some(19),
                resistance: 0,
            };
            let frame = FrameTiming {
                time,
                surface: (1 << 32) | 12,
                frame: second,
                queued_us: 120 + second % 90,
                composed_us: 310 + second % 200,
                presented_us: 4_100 + second % 900,
                damage_px: 61_440,
            };
            let seqs = STREAMS.map(|name| format!("xp.telemetry.{name}:{}", second + 2));
            let state = SystemState {
                time,
                cpu_percent: None,
                memory_bytes: Some(48 << 20),
                uptime_s: Some(second as f64),
                battery_percent: None,
                spool_depth_records: second % 300,
                spool_depth_bytes: (second % 300) * 140,
                next_seqs: seqs.join(" "),
                previous_epoch: None,
                previous_next_seqs: None,
            };
            [sample.to_message(), frame.to_message(), state.to_message()]
        });
        Self {
            records: records.collect(),
            next: 0,
        }
    }

    /// The number of a stream and its next record.
    pub(crate) fn next(&mut self) -> (usize, &[u8]) {
        let at = self.next;
        self.next = (at + 1) % self.records.len();
        (at % STREAMS.len(), &self.records[at])
    }

    /// Bytes of the next records, which are taken with it.
    pub(crate) fn bytes(&mut self, records: u64) -> usize {
        (0..records).map(|_| self.next().1.len()).sum()
    }

    /// Bytes of a record on average.
    pub(crate) fn mean(&self) -> usize {
        self.records.iter().map(Vec::len).sum::<usize>() / self.records.len()
    }
}
