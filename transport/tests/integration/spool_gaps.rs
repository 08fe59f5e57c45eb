//! Whatever is missing or forged is counted, and never read as something else.

use telemetry_transport::journal::{FRAME_LEN, FrameHead, FrameKey, FrameKind, put_frame};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{FileId, FileKind, Recovery, Spool, Storage};

use crate::spool::{name, opening, record};

/// A spool of some segments, of which nothing is confirmed; the numbers of its segments.
fn filled(records: u64) -> (SimulatedDisk, Vec<u32>) {
    let mut disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    for n in 0..records {
        spool.append(stream, &record(n), None).unwrap();
        if n % 7 == 0 {
            spool.commit().unwrap();
        }
    }
    spool.commit().unwrap();
    spool.save_cursor().unwrap();
    let files = disk.list().unwrap().into_iter();
    let segments = files.filter(|file| file.kind == FileKind::Segment);
    (
        disk.clone(),
        segments.map(|file| file.number as u32).collect(),
    )
}

/// Numbers that come out, and what the opening found.
fn drained(disk: &SimulatedDisk, random: u64) -> (Vec<u64>, Recovery) {
    let (mut spool, recovery) = Spool::open(disk.clone(), opening(random)).unwrap();
    let mut found = Vec::new();
    while let Some(batch) = spool.next_batch(1_000, 9).unwrap() {
        let numbers = batch.datums();
        found.extend(numbers.map(|d| u64::from_le_bytes(d[..8].try_into().unwrap())));
    }
    (found, recovery)
}

#[test]
fn a_missing_segment_is_a_gap_wherever_it_was() {
    let (disk, segments) = filled(150);
    assert!(segments.len() > 4, "{segments:?}");
    assert_eq!(drained(&disk.image(), 2).1.gaps, 0);
    for (i, number) in segments.iter().enumerate() {
        let mut disk = disk.image();
        disk.remove(FileId::segment(*number)).unwrap();
        disk.sync_names().unwrap();
        let (found, recovery) = drained(&disk, 2);
        let lost = 150 - found.len() as u64;
        assert!(lost > 0, "segment {number}");
        assert_eq!(recovery.gaps, 1, "segment {number}");
        let newest = i + 1 == segments.len();
        let bytes = lost * (100 + FRAME_LEN as u64);
        assert!(newest || recovery.missing_bytes >= bytes, "{recovery:?}");
        // It is told once: what stands at its place now says what it goes on from.
        let again = drained(&disk, 3).1;
        assert!(again.gaps <= 1 && (!newest || again.gaps == 0), "{again:?}");
    }
    let mut two = disk.image();
    for number in &segments[1..3] {
        two.remove(FileId::segment(*number)).unwrap();
    }
    two.sync_names().unwrap();
    let (found, recovery) = drained(&two, 2);
    let bytes = (150 - found.len() as u64) * (100 + FRAME_LEN as u64);
    assert!(recovery.gaps == 1 && recovery.missing_bytes >= bytes);
}

#[test]
fn zeros_are_counted_wherever_they_are() {
    let (disk, segments) = filled(150);
    for number in segments {
        let whole = disk.image().len(FileId::segment(number)).unwrap() as usize;
        for (from, len) in [(0, whole), (whole / 4, whole), (whole / 4, 512)] {
            let disk = disk.image();
            disk.zero(FileId::segment(number), from, len);
            let (found, recovery) = drained(&disk, 2);
            let counted = recovery.corrupt_bytes + recovery.gaps;
            let told = counted > 0 || found.len() == 150;
            assert!(told, "segment {number} from {from}: {recovery:?}");
        }
    }
}

/// Its bytes would be a frame of the spool, if their place and the spool's salt did not count.
#[test]
fn a_record_that_contains_a_frame_is_one_record() {
    let mut disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    let first = spool.append(stream, &record(1), None).unwrap().position;
    spool.commit().unwrap();
    let mut own = Vec::new();
    let len = 100 + FRAME_LEN;
    disk.read(FileId::segment(1), first.offset, len, &mut own)
        .unwrap();
    let mut made = Vec::new();
    let head = FrameHead {
        kind: FrameKind::Record,
        stream: 0,
        flags: 1,
        seq: 77,
    };
    let key = FrameKey {
        salt: 0,
        generation: 1,
    };
    let inside = first.offset + len as u64 + FRAME_LEN as u64 + 18;
    put_frame(&mut made, key, inside, head, &[&record(666)]).unwrap();
    let mut hosts = Vec::new();
    for payload in [&own, &made] {
        let record = [&record(2)[..18], payload].concat();
        hosts.push(spool.append(stream, &record, None).unwrap().position);
        spool.commit().unwrap();
    }
    spool.append(stream, &record(3), None).unwrap();
    spool.commit().unwrap();
    drop(spool);
    for host in hosts {
        disk.damage(FileId::segment(1), host.offset as usize + 3, 1);
    }
    let (found, recovery) = drained(&disk, 2);
    assert_eq!(found, [1, 3]);
    assert!(recovery.corrupt_bytes > 0);
}
