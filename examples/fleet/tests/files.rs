//! Activity files that went wrong elsewhere, as a user replays them: exit status, sentence, rows.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use telemetry_core::records::{ActivitySample, FrameTiming, SurfaceEvent, SystemState};
use telemetry_core::{AvroRecord, Plan, Schema, Value, stream_of};
use telemetry_storage::{Selection, SqliteOptions, SqliteStore, read_all};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/fit")
        .join(name)
}

fn command(data: &Path, files: &[PathBuf]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command.arg("run").args(files).arg("--data").arg(data);
    command.stdin(Stdio::null());
    command
}

fn run(data: &Path, files: &[PathBuf]) -> (Option<i32>, String) {
    said(command(data, files).output().unwrap())
}

fn said(output: Output) -> (Option<i32>, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Whether words are said, wherever lines are broken.
fn says(text: &str, words: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    squeeze(text).contains(&squeeze(words))
}

/// The rows of a stream in the order of their numbers, by the names of fields.
fn rows<R: AvroRecord>(data: &Path, fields: &[&str]) -> Vec<Vec<Value>> {
    let store = SqliteStore::open(&data.join("store.sqlite"), SqliteOptions::default()).unwrap();
    let reader = Schema::parse(R::SCHEMA).unwrap();
    let plan = Plan::compile(&reader, &reader).unwrap();
    let (stream, all) = (stream_of::<R>(), Selection::default());
    let page = read_all(&store, &stream, &all, &reader, 1_000_000);
    let mut rows = pollster::block_on(page).unwrap().records;
    rows.sort_by_key(|row| (row.device, row.epoch, row.seq));
    rows.iter()
        .map(|row| {
            let record = row.value(&plan).unwrap();
            let values = fields
                .iter()
                .map(|field| record.field(&reader, field).unwrap());
            values.cloned().collect()
        })
        .collect()
}

fn column<R: AvroRecord>(data: &Path, field: &str) -> Vec<Value> {
    rows::<R>(data, &[field])
        .into_iter()
        .map(|mut row| row.remove(0))
        .collect()
}

#[test]
fn each_file_has_its_exit_status_its_rows_and_its_sentence() {
    for (name, code, count, words) in [
        ("ok-basic.fit", 0, 20, "2024-11-08T11:33:20"),
        ("basic.fit.gz", 0, 20, "0.19 km"),
        ("chained.fit", 0, 40, "40 samples"),
        ("compressed-distance.fit", 0, 21, "0.28 km"),
        ("dev-late-description.fit", 0, 20, "Target_Power (W)"),
        ("odd-size.fit", 0, 20, "20 samples"),
        ("trailing-zeros.fit", 0, 20, "512 zeros after the end"),
        ("ts-1989.fit", 0, 20, "a clock that was never set"),
        ("ts-2106.fit", 0, 20, "20 samples"),
        ("ts-backwards-1h.fit", 0, 20, "20 samples"),
        ("gap-3days.fit", 0, 20, "20 samples"),
        ("no-timestamps.fit", 0, 20, "2024-11-08T11:33:20"),
        (
            "crashed-size-zero.fit",
            3,
            20,
            "the recording was not closed",
        ),
        (
            "crashed-size-ffffffff.fit",
            3,
            20,
            "the recording was not closed",
        ),
        ("missing-crc.fit", 3, 20, "no checksum"),
        ("wrong-crc.fit", 3, 20, "byte 598: the checksum is 4cab"),
        ("monitoring.fit", 1, 0, "monitoring.fit: no samples"),
        ("only-file-id.fit", 1, 0, "only-file-id.fit: no samples"),
        ("a.gpx", 1, 0, "a.gpx: this is a GPX file"),
        ("a.tcx", 1, 0, "a.tcx: this is a TCX file"),
        ("empty.fit", 1, 0, "empty.fit: the file is empty"),
        ("one-byte.fit", 1, 0, "one-byte.fit: the file has 1 byte"),
        ("header-16.fit", 1, 0, "a header has 12 or 14"),
        ("missing.fit", 1, 0, "missing.fit: there is no such file"),
        ("a", 1, 0, "this is a folder"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let (status, text) = run(data.path(), &[file(name)]);
        assert_eq!(status, Some(code), "{name}: {text}");
        assert!(says(&text, words), "{name}: {text}");
        // Nobody asked for an outage.
        assert!(!text.contains("INC0000001"), "{name}: {text}");
        if count > 0 {
            let times = column::<ActivitySample>(data.path(), "time");
            assert_eq!(times.len(), count, "{name}");
        }
    }
}

#[test]
fn a_file_without_samples_is_named_beside_a_good_one() {
    let data = tempfile::tempdir().unwrap();
    let (status, text) = run(data.path(), &[file("monitoring.fit"), file("ok-basic.fit")]);
    assert_eq!(status, Some(3), "{text}");
    assert!(says(&text, "monitoring.fit: no samples"), "{text}");
    assert_eq!(column::<ActivitySample>(data.path(), "time").len(), 20);
}

#[test]
fn values_arrive_as_rows() {
    let number = |value: i32| Value::Int(value);
    for (name, first) in [
        ("dev-heart_rate-percent.fit", 120),
        ("dev-override-hr.fit", 120),
        ("hr-messages.fit", 130),
    ] {
        let data = tempfile::tempdir().unwrap();
        run(data.path(), &[file(name)]);
        let rates = column::<ActivitySample>(data.path(), "heart_rate");
        let right: Vec<Value> = (first..first + 20).map(number).collect();
        assert_eq!(rates, right, "{name}");
    }
}

#[test]
fn a_run_is_known_by_the_bytes_of_its_files() {
    let data = tempfile::tempdir().unwrap();
    assert_eq!(run(data.path(), &[file("a/ride.fit")]).0, Some(0));
    let (status, text) = run(data.path(), &[file("b/ride.fit")]);
    assert_eq!(status, Some(1), "{text}");
    assert!(says(&text, "whose files have other bytes"), "{text}");
    // The same bytes under another name are the same ride.
    let (status, text) = run(data.path(), &[file("ok-basic.fit")]);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(column::<ActivitySample>(data.path(), "time").len(), 20);
}

#[test]
fn files_of_one_name_are_told_apart_everywhere() {
    let data = tempfile::tempdir().unwrap();
    let (status, text) = run(data.path(), &[file("a/ride.fit"), file("b/ride.fit")]);
    assert_eq!(status, Some(0), "{text}");
    for name in ["a/ride#1", "b/ride#1"] {
        assert!(text.contains(name), "{text}");
        let source = Value::String(name.to_owned());
        let sources = column::<ActivitySample>(data.path(), "source");
        assert_eq!(sources.iter().filter(|s| **s == source).count(), 20);
    }
}

#[test]
fn standard_input_is_a_file_like_any_other() {
    let data = tempfile::tempdir().unwrap();
    let mut child = command(data.path(), &[PathBuf::from("-")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut bytes = Vec::new();
    let mut ride = std::fs::File::open(file("ok-basic.fit")).unwrap();
    std::io::copy(&mut ride, &mut bytes).unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let (status, text) = said(child.wait_with_output().unwrap());
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(column::<ActivitySample>(data.path(), "time").len(), 20);
}

/// The clock of a device that replays a workout is the workout's.
#[test]
fn everything_that_a_device_writes_carries_the_time_of_its_workout() {
    let started = 1_731_065_600_i64;
    let data = tempfile::tempdir().unwrap();
    assert_eq!(run(data.path(), &[file("ok-basic.fit")]).0, Some(0));
    let times = |cells: Vec<Value>| -> Vec<i64> {
        let seconds = |cell: Value| match cell {
            Value::Long(micros) => micros / 1_000_000 - started,
            other => panic!("{other:?}"),
        };
        cells.into_iter().map(seconds).collect()
    };
    let samples = times(column::<ActivitySample>(data.path(), "time"));
    assert_eq!(samples, (0..20).collect::<Vec<_>>());
    // Each sample has a state of its second, and frames lie within the workout.
    let states = times(column::<SystemState>(data.path(), "time"));
    assert!(
        samples.iter().all(|second| states.contains(second)),
        "{states:?}"
    );
    let frames = times(column::<FrameTiming>(data.path(), "time"));
    assert!(!frames.is_empty());
    let surfaces = times(column::<SurfaceEvent>(data.path(), "time"));
    for second in states.iter().chain(&frames).chain(&surfaces) {
        assert!((0..=21).contains(second), "{second}");
    }
    // The envelope has the run's own time: what is published today is no years late.
    let store = SqliteStore::open(&data.path().join("store.sqlite"), SqliteOptions::default());
    let migrations = store.unwrap().migrations().unwrap();
    assert!(
        migrations
            .iter()
            .all(|m| m.at.as_micros() / 1_000_000 > started + 86_400)
    );
}

#[test]
fn a_device_follows_when_its_clock_is_set() {
    let data = tempfile::tempdir().unwrap();
    assert_eq!(run(data.path(), &[file("ts-backwards-1h.fit")]).0, Some(0));
    let stored = column::<ActivitySample>(data.path(), "time");
    let samples = activity::Activity::file(file("ts-backwards-1h.fit"))
        .samples()
        .unwrap();
    let written = samples.map(|sample| Value::Long(sample.time.unwrap() * 1_000_000));
    assert_eq!(stored, written.collect::<Vec<_>>());
}

/// The most threads that a run of these files has, and what it said.
fn threads_of(mut command: Command) -> (usize, Option<i32>, String) {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut most = 0;
        while let Ok(text) = std::fs::File::open(&status).and_then(std::io::read_to_string) {
            let threads = text.lines().find_map(|line| line.strip_prefix("Threads:"));
            let threads: usize = threads.map_or(0, |n| n.trim().parse().unwrap());
            if threads == 0 || text.contains("State:\tZ") {
                break;
            }
            most = most.max(threads);
            std::thread::yield_now();
        }
        most
    });
    let (status, text) = said(child.wait_with_output().unwrap());
    (watcher.join().unwrap(), status, text)
}

/// So many files of five samples, each with bytes of its own.
fn rides(folder: &Path, count: u32) -> Vec<PathBuf> {
    let ride = |index: u32| {
        let path = folder.join(format!("ride-{index}.fit"));
        let samples = (0..5).map(|second| activity::Sample {
            serial: second + 1,
            offset: Duration::from_secs(second),
            heart_rate: Some(100 + second as i32),
            ..activity::Sample::default()
        });
        let file = std::fs::File::create(&path).unwrap();
        activity::write(file, 1_731_065_600 + i64::from(index), 0, samples).unwrap();
        path
    };
    (0..count).map(ride).collect()
}

#[test]
fn many_files_are_replayed_with_few_threads() {
    let data = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..64).map(|_| file("hr-only.fit")).collect();
    let (most, status, text) = threads_of(command(data.path(), &files));
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(column::<ActivitySample>(data.path(), "time").len(), 64 * 20);
    assert!(most < 40, "{most} threads");
}

#[test]
fn slow_two_thousand_files_are_one_run_of_bounded_threads_that_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let files = rides(data.path(), 2_000);
    let (most, status, text) = threads_of(command(&data.path().join("run"), &files));
    assert_eq!(status, Some(0), "{text}");
    assert!(
        says(&text, "Nothing is lost, and nothing is stored twice."),
        "{text}"
    );
    let times = column::<ActivitySample>(&data.path().join("run"), "time");
    assert_eq!(times.len(), 2_000 * 5);
    assert!(most < 2 * 256 + 16, "{most} threads");
}

/// An outage keeps every tracker at work that cannot deliver.
#[test]
fn slow_four_hundred_files_in_an_outage_are_a_run_of_bounded_threads_that_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let files = rides(data.path(), 450);
    let mut command = command(&data.path().join("run"), &files);
    command.args(["--outage", "12m"]);
    let (most, status, text) = threads_of(command);
    assert_eq!(status, Some(0), "{text}");
    assert!(
        says(&text, "Nothing is lost, and nothing is stored twice."),
        "{text}"
    );
    let times = column::<ActivitySample>(&data.path().join("run"), "time");
    assert_eq!(times.len(), 450 * 5);
    assert!(most < 2 * 256 + 16, "{most} threads");
}
