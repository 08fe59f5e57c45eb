//! `xpt queue`: a spool or an embedded log, which a running program may own, and a broker's dead
//! letters; the speed of a disk.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use telemetry_transport::inspect::{Content, Inspection, inspect};
use telemetry_transport::{Directory, EmbeddedLog, Limits, Opening, Position, Spool};

use crate::answer::{Answer, Failure, Table};
use crate::bench::Bench;
use crate::broker::{Broker, Declare};
use crate::enrol::Enrol;

/// What to do with a queue.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check every byte, and say what was durable and is damaged or gone.
    Verify {
        /// The folder of the spool or the log, e.g. fleet-data/run-1/log.
        dir: PathBuf,
        /// Put the damage aside and leave a queue that opens; nobody may have it open.
        #[arg(long)]
        repair: bool,
    },
    /// Show its size, how far its readers are, and how many dead letters there are.
    Stats {
        /// The folder of the spool or the log, e.g. fleet-data/run-1/log.
        dir: PathBuf,
    },
    /// Show the newest records or batches.
    Tail {
        /// The folder of the spool or the log, e.g. fleet-data/run-1/log.
        dir: PathBuf,
        /// How many to show.
        #[arg(short = 'n', default_value_t = 10)]
        count: usize,
    },
    /// Show what consumers of a broker or of an embedded log set aside, and why; it stays there.
    Dead(Broker),
    /// Publish again what was set aside, once the reason is removed.
    Replay(Broker),
    /// Declare the exchanges and queues of a broker, for users who may only publish or consume.
    Declare(Declare),
    /// Let a device's user publish on a broker as itself, and do nothing else.
    Enrol(Enrol),
    /// Measure how fast a spool is on this disk, and on the way to a broker; nothing is left behind.
    Bench(Bench),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        match self {
            Self::Verify { dir, repair: true } => repair(&dir),
            Self::Verify { dir, .. } => verify(&dir),
            Self::Stats { dir } => stats(&dir),
            Self::Tail { dir, count } => tail(&dir, count),
            Self::Dead(broker) => broker.dead(),
            Self::Replay(broker) => broker.replay(),
            Self::Declare(declare) => declare.run(),
            Self::Enrol(enrol) => enrol.run(),
            Self::Bench(bench) => bench.run(),
        }
    }
}

/// Looks at a folder that must be a queue.
pub(crate) fn look(
    dir: &Path,
    visit: impl FnMut(Position, Content),
) -> Result<Inspection, Failure> {
    let found = inspect(dir, &Limits::default(), visit);
    let found = found.map_err(|e| format!("{}: {e}", dir.display()))?;
    if found.segments == 0 {
        let dir = dir.display();
        return Err(format!(
            "{dir}: no segment in it; give the folder of a spool or of a log, e.g. \
             fleet-data/run-1/log"
        ));
    }
    Ok(found)
}

/// Checks every byte, and says what was lost.
pub(crate) fn verify(dir: &Path) -> Result<Answer, Failure> {
    let mut unreadable = 0u64;
    let found = look(dir, |_, content| {
        unreadable += u64::from(content == Content::Unreadable);
    })?;
    let mut table = Table::new(["what", "count"]);
    for (what, count) in [
        ("segments", found.segments),
        ("whole frames", found.frames),
        ("unreadable frames", unreadable),
        ("damaged bytes", found.damaged_bytes),
        ("gaps", found.gaps),
        ("missing bytes", found.missing_bytes),
        ("torn tails", found.torn_tails),
    ] {
        table.row([json!(what), json!(count)]);
    }
    for lost in &found.lost {
        let count = lost.last.get() - lost.first.get() + 1;
        table.row([json!(format!("lost {lost}")), json!(count)]);
    }
    let faults = faults(&found, unreadable);
    let todo = "keep a copy of the folder; its owner puts the damage aside at the next opening, and so \
                does --repair";
    let fault = format!("{}: {todo}", faults.join("; "));
    Ok(table.with((!faults.is_empty()).then_some(fault)))
}

fn faults(found: &Inspection, unreadable: u64) -> Vec<&'static str> {
    // The file of a segment is made before its first write: a queue in which nothing was ever durable
    // holds no frame, and nothing that could be the rest of one.
    let is_new = found.bytes > 0 && found.torn_tails == 0 && found.damaged_bytes == 0;
    let told = [
        (
            found.frames == 0 && !is_new,
            "there is no whole frame in it: it was cut or overwritten",
        ),
        (found.gaps > 0, "something that was durable is missing"),
        (
            found.damaged_bytes > 0 || unreadable > 0,
            "what was durable is damaged",
        ),
    ];
    let told = told.into_iter().filter(|(is, _)| *is);
    told.map(|(_, fault)| fault).collect()
}

/// Says what was lost, puts the damage aside as an owner does, and leaves a queue that opens.
fn repair(dir: &Path) -> Result<Answer, Failure> {
    let mut is_spool = false;
    look(dir, |_, content| {
        is_spool |= matches!(content, Content::Opening { .. });
    })?;
    let is_spool = is_spool || dir.join("00000000.cursor").exists();
    let answer = verify(dir)?;
    let failed = |error: &dyn std::error::Error| format!("{}: {error}", dir.display());
    let storage = Directory::open(dir).map_err(|e| failed(&e))?;
    if is_spool {
        let opening = Opening::new().map_err(|e| failed(&e))?;
        Spool::open(storage, opening).map_err(|e| failed(&e))?;
    } else {
        EmbeddedLog::open(storage, Limits::default()).map_err(|e| failed(&e))?;
    }
    Ok(answer)
}

fn stats(dir: &Path) -> Result<Answer, Failure> {
    let (mut records, mut batches, mut batched) = (0u64, 0u64, 0u64);
    let found = look(dir, |_, content| match content {
        Content::Record { .. } => records += 1,
        Content::Batch(batch) => {
            batches += 1;
            batched += u64::from(batch.envelope.count);
        }
        _ => {}
    })?;
    let mut table = Table::new(["what", "count"]);
    for (what, count) in [
        ("segments", found.segments),
        ("bytes", found.bytes),
        ("records", records),
        ("batches", batches),
        ("records in batches", batched),
        ("dead letters", found.dead_letters.len() as u64),
        ("quarantined bytes", found.quarantined_bytes),
    ] {
        table.row([json!(what), json!(count)]);
    }
    for (reader, place) in found.places {
        table.row([json!(format!("{reader} is at")), json!(at(place))]);
    }
    Ok(table.fine())
}

fn tail(dir: &Path, count: usize) -> Result<Answer, Failure> {
    let mut newest = VecDeque::new();
    look(dir, |position, content| {
        let row = match content {
            Content::Record { id, schema, len } => {
                [id.to_string(), format!("#{schema}"), len.to_string()]
            }
            Content::Batch(batch) => {
                let schema = batch.envelope.schema;
                let schema = schema.map_or("-".to_owned(), |s| format!("#{s}"));
                let name = batch.envelope.message_id();
                [name.to_string(), schema, batch.body.len().to_string()]
            }
            _ => return,
        };
        newest.push_back((position, row));
        if newest.len() > count {
            newest.pop_front();
        }
    })?;
    let mut table = Table::new(["at", "name", "schema", "bytes"]);
    for (position, row) in newest {
        table.row(std::iter::once(json!(at(position))).chain(row.map(Value::from)));
    }
    Ok(table.fine())
}

/// What consumers refused, and why: consumer and batch, then the reason.
pub(crate) fn dead_letters(dir: &Path) -> Result<Vec<(String, String)>, Failure> {
    let letters = look(dir, |_, _| {})?.dead_letters.into_iter();
    let said = letters.map(|(consumer, letter)| {
        let name = letter.batch.envelope.message_id();
        (format!("{consumer} refused {name}"), letter.reason)
    });
    Ok(said.collect())
}

/// A place, as segment and byte.
pub(crate) fn at(position: Position) -> String {
    format!("{:08x}+{}", position.segment, position.offset)
}
