//! The folder of a run: once it has begun it goes on as the same run, and no part is behind its clock.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use run_folder::{CONSUMERS, Folder, Plan, RunFile, Workout};
use telemetry_itil::FileLog;
use telemetry_storage::{SqliteOptions, SqliteStore};
use telemetry_transport::{Directory, EmbeddedLog, Opening, Spool};

use super::{LIMITS, incidents, opening, say};
use crate::Result;

/// Trackers of the run.
const DEVICES: usize = 1;

fn open(folder: &Path) -> Result<RunFile> {
    let workout = Workout {
        name: "ride",
        content: Some([7; 32]),
    };
    let plan = Plan {
        workouts: vec![workout],
        devices: DEVICES,
        outage: Duration::ZERO,
    };
    Ok(RunFile::open(Folder::new(folder.join("data/run")), &plan)?)
}

pub(super) fn write(folder: &Path, first: u64) -> Result<Infallible> {
    let mut run = open(folder)?;
    let parts = run.folder().clone();
    SqliteStore::open(&parts.store(), SqliteOptions::default())?;
    let mut incidents = FileLog::open(parts.incidents())?;
    let (log, _) = EmbeddedLog::open(Directory::open(parts.log())?, LIMITS)?;
    for name in CONSUMERS {
        log.subscribe(name)?;
    }
    let spool = Directory::open(Folder::spool_of(&parts.gateway()))?;
    let opening = Opening {
        // The gateway's place is behind those of the trackers.
        new_device: run.device(DEVICES),
        ..opening()?
    };
    Spool::open(spool, opening)?;
    run.begin()?;
    let identity = run.device(0).to_string();
    say(format_args!("run"), identity.as_bytes())?;
    for number in first.. {
        let group = incidents::append(&mut incidents, run.writer(), number)?;
        let mut progress = run.progress();
        progress.reached += Duration::from_secs(1);
        progress.groups = group.seq;
        run.reach(progress)?;
    }
    Err("there are no more numbers".into())
}

/// A run that is refused, since a part is missing or behind, is an error.
pub(super) fn read(folder: &Path) -> Result<()> {
    let run = open(folder)?;
    let identity = run.device(0).to_string();
    say(format_args!("run"), identity.as_bytes())
}
