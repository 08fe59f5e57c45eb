//! A made-up ride over hills, for a look at the screen without a tracker.

use std::time::Duration;

use crate::{Feed, Next, Reading, Sample};

/// One reading a second of a ride that climbs, rolls and sprints. The same every time.
///
/// Its records are `long` values (the second of the ride) in Avro single-object encoding.
#[derive(Clone, Debug)]
pub struct Demo {
    seconds: u64,
    /// Seconds of the ride that one real second takes, 0 for as fast as possible.
    speed: f64,
    start: Option<std::time::Instant>,
}

impl Demo {
    /// A ride of this length, replayed `speed` times as fast as it was ridden; 0 does not wait.
    pub fn new(length: Duration, speed: f64) -> Self {
        Self {
            seconds: length.as_secs(),
            speed,
            start: None,
        }
    }

    /// The reading at a second of the ride.
    pub fn reading(second: u64) -> Reading {
        let (power, heart_rate) = (power(second), heart_rate(second));
        let speed = |s: u64| 8.6 - 2.2 * hill(s) + (s as f64 / 37.0).sin() * 0.5;
        Reading {
            elapsed: Some(Duration::from_secs(second)),
            heart_rate: Some(heart_rate as u16),
            power: Some(power as u16),
            speed: Some(speed(second)),
            // The mean speed is that of the flat road: hills cancel out.
            distance: Some(second as f64 * 8.2),
        }
    }
}

/// How steep the road is, from -1 to 1.
fn hill(second: u64) -> f64 {
    let t = second as f64;
    ((t / 260.0).sin() + 0.5 * (t / 91.0).sin()) / 1.5
}

fn power(second: u64) -> f64 {
    let t = second as f64;
    let ripple = (t / 7.0).sin() * 9.0 + (t / 2.3).sin() * 6.0;
    let sprint = if second % 600 > 560 { 150.0 } else { 0.0 };
    (185.0 + 70.0 * hill(second) + ripple + sprint).max(0.0)
}

/// The heart follows the legs within a minute or so.
fn heart_rate(second: u64) -> f64 {
    let warm = 1.0 - (-(second as f64) / 240.0).exp();
    let mean = (0..60)
        .map(|back| power(second.saturating_sub(back)))
        .sum::<f64>()
        / 60.0;
    92.0 + warm * (18.0 + mean / 6.0)
}

/// Avro's zig-zag variable-length encoding of a `long`.
fn avro_long(value: u64) -> Vec<u8> {
    let mut rest = value << 1;
    let mut out = Vec::new();
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

impl Feed for Demo {
    fn source(&self) -> &str {
        "demo/ride"
    }

    fn schema(&self) -> &str {
        r#""long""#
    }

    fn next(&mut self, after: u64) -> Next {
        if after >= self.seconds {
            return Next::End;
        }
        if self.speed > 0.0 {
            #[expect(clippy::disallowed_methods, reason = "the demo runs on the real clock")]
            let now = std::time::Instant::now();
            let start = *self.start.get_or_insert(now);
            let due = start + Duration::from_secs_f64(after as f64 / self.speed);
            if let Some(rest) = due.checked_duration_since(now).filter(|r| !r.is_zero()) {
                return Next::Wait {
                    at_most: Some(rest),
                };
            }
        }
        let serial = after + 1;
        // Marker, then the fingerprint of the schema "long" (Avro specification, CRC-64-AVRO).
        let mut record = vec![0xc3, 0x01];
        record.extend(FINGERPRINT_LONG.to_le_bytes());
        record.extend(avro_long(serial));
        Next::Sample(Sample {
            serial,
            record,
            reading: Self::reading(serial),
        })
    }
}

/// CRC-64-AVRO of `"long"`.
const FINGERPRINT_LONG: u64 = 0xd054_e144_93f4_1db7;
