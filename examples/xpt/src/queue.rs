//! `xpt queue`: a spool or an embedded log, which a running program may own, and a broker's dead
//! letters; the speed of a disk.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use telemetry_transport::inspect::{Content, Inspection, inspect};
use telemetry_transport::{Limits, Position};

use crate::answer::{Answer, Failure, Table};
use crate::bench::Bench;
use crate::broker::Broker;

/// What to do with a queue.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check every byte.
    Verify {
        /// Folder of the spool or the log.
        dir: PathBuf,
    },
    /// Sizes, readers, dead letters.
    Stats {
        /// Folder of the spool or the log.
        dir: PathBuf,
    },
    /// The newest records or batches.
    Tail {
        /// Folder of the spool or the log.
        dir: PathBuf,
        /// How many.
        #[arg(short = 'n', default_value_t = 10)]
        count: usize,
    },
    /// What consumers of a broker or of an embedded log put aside, and why; it stays there.
    Dead(Broker),
    /// Publish again what was put aside, once what was wrong is repaired.
    Replay(Broker),
    /// How fast a spool is on this disk, and on the way to a broker; leaves nothing behind.
    Bench(Bench),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        match self {
            Self::Verify { dir } => verify(&dir),
            Self::Stats { dir } => stats(&dir),
            Self::Tail { dir, count } => tail(&dir, count),
            Self::Dead(broker) => broker.dead(),
            Self::Replay(broker) => broker.replay(),
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

/// Checks every byte.
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
        ("torn tails", found.torn_tails),
    ] {
        table.row([json!(what), json!(count)]);
    }
    let bad = found.damaged_bytes > 0 || unreadable > 0;
    let fault = "what was durable is damaged: keep a copy of the folder; its owner puts the \
                 damage aside at the next opening";
    Ok(table.with(bad.then(|| fault.to_owned())))
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
        table.row([json!(format!("{reader} is at")), at(place)]);
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
        table.row(std::iter::once(at(position)).chain(row.map(Value::from)));
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
pub(crate) fn at(position: Position) -> Value {
    json!(format!("{:08x}+{}", position.segment, position.offset))
}
