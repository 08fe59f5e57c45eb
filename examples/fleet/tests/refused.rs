//! Runs that cannot begin, go on or end by themselves: what is said, and with which exit status.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

mod served;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use run_folder::Folder;
use rustix::process::{Pid, Signal, kill_process};
use served::Served;
use telemetry_core::records::ActivitySample;
use telemetry_core::stream_of;
use telemetry_storage::{Accounting as _, SqliteOptions, SqliteStore};

fn ride() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/garmin-fenix-5-walk.fit")
}

/// A run of one file with 17 samples.
fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command.arg("run").arg(ride()).arg("--data").arg(data);
    command
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.code(), text)
}

fn run(data: &Path) -> (Option<i32>, String) {
    said(&command(data).output().unwrap())
}

/// Samples in the store.
fn stored(data: &Path) -> u64 {
    let store = data.join("store.sqlite");
    let store = SqliteStore::open_read_only(&store, SqliteOptions::default()).unwrap();
    let samples = stream_of::<ActivitySample>();
    let presence = pollster::block_on(store.presence()).unwrap();
    let samples = presence.iter().filter(|p| p.stream == samples);
    samples.map(|p| p.stored).sum()
}

fn content(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).unwrap();
    file.take(64 << 20).read_to_end(&mut bytes).unwrap();
    bytes
}

fn segment(queue: &Path) -> PathBuf {
    let files = fs::read_dir(queue).unwrap().map(|e| e.unwrap().path());
    let segments = files.filter(|path| path.extension().is_some_and(|e| e == "segment"));
    segments.max().unwrap()
}

#[test]
fn a_run_without_one_of_its_parts_says_so_and_begins_nothing_anew() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("run");
    assert_eq!(run(&data).0, Some(0));
    let aside = dir.path().join("aside");
    for (part, told) in [
        ("run.json", "run.json is missing"),
        ("clock", "clock is missing"),
        ("store.sqlite", "store.sqlite is missing"),
        ("incidents.log", "incidents.log is missing"),
        ("log", "log is missing"),
        ("gateway", "gateway/spool is missing"),
        ("tracker-0", "tracker-0/spool is missing"),
    ] {
        let path = data.join(part);
        fs::rename(&path, &aside).unwrap();
        let (status, text) = run(&data);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains(told), "{text}");
        assert!(text.contains("put the newest copy of each back"), "{text}");
        assert!(!path.exists(), "{part} was made anew");
        fs::rename(&aside, &path).unwrap();
    }
    // Nothing was changed: it is the run that it was.
    let (status, text) = run(&data);
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("Nothing is lost, and nothing is stored twice."),
        "{text}"
    );
    assert_eq!(stored(&data), 17);
}

#[test]
fn a_run_whose_part_is_damaged_or_older_says_so_and_stores_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("run");
    assert_eq!(run(&data).0, Some(0));
    let check = |told: &str| {
        let (status, text) = run(&data);
        assert_eq!(status, Some(1), "{told}: {text}");
        assert!(text.contains(told), "{told}: {text}");
    };
    // What stands in a file instead of what a run wrote.
    for (part, other, told) in [
        ("clock", "hello", "clock is damaged"),
        ("clock", "", "clock is empty"),
        (
            "run.json",
            "{}",
            "run.json: it is a run file of another release",
        ),
        ("store.sqlite", "", "store.sqlite is empty"),
        ("incidents.log", "", "incidents.log is empty"),
    ] {
        let path = data.join(part);
        let whole = content(&path);
        fs::write(&path, other).unwrap();
        check(told);
        fs::write(&path, whole).unwrap();
    }
    // A store that was made again, while its log and spools are what they were.
    let store = data.join("store.sqlite");
    let whole = content(&store);
    fs::remove_file(&store).unwrap();
    drop(SqliteStore::open(&store, SqliteOptions::default()).unwrap());
    check("it was made again, or is an older copy");
    fs::write(&store, whole).unwrap();
    // A consumer that does not know any more how far it is.
    let files = fs::read_dir(data.join("log"))
        .unwrap()
        .map(|e| e.unwrap().path());
    // The first consumer that was subscribed.
    let mut place = files.filter(|path| path.ends_with("00000001.cursor"));
    let place = place.next().unwrap();
    let whole = content(&place);
    fs::remove_file(&place).unwrap();
    check("how far its consumer etl is");
    fs::write(&place, whole).unwrap();
    // A spool that was cut.
    let segment = segment(&data.join("tracker-0/spool"));
    let whole = content(&segment);
    for len in [0, 777] {
        fs::write(&segment, &whole[..len]).unwrap();
        let (status, text) = run(&data);
        assert_ne!(status, Some(0), "{len}: {text}");
        assert!(text.contains("tracker-0"), "{len}: {text}");
        assert_eq!(stored(&data), 17, "{len}: {text}");
        fs::write(&segment, &whole).unwrap();
    }
}

/// What a folder of a run is refused for, and what the doctor of the folder finds.
fn refused(data: &Path, devices: &str) -> String {
    let (status, text) = said(&command(data).args(["--devices", devices]).output().unwrap());
    assert_eq!(status, Some(1), "{text}");
    let found = Folder::new(data).look().unwrap();
    assert!(!found.faults.is_empty());
    for fault in found.faults {
        assert!(text.contains(&fault.to_string()), "{fault}: {text}");
    }
    text
}

#[test]
fn a_part_of_another_run_of_the_same_files_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, theirs, aside] = ["ours", "theirs", "aside"].map(|name| dir.path().join(name));
    for data in [&ours, &theirs] {
        assert_eq!(run(data).0, Some(0));
    }
    for (part, name) in [
        ("store.sqlite", "store.sqlite"),
        ("log", "log"),
        ("gateway", "gateway/spool"),
        ("tracker-0", "tracker-0/spool"),
        ("incidents.log", "incidents.log"),
        ("clock", "clock"),
        ("run.json", "run.json"),
    ] {
        fs::rename(ours.join(part), &aside).unwrap();
        fs::rename(theirs.join(part), ours.join(part)).unwrap();
        let text = refused(&ours, "1");
        let told = format!("\n  {name} belongs to another run\n");
        assert!(text.contains(&told), "{part}: {text}");
        let (_, faults) = text.split_once("cannot go on:").unwrap();
        assert_eq!(faults.matches("\n  ").count(), 1, "{part}: {text}");
        fs::rename(ours.join(part), theirs.join(part)).unwrap();
        fs::rename(&aside, ours.join(part)).unwrap();
    }
    // Nothing was changed: it is the run that it was.
    assert_eq!(run(&ours).0, Some(0));
    assert_eq!(stored(&ours), 17);
}

#[test]
fn trackers_folders_that_were_exchanged_or_copied_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let [data, aside] = ["run", "aside"].map(|name| dir.path().join(name));
    let (status, text) = said(&command(&data).args(["--devices", "2"]).output().unwrap());
    assert_eq!(status, Some(0), "{text}");
    let [first, second] = ["tracker-0", "tracker-1"].map(|name| data.join(name));
    fs::rename(&first, &aside).unwrap();
    fs::rename(&second, &first).unwrap();
    fs::rename(&aside, &second).unwrap();
    let text = refused(&data, "2");
    for told in [
        "tracker-0/spool is the one of tracker-1",
        "tracker-1/spool is the one of tracker-0",
    ] {
        assert!(text.contains(told), "{text}");
    }
    fs::rename(&first, &aside).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .args([&second, &first])
        .status();
    assert!(copied.unwrap().success());
    let text = refused(&data, "2");
    assert!(
        text.contains("tracker-1/spool is the one of tracker-0"),
        "{text}"
    );
    assert_eq!(stored(&data), 34);
}

#[test]
fn a_part_that_is_taken_away_while_the_run_goes_on_is_told_and_nothing_is_called_whole() {
    let dir = tempfile::tempdir().unwrap();
    let moved = dir.path().join("moved");
    for part in ["store.sqlite", "tracker-0", ""] {
        let data = dir.path().join("run");
        let mut child = command(&data)
            .args(["--speed", "1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        errors.read_line(&mut String::new()).unwrap();
        fs::rename(data.join(part), &moved).unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let mut told = String::new();
        errors.read_to_string(&mut told).unwrap();
        let (status, text) = said(&child.wait_with_output().unwrap());
        assert_eq!(status, Some(1), "{part}: {told}{text}");
        let gone = "somebody removed, moved or replaced";
        assert!(told.contains(gone) && told.contains(part), "{part}: {told}");
        assert!(!text.contains("goes on from there"), "{part}: {text}");
        for left in [&moved, &data].into_iter().filter(|path| path.exists()) {
            match left.is_dir() {
                true => fs::remove_dir_all(left).unwrap(),
                false => fs::remove_file(left).unwrap(),
            }
        }
    }
}

#[test]
fn a_schema_file_without_a_schema_is_made_again_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let mut child = command(data)
        .args(["--speed", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    // The third line says that a sample was read.
    for _ in 0..3 {
        errors.read_line(&mut String::new()).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let schemas = fs::read_dir(data.join("tracker-0/schemas")).unwrap();
    let mut count = 0;
    for file in schemas {
        fs::write(file.unwrap().path(), "").unwrap();
        count += 1;
    }
    assert!(count > 0);
    let (status, text) = run(data);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(stored(data), 17);
}

#[test]
fn programs_that_begin_together_get_a_folder_each() {
    let dir = tempfile::tempdir().unwrap();
    let begin = |_| {
        Command::new(env!("CARGO_BIN_EXE_fleet"))
            .arg("run")
            .arg(ride())
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let all: Vec<_> = (0..4).map(begin).collect();
    for child in all {
        let (status, text) = said(&child.wait_with_output().unwrap());
        assert_eq!(status, Some(0), "{text}");
    }
    for number in 1..=4 {
        let data = dir.path().join(format!("fleet-data/run-{number}"));
        assert_eq!(stored(&data), 17, "run {number}");
    }
}

#[test]
fn programs_that_begin_together_in_one_new_folder_are_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let begin = |_| {
        command(&dir.path().join("run"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let all: Vec<_> = (0..4).map(begin).collect();
    let mut well = 0;
    for child in all {
        let (status, text) = said(&child.wait_with_output().unwrap());
        // Whoever comes when the first one has ended finds a run with nothing left to do.
        match status {
            Some(0) => well += 1,
            other => {
                assert_eq!(other, Some(1), "{text}");
                assert!(text.contains("another program has this run open"), "{text}");
            }
        }
    }
    assert!(well > 0);
    assert_eq!(stored(&dir.path().join("run")), 17);
}

#[test]
fn a_second_program_in_a_folder_is_told_that_the_first_one_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = command(dir.path());
    first
        .args(["--serve=127.0.0.1:0", "--speed", "1"])
        .stderr(Stdio::null());
    let first = Served::start(&mut first);
    // Its page is there before its folder is.
    while !dir.path().join("clock").exists() {
        std::thread::yield_now();
    }
    let (status, text) = run(dir.path());
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("another program has this run open"), "{text}");
    first.signal(Signal::INT);
    assert_eq!(first.end().0, Some(0));
    assert_eq!(run(dir.path()).0, Some(0));
}

#[test]
fn an_address_that_is_not_joined_to_its_flag_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(dir.path());
    let output = command
        .args(["--serve", "127.0.0.1:4373"])
        .output()
        .unwrap();
    let (status, text) = said(&output);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("--serve=127.0.0.1:4373"), "{text}");
}

/// A run that finds this script where the voice should be.
fn with_voice(script: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let voice = dir.path().join("espeak-ng");
    fs::write(&voice, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&voice, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    // A workout with two cues.
    let ride = ride().with_file_name("activity-small-fenix2-run.fit");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command.arg("run").arg(ride).arg("--data");
    command.arg(dir.path().join("run")).stdin(Stdio::null());
    command.env("PATH", format!("{}:{path}", dir.path().display()));
    let (status, text) = said(&command.output().unwrap());
    let report = dir.path().join("run/report.html");
    assert!(report.exists(), "{text}");
    (status, text)
}

#[test]
fn a_voice_that_says_nothing_costs_no_report() {
    let (status, text) = with_voice("cat > /dev/null; exit 0");
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("2 given, 0 not given; 0 spoken aloud"),
        "{text}"
    );
}

#[test]
fn a_voice_that_never_ends_holds_up_nobody() {
    let (status, text) = with_voice("[ \"$1\" = --version ] && exit 0; exec sleep 1000");
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("2 given, 0 not given; 0 spoken aloud"),
        "{text}"
    );
}

#[test]
fn a_file_in_place_of_the_folder_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let (status, text) = run(&file);
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains("it is a file, and a run needs a folder"),
        "{text}"
    );
}

/// A command of the program below a shell that does something first.
fn below(shell: &str, data: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", shell, env!("CARGO_BIN_EXE_fleet"), "run"])
        .arg(ride())
        .arg("--data")
        .arg(data);
    command
}

#[test]
fn too_few_descriptors_are_told_before_anything_begins() {
    for limit in [10, 20, 40] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("run");
        let shell = format!("ulimit -n {limit}; exec \"$0\" \"$@\" --devices 6");
        let (status, text) = said(&below(&shell, &data).output().unwrap());
        assert_eq!(status, Some(1), "{limit}: {text}");
        assert!(text.contains("raise it with `ulimit -n"), "{limit}: {text}");
        assert!(!data.exists(), "{limit}: {text}");
    }
}

/// The run of somebody who may start so many threads: that limit does not hold for root.
fn with_threads(limit: u32, dir: &Path) -> (Option<i32>, String) {
    // Copies that everybody may read, wherever the originals lie.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_fleet"), dir.join("fleet")).unwrap();
    fs::copy(ride(), dir.join("ride.fit")).unwrap();
    let mut words = Vec::new();
    if rustix::process::getuid().is_root() {
        words.extend(["setpriv", "--reuid=54321", "--clear-groups"].map(str::to_owned));
    }
    words.extend(["prlimit".to_owned(), format!("--nproc={limit}")]);
    words.extend(["./fleet", "run", "ride.fit"].map(str::to_owned));
    let mut command = Command::new(&words[0]);
    said(&command.args(&words[1..]).current_dir(dir).output().unwrap())
}

#[test]
fn limits_of_threads_and_of_the_length_of_files_are_sentences_and_an_exit_status() {
    let dir = tempfile::tempdir().unwrap();
    for limit in 1..=3 {
        let (status, text) = with_threads(limit, dir.path());
        assert_eq!(status, Some(1), "{limit}: {text}");
        assert!(
            text.contains("Allow more with `ulimit -u`"),
            "{limit}: {text}"
        );
    }
    for blocks in [1, 64, 2_048, 4_096] {
        let data = dir.path().join(format!("run-{blocks}"));
        let shell = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let (status, text) = said(&below(&shell, &data).output().unwrap());
        assert_eq!(status, Some(1), "{blocks}: {text}");
        assert!(
            text.contains("Allow more with `ulimit -f`"),
            "{blocks}: {text}"
        );
    }
}

#[test]
fn fewer_trackers_than_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("run");
    let longer = ride().with_file_name("activity-small-fenix2-run.fit");
    let mut command = command(&data);
    let (status, text) = said(
        &command
            .arg(longer)
            .args(["--devices", "1"])
            .output()
            .unwrap(),
    );
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("too few for 2 files"), "{text}");
    assert!(!data.exists());
}

#[test]
fn a_path_that_is_too_long_is_said_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let long: PathBuf = (0..6).map(|_| "x".repeat(100)).collect();
    let deep = dir.path().join(long);
    fs::create_dir_all(&deep).unwrap();
    for data in [None, Some("run")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        command.arg("run").arg(ride()).current_dir(&deep);
        command.args(data.map(|data| ["--data", data]).into_iter().flatten());
        let (status, text) = said(&command.output().unwrap());
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("use a shorter --data"), "{text}");
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 0, "{text}");
    }
}

#[test]
fn a_line_break_in_the_name_of_a_file_begins_no_line_of_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("two\nlines\u{1b}[2J.fit");
    fs::copy(ride(), &file).unwrap();
    let data = dir.path().join("run");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    let (status, text) = said(
        &command
            .arg("run")
            .arg(&file)
            .arg("--data")
            .arg(&data)
            .output()
            .unwrap(),
    );
    assert_eq!(status, Some(0), "{text}");
    let report = String::from_utf8(content(&data.join("report.txt"))).unwrap();
    assert!(report.contains(r"two\nlines\u{1b}[2J"), "{report}");
    assert!(
        !report.contains(|c: char| c.is_control() && c != '\n'),
        "{report:?}"
    );
}

#[test]
fn the_descriptors_that_a_run_asks_for_are_enough() {
    let dir = tempfile::tempdir().unwrap();
    let (_, text) = said(
        &below(
            "ulimit -n 10; exec \"$0\" \"$@\" --devices 6 --outage 30s",
            dir.path(),
        )
        .output()
        .unwrap(),
    );
    let needed = text.split("ulimit -n ").nth(1).unwrap();
    let needed: u32 = needed.split('`').next().unwrap().parse().unwrap();
    let data = dir.path().join("run");
    let shell = format!("ulimit -n {needed}; exec \"$0\" \"$@\" --devices 6 --outage 30s");
    let (status, text) = said(&below(&shell, &data).output().unwrap());
    assert_eq!(status, Some(0), "{needed}: {text}");
}

#[test]
fn output_that_was_closed_at_the_start_costs_no_report_and_is_an_exit_status() {
    let dir = tempfile::tempdir().unwrap();
    let closed = below("exec \"$0\" \"$@\" >&-", dir.path())
        .output()
        .unwrap();
    let (status, text) = said(&closed);
    assert_eq!(status, Some(4), "{text}");
    assert!(text.contains("standard output is closed"), "{text}");
    assert!(dir.path().join("report.html").is_file());
}

#[test]
fn numbers_beyond_their_limits_are_refused_and_the_limits_are_in_the_help() {
    let fleet = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        said(&command.args(arguments).output().unwrap())
    };
    let (_, help) = fleet(&["--help"]);
    for limit in ["1 to 256", "0.001 to 1000000", "at most a week"] {
        assert!(help.contains(limit), "{limit}: {help}");
    }
    for (arguments, told) in [
        (["--speed", "1e-300"], "from 0.001 to 1000000"),
        (["--speed", "0"], "from 0.001 to 1000000"),
        (["--speed", "nan"], "from 0.001 to 1000000"),
        (["--devices", "257"], "1..=256"),
        (["--outage", "8d"], "a whole number and a unit"),
        (["--outage", "169h"], "at most a week"),
        (["--outage", "s"], "a whole number and a unit"),
        (["--outage", "99999999999999999999s"], "at most a week"),
    ] {
        let (status, text) = fleet(&arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(told), "{arguments:?}: {text}");
    }
}

#[test]
fn a_signal_without_a_page_ends_a_run_well_and_with_words() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = command(dir.path())
            .args(["--speed", "1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It runs once it says how far it is.
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        errors.read_line(&mut String::new()).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let (code, text) = said(&output);
        assert_eq!(code, Some(status), "{text}");
        assert!(text.contains("goes on from there"), "{text}");
        let (code, text) = run(dir.path());
        assert_eq!(code, Some(0), "{text}");
    }
}

#[test]
fn a_run_that_was_started_to_outlive_its_terminal_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = below("trap '' HUP; exec \"$0\" \"$@\" --speed 2", dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    errors.read_line(&mut String::new()).unwrap();
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    // It still speaks: the signal changed nothing.
    errors.read_line(&mut String::new()).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (code, text) = said(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(130), "{text}");
}

/// Presses a button of the page; what is answered.
fn press(fleet: &Served, command: &str) -> String {
    let mut stream = TcpStream::connect(fleet.address()).unwrap();
    let request = format!(
        "POST /command HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{command}",
        command.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_button_is_answered_at_once_however_slow_the_run_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(dir.path());
    // A step in a quarter of an hour.
    command
        .args(["--serve=127.0.0.1:0", "--speed", "0.001"])
        .stderr(Stdio::null());
    let fleet = Served::start(&mut command);
    for button in [r#"{"do":"cut-link"}"#, r#"{"do":"restore-link"}"#] {
        let answer = press(&fleet, button);
        assert!(answer.contains(r#""done":true"#), "{answer}");
    }
    fleet.signal(Signal::INT);
    assert_eq!(fleet.end().0, Some(0));
}

#[test]
fn a_run_that_waits_for_a_plug_or_the_link_says_so() {
    for (button, told) in [
        (r#"{"do":"unplug","tracker":1}"#, "Tracker 1 is unplugged"),
        (r#"{"do":"cut-link"}"#, "The link to the log is down"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = command(dir.path());
        let errors = fs::File::create(dir.path().join("errors")).unwrap();
        command
            .args(["--serve=127.0.0.1:0", "--speed", "100", "--devices", "2"])
            .stderr(errors);
        let fleet = Served::start(&mut command);
        // A tracker that is not on yet is not unplugged.
        while !press(&fleet, button).contains(r#""done":true"#) {
            std::thread::yield_now();
        }
        while !String::from_utf8_lossy(&content(&dir.path().join("errors"))).contains(told) {
            std::thread::yield_now();
        }
        let refused = press(&fleet, r#"{"do":"cut-link","x":1}"#);
        assert!(refused.contains("400 Bad Request"), "{refused}");
        // All that is waited for is the plug: the other tracker has nothing to measure any more.
        let unplugged = press(&fleet, r#"{"do":"unplug","tracker":2}"#);
        if told.contains("unplugged") {
            assert!(unplugged.contains("Its workout was over."), "{unplugged}");
        }
        fleet.signal(Signal::INT);
        let (status, text) = fleet.end();
        assert_eq!(status, Some(0), "{text}");
    }
}

/// Runs a script with a small disk at its first argument, in a name space of its own. Its second one
/// is a short ride, its third one a longer one.
fn on_a_small_disk(options: &str, script: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o {options} tmpfs \"$1\" && {script}");
    let longer = ride().with_file_name("activity-small-fenix2-run.fit");
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_fleet"))
        .arg(dir.path())
        .args([ride(), longer])
        .output()
        .unwrap();
    said(&output)
}

#[test]
fn a_full_disk_is_told_with_the_path_and_what_to_do() {
    for size in ["1m", "4m", "6m"] {
        let (status, text) = on_a_small_disk(
            &format!("size={size}"),
            "exec \"$0\" run \"$2\" --data \"$1/run\"",
        );
        assert_eq!(status, Some(1), "{size}: {text}");
        assert!(text.contains("No space left"), "{size}: {text}");
        assert!(
            text.contains("Make room on the disk of /"),
            "{size}: {text}"
        );
    }
}

#[test]
fn a_disk_without_a_number_for_another_file_is_told_from_one_without_room() {
    for files in [2, 8, 12, 16, 20] {
        let options = format!("size=64m,nr_inodes={files}");
        let (status, text) = on_a_small_disk(&options, "exec \"$0\" run \"$2\" --data \"$1/run\"");
        assert_eq!(status, Some(1), "{files}: {text}");
        assert!(text.contains("The files ran out"), "{files}: {text}");
        assert!(!text.contains("Make room"), "{files}: {text}");
    }
}

#[test]
fn a_run_whose_disk_was_full_goes_on_when_there_is_room() {
    let script = "\"$0\" run \"$3\" --data \"$1/run\"; test $? = 1 \
                  && mount -o remount,size=64m \"$1\" \
                  && exec \"$0\" run \"$3\" --data \"$1/run\"";
    let (status, text) = on_a_small_disk("size=8m", script);
    assert_eq!(status, Some(0), "{text}");
    // The store said so at once, long before a spool was full.
    assert!(text.contains("The store takes nothing:"), "{text}");
    assert!(text.contains("Make room on the disk of /"), "{text}");
    let whole = "Nothing is lost, and nothing is stored twice.";
    assert!(text.contains(whole), "{text}");
}
