//! Twenty kills, and the rows of an undisturbed run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord, Schema, stream_of};
use telemetry_storage::{Selection, SqliteOptions, SqliteStore, read_all};

/// Where to kill: in a phase at some virtual second, or when so many per cent are stored.
#[derive(Clone, Copy, Debug)]
enum At {
    Phase(&'static str, u64),
    Stored(u64),
}

/// The rollout is from 0:30 to 2:00, the outage from 19:17 to 29:17.
const KILLS: [At; 20] = [
    At::Phase("rollout", 35),
    At::Phase("rollout", 50),
    At::Phase("rollout", 65),
    At::Phase("rollout", 85),
    At::Phase("rollout", 100),
    At::Stored(2),
    At::Stored(9),
    At::Stored(16),
    At::Stored(24),
    At::Stored(35),
    At::Phase("outage", 1_165),
    At::Phase("outage", 1_250),
    At::Phase("outage", 1_350),
    At::Phase("outage", 1_450),
    At::Phase("outage", 1_550),
    At::Stored(70),
    At::Stored(78),
    At::Stored(86),
    At::Stored(93),
    At::Stored(98),
];

/// A line of progress: `1:02:03 outage: read 1 durable 1 published 1 stored 1 of 2`.
#[derive(Clone, Debug)]
struct Line {
    second: u64,
    phase: String,
    stored: u64,
    total: u64,
}

fn parse(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let second = words.first()?.split(':').try_fold(0, |sum, part| {
        part.parse::<u64>().ok().map(|part| sum * 60 + part)
    })?;
    let after = |name: &str| {
        let at = words.iter().position(|w| *w == name)?;
        words.get(at + 1)?.parse().ok()
    };
    Some(Line {
        second,
        phase: words.get(1)?.trim_end_matches(':').to_owned(),
        stored: after("stored")?,
        total: after("of")?,
    })
}

fn command(data: &Path) -> Command {
    let file = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../data")
            .join(name)
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command
        .arg("run")
        .arg(file("activity-small-fenix2-run.fit"))
        .arg(file("sample-activity-indoor-trainer.fit"))
        .args([
            "--devices",
            "4",
            "--outage",
            "10m",
            "--progress-lines",
            "3000",
        ])
        .arg("--data")
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs until `at`, then kills; the line at which it did.
fn kill_at(data: &Path, at: At) -> Line {
    let mut child = command(data).spawn().unwrap();
    let mut heard = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        heard = line.clone();
        let Some(line) = parse(&line) else { continue };
        let here = match at {
            At::Phase(phase, second) => line.phase == phase && line.second >= second,
            At::Stored(percent) => line.stored * 100 >= line.total * percent,
        };
        if here {
            // SIGKILL on Unix: no handler, no destructor, no flush.
            child.kill().unwrap();
            child.wait().unwrap();
            return line;
        }
    }
    child.wait().unwrap();
    panic!("the run ended before {at:?}: {heard}");
}

fn finish(data: &Path) -> String {
    let output = command(data).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{errors}");
    text
}

/// Every sample, in order. The time is the workout's: it is the same in every run.
fn samples(data: &Path) -> Vec<ActivitySample> {
    let store = SqliteStore::open(&data.join("store.sqlite"), SqliteOptions::default()).unwrap();
    let reader = Schema::parse(ActivitySample::SCHEMA).unwrap();
    let stream = stream_of::<ActivitySample>();
    let selection = Selection::default();
    let all = read_all(&store, &stream, &selection, &reader, 1_000_000);
    let rows = pollster::block_on(all).unwrap().records;
    let mut out: Vec<ActivitySample> = rows.iter().map(|row| row.read_as().unwrap()).collect();
    out.sort_by(|a, b| (&a.source, a.serial).cmp(&(&b.source, b.serial)));
    out
}

#[test]
fn slow_killed_twenty_times_the_rows_are_those_of_an_undisturbed_run() {
    let dir = tempfile::tempdir().unwrap();
    let (calm, killed) = (dir.path().join("calm"), dir.path().join("killed"));
    finish(&calm);
    let lines: Vec<Line> = KILLS.iter().map(|at| kill_at(&killed, *at)).collect();
    let report = finish(&killed);

    let in_phase = |phase: &str| lines.iter().filter(|l| l.phase == phase).count();
    assert!(
        in_phase("outage") >= 5 && in_phase("rollout") >= 5,
        "{lines:?}"
    );
    assert!(
        report.contains("It went away by itself") && !report.contains("INC0000002"),
        "{report}"
    );
    println!("killed at {lines:?}\n{report}");
    let (calm, killed) = (samples(&calm), samples(&killed));
    assert_eq!(calm.len(), 2 * (2_809 + 2_263));
    assert!(
        killed
            .windows(2)
            .all(|w| (&w[0].source, w[0].serial) != (&w[1].source, w[1].serial)),
        "a sample is stored twice"
    );
    assert_eq!(calm, killed);
}
