//! Whether the parts of a run are its own, and have what they had. A part may have more than was written
//! down, because a kill comes between; if it has less, it is not the part that was there.
//!
//! Each function says whether the part says that it is of this run: one in which nothing was written yet
//! does not.

use std::collections::BTreeSet;
use std::path::Path;

use telemetry_itil::FileLog;
use telemetry_storage::{Accounting as _, SqliteOptions, SqliteStore, StoreError};
use telemetry_transport::Limits;
use telemetry_transport::inspect::{Content, inspect};

use crate::folder::{Fault, Folder};
use crate::identity::{Devices, RunId};
use crate::{CONSUMERS, Progress};

/// What is wrong with the store.
pub(crate) fn store(
    folder: &Folder,
    devices: &Devices,
    progress: &Progress,
) -> Result<bool, Fault> {
    let store = SqliteStore::open_read_only(&folder.store(), SqliteOptions::default());
    let presence = store.and_then(|store| pollster::block_on(store.presence()));
    let presence = presence.map_err(|error| match error {
        StoreError::Busy { .. } | StoreError::Disk { .. } => Fault::Unreadable {
            reason: error.to_string(),
        },
        error => damaged(&error),
    })?;
    let known = devices.wrote(presence.iter().map(|presence| presence.device))?;
    let rows = presence.iter().map(|presence| presence.stored).sum();
    compare(rows, progress.rows, "rows")?;
    Ok(known)
}

/// What is wrong with the incident log.
pub(crate) fn incidents(folder: &Folder, run: RunId, progress: &Progress) -> Result<bool, Fault> {
    let (mut groups, mut other) = (0, false);
    let read = FileLog::inspect(&folder.incidents(), |group| {
        groups = group.seq;
        other |= !run.wrote(group.writer);
    });
    read.map_err(|error| damaged(&error))?;
    if other {
        return Err(Fault::OtherRun);
    }
    compare(groups, progress.groups, "groups")?;
    Ok(groups > 0)
}

/// What is wrong with the log: a consumer whose place is lost would begin at the oldest batch.
pub(crate) fn log(folder: &Folder, devices: &Devices) -> Result<bool, Fault> {
    let mut wrote = BTreeSet::new();
    let found = inspect(&folder.log(), &Limits::default(), |_, content| {
        if let Content::Batch(batch) = content {
            wrote.insert(batch.envelope.device);
        }
    });
    let found = found.map_err(|error| damaged(&error))?;
    let known = devices.wrote(wrote)?;
    for name in CONSUMERS {
        if !found.places.iter().any(|(place, _)| place == name) {
            return Err(Fault::NoConsumer { name });
        }
    }
    Ok(known)
}

/// What is wrong with the spool of the device at this position.
pub(crate) fn spool(path: &Path, devices: &Devices, position: usize) -> Result<bool, Fault> {
    let mut owners = BTreeSet::new();
    let found = inspect(path, &Limits::default(), |_, content| {
        if let Content::Opening { device, .. } = content {
            owners.insert(device);
        }
    });
    found.map_err(|error| damaged(&error))?;
    let mut known = false;
    for owner in owners {
        let theirs = devices.position(owner).ok_or(Fault::OtherRun)?;
        if theirs != position {
            return Err(Fault::OtherDevice {
                folder: devices.folder(theirs),
            });
        }
        known = true;
    }
    Ok(known)
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
