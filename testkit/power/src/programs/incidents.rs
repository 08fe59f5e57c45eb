//! The incident log: groups of entries.

use std::convert::Infallible;
use std::path::Path;

use telemetry_core::{Appended, LogGroup};
use telemetry_itil::{FileLog, hash_chain};

use super::{payload, say};
use crate::Result;

/// An entry as the machine writes it: a text.
fn entry(number: u64) -> Vec<u8> {
    let hex = payload(number)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect::<String>();
    format!("{{\"rig\":\"{hex}\"}}").into_bytes()
}

fn say_group(group: &LogGroup) -> Result<()> {
    say(format_args!("group {}", group.seq), &group.entries.concat())
}

pub(super) fn say_all(log: &mut FileLog) -> Result<()> {
    log.read_now(1, usize::MAX)?.iter().try_for_each(say_group)
}

pub(super) fn append(log: &mut FileLog, writer: u128, number: u64) -> Result<LogGroup> {
    let entries = (0..1 + number % 3).map(|n| entry(number + n)).collect();
    let group = hash_chain::seal(log.head_now(), writer, entries);
    match log.append_now(&group)? {
        Appended::Won => Ok(group),
        Appended::Lost { head } => Err(format!("another writer was there: {head:?}").into()),
    }
}

fn open(folder: &Path) -> Result<FileLog> {
    Ok(FileLog::open(folder.join("incidents.log"))?)
}

pub(super) fn write(folder: &Path, first: u64) -> Result<Infallible> {
    let mut log = open(folder)?;
    say_all(&mut log)?;
    for number in first.. {
        say_group(&append(&mut log, 7, number)?)?;
    }
    Err("there are no more numbers".into())
}

pub(super) fn read(folder: &Path) -> Result<()> {
    say_all(&mut open(folder)?)
}
