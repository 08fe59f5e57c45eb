//! What the two firmwares of the fleet write: the same stream, one schema version apart.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord, Timestamp, durable};

use activity::Sample;

/// File in a tracker's folder with the number of the firmware that was installed on it.
const INSTALLED: &str = "firmware";

/// The firmware of a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// Writes [`SampleV1`].
    V1,
    /// Writes [`ActivitySample`]: `power` renamed, `speed` widened, `resistance` added.
    V2,
}

/// An activity sample as firmware 1 knows it.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(name = "ActivitySample", namespace = "xp.telemetry")]
pub struct SampleV1 {
    /// When it was measured, by the device's clock.
    #[avro(event_time)]
    pub time: Timestamp,
    /// The source the sample is from.
    pub source: String,
    /// Number of the sample within its source, from 1.
    pub serial: i64,
    /// Heart rate in beats per minute.
    pub heart_rate: Option<i32>,
    /// Mechanical power in watts.
    pub power: Option<i32>,
    /// Cadence in revolutions per minute.
    pub cadence: Option<i32>,
    /// Speed in metres per second.
    pub speed: Option<f32>,
    /// Distance since the start in metres.
    pub distance: Option<f64>,
    /// Altitude in metres above sea level.
    pub altitude: Option<f64>,
    /// Latitude in degrees.
    pub latitude: Option<f64>,
    /// Longitude in degrees.
    pub longitude: Option<f64>,
    /// Temperature in degrees Celsius.
    pub temperature: Option<i32>,
}

impl Firmware {
    /// What was installed on the tracker in `dir`; `None` for what it came with.
    pub fn installed(dir: &Path) -> io::Result<Option<Self>> {
        let mut text = String::new();
        match File::open(dir.join(INSTALLED)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?.take(16).read_to_string(&mut text)?,
        };
        match text.trim() {
            "1" => Ok(Some(Self::V1)),
            "2" => Ok(Some(Self::V2)),
            other => Err(io::Error::other(format!("no firmware is called {other:?}"))),
        }
    }

    /// Installs it on the tracker in `dir`, durably.
    pub fn install(self, dir: &Path) -> io::Result<()> {
        durable::create_dir_all(dir)?;
        let number = format!("{}\n", self.number());
        durable::replace(&dir.join(INSTALLED), number.as_bytes())
    }

    /// Every second tracker runs firmware 2.
    pub const fn of_device(index: usize) -> Self {
        if index.is_multiple_of(2) {
            Self::V1
        } else {
            Self::V2
        }
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The schema of its samples.
    pub const fn schema(self) -> &'static str {
        match self {
            Self::V1 => SampleV1::SCHEMA,
            Self::V2 => ActivitySample::SCHEMA,
        }
    }

    /// A sample in single-object encoding.
    pub fn encode(self, source: &str, time: Timestamp, sample: &Sample) -> Vec<u8> {
        // Serials count samples of a file: far below 2^63.
        let serial = sample.serial as i64;
        match self {
            Self::V1 => SampleV1 {
                time,
                source: source.to_owned(),
                serial,
                heart_rate: sample.heart_rate,
                power: sample.power,
                cadence: sample.cadence,
                speed: sample.speed.map(|v| v as f32),
                distance: sample.distance,
                altitude: sample.altitude,
                latitude: sample.latitude,
                longitude: sample.longitude,
                temperature: sample.temperature,
            }
            .to_message(),
            Self::V2 => ActivitySample {
                time,
                source: source.to_owned(),
                serial,
                heart_rate: sample.heart_rate,
                power_watts: sample.power,
                cadence: sample.cadence,
                speed: sample.speed,
                distance: sample.distance,
                altitude: sample.altitude,
                latitude: sample.latitude,
                longitude: sample.longitude,
                temperature: sample.temperature,
                resistance: 0,
            }
            .to_message(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry_core::{Plan, Schema, single_object, wire::Reader};

    #[test]
    fn what_is_installed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tracker-0");
        assert_eq!(Firmware::installed(&dir).unwrap(), None);
        Firmware::V2.install(&dir).unwrap();
        assert_eq!(Firmware::installed(&dir).unwrap(), Some(Firmware::V2));
        std::fs::write(dir.join(INSTALLED), "7").unwrap();
        assert!(Firmware::installed(&dir).is_err());
    }

    #[test]
    fn firmware_2_reads_what_firmware_1_wrote() {
        let sample = Sample {
            serial: 3,
            power: Some(250),
            speed: Some(8.5),
            ..Sample::default()
        };
        let time = Timestamp::from_micros(7);
        let message = Firmware::V1.encode("ride", time, &sample);
        let writer = Schema::parse(SampleV1::SCHEMA).unwrap();
        let reader = Schema::parse(ActivitySample::SCHEMA).unwrap();
        let plan = Plan::compile(&writer, &reader).unwrap();
        assert_eq!(plan.problems(), []);
        let (_, datum) = single_object::split(&message).unwrap();
        let read = ActivitySample::decode(&plan, &mut Reader::new(datum)).unwrap();
        assert_eq!(read.power_watts, Some(250));
        assert_eq!(read.speed, Some(8.5));
        assert_eq!(read.resistance, 0);
    }
}
