//! `xpt doctor`: what is in order, and what to do next.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use run_folder::Folder;
use serde_json::json;
use telemetry_core::{Schema, SchemaLimits};

use crate::answer::{Answer, Failure, Table};
use crate::numbers::{self, Numbers};
use crate::{itil, queue, store};

/// The start of 2025: a clock that is behind was never set.
const SET_SINCE_S: u64 = 1_735_689_600;

/// Free space under which a queue may soon have to refuse.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Files that can still be made, under which a queue may soon have to refuse.
const FREE_FILES_MIN: u64 = 100;

/// How every SQLite file begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// How every incident log begins.
const INCIDENTS: &[u8] = b"telemetry-itil log ";

/// Where to look.
#[derive(Args)]
pub(crate) struct Doctor {
    /// The folders of runs, spools or logs, and the files of stores or incident logs to look at. Without
    /// any, only this machine is looked at.
    paths: Vec<PathBuf>,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        // What is not there cannot be looked at, and is not sick.
        for path in &self.paths {
            fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let mut rows = Rows {
            table: Table::new(["what", "state", "to do"]),
            bad: 0,
        };
        rows.add("clock".to_owned(), clock());
        for path in &self.paths {
            look(path, &mut rows);
        }
        if self.paths.is_empty() {
            let hint = "nothing to look into was given: `xpt doctor fleet-data/run-1`";
            rows.table.row([json!("data"), json!("-"), json!(hint)]);
        }
        let fault = format!("{} not in order", rows.bad);
        Ok(rows.table.with((rows.bad > 0).then_some(fault)))
    }
}

struct Rows {
    table: Table,
    bad: usize,
}

impl Rows {
    fn add(&mut self, what: String, state: Result<(), String>) {
        match state {
            Ok(()) => self.row(what, "ok", None),
            Err(todo) => {
                self.bad += 1;
                self.row(what, "LOOK", Some(todo));
            }
        }
    }

    /// Something that is in order, and that a person should know.
    fn note(&mut self, what: String, note: String) {
        self.row(what, "ok", Some(note));
    }

    fn row(&mut self, what: String, state: &str, todo: Option<String>) {
        self.table.row([json!(what), json!(state), json!(todo)]);
    }

    fn answer(&mut self, what: &Path, answer: Result<Answer, Failure>) {
        let state = answer.and_then(|answer| answer.fault.map_or(Ok(()), Err));
        self.add(what.display().to_string(), state);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether the machine's clock was ever set is the question"
)]
fn clock() -> Result<(), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    match now.is_ok_and(|now| now.as_secs() >= SET_SINCE_S) {
        true => Ok(()),
        false => Err("the clock was never set: records of today get a wrong time".to_owned()),
    }
}

/// Looks at whatever a path turns out to be.
fn look(path: &Path, rows: &mut Rows) {
    if !path.is_dir() {
        file(path, rows);
        return;
    }
    space(path, rows);
    let folder = Folder::new(path);
    let spool = Folder::spool_of(path);
    if folder.is_run() {
        run(&folder, rows);
    } else if spool.is_dir() {
        in_queue(&spool, rows);
    } else {
        in_queue(path, rows);
    }
}

/// A store or an incident log, whichever it is by its first bytes.
fn file(path: &Path, rows: &mut Rows) {
    let begins = |with: &[u8]| {
        let mut head = Vec::new();
        let file = File::open(path).map(|file| file.take(with.len() as u64));
        file.is_ok_and(|mut file| file.read_to_end(&mut head).is_ok()) && head == with
    };
    if begins(SQLITE) {
        rows.answer(path, store::missing_in(path));
    } else if begins(INCIDENTS) {
        rows.answer(path, itil::verify(path));
    } else {
        let todo = match fs::metadata(path).is_ok_and(|found| found.len() == 0) {
            true => "it is empty: put the newest copy back",
            false => "it is neither a store nor an incident log",
        };
        rows.add(path.display().to_string(), Err(todo.to_owned()));
    }
}

/// A run: whether its parts are there and are those that were there, what is in each of them, and
/// whether everything that has a number is stored.
fn run(folder: &Folder, rows: &mut Rows) {
    let name = folder.path().display();
    let is_open = folder.is_open();
    let mut faulty: Vec<PathBuf> = Vec::new();
    match folder.look() {
        Err(error) => rows.add(format!("{name}: run.json"), Err(error.to_string())),
        Ok(found) => {
            for fault in found.faults {
                faulty.push(folder.path().join(&fault.part));
                let todo = "the run cannot go on with it: put the newest copy back";
                rows.add(
                    format!("{name}/{}", fault.part),
                    Err(format!("{fault}; {todo}")),
                );
            }
        }
    }
    let sound = |part: &PathBuf| part.exists() && !faulty.contains(part);
    for part in [folder.store(), folder.incidents()]
        .iter()
        .filter(|p| sound(p))
    {
        file(part, rows);
    }
    let spools = match numbers::spools(folder.path()) {
        Ok(spools) => spools.into_iter().map(|(_, spool)| spool).collect(),
        Err(error) => {
            rows.add(name.to_string(), Err(error));
            Vec::new()
        }
    };
    for device in spools.iter().filter_map(|spool: &PathBuf| spool.parent()) {
        schemas(device, rows);
    }
    let queues = std::iter::once(folder.log()).chain(spools);
    for queue in queues.filter(sound) {
        in_queue(&queue, rows);
    }
    if is_open {
        let note = "a program has this run open: what has no row yet is on its way; look again when \
                    the program has ended";
        rows.note(format!("{name}: every number is stored"), note.to_owned());
    } else if sound(&folder.store()) && sound(&folder.log()) {
        rows.add(
            format!("{name}: every number is stored"),
            whole(folder.path()),
        );
    }
}

/// Whether a run's ledger holds: what has a number is stored, or set aside with its reason.
fn whole(data: &Path) -> Result<(), String> {
    let numbers = Numbers::of(data)?;
    let Some(first) = numbers.first_missing() else {
        return Ok(());
    };
    let data = data.display();
    let missing = match numbers.missing() {
        1 => "1 record has a number and is not stored".to_owned(),
        n => format!("{n} records have a number and are not stored"),
    };
    Err(format!(
        "{missing}: run it again with --data {data}; `xpt why {first} --data {data}` says where the \
         first one is"
    ))
}

/// Files beside a spool in which a schema should be, and is not.
fn schemas(device: &Path, rows: &mut Rows) {
    let Ok(entries) = fs::read_dir(device.join("schemas")) else {
        return;
    };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    for file in files.filter(|file| file.extension().is_some_and(|e| e == "avsc")) {
        let limit = SchemaLimits::default().json_bytes_max as u64;
        let mut text = String::new();
        let read = File::open(&file).and_then(|open| open.take(limit).read_to_string(&mut text));
        if read.is_err() || Schema::parse(&text).is_err() {
            let todo = "it holds no schema: the next run puts it aside and makes it again";
            rows.add(file.display().to_string(), Err(todo.to_owned()));
        }
    }
}

/// Damage first; then what consumers refused.
fn in_queue(dir: &Path, rows: &mut Rows) {
    rows.answer(dir, queue::verify(dir));
    if let Ok(letters) = queue::dead_letters(dir)
        && let Some(first) = letters.first()
    {
        let more = match letters.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let (what, reason) = first;
        let todo = format!(
            "{what}: {reason}{more}: remove the reason, then `xpt queue replay {}`",
            dir.display()
        );
        rows.add(format!("{}: set aside", dir.display()), Err(todo));
    }
}

fn space(path: &Path, rows: &mut Rows) {
    let Ok(found) = rustix::fs::statvfs(path) else {
        return;
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let state = if free < FREE_BYTES_MIN {
        Err(format!(
            "{} MiB free: make room before queues refuse records",
            free >> 20
        ))
    } else if found.f_files > 0 && found.f_favail < FREE_FILES_MIN {
        // Some systems do not count files.
        Err(format!(
            "{} more files can be made: remove small ones before queues refuse records",
            found.f_favail
        ))
    } else {
        Ok(())
    };
    rows.add(format!("{}: free space", path.display()), state);
}
