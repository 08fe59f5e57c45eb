//! A real process, killed while it writes a real directory.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use telemetry_core::{ClockMark, DeviceId, Fingerprint, StreamName, single_object};
use telemetry_transport::{Directory, Limits, Opening, Origin, Spool};

/// Names the directory to the child, and its turn.
const CHILD: &str = "TELEMETRY_TRANSPORT_KILL_CHILD";

fn open(path: &str, random: u64) -> Spool<Directory> {
    let opening = Opening {
        new_device: DeviceId::from_u128(7),
        hardware_token: None,
        clock: ClockMark::default(),
        random,
        limits: Limits {
            segment_bytes: 64 << 10,
            ..Limits::default()
        },
    };
    Spool::open(Directory::open(path).unwrap(), opening)
        .unwrap()
        .0
}

/// Appends until it is killed, and says which serial is durable after each commit.
fn child(path: &str, turn: u64) {
    let mut spool = open(path, turn);
    let stream = spool.stream(&StreamName::new("a.A").unwrap()).unwrap();
    let source = spool.source("app").unwrap();
    let mut serial = spool.resume(source);
    // On a line of its own: the test harness has begun one.
    let mut out = std::io::stdout();
    writeln!(out).unwrap();
    loop {
        for _ in 0..5 {
            serial += 1;
            let mut record = single_object::header(Fingerprint(1)).to_vec();
            record.extend_from_slice(&serial.to_le_bytes());
            spool
                .append(stream, &record, Some(Origin { source, serial }))
                .unwrap();
        }
        spool.commit().unwrap();
        writeln!(out, "durable {serial}").unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_durable() {
    if let Ok(value) = env::var(CHILD) {
        let (turn, path) = value.split_once(' ').unwrap();
        return child(path, turn.parse().unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let mut durable = 0;
    for turn in 1..=20 {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "kill::a_killed_process_loses_nothing_durable",
                "--nocapture",
            ])
            .env(CHILD, format!("{turn} {path}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines {
            if let Some(serial) = line.unwrap().strip_prefix("durable ") {
                durable = serial.parse().unwrap();
                seen += 1;
            }
            if seen == turn * 3 {
                process.kill().unwrap();
            }
        }
        process.wait().unwrap();
        assert!(seen >= turn * 3, "turn {turn} ended early");
    }
    let mut spool = open(path, 99);
    let mut next = 1;
    while let Some(batch) = spool.next_batch(64 << 10, 1_000).unwrap() {
        for datum in batch.datums() {
            assert_eq!(u64::from_le_bytes(datum.try_into().unwrap()), next);
            next += 1;
        }
    }
    assert!(
        next > durable,
        "durable up to {durable}, found up to {next}"
    );
}
