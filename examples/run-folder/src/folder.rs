//! The parts of a run's folder, and what is wrong with them.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock_file::{self, Progress};
use crate::contents;
use crate::identity::Devices;
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

/// Longest path of a store: SQLite takes 512 bytes, of which `-journal` is a part.
pub(crate) const STORE_BYTES_MAX: usize = 504;

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
    /// It may be in order, but it cannot be read from here.
    Unreadable {
        reason: String,
    },
    /// It is of another run.
    OtherRun,
    /// It is of this run, and of the device in another folder.
    OtherDevice {
        folder: String,
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

impl Fault {
    /// Whether the part is in order by itself, and in the wrong place.
    pub const fn is_of_another(&self) -> bool {
        matches!(self, Self::OtherRun | Self::OtherDevice { .. })
    }
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
            Fault::Unreadable { reason } => {
                write!(f, "{part} cannot be examined from here: {reason}")
            }
            Fault::OtherRun => write!(f, "{part} belongs to another run"),
            Fault::OtherDevice { folder } => write!(f, "{part} is the one of {folder}"),
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

    /// Whether the store can be opened under a path as long as this folder's.
    ///
    /// # Errors
    /// It cannot.
    pub fn check_length(&self) -> Result<(), RunFileError> {
        let store = self.store();
        // SQLite opens the whole path, without symbolic links; where there is none, the system says more.
        let mut parts = store.ancestors();
        let real = parts.find_map(|part| Some((part, part.canonicalize().ok()?)));
        let whole = match real {
            Some((part, real)) => store
                .strip_prefix(part)
                .map_or(real.clone(), |rest| real.join(rest)),
            None => std::path::absolute(&store).unwrap_or(store),
        };
        match whole.as_os_str().len() {
            ..=STORE_BYTES_MAX => Ok(()),
            len => Err(RunFileError::TooLong {
                path: self.0.clone(),
                len,
                max: STORE_BYTES_MAX,
            }),
        }
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

    /// The parts that a run has open from its beginning to its end, with their names.
    pub(crate) fn parts(&self) -> Vec<(String, PathBuf)> {
        let gateway = format!("{GATEWAY}/{SPOOL}");
        let names = [RUN_FILE, CLOCK, STORE, LOG, INCIDENTS, &gateway];
        let parts = names.map(|name| (name.to_owned(), self.0.join(name)));
        parts.into()
    }

    /// The spool of a tracker, with its name.
    pub(crate) fn tracker_part(&self, index: usize) -> (String, PathBuf) {
        let name = format!("{TRACKER}{index}/{SPOOL}");
        let path = self.0.join(&name);
        (name, path)
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
        let Some(run) = run_file::read(self)? else {
            return Ok(Found {
                progress: None,
                faults: vec![fault(RUN_FILE, Fault::Missing)],
            });
        };
        let mut look = Look::default();
        let clock = clock_file::read(&self.clock());
        let of_another = matches!(&clock, Ok((of, _)) if *of != run.run);
        let clock = match clock {
            Ok((of, progress)) if of == run.run => {
                look.progress = Some(progress);
                Ok(true)
            }
            Ok(_) => Err(Fault::OtherRun),
            Err(error) => Err(file(&self.clock()).err().unwrap_or_else(|| Fault::Damaged {
                reason: error.to_string(),
            })),
        };
        look.part(CLOCK, clock);
        let progress = look.progress.unwrap_or_default();
        let devices = Devices::new(run.run, run.trackers);
        let store = file(&self.store());
        let store = store.and_then(|()| contents::store(self, &devices, &progress));
        look.part(STORE, store);
        let log = journal(&self.log()).and_then(|()| contents::log(self, &devices));
        look.part(LOG, log);
        let incidents = file(&self.incidents());
        let incidents = incidents.and_then(|()| contents::incidents(self, run.run, &progress));
        look.part(INCIDENTS, incidents);
        for position in std::iter::once(run.trackers).chain(0..run.trackers) {
            let device = device_folder(position, run.trackers);
            let spool = Self::spool_of(&self.0.join(&device));
            // A tracker that was never switched on need not have one.
            let is_due = position == run.trackers || position < progress.trackers;
            if is_due || spool.exists() {
                let state =
                    journal(&spool).and_then(|()| contents::spool(&spool, &devices, position));
                look.part(&format!("{device}/{SPOOL}"), state);
            }
        }
        // If nothing else is of the run in `run.json` either, that file is the strange one.
        if of_another && !look.is_known {
            look.faults = vec![fault(RUN_FILE, Fault::OtherRun)];
        }
        if !run.begun {
            // Parts may be missing or half made until the run has begun, and each is its own.
            let strange = |fault: &PartFault| fault.fault.is_of_another();
            look.faults.retain(strange);
        }
        Ok(Found {
            progress: look.progress.filter(|_| run.begun),
            faults: look.faults,
        })
    }
}

/// What was found so far.
#[derive(Default)]
struct Look {
    progress: Option<Progress>,
    faults: Vec<PartFault>,
    /// Whether a part says that it is of the run in `run.json`.
    is_known: bool,
}

impl Look {
    fn part(&mut self, name: &str, state: Result<bool, Fault>) {
        match state {
            Ok(is_known) => self.is_known |= is_known,
            Err(reason) => self.faults.push(fault(name, reason)),
        }
    }
}

/// The folder of the device at a position: the gateway comes after the trackers.
pub(crate) fn device_folder(position: usize, trackers: usize) -> String {
    match position < trackers {
        true => format!("{TRACKER}{position}"),
        false => GATEWAY.to_owned(),
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
        io::ErrorKind::PermissionDenied => Fault::Unreadable {
            reason: error.to_string(),
        },
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
