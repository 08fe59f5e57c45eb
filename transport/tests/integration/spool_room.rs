//! A disk or a spool that is full, also at the start.

use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{
    AppendError, EmbeddedLog, Opening, Spool, Storage, StorageErrorKind, WhenFull,
};

use crate::embedded_loss::{LIMITS, batch};
use crate::spool::{name, opening, record};

/// A spool with a backlog, on a disk that is full from now on.
fn full_disk(records: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    for n in 0..records {
        spool.append(stream, &record(n), None).unwrap();
    }
    spool.commit().unwrap();
    drop(spool);
    disk.set_capacity(disk.used());
    disk
}

/// Hands out and confirms everything; the numbers of the records.
fn drain(spool: &mut Spool<SimulatedDisk>) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(batch) = spool.next_batch(1_000, 9).unwrap() {
        let datums = batch.datums();
        numbers.extend(datums.map(|d| u64::from_le_bytes(d[..8].try_into().unwrap())));
        spool.confirm(&batch).unwrap();
    }
    numbers
}

#[test]
fn a_full_disk_at_the_start_hands_out_and_confirms_first() {
    for records in [5, 28, 29, 30, 31, 200] {
        let disk = full_disk(records);
        let used = disk.used();
        let (mut spool, recovery) = Spool::open(disk.clone(), opening(2)).unwrap();
        assert_eq!(disk.used(), used, "an opening gives no room away");
        assert_eq!((recovery.corrupt_bytes, recovery.gaps), (0, 0));
        let stream = spool.stream(&name("a.A")).unwrap();
        // Appends go on as far as the room that the spool has, and are refused beyond.
        let refused = (0..200).find_map(|n| spool.append(stream, &record(n), None).err());
        let Some(AppendError::Io(error)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(error.kind, StorageErrorKind::Full);
        spool.commit().unwrap();
        let numbers = drain(&mut spool);
        assert_eq!(
            numbers[..records as usize],
            (0..records).collect::<Vec<_>>()
        );
        if records == 200 {
            // What was confirmed made room.
            spool.append(stream, &record(1_000), None).unwrap();
        }
        disk.set_capacity(u64::MAX);
        spool.append(stream, &record(1_001), None).unwrap();
        spool.commit().unwrap();
        drop(spool);
        let (mut spool, recovery) = Spool::open(disk, opening(3)).unwrap();
        assert_eq!((recovery.corrupt_bytes, recovery.gaps), (0, 0));
        assert!(drain(&mut spool).contains(&1_001));
    }
}

#[test]
fn an_opening_that_fails_gives_nothing_away() {
    let disk = full_disk(40);
    let used = disk.used();
    let again = Spool::open(disk.clone(), opening(1));
    again.unwrap_err();
    assert_eq!(disk.used(), used);
}

#[test]
fn the_oldest_is_dropped_on_a_full_disk_and_counted() {
    let disk = full_disk(200);
    let mut dropping = opening(2);
    dropping.limits.when_full = WhenFull::DropOldest;
    let mut spool = Spool::open(disk, dropping).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    // Some were handed out, and nobody confirmed them.
    let out = spool.next_batch(1_000, 9).unwrap().unwrap();
    for n in 200..2_000 {
        spool.append(stream, &record(n), None).unwrap();
    }
    spool.commit().unwrap();
    let left = drain(&mut spool);
    assert_eq!(left.last(), Some(&1_999));
    let dropped = spool.stats().dropped;
    assert_eq!(dropped + left.len() as u64, 2_000);
    // They were confirmed in the end.
    spool.confirm(&out).unwrap();
    spool.confirm(&out).unwrap();
    assert_eq!(spool.stats().dropped, dropped - u64::from(out.count()));
}

/// Everything is confirmed, and only the header and its frames fill the one segment.
#[test]
fn a_spool_of_one_segment_is_not_full_for_ever() {
    let small = |random| Opening {
        limits: telemetry_transport::Limits {
            segment_bytes: 4096,
            total_bytes: 4096,
            ..opening(random).limits
        },
        ..opening(random)
    };
    let disk = SimulatedDisk::default();
    for turn in 1..=3 {
        let mut spool = Spool::open(disk.clone(), small(turn)).unwrap().0;
        let stream = spool.stream(&name("a.A")).unwrap();
        let big = [record(1), vec![0; 1_700]].concat();
        for _ in 0..5 {
            let mut taken = 0;
            while spool.append(stream, &big, None).is_ok() {
                taken += 1;
            }
            assert!(taken > 0);
            spool.commit().unwrap();
            assert_eq!(drain(&mut spool).len(), taken);
        }
    }
}

#[test]
fn a_log_of_one_segment_is_not_full_for_ever() {
    let mut limits = LIMITS;
    limits.total_bytes = limits.segment_bytes;
    let disk = SimulatedDisk::default();
    for _ in 0..3 {
        let log = EmbeddedLog::open(disk.clone(), limits).unwrap().0;
        let mut consumer = log.subscribe("etl").unwrap();
        for _ in 0..5 {
            let mut taken = 0;
            while log.append(&batch(taken + 1)).is_ok() {
                taken += 1;
            }
            assert!(taken > 0);
            log.commit().unwrap();
            let mut seen = 0;
            while let Some(delivery) = consumer.next().unwrap() {
                consumer.acknowledge(&[delivery.token]).unwrap();
                seen += 1;
            }
            assert_eq!(seen, taken);
        }
    }
    let recovery = EmbeddedLog::open(disk, limits).unwrap().1;
    assert_eq!((recovery.gaps, recovery.corrupt_bytes), (0, 0));
}

#[test]
fn a_log_opens_on_a_full_disk_and_delivers() {
    let disk = SimulatedDisk::default();
    let log = EmbeddedLog::open(disk.clone(), LIMITS).unwrap().0;
    drop(log.subscribe("etl").unwrap());
    for n in 1..=60 {
        log.append(&batch(n)).unwrap();
    }
    log.commit().unwrap();
    drop(log);
    disk.set_capacity(disk.used());
    let (log, recovery) = EmbeddedLog::open(disk.clone(), LIMITS).unwrap();
    assert_eq!((recovery.gaps, recovery.corrupt_bytes), (0, 0));
    let mut consumer = log.subscribe("etl").unwrap();
    for n in 1..=60 {
        let delivery = consumer.next().unwrap().unwrap();
        assert_eq!(delivery.batch.envelope.first_seq.get(), n);
        consumer.acknowledge(&[delivery.token]).unwrap();
    }
    // What was acknowledged made room.
    for n in 61..=70 {
        log.append(&batch(n)).unwrap();
    }
    log.commit().unwrap();
    assert_eq!(consumer.take_group(20).unwrap().len(), 10);
}

/// The embedded log stands in for a broker: it takes every record that a spool takes.
#[test]
fn the_largest_record_of_a_spool_fits_a_log() {
    let limits = telemetry_transport::Limits::default();
    let opening = Opening {
        limits,
        ..opening(1)
    };
    let mut spool = Spool::open(SimulatedDisk::default(), opening).unwrap().0;
    let stream = spool.stream(&name(&"a".repeat(128))).unwrap();
    let mut largest = record(1);
    largest.resize(8 << 20, 7);
    let Err(AppendError::TooLarge { max, .. }) = spool.append(stream, &largest, None) else {
        panic!("a record of a whole segment was taken");
    };
    largest.resize(max as usize - 3 * 32 - 12, 7);
    assert!(largest.len() >= 4_194_112);
    spool.append(stream, &largest, None).unwrap();
    spool.commit().unwrap();
    let mut spooled = spool.next_batch(64 << 10, 1_000).unwrap().unwrap();
    let published = telemetry_core::Timestamp::from_micros(0);
    let sent = spooled
        .to_batch(telemetry_core::Fingerprint(1), published)
        .unwrap();
    let log = EmbeddedLog::open(SimulatedDisk::default(), limits)
        .unwrap()
        .0;
    let mut consumer = log.subscribe("etl").unwrap();
    log.append(&sent).unwrap();
    log.commit().unwrap();
    assert_eq!(consumer.next().unwrap().unwrap().batch, sent);
}

/// A process that is killed loses no confirmation, whether or not it freed a segment.
#[test]
fn a_killed_process_sends_nothing_again() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    for n in 0..20 {
        spool.append(stream, &record(n), None).unwrap();
    }
    spool.commit().unwrap();
    let first = spool.next_batch(10_000, 12).unwrap().unwrap();
    spool.confirm(&first).unwrap();
    drop(spool);
    let mut spool = Spool::open(disk.clone(), opening(2)).unwrap().0;
    assert_eq!(drain(&mut spool), (12..20).collect::<Vec<_>>());
    drop(spool);
    disk.crash(|| false);
    let mut disk = disk;
    assert!(!disk.list().unwrap().is_empty());
}

/// Each new name costs its own length, not a list of all.
#[test]
fn thousands_of_streams_cost_their_names() {
    let disk = SimulatedDisk::default();
    let limits = telemetry_transport::Limits::default();
    let opening = Opening {
        limits,
        ..opening(1)
    };
    let mut spool = Spool::open(disk.clone(), opening).unwrap().0;
    for n in 0..4_000 {
        let stream = spool.stream(&name(&format!("vendor.Stream{n}"))).unwrap();
        spool.append(stream, &record(n), None).unwrap();
    }
    spool.commit().unwrap();
    // A record with its frame has 132 bytes; a name with its own, some 80.
    assert!(spool.stats().bytes < 4_000 * 220, "{}", spool.stats().bytes);
    drop(spool);
    let opening = Opening {
        random: 2,
        ..opening
    };
    let mut spool = Spool::open(disk, opening).unwrap().0;
    assert_eq!(spool.next_seqs().count(), 4_000);
    assert_eq!(drain(&mut spool).len(), 4_000);
}
