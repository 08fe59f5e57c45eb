//! The report as text: what is printed at the end of a run.

use std::fmt::{self, Display};

use terminal::{COLUMNS, escaped, fit, wrap};

use super::{Report, story, who};
use crate::clock::hms;
use crate::words;

/// Columns for the name of an activity.
const SOURCE_COLUMNS_MAX: usize = 30;

/// A table of text, columns as wide as their widest cell, numbers to the right. A cell is one line,
/// whatever is in it.
struct Table(Vec<Vec<String>>);

macro_rules! row {
    ($($cell:expr),+ $(,)?) => { vec![$(escaped(&$cell).to_string()),+] };
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

/// A sentence on as many lines as it takes, `indent` columns in. No text in it begins a line of its own.
fn sentence(f: &mut fmt::Formatter<'_>, indent: usize, text: &str) -> fmt::Result {
    let text = wrap(&escaped(text).to_string(), COLUMNS - indent, indent + 2);
    writeln!(f, "{:indent$}{text}", "")
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        sentence(f, 0, &self.verdict())?;
        for fault in &self.faults {
            sentence(f, 2, &format!("file: {fault}"))?;
        }
        writeln!(
            f,
            "{} of virtual time from {}, in {:.1} s",
            hms(self.length),
            self.start.to_string().replace(".000000", ""),
            self.took.as_secs_f64()
        )?;
        self.devices(f)?;
        self.ledger(f)?;
        self.schemas(f)?;
        self.incidents(f)?;
        self.cues(f)?;
        self.stages(f)?;
        let data = escaped(self.data.display());
        writeln!(f, "\nEverything of this run is in {data}")?;
        // Whoever scrolled down to here need not scroll up again.
        sentence(f, 0, &self.verdict())
    }
}

impl Report {
    fn devices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        let columns = "Trackers: samples read from the file, durable at the agent and stored as \
                       rows; frames shown; hook events dropped";
        sentence(f, 0, columns)?;
        let mut table = vec![row![
            "", "activity", "firmware", "read", "agent", "stored", "frames", "drops",
        ]];
        for d in &self.devices {
            table.push(row![
                d.index + 1,
                fit(&escaped(&d.source).to_string(), SOURCE_COLUMNS_MAX),
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
        let mut table = vec![row![
            "device",
            "stream",
            "numbered",
            "stored",
            "set aside",
            "missing",
        ]];
        for s in self.ledger_lines() {
            table.push(row![
                who(&self.devices, s.device),
                s.stream.as_str().trim_start_matches("xp.telemetry."),
                s.numbered,
                s.stored,
                s.set_aside,
                s.missing(),
            ]);
        }
        write!(f, "{}", Table(table))?;
        writeln!(f, "  duplicates removed: {}", self.duplicates)?;
        if self.rejected.dropped() > 0 {
            writeln!(
                f,
                "  set aside: {} more than are kept",
                self.rejected.dropped()
            )?;
        }
        for rejected in &self.rejected {
            sentence(
                f,
                2,
                &format!("set aside: {}", self.rejected_words(rejected)),
            )?;
            if let Some(name) = rejected.name() {
                let data = escaped(self.data.display());
                writeln!(f, "    look at it: xpt why {name} --data {data}")?;
            }
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
            let line = format!("{}  {}", self.since_start(m.at), statement.replace('"', ""));
            writeln!(f, "  {}", terminal::wrap(&line, 78, 8))?;
        }
        Ok(())
    }

    fn incidents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        sentence(f, 0, &format!("Incidents. {}.", self.outages()))?;
        if self.incidents.is_empty() {
            writeln!(f, "  none")?;
        }
        for i in &self.incidents {
            let (priority, state) = (i.priority.as_str(), i.state.as_str());
            sentence(
                f,
                2,
                &format!("{}, priority {priority}, {state}: {}", i.id, i.signature),
            )?;
            for (at, what) in story(i) {
                writeln!(f, "    {}  {what}", self.since_start(at))?;
            }
            let now = self.start + self.length;
            for (name, clock) in [("respond", &i.own), ("resolve", &i.resolve)] {
                let (used, target) = (clock.consumed(now), clock.target());
                writeln!(f, "    time to {name}: {} of {}", hms(used), hms(target))?;
            }
            if let Some(closure) = &i.closure {
                writeln!(f, "    {}", words::closure(&closure.code))?;
            }
        }
        for told in &self.told {
            let at = self.since_start(told.at);
            sentence(f, 2, &format!("told {at}  {}", told.text))?;
        }
        Ok(())
    }

    /// How many cues of each topic were given, and why the others were not; each single one is in
    /// the page and in the store.
    fn cues(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spoken = self.cues.iter().filter(|cue| cue.spoken).count();
        let (given, not) = (self.given(), self.not_given());
        writeln!(
            f,
            "\nCues for wearers: {given} given, {not} not given; {spoken} spoken aloud"
        )?;
        for line in self.topics() {
            writeln!(f, "  {}: {} given", line.topic, line.given)?;
            for (ending, count) in line.not_given {
                sentence(f, 4, &format!("{count} {ending}"))?;
            }
        }
        if self.cues.dropped() > 0 {
            writeln!(
                f,
                "  {} earlier ones are in the store only",
                self.cues.dropped()
            )?;
        }
        Ok(())
    }

    fn stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nThe way of a record, on the real clock")?;
        let mut table = vec![row!["stage", "p50", "p99", "records/s while busy"]];
        for stage in self.way() {
            table.push(row![
                stage.name,
                format!("{:.1?}", stage.times.quantile(0.5)),
                format!("{:.1?}", stage.times.quantile(0.99)),
                format!("{:.0}", stage.rate()),
            ]);
        }
        write!(f, "{}", Table(table))?;
        let rate = self.rows as f64 / self.took.as_secs_f64().max(1e-9);
        writeln!(f, "  {} rows, {rate:.0} a second, screens drawn", self.rows)
    }
}
