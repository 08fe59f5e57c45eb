//! The program as its users start it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

fn fleet(data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(arguments)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn path(name: &str) -> String {
    file(name).display().to_string()
}

#[test]
fn a_short_run_is_whole_and_its_outage_is_an_incident() {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        path("examples/data/garmin-fenix-5-bike.fit"),
        path("examples/data/garmin-fenix-5-walk.fit"),
    ];
    let run = ["run", &files[0], &files[1], "--outage", "10s"];
    let output = fleet(dir.path(), &run);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", err(&output));
    assert!(text.contains("Nothing is lost, and nothing is stored twice."));
    assert!(text.contains("ADD COLUMN resistance"), "{text}");
    assert!(text.contains("INC0000001, priority P2, closed"), "{text}");
    assert!(text.contains("It went away by itself"), "{text}");
    assert!(!text.contains("INC0000002"), "{text}");
    for tracker in 1..=2 {
        let picture = dir.path().join(format!("screen-{tracker}.png"));
        let head = std::fs::File::open(picture).unwrap();
        assert!(head.metadata().unwrap().len() > 1_000);
    }

    page_is_self_contained(&dir.path().join("report.html"));
    only_the_owner_reads(dir.path());

    // A run that is over has nothing left to do, and says the same.
    let again = fleet(dir.path(), &run);
    assert_eq!(again.status.code(), Some(0), "{}", err(&again));
    let text = out(&again);
    fits_a_terminal(&text);
    assert!(
        report_in(&text).starts_with("Nothing is lost"),
        "the verdict comes first: {text}"
    );

    // The folder knows what it belongs to.
    let other = fleet(dir.path(), &["run", &files[0]]);
    assert_eq!(other.status.code(), Some(1));
    assert!(
        err(&other).contains("use another --data"),
        "{}",
        err(&other)
    );
}

/// The report, behind what the workouts were: each has a paragraph of its own.
fn report_in(text: &str) -> &str {
    let workout = |paragraph: &str| paragraph.contains(" samples\n");
    let mut rest = text;
    while let Some((paragraph, behind)) = rest.split_once("\n\n")
        && workout(paragraph)
    {
        rest = behind;
    }
    rest.trim_start()
}

/// Folders 0700 and files 0600, whatever the umask is: every file of the family is in a run's folder.
fn only_the_owner_reads(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut files = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{} has {mode:o}", path.display());
            files += 1;
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(files > 20, "{files}");
}

/// No line is longer than a terminal is wide, but for those with a path that a person may copy.
fn fits_a_terminal(text: &str) {
    for line in text.lines() {
        let has_path = ["Everything of this run", "Look at it", "xpt why"];
        let has_path = has_path.iter().any(|words| line.contains(words));
        assert!(has_path || line.chars().count() <= 80, "{line}");
    }
}

/// Balanced, with every section, and nothing in it asks anyone for anything.
fn page_is_self_contained(path: &Path) {
    let page = std::io::read_to_string(std::fs::File::open(path).unwrap()).unwrap();
    let mut open = Vec::new();
    let mut rest = page.strip_prefix("<!doctype html>").unwrap();
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        for raw in ["script", "style"].iter().filter(|raw| **raw == name) {
            rest = &rest[rest.find(&format!("</{raw}")).unwrap()..];
        }
        let links = tag.split("src=\"").chain(tag.split("href=\"")).skip(1);
        for link in links.filter(|_| tag.contains("src=") || tag.contains("href=")) {
            let own = link.starts_with("data:") || link.starts_with('#') || link.starts_with(name);
            assert!(own, "{tag}");
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for word in ["http:", "https:", "url(", "@import", "fetch("] {
        assert!(!page.contains(word), "{word}");
    }
    for id in [
        "trackers",
        "pipeline",
        "schemas",
        "incidents",
        "cues",
        "ledger",
        "files",
    ] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    for word in [
        "Nothing is lost, and nothing is stored twice.",
        "class=\"outage\"",
        "Last screen of tracker 2",
        "Tracker 1: Heart rate, ",
        "INC0000001",
        "time to resolve",
    ] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn an_outage_that_outlasts_the_activity_is_over_when_its_records_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let bike = path("examples/data/garmin-fenix-5-bike.fit");
    let output = fleet(dir.path(), &["run", &bike, "--outage", "10m"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", err(&output));
    let resolved = text.lines().find(|l| l.contains("Resolved by")).unwrap();
    let (minutes, _) = resolved.trim().split_once(':').unwrap();
    assert!(minutes.parse::<u32>().unwrap() >= 10, "{text}");
    assert!(text.contains("It went away by itself"), "{text}");
}

#[test]
fn a_bad_file_is_named_and_what_could_be_read_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let strava = path("testdata/fit-bad/strava-android-app-201.10-b1218918.fit");
    let foreign = path("testdata/fit-bad/README.md");
    let good = path("examples/data/garmin-fenix-5-walk.fit");
    let output = fleet(
        dir.path(),
        &["run", &strava, &foreign, &good, "--outage", "0s"],
    );
    let text = out(&output);
    assert_eq!(output.status.code(), Some(3), "{text}{}", err(&output));
    // Long sentences are on several lines.
    let text = report_in(&text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    assert!(
        words.contains("fit: byte 7471: a message of kind 11"),
        "{text}"
    );
    assert!(words.contains("README.md: no FIT header"), "{text}");
    assert!(
        words.starts_with("Nothing is lost, and nothing is stored twice. But 2 things are wrong"),
        "{text}"
    );
    let row = |name: &str| {
        let line = text.lines().find(|l| l.contains(name)).unwrap();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(row("  strava-android-app-201.10")[3..6], ["473"; 3]);
    assert_eq!(row("  garmin-fenix-5-walk")[3..6], ["17"; 3]);
}

#[test]
fn nothing_to_replay_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = fleet(
        dir.path(),
        &["run", &path("testdata/fit-bad/MonitoringFile.fit")],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("nothing to replay"));
}

#[test]
fn the_help_names_every_option_and_every_exit_status() {
    let help = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .arg("--help")
        .output()
        .unwrap();
    let text = out(&help);
    for word in [
        "--data",
        "--outage",
        "--devices",
        "--speed",
        "Exit status",
        "bench",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn an_address_apart_from_its_flag_gets_a_tip() {
    let dir = tempfile::tempdir().unwrap();
    let output = fleet(dir.path(), &["--serve", "127.0.0.1:4371"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("--serve=127.0.0.1:4371"),
        "{}",
        err(&output)
    );
}

/// Ten minutes without a link: what comes then at once has goals and warnings of one wearer in one
/// batch, so that the warning stops the goal's speech.
#[test]
fn slow_the_main_job_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = fleet(dir.path(), &["--outage", "10m"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", err(&output));
    for line in [
        "garmin-edge-500-activity#2",
        "Nothing is lost",
        "It went away by itself",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(
        text.matches("INC00000").count(),
        3,
        "one incident, told twice: {text}"
    );
}

#[test]
fn output_that_is_closed_or_full_costs_no_report_and_no_panic() {
    let bike = path("examples/data/garmin-fenix-5-bike.fit");
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for out in [full().into(), std::process::Stdio::from(closed)] {
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
            .args(["run", &bike, "--outage", "0s", "--data"])
            .arg(dir.path())
            .stdout(out)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", err(&output));
        assert!(!err(&output).contains("panicked"), "{}", err(&output));
        for report in ["report.txt", "report.html"] {
            assert!(dir.path().join(report).is_file(), "{report}");
        }
    }
}

#[test]
fn a_file_is_named_without_what_its_name_does_to_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("a\u{1b}[2Jb\u{202e}c\nd.fit");
    std::fs::copy(file("examples/data/garmin-fenix-5-bike.fit"), &name).unwrap();
    let missing = format!("{}\u{1b}]0;x\u{7}", name.display());
    let name = name.display().to_string();
    let data = dir.path().join("data");
    let output = fleet(&data, &["run", &name, &missing, "--outage", "0s"]);
    let text = out(&output) + &err(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!text.contains(steers), "{text:?}");
    assert!(text.contains(r"\u{1b}[2J"), "{text}");
}

#[test]
fn a_file_without_its_word_gets_a_tip() {
    for words in [&["ride.fit"][..], &["ride.fit.gz", "--speed", "5"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
            .args(words)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let tip = format!("tip: fleet run {}\n", words[0]);
        assert!(err(&output).contains(&tip), "{}", err(&output));
    }
}
