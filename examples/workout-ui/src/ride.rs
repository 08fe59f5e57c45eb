//! An activity file as a feed: what was recorded, at the pace at which it was recorded.

use std::iter::Peekable;

use activity::{Activity, ActivityError, Samples};
use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord as _, Timestamp};

use crate::{Feed, Next, Reading, Sample};

/// An activity from a file.
///
/// Its records are `xp.telemetry.ActivitySample`, with the time at which each sample was recorded.
pub struct Ride {
    source: String,
    samples: Peekable<Samples>,
    /// When it was recorded, in seconds since 1970.
    started: i64,
    /// Seconds of the ride that one real second takes, 0 for as fast as possible.
    speed: f64,
    start: Option<std::time::Instant>,
}

impl Ride {
    /// Replays a file `speed` times as fast as it was recorded; 0 does not wait.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn open(activity: &Activity, started: i64, speed: f64) -> Result<Self, ActivityError> {
        Ok(Self {
            source: format!("activity/{}", activity.name()),
            samples: activity.samples()?.peekable(),
            started,
            speed,
            start: None,
        })
    }
}

impl Feed for Ride {
    fn source(&self) -> &str {
        &self.source
    }

    fn schema(&self) -> &str {
        ActivitySample::SCHEMA
    }

    fn next(&mut self, after: u64) -> Next {
        while self.samples.next_if(|it| it.serial <= after).is_some() {}
        let Some(it) = self.samples.peek() else {
            return Next::End;
        };
        if self.speed > 0.0 {
            #[expect(clippy::disallowed_methods, reason = "a replay runs on the real clock")]
            let now = std::time::Instant::now();
            let offset = it.offset.div_f64(self.speed);
            // A second start goes on at once with what comes next.
            let start = *self
                .start
                .get_or_insert(now.checked_sub(offset).unwrap_or(now));
            let rest = (start + offset).saturating_duration_since(now);
            if !rest.is_zero() {
                return Next::Wait {
                    at_most: Some(rest),
                };
            }
        }
        let seconds = i64::try_from(it.offset.as_secs()).unwrap_or(i64::MAX);
        let time = it.time.unwrap_or(self.started.saturating_add(seconds));
        let record = ActivitySample {
            time: Timestamp::from_micros(time.saturating_mul(1_000_000)),
            source: self.source.clone(),
            serial: it.serial as i64,
            heart_rate: it.heart_rate,
            power_watts: it.power,
            cadence: it.cadence,
            speed: it.speed,
            distance: it.distance,
            altitude: it.altitude,
            latitude: it.latitude,
            longitude: it.longitude,
            temperature: it.temperature,
            resistance: 0,
        };
        Next::Sample(Sample {
            serial: it.serial,
            record: record.to_message(),
            reading: Reading::from(it),
        })
    }
}

impl From<&activity::Sample> for Reading {
    fn from(sample: &activity::Sample) -> Self {
        let small = |value: Option<i32>| value.and_then(|value| u16::try_from(value).ok());
        Self {
            elapsed: Some(sample.offset),
            heart_rate: small(sample.heart_rate),
            power: small(sample.power),
            speed: sample.speed,
            distance: sample.distance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_ride_goes_on_after_what_is_durable_and_keeps_its_own_time() {
        let ride = &Activity::built_in()[0];
        let mut feed = Ride::open(ride, 0, 0.0).unwrap();
        let Next::Sample(sample) = feed.next(10) else {
            panic!("the eleventh sample");
        };
        assert_eq!(sample.serial, 11);
        let original = ride.samples().unwrap().nth(10).unwrap();
        assert_eq!(
            sample.reading.heart_rate.map(i32::from),
            original.heart_rate
        );
        let time = Timestamp::from_micros(original.time.unwrap() * 1_000_000);
        let expected = ActivitySample {
            time,
            source: "activity/garmin-edge-500-activity".to_owned(),
            serial: 11,
            heart_rate: original.heart_rate,
            ..ActivitySample::default()
        };
        // Marker and fingerprint, time, source and serial come first.
        let head = 10 + 9 + 1 + expected.source.len() + 1;
        assert_eq!(sample.record[..head], expected.to_message()[..head]);
        assert_eq!(feed.next(10_686), Next::End);
        assert!(sample.reading.elapsed > Some(Duration::ZERO));
    }
}
