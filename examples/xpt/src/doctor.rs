//! `xpt doctor`: what is in order, and what to do next.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;

use crate::answer::{Answer, Failure, Table};
use crate::numbers::Numbers;
use crate::{itil, queue, store};

/// The start of 2025: a clock that is behind was never set.
const SET_SINCE_S: u64 = 1_735_689_600;

/// Free space under which a queue may soon have to refuse.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// How every SQLite file begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Where to look.
#[derive(Args)]
pub(crate) struct Doctor {
    /// Folders of runs, spools or logs; files of stores or incident logs.
    paths: Vec<PathBuf>,
}

impl Doctor {
    /// Does it.
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        let mut rows = Rows {
            table: Table::new(["what", "state", "to do"]),
            bad: 0,
        };
        rows.add("clock".to_owned(), clock());
        for path in &self.paths {
            look(path, &mut rows);
        }
        let hint = match self.paths.is_empty() {
            true => Some("nothing to look into was given: `xpt doctor fleet-data/run-1`"),
            false => None,
        };
        if let Some(hint) = hint {
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
        let (word, todo) = match state {
            Ok(()) => ("ok", None),
            Err(todo) => ("LOOK", Some(todo)),
        };
        self.bad += usize::from(word == "LOOK");
        self.table.row([json!(what), json!(word), json!(todo)]);
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
    let name = path.display().to_string();
    match fs::metadata(path) {
        Err(error) => rows.add(name, Err(error.to_string())),
        Ok(found) if found.is_dir() => {
            space(path, rows);
            folder(path, rows);
        }
        Ok(_) if is_sqlite(path) => rows.answer(path, store::missing_in(path)),
        Ok(_) => rows.answer(path, itil::verify(path)),
    }
}

fn folder(path: &Path, rows: &mut Rows) {
    let parts = ["log", "spool", "store.sqlite", "incidents.log"];
    let mut parts: Vec<PathBuf> = parts.iter().map(|part| path.join(part)).collect();
    // A run has a folder for each tracker, with a spool in it.
    if let Ok(entries) = fs::read_dir(path) {
        let spools = entries.flatten().map(|entry| entry.path().join("spool"));
        let mut spools: Vec<PathBuf> = spools.filter(|spool| spool.is_dir()).collect();
        spools.sort();
        parts.extend(spools);
    }
    let mut found = false;
    for part in parts.into_iter().filter(|part| part.exists()) {
        found = true;
        match part.is_dir() {
            true => in_queue(&part, rows),
            false if is_sqlite(&part) => rows.answer(&part, store::missing_in(&part)),
            false => rows.answer(&part, itil::verify(&part)),
        }
    }
    if !found {
        in_queue(path, rows);
    }
    if path.join("store.sqlite").is_file() && path.join("log").is_dir() {
        rows.add(
            format!("{}: every number is stored", path.display()),
            whole(path),
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
    Err(format!(
        "{} records have a number and are not stored: run it again with --data {data}; \
         `xpt why {first} --data {data}` says where the first one is",
        numbers.missing()
    ))
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

fn is_sqlite(path: &Path) -> bool {
    let mut head = Vec::new();
    let file = File::open(path).map(|file| file.take(SQLITE.len() as u64));
    file.is_ok_and(|mut file| file.read_to_end(&mut head).is_ok()) && head == SQLITE
}

fn space(path: &Path, rows: &mut Rows) {
    let Ok(found) = rustix::fs::statvfs(path) else {
        return;
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let state = match free >= FREE_BYTES_MIN {
        true => Ok(()),
        false => Err(format!(
            "{} MiB free: make room before queues refuse records",
            free >> 20
        )),
    };
    rows.add(format!("{}: free space", path.display()), state);
}
