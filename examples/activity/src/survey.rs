//! What an activity was, by one reading of its file.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustyfit::profile::typedef::Sport;
use sha2::{Digest as _, Sha256};

use crate::curve::Curve;
use crate::{Activity, ActivityError, BYTES_MAX, CLOCK_SET, Fault, Heading, Sample};

/// SHA-256 of a file's bytes: what a file is, wherever it lies and whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId([u8; 32]);

impl ContentId {
    /// The hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is known of a file after one reading.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The file.
    pub activity: Activity,
    /// What its bytes are; `None` if they could not be read to their end.
    pub content: Option<ContentId>,
    /// What the activity was.
    pub summary: Summary,
    /// What could not be read, sentence by sentence. Without a sample there is always one.
    pub faults: Vec<ActivityError>,
    /// Fields of developers' programs that have no place in a sample, with their units.
    pub left_out: Vec<String>,
    /// Zeros after the end, which are no fault.
    pub padding: u64,
}

/// What an activity was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Samples in it.
    pub samples: u64,
    /// Seconds since 1970 at its first sample, or at which the file was made.
    pub started: Option<i64>,
    /// From the first to the last sample.
    pub duration: Duration,
    /// The sport in FIT's words.
    pub sport: Option<String>,
    /// Stretches in which the recorder's clock ran on, in order; a new one begins where it was set.
    /// At most 32, the last of which then has all that follows. None in a file without times.
    pub stretches: Vec<Stretch>,
    /// Metres.
    pub distance: Option<f64>,
    /// Beats per minute.
    pub heart_rate: Curve,
    /// Watts.
    pub power: Curve,
    /// Revolutions or double steps per minute.
    pub cadence: Curve,
    /// Metres per second.
    pub speed: Curve,
    /// Metres above the sea.
    pub altitude: Curve,
    /// Degrees Celsius.
    pub temperature: Curve,
}

/// A stretch of an activity in which the recorder's clock ran on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Time of its first sample since the first one of all.
    pub offset: Duration,
    /// What the clock showed at its first sample: seconds since 1970.
    pub from: i64,
    /// What it showed at its last sample.
    pub to: i64,
}

/// Stretches that are told apart.
const STRETCHES_MAX: usize = 32;

impl Summary {
    /// Whether [`Summary::started`] is a date: a recorder whose clock was never set counts from
    /// when it was switched on, and FIT puts that at the end of 1989.
    pub fn clock_was_set(&self) -> bool {
        self.started.is_some_and(|started| started >= CLOCK_SET)
    }
}

impl Survey {
    /// Reads a file to its end.
    pub fn of(activity: &Activity) -> Self {
        let mut tally = Tally::default();
        let mut survey = Self {
            activity: activity.clone(),
            content: content(activity).ok(),
            summary: Summary::default(),
            faults: Vec::new(),
            left_out: Vec::new(),
            padding: 0,
        };
        match activity.samples() {
            Ok(mut samples) => {
                for sample in samples.by_ref() {
                    tally.add(&sample);
                }
                survey.summary = tally.finish(samples.heading());
                survey.faults = samples.faults();
                survey.left_out = samples.left_out();
                survey.padding = samples.padding();
            }
            Err(error) => survey.faults.push(error),
        }
        survey
    }

    /// Reads many files in at most as many threads as the machine has cores, or in as many as the system
    /// allows. In order.
    pub fn of_all(activities: &[Activity]) -> Vec<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let next = AtomicUsize::new(0);
        let done = Mutex::new(BTreeMap::new());
        let read = || {
            while let Some((index, activity)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                activities.get(index).map(|activity| (index, activity))
            } {
                let survey = Self::of(activity);
                let mut done = done
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                done.insert(index, survey);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..cores.min(activities.len()) {
                let helper = std::thread::Builder::new().spawn_scoped(scope, read);
                // Where no thread can be had, this one reads what is left.
                if helper.is_err() {
                    break;
                }
            }
            read();
        });
        let done = done.into_inner();
        let done = done.unwrap_or_else(std::sync::PoisonError::into_inner);
        done.into_values().collect()
    }
}

fn content(activity: &Activity) -> Result<ContentId, Fault> {
    let mut reader = activity.source.open_raw()?.take(BYTES_MAX);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(ContentId(hash.finalize().into())),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn stretch(stretches: &mut Vec<Stretch>, offset: Duration, time: i64) {
    let is_full = stretches.len() == STRETCHES_MAX;
    if let Some(last) = stretches.last_mut() {
        let since = offset.saturating_sub(last.offset).as_secs();
        let runs_on = time.checked_sub(last.from) == i64::try_from(since).ok();
        if runs_on || is_full {
            last.to = last.to.max(time);
            return;
        }
    }
    stretches.push(Stretch {
        offset,
        from: time,
        to: time,
    });
}

#[derive(Default)]
struct Tally {
    summary: Summary,
    started: Option<i64>,
    /// Distance of the sample before; a smaller one starts again at zero, in the file's next part.
    last_distance: Option<f64>,
}

impl Tally {
    fn add(&mut self, sample: &Sample) {
        let summary = &mut self.summary;
        summary.samples = sample.serial;
        summary.duration = sample.offset;
        self.started = self.started.or(sample.time);
        if let Some(time) = sample.time {
            stretch(&mut summary.stretches, sample.offset, time);
        }
        if let Some(distance) = sample.distance {
            let before = self.last_distance.filter(|last| *last <= distance);
            let more = distance - before.unwrap_or(0.0);
            summary.distance = Some(summary.distance.unwrap_or(0.0) + more);
            self.last_distance = Some(distance);
        }
        let at = sample.offset;
        summary.heart_rate.add(at, sample.heart_rate.map(f64::from));
        summary.power.add(at, sample.power.map(f64::from));
        summary.cadence.add(at, sample.cadence.map(f64::from));
        summary.speed.add(at, sample.speed);
        summary.altitude.add(at, sample.altitude);
        summary
            .temperature
            .add(at, sample.temperature.map(f64::from));
    }

    fn finish(self, heading: &Heading) -> Summary {
        let sport = heading.sport.filter(|sport| *sport != Sport::default().0);
        Summary {
            started: self.started.or(heading.created),
            sport: sport.map(|sport| Sport(sport).to_string().replace('_', " ")),
            ..self.summary
        }
    }
}
