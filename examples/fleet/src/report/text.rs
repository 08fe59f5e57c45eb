//! The report as text: what is printed at the end of a run.

use std::fmt::{self, Display};

use services::coaching::Ending;

use super::{Report, story, who};
use crate::clock::hms;
use crate::cues::{self, CueLine};

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
        writeln!(f, "{}", self.verdict())
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
        let mut table = vec![row![
            "device",
            "stream",
            "numbered",
            "stored",
            "set aside",
            "missing",
        ]];
        for s in &self.streams {
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
        for rejected in &self.rejected {
            writeln!(f, "  set aside: {rejected}")?;
        }
        if self.rejected.dropped() > 0 {
            writeln!(f, "  and {} before them", self.rejected.dropped())?;
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
        writeln!(f, "\nIncidents. {}.", self.outages())?;
        if self.incidents.is_empty() {
            writeln!(f, "  none")?;
        }
        for i in &self.incidents {
            writeln!(
                f,
                "  {} {:?} {}: {}, {:?}",
                i.id, i.priority, i.service, i.signature, i.state
            )?;
            for (at, what) in story(i) {
                writeln!(f, "    {}  {what}", self.since_start(at))?;
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
            self.cues.iter().count() - count
        )?;
        for cue in &self.cues {
            let how = match &cue.ending {
                None => "undecided at the end".to_owned(),
                Some(ending @ Ending::Given(_)) if !cue.spoken => {
                    format!("{} (not spoken)", cues::ending(*ending))
                }
                Some(ending) => cues::ending(*ending),
            };
            let (at, who) = (self.since_start(cue.at), who(&self.devices, cue.device));
            writeln!(f, "  {at}  {who}  \"{}\"  {how}", cue.text)?;
        }
        if self.cues.dropped() > 0 {
            writeln!(f, "  and {} before them", self.cues.dropped())?;
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
