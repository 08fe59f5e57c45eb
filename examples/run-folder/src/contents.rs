//! Whether the parts of a run have what they had. A part may have more than was written down, because a
//! kill comes between; if it has less, it is not the part that was there.

use telemetry_itil::FileLog;
use telemetry_storage::{Accounting as _, SqliteOptions, SqliteStore};
use telemetry_transport::Limits;
use telemetry_transport::inspect::inspect;

use crate::folder::{Fault, Folder};
use crate::{CONSUMERS, Progress};

/// What is wrong with the store.
pub(crate) fn store(folder: &Folder, progress: &Progress) -> Result<(), Fault> {
    let store = SqliteStore::open_read_only(&folder.store(), SqliteOptions::default());
    let presence = store.and_then(|store| pollster::block_on(store.presence()));
    let presence = presence.map_err(|error| damaged(&error))?;
    let rows = presence.iter().map(|presence| presence.stored).sum();
    compare(rows, progress.rows, "rows")
}

/// What is wrong with the incident log.
pub(crate) fn incidents(folder: &Folder, progress: &Progress) -> Result<(), Fault> {
    let mut groups = 0;
    let read = FileLog::inspect(&folder.incidents(), |group| groups = group.seq);
    read.map_err(|error| damaged(&error))?;
    compare(groups, progress.groups, "groups")
}

/// What is wrong with the log: a consumer whose place is lost would begin at the oldest batch.
pub(crate) fn log(folder: &Folder) -> Result<(), Fault> {
    let found = inspect(&folder.log(), &Limits::default(), |_, _| {});
    let found = found.map_err(|error| damaged(&error))?;
    for name in CONSUMERS {
        if !found.places.iter().any(|(place, _)| place == name) {
            return Err(Fault::NoConsumer { name });
        }
    }
    Ok(())
}

fn compare(has: u64, had: u64, of: &'static str) -> Result<(), Fault> {
    match has < had {
        true => Err(Fault::Older { has, had, of }),
        false => Ok(()),
    }
}

fn damaged(error: &dyn std::error::Error) -> Fault {
    Fault::Damaged {
        reason: error.to_string(),
    }
}
