//! Samples out of record messages.

use std::time::Duration;

use crate::late::Late;
use crate::messages::{DeveloperField, Message, Messages};
use crate::value::Field;
use crate::{Activity, ActivityError, FIT_EPOCH, Fault};

/// A longer pause is a clock that was set, not a pause.
const PAUSE_MAX: u64 = 24 * 3600;

/// What a moment of an activity was like. A reading that the file does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Number within the activity, from 1.
    pub serial: u64,
    /// Time since the first sample. It never runs backwards, whatever the recorder's clock did.
    pub offset: Duration,
    /// Seconds since 1970 as the recorder's clock had them.
    pub time: Option<i64>,
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

/// What else a file says about the activity; each as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// What kind of file it calls itself, by FIT's number.
    pub kind: Option<u8>,
    /// Seconds since 1970 at which the file was made.
    pub created: Option<i64>,
    /// The sport, by FIT's number.
    pub sport: Option<u8>,
}

/// The samples of an activity, one after another, in constant memory.
///
/// A fault does not end them where what follows can be read, as after a wrong checksum in a file of
/// several parts. [`Samples::faults`] has all of them once the last sample was taken.
pub struct Samples {
    activity: Activity,
    messages: Messages,
    late: Late,
    heading: Heading,
    serial: u64,
    offset: Duration,
    /// Time of the first sample that has one, and of the last one.
    start: Option<i64>,
    last_time: Option<i64>,
    /// The counter of compressed distances: its newest raw value, and the sum in 1/16 m.
    counter: Option<(u32, u64)>,
    part: u32,
}

impl Samples {
    pub(crate) fn open(activity: &Activity) -> Result<Self, ActivityError> {
        let messages = Messages::open(&activity.source);
        Ok(Self {
            messages: messages.map_err(|fault| activity.error(None, fault))?,
            late: Late::of(&activity.source),
            activity: activity.clone(),
            heading: Heading::default(),
            serial: 0,
            offset: Duration::ZERO,
            start: None,
            last_time: None,
            counter: None,
            part: 0,
        })
    }

    /// Time of the first sample that has one, once it was taken: seconds since 1970.
    pub const fn recorded_at(&self) -> Option<i64> {
        self.start
    }

    /// What the file says besides samples, as far as it was read.
    pub const fn heading(&self) -> &Heading {
        &self.heading
    }

    /// What could not be read so far.
    pub fn faults(&self) -> Vec<ActivityError> {
        let faults = self.messages.faults().iter();
        let mut errors: Vec<_> = faults
            .map(|(position, fault)| {
                // That a file is another kind of file is no matter of a byte.
                let whole = matches!(fault, Fault::Empty | Fault::Foreign(_) | Fault::Folder);
                let position = (!whole).then_some(*position);
                self.activity.error(position, fault.clone())
            })
            .collect();
        if errors.is_empty() && self.serial == 0 {
            let kind = self.heading.kind;
            errors.push(self.activity.error(None, Fault::NoSamples { kind }));
        }
        errors
    }

    /// Developers' fields that have no place in a sample.
    pub(crate) fn left_out(&self) -> Vec<String> {
        self.late.left_out()
    }

    /// Zeros after the end, which are no fault.
    pub(crate) const fn padding(&self) -> u64 {
        self.messages.padding()
    }
}

impl Iterator for Samples {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        loop {
            let message = self.messages.next()?;
            let number = |field| message.field(field)?.number();
            match message.number {
                // File id: type and time of creation.
                0 if self.heading.kind.is_none() => {
                    self.heading.kind = number(0).map(|kind| kind as u8);
                    self.heading.created = number(4).map(|time| time as i64 + FIT_EPOCH);
                }
                // Sport, and the session, which stands at the end and has the last word.
                12 => self.heading.sport = number(0).map(|sport| sport as u8),
                18 => {
                    let sport = number(5).map(|sport| sport as u8);
                    self.heading.sport = sport.or(self.heading.sport);
                }
                20 => {
                    if message.part != self.part {
                        (self.part, self.counter) = (message.part, None);
                    }
                    let mut sample = readings(&message, &self.late, &mut self.counter);
                    let time = message.time.map(|time| i64::from(time) + FIT_EPOCH);
                    if sample.heart_rate.is_none()
                        && let Some(time) = message.time
                    {
                        let last = self.last_time.map(|last| last - FIT_EPOCH);
                        sample.heart_rate = self.late.heart_rate(last, i64::from(time));
                    }
                    return Some(self.numbered(sample, time));
                }
                _ => {}
            }
        }
    }
}

impl Samples {
    fn numbered(&mut self, mut sample: Sample, time: Option<i64>) -> Sample {
        let first = self.serial == 0;
        self.serial += 1;
        self.start = self.start.or(time);
        let step = match (self.last_time, time) {
            // A file without time stamps has a sample each second.
            (_, None) | (None, _) => u64::from(!first),
            (Some(last), Some(time)) => match u64::try_from(time - last).unwrap_or(0) {
                step if step <= PAUSE_MAX => step,
                _ => 1,
            },
        };
        self.last_time = time.or(self.last_time);
        self.offset += Duration::from_secs(step);
        sample.serial = self.serial;
        sample.offset = self.offset;
        sample.time = time;
        sample
    }
}

/// Readings by the number of their field, in their units.
#[derive(Default)]
struct Readings {
    sample: Sample,
    enhanced_speed: Option<f64>,
    enhanced_altitude: Option<f64>,
}

impl Readings {
    /// Notes a value; `scale` is false where it is in its units already.
    fn note(&mut self, number: u8, value: f64, scale: bool) {
        // Whole numbers are taken from each other, so that 120.6 comes out as 120.6.
        let scaled = |by: f64, less: f64| {
            Some(if scale {
                (value - less * by) / by
            } else {
                value
            })
        };
        let sample = &mut self.sample;
        match number {
            0 => sample.latitude = scaled(SEMICIRCLES, 0.0),
            1 => sample.longitude = scaled(SEMICIRCLES, 0.0),
            2 => sample.altitude = scaled(5.0, 500.0),
            3 => sample.heart_rate = whole(value),
            4 => sample.cadence = whole(value),
            5 => sample.distance = scaled(100.0, 0.0),
            6 => sample.speed = scaled(1000.0, 0.0),
            7 => sample.power = whole(value),
            13 => sample.temperature = whole(value),
            73 => self.enhanced_speed = scaled(1000.0, 0.0),
            78 => self.enhanced_altitude = scaled(5.0, 500.0),
            _ => {}
        }
    }

    fn finish(self) -> Sample {
        Sample {
            speed: self.enhanced_speed.or(self.sample.speed),
            altitude: self.enhanced_altitude.or(self.sample.altitude),
            ..self.sample
        }
    }
}

/// Semicircles in a degree: 2³¹ semicircles are 180°.
const SEMICIRCLES: f64 = 2_147_483_648.0 / 180.0;

fn whole(value: f64) -> Option<i32> {
    let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value);
    fits.then(|| value.round() as i32)
}

/// A record's own fields; where it lacks one, the developer's field that is declared to stand for
/// it. A developer's field that only has the same name is another quantity.
fn readings(message: &Message<'_>, late: &Late, counter: &mut Option<(u32, u64)>) -> Sample {
    let (mut own, mut declared) = (Readings::default(), Readings::default());
    for field in message.fields() {
        if let Some(value) = field.number() {
            own.note(field.number, value, true);
        }
    }
    for field in message.developer_fields() {
        if let Some(description) = late.description(message.part, field.key)
            && let Some(number) = description.stands_for
            && let Some(value) = value(&field, description.base)
        {
            declared.note(number, description.convert(value), false);
        }
    }
    let compressed = message.field(8).and_then(|field| packed(field, counter));
    let (speed, distance) = compressed.unzip();
    let (own, declared) = (own.finish(), declared.finish());
    Sample {
        heart_rate: own.heart_rate.or(declared.heart_rate),
        power: own.power.or(declared.power),
        cadence: own.cadence.or(declared.cadence),
        speed: own.speed.or(speed).or(declared.speed),
        distance: own.distance.or(distance).or(declared.distance),
        altitude: own.altitude.or(declared.altitude),
        latitude: own.latitude.or(declared.latitude),
        longitude: own.longitude.or(declared.longitude),
        temperature: own.temperature.or(declared.temperature),
        ..Sample::default()
    }
}

fn value(field: &DeveloperField<'_>, base: u8) -> Option<f64> {
    let field = Field {
        number: 0,
        base,
        big_endian: field.big_endian,
        bytes: field.bytes,
    };
    field.number()
}

/// Speed in 12 bits of 1/100 m/s, and the low 12 bits of a distance in 1/16 m that rolls over.
fn packed(field: Field<'_>, counter: &mut Option<(u32, u64)>) -> Option<(f64, f64)> {
    let [a, b, c] = <[u8; 3]>::try_from(field.bytes).ok()?.map(u32::from);
    if [a, b, c] == [255; 3] {
        return None;
    }
    let (speed, low) = (a | (b & 15) << 8, b >> 4 | c << 4);
    let sum = match *counter {
        Some((last, sum)) => sum + u64::from(low.wrapping_sub(last) & 0xfff),
        None => u64::from(low),
    };
    *counter = Some((low, sum));
    Some((f64::from(speed) / 100.0, sum as f64 / 16.0))
}
