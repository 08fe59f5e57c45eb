//! What makes a run the same run after a restart: its start, its random bits, what it replays.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use telemetry_core::{DeviceId, Timestamp, durable, owner_only};
use terminal::{counted, escaped};
use uuid::Uuid;

use crate::clock_file::{ClockFile, Progress};
use crate::identity::RunId;
use crate::{Folder, PartFault};

/// Format of the file.
const VERSION: u64 = 4;

/// Longest file believed: far above what the names of some thousand workouts take.
const BYTES_MAX: u64 = 8 << 20;

/// Most trackers believed: a file for each of them is more than a run can name.
const TRACKERS_MAX: usize = 1 << 20;

/// What is to be replayed.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub workouts: Vec<Workout<'a>>,
    /// Trackers.
    pub devices: usize,
    /// How long the link is down.
    pub outage: Duration,
}

/// A workout of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Workout<'a> {
    /// What its file is called.
    pub name: &'a str,
    /// SHA-256 of its bytes; `None` if they could not be read to their end.
    pub content: Option<[u8; 32]>,
}

/// A run that is open: nobody else can open it.
#[derive(Debug)]
pub struct RunFile {
    run: RunId,
    start: Timestamp,
    /// What each workout was called when the run began: part of its sources' names.
    names: Vec<String>,
    /// What the file says, as it is written back when the run begins.
    text: Value,
    folder: Folder,
    /// `None` until the run has begun.
    clock: Option<ClockFile>,
    progress: Progress,
    /// The parts as they were opened: those that every step needs, and the spools of the trackers that
    /// were switched on.
    opened: Vec<Opened>,
    trackers: Vec<Opened>,
    _lock: File,
}

/// A part that is open. Another file of that name is not the part.
#[derive(Debug)]
struct Opened {
    name: String,
    path: PathBuf,
    /// Where the file is, as the system counts file systems and files; `None` if it was gone at once.
    file: Option<(u64, u64)>,
}

impl Opened {
    fn new((name, path): (String, PathBuf)) -> Self {
        let file = Self::file(&path);
        Self { name, path, file }
    }

    fn file(path: &Path) -> Option<(u64, u64)> {
        let found = path.metadata().ok()?;
        Some((found.dev(), found.ino()))
    }

    fn is_in_place(&self) -> bool {
        self.file.is_some() && Self::file(&self.path) == self.file
    }
}

/// Why a run cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    /// The file system.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A program runs in this folder. Wait until it has ended.
    #[error(
        "{}: another program has this run open; wait until it has ended, or use another --data",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The file is no run file of this release.
    #[error("{}: {reason}; use another --data", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The folder belongs to another run.
    #[error("{} holds a run of {theirs}; this is {ours}: use another --data", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// What the folder's run replays.
        theirs: String,
        /// What this run replays.
        ours: String,
    },
    /// The run cannot go on with what is in its folder.
    #[error(
        "the run in {} cannot go on:{}\n\
         to begin these parts anew would store records twice or lose them: put the newest copy of \
         each back, or use another --data",
        path.display(),
        listed(faults)
    )]
    Parts {
        /// The folder.
        path: PathBuf,
        /// What is wrong with which part.
        faults: Vec<PartFault>,
    },
    /// SQLite does not open a file with so long a path.
    #[error(
        "{}: the path of the run's store has {len} bytes, and SQLite opens at most {max}: use a shorter \
         --data",
        path.display()
    )]
    TooLong {
        /// The folder.
        path: PathBuf,
        /// Bytes of the store's whole path.
        len: usize,
        /// How many it may have.
        max: usize,
    },
    /// Somebody took parts away while the run went on: what it wrote since then is not in its folder.
    #[error(
        "{}: while the run went on, somebody removed, moved or replaced {}: what it stored is not in \
         this folder; put back what was taken away, or use another --data",
        path.display(),
        parts.join(", ")
    )]
    Gone {
        /// The folder.
        path: PathBuf,
        /// What is not there any more, by name.
        parts: Vec<String>,
    },
}

/// Faults below each other; of many, the first ones.
fn listed(faults: &[PartFault]) -> String {
    const SAID_MAX: usize = 10;
    let said = faults.iter().take(SAID_MAX);
    let mut said: String = said.map(|fault| format!("\n  {fault}")).collect();
    if faults.len() > SAID_MAX {
        said += &format!("\n  and {} more", faults.len() - SAID_MAX);
    }
    said
}

/// Some of many names.
fn said(names: &[&str]) -> String {
    const SAID_MAX: usize = 5;
    let some = &names[..names.len().min(SAID_MAX)];
    let some = escaped(some.join(", "));
    match names.len().saturating_sub(SAID_MAX) {
        0 => some.to_string(),
        more => format!("{some} and {more} more"),
    }
}

impl Plan<'_> {
    /// The same for the same bytes of files, whatever they are called and wherever they lie.
    fn identity(&self) -> String {
        let content = self.workouts.iter().map(|workout| match workout.content {
            Some(content) => hex(&content),
            None => "unknown".to_owned(),
        });
        let content: Vec<String> = content.collect();
        let outage = self.outage.as_micros();
        format!("{} {} {outage}", self.devices, content.join(" "))
    }

    /// For people.
    fn in_words(&self) -> String {
        let names: Vec<&str> = self.workouts.iter().map(|workout| workout.name).collect();
        let trackers = counted(self.devices as u64, "tracker", "trackers");
        let outage = self.outage.as_secs_f64();
        format!("{trackers} with {}, outage {outage} s", said(&names))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is read of a run file.
pub(crate) struct Content {
    pub(crate) run: RunId,
    /// How many trackers it has.
    pub(crate) trackers: usize,
    start: Timestamp,
    identity: String,
    plan: String,
    names: Vec<String>,
    /// Every part was made, and must be there since then.
    pub(crate) begun: bool,
    text: Value,
}

/// Opens a file for reading. A pipe in its place would wait for somebody who writes.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let kind = path.metadata()?.file_type();
    match kind.is_file() || kind.is_dir() {
        true => File::open(path),
        false => Err(io::Error::other("it is no file")),
    }
}

/// Reads the run file; `None` if there is none.
pub(crate) fn read(folder: &Folder) -> Result<Option<Content>, RunFileError> {
    let path = folder.run_file();
    let io = |error| RunFileError::Io {
        path: path.clone(),
        error,
    };
    let file = match open_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io)?,
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(io)?;
    let format = |reason: &str| RunFileError::Format {
        path: path.clone(),
        reason: reason.to_owned(),
    };
    let text: Value = serde_json::from_slice(&bytes)
        .map_err(|error| format(&format!("it is no run file: {error}")))?;
    if text["version"] != VERSION {
        return Err(format("it is a run file of another release"));
    }
    let word = |field: &str| {
        let word = text[field].as_str().map(str::to_owned);
        word.ok_or_else(|| format(&format!("it has no {field}")))
    };
    let run = Uuid::try_parse(&word("run")?).map_err(|_| format("its run is no UUID"))?;
    let trackers = text["trackers"]
        .as_u64()
        .and_then(|n| usize::try_from(n).ok());
    let trackers = trackers.filter(|trackers| *trackers <= TRACKERS_MAX);
    let trackers = trackers.ok_or_else(|| format("it has no number of trackers"))?;
    let start = text["start_us"].as_i64();
    let start = start.ok_or_else(|| format("it has no start_us"))?;
    let names = text["names"].as_array().into_iter().flatten();
    let names = names.map(|name| name.as_str().unwrap_or_default().to_owned());
    Ok(Some(Content {
        run: RunId(run),
        trackers,
        start: Timestamp::from_micros(start),
        identity: word("identity")?,
        plan: word("plan")?,
        names: names.collect(),
        begun: text["begun"] == true,
        text,
    }))
}

impl RunFile {
    /// Opens the run in `folder`, or starts one there. It is the same run if its files have the same
    /// bytes, whatever they are called and wherever they lie.
    ///
    /// # Errors
    /// The folder is in use or belongs to another run, or a part of the run is missing. Nothing was
    /// changed then.
    pub fn open(folder: Folder, plan: &Plan<'_>) -> Result<Self, RunFileError> {
        let path = folder.path().to_owned();
        let io = |error| RunFileError::Io {
            path: path.clone(),
            error,
        };
        if path.is_file() {
            let reason = "it is a file, and a run needs a folder".to_owned();
            return Err(RunFileError::Format { path, reason });
        }
        folder.check_length()?;
        durable::create_dir_all(&path).map_err(io)?;
        let lock = lock(&folder)?;
        let content = match read(&folder)? {
            Some(content) => content,
            None if folder.is_run() => {
                let faults = folder.look()?.faults;
                return Err(RunFileError::Parts { path, faults });
            }
            None => create(&folder, plan)?,
        };
        let ours = plan.in_words();
        if content.identity != plan.identity() {
            // Two files of one name are told apart by what is in them.
            let other = match content.plan == ours {
                true => " whose files have other bytes",
                false => "",
            };
            let theirs = format!("{}{other}", content.plan);
            return Err(RunFileError::Other { path, theirs, ours });
        }
        let found = folder.look()?;
        if !found.faults.is_empty() {
            let faults = found.faults;
            return Err(RunFileError::Parts { path, faults });
        }
        let clock = match content.begun {
            true => Some(ClockFile::open(&folder.clock(), content.run).map_err(io)?),
            false => None,
        };
        Ok(Self {
            run: content.run,
            start: content.start,
            names: content.names,
            text: content.text,
            clock,
            progress: found.progress.unwrap_or_default(),
            opened: Vec::new(),
            trackers: Vec::new(),
            folder,
            _lock: lock,
        })
    }

    /// Every part was made and is open: from now on each of them must be there.
    pub fn begin(&mut self) -> Result<(), RunFileError> {
        if self.clock.is_none() {
            let clock = self.folder.clock();
            let made = ClockFile::create(&clock, self.run);
            let made = made.map_err(|error| RunFileError::Io { path: clock, error })?;
            self.text["begun"] = json!(true);
            write(&self.folder, &self.text)?;
            self.clock = Some(made);
        }
        self.opened = self.folder.parts().into_iter().map(Opened::new).collect();
        Ok(())
    }

    /// Whether every part is still the one that was opened.
    ///
    /// # Errors
    /// A part was removed, moved or replaced.
    pub fn in_place(&self) -> Result<(), RunFileError> {
        self.are_in_place(self.opened.iter().chain(&self.trackers))
    }

    fn are_in_place<'a>(
        &self,
        parts: impl Iterator<Item = &'a Opened>,
    ) -> Result<(), RunFileError> {
        let gone = parts.filter(|part| !part.is_in_place());
        let parts: Vec<String> = gone.map(|part| part.name.clone()).collect();
        match parts.is_empty() {
            true => Ok(()),
            false => Err(RunFileError::Gone {
                path: self.folder.path().to_owned(),
                parts,
            }),
        }
    }

    /// The folder.
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What the workout at this place was called when the run began.
    pub fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", String::as_str)
    }

    /// How far the run was when its last process ended, or at the last [`RunFile::reach`].
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Notes how far the run is: it goes on from there after a kill. No number ever goes back.
    ///
    /// # Errors
    /// A part is not the one that was opened: it would not have what is written down of it.
    pub fn reach(&mut self, now: Progress) -> Result<(), RunFileError> {
        // Thousands of trackers are looked at when the run ends.
        self.are_in_place(self.opened.iter())?;
        let new = self.trackers.len()..now.trackers;
        let new = new.map(|index| Opened::new(self.folder.tracker_part(index)));
        self.trackers.extend(new);
        let before = self.progress;
        self.progress = Progress {
            reached: before.reached.max(now.reached),
            trackers: before.trackers.max(now.trackers),
            rows: before.rows.max(now.rows),
            groups: before.groups.max(now.groups),
        };
        let Some(clock) = &self.clock else {
            return Ok(());
        };
        let written = clock.write(&self.progress);
        written.map_err(|error| RunFileError::Io {
            path: self.folder.clock(),
            error,
        })
    }

    /// Wall time of the start.
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// Identity of the device at this position: the gateway comes after the trackers.
    pub fn device(&self, index: usize) -> DeviceId {
        self.run.device(index)
    }

    /// The wearer's name in data: it leads back to nobody without the run's key.
    pub fn pseudonym(&self, index: usize) -> String {
        self.run.pseudonym(index)
    }

    /// Random bits, others at every call.
    pub fn random(&self) -> u64 {
        Uuid::new_v4().as_u64_pair().1
    }

    /// Who writes the incident log in this process.
    pub fn writer(&self) -> u128 {
        self.run.writer(self.random())
    }
}

/// Keeps others out for as long as the file is open, also those that begin at the same moment.
fn lock(folder: &Folder) -> Result<File, RunFileError> {
    let path = folder.lock();
    let opened = owner_only::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let io = |error| RunFileError::Io {
        path: path.clone(),
        error,
    };
    let file = opened.map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunFileError::InUse {
            path: folder.path().to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the start of a run is the one wall time it reads"
)]
fn create(folder: &Folder, plan: &Plan<'_>) -> Result<Content, RunFileError> {
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.unwrap_or_default().as_secs();
    let names: Vec<&str> = plan.workouts.iter().map(|workout| workout.name).collect();
    let text = json!({
        "version": VERSION,
        "run": Uuid::new_v4().to_string(),
        "start_us": seconds * 1_000_000,
        "trackers": plan.devices,
        "identity": plan.identity(),
        "plan": plan.in_words(),
        "names": names,
        "begun": false,
    });
    write(folder, &text)?;
    read(folder)?.ok_or_else(|| RunFileError::Io {
        path: folder.run_file(),
        error: io::ErrorKind::NotFound.into(),
    })
}

/// Writes the run file, whole or not at all.
fn write(folder: &Folder, text: &Value) -> Result<(), RunFileError> {
    let path = folder.run_file();
    let written = durable::replace(&path, format!("{text:#}\n").as_bytes());
    written.map_err(|error| RunFileError::Io { path, error })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use telemetry_itil::FileLog;
    use telemetry_storage::{SqliteOptions, SqliteStore};
    use telemetry_transport::{Directory, EmbeddedLog, Limits, Opening, Spool};

    use super::*;
    use crate::folder::STORE_BYTES_MAX;
    use crate::{CONSUMERS, Fault};

    const PLAN: &Workout<'static> = &Workout {
        name: "ride",
        content: Some([7; 32]),
    };

    fn plan() -> Plan<'static> {
        Plan {
            workouts: vec![*PLAN],
            devices: 1,
            outage: Duration::ZERO,
        }
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_refused_and_not_waited_for() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::new(data.path());
        for path in [folder.run_file(), folder.clock()] {
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.unwrap().success());
        }
        assert!(read(&folder).is_err());
        assert!(crate::clock_file::read(&folder.clock()).is_err());
    }

    /// A run that has begun and switched one tracker on.
    fn begun(path: &Path) -> Folder {
        let folder = Folder::new(path);
        let mut run = RunFile::open(folder.clone(), &plan()).unwrap();
        SqliteStore::open(&folder.store(), SqliteOptions::default()).unwrap();
        FileLog::open(folder.incidents()).unwrap();
        let log = Directory::open(folder.log()).unwrap();
        let (log, _) = EmbeddedLog::open(log, Limits::default()).unwrap();
        for name in CONSUMERS {
            log.subscribe(name).unwrap();
        }
        for (position, device) in [folder.tracker(0), folder.gateway()].iter().enumerate() {
            let spool = Directory::open(Folder::spool_of(device)).unwrap();
            let opening = Opening {
                new_device: run.device(position),
                ..Opening::new().unwrap()
            };
            Spool::open(spool, opening).unwrap();
        }
        run.begin().unwrap();
        let progress = Progress {
            reached: Duration::from_secs(9),
            trackers: 1,
            ..Progress::default()
        };
        run.reach(progress).unwrap();
        folder
    }

    fn refused(folder: &Folder) -> Vec<PartFault> {
        match RunFile::open(folder.clone(), &plan()) {
            Err(RunFileError::Parts { faults, .. }) => faults,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_run_goes_on_with_what_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let folder = begun(dir.path());
        let mut run = RunFile::open(folder.clone(), &plan()).unwrap();
        assert_eq!(run.progress().reached, Duration::from_secs(9));
        let device = run.device(0);
        // No number goes back.
        run.reach(Progress::default()).unwrap();
        drop(run);
        let run = RunFile::open(folder, &plan()).unwrap();
        assert_eq!((run.progress().trackers, run.device(0)), (1, device));
    }

    #[test]
    fn a_run_whose_part_is_missing_or_another_thing_is_refused_by_the_part_s_name() {
        for (part, fault) in [
            ("run.json", Fault::Missing),
            ("clock", Fault::Missing),
            ("store.sqlite", Fault::Missing),
            ("incidents.log", Fault::Missing),
            ("log", Fault::Missing),
            ("gateway/spool", Fault::Missing),
            ("tracker-0/spool", Fault::Missing),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let folder = begun(dir.path());
            let path = dir.path().join(part);
            match path.is_dir() {
                true => fs::remove_dir_all(&path).unwrap(),
                false => fs::remove_file(&path).unwrap(),
            }
            let part = part.to_owned();
            let missing = PartFault { part, fault };
            assert_eq!(refused(&folder), std::slice::from_ref(&missing));
            assert!(!path.exists(), "{missing} was made anew");
            assert_eq!(folder.look().unwrap().faults, [missing]);
        }
        let dir = tempfile::tempdir().unwrap();
        let folder = begun(dir.path());
        fs::remove_file(folder.store()).unwrap();
        fs::create_dir(folder.store()).unwrap();
        fs::write(folder.incidents(), "").unwrap();
        fs::write(dir.path().join("clock"), "hello").unwrap();
        fs::remove_dir_all(folder.log()).unwrap();
        fs::create_dir(folder.log()).unwrap();
        let said: Vec<String> = refused(&folder).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "clock is damaged: it does not hold what a run writes there",
                "store.sqlite is a folder, and should be a file",
                "log has no segment in it",
                "incidents.log is empty",
            ]
        );
    }

    #[test]
    fn a_part_that_was_made_again_is_told_from_the_one_that_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let folder = begun(dir.path());
        let mut run = RunFile::open(folder.clone(), &plan()).unwrap();
        let progress = Progress {
            rows: 3,
            groups: 2,
            ..Progress::default()
        };
        run.reach(progress).unwrap();
        drop(run);
        let place = fs::read_dir(folder.log())
            .unwrap()
            .map(|e| e.unwrap().path());
        // The first consumer that was subscribed.
        let mut place = place.filter(|path| path.ends_with("00000001.cursor"));
        fs::remove_file(place.next().unwrap()).unwrap();
        let said: Vec<String> = refused(&folder).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "store.sqlite has 0 rows and had 3: it was made again, or is an older copy",
                "log does not know any more how far its consumer etl is",
                "incidents.log has 0 groups and had 2: it was made again, or is an older copy",
            ]
        );
    }

    fn said(folder: &Folder) -> Vec<String> {
        let faults = folder.look().unwrap().faults;
        assert_eq!(faults, refused(folder));
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_part_of_another_run_is_refused_by_name() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [ours, theirs] = [begun(dirs[0].path()), begun(dirs[1].path())];
        let aside = dirs[0].path().join("aside");
        for part in ["run.json", "clock", "gateway", "tracker-0"] {
            let (own, other) = (ours.path().join(part), theirs.path().join(part));
            fs::rename(&own, &aside).unwrap();
            fs::rename(&other, &own).unwrap();
            let name = match own.is_dir() {
                true => format!("{part}/spool"),
                false => part.to_owned(),
            };
            assert_eq!(said(&ours), [format!("{name} belongs to another run")]);
            fs::rename(&own, &other).unwrap();
            fs::rename(&aside, &own).unwrap();
        }
        assert_eq!(ours.look().unwrap().faults, []);
        // A tracker in the gateway's place is of this run, and not there.
        fs::rename(ours.gateway(), &aside).unwrap();
        fs::rename(ours.tracker(0), ours.gateway()).unwrap();
        fs::rename(&aside, ours.tracker(0)).unwrap();
        assert_eq!(
            said(&ours),
            [
                "gateway/spool is the one of tracker-0",
                "tracker-0/spool is the one of gateway"
            ]
        );
    }

    #[test]
    fn a_path_that_sqlite_does_not_open_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let mut long = dir.path().canonicalize().unwrap();
        let store = |path: &Path| Folder::new(path).store().as_os_str().len();
        while store(&long) + 101 < STORE_BYTES_MAX {
            long.push("x".repeat(100));
        }
        let last = STORE_BYTES_MAX - store(&long) - 1;
        let longest = long.join("y".repeat(last));
        assert_eq!(store(&longest), STORE_BYTES_MAX);
        drop(begun(&longest));
        fs::remove_dir_all(dir.path().join("x".repeat(100))).unwrap();
        let refused = RunFile::open(Folder::new(long.join("y".repeat(last + 1))), &plan());
        assert!(
            matches!(
                refused,
                Err(RunFileError::TooLong {
                    len: 505,
                    max: 504,
                    ..
                })
            ),
            "{refused:?}"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_part_that_is_taken_away_while_the_run_goes_on_is_told_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("run");
        let folder = begun(&data);
        let mut run = RunFile::open(folder.clone(), &plan()).unwrap();
        run.begin().unwrap();
        run.reach(Progress::default()).unwrap();
        let gone = |run: &mut RunFile| match run.reach(Progress::default()) {
            Err(RunFileError::Gone { parts, .. }) => parts,
            other => panic!("{other:?}"),
        };
        // A copy of a part is not the part that is written to.
        fs::copy(folder.store(), dir.path().join("copy")).unwrap();
        fs::rename(dir.path().join("copy"), folder.store()).unwrap();
        assert_eq!(gone(&mut run), ["store.sqlite"]);
        fs::remove_file(folder.incidents()).unwrap();
        assert_eq!(gone(&mut run), ["store.sqlite", "incidents.log"]);
        fs::rename(&data, dir.path().join("moved")).unwrap();
        assert_eq!(gone(&mut run).len(), 6);
    }

    #[test]
    fn a_run_that_has_not_begun_takes_no_part_of_another_run_either() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let ours = Folder::new(dirs[0].path());
        drop(RunFile::open(ours.clone(), &plan()).unwrap());
        let theirs = begun(dirs[1].path());
        fs::rename(theirs.gateway(), ours.gateway()).unwrap();
        assert_eq!(said(&ours), ["gateway/spool belongs to another run"]);
    }

    #[test]
    fn a_run_that_was_killed_before_it_began_begins() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        drop(RunFile::open(folder.clone(), &plan()).unwrap());
        fs::write(folder.store(), "").unwrap();
        assert!(RunFile::open(folder, &plan()).is_ok());
    }

    #[test]
    fn a_run_has_one_owner_and_others_can_see_that() {
        let dir = tempfile::tempdir().unwrap();
        let folder = begun(dir.path());
        assert!(!folder.is_open());
        let run = RunFile::open(folder.clone(), &plan()).unwrap();
        let second = RunFile::open(folder.clone(), &plan());
        assert!(
            matches!(second, Err(RunFileError::InUse { .. })),
            "{second:?}"
        );
        assert!(folder.is_open());
        drop(run);
        assert!(!folder.is_open());
    }
}
