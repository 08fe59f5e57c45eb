//! A real directory: who owns it, who changes it from outside, and how many descriptors it takes.
#![cfg(unix)]

use std::fs;
use std::io::ErrorKind;

use telemetry_transport::{AppendError, Directory, EmbeddedLog, Opening, Spool, StorageErrorKind};

use crate::embedded_loss::LIMITS;
use crate::spool::{name, opening, record};

#[test]
fn no_file_can_be_removed_that_lets_a_second_owner_in() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let mut spool = Spool::open(Directory::open(&path).unwrap(), opening(1))
        .unwrap()
        .0;
    let stream = spool.stream(&name("a.A")).unwrap();
    spool.append(stream, &record(1), None).unwrap();
    spool.commit().unwrap();
    for entry in fs::read_dir(&path).unwrap() {
        let file = entry.unwrap();
        if file
            .file_name()
            .to_str()
            .is_some_and(|name| !name.ends_with("segment"))
        {
            fs::remove_file(file.path()).unwrap();
        }
    }
    let second = Directory::open(&path).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::WouldBlock);
    drop(spool);
    Directory::open(&path).unwrap();
}

/// Somebody put another directory in the place of this one, with a spool of its own.
#[test]
fn a_directory_that_was_replaced_is_noticed_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (path, away) = (dir.path().join("spool"), dir.path().join("away"));
    let mut first = Spool::open(Directory::open(&path).unwrap(), opening(1))
        .unwrap()
        .0;
    let stream = first.stream(&name("a.A")).unwrap();
    fs::rename(&path, &away).unwrap();
    let mut second = Spool::open(Directory::open(&path).unwrap(), opening(2))
        .unwrap()
        .0;
    let theirs = second.stream(&name("a.A")).unwrap();
    for n in 0..200 {
        second.append(theirs, &record(n), None).unwrap();
    }
    second.commit().unwrap();
    let error = (0..200).find_map(|n| first.append(stream, &record(n), None).err());
    let Some(AppendError::Io(error)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind, StorageErrorKind::Stranger);
    drop((first, second));
    let mut second = Spool::open(Directory::open(&path).unwrap(), opening(3))
        .unwrap()
        .0;
    let mut found = 0;
    while let Some(batch) = second.next_batch(10_000, 99).unwrap() {
        found += batch.count();
    }
    assert_eq!(found, 200);
}

#[test]
fn a_segment_that_was_removed_is_noticed_at_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(Directory::open(dir.path()).unwrap(), opening(1))
        .unwrap()
        .0;
    let stream = spool.stream(&name("a.A")).unwrap();
    spool.append(stream, &record(0), None).unwrap();
    spool.commit().unwrap();
    fs::remove_file(dir.path().join("00000001.segment")).unwrap();
    let error = (0..200).find_map(|n| spool.append(stream, &record(n), None).err());
    let Some(AppendError::Io(error)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind, StorageErrorKind::Stranger);
}

/// A segment was a descriptor: a thousand of them were the end, also of the next opening.
#[test]
fn many_segments_take_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let open = |random| {
        let mut opening: Opening = opening(random);
        opening.limits.segment_bytes = 1024;
        opening.limits.total_bytes = 8 << 20;
        Spool::open(Directory::open(dir.path()).unwrap(), opening)
            .unwrap()
            .0
    };
    let mut spool = open(1);
    let stream = spool.stream(&name("a.A")).unwrap();
    for n in 0..2_500 {
        spool.append(stream, &record(n), None).unwrap();
    }
    spool.commit().unwrap();
    drop(spool);
    let segments = fs::read_dir(dir.path()).unwrap().count();
    assert!(segments > 400, "{segments}");
    let mut spool = open(2);
    let mut found = 0;
    while let Some(batch) = spool.next_batch(10_000, 99).unwrap() {
        found += batch.count();
    }
    assert_eq!(found, 2_500);
    let ours = dir.path().to_str().unwrap();
    let held = fs::read_dir("/proc/self/fd").unwrap();
    let held = held.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let held = held.filter(|path| path.starts_with(ours)).count();
    assert!(held <= 20, "{held} descriptors");
}

/// The root of a file system has a folder of its own, and a person may leave a note.
#[test]
fn what_is_not_ours_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    fs::create_dir(dir.path().join("segments.segment")).unwrap();
    fs::write(dir.path().join("read me.segment"), "not yours").unwrap();
    let spool = dir.path().join("a/b/spool");
    for random in [1, 2] {
        drop(Spool::open(Directory::open(dir.path()).unwrap(), opening(random)).unwrap());
        drop(Spool::open(Directory::open(&spool).unwrap(), opening(random)).unwrap());
    }
    let log = dir.path().join("log");
    fs::create_dir_all(log.join("lost+found")).unwrap();
    // Where case folds, both names were one file.
    let log = EmbeddedLog::open(Directory::open(&log).unwrap(), LIMITS)
        .unwrap()
        .0;
    for name in ["etl", "ETL", "con"] {
        log.subscribe(name).unwrap();
    }
    let names = fs::read_dir(dir.path().join("log")).unwrap();
    let mut folded: Vec<String> = names
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .to_lowercase()
        })
        .filter(|name| name.ends_with("cursor"))
        .collect();
    folded.sort();
    assert_eq!(
        folded,
        ["00000001.cursor", "00000002.cursor", "00000003.cursor"]
    );
}
