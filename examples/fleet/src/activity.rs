//! Activity files (FIT) as a stream of samples, read in constant memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use fitparser::de::{FitObject, FitStreamProcessor};
use fitparser::profile::MesgNum;
use fitparser::{ErrorKind, FitDataRecord, Value};

/// Bytes kept in front of the parser. The longest FIT message has 255 fields of 255 bytes.
const WINDOW: usize = 128 * 1024;

/// A longer pause is a clock that was set, not a pause.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);

/// An activity to replay.
#[derive(Clone, Debug)]
pub struct Activity {
    /// What it is called in reports and as a source of records.
    pub name: String,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    Built(&'static [u8]),
    File(PathBuf),
}

macro_rules! built_in {
    ($($name:literal),+) => {
        [$(($name, include_bytes!(concat!("../../data/", $name, ".fit")).as_slice())),+]
    };
}

/// Real activities that the program carries; see `examples/data/README.md` for their source.
const BUILT_IN: [(&str, &[u8]); 5] = built_in!(
    "garmin-edge-500-activity",
    "activity-small-fenix2-run",
    "sample-activity-indoor-trainer",
    "garmin-fenix-5-bike",
    "garmin-fenix-5-walk"
);

impl Activity {
    /// The activities that the program carries.
    pub fn built_in() -> Vec<Self> {
        BUILT_IN
            .into_iter()
            .map(|(name, bytes)| Self {
                name: name.to_owned(),
                origin: Origin::Built(bytes),
            })
            .collect()
    }

    /// An activity in a file.
    pub fn file(path: PathBuf) -> Self {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        Self {
            name: stem.to_string_lossy().chars().take(100).collect(),
            origin: Origin::File(path),
        }
    }

    /// Opens it from the start.
    pub fn open(&self) -> Result<Samples, ActivityError> {
        let source: Box<dyn Read + Send> = match &self.origin {
            Origin::Built(bytes) => Box::new(*bytes),
            Origin::File(path) => {
                Box::new(File::open(path).map_err(|error| self.error(0, Fault::Io(error)))?)
            }
        };
        Ok(Samples {
            activity: self.clone(),
            fit: Fit::new(source),
            serial: 0,
            start: None,
            offset: Duration::ZERO,
            last_time: None,
        })
    }

    fn error(&self, offset: u64, fault: Fault) -> ActivityError {
        let file = match &self.origin {
            Origin::Built(_) => self.name.clone(),
            Origin::File(path) => path.display().to_string(),
        };
        ActivityError {
            file,
            offset,
            fault,
        }
    }
}

/// What a moment of an activity was like. A reading that the file does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Number within the activity, from 1.
    pub serial: u64,
    /// Time since the first sample.
    pub offset: Duration,
    /// Beats per minute.
    pub heart_rate: Option<i32>,
    /// Watts.
    pub power: Option<i32>,
    /// Revolutions or double steps per minute.
    pub cadence: Option<i32>,
    /// Metres per second.
    pub speed: Option<f64>,
    /// Metres since the start.
    pub distance: Option<f64>,
    /// Metres above the sea.
    pub altitude: Option<f64>,
    /// Degrees, north positive.
    pub latitude: Option<f64>,
    /// Degrees, east positive.
    pub longitude: Option<f64>,
    /// Degrees Celsius.
    pub temperature: Option<i32>,
}

/// The samples of an activity, one after another. After an error there are no more.
pub struct Samples {
    activity: Activity,
    fit: Fit,
    serial: u64,
    start: Option<i64>,
    offset: Duration,
    last_time: Option<i64>,
}

impl Samples {
    /// When the activity was recorded, once the first sample with a time was read: seconds since
    /// 1970.
    pub const fn recorded_at(&self) -> Option<i64> {
        self.start
    }

    fn sample(&mut self, record: &FitDataRecord) -> Sample {
        let mut sample = Sample::default();
        let mut time = None;
        for field in record.fields() {
            let value = field.value();
            match field.name() {
                "timestamp" => {
                    if let Value::Timestamp(t) = value {
                        time = Some(t.timestamp());
                    }
                }
                "heart_rate" => sample.heart_rate = whole(value),
                "power" => sample.power = whole(value),
                "cadence" => sample.cadence = whole(value),
                "enhanced_speed" => sample.speed = real(value),
                "speed" => sample.speed = sample.speed.or_else(|| real(value)),
                "distance" => sample.distance = real(value),
                "enhanced_altitude" => sample.altitude = real(value),
                "altitude" => sample.altitude = sample.altitude.or_else(|| real(value)),
                "position_lat" => sample.latitude = real(value).map(degrees),
                "position_long" => sample.longitude = real(value).map(degrees),
                "temperature" => sample.temperature = whole(value),
                _ => {}
            }
        }
        let first = self.serial == 0;
        self.serial += 1;
        self.start = self.start.or(time);
        let step = match (self.last_time, time) {
            // A file without time stamps has a sample each second.
            (_, None) | (None, _) if first => Duration::ZERO,
            (_, None) | (None, _) => Duration::from_secs(1),
            (Some(last), Some(time)) => {
                let seconds = u64::try_from(time.saturating_sub(last)).unwrap_or(0);
                Some(Duration::from_secs(seconds))
                    .filter(|step| *step <= PAUSE_MAX)
                    .unwrap_or(Duration::from_secs(1))
            }
        };
        self.last_time = time.or(self.last_time);
        self.offset += step;
        sample.serial = self.serial;
        sample.offset = self.offset;
        sample
    }
}

impl Iterator for Samples {
    type Item = Result<Sample, ActivityError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.fit.next() {
                Ok(None) => return None,
                Ok(Some(message)) if message.kind() == MesgNum::Record => {
                    return Some(Ok(self.sample(&message)));
                }
                Ok(Some(_)) => {}
                Err((offset, fault)) => return Some(Err(self.activity.error(offset, fault))),
            }
        }
    }
}

/// Semicircles to degrees: 2³¹ semicircles are 180°.
fn degrees(semicircles: f64) -> f64 {
    semicircles * (180.0 / 2_147_483_648.0)
}

fn real(value: &Value) -> Option<f64> {
    let value: f64 = value.clone().try_into().ok()?;
    value.is_finite().then_some(value)
}

fn whole(value: &Value) -> Option<i32> {
    let value: i64 = value.clone().try_into().ok()?;
    i32::try_from(value).ok()
}

/// The FIT messages of a byte source.
struct Fit {
    source: Box<dyn Read + Send>,
    processor: FitStreamProcessor,
    buffer: Vec<u8>,
    start: usize,
    at_end: bool,
    /// Bytes before `buffer[start]`.
    offset: u64,
    /// Whether a file header comes next.
    at_header: bool,
    done: bool,
}

impl Fit {
    fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            processor: FitStreamProcessor::new(),
            buffer: Vec::new(),
            start: 0,
            at_end: false,
            offset: 0,
            at_header: true,
            done: false,
        }
    }

    fn next(&mut self) -> Result<Option<FitDataRecord>, (u64, Fault)> {
        if self.done {
            return Ok(None);
        }
        let result = self.advance();
        self.done = !matches!(result, Ok(Some(_)));
        result.map_err(|fault| (self.offset, fault))
    }

    fn advance(&mut self) -> Result<Option<FitDataRecord>, Fault> {
        loop {
            self.fill().map_err(Fault::Io)?;
            let input = &self.buffer[self.start..];
            if self.at_header {
                if input.is_empty() && self.offset > 0 {
                    return Ok(None);
                }
                // The parser trusts the header's own length.
                match input {
                    [12 | 14, _, _, _, _, _, _, _, b'.', b'F', b'I', b'T', ..] => {}
                    _ => return Err(Fault::Foreign),
                }
            } else if input.is_empty() {
                return Err(Fault::Truncated);
            }
            let (rest, object) = match self.processor.deserialize_next(input) {
                Ok(next) => next,
                Err(error) => return Err(fault(&error, input.len() < WINDOW && self.at_end)),
            };
            let used = input.len() - rest.len();
            self.start += used;
            self.offset += used as u64;
            self.at_header = false;
            match object {
                FitObject::Crc(_) => {
                    self.processor.reset();
                    self.at_header = true;
                }
                FitObject::Header(_) | FitObject::DefinitionMessage(_) => {}
                FitObject::DataMessage(message) => {
                    let record = self.processor.decode_message(message);
                    return record.map(Some).map_err(|e| fault(&e, false));
                }
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.at_end || self.buffer.len() - self.start >= WINDOW {
            return Ok(());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let want = 2 * WINDOW - self.buffer.len();
        let got = (&mut self.source)
            .take(want as u64)
            .read_to_end(&mut self.buffer)?;
        self.at_end = got < want;
        Ok(())
    }
}

fn fault(error: &ErrorKind, short: bool) -> Fault {
    match error {
        ErrorKind::InvalidCrc((_, _, expected, found)) => Fault::Checksum {
            expected: *expected,
            found: *found,
        },
        ErrorKind::UnexpectedEof(_) => Fault::Truncated,
        ErrorKind::ParseError(..) if short => Fault::Truncated,
        other => Fault::Damaged(other.to_string()),
    }
}

/// A file that cannot be read to its end. What came before the fault was read.
#[derive(Debug)]
pub struct ActivityError {
    file: String,
    offset: u64,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Foreign,
    Truncated,
    Checksum { expected: u16, found: u16 },
    Damaged(String),
    Io(io::Error),
}

impl fmt::Display for ActivityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, .. } = self;
        match &self.fault {
            Fault::Io(error) => write!(f, "{file}: {error}"),
            Fault::Foreign => write!(
                f,
                "{file}: byte {offset}: no FIT header; export the activity as .fit"
            ),
            Fault::Truncated => write!(
                f,
                "{file}: byte {offset}: the file ends here, inside a message; copy it again"
            ),
            Fault::Checksum { expected, found } => write!(
                f,
                "{file}: byte {offset}: the checksum is {expected:04x}, the bytes give {found:04x}"
            ),
            Fault::Damaged(reason) => write!(f, "{file}: byte {offset}: {reason}"),
        }
    }
}

impl std::error::Error for ActivityError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples before the end or the fault, and the fault.
    fn read(activity: &Activity) -> (usize, Option<String>) {
        let mut count = 0;
        let samples = match activity.open() {
            Ok(samples) => samples,
            Err(error) => return (0, Some(error.to_string())),
        };
        for sample in samples {
            match sample {
                Ok(_) => count += 1,
                Err(error) => return (count, Some(error.to_string())),
            }
        }
        (count, None)
    }

    fn bad(name: &str) -> (usize, Option<String>) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/fit-bad/");
        let (count, error) = read(&Activity::file(PathBuf::from(format!("{folder}{name}"))));
        (count, error.map(|e| e.replace(folder, "")))
    }

    #[test]
    fn built_in_activities_are_whole() {
        let counts: Vec<_> = Activity::built_in().iter().map(read).collect();
        let expected = [10_686, 2_809, 2_263, 19, 17].map(|n| (n, None));
        assert_eq!(counts, expected);
    }

    #[test]
    fn faults_name_file_and_offset_and_keep_what_was_read() {
        let said = |name: &str| bad(name).1.unwrap();
        assert_eq!(bad("DeveloperData.fit"), (3, None));
        assert_eq!(bad("MonitoringFile.fit"), (0, None));
        assert_eq!(bad("antfs-dump.63.fit"), (686, None));
        let (count, error) = bad("strava-android-app-201.10-b1218918.fit");
        assert_eq!(count, 473);
        assert_eq!(
            error.unwrap(),
            "strava-android-app-201.10-b1218918.fit: byte 7471: No definition found for local \
             message number 11 at position 0x1d2f"
        );
        assert!(said("activity-filecrc.fit").contains("byte 769: the checksum is"));
        assert!(said("activity-unexpected-eof.fit").contains("the file ends here"));
        assert!(said("README.md").contains("byte 0: no FIT header"));
        assert!(said("nothing-there.fit").contains("No such file"));
    }

    #[test]
    fn readings_are_in_their_units() {
        let activity = &Activity::built_in()[0];
        let sample = activity.open().unwrap().next().unwrap().unwrap();
        assert_eq!(sample.heart_rate, Some(161));
        assert_eq!(sample.speed, Some(5.888));
        assert!((sample.latitude.unwrap() - 43.713).abs() < 0.01);
        assert_eq!((sample.serial, sample.offset), (1, Duration::ZERO));
    }

    #[test]
    fn time_never_runs_backwards() {
        for activity in Activity::built_in() {
            let mut last = Duration::ZERO;
            for sample in activity.open().unwrap().map(Result::unwrap) {
                assert!(sample.offset >= last);
                last = sample.offset;
            }
        }
    }
}
