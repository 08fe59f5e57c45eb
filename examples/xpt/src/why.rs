//! `xpt why`: where records of a run are, and where they were seen.

use std::path::{Path, PathBuf};

use clap::Args;
use run_folder::Folder;
use serde_json::json;
use telemetry_storage::{Accounting as _, Limits};
use telemetry_transport::inspect::Content;

use crate::answer::{Answer, Failure, Table};
use crate::numbers::{self, Numbers, Records};
use crate::{queue, store};

/// Records that are looked for at once.
const RECORDS_MAX: u64 = 100_000;

/// Which record, and where to look.
#[derive(Args)]
pub(crate) struct Why {
    /// The record: DEVICE:EPOCH:STREAM:NUMBER as `xpt queue tail` and a run print it, or
    /// TRACKER:STREAM:NUMBER as in 1:ActivitySample:5, or gateway:STREAM:NUMBER. NUMBER may be a range
    /// of at most 100000 numbers, as in 5-8. Without a record, the command lists the names that there
    /// are.
    record: Option<String>,
    /// The folder of the run.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

impl Why {
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        let numbers = Numbers::of(&self.data)?;
        let Some(name) = &self.record else {
            let mut table = Table::new(["newest record of each stream"]);
            for ((device, epoch, stream), end) in numbers.newest() {
                table.row([json!(format!("{device}:{epoch}:{stream}:{end}"))]);
            }
            return Ok(table.fine());
        };
        let records = numbers.records(name)?;
        let count = records.last - records.first + 1;
        if count > RECORDS_MAX {
            return Err(format!(
                "{name}: these are {count} records; ask for at most {RECORDS_MAX} at once"
            ));
        }
        let story = Story::of(records, Folder::new(self.data))?;
        Ok(match &story.places[..] {
            [only] => story.of_one(only),
            _ => story.of_all(),
        })
    }
}

/// Where a record was found.
#[derive(Clone, Debug, Default, PartialEq)]
struct Place {
    spool: Option<String>,
    log: Option<String>,
    dead: Option<String>,
    stored: bool,
    /// Later ones are stored.
    gap: bool,
}

/// What became of a record, the end of its way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Stored,
    SetAside,
    InLog,
    Missing,
    InSpool,
    NotGiven,
}

impl Place {
    fn state(&self) -> State {
        match self {
            Self { stored: true, .. } => State::Stored,
            Self { dead: Some(_), .. } => State::SetAside,
            Self { log: Some(_), .. } => State::InLog,
            Self { gap: true, .. } => State::Missing,
            Self { spool: Some(_), .. } => State::InSpool,
            _ => State::NotGiven,
        }
    }

    /// Where it is, as far as it came.
    fn farthest(&self) -> Option<&String> {
        match self.state() {
            State::Stored | State::NotGiven => None,
            State::SetAside => self.dead.as_ref(),
            State::InLog => self.log.as_ref(),
            State::Missing | State::InSpool => self.spool.as_ref(),
        }
    }
}

impl State {
    const ALL: [Self; 6] = [
        Self::Stored,
        Self::SetAside,
        Self::InLog,
        Self::Missing,
        Self::InSpool,
        Self::NotGiven,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::SetAside => "set aside",
            Self::InLog => "in the log",
            Self::Missing => "missing",
            Self::InSpool => "in its spool",
            Self::NotGiven => "nowhere",
        }
    }

    /// What that means, and what to do; `None` if all is well. `it` is what there is of it.
    fn fault(self, it: &str, is: &str, log: &Path) -> Option<String> {
        Some(match self {
            Self::Stored => return None,
            Self::SetAside => format!(
                "{it} {is} refused and set aside: remove the reason, then `xpt queue replay {}`",
                log.display()
            ),
            Self::InLog => {
                format!("{it} {is} in the log and on the way: the consumer has not stored this yet")
            }
            Self::Missing => format!("{it} {is} missing: later ones are stored, this is not"),
            Self::InSpool => format!(
                "{it} {is} not stored and waits in the spool: run it again with the same --data"
            ),
            Self::NotGiven => format!("{it} {is} not stored: no such number was given"),
        })
    }
}

/// What became of consecutive records.
struct Story {
    records: Records,
    folder: Folder,
    /// One for each of them, in order.
    places: Vec<Place>,
}

impl Story {
    fn of(records: Records, folder: Folder) -> Result<Self, Failure> {
        let count = records.last - records.first + 1;
        let mut story = Self {
            places: vec![Place::default(); usize::try_from(count).unwrap_or(0)],
            records,
            folder,
        };
        story.look_into_spools()?;
        story.look_into_log()?;
        story.look_into_store()?;
        Ok(story)
    }

    /// The places of the records with these numbers.
    fn places(&mut self, first: u64, last: u64) -> &mut [Place] {
        let (from, to) = (first.max(self.records.first), last.min(self.records.last));
        let index =
            |number: u64| usize::try_from(number - self.records.first).unwrap_or(usize::MAX);
        match from <= to {
            true => &mut self.places[index(from)..=index(to)],
            false => &mut [],
        }
    }

    /// What is confirmed stays in a spool until its segment is freed.
    fn look_into_spools(&mut self) -> Result<(), Failure> {
        for (_, dir) in numbers::spools(self.folder.path())? {
            queue::look(&dir, |position, content| {
                if let Content::Record { id, .. } = content
                    && (id.device, id.epoch.get(), &id.stream)
                        == (
                            self.records.stream.0,
                            self.records.stream.1,
                            &self.records.stream.2,
                        )
                {
                    let number = id.seq.get();
                    for place in self.places(number, number) {
                        place.spool = Some(format!("{} {}", dir.display(), queue::at(position)));
                    }
                }
            })?;
        }
        Ok(())
    }

    fn look_into_log(&mut self) -> Result<(), Failure> {
        let log = self.folder.log();
        let found = queue::look(&log, |position, content| {
            if let Content::Batch(batch) = content {
                let (stream, first, last) = numbers::range(&batch.envelope);
                if stream == self.records.stream {
                    let name = batch.envelope.message_id();
                    let at = format!("{} in {name}", queue::at(position));
                    for place in self.places(first, last) {
                        place.log = Some(at.clone());
                    }
                }
            }
        })?;
        for (consumer, letter) in found.dead_letters {
            let (stream, first, last) = numbers::range(&letter.batch.envelope);
            if stream == self.records.stream {
                for place in self.places(first, last) {
                    place.dead = Some(format!("{consumer}: {}", letter.reason));
                }
            }
        }
        Ok(())
    }

    fn look_into_store(&mut self) -> Result<(), Failure> {
        let store = store::open(&self.folder.store(), Limits::default())?;
        let presence = pollster::block_on(store.presence()).map_err(|e| e.to_string())?;
        for p in presence {
            if (p.device, p.epoch.get(), p.stream) == self.records.stream {
                for place in self.places(1, p.last_seq) {
                    place.stored = true;
                }
            }
        }
        for gap in pollster::block_on(store.gaps()).map_err(|e| e.to_string())? {
            if (gap.device, gap.epoch.get(), gap.stream) == self.records.stream {
                for place in self.places(gap.first.get(), gap.last.get()) {
                    (place.stored, place.gap) = (false, true);
                }
            }
        }
        Ok(())
    }

    /// Each stage of one record's way, and in words what became of it there.
    fn of_one(&self, place: &Place) -> Answer {
        let stored = place
            .stored
            .then(|| self.folder.store().display().to_string());
        // Whoever has passed a record on may free its place.
        let (logged, arrived) = (place.log.is_some(), place.stored || place.dead.is_some());
        let passed = |is: bool| match is {
            true => "it was here, and its place was freed",
            false => "it is not here",
        };
        let mut table = Table::new(["stage", "state", "where"]);
        for (stage, at, here, else_) in [
            (
                "spool",
                &place.spool,
                "it is here",
                passed(logged || arrived),
            ),
            ("log", &place.log, "it is here", passed(arrived)),
            (
                "dead letters",
                &place.dead,
                "it was refused",
                "it was not refused",
            ),
            ("store", &stored, "it is stored", "it is not stored"),
        ] {
            let state = if at.is_some() { here } else { else_ };
            table.row([json!(stage), json!(state), json!(at)]);
        }
        table.with(place.state().fault("it", "is", &self.folder.log()))
    }

    /// What became of each record; neighbours of which the same is to be said have one row.
    fn of_all(&self) -> Answer {
        let mut table = Table::new(["numbers", "state", "where"]);
        let mut first = self.records.first;
        let alike = |a: &Place, b: &Place| {
            let spooled = matches!(a.state(), State::Missing | State::InSpool);
            a.state() == b.state() && (spooled || a.farthest() == b.farthest())
        };
        for run in self.places.chunk_by(alike) {
            let last = first + run.len() as u64 - 1;
            let numbers = match first == last {
                true => first.to_string(),
                false => format!("{first}-{last}"),
            };
            if let [place, ..] = run {
                let state = place.state().as_str();
                table.row([json!(numbers), json!(state), json!(place.farthest())]);
            }
            first = last + 1;
        }
        let of = self.places.len();
        let faults = State::ALL.into_iter().filter_map(|state| {
            let those = self.places.iter().filter(|place| place.state() == state);
            let (it, is) = match those.count() {
                0 => return None,
                1 => (format!("1 of {of}"), "is"),
                n => (format!("{n} of {of}"), "are"),
            };
            state.fault(&it, is, &self.folder.log())
        });
        let faults: Vec<String> = faults.collect();
        table.with((!faults.is_empty()).then(|| faults.join("\n")))
    }
}
