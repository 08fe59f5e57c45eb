//! Samples into an activity file.

use std::fmt;
use std::io::{self, Seek, Write};

use embedded_io_adapters::std::FromStd;
use rustyfit::Encoder;
use rustyfit::profile::{mesgdef, typedef};
use rustyfit::proto::Message;

use crate::{FIT_EPOCH, Sample};

/// Why an activity was not written.
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// There is no sample: nobody reads such a file.
    Empty,
    /// A time that FIT cannot say: its clock goes from 1989-12-31 to 2126.
    Time {
        /// Seconds since 1970.
        time: i64,
    },
    Io(io::Error),
    /// The encoder refuses a message.
    Encoder(String),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no sample to write"),
            Self::Time { time } => {
                write!(f, "{time} seconds since 1970 are outside what FIT can say")
            }
            Self::Io(error) => error.fmt(f),
            Self::Encoder(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for WriteError {}

impl From<rustyfit::EncoderError<io::Error>> for WriteError {
    fn from(error: rustyfit::EncoderError<io::Error>) -> Self {
        match error {
            rustyfit::EncoderError::Io { err } => Self::Io(err),
            other => Self::Encoder(other.to_string()),
        }
    }
}

/// Writes samples as an activity file that other programs read, in constant memory.
///
/// `started` is the time of the first sample without a time of its own, in seconds since 1970;
/// each further one is that much later as its offset says. `sport` is FIT's number, 0 for any.
/// Values are rounded to FIT's units: 1 mm/s, 1 cm, 20 cm of altitude, 1/11,930,465 of a degree.
/// One that does not fit is left out.
///
/// # Errors
///
/// [`WriteError`]. Behind one, the file is not whole.
pub fn write(
    out: impl Write + Seek,
    started: i64,
    sport: u8,
    samples: impl IntoIterator<Item = Sample>,
) -> Result<u64, WriteError> {
    let mut out = io::BufWriter::new(out);
    let mut encoder = Encoder::new();
    let mut stream = encoder.stream(FromStd::new(&mut out));
    let time_of = |sample: &Sample| {
        let later = i64::try_from(sample.offset.as_secs()).unwrap_or(i64::MAX);
        sample.time.unwrap_or(started.saturating_add(later))
    };
    let mut written: Option<Written> = None;
    for sample in samples {
        let at = time_of(&sample);
        let time = fit_time(at).ok_or(WriteError::Time { time: at })?;
        if written.is_none() {
            let mut file = mesgdef::FileId::new();
            file.r#type = typedef::File::ACTIVITY;
            file.manufacturer = typedef::Manufacturer::DEVELOPMENT;
            file.time_created = typedef::DateTime(time);
            stream.write_message(&mut Message::from(file))?;
        }
        stream.write_message(&mut Message::from(record(&sample, time)))?;
        let whole = written.get_or_insert(Written {
            first: time,
            last: time,
            distance: None,
            samples: 0,
        });
        whole.last = time;
        whole.distance = sample.distance.or(whole.distance);
        whole.samples += 1;
    }
    let whole = written.ok_or(WriteError::Empty)?;
    for mut message in whole.closing(sport) {
        stream.write_message(&mut message)?;
    }
    stream.finish()?;
    io::Write::flush(&mut out).map_err(WriteError::Io)?;
    Ok(whole.samples)
}

struct Written {
    first: u32,
    last: u32,
    distance: Option<f64>,
    samples: u64,
}

impl Written {
    /// An activity has one lap, one session and a summary at its end.
    fn closing(&self, sport: u8) -> [Message; 3] {
        let (start, end) = (typedef::DateTime(self.first), typedef::DateTime(self.last));
        let elapsed = self.last.saturating_sub(self.first).saturating_mul(1000);
        let distance = fit(self.distance, 100.0, 0.0).unwrap_or(u32::MAX);
        let mut lap = mesgdef::Lap::new();
        (lap.timestamp, lap.start_time) = (end, start);
        (lap.total_elapsed_time, lap.total_timer_time) = (elapsed, elapsed);
        lap.total_distance = distance;
        let mut session = mesgdef::Session::new();
        (session.timestamp, session.start_time) = (end, start);
        (session.total_elapsed_time, session.total_timer_time) = (elapsed, elapsed);
        session.total_distance = distance;
        session.sport = typedef::Sport(sport);
        (session.first_lap_index, session.num_laps) = (0, 1);
        let mut activity = mesgdef::Activity::new();
        activity.timestamp = end;
        activity.total_timer_time = elapsed;
        activity.num_sessions = 1;
        activity.r#type = typedef::Activity::MANUAL;
        [lap.into(), session.into(), activity.into()]
    }
}

fn fit_time(time: i64) -> Option<u32> {
    let time = u32::try_from(time.checked_sub(FIT_EPOCH)?).ok()?;
    (time != u32::MAX).then_some(time)
}

fn record(sample: &Sample, time: u32) -> mesgdef::Record {
    let mut record = mesgdef::Record::new();
    let byte = |value: Option<i32>| value.and_then(|v| u8::try_from(v).ok()).unwrap_or(u8::MAX);
    record.timestamp = typedef::DateTime(time);
    record.heart_rate = byte(sample.heart_rate);
    record.cadence = byte(sample.cadence);
    let power = sample.power.and_then(|watts| u16::try_from(watts).ok());
    record.power = power.unwrap_or(u16::MAX);
    let degrees = sample.temperature.and_then(|t| i8::try_from(t).ok());
    record.temperature = degrees.unwrap_or(i8::MAX);
    record.enhanced_speed = fit(sample.speed, 1000.0, 0.0).unwrap_or(u32::MAX);
    record.distance = fit(sample.distance, 100.0, 0.0).unwrap_or(u32::MAX);
    record.enhanced_altitude = fit(sample.altitude, 5.0, 500.0).unwrap_or(u32::MAX);
    record.position_lat = semicircles(sample.latitude, 90.0);
    record.position_long = semicircles(sample.longitude, 180.0);
    record
}

/// A value in FIT's units, rounded: the encoder's own setters cut off.
fn fit(value: Option<f64>, scale: f64, offset: f64) -> Option<u32> {
    let scaled = ((value? + offset) * scale).round();
    (0.0..f64::from(u32::MAX))
        .contains(&scaled)
        .then_some(scaled as u32)
}

fn semicircles(degrees: Option<f64>, most: f64) -> i32 {
    let degrees = degrees.filter(|degrees| degrees.abs() <= most);
    degrees.map_or(i32::MAX, |degrees| {
        (degrees * (2_147_483_648.0 / 180.0)).round() as i32
    })
}
