//! What a spool promises step by step.

use std::collections::BTreeSet;

use telemetry_core::{
    ClockMark, ClockQuality, DeviceId, Epoch, Fingerprint, Seq, StreamName, Timestamp,
    single_object,
};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{
    AppendError, BatchId, ConfirmError, FileId, FileKind, Limits, OpenError, Opening, Origin,
    Spool, Storage,
};

pub(crate) fn opening(random: u64) -> Opening {
    Opening {
        new_device: DeviceId::from_u128(7),
        hardware_token: None,
        clock: ClockMark::default(),
        random,
        salt: random.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        limits: Limits {
            segment_bytes: 4096,
            total_bytes: 64 << 10,
            ..Limits::default()
        },
    }
}

pub(crate) fn record(number: u64) -> Vec<u8> {
    let mut r = single_object::header(Fingerprint(1)).to_vec();
    r.extend_from_slice(&number.to_le_bytes());
    r.resize(100, 1);
    r
}

pub(crate) fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

#[test]
fn the_previous_epoch_ends_where_it_was_recovered() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    assert_eq!(spool.previous(), None);
    let (a, b) = (name("a.A"), name("b.B"));
    let (no_a, no_b) = (spool.stream(&a).unwrap(), spool.stream(&b).unwrap());
    spool.append(no_b, &record(0), None).unwrap();
    // Over several segments, of which only the last is left.
    for n in 0..200 {
        spool.append(no_a, &record(n), None).unwrap();
    }
    assert_eq!(spool.stats().depth_records, 201);
    spool.commit().unwrap();
    while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
        spool.confirm(&batch).unwrap();
        spool.confirm(&batch).unwrap();
    }
    assert_eq!(spool.stats().depth_records, 0);
    assert_eq!(spool.stats().confirmed, 201);
    spool.append(no_a, &record(0), None).unwrap();
    spool.commit().unwrap();
    spool.append(no_a, &record(0), None).unwrap();
    let epoch = spool.epoch();
    drop(spool);
    disk.crash(|| false);
    let spool = Spool::open(disk, opening(2)).unwrap().0;
    let previous = spool.previous().unwrap();
    assert_eq!(previous.epoch, epoch);
    let seqs = [(a, Seq::new(202).unwrap()), (b, Seq::new(2).unwrap())];
    assert_eq!(previous.next_seqs, seqs);
}

/// Batches are numbered from 1 at each opening, and a record that was not confirmed comes again
/// in another batch.
#[test]
fn a_batch_of_another_opening_cannot_be_confirmed() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(2)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    for n in 0..10 {
        spool.append(stream, &record(n), None).unwrap();
    }
    spool.commit().unwrap();
    let former = spool.next_batch(1000, 3).unwrap().unwrap();
    let first = Epoch::new(2).unwrap();
    assert_eq!(former.id, BatchId::new(first, 1));
    drop(spool);
    // Without a synchronised clock, the later epoch may be the smaller one.
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let batch = spool.next_batch(1000, 3).unwrap().unwrap();
    assert_eq!((batch.id.number, batch.epoch), (1, first));
    assert_eq!(batch.id.opening, spool.epoch());
    let before = (spool.watermarks(), spool.stats());
    let refused = spool.confirm(&former).unwrap_err();
    let ConfirmError::NotHandedOut { id, opening: here } = refused else {
        panic!("{refused}");
    };
    assert_eq!((id, here), (former.id, spool.epoch()));
    assert_eq!((spool.watermarks(), spool.stats()), before);
    // Nor can one that this opening has not made.
    let mut forged = batch.clone();
    forged.id.number = 99;
    let refused = spool.confirm(&forged);
    assert!(matches!(refused, Err(ConfirmError::NotHandedOut { .. })));
    assert_eq!((spool.watermarks(), spool.stats()), before);
    spool.confirm(&batch).unwrap();
    assert_eq!(spool.stats().depth_records, 7);
}

#[test]
fn an_opening_that_would_repeat_an_epoch_is_refused() {
    let disk = SimulatedDisk::default();
    for turn in [1, 2] {
        let mut spool = Spool::open(disk.clone(), opening(turn)).unwrap().0;
        let stream = spool.stream(&name("a.A")).unwrap();
        spool.append(stream, &record(turn), None).unwrap();
        spool.commit().unwrap();
    }
    for turn in [1, 2] {
        let error = Spool::open(disk.clone(), opening(turn)).unwrap_err();
        let OpenError::EpochRepeats { previous } = error else {
            panic!("{error}");
        };
        assert_eq!(previous.get(), 2);
    }
    let mut spool = Spool::open(disk, opening(3)).unwrap().0;
    let mut epochs = Vec::new();
    while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
        epochs.push(batch.epoch.get());
    }
    assert_eq!(epochs, [1, 2], "nothing was lost by the refusals");
}

#[test]
fn copies_of_an_image_get_epochs_of_their_own_under_one_clock() {
    let synchronised = || {
        let mut opening = Opening::new().unwrap();
        opening.clock.quality = ClockQuality::Synchronised;
        opening.clock.wall = Timestamp::from_micros(1_700_000_000_000_000);
        opening
    };
    let disk = SimulatedDisk::default();
    let image = Spool::open(disk.clone(), synchronised()).unwrap().0.epoch();
    let of_copies: BTreeSet<Epoch> = (0..8)
        .map(|_| Spool::open(disk.image(), synchronised()).unwrap().0.epoch())
        .collect();
    assert!(of_copies.iter().all(|epoch| *epoch > image));
    // Two of eight are equal once in 37,000 runs; all of them, never.
    assert!(of_copies.len() > 1);
}

#[test]
fn an_opening_of_the_system_is_another_each_time() {
    let [a, b] = [Opening::new().unwrap(), Opening::new().unwrap()];
    assert_ne!(a.random, b.random);
    assert_ne!(a.new_device, b.new_device);
    assert_ne!(a.clock.boot, b.clock.boot);
    assert_eq!(a.clock.quality, ClockQuality::FreeRunning);
}

#[test]
fn depth_survives_an_opening() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    for n in 0..10 {
        spool.append(stream, &record(n), None).unwrap();
    }
    assert_eq!((spool.stats().appended, spool.stats().durable), (10, 0));
    spool.commit().unwrap();
    assert_eq!((spool.stats().durable, spool.stats().sent), (10, 0));
    let batch = spool.next_batch(10_000, 4).unwrap().unwrap();
    assert_eq!(spool.stats().sent, 4);
    spool.confirm(&batch).unwrap();
    spool.save_cursor().unwrap();
    drop(spool);
    let spool = Spool::open(disk, opening(2)).unwrap().0;
    assert_eq!(spool.stats().depth_records, 6);
    assert_eq!((spool.stats().recovered, spool.stats().appended), (6, 0));
}

/// What segments 1 and 2 of version 1 have at byte 24: made by Python's zlib.
const VERSION_1_CRC: [[u8; 4]; 2] = [[0x65, 0xd5, 0xf8, 0x76], [0x97, 0x61, 0x30, 0x5f]];

/// The first bytes of a segment that the release before wrote: frames of version 1.
fn write_version_1(disk: &mut SimulatedDisk, number: u32) {
    let mut header = vec![0x52, 0x43, 1, 1, 0, 0, 0, 0];
    header.extend_from_slice(&number.to_le_bytes());
    header.resize(24, 0);
    header.extend_from_slice(&VERSION_1_CRC[number as usize - 1]);
    header.resize(64, 0);
    disk.create(FileId::segment(number), 64).unwrap();
    disk.write(FileId::segment(number), 0, &header).unwrap();
    disk.sync(FileId::segment(number)).unwrap();
    disk.sync_names().unwrap();
}

#[test]
fn another_format_is_refused_by_name_and_left_alone() {
    let mut disk = SimulatedDisk::default();
    write_version_1(&mut disk, 1);
    write_version_1(&mut disk, 2);
    let before = (disk.digest(), disk.list().unwrap());
    let error = Spool::open(disk.clone(), opening(2)).unwrap_err();
    let OpenError::Version { file, found: 1 } = error else {
        panic!("{error}");
    };
    assert_eq!(file.to_string(), "00000001.segment");
    assert_eq!((disk.digest(), disk.list().unwrap()), before);
}

/// Two damaged bytes in one header, and files of strangers: nothing of it is another release, and the
/// rest of the spool goes on.
#[test]
fn damage_and_strangers_refuse_nobody() {
    let mut disk = SimulatedDisk::default();
    for turn in 1..=3 {
        let mut spool = Spool::open(disk.clone(), opening(turn)).unwrap().0;
        let stream = spool.stream(&name("a.A")).unwrap();
        spool.append(stream, &record(turn), None).unwrap();
        spool.commit().unwrap();
    }
    disk.damage(FileId::segment(2), 2, 3);
    disk.damage(FileId::segment(2), 20, 1);
    // Another spool's segment, and noise, under numbers that are next.
    let mut other = SimulatedDisk::default();
    drop(
        Spool::open(
            other.clone(),
            Opening {
                salt: 9,
                ..opening(7)
            },
        )
        .unwrap(),
    );
    let mut bytes = Vec::new();
    other.read(FileId::segment(1), 0, 4096, &mut bytes).unwrap();
    for (number, bytes) in [(4, &bytes[..]), (9, &[7; 99])] {
        let file = FileId::segment(number);
        disk.create(file, bytes.len() as u64).unwrap();
        disk.write(file, 0, bytes).unwrap();
        disk.sync(file).unwrap();
    }
    let (mut spool, _) = Spool::open(disk.clone(), opening(4)).unwrap();
    let mut found = vec![];
    while let Some(batch) = spool.next_batch(10_000, 9).unwrap() {
        found.push(batch.datums().next().unwrap()[0]);
    }
    assert_eq!(found, [1, 3]);
    assert_eq!(spool.stats().unreadable_records, 1);
    let kept = disk.list().unwrap().into_iter();
    let kept: Vec<u64> = kept
        .filter(|file| file.kind == FileKind::Quarantine)
        .map(|file| file.number >> 32)
        .collect();
    assert_eq!(kept, [2, 4, 9]);
    let stream = spool.stream(&name("a.A")).unwrap();
    spool.append(stream, &record(5), None).unwrap();
    spool.commit().unwrap();
}

/// A damaged header of a later opening must not give its records an earlier epoch's names.
#[test]
fn records_without_their_header_are_counted_and_never_renamed() {
    let disk = SimulatedDisk::default();
    for turn in 1..=3 {
        let mut spool = Spool::open(disk.clone(), opening(turn)).unwrap().0;
        let stream = spool.stream(&name("a.A")).unwrap();
        spool.append(stream, &record(turn), None).unwrap();
        spool.commit().unwrap();
    }
    disk.damage(FileId::segment(2), 40, 1);
    let (mut spool, recovery) = Spool::open(disk, opening(4)).unwrap();
    assert!(recovery.corrupt_bytes > 0);
    let mut found = vec![];
    while let Some(batch) = spool.next_batch(10_000, 9).unwrap() {
        found.push(batch.datums().next().unwrap()[0]);
    }
    assert_eq!(found, [1, 3]);
    assert_eq!(spool.stats().unreadable_records, 1);
    assert!(spool.stats().damaged_bytes > 0);
}

/// Where damage at an offset of the first segment is kept.
fn quarantine(offset: u64) -> FileId {
    FileId {
        kind: FileKind::Quarantine,
        number: 1 << 32 | offset,
    }
}

/// Everything in a segment was durable before the next was made: no crash cuts it.
#[test]
fn damage_at_the_end_of_a_sealed_segment_is_no_cut_write() {
    let mut disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    let at = spool.append(stream, &record(1), None).unwrap().position;
    spool.commit().unwrap();
    drop(spool);
    drop(Spool::open(disk.clone(), opening(2)).unwrap());
    disk.damage(FileId::segment(1), at.offset as usize + 40, 1);
    let (_, recovery) = Spool::open(disk.clone(), opening(3)).unwrap();
    assert_eq!((recovery.torn_tails, recovery.corrupt_bytes), (0, 132));
    assert_eq!(disk.len(quarantine(at.offset)).unwrap(), 132);
}

#[test]
fn the_same_damage_is_kept_once_and_within_its_limit() {
    for (limit, files) in [(1 << 20, 1), (10, 0)] {
        let mut disk = SimulatedDisk::default();
        let mut opening = opening(1);
        opening.limits.quarantine_bytes = limit;
        let mut spool = Spool::open(disk.clone(), opening).unwrap().0;
        let stream = spool.stream(&name("a.A")).unwrap();
        let at = spool.append(stream, &record(1), None).unwrap().position;
        spool.append(stream, &record(2), None).unwrap();
        spool.commit().unwrap();
        opening.random = 2;
        drop(Spool::open(disk.clone(), opening).unwrap());
        disk.damage(FileId::segment(1), at.offset as usize + 40, 1);
        for random in [3, 4] {
            opening.random = random;
            let recovery = Spool::open(disk.clone(), opening).unwrap().1;
            assert_eq!(recovery.corrupt_bytes, 132);
            // A second copy would undo this.
            disk.damage(quarantine(at.offset), 0, 255);
        }
        let mut first = vec![];
        if files == 1 {
            disk.read(quarantine(at.offset), 0, 1, &mut first).unwrap();
            assert_eq!(first, [0x52], "changed twice, never written again");
        }
        let names = disk.list().unwrap();
        let kept = names.iter().filter(|f| f.kind == FileKind::Quarantine);
        assert_eq!(kept.count(), files);
    }
}

/// Somebody deleted the segments and left the cursor: what comes now was never confirmed.
#[test]
fn a_cursor_beyond_the_journal_confirms_nothing() {
    let mut disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    for n in 0..100 {
        spool.append(stream, &record(n), None).unwrap();
    }
    spool.commit().unwrap();
    while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
        spool.confirm(&batch).unwrap();
    }
    drop(spool);
    for file in disk.list().unwrap() {
        if matches!(file.kind, FileKind::Segment | FileKind::Spare) {
            disk.remove(file).unwrap();
        }
    }
    let (mut spool, recovery) = Spool::open(disk, opening(2)).unwrap();
    assert_eq!(recovery.gaps, 1);
    let stream = spool.stream(&name("a.A")).unwrap();
    spool.append(stream, &record(1), None).unwrap();
    spool.commit().unwrap();
    assert!(spool.next_batch(1000, 9).unwrap().is_some());
}

#[test]
fn limits_that_cannot_work_are_named() {
    for field in ["segment_bytes", "total_bytes", "window_bytes"] {
        let mut opening = opening(1);
        match field {
            "segment_bytes" => opening.limits.segment_bytes = 10,
            "total_bytes" => opening.limits.total_bytes = 4095,
            _ => opening.limits.window_bytes = 0,
        }
        let mut disk = SimulatedDisk::default();
        let error = Spool::open(disk.clone(), opening).unwrap_err();
        let named = matches!(error, OpenError::Limits { field: f, .. } if f == field);
        assert!(named, "{error}");
        assert!(disk.list().unwrap().is_empty());
    }
}

/// A console without a link restarts every day, and must not fill its disk by that.
#[test]
fn openings_alone_do_not_grow_the_spool() {
    let mut disk = SimulatedDisk::default();
    for turn in 0..100 {
        let mut spool = Spool::open(disk.clone(), opening(turn)).unwrap().0;
        if turn == 50 {
            let stream = spool.stream(&name("a.A")).unwrap();
            spool.append(stream, &record(7), None).unwrap();
            spool.commit().unwrap();
        }
    }
    let names = disk.list().unwrap();
    let segments = names.iter().filter(|f| f.kind == FileKind::Segment).count();
    assert_eq!(segments, 2);
    let mut spool = Spool::open(disk, opening(100)).unwrap().0;
    assert_eq!(spool.next_batch(1000, 9).unwrap().unwrap().count(), 1);
}

#[test]
fn used_up_segment_numbers_are_an_error() {
    let mut disk = SimulatedDisk::default();
    disk.create(FileId::segment(u32::MAX), 0).unwrap();
    let error = Spool::open(disk, opening(1)).unwrap_err();
    let used_up = matches!(error, OpenError::Append(AppendError::SegmentsUsedUp));
    assert!(used_up, "{error}");
}

/// A stranger who invents names must not fill the disk with lists of them.
#[test]
fn many_names_cost_one_header() {
    let disk = SimulatedDisk::default();
    let roomy = |random| Opening {
        limits: Limits::default(),
        ..opening(random)
    };
    let mut spool = Spool::open(disk.clone(), roomy(1)).unwrap().0;
    let before = spool.stats().bytes;
    for name in 0..1_000 {
        spool.source(&format!("source {name}")).unwrap();
    }
    let source = spool.source("source 999").unwrap();
    let stream = spool.stream(&name("a.B")).unwrap();
    let origin = Some(Origin { source, serial: 7 });
    spool.append(stream, &record(1), origin).unwrap();
    spool.commit().unwrap();
    // A name has some ten bytes; a list of them for each of them would be millions.
    let grown = spool.stats().bytes - before;
    assert!(grown < 64 * 1024, "{grown} bytes");
    drop(spool);
    let mut spool = Spool::open(disk, roomy(2)).unwrap().0;
    assert_eq!(spool.sources().count(), 1_000);
    let source = spool.source("source 999").unwrap();
    assert_eq!(spool.resume(source), 7);
}

/// Names that no record uses are kept by a commit alone.
#[test]
fn a_name_without_a_record_is_known_after_a_commit() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    spool.source("ride").unwrap();
    spool.commit().unwrap();
    drop(spool);
    let spool = Spool::open(disk, opening(2)).unwrap().0;
    assert_eq!(spool.sources().collect::<Vec<_>>(), ["ride"]);
}
