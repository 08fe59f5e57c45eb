//! A producer: its clock, its schemas, and what a batch costs.

#![allow(clippy::unwrap_used, reason = "a failed check of a test panics")]

use std::path::Path;

use counting::{Counting, measure};
use telemetry_core::records::ActivitySample;
use telemetry_core::{Batch, ClockMark, ClockQuality, Fingerprint, Instant, StreamName, Timestamp};
use telemetry_core::{BootId, single_object};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{Opening, Producer, Spool};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SECOND: u64 = 1_000_000_000;

fn at(second: u64) -> Instant {
    Instant::from_nanos(second * SECOND)
}

fn unset() -> ClockMark {
    ClockMark {
        boot: BootId::from_bytes([7; 16]),
        monotonic: at(0),
        wall: Timestamp::from_micros(0),
        quality: ClockQuality::Unset,
    }
}

fn open(dir: &Path) -> Producer {
    let clock = unset();
    let opening = Opening {
        clock,
        ..Opening::new().unwrap()
    };
    Producer::open(dir, opening, 7).unwrap()
}

fn samples(producer: &mut Producer, count: usize) {
    for _ in 0..count {
        producer.append(&ActivitySample::default()).unwrap();
    }
}

fn publish(producer: &mut Producer, second: u64) -> Vec<Batch> {
    let mut batches = Vec::new();
    producer.commit().unwrap();
    producer.link(at(second), true).unwrap();
    let wall = Timestamp::from_micros(0);
    producer.publish(at(second), wall, &mut batches).unwrap();
    batches
}

/// A device without a clock says so, and a clock that is set later, or jumps, separates batches.
#[test]
fn a_clock_that_is_set_leaves_a_mark() {
    let dir = tempfile::tempdir().unwrap();
    let mut producer = open(dir.path());
    samples(&mut producer, 2);
    // It goes on as it should, and a bit too fast.
    let wall = Timestamp::from_micros(11_500_000);
    producer.clock(at(10), wall, ClockQuality::Unset).unwrap();
    samples(&mut producer, 1);
    // Somebody sets it; then it is an hour back.
    let set = Timestamp::from_micros(1_700_000_000_000_000);
    let good = ClockQuality::Synchronised;
    producer.clock(at(20), set, good).unwrap();
    samples(&mut producer, 1);
    let back = Timestamp::from_micros(set.as_micros() - 3_600_000_000);
    producer.clock(at(30), back, good).unwrap();
    samples(&mut producer, 1);
    let batches = publish(&mut producer, 40);
    let of_samples = batches
        .iter()
        .filter(|b| b.envelope.subject.as_str().ends_with("ActivitySample"));
    let seen: Vec<_> = of_samples
        .map(|b| (b.envelope.count, b.envelope.clock))
        .collect();
    let mark = |second, wall, quality| ClockMark {
        monotonic: at(second),
        wall,
        quality,
        ..unset()
    };
    let expected = [
        (3, unset()),
        (1, mark(20, set, good)),
        (1, mark(30, back, good)),
    ];
    assert_eq!(seen, expected);
    producer.confirm(at(41), |_| {}).unwrap();
    assert!(producer.is_empty());
}

/// Records of an opening before are sent although nobody announced their schema in this one.
#[test]
fn schemas_outlive_an_opening() {
    let dir = tempfile::tempdir().unwrap();
    let mut producer = open(dir.path());
    samples(&mut producer, 3);
    producer.commit().unwrap();
    drop(producer);
    let mut producer = open(dir.path());
    let batches = publish(&mut producer, 1);
    let counts: Vec<_> = batches.iter().map(|b| b.envelope.count).collect();
    assert_eq!(
        counts,
        [2, 3],
        "two announcements, one of them of announcements"
    );
}

/// The datums are copied once, from the disk to where they are sent from, and are there once.
#[test]
fn a_batch_is_built_once_and_shared() {
    const BYTES: usize = 64 << 10;
    let (mut spool, _) = Spool::open(SimulatedDisk::default(), Opening::new().unwrap()).unwrap();
    let stream = spool
        .stream(&StreamName::new("vendor.Beat").unwrap())
        .unwrap();
    let mut record = single_object::header(Fingerprint(1)).to_vec();
    record.resize(10 + 1_000, 7);
    for _ in 0..65 {
        spool.append(stream, &record, None).unwrap();
    }
    spool.commit().unwrap();
    let mut spooled = spool.next_batch(BYTES, 1_000).unwrap().unwrap();
    let published = Timestamp::from_micros(0);
    let (batch, usage) = measure(|| spooled.to_batch(Fingerprint(2), published).unwrap());
    assert!(batch.body.len() > 60_000);
    assert!(usage.peak_bytes < 1_000, "making it took {usage:?}");
    let (again, usage) = measure(|| spooled.clone().to_batch(Fingerprint(2), published).unwrap());
    assert!(usage.peak_bytes < 2_000, "sending it again took {usage:?}");
    assert_eq!(again, batch);
    assert_eq!(
        again.body.as_ptr(),
        batch.body.as_ptr(),
        "there is one body"
    );
    let first = spooled.datums().next().unwrap();
    assert!(batch.body.as_ptr_range().contains(&first.as_ptr()));
    assert_eq!(first, &record[10..]);
    // Another schema's array is another body.
    let other = spooled.to_batch(Fingerprint(3), published).unwrap();
    assert_ne!(other.body[..10], batch.body[..10]);
    assert_eq!(other.body[10..], batch.body[10..]);
    assert_eq!(
        spooled.datums().count(),
        usize::try_from(spooled.count()).unwrap()
    );
}
