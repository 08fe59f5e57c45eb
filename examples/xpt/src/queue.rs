//! `xpt queue`: a spool or an embedded log, which a running program may own, and a broker's dead
//! letters; the speed of a disk.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use telemetry_transport::inspect::{Content, Inspection, inspect};
use telemetry_transport::{Limits, Position};

use crate::answer::{Answer, Failure, Table};
use crate::bench::Bench;
use crate::broker::Broker;
use crate::enrol::Enrol;

/// What to do with a queue.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check every byte, and say what was durable and is damaged or gone.
    Verify {
        /// The folder of the spool or the log, e.g. fleet-data/run-1/log.
        dir: PathBuf,
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
    /// Let a device's user publish on a broker as itself, and do nothing else.
    Enrol(Enrol),
    /// Measure how fast a spool is on this disk, and on the way to a broker; nothing is left behind.
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

/// Checks every byte.
pub(crate) fn verify(dir: &Path) -> Result<Answer, Failure> {
    let mut unreadable = 0u64;
    let segments = segments(dir)?;
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
    let mut faults = gone(&segments, &self::segments(dir)?, &found);
    if found.damaged_bytes > 0 || unreadable > 0 {
        faults.push("what was durable is damaged".to_owned());
    }
    let todo = "keep a copy of the folder; its owner puts the damage aside at the next opening";
    let fault = format!("{}: {todo}", faults.join("; "));
    Ok(table.with((!faults.is_empty()).then_some(fault)))
}

/// The segment files of a queue: number and length.
fn segments(dir: &Path) -> Result<BTreeMap<u32, u64>, Failure> {
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hex = path.file_name().and_then(|name| name.to_str());
        let hex = hex.and_then(|name| name.strip_suffix(".segment"));
        if let Some(number) = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok())
            // Its owner may have freed it just now.
            && let Ok(found) = fs::metadata(&path)
        {
            segments.insert(number, found.len());
        }
    }
    Ok(segments)
}

/// What was durable and is gone, as its traces show: segments are numbered without gaps, only the
/// oldest are freed, and a reader has read up to its place. `before` and `after` are the segments at
/// the beginning and at the end of the inspection, during which an owner may make and free some.
fn gone(
    before: &BTreeMap<u32, u64>,
    after: &BTreeMap<u32, u64>,
    found: &Inspection,
) -> Vec<String> {
    let mut gone = Vec::new();
    if found.frames == 0 {
        gone.push("there is no whole frame in it: it was cut or overwritten".to_owned());
    }
    let mut all = before.clone();
    all.extend(after);
    let (Some((&oldest, _)), Some((&newest, _))) = (all.first_key_value(), all.last_key_value())
    else {
        return gone;
    };
    // What was found damaged before is put aside, and leaves a gap that is known.
    let neighbours = all.keys().zip(all.keys().skip(1));
    for (before, after) in neighbours.filter(|_| found.quarantined_bytes == 0) {
        match after - before {
            0 | 1 => {}
            2 => gone.push(format!("segment {:08x} is missing", before + 1)),
            _ => gone.push(format!(
                "segments {:08x} to {:08x} are missing",
                before + 1,
                after - 1
            )),
        }
    }
    for (reader, place) in &found.places {
        let Position { segment, offset } = *place;
        match all.get(&segment) {
            Some(len) if *len < offset => gone.push(format!(
                "segment {segment:08x} has {len} bytes, and {reader} has read up to byte {offset}: it \
                 was cut"
            )),
            None if segment > newest || segment.saturating_add(1) < oldest => gone.push(format!(
                "{reader} stands in segment {segment:08x}, and the segments are {oldest:08x} to \
                 {newest:08x}: some are missing"
            )),
            _ => {}
        }
    }
    gone
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
