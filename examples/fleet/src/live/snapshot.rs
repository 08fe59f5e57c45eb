//! What the page shows, as it travels there. Times are virtual seconds since the start.

use serde::Serialize;

/// The whole page at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    pub now: u64,
    /// Virtual seconds in a real one; `None` for as fast as it goes.
    pub speed: Option<f64>,
    /// What the run is going through.
    pub phase: &'static str,
    /// How it ended; empty while it runs.
    pub ended: String,
    /// Whether there is a report to look at.
    pub report: bool,
    pub ledger: Ledger,
    /// The way of a record.
    pub pipeline: Pipeline,
    /// The trackers, in order.
    pub trackers: Vec<Tracker>,
    /// Curves of the pipeline.
    pub curves: Curves,
    /// Changes of tables, newest first.
    pub schemas: Vec<Line>,
    /// Incidents, newest first.
    pub incidents: Vec<Incident>,
    /// Cues, newest first.
    pub cues: Vec<Cue>,
    /// What happened, newest first.
    pub events: Vec<Event>,
}

/// Numbers given to records, and where the records are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// `good`, `partly` (something could not be read) or `bad` (something is lost).
    pub tone: &'static str,
    /// The same as a mark.
    pub mark: &'static str,
    /// The same in words.
    pub verdict: String,
    /// All devices together.
    pub total: Account,
    /// Each device.
    pub devices: Vec<Account>,
}

/// Where the records of a device are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    pub name: String,
    /// Records that were given a number and made durable.
    pub numbered: u64,
    /// Records that are rows.
    pub stored: u64,
    /// Records in a spool or on their way.
    pub waiting: u64,
    /// Records that were refused, with a reason.
    pub set_aside: u64,
    /// Records that are nowhere.
    pub missing: u64,
    /// Samples that are stored more than once.
    pub twice: u64,
}

/// The way of a record, stage by stage.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pipeline {
    /// Whether the link works.
    pub link_up: bool,
    /// Trackers that are switched on.
    pub running: usize,
    /// Records that became durable, a virtual second.
    pub durable_rate: f64,
    /// Records that the log took, a virtual second; resends count.
    pub logged_rate: f64,
    /// Rows that were new, a virtual second.
    pub stored_rate: f64,
    /// Records that wait in the spools.
    pub spooled: u64,
    /// Bytes of the spools.
    pub spool_bytes: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Rows of this process.
    pub rows: u64,
    /// Rows that came again and changed nothing.
    pub again: u64,
    /// Records set aside.
    pub set_aside: u64,
    /// Seconds that the newest rows are behind the clock.
    pub lag: u64,
    /// Every running tracker's samples up to here are durable in its spool.
    pub spool_watermark: Option<u64>,
    /// … are rows.
    pub store_watermark: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Tracker {
    /// Its number, from 1.
    pub number: usize,
    /// What it replays.
    pub source: String,
    pub firmware: u32,
    /// `waiting`, `on`, `unplugged` or `done`.
    pub power: &'static str,
    /// Grows whenever its screen changes; 0 for a screen that was never on.
    pub screen: u64,
    /// Records that wait in its spool.
    pub spooled: u64,
    /// Its samples up to here are rows.
    pub watermark: Option<u64>,
    /// What its newest opening found, in words; empty for a first one.
    pub recovered: String,
    /// What it measures: the first curves that have values.
    pub curves: Vec<Measured>,
}

/// A curve of a tracker.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measured {
    pub name: &'static str,
    pub unit: &'static str,
    /// Its colour, a class of the style sheet.
    pub class: &'static str,
    /// Digits behind the point.
    pub digits: u32,
    /// Values, newest last.
    pub values: Vec<Option<f64>>,
}

/// Curves of the newest ten minutes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Curves {
    /// Second of the first point.
    pub from: u64,
    /// Seconds between two points.
    pub width: u64,
    /// Records a second that became durable.
    pub durable: Vec<Option<f64>>,
    /// Records a second that the log took.
    pub logged: Vec<Option<f64>>,
    /// Rows a second.
    pub stored: Vec<Option<f64>>,
    /// Seconds that the newest rows are behind the clock.
    pub lag: Vec<Option<f64>>,
    /// When the link was down: from and to, cut to what is shown.
    pub outages: Vec<(u64, u64)>,
}

/// A line with its time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Line {
    pub at: u64,
    pub text: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Grows with every event.
    pub number: u64,
    pub at: u64,
    /// `done` by a visitor, or an `answer` of the system.
    pub kind: &'static str,
    pub text: String,
}

/// An incident.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Incident {
    pub id: String,
    pub priority: String,
    pub state: String,
    /// What it is about.
    pub text: String,
    /// What happened to it.
    pub story: Vec<Line>,
    pub clocks: Vec<Clock>,
}

/// A clock of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// What for.
    pub name: &'static str,
    /// Seconds promised.
    pub target: u64,
    /// Seconds used.
    pub used: u64,
    /// Whether it runs.
    pub runs: bool,
}

/// A cue.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cue {
    /// When it was decided.
    pub at: u64,
    /// Whose tracker.
    pub who: String,
    /// What was to be said.
    pub text: String,
    /// How it ended.
    pub how: String,
    /// Names of its sounds, in order.
    pub sounds: Vec<String>,
}
