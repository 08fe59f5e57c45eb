//! The embedded log: confirms, cursors and dead letters over crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use telemetry_core::{
    Batch, CONTENT_TYPE_AVRO, ClockMark, DeviceId, Envelope, Epoch, Seq, StreamName, Timestamp,
};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{Delivery, Directory, EmbeddedLog, Limits, Token};

use crate::Rng;

pub(crate) fn batch(n: u64) -> Batch {
    Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(1).unwrap(),
            subject: StreamName::new("a.A").unwrap(),
            first_seq: Seq::new(n).unwrap(),
            count: 1,
            published: Timestamp::from_micros(0),
            clock: ClockMark::default(),
            schema: None,
            content_type: CONTENT_TYPE_AVRO.to_owned(),
            traceparent: None,
        },
        body: Bytes::copy_from_slice(&n.to_le_bytes()),
    }
}

pub(crate) const LIMITS: Limits = Limits {
    segment_bytes: 4096,
    total_bytes: 1 << 20,
    when_full: telemetry_transport::WhenFull::Refuse,
    spare_segments: 2,
    window_bytes: 600,
    quarantine_bytes: 1 << 20,
    dead_letter_bytes: 64 << 10,
    deliveries_open_max: 1_000,
};

/// Batches confirmed are delivered in order, at least once; what is acknowledged without an open one
/// before it, never again.
fn run(seed: u64) {
    let mut rng = Rng(seed);
    let disk = SimulatedDisk::default();
    let (mut appended, mut confirmed, mut acked, mut delivered) = (0, 0, 0, 0);
    let mut log = EmbeddedLog::open(disk.clone(), LIMITS).unwrap().0;
    let mut consumer = log.subscribe("etl").unwrap();
    // What was handed out and is not answered, by its number.
    let mut open: BTreeMap<u64, Delivery> = BTreeMap::new();
    let mut put_back: BTreeSet<u64> = BTreeSet::new();
    for _ in 0..100 {
        let dead = match rng.below(16) {
            0..6 => log
                .append(&batch(appended + 1))
                .map(|_| appended += 1)
                .is_err(),
            6..9 => log.commit().map(|_| confirmed = appended).is_err(),
            9..13 => match consumer.next() {
                Ok(Some(d)) => {
                    let n = d.batch.envelope.first_seq.get();
                    if d.failures == 0 {
                        assert_eq!(n, delivered + 1, "seed {seed}");
                        delivered = n;
                    }
                    put_back.remove(&n);
                    open.insert(n, d);
                    let any = rng.below(open.len() as u64) as usize;
                    let any = open.keys().copied().nth(any).unwrap();
                    let mut one = || open.remove(&any).unwrap();
                    let done = match rng.below(5) {
                        0 => consumer.acknowledge(&[one().token]),
                        1 => consumer.reject(&one(), "odd"),
                        2 => {
                            put_back.insert(any);
                            consumer.retry(&one(), Duration::ZERO)
                        }
                        3 => {
                            let all: Vec<Token> = open.values().map(|d| d.token).collect();
                            open.clear();
                            consumer.acknowledge(&all)
                        }
                        _ => continue,
                    };
                    let undone = open.keys().chain(&put_back).min();
                    let before = undone.map_or(delivered, |first| first - 1);
                    done.map(|()| acked = before).is_err()
                }
                Ok(None) => {
                    assert!(delivered >= confirmed, "seed {seed}");
                    assert!(put_back.is_empty(), "seed {seed}");
                    false
                }
                Err(_) => true,
            },
            13 => {
                disk.fail_after(rng.below(5));
                false
            }
            14 => true,
            _ => false,
        };
        if dead {
            let odds = rng.below(4);
            disk.crash(|| rng.below(4) < odds);
            log = EmbeddedLog::open(disk.clone(), LIMITS).unwrap().0;
            consumer = log.subscribe("etl").unwrap();
            open.clear();
            put_back.clear();
            // What lies after the last confirm may have survived, whole and in order.
            let mut look = log.subscribe("look").unwrap();
            let mut last = None;
            while let Some(d) = look.next().unwrap() {
                last = Some(d.batch.envelope.first_seq.get());
            }
            log.unsubscribe("look").unwrap();
            let kept = last.unwrap_or(confirmed);
            assert!(kept >= confirmed, "seed {seed} lost {kept}..{confirmed}");
            (appended, confirmed) = (kept, kept);
            let first = log.subscribe("etl").unwrap().next().unwrap();
            delivered = first.map_or(kept, |d| d.batch.envelope.first_seq.get() - 1);
            assert!(
                delivered >= acked,
                "seed {seed}: acknowledged ones come again"
            );
        }
    }
}

#[test]
fn confirmed_batches_reach_every_consumer() {
    (0..2_000).for_each(run);
}

#[test]
fn dead_letters_are_listed_and_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(Directory::open(dir.path()).unwrap(), LIMITS)
        .unwrap()
        .0;
    assert!(Directory::open(dir.path()).is_err(), "one owner");
    let mut consumer = log.subscribe("etl").unwrap();
    log.append(&batch(1)).unwrap();
    assert_eq!(consumer.next().unwrap(), None, "not confirmed yet");
    log.commit().unwrap();
    let delivery = consumer.next().unwrap().unwrap();
    consumer.reject(&delivery, "unknown schema").unwrap();
    let letters = consumer.dead_letters().unwrap();
    assert_eq!(letters[0].reason, "unknown schema");
    assert_eq!(letters[0].batch, batch(1));
    assert_eq!(consumer.replay_dead_letters().unwrap(), 1);
    assert_eq!(consumer.next().unwrap().unwrap().batch, batch(1));
    assert!(consumer.dead_letters().unwrap().is_empty());
}
