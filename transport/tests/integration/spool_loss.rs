//! The spool on a disk that crashes and fails at random.

use std::collections::{BTreeMap, BTreeSet};

use telemetry_core::{ClockMark, DeviceId, Fingerprint, StreamName, single_object};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{FileId, Limits, Opening, Origin, Recovery, Spool};

use crate::Rng;

fn opening(random: u64) -> Opening {
    Opening {
        new_device: DeviceId::from_u128(7),
        hardware_token: None,
        clock: ClockMark::default(),
        random,
        salt: 7,
        limits: Limits {
            segment_bytes: 4096,
            total_bytes: 1 << 20,
            spare_segments: 2,
            window_bytes: 700,
            ..Limits::default()
        },
    }
}

/// A record whose datum is a number nobody uses twice.
fn record(schema: u64, number: u64) -> Vec<u8> {
    let mut r = single_object::header(Fingerprint(schema)).to_vec();
    r.extend_from_slice(&number.to_le_bytes());
    r.resize(r.len() + (number % 90) as usize, 1);
    r
}

type Name = (u64, String, u64);

#[derive(Default)]
struct Ledger {
    /// Everything ever appended: a name has one payload.
    given: BTreeMap<Name, u64>,
    /// Promised and not delivered yet.
    owed: BTreeSet<Name>,
    pending: Vec<(Name, u64)>,
    /// Serial of the source: appended last, and promised.
    serial: u64,
    durable_serial: u64,
}

fn run(seed: u64) -> Recovery {
    let mut rng = Rng(seed);
    let disk = SimulatedDisk::default();
    let names = ["a.A", "b.B", "c.C"].map(|n| StreamName::new(n).unwrap());
    let mut ledger = Ledger::default();
    let mut total = Recovery::default();
    let mut number = 0;
    let mut spool = Spool::open(disk.clone(), opening(rng.next())).unwrap().0;
    let mut handed = Vec::new();
    for step in 0..101 {
        let dead = match if step == 100 { 19 } else { rng.below(20) } {
            0..9 => {
                let stream = &names[rng.below(3) as usize];
                number += 1;
                let payload = record(rng.below(8) / 7, number);
                (|| {
                    let source = spool.source("app").ok()?;
                    let stream_no = spool.stream(stream).ok()?;
                    let serial = ledger.serial + 1;
                    let origin = Origin { source, serial };
                    let got = spool.append(stream_no, &payload, Some(origin)).ok()?;
                    ledger.serial = serial;
                    let name = (got.epoch.get(), stream.to_string(), got.seq.get());
                    assert!(
                        ledger.given.insert(name.clone(), number).is_none(),
                        "seed {seed}"
                    );
                    ledger.pending.push((name, serial));
                    Some(())
                })()
                .is_none()
            }
            9..13 => match spool.commit() {
                Ok(_) => {
                    for (name, serial) in ledger.pending.drain(..) {
                        ledger.owed.insert(name);
                        ledger.durable_serial = serial;
                    }
                    false
                }
                Err(_) => true,
            },
            13..16 => match spool.next_batch(300, 5) {
                Ok(batch) => {
                    handed.extend(batch);
                    false
                }
                Err(_) => true,
            },
            16 if !handed.is_empty() => {
                let at = rng.below(handed.len() as u64) as usize;
                let batch = handed.swap_remove(at);
                deliver(&mut ledger, &batch, seed);
                spool.confirm(&batch).is_err()
            }
            17 => spool.save_cursor().is_err(),
            18 => {
                disk.fail_after(rng.below(6));
                false
            }
            19 => true,
            _ => false,
        };
        if dead {
            drop(spool);
            handed.clear();
            let odds = rng.below(4);
            disk.crash(|| rng.below(4) < odds);
            let opened = Spool::open(disk.clone(), opening(rng.next())).unwrap();
            spool = opened.0;
            assert_eq!(opened.1.gaps, 0, "seed {seed} step {step}: {:?}", opened.1);
            total.frames += opened.1.frames;
            total.torn_tails += opened.1.torn_tails;
            total.corrupt_bytes += opened.1.corrupt_bytes;
            total.gaps += opened.1.gaps;
            let source = spool.source("app").unwrap();
            let resumed = spool.resume(source);
            assert!(resumed >= ledger.durable_serial, "seed {seed}: {resumed}");
            // What the source need not send again must come out here.
            let kept = ledger.pending.drain(..).filter(|(_, s)| *s <= resumed);
            ledger.owed.extend(kept.map(|(name, _)| name));
            ledger.serial = resumed;
            ledger.durable_serial = resumed;
        }
    }
    while let Some(batch) = spool.next_batch(300, 5).unwrap() {
        deliver(&mut ledger, &batch, seed);
        spool.confirm(&batch).unwrap();
    }
    assert!(ledger.owed.is_empty(), "seed {seed} lost {:?}", ledger.owed);
    total
}

fn deliver(ledger: &mut Ledger, batch: &telemetry_transport::SpooledBatch, seed: u64) {
    for (i, datum) in batch.datums().enumerate() {
        let seq = batch.first_seq.get() + i as u64;
        let name = (batch.epoch.get(), batch.stream.to_string(), seq);
        let number = u64::from_le_bytes(datum[..8].try_into().unwrap());
        assert_eq!(
            ledger.given.get(&name),
            Some(&number),
            "seed {seed}: {name:?}"
        );
        ledger.owed.remove(&name);
    }
}

#[test]
fn no_durable_record_is_lost() {
    let mut torn = 0;
    for seed in 0..2_000 {
        let recovery = run(seed);
        torn += recovery.torn_tails;
        assert_eq!(
            (recovery.corrupt_bytes, recovery.gaps),
            (0, 0),
            "seed {seed}"
        );
    }
    assert!(torn > 100, "the simulation must cut writes, it cut {torn}");
}

#[test]
fn damage_is_kept_aside_and_counted() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&StreamName::new("a.A").unwrap()).unwrap();
    let mut at = vec![];
    for n in 0..3 {
        at.push(spool.append(stream, &record(1, n), None).unwrap().position);
        spool.commit().unwrap();
    }
    drop(spool);
    disk.damage(FileId::segment(1), at[1].offset as usize + 40, 4);
    let (mut spool, recovery) = Spool::open(disk, opening(2)).unwrap();
    assert_eq!(recovery.corrupt_bytes, at[2].offset - at[1].offset);
    let mut seqs = vec![];
    while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
        seqs.push((batch.first_seq.get(), batch.count()));
    }
    assert_eq!(seqs, [(1, 1), (3, 1)]);
}

/// A commit that wrote and did not sync: the next process reads its records, and a source need
/// not send them again, so they have to survive from then on.
#[test]
fn what_an_opening_counts_survives_a_power_cut() {
    let disk = SimulatedDisk::default();
    let mut spool = Spool::open(disk.clone(), opening(1)).unwrap().0;
    let stream = spool.stream(&StreamName::new("a.A").unwrap()).unwrap();
    let source = spool.source("app").unwrap();
    spool.commit().unwrap();
    let serial = 5;
    let origin = Some(Origin { source, serial });
    spool.append(stream, &record(1, 1), origin).unwrap();
    disk.fail_sync(0);
    spool.commit().unwrap_err();
    drop(spool);

    let (mut spool, recovery) = Spool::open(disk.clone(), opening(2)).unwrap();
    let source = spool.source("app").unwrap();
    assert_eq!((spool.resume(source), recovery.corrupt_bytes), (serial, 0));
    drop(spool);
    disk.crash(|| false);

    let (mut spool, recovery) = Spool::open(disk, opening(3)).unwrap();
    let source = spool.source("app").unwrap();
    assert_eq!((spool.resume(source), recovery.corrupt_bytes), (serial, 0));
    let batch = spool.next_batch(1000, 9).unwrap().unwrap();
    assert_eq!((batch.count(), batch.first_seq.get()), (1, 1));
}
