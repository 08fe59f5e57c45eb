//! The parts of a run's folder, and what is wrong with them.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock_file::{self, Progress};
use crate::contents;
use crate::run_file::{self, RunFileError};

/// Names of the parts. Folders of trackers count from 0, people count trackers from 1.
const RUN_FILE: &str = "run.json";
const CLOCK: &str = "clock";
const LOCK: &str = "lock";
const STORE: &str = "store.sqlite";
const LOG: &str = "log";
const INCIDENTS: &str = "incidents.log";
const GATEWAY: &str = "gateway";
const TRACKER: &str = "tracker-";
const SPOOL: &str = "spool";

/// The folder of a run, which need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// What is wrong with a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Missing,
    /// It is a folder and should be a file.
    Folder,
    /// It is something else and should be a folder.
    NoFolder,
    /// A file without a byte.
    Empty,
    /// A spool or a log without a segment.
    NoSegment,
    /// What it says cannot be understood.
    Damaged {
        reason: String,
    },
    /// A log that does not know how far this consumer is.
    NoConsumer {
        name: &'static str,
    },
    /// It has less than it had.
    Older {
        has: u64,
        had: u64,
        of: &'static str,
    },
}

/// A part of a run with which the run cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFault {
    /// The part, by its name in the folder.
    pub part: String,
    pub fault: Fault,
}

impl fmt::Display for PartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = &self.part;
        match &self.fault {
            Fault::Missing => write!(f, "{part} is missing"),
            Fault::Folder => write!(f, "{part} is a folder, and should be a file"),
            Fault::NoFolder => write!(f, "{part} is a file, and should be a folder"),
            Fault::Empty => write!(f, "{part} is empty"),
            Fault::NoSegment => write!(f, "{part} has no segment in it"),
            Fault::NoConsumer { name } => {
                write!(
                    f,
                    "{part} does not know any more how far its consumer {name} is"
                )
            }
            Fault::Damaged { reason } => write!(f, "{part} is damaged: {reason}"),
            Fault::Older { has, had, of } => write!(
                f,
                "{part} has {has} {of} and had {had}: it was made again, or is an older copy"
            ),
        }
    }
}

/// What a look at a folder found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How far the run is, if it has begun and says so.
    pub progress: Option<Progress>,
    /// The parts with which it cannot go on.
    pub faults: Vec<PartFault>,
}

impl Folder {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn store(&self) -> PathBuf {
        self.0.join(STORE)
    }

    pub fn log(&self) -> PathBuf {
        self.0.join(LOG)
    }

    pub fn incidents(&self) -> PathBuf {
        self.0.join(INCIDENTS)
    }

    /// The device that publishes what the services have to say; its spool is in it.
    pub fn gateway(&self) -> PathBuf {
        self.0.join(GATEWAY)
    }

    /// The folder of a tracker, by its index from 0; its spool is in it.
    pub fn tracker(&self, index: usize) -> PathBuf {
        self.0.join(format!("{TRACKER}{index}"))
    }

    /// Sounds that were played; they can be made again, so that they are no part.
    pub fn sounds(&self) -> PathBuf {
        self.0.join("cues")
    }

    pub(crate) fn run_file(&self) -> PathBuf {
        self.0.join(RUN_FILE)
    }

    pub(crate) fn clock(&self) -> PathBuf {
        self.0.join(CLOCK)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join(LOCK)
    }

    /// The spool in the folder of a device.
    pub fn spool_of(device: &Path) -> PathBuf {
        device.join(SPOOL)
    }

    /// The trackers that have a folder, by their indices from 0, in order.
    pub fn trackers(&self) -> io::Result<Vec<usize>> {
        let mut trackers = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let index = name.to_str().and_then(|name| name.strip_prefix(TRACKER));
            trackers.extend(index.and_then(|index| index.parse::<usize>().ok()));
        }
        trackers.sort_unstable();
        Ok(trackers)
    }

    /// Whether there is something in it that only runs have.
    pub fn is_run(&self) -> bool {
        let own = [RUN_FILE, CLOCK, STORE, INCIDENTS, GATEWAY];
        own.iter().any(|name| self.0.join(name).exists())
            || self.trackers().is_ok_and(|trackers| !trackers.is_empty())
    }

    /// Whether a program has the run open just now. It is not disturbed: its lock is looked up, and not
    /// asked for.
    ///
    /// It is always `false` where the system does not tell of the locks of others.
    pub fn is_open(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let Ok(lock) = fs::metadata(self.lock()) else {
            return false;
        };
        let Ok(locks) = fs::File::open("/proc/locks").and_then(io::read_to_string) else {
            return false;
        };
        // `1: FLOCK  ADVISORY  WRITE 4242 08:01:1337 0 EOF`, of which the last part of the sixth word
        // is the number of the file.
        let inode = lock.ino().to_string();
        locks.lines().any(|line| {
            let mut words = line.split_ascii_whitespace();
            words.nth(1) == Some("FLOCK")
                && words.nth(3).and_then(|file| file.rsplit(':').next()) == Some(&inode)
        })
    }

    /// Compares the folder with what the run wrote down of itself. Nothing is opened for writing, and no
    /// lock is taken.
    ///
    /// # Errors
    /// `run.json` cannot be read, or is not of this release.
    pub fn look(&self) -> Result<Found, RunFileError> {
        let begun = match run_file::read(self)? {
            Some(run) => run.begun,
            None => {
                let faults = vec![fault(RUN_FILE, Fault::Missing)];
                return Ok(Found {
                    progress: None,
                    faults,
                });
            }
        };
        let mut found = Found::default();
        if !begun {
            return Ok(found);
        }
        let trackers = match clock_file::read(&self.clock()) {
            Ok(progress) => {
                found.progress = Some(progress);
                progress.trackers
            }
            Err(error) => {
                let damaged = || Fault::Damaged {
                    reason: error.to_string(),
                };
                let reason = file(&self.clock()).err().unwrap_or_else(damaged);
                found.faults.push(fault(CLOCK, reason));
                0
            }
        };
        let progress = found.progress.unwrap_or_default();
        let mut part = |name: &str, state: Result<(), Fault>| {
            found
                .faults
                .extend(state.err().map(|reason| fault(name, reason)));
        };
        let store = file(&self.store());
        part(STORE, store.and_then(|()| contents::store(self, &progress)));
        let log = journal(&self.log());
        part(LOG, log.and_then(|()| contents::log(self)));
        let incidents = file(&self.incidents());
        let incidents = incidents.and_then(|()| contents::incidents(self, &progress));
        part(INCIDENTS, incidents);
        let gateway = format!("{GATEWAY}/{SPOOL}");
        part(&gateway, journal(&Self::spool_of(&self.gateway())));
        for index in 0..trackers {
            let name = format!("{TRACKER}{index}/{SPOOL}");
            part(&name, journal(&Self::spool_of(&self.tracker(index))));
        }
        Ok(found)
    }
}

/// A file that is written when it is made.
fn file(path: &Path) -> Result<(), Fault> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Fault::Folder),
        Ok(found) if found.len() == 0 => Err(Fault::Empty),
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(&error)),
    }
}

fn fault(part: &str, fault: Fault) -> PartFault {
    PartFault {
        part: part.to_owned(),
        fault,
    }
}

fn unreadable(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::Missing,
        _ => Fault::Damaged {
            reason: error.to_string(),
        },
    }
}

/// A spool or a log always has a segment, from its first opening on.
fn journal(path: &Path) -> Result<(), Fault> {
    let found = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !found.is_dir() {
        return Err(Fault::NoFolder);
    }
    for entry in fs::read_dir(path).map_err(|error| unreadable(&error))? {
        let name = entry.map_err(|error| unreadable(&error))?.file_name();
        if name.to_str().is_some_and(|name| name.ends_with(".segment")) {
            return Ok(());
        }
    }
    Err(Fault::NoSegment)
}
