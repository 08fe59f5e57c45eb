//! What happened, for people: as text that is printed and kept, and as a page to look at.

mod curves;
pub mod html;
mod markup;
mod plot;
mod series;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use services::coaching::Ending;
use services::ledger::StreamLine;
use telemetry_core::{DeviceId, Timestamp};
use telemetry_itil::Incident;
use telemetry_storage::Migration;

use crate::clock::hms;
use crate::controller::Told;
use crate::cues::CueLine;
use crate::latency::Histogram;
use crate::ledger::VersionLine;
use crate::ring::Ring;
use crate::storing::Rejected;
use crate::words;

pub use curves::{Curves, Pulse};
pub use series::Series;

/// One tracker.
#[derive(Clone, Debug)]
pub struct DeviceLine {
    /// Position in the fleet, from 0.
    pub index: usize,
    pub device: DeviceId,
    /// What it replayed.
    pub source: String,
    pub firmware: u32,
    /// Samples in the file.
    pub read: u64,
    /// Samples that reached the agent and are durable there.
    pub agent: u64,
    /// Frames shown in this run.
    pub frames: u64,
    /// Hook events lost in the ring in this run.
    pub ring_drops: u64,
    /// Its screen at the end.
    pub picture: PathBuf,
    /// What it measured.
    pub curves: Curves,
}

/// A run from its start to its end.
#[derive(Clone, Debug)]
pub struct Report {
    pub data: PathBuf,
    /// Wall time of the start.
    pub start: Timestamp,
    /// Virtual length.
    pub length: Duration,
    /// Real time that this process took.
    pub took: Duration,
    pub devices: Vec<DeviceLine>,
    /// Samples stored of each device.
    pub stored: BTreeMap<DeviceId, u64>,
    /// The loss ledger.
    pub streams: Vec<StreamLine>,
    /// Rows that came again and changed nothing.
    pub duplicates: u64,
    /// Rows stored by this process.
    pub rows: u64,
    /// Batches and schemas that were not accepted: the newest ones.
    pub rejected: Ring<Rejected>,
    /// Schemas in use.
    pub versions: Vec<VersionLine>,
    /// Changes of tables.
    pub migrations: Vec<Migration>,
    pub incidents: Vec<Incident>,
    /// What the controller told people in this process: the newest of it.
    pub told: Ring<Told>,
    /// The newest cues.
    pub cues: Ring<CueLine>,
    /// Samples appended by this process.
    pub samples_appended: u64,
    /// From append to durable.
    pub durable: Histogram,
    /// From handing over to the log's commit.
    pub published: Histogram,
    /// From the log to the store's commit.
    pub stored_latency: Histogram,
    /// The pipeline over virtual time.
    pub pulse: Pulse,
    /// When the link was down, in order.
    pub outages: Vec<Range<Duration>>,
    /// Files that could not be read to their end.
    pub faults: Vec<String>,
}

impl Report {
    /// Whether every sample of every file is stored, and every record that was numbered is stored
    /// or set aside with its reason.
    pub fn is_whole(&self) -> bool {
        let devices = self
            .devices
            .iter()
            .all(|d| d.read == d.agent && d.agent == self.stored_of(d));
        devices && self.streams.iter().all(|s| s.missing() == 0)
    }

    /// Records that were refused and stand among the dead letters.
    pub fn set_aside(&self) -> u64 {
        self.streams.iter().map(|s| s.set_aside).sum()
    }

    /// Whether anything is lost, in a sentence.
    pub fn verdict(&self) -> String {
        if !self.is_whole() {
            return "RECORDS ARE MISSING: see the lines that are not equal.".to_owned();
        }
        words::whole(self.set_aside(), self.faults.len())
    }

    /// How good the run was, as a colour.
    pub fn tone(&self) -> Tone {
        Tone::of(self.is_whole(), self.set_aside(), self.faults.len())
    }

    /// When the link was down, in words.
    fn outages(&self) -> String {
        let times = self.outages.iter().map(|outage| {
            let (from, to) = (hms(outage.start), hms(outage.end));
            format!("from {from} to {to}")
        });
        let times: Vec<String> = times.collect();
        match times.is_empty() {
            true => "The link was never down".to_owned(),
            false => format!("The link was down {}", times.join(", and ")),
        }
    }

    fn stored_of(&self, line: &DeviceLine) -> u64 {
        self.stored.get(&line.device).copied().unwrap_or(0)
    }

    fn since_start(&self, at: Timestamp) -> String {
        hms(at.saturating_since(self.start))
    }

    fn way(&self) -> impl Iterator<Item = StageLine<'_>> {
        let stages = [
            ("append to durable", &self.durable, self.samples_appended),
            ("handed over to logged", &self.published, self.rows),
            ("logged to stored", &self.stored_latency, self.rows),
        ];
        stages.into_iter().map(|(name, times, records)| StageLine {
            name,
            times,
            records,
        })
    }
}

/// How good something is, as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Nothing is lost, but something could not be used.
    Partly,
    /// Something is lost.
    Bad,
}

impl Tone {
    /// The tone of a run: whether it is whole, how many records are set aside, and how many things
    /// are wrong with its files.
    pub const fn of(whole: bool, set_aside: u64, file_faults: usize) -> Self {
        match (whole, set_aside, file_faults) {
            (false, ..) => Self::Bad,
            (true, 0, 0) => Self::Good,
            (true, ..) => Self::Partly,
        }
    }

    /// A class of the style sheets.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Partly => "partly",
            Self::Bad => "bad",
        }
    }

    /// The same for who sees no colours.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Partly => "!",
            Self::Bad => "✗",
        }
    }
}

/// A stage on the way of a record.
struct StageLine<'a> {
    name: &'static str,
    times: &'a Histogram,
    records: u64,
}

impl StageLine<'_> {
    /// Records a second while it was busy.
    fn rate(&self) -> f64 {
        self.records as f64 / self.times.sum().as_secs_f64().max(1e-9)
    }
}

/// What happened to an incident, and when.
pub(crate) fn story(incident: &Incident) -> Vec<(Timestamp, String)> {
    let mut story = vec![
        (incident.occurred_at, "The trouble began".to_owned()),
        (incident.detected_at, "It was noticed".to_owned()),
    ];
    let steps = incident.history.iter();
    story.extend(steps.map(|step| (step.at, words::step(step))));
    // What was found out later may have begun earlier.
    story.sort_by_key(|(at, _)| *at);
    story
}

/// A device as people know it.
fn who(devices: &[DeviceLine], device: DeviceId) -> String {
    let tracker = devices.iter().find(|d| d.device == device);
    tracker.map_or("gateway".to_owned(), |d| format!("tracker {}", d.index + 1))
}

/// Alerts of one topic, and how they ended.
struct TopicLine {
    topic: String,
    given: u64,
    /// Endings of the others, each with its number.
    not_given: BTreeMap<String, u64>,
}

impl Report {
    /// Kept cues that reached the wearer.
    fn given(&self) -> u64 {
        self.topics().iter().map(|line| line.given).sum()
    }

    /// Kept cues that did not.
    fn not_given(&self) -> u64 {
        let lines = self.topics();
        let counts = lines.iter().flat_map(|line| line.not_given.values());
        counts.sum()
    }

    /// The kept cues, by topic.
    fn topics(&self) -> Vec<TopicLine> {
        let mut topics: BTreeMap<&str, TopicLine> = BTreeMap::new();
        for cue in &self.cues {
            let line = topics.entry(&cue.topic).or_insert_with(|| TopicLine {
                topic: cue.topic.clone(),
                given: 0,
                not_given: BTreeMap::new(),
            });
            match cue.ending {
                Some(Ending::Given(_)) => line.given += 1,
                Some(ending) => *line.not_given.entry(words::ending(ending)).or_default() += 1,
                None => {
                    *line
                        .not_given
                        .entry("undecided at the end".to_owned())
                        .or_default() += 1
                }
            }
        }
        topics.into_values().collect()
    }

    /// The ledger, trackers in their order and the gateway last.
    fn ledger_lines(&self) -> Vec<&StreamLine> {
        let place = |device: DeviceId| self.devices.iter().position(|d| d.device == device);
        let mut lines: Vec<&StreamLine> = self.streams.iter().collect();
        lines.sort_by_key(|s| (place(s.device).unwrap_or(usize::MAX), s.stream.as_str()));
        lines
    }

    /// What was not accepted, in a sentence, and the name under which it can be looked at.
    fn rejected_words(&self, rejected: &Rejected) -> String {
        rejected.in_words(|device| who(&self.devices, device))
    }
}
