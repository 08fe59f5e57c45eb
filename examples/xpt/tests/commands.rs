//! The program as its users start it, on files that the libraries wrote.

#![allow(clippy::unwrap_used, reason = "a failed check of a test panics")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use run_folder::{CONSUMERS, Folder, Plan, Progress, RunFile, Workout};
use telemetry_core::records::Enrichment;
use telemetry_core::single_object;
use telemetry_core::{DeviceId, Registry as _, Schema, StreamName, Timestamp};
use telemetry_itil::{Config, FileLog, Input, Itil, Output as ItilOutput};
use telemetry_storage::{Outcome, SqliteOptions, SqliteStore, Store as _, Write};
use telemetry_transport::{Directory, EmbeddedLog, Limits, Opening, Spool};

const SCHEMA: &str = r#"{"type":"record","name":"Beat","namespace":"vendor","fields":[{"name":"bpm","type":"int"}]}"#;

fn xpt(arguments: &[&str]) -> (Option<i32>, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_xpt"))
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// What the run of a test replays.
fn plan() -> Plan<'static> {
    Plan {
        workouts: vec![Workout {
            name: "ride",
            content: Some([7; 32]),
        }],
        devices: 1,
        outage: Duration::ZERO,
    }
}

fn message(schema: &Schema) -> Vec<u8> {
    let mut record = single_object::header(schema.fingerprint()).to_vec();
    record.extend([0x82, 0x01]);
    record
}

/// A spool with so many durable records of one stream.
fn spool(device: &Path, id: DeviceId, schema: &Schema, count: usize) -> Spool<Directory> {
    let opening = Opening {
        new_device: id,
        ..Opening::new().unwrap()
    };
    let storage = Directory::open(Folder::spool_of(device)).unwrap();
    let (mut spool, _) = Spool::open(storage, opening).unwrap();
    let number = spool.stream(&stream_of(schema)).unwrap();
    for _ in 0..count {
        spool.append(number, &message(schema), None).unwrap();
    }
    spool.commit().unwrap();
    spool
}

fn stream_of(schema: &Schema) -> StreamName {
    StreamName::new(&schema.record().unwrap().name).unwrap()
}

/// A run's folder: ten records of a tracker in five batches, of which the third one is not stored, and
/// one record of the gateway, which is.
fn run(data: &Path) -> String {
    let folder = Folder::new(data);
    let mut file = RunFile::open(folder.clone(), &plan()).unwrap();
    let beat = Schema::parse(SCHEMA).unwrap();
    let cue = Schema::parse(&SCHEMA.replace("Beat", "Cue")).unwrap();
    let log = Directory::open(folder.log()).unwrap();
    let (log, _) = EmbeddedLog::open(log, Limits::default()).unwrap();
    let [etl, coach] = CONSUMERS;
    let mut etl = log.subscribe(etl).unwrap();
    log.subscribe(coach).unwrap();
    FileLog::open(folder.incidents()).unwrap();
    let store = SqliteStore::open(&folder.store(), SqliteOptions::default()).unwrap();
    let mut name = String::new();
    for (device, id, schema, count) in [
        (folder.tracker(0), file.device(0), &beat, 10),
        (folder.gateway(), file.device(1), &cue, 1),
    ] {
        let mut spool = spool(&device, id, schema, count);
        pollster::block_on(store.register(&stream_of(schema), schema)).unwrap();
        while let Some(mut batch) = spool.next_batch(64 << 10, 2).unwrap() {
            let published = Timestamp::from_micros(0);
            let batch = batch.to_batch(schema.array_fingerprint(), published);
            log.append(&batch.unwrap()).unwrap();
        }
        if name.is_empty() {
            let stream = stream_of(schema);
            name = format!("{}:{}:{stream}", spool.device(), spool.epoch());
        }
    }
    log.commit().unwrap();
    let mut third = 0;
    while let Some(delivery) = etl.next().unwrap() {
        third += 1;
        if third == 3 {
            etl.reject(&delivery, "poison").unwrap();
            continue;
        }
        let write = Write {
            batch: &delivery.batch,
            enrichment: &Enrichment::default(),
        };
        let outcomes = pollster::block_on(store.write(&[write]));
        assert!(
            matches!(outcomes[..], [Outcome::Stored { .. }]),
            "{outcomes:?}"
        );
        etl.acknowledge(&[delivery.token]).unwrap();
    }
    file.begin().unwrap();
    let progress = Progress {
        reached: Duration::from_secs(10),
        trackers: 1,
        rows: 9,
        groups: 0,
    };
    file.reach(progress).unwrap();
    name
}

#[test]
fn stores_queues_and_the_way_of_a_record_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let name = run(dir.path());
    let (store, log, spool) = (path("store.sqlite"), path("log"), path("tracker-0/spool"));

    let (code, text) = xpt(&["store", "stats", &store]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("2 records are missing"), "{text}");
    let (code, text) = xpt(&["store", "missing", &store, "--json"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("\"first\": 5") && text.contains("\"last\": 6"),
        "{text}"
    );
    let (code, text) = xpt(&["store", "read", &store, "vendor.Beat"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.matches(" 65").count(), 8, "{text}");
    // The last name is enough, and a limit gives the first ones.
    let (code, text) = xpt(&["store", "read", &store, "Beat", "--limit", "4"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.matches(" 65").count(), 4, "{text}");
    let (code, text) = xpt(&["store", "read", &store, "Heart"]);
    assert_eq!(code, Some(3));
    assert!(text.contains("there are vendor.Beat"), "{text}");
    let (_, text) = xpt(&["store", "missing", &store]);
    let offered = format!("xpt why {name}:5 --data {}", dir.path().display());
    assert!(text.contains(&offered), "{text}");

    let (code, text) = xpt(&["queue", "verify", &log]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = xpt(&["queue", "stats", &log]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("dead letters        1"), "{text}");
    let (code, text) = xpt(&["queue", "tail", &spool, "-n", "1"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("{name}:10 ")), "{text}");
    let (code, text) = xpt(&["queue", "tail", &path(".")]);
    assert_eq!(code, Some(3), "{text}");

    let data = path("");
    let (code, text) = xpt(&["why", &format!("{name}:4"), "--data", &data]);
    assert_eq!(code, Some(0), "{text}");
    for told in ["it is stored", "it is here", "it was not refused"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!text.contains("false"), "{text}");
    let (code, text) = xpt(&["why", &format!("{name}:5"), "--data", &data]);
    assert_eq!(code, Some(1));
    assert!(text.contains("etl: poison"), "{text}");
    // A batch, as a run prints it, and a tracker's stream by the names that people use.
    let (code, text) = xpt(&["why", &format!("{name}:5-6"), "--data", &data]);
    assert_eq!(code, Some(1));
    assert!(text.contains("etl: poison"), "{text}");
    assert!(text.contains("xpt queue replay"), "{text}");
    for short in ["1:Beat:4", "tracker 1:Beat:4", "tracker-1:vendor.Beat:4"] {
        let (code, text) = xpt(&["why", short, "--data", &data]);
        assert_eq!(code, Some(0), "{text}");
    }
    let (code, text) = xpt(&["why", "2:Beat:4", "--data", &data]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("this run has 1 tracker"), "{text}");
    let (code, text) = xpt(&["why", "--data", &data]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("{name}:10")), "{text}");
    let (code, text) = xpt(&["why", &format!("{name}:11"), "--data", &data]);
    assert_eq!(code, Some(1));
    assert!(text.contains("no such number"), "{text}");
}

#[test]
fn a_queue_is_looked_at_while_its_owner_has_it_and_damage_is_told() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let log = dir.path().join("log");
    let owner = Directory::open(&log).unwrap();
    let log = log.display().to_string();
    assert_eq!(xpt(&["queue", "verify", &log]).0, Some(0));
    drop(owner);
    // Another opening shows that everything before it was durable.
    let again = Directory::open(&log).unwrap();
    drop(EmbeddedLog::open(again, Limits::default()).unwrap());
    let segments = std::fs::read_dir(&log).unwrap().map(|e| e.unwrap().path());
    let mut segments: Vec<_> = segments
        .filter(|p| p.extension().is_some_and(|e| e == "segment"))
        .collect();
    segments.sort();
    let file = std::fs::File::options().write(true).open(&segments[0]);
    std::os::unix::fs::FileExt::write_all_at(&file.unwrap(), &[0xff; 8], 40).unwrap();
    let (code, text) = xpt(&["queue", "verify", &log]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("damaged"), "{text}");
}

/// Records that are damaged are named by their numbers, and the queue opens and goes on.
#[test]
fn verify_names_what_was_lost_and_repair_leaves_a_queue_that_opens() {
    let dir = tempfile::tempdir().unwrap();
    let schema = Schema::parse(SCHEMA).unwrap();
    for _ in 0..2 {
        drop(spool(dir.path(), DeviceId::from_u128(7), &schema, 40));
    }
    let queue = Folder::spool_of(dir.path());
    let first = queue.join("00000001.segment");
    let len = std::fs::metadata(&first).unwrap().len();
    let file = std::fs::File::options().write(true).open(&first).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 400], len / 2).unwrap();
    let queue = queue.display().to_string();
    for arguments in [
        ["queue", "verify", &queue].as_slice(),
        &["queue", "verify", "--repair", &queue],
    ] {
        let (code, text) = xpt(arguments);
        assert_eq!(code, Some(1), "{text}");
        assert!(
            text.contains("lost ") && text.contains(":vendor.Beat:"),
            "{text}"
        );
    }
    let mut again = spool(dir.path(), DeviceId::from_u128(7), &schema, 1);
    assert!(again.next_batch(64 << 10, 1_000).unwrap().is_some());
}

#[test]
fn an_incident_log_is_checked_and_played_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("incidents.log");
    let mut log = FileLog::open(&path).unwrap();
    let mut itil = Itil::new(Config::default()).unwrap();
    let now = Timestamp::from_micros(1);
    itil.take_over(now, 9);
    while let Some(output) = itil.poll_output() {
        if let ItilOutput::Append(group) = output {
            let _ = log.append_now(&group).unwrap();
            let won = Input::LogWon { seq: group.seq };
            itil.handle_input(now, won).unwrap();
        }
    }
    let text = path.display().to_string();
    // Its owner has it locked.
    let (code, out) = xpt(&["itil", "verify", &text]);
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(xpt(&["itil", "replay", &text]).0, Some(0));
    drop(log);
    let mut content = std::io::read_to_string(std::fs::File::open(&path).unwrap()).unwrap();
    let at = content.rfind("\"v\"").unwrap();
    content.replace_range(at..at + 3, "\"w\"");
    std::fs::write(&path, content).unwrap();
    let (code, out) = xpt(&["itil", "verify", &text]);
    assert_eq!(code, Some(1), "{out}");
}

#[test]
fn schemas_are_compared_and_frames_are_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old.avsc"), dir.path().join("new.avsc"));
    std::fs::write(&old, SCHEMA).unwrap();
    std::fs::write(&new, SCHEMA.replace("\"int\"", "\"string\"")).unwrap();
    let (old, new) = (old.display().to_string(), new.display().to_string());
    let (code, text) = xpt(&["avro", "fingerprint", &old]);
    assert_eq!(code, Some(0), "{text}");
    let fingerprint = Schema::parse(SCHEMA).unwrap().fingerprint().to_string();
    assert!(text.contains(&fingerprint), "{text}");
    assert_eq!(xpt(&["avro", "check", &old, &old]).0, Some(0));
    let (code, text) = xpt(&["avro", "check", &old, &new]);
    assert_eq!(code, Some(1));
    assert!(text.contains("cannot follow"), "{text}");

    // A captured frame, see testdata/airpods.
    let frame = "07190127202b998f110009095a5cff4652e7000000761cb2372224";
    let (code, text) = xpt(&["pods", "decode", frame]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("left in ear"), "{text}");
    assert_eq!(xpt(&["pods", "decode", "07xx"]).0, Some(3));
}

#[test]
fn records_are_explained_and_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let new = r#"{"type":"record","name":"Beat","namespace":"vendor","fields":[
        {"name":"rate","type":"double","aliases":["bpm"]},
        {"name":"tags","type":{"type":"map","values":["null","bytes"]},"default":{}},
        {"name":"strap","type":"string","default":"chest"}]}"#;
    let (old, new) = (
        file("old.avsc", SCHEMA.as_bytes()),
        file("new.avsc", new.as_bytes()),
    );

    let (code, text) = xpt(&["avro", "explain", &old, &new]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("vendor.Beat.bpm") && text.contains("renamed by an alias"),
        "{text}"
    );
    assert!(text.contains("takes its default \"chest\""), "{text}");
    let (code, text) = xpt(&["avro", "explain", &new, &old]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("not read") && text.contains("has no default"),
        "{text}"
    );
    let flat = SCHEMA.replace("\"bpm\"", "\"beats\",\"aliases\":[\"bpm\"]");
    let flat = file("flat.avsc", flat.as_bytes());
    let (code, text) = xpt(&["avro", "explain", &old, &flat]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("renamed by an alias"), "{text}");

    // Wider is fine for new readers, and not for old ones.
    let (code, text) = xpt(&["avro", "check", &old, &new]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = xpt(&["avro", "check", &old, &new, "--mode", "FULL"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("readers of the old one"), "{text}");
    let (code, text) = xpt(&["avro", "gen", &new]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("pub rate: f64,"), "{text}");

    let schema = Schema::parse(SCHEMA).unwrap();
    let mut messages = single_object::header(schema.fingerprint()).to_vec();
    messages.extend([0x82, 0x01]);
    messages.extend(single_object::header(schema.array_fingerprint()));
    messages.extend([0x04, 0x84, 0x01, 0x86, 0x01, 0x00]);
    let both = file("messages", &messages);
    let decode = |file: &str| xpt(&["avro", "decode", file, "--reader", &new, "--writer", &old]);
    let line = |rate: &str| format!(r#"{{"rate":{rate},"strap":"chest","tags":{{}}}}"#);
    let all = [line("65.0"), line("66.0"), line("67.0"), String::new()].join("\n");
    assert_eq!(decode(&both), (Some(0), all));
    // What was cut off is told, after what could be read.
    messages.truncate(messages.len() - 2);
    let (code, text) = decode(&file("cut", &messages));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.starts_with(&line("65.0")) && text.contains("byte 12"),
        "{text}"
    );
    let (code, text) = xpt(&["avro", "decode", &both, "--reader", &new]);
    assert_eq!(code, Some(1));
    assert!(text.contains("give it with --writer"), "{text}");
    let plain = file("plain", &[0x82, 0x01, 0x84, 0x01]);
    let (code, text) = decode(&plain);
    assert_eq!(code, Some(1));
    assert!(text.contains("--plain"), "{text}");
    let plain = [
        "avro", "decode", &plain, "--reader", &new, "--writer", &old, "--plain",
    ];
    assert_eq!(
        xpt(&plain).1,
        [line("65.0"), line("66.0"), String::new()].join("\n")
    );
}

#[test]
fn the_doctor_looks_at_whatever_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    assert_eq!(xpt(&["doctor"]).0, Some(0));
    let (code, text) = xpt(&["doctor", &path("")]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("xpt store missing") || text.contains("records are missing"),
        "{text}"
    );
    assert!(
        text.contains("etl refused") && text.contains(": poison"),
        "{text}"
    );
    let (code, text) = xpt(&["doctor", &path("tracker-0/spool"), "--json"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\"state\": \"ok\""), "{text}");
    // What is not there cannot be looked at.
    let (code, text) = xpt(&["doctor", &path("nothing")]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("No such file"), "{text}");
    let (code, text) = xpt(&["doctor", &path(""), &path("nothing"), "--json"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("\"error\": "), "{text}");
}

#[test]
fn the_doctor_says_which_part_of_a_run_is_missing_or_another_thing() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let data = dir.path().display().to_string();
    let aside = dir.path().with_extension("aside");
    for (part, told) in [
        ("run.json", "run.json is missing"),
        ("clock", "clock is missing"),
        ("store.sqlite", "store.sqlite is missing"),
        ("incidents.log", "incidents.log is missing"),
        ("log", "log is missing"),
        ("gateway", "gateway/spool is missing"),
        ("tracker-0", "tracker-0/spool is missing"),
    ] {
        let path = dir.path().join(part);
        std::fs::rename(&path, &aside).unwrap();
        let (code, text) = xpt(&["doctor", &data]);
        assert_eq!(code, Some(1), "{part}: {text}");
        assert!(text.contains(told), "{part}: {text}");
        assert!(text.contains("put the newest copy back"), "{part}: {text}");
        // A folder in place of a file, an empty file, a file in place of a folder.
        if aside.is_file() {
            std::fs::create_dir(&path).unwrap();
            let (code, text) = xpt(&["doctor", &data]);
            assert_eq!(code, Some(1), "{part}: {text}");
            let is_named = text.contains("is a folder") || text.contains("Is a directory");
            assert!(is_named, "{part}: {text}");
            std::fs::remove_dir(&path).unwrap();
            std::fs::write(&path, "").unwrap();
            let (code, text) = xpt(&["doctor", &data]);
            assert_eq!(code, Some(1), "{part}: {text}");
        } else {
            std::fs::write(&path, "").unwrap();
            let (code, text) = xpt(&["doctor", &data]);
            assert_eq!(code, Some(1), "{part}: {text}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
}

#[test]
fn the_doctor_tells_a_store_that_was_made_again_from_the_one_that_was_there() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let store = dir.path().join("store.sqlite");
    std::fs::remove_file(&store).unwrap();
    drop(SqliteStore::open(&store, SqliteOptions::default()).unwrap());
    let (code, text) = xpt(&["doctor", &dir.path().display().to_string()]);
    assert_eq!(code, Some(1), "{text}");
    let told = "store.sqlite has 0 rows and had 9: it was made again, or is an older copy";
    assert!(text.contains(told), "{text}");
}

#[test]
fn the_doctor_and_verify_find_segments_that_are_cut_or_missing() {
    for spool in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path());
        let queue = match spool {
            true => {
                // What is confirmed is noted when its owner ends well.
                let schema = Schema::parse(SCHEMA).unwrap();
                let mut spool = self::spool(
                    &dir.path().join("tracker-0"),
                    DeviceId::from_u128(7),
                    &schema,
                    100,
                );
                while let Some(batch) = spool.next_batch(64 << 10, 2).unwrap() {
                    spool.confirm(&batch).unwrap();
                }
                spool.save_cursor().unwrap();
                dir.path().join("tracker-0/spool")
            }
            false => dir.path().join("log"),
        };
        let segment = newest_segment(&queue);
        let mut whole = Vec::new();
        let file = std::fs::File::open(&segment).unwrap();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, 64 << 20), &mut whole).unwrap();
        let queue = queue.display().to_string();
        let data = dir.path().display().to_string();
        for len in [0, 777] {
            std::fs::write(&segment, &whole[..len]).unwrap();
            for arguments in [["queue", "verify", &queue].as_slice(), &["doctor", &data]] {
                let (code, text) = xpt(arguments);
                assert_eq!(code, Some(1), "{len} bytes, {arguments:?}: {text}");
            }
        }
        std::fs::remove_file(&segment).unwrap();
        let (code, text) = xpt(&["doctor", &data]);
        assert_eq!(code, Some(1), "{text}");
    }
}

#[test]
fn a_spool_that_was_killed_before_its_first_record_is_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let queue = dir.path().display().to_string();
    for _ in 0..3 {
        let storage = Directory::open(dir.path()).unwrap();
        let (spool, _) = Spool::open(storage, Opening::new().unwrap()).unwrap();
        let (code, text) = xpt(&["queue", "verify", &queue]);
        assert_eq!(code, Some(0), "{text}");
        // A process that is killed closes nothing: its end frees the lock alone, as here.
        drop(spool);
    }
    let segment = newest_segment(dir.path());
    for bytes in [&b""[..], &[0x5a; 777]] {
        std::fs::write(&segment, bytes).unwrap();
        let (code, text) = xpt(&["queue", "verify", &queue]);
        assert_eq!(code, Some(1), "{bytes:?}: {text}");
    }
}

fn newest_segment(queue: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(queue).unwrap().map(|e| e.unwrap().path());
    let segments = files.filter(|path| path.extension().is_some_and(|e| e == "segment"));
    segments.max().unwrap()
}

#[test]
fn the_doctor_says_that_a_program_has_a_run_open() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let data = dir.path().display().to_string();
    let owner = RunFile::open(Folder::new(dir.path()), &plan()).unwrap();
    let log = Directory::open(dir.path().join("log")).unwrap();
    let (_, text) = xpt(&["doctor", &data]);
    assert!(text.contains("a program has this run open"), "{text}");
    assert!(!text.contains("run it again"), "{text}");
    assert!(!text.contains("operation would block"), "{text}");
    drop((owner, log));
    let (_, text) = xpt(&["doctor", &data]);
    assert!(!text.contains("a program has this run open"), "{text}");
}

#[test]
fn why_answers_for_every_record_of_a_range_and_for_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let name = run(dir.path());
    let data = dir.path().display().to_string();
    let (code, text) = xpt(&["why", &format!("{name}:3-12"), "--data", &data]);
    assert_eq!(code, Some(1), "{text}");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().take(3).collect())
        .collect();
    for row in [
        ["3-4", "stored", "-"],
        ["5-6", "set", "aside"],
        ["7-10", "stored", "-"],
        ["11-12", "nowhere", "-"],
    ] {
        assert!(rows.contains(&row.to_vec()), "{row:?}: {text}");
    }
    assert!(text.contains("2 of 10 are refused and set aside"), "{text}");
    assert!(
        text.contains("2 of 10 are not stored: no such number"),
        "{text}"
    );
    let (code, text) = xpt(&["why", "1:Beat:1-4", "--data", &data]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = xpt(&["why", "gateway:Cue:1", "--data", &data]);
    assert_eq!(code, Some(0), "{text}");
    for (wrong, told) in [
        ("1:Beat:0", "records count from 1"),
        ("1:Beat:0-0", "records count from 1"),
        ("1:Beat:5-3", "from the lower to the higher"),
        ("1:Beat:05", "without leading zeros: 5"),
        ("1:Beat:+5", "digits alone"),
        (":::", "a part of the name is empty"),
        ("", "the name of the record is empty"),
        ("1:Beat:1-9999999", "at most 100000 at once"),
        ("gateway:Nothing:1", "no such stream"),
    ] {
        let (code, text) = xpt(&["why", wrong, "--data", &data]);
        assert_eq!(code, Some(3), "{wrong}: {text}");
        assert!(text.contains(told), "{wrong}: {text}");
    }
}

#[test]
fn a_store_that_is_none_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("empty.sqlite"), "").unwrap();
    std::fs::write(path("other"), "x").unwrap();
    for (store, told) in [
        (path(""), "this is a folder; give the file of a store"),
        (path("empty.sqlite"), "the file is empty"),
        (path("nothing"), "No such file"),
    ] {
        let (code, text) = xpt(&["store", "stats", &store]);
        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains(told), "{text}");
    }
    for (file, told) in [
        (path("empty.sqlite"), "it is empty"),
        (path("other"), "neither a store nor an incident log"),
    ] {
        let (code, text) = xpt(&["doctor", &file]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn a_wrong_word_is_refused_and_completions_are_printed() {
    assert_eq!(xpt(&["stor"]).0, Some(2));
    let (code, text) = xpt(&["completions", "bash"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("_xpt"), "{text}");
    let (_, help) = xpt(&["--help"]);
    assert!(help.contains("Exit status"), "{help}");
}

#[test]
fn the_bench_measures_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let (code, text) = xpt(&["queue", "bench", &path, "--seconds", "0.05"]);
    assert_eq!(code, Some(0), "{text}");
    for what in [
        "append, 1 a commit",
        "append, 128 a commit",
        "append, 1024 a commit",
        "recovery",
    ] {
        let row = text.lines().find(|line| line.starts_with(what));
        let row = row.unwrap_or_else(|| panic!("{what} in\n{text}"));
        let rate = row[what.len()..].split_whitespace().next();
        assert!(rate.unwrap().parse::<f64>().unwrap() > 0.0, "{row}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let missing = dir.path().join("missing").display().to_string();
    let (code, text) = xpt(&["queue", "bench", &missing]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("missing"), "{text}");
}

#[test]
fn output_that_is_closed_or_full_is_an_exit_status_and_no_panic() {
    for arguments in [
        &["completions", "bash"][..],
        &["--help"],
        &["avro", "--help"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        for out in [full.unwrap().into(), std::process::Stdio::from(closed)] {
            let output = Command::new(env!("CARGO_BIN_EXE_xpt"))
                .args(arguments)
                .stdout(out)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(4), "{errors}");
            assert!(!errors.contains("panicked"), "{errors}");
        }
    }
}

#[test]
fn output_that_was_closed_at_the_start_is_lost_as_well() {
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" >&-", env!("CARGO_BIN_EXE_xpt")])
        .args(["completions", "bash"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{errors}");
    assert!(errors.contains("standard output is closed"), "{errors}");
    // Nobody asked for what goes to /dev/null, and nothing is lost.
    let status = Command::new(env!("CARGO_BIN_EXE_xpt"))
        .args(["completions", "bash"])
        .stdout(
            std::fs::File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .unwrap(),
        )
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn foreign_text_does_not_steer_a_terminal_in_tables_or_errors() {
    let (code, text) = xpt(&["queue", "stats", "no\u{1b}[2J\u{202e}such"]);
    assert_eq!(code, Some(3), "{text}");
    let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!text.contains(steers), "{text:?}");
    let (code, text) = xpt(&["queue", "\u{1b}[31m\u{202e}"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(!text.contains(steers), "{text:?}");
}

#[test]
fn what_was_set_aside_is_replayed_into_an_embedded_log() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let log = dir.path().join("log").display().to_string();
    let (code, text) = xpt(&["queue", "dead", &log]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("etl refused") && text.contains("poison"),
        "{text}"
    );
    let owner = Directory::open(&log).unwrap();
    let (code, text) = xpt(&["queue", "replay", &log]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("end it first"), "{text}");
    drop(owner);
    let (code, text) = xpt(&["queue", "replay", &log]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains('1'), "{text}");
    let (_, text) = xpt(&["queue", "dead", &log]);
    assert!(text.contains("nothing"), "{text}");
    let (log, _) = EmbeddedLog::open(Directory::open(&log).unwrap(), Limits::default()).unwrap();
    let again = log.subscribe("etl").unwrap().next().unwrap().unwrap();
    assert_eq!(again.batch.envelope.first_seq.get(), 5);
}

#[test]
fn the_doctor_finds_what_a_run_calls_missing() {
    let dir = tempfile::tempdir().unwrap();
    let name = run(dir.path());
    let data = dir.path().display().to_string();
    // Two are set aside, and the rest is stored: nothing is missing.
    let (_, text) = xpt(&["doctor", &data]);
    assert!(text.contains("every number is stored"), "{text}");
    assert!(!text.contains("have a number and are not stored"), "{text}");
    // Three records more become durable and go nowhere: no gap in the store shows them.
    let schema = Schema::parse(SCHEMA).unwrap();
    let spool = spool(
        &dir.path().join("tracker-0"),
        DeviceId::from_u128(7),
        &schema,
        3,
    );
    let (device, _) = name.split_once(':').unwrap();
    let lost = format!("{device}:{}:vendor.Beat:1", spool.epoch());
    drop(spool);
    let (code, text) = xpt(&["doctor", &data]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("3 records have a number and are not stored"),
        "{text}"
    );
    assert!(text.contains(&format!("xpt why {lost} --data")), "{text}");
}

#[test]
fn the_doctor_says_which_schema_files_hold_no_schema() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let schemas = dir.path().join("tracker-0/schemas");
    std::fs::create_dir(&schemas).unwrap();
    std::fs::write(schemas.join("whole.avsc"), SCHEMA).unwrap();
    std::fs::write(schemas.join("empty.avsc"), "").unwrap();
    let (code, text) = xpt(&["doctor", &dir.path().display().to_string()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("empty.avsc"), "{text}");
    assert!(text.contains("it holds no schema"), "{text}");
    assert!(!text.contains("whole.avsc"), "{text}");
}

#[test]
fn a_run_on_a_read_only_place_is_examined_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("50% #1?");
    std::fs::create_dir(&data).unwrap();
    run(&data);
    let read_only = |journal: &str| {
        let script = format!(
            "mount --bind \"$1\" \"$1\" && {journal} && mount -o remount,ro,bind \"$1\" && exec \"$0\" doctor \"$1\""
        );
        let output = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .arg(env!("CARGO_BIN_EXE_xpt"))
            .arg(&data)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let text = read_only("true");
    assert!(!text.contains("damaged"), "{text}");
    assert!(!text.contains("cannot be examined"), "{text}");
    assert!(text.contains("every number is stored"), "{text}");
    // A journal that nobody put into the store: what is in it cannot be read from here.
    let text = read_only("echo > \"$1/store.sqlite-wal\"");
    assert!(
        text.contains("store.sqlite cannot be examined from here"),
        "{text}"
    );
    assert!(!text.contains("damaged"), "{text}");
}

#[test]
fn json_has_one_shape_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let avsc = path("beat.avsc");
    std::fs::write(&avsc, SCHEMA).unwrap();
    let ride = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../data/garmin-fenix-5-walk.fit"
    );
    let frame = "0719012720 2b998f110009095a5cff4652e7000000761cb2372224";
    for arguments in [
        &["store", "stats", &path("store.sqlite")][..],
        &["store", "missing", &path("store.sqlite")],
        &["queue", "tail", &path("log")],
        &["avro", "fingerprint", &avsc],
        &["avro", "gen", &avsc],
        &["pods", "decode", frame],
        &["activity", ride],
        &["doctor", &path("")],
        &["why", "--data", &path("")],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_xpt"))
            .args(arguments)
            .arg("--json")
            .output()
            .unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let fault = &value["fault"];
        assert!(!value["found"].is_null(), "{arguments:?}");
        assert_eq!(fault.is_null(), output.status.success(), "{arguments:?}");
    }
    let (code, text) = xpt(&["store", "stats", &path("nothing"), "--json"]);
    assert_eq!(code, Some(3));
    assert!(text.contains("\"error\": "), "{text}");
}

#[test]
fn a_broker_that_is_not_there_is_named_with_the_cause() {
    // A port of our own that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    drop(listener);
    let (code, text) = xpt(&["queue", "dead", &format!("amqp://user:secret@{host}/x")]);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains(&format!("{host}: Connection refused")),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn an_activity_file_that_is_not_there_could_not_be_looked_at() {
    let (code, text) = xpt(&["activity", "nope.fit"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("nope.fit: there is no such file"), "{text}");
    let (code, text) = xpt(&["activity", "nope.fit", "--json"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("\"error\": "), "{text}");
    // Beside one that can be read, it is a fault of what was asked for.
    let ride = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../data/garmin-fenix-5-walk.fit"
    );
    let (code, text) = xpt(&["activity", ride, "nope.fit"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("nope.fit: there is no such file"), "{text}");
}

#[test]
fn an_activity_file_says_what_is_wrong_with_it() {
    let crashed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/fit/crashed-size-zero.fit"
    );
    let (code, text) = xpt(&["activity", crashed]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("20") && text.contains("was not closed"),
        "{text}"
    );
}
