//! Full disks, failing syncs, and what a spool refuses.

use std::collections::BTreeSet;

use telemetry_core::{ClockMark, ClockQuality, DeviceId, Timestamp};
use telemetry_transport::storage::{Effect, SimulatedDisk};
use telemetry_transport::{
    AppendError, CommitError, ConfirmError, Limits, Origin, Spool, SpooledBatch, StorageErrorKind,
    WhenFull,
};

use crate::spool::{name, opening, record};

#[test]
fn a_full_disk_refuses_and_resumes() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    disk.set_capacity(disk.used() + 4096);
    let mut taken = 0;
    let error = loop {
        match spool.append(stream, &record(taken), None) {
            Ok(_) => taken += 1,
            Err(e) => break e,
        }
    };
    let AppendError::Io(e) = error else {
        panic!("{error}");
    };
    assert_eq!(e.kind, StorageErrorKind::Full);
    spool.commit().unwrap();
    disk.set_capacity(1 << 20);
    for _ in 0..5 {
        spool.append(stream, &record(taken), None).unwrap();
        taken += 1;
    }
    spool.commit().unwrap();
    drop(spool);
    disk.crash(|| false);
    let (mut spool, recovery) = Spool::open(disk, opening(2)).unwrap();
    assert_eq!((recovery.torn_tails, recovery.corrupt_bytes), (0, 0));
    let mut next = 0;
    while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
        for datum in batch.datums() {
            assert_eq!(u64::from_le_bytes(datum[..8].try_into().unwrap()), next);
            next += 1;
        }
    }
    assert_eq!(next, taken);
}

/// One error anywhere in the making and recycling of segments, with or without its effect: the spool
/// goes on by itself, or says that it has to be opened again, and loses nothing.
#[test]
fn no_single_failure_wedges_the_spool() {
    for (n, effect) in (0..40).flat_map(|n| [(n, Effect::None), (n, Effect::Done)]) {
        let what = format!("failure {n} with effect {effect:?}");
        let disk = SimulatedDisk::default();
        let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
        let mut stream = spool.stream(&name("a.A")).unwrap();
        let (mut next, mut durable, mut failures, mut openings) = (0, 0, 0, 1);
        let mut armed = false;
        let mut handed_out = BTreeSet::new();
        let mut numbers = |batch: &SpooledBatch| {
            let number = |datum: &[u8]| u64::from_le_bytes(datum[..8].try_into().unwrap());
            handed_out.extend(batch.datums().map(number));
        };
        while next < 200 {
            if next == 60 && !armed {
                armed = true;
                disk.fail_once(n, effect);
            }
            let mut step = || -> Result<(), AppendError> {
                spool.append(stream, &record(next), None)?;
                next += 1;
                if next % 3 == 0 {
                    spool.commit()?;
                    durable = next;
                }
                if let Some(batch) = spool.next_batch(1000, 9)? {
                    numbers(&batch);
                    spool.confirm(&batch).map_err(|error| match error {
                        ConfirmError::Io(error) => AppendError::Io(error),
                        other => panic!("{other}"),
                    })?;
                }
                Ok(())
            };
            match step() {
                Ok(()) => {}
                Err(AppendError::Io(_)) => failures += 1,
                Err(_) => {
                    failures += 1;
                    drop(spool);
                    disk.crash(|| false);
                    openings += 1;
                    spool = Spool::open(disk.clone(), opening(openings)).unwrap().0;
                    stream = spool.stream(&name("a.A")).unwrap();
                    next = durable;
                }
            }
            assert!(failures < 4, "{what} comes back");
        }
        spool.commit().unwrap();
        drop(spool);
        disk.crash(|| false);
        let (mut spool, recovery) = Spool::open(disk, opening(9)).unwrap();
        assert_eq!((recovery.corrupt_bytes, recovery.gaps), (0, 0), "{what}");
        while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
            numbers(&batch);
        }
        assert!((0..200).all(|n| handed_out.contains(&n)), "{what}");
    }
}

#[test]
fn a_failed_sync_poisons_until_the_next_opening() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    let source = spool.source("app").unwrap();
    let origin = |serial| Some(Origin { source, serial });
    spool.append(stream, &record(1), origin(1)).unwrap();
    spool.commit().unwrap();
    spool.append(stream, &record(2), origin(2)).unwrap();
    disk.fail_sync(0);
    assert!(matches!(spool.commit(), Err(CommitError::Io(_))));
    // The disk works again, and nobody may ask it to pretend.
    assert!(matches!(spool.commit(), Err(CommitError::Poisoned)));
    let refused = spool.append(stream, &record(3), None);
    assert!(matches!(refused, Err(AppendError::Poisoned)));
    assert_eq!(spool.resume(source), 1);
    drop(spool);
    disk.crash(|| false);
    let mut spool = Spool::open(disk, opening(2)).unwrap().0;
    let source = spool.source("app").unwrap();
    assert_eq!(spool.resume(source), 1);
    assert_eq!(spool.next_batch(1000, 9).unwrap().unwrap().count(), 1);
    assert!(spool.next_batch(1000, 9).unwrap().is_none());
}

#[test]
fn a_full_spool_refuses_until_something_is_confirmed() {
    let mut spool = Spool::open(SimulatedDisk::default(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    let refused = spool.append(stream, &[record(1), vec![0; 2000]].concat(), None);
    assert!(matches!(
        refused,
        Err(AppendError::TooLarge { max: 2048, .. })
    ));
    let full = (0..1000).find_map(|n| spool.append(stream, &record(n), None).err());
    assert!(matches!(full, Some(AppendError::Full { limit: 65536, .. })));
    spool.commit().unwrap();
    let before = spool.stats().depth_records;
    while spool.stats().depth_records > before / 2 {
        let batch = spool.next_batch(1000, 9).unwrap().unwrap();
        spool.confirm(&batch).unwrap();
    }
    spool.append(stream, &record(0), None).unwrap();
}

/// The numbers of the records that are still there, by their own content.
fn numbers(spool: &mut Spool<SimulatedDisk>) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
        let datums = batch.datums();
        found.extend(datums.map(|d| u64::from_le_bytes(d[..8].try_into().unwrap())));
    }
    found
}

#[test]
fn a_full_spool_drops_its_oldest_where_told_to_and_counts_them() {
    let disk = SimulatedDisk::default();
    let mut dropping = opening(1);
    dropping.limits.when_full = WhenFull::DropOldest;
    let mut spool = Spool::open(disk.clone(), dropping).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    let source = spool.source("app").unwrap();
    let mut taken = 0;
    let mut append = |spool: &mut Spool<_>, count| {
        for _ in 0..count {
            let serial = taken + 1;
            let origin = Some(Origin { source, serial });
            spool.append(stream, &record(taken), origin).unwrap();
            taken += 1;
        }
        spool.commit().unwrap();
    };
    append(&mut spool, 20);
    // One batch is out, others are made and wait, when their segments go.
    let out = spool.next_batch(1000, 3).unwrap().unwrap();
    append(&mut spool, 2_000);
    let stats = spool.stats();
    assert!(
        stats.bytes <= dropping.limits.total_bytes + 4096,
        "{stats:?}"
    );
    assert!(stats.dropped > 0);
    assert_eq!(stats.dropped + stats.depth_records, 2_020);
    spool.confirm(&out).unwrap();
    let found = numbers(&mut spool);
    // Everything is either kept, or counted, or was confirmed.
    assert_eq!(found, (stats.dropped..2_020).collect::<Vec<_>>());
    assert_eq!(spool.stats().dropped, stats.dropped - 3);
    drop(spool);
    disk.crash(|| false);
    let mut spool = Spool::open(disk, opening(2)).unwrap().0;
    assert_eq!(spool.device().as_u128(), 7);
    assert_eq!(numbers(&mut spool), found);
    let source = spool.source("app").unwrap();
    assert_eq!(spool.resume(source), 2_020);
}

#[test]
fn a_spool_of_one_segment_goes_on_once_all_is_confirmed() {
    let mut small = opening(1);
    small.limits = Limits {
        total_bytes: small.limits.segment_bytes,
        ..small.limits
    };
    let mut spool = Spool::open(SimulatedDisk::default(), small).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    for _ in 0..3 {
        let full = (0..1000).find_map(|n| spool.append(stream, &record(n), None).err());
        assert!(matches!(full, Some(AppendError::Full { .. })), "{full:?}");
        spool.commit().unwrap();
        while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
            spool.confirm(&batch).unwrap();
        }
    }
    assert_eq!(spool.stats().dropped, 0);
    assert_eq!(spool.stats().refused, 3);
}

#[test]
fn long_source_names_are_refused() {
    let mut spool = Spool::open(SimulatedDisk::default(), opening(1)).unwrap().0;
    spool.source(&"n".repeat(128)).unwrap();
    let refused = spool.source(&"n".repeat(129));
    assert!(matches!(
        refused,
        Err(AppendError::NameTooLong { len: 129, max: 128 })
    ));
}

#[test]
fn another_hardware_is_another_device() {
    let disk = SimulatedDisk::default();
    let mut first = opening(1);
    first.hardware_token = Some([1; 16]);
    let mut spool = Spool::open(disk.clone(), first).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    spool.append(stream, &record(1), None).unwrap();
    spool.commit().unwrap();
    drop(spool);
    first.random = 3;
    assert_eq!(
        Spool::open(disk.clone(), first)
            .unwrap()
            .0
            .device()
            .as_u128(),
        7
    );
    let mut cloned = opening(2);
    cloned.new_device = DeviceId::from_u128(8);
    cloned.hardware_token = Some([2; 16]);
    let mut spool = Spool::open(disk.clone(), cloned).unwrap().0;
    assert_eq!(spool.device().as_u128(), 8);
    assert_eq!(spool.previous(), None);
    // What the image held keeps its name.
    assert_eq!(
        spool.next_batch(1000, 9).unwrap().unwrap().device.as_u128(),
        7
    );
}

#[test]
fn firmware_that_fails_to_tell_once_keeps_the_device() {
    let disk = SimulatedDisk::default();
    let openings = [
        (Some([1; 16]), 7, 7),
        (None, 8, 7),
        (Some([1; 16]), 9, 7),
        (Some([2; 16]), 10, 10),
    ];
    for (token, new, device) in openings {
        let mut opening = opening(new);
        opening.new_device = DeviceId::from_u128(new.into());
        opening.hardware_token = token;
        let spool = Spool::open(disk.clone(), opening).unwrap().0;
        assert_eq!(spool.device().as_u128(), device);
    }
}

#[test]
fn no_batch_crosses_a_clock_mark() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    let clock = |micros| ClockMark {
        wall: Timestamp::from_micros(micros),
        quality: ClockQuality::Synchronised,
        ..ClockMark::default()
    };
    spool.append(stream, &record(1), None).unwrap();
    spool.append(stream, &record(2), None).unwrap();
    spool.mark_clock(clock(5)).unwrap();
    spool.append(stream, &record(3), None).unwrap();
    spool.commit().unwrap();
    // Over the border of a segment the mark stays in force.
    for n in 0..40 {
        spool.append(stream, &record(n), None).unwrap();
    }
    spool.commit().unwrap();
    drop(spool);
    let mut spool = Spool::open(disk, opening(2)).unwrap().0;
    let first = spool.next_batch(10_000, 99).unwrap().unwrap();
    assert_eq!((first.count(), first.clock), (2, ClockMark::default()));
    let mut count = 0;
    while let Some(batch) = spool.next_batch(10_000, 99).unwrap() {
        assert_eq!(batch.clock, clock(5));
        count += batch.count();
    }
    assert_eq!(count, 41);
}

#[test]
fn serials_survive_freed_segments() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    let quiet = spool.source("quiet").unwrap();
    let busy = spool.source("busy").unwrap();
    let origin = |source, serial| Some(Origin { source, serial });
    spool.append(stream, &record(0), origin(quiet, 41)).unwrap();
    for serial in 1..=100 {
        spool
            .append(stream, &record(0), origin(busy, serial))
            .unwrap();
    }
    spool.commit().unwrap();
    while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
        spool.confirm(&batch).unwrap();
    }
    assert!(spool.stats().bytes < 5000, "segments are freed");
    drop(spool);
    let mut spool = Spool::open(disk, opening(2)).unwrap().0;
    let (quiet, busy) = (
        spool.source("quiet").unwrap(),
        spool.source("busy").unwrap(),
    );
    assert_eq!((spool.resume(quiet), spool.resume(busy)), (41, 100));
}
