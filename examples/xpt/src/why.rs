//! `xpt why`: where one record of a run is, and where it was seen.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use telemetry_core::{Envelope, RecordId};
use telemetry_storage::{Accounting as _, Limits};
use telemetry_transport::inspect::Content;

use crate::answer::{Answer, Failure, Table};
use crate::numbers::{self, Numbers};
use crate::{queue, store};

/// Which record, and where to look.
#[derive(Args)]
pub(crate) struct Why {
    /// The record: DEVICE:EPOCH:STREAM:NUMBER as `xpt queue tail` and a run print it, or
    /// TRACKER:STREAM:NUMBER as in 1:ActivitySample:5. Without it, the names that there are.
    record: Option<String>,
    /// The folder of the run.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

impl Why {
    /// Does it.
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        let numbers = Numbers::of(&self.data)?;
        let Some(name) = &self.record else {
            let mut table = Table::new(["newest record of each stream"]);
            for ((device, epoch, stream), end) in numbers.newest() {
                table.row([json!(format!("{device}:{epoch}:{stream}:{end}"))]);
            }
            return Ok(table.fine());
        };
        let story = Story {
            record: numbers.record(name)?,
            data: self.data,
        };
        story.tell()
    }
}

/// Where one record is.
struct Story {
    record: RecordId,
    data: PathBuf,
}

impl Story {
    fn tell(&self) -> Result<Answer, Failure> {
        let mut table = Table::new(["stage", "found", "where"]);
        let mut row = |stage: &str, at: Option<String>| {
            table.row([json!(stage), json!(at.is_some()), json!(at)]);
        };
        row("spool", self.in_spools()?);
        let (logged, dead) = self.in_log(&self.data.join("log"))?;
        row("log", logged.clone());
        row("dead letter", dead.clone());
        let (stored, gap) = self.in_store()?;
        let lost = gap && logged.is_none() && dead.is_none();
        row("store", stored.clone());
        let fault = match (&stored, dead, logged) {
            (Some(_), ..) => None,
            (None, Some(_), _) => Some(format!(
                "it was refused and set aside: remove the reason, then `xpt queue replay {}`",
                self.data.join("log").display()
            )),
            (None, None, Some(_)) => {
                Some("it is in the log and on its way: the consumer has not stored it".to_owned())
            }
            _ if lost => Some("it is missing: later ones are stored, it is not".to_owned()),
            _ => Some(
                "it is not stored: it waits in its spool, or no such number was given".to_owned(),
            ),
        };
        Ok(table.with(fault))
    }

    /// What is confirmed stays in a spool until its segment is freed.
    fn in_spools(&self) -> Result<Option<String>, Failure> {
        for dir in numbers::spools(&self.data)? {
            let mut found = None;
            queue::look(&dir, |position, content| {
                if matches!(&content, Content::Record { id, .. } if *id == self.record) {
                    found = Some(position);
                }
            })?;
            if let Some(position) = found {
                let at = queue::at(position);
                return Ok(Some(format!("{} {at}", dir.display()).replace('"', "")));
            }
        }
        Ok(None)
    }

    fn in_log(&self, dir: &Path) -> Result<(Option<String>, Option<String>), Failure> {
        let mut logged = None;
        let found = queue::look(dir, |position, content| {
            if let Content::Batch(batch) = content
                && self.is_in(&batch.envelope)
            {
                let name = batch.envelope.message_id();
                let at = queue::at(position);
                logged = Some(format!("{at} in {name}").replace('"', ""));
            }
        })?;
        let mut letters = found.dead_letters.iter();
        let dead = letters.find(|(_, letter)| self.is_in(&letter.batch.envelope));
        let dead = dead.map(|(consumer, letter)| format!("{consumer}: {}", letter.reason));
        Ok((logged, dead))
    }

    fn is_in(&self, envelope: &Envelope) -> bool {
        envelope.device == self.record.device
            && envelope.epoch == self.record.epoch
            && envelope.subject == self.record.stream
            && numbers::is_within(self.record.seq, envelope.first_seq.get(), envelope.count)
    }

    /// Where it is stored, and whether later ones are.
    fn in_store(&self) -> Result<(Option<String>, bool), Failure> {
        let path = self.data.join("store.sqlite");
        let store = store::open(&path, Limits::default())?;
        let record = &self.record;
        let presence = pollster::block_on(store.presence()).map_err(|e| e.to_string())?;
        let later = presence.iter().any(|p| {
            p.device == record.device
                && p.epoch == record.epoch
                && p.stream == record.stream
                && p.last_seq >= record.seq.get()
        });
        let gaps = pollster::block_on(store.gaps()).map_err(|e| e.to_string())?;
        let missing = gaps.iter().any(|g| {
            g.device == record.device
                && g.epoch == record.epoch
                && g.stream == record.stream
                && (g.first..=g.last).contains(&record.seq)
        });
        let stored = later && !missing;
        Ok((stored.then(|| path.display().to_string()), missing))
    }
}
