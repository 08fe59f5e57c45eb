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
        salt: 7,
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

/// Runs a test of this file as a child that is killed in each of 20 turns, and tells what it says
/// is durable.
fn kill(test: &str, path: &str, mut durable: impl FnMut(&str)) {
    for turn in 1..=20 {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, format!("{turn} {path}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines {
            if let Some(said) = line.unwrap().strip_prefix("durable ") {
                durable(said);
                seen += 1;
            }
            if seen == turn * 3 {
                process.kill().unwrap();
            }
        }
        process.wait().unwrap();
        assert!(seen >= turn * 3, "turn {turn} ended early");
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
    let test = "kill::a_killed_process_loses_nothing_durable";
    kill(test, path, |said| durable = said.parse().unwrap());
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

/// Four threads append to one spool until they are killed; each says what is durable of its own.
#[cfg(feature = "shared")]
fn sharing_child(path: &str, turn: u64) {
    use telemetry_transport::shared::SharedLimits;

    let mut spool = open(path, turn);
    let stream = spool.stream(&StreamName::new("a.A").unwrap()).unwrap();
    let sources = [0, 1, 2, 3].map(|n: u64| {
        let source = spool.source(&format!("app-{n}")).unwrap();
        (n, source, spool.resume(source))
    });
    let (appender, _batches) = spool.share(SharedLimits::default()).unwrap();
    let mut out = std::io::stdout();
    writeln!(out).unwrap();
    std::thread::scope(|scope| {
        for (n, source, mut serial) in sources {
            let appender = appender.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.build().unwrap();
                loop {
                    serial += 1;
                    let mut record = single_object::header(Fingerprint(1)).to_vec();
                    record.extend_from_slice(&n.to_le_bytes());
                    record.extend_from_slice(&serial.to_le_bytes());
                    let origin = Some(Origin { source, serial });
                    let appended = appender.append(stream, record, origin);
                    runtime.block_on(appended).unwrap();
                    let mut out = std::io::stdout();
                    writeln!(out, "durable {n} {serial}").unwrap();
                }
            });
        }
    });
}

#[cfg(feature = "shared")]
#[test]
fn a_killed_process_loses_no_receipt_of_many_threads() {
    if let Ok(value) = env::var(CHILD) {
        let (turn, path) = value.split_once(' ').unwrap();
        return sharing_child(path, turn.parse().unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let mut durable = [0; 4];
    let test = "kill::a_killed_process_loses_no_receipt_of_many_threads";
    kill(test, path, |said| {
        let (n, serial) = said.split_once(' ').unwrap();
        durable[n.parse::<usize>().unwrap()] = serial.parse().unwrap();
    });
    let mut spool = open(path, 99);
    let mut next = [1; 4];
    while let Some(batch) = spool.next_batch(64 << 10, 1_000).unwrap() {
        for datum in batch.datums() {
            let (n, serial) = datum.split_at(8);
            let n = u64::from_le_bytes(n.try_into().unwrap()) as usize;
            assert_eq!(u64::from_le_bytes(serial.try_into().unwrap()), next[n]);
            next[n] += 1;
        }
    }
    let kept = next
        .iter()
        .zip(durable)
        .all(|(next, durable)| *next > durable);
    assert!(kept, "durable up to {durable:?}, found up to {next:?}");
}
