//! What happened, for people: printed at the end and kept in the run's folder.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use telemetry_core::{DeviceId, Timestamp};
use telemetry_itil::{Actor, Incident};
use telemetry_storage::Migration;

use crate::clock::hms;
use crate::coach::{CueLine, Ending, routes};
use crate::controller::Told;
use crate::latency::Histogram;
use crate::ledger::{StreamLine, VersionLine};

/// One tracker.
#[derive(Clone, Debug)]
pub struct DeviceLine {
    /// Position in the fleet, from 0.
    pub index: usize,
    /// Its identity.
    pub device: DeviceId,
    /// What it replayed.
    pub source: String,
    /// Its firmware.
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
}

/// A run from its start to its end.
#[derive(Clone, Debug)]
pub struct Report {
    /// The run's folder.
    pub data: PathBuf,
    /// Wall time of the start.
    pub start: Timestamp,
    /// Virtual length.
    pub length: Duration,
    /// Real time that this process took.
    pub took: Duration,
    /// Trackers.
    pub devices: Vec<DeviceLine>,
    /// Samples stored of each device.
    pub stored: BTreeMap<DeviceId, u64>,
    /// The loss ledger.
    pub streams: Vec<StreamLine>,
    /// Rows that came again and changed nothing.
    pub duplicates: u64,
    /// Rows stored by this process.
    pub rows: u64,
    /// Batches set aside, the first ones.
    pub rejected: Vec<String>,
    /// Batches set aside besides.
    pub rejected_more: u64,
    /// Schemas in use.
    pub versions: Vec<VersionLine>,
    /// Changes of tables.
    pub migrations: Vec<Migration>,
    /// Incidents.
    pub incidents: Vec<Incident>,
    /// What the controller told people in this process.
    pub told: Vec<Told>,
    /// Cues.
    pub cues: Vec<CueLine>,
    /// Alerts beyond what is kept.
    pub more_cues: u64,
    /// Samples appended by this process.
    pub samples_appended: u64,
    /// From append to durable.
    pub durable: Histogram,
    /// From handing over to the log's commit.
    pub published: Histogram,
    /// From the log to the store's commit.
    pub stored_latency: Histogram,
    /// When the link was down.
    pub outage: Range<Duration>,
    /// Files that could not be read to their end.
    pub faults: Vec<String>,
}

impl Report {
    /// Whether every sample of every file is stored, and every record that was numbered.
    pub fn is_whole(&self) -> bool {
        let devices = self
            .devices
            .iter()
            .all(|d| d.read == d.agent && d.agent == self.stored_of(d));
        let streams = self.streams.iter().all(|s| s.numbered == s.stored);
        devices && streams && self.rejected.is_empty()
    }

    fn stored_of(&self, line: &DeviceLine) -> u64 {
        self.stored.get(&line.device).copied().unwrap_or(0)
    }

    fn since_start(&self, at: Timestamp) -> String {
        hms(at.saturating_since(self.start))
    }
}

/// A table of text, columns as wide as their widest cell, numbers to the right.
struct Table(Vec<Vec<String>>);

macro_rules! row {
    ($($cell:expr),+ $(,)?) => { vec![$($cell.to_string()),+] };
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let columns = self.0.first().map_or(0, Vec::len);
        for (i, row) in self.0.iter().enumerate() {
            write!(f, "  ")?;
            for (column, cell) in row.iter().enumerate() {
                let pad = width(column) - cell.chars().count();
                let number = i > 0 && cell.starts_with(|c: char| c.is_ascii_digit());
                let (before, after) = if number { (pad, 0) } else { (0, pad) };
                let gap = if column + 1 == columns { 0 } else { after + 2 };
                write!(f, "{:before$}{cell}{:gap$}", "", "")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of virtual time from {}, in {:.1} s",
            hms(self.length),
            self.start,
            self.took.as_secs_f64()
        )?;
        self.devices(f)?;
        self.ledger(f)?;
        self.schemas(f)?;
        self.incidents(f)?;
        self.cues(f)?;
        self.stages(f)?;
        for fault in &self.faults {
            writeln!(f, "\nfile: {fault}")?;
        }
        writeln!(f, "\nEverything of this run is in {}", self.data.display())?;
        let verdict = if self.is_whole() {
            "Nothing is lost, and nothing is stored twice."
        } else {
            "RECORDS ARE MISSING: see the lines that are not equal."
        };
        writeln!(f, "{verdict}")
    }
}

impl Report {
    fn devices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nTrackers: samples from the file to the row")?;
        let mut table = vec![row![
            "tracker",
            "activity",
            "firmware",
            "read",
            "at the agent",
            "stored",
            "frames",
            "ring drops",
        ]];
        for d in &self.devices {
            table.push(row![
                d.index + 1,
                d.source,
                d.firmware,
                d.read,
                d.agent,
                self.stored_of(d),
                d.frames,
                d.ring_drops,
            ]);
        }
        write!(f, "{}", Table(table))
    }

    fn ledger(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nLedger: records numbered by the devices, and stored")?;
        let mut table = vec![row!["device", "stream", "numbered", "stored", "missing"]];
        for s in &self.streams {
            let tracker = self.devices.iter().find(|d| d.device == s.device);
            table.push(row![
                tracker.map_or("gateway".to_owned(), |d| format!("tracker {}", d.index + 1)),
                s.stream.as_str().trim_start_matches("xp.telemetry."),
                s.numbered,
                s.stored,
                s.numbered.saturating_sub(s.stored),
            ]);
        }
        write!(f, "{}", Table(table))?;
        writeln!(f, "  duplicates removed: {}", self.duplicates)?;
        for rejected in &self.rejected {
            writeln!(f, "  set aside: {rejected}")?;
        }
        if self.rejected_more > 0 {
            writeln!(f, "  and {} set aside besides", self.rejected_more)?;
        }
        Ok(())
    }

    fn schemas(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nSchemas, and what they changed")?;
        let mut table = vec![row!["stream", "version", "fingerprint"]];
        for v in &self.versions {
            table.push(row![v.stream, v.version, format!("#{}", v.schema)]);
        }
        write!(f, "{}", Table(table))?;
        for m in &self.migrations {
            let statement = m.statement.split('(').next().unwrap_or_default().trim_end();
            writeln!(f, "  {}  {statement}", self.since_start(m.at))?;
        }
        Ok(())
    }

    fn incidents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nIncidents (the link was down from {} to {})",
            hms(self.outage.start),
            hms(self.outage.end)
        )?;
        if self.incidents.is_empty() {
            writeln!(f, "  none")?;
        }
        for i in &self.incidents {
            writeln!(
                f,
                "  {} {:?} {}: {}, {:?}",
                i.id, i.priority, i.service, i.signature, i.state
            )?;
            let line = |f: &mut fmt::Formatter<'_>, at, what: String| {
                writeln!(f, "    {}  {what}", self.since_start(at))
            };
            line(f, i.occurred_at, "it began".to_owned())?;
            line(f, i.detected_at, "noticed".to_owned())?;
            for step in &i.history {
                let by = match &step.by {
                    Actor::Person(name) => name.clone(),
                    Actor::Rule(rule) => format!("rule {} version {}", rule.id, rule.version),
                    Actor::Machine => "its own timer".to_owned(),
                };
                line(f, step.at, format!("{:?}, by {by}", step.to))?;
            }
            let now = self.start + self.length;
            for (name, clock) in [("own", &i.own), ("resolve", &i.resolve)] {
                let (used, target) = (clock.consumed(now), clock.target());
                writeln!(f, "    time to {name}: {} of {}", hms(used), hms(target))?;
            }
            if let Some(closure) = &i.closure {
                writeln!(f, "    closed as {:?}", closure.code)?;
            }
        }
        for told in &self.told {
            writeln!(f, "  told {}  {}", self.since_start(told.at), told.text)?;
        }
        Ok(())
    }

    fn cues(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = |c: &&CueLine| matches!(c.ending, Some(Ending::Given(_)));
        let count = self.cues.iter().filter(given).count();
        writeln!(
            f,
            "\nCues: {count} given, {} not given",
            self.cues.len() - count
        )?;
        for cue in &self.cues {
            let how = match &cue.ending {
                None => "undecided at the end".to_owned(),
                Some(Ending::Given(route)) if cue.spoken => routes(route),
                Some(Ending::Given(route)) => format!("{} (not spoken)", routes(route)),
                Some(Ending::NotGiven(reason)) => format!("not given: {reason:?}"),
            };
            let tracker = self.devices.iter().find(|d| d.device == cue.device);
            let tracker = tracker.map_or(0, |d| d.index + 1);
            let at = self.since_start(cue.at);
            writeln!(f, "  {at}  tracker {tracker}  \"{}\"  {how}", cue.text)?;
        }
        if self.more_cues > 0 {
            writeln!(f, "  and {} alerts more", self.more_cues)?;
        }
        Ok(())
    }

    fn stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nThe way of a record, on the real clock")?;
        let mut table = vec![row!["stage", "p50", "p99", "records/s while busy"]];
        let stages = [
            ("append to durable", &self.durable, self.samples_appended),
            ("handed over to logged", &self.published, self.rows),
            ("logged to stored", &self.stored_latency, self.rows),
        ];
        for (name, times, records) in stages {
            let busy = times.sum().as_secs_f64().max(1e-9);
            table.push(row![
                name,
                format!("{:.1?}", times.quantile(0.5)),
                format!("{:.1?}", times.quantile(0.99)),
                format!("{:.0}", records as f64 / busy),
            ]);
        }
        write!(f, "{}", Table(table))?;
        let rate = self.rows as f64 / self.took.as_secs_f64().max(1e-9);
        writeln!(f, "  {} rows, {rate:.0} a second, screens drawn", self.rows)
    }
}
