//! Bits that flip, bytes that become zeros, files that vanish: nothing gets another's name, and no loss is silent.

use std::collections::{BTreeMap, BTreeSet};

use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{FileKind, Spool, Storage};

use crate::Rng;
use crate::spool::{name, opening, record};

type Name = (u64, String, u64);

/// Names and numbers of everything appended, and the names that are not confirmed.
fn fill(disk: &SimulatedDisk, rng: &mut Rng) -> (BTreeMap<Name, u64>, BTreeSet<Name>) {
    let (mut given, mut owed) = (BTreeMap::new(), BTreeSet::new());
    let mut number = 0;
    for _ in 0..1 + rng.below(3) {
        let mut spool = Spool::open(disk.clone(), opening(rng.next())).unwrap().0;
        let streams = ["a.A", "b.B"].map(|s| (s, spool.stream(&name(s)).unwrap()));
        for _ in 0..rng.below(30) {
            let (text, stream) = streams[rng.below(2) as usize];
            number += 1;
            let receipt = spool.append(stream, &record(number), None).unwrap();
            let name = (receipt.epoch.get(), text.to_owned(), receipt.seq.get());
            owed.insert(name.clone());
            given.insert(name, number);
            if rng.below(4) == 0 {
                spool.commit().unwrap();
            }
        }
        spool.commit().unwrap();
        for _ in 0..rng.below(3) {
            let Some(batch) = spool.next_batch(1_000, 5).unwrap() else {
                break;
            };
            for i in 0..u64::from(batch.count()) {
                let seq = batch.first_seq.get() + i;
                owed.remove(&(batch.epoch.get(), batch.stream.to_string(), seq));
            }
            spool.confirm(&batch).unwrap();
        }
        spool.save_cursor().unwrap();
    }
    (given, owed)
}

fn run(seed: u64) -> u64 {
    let mut rng = Rng(seed);
    let mut disk = SimulatedDisk::default();
    let (given, mut owed) = fill(&disk, &mut rng);
    let files = disk.list().unwrap();
    let mut done = Vec::new();
    for _ in 0..1 + rng.below(3) {
        let file = files[rng.below(files.len() as u64) as usize];
        let Ok(len) = disk.len(file) else {
            continue;
        };
        // Most bytes of a file are zeros: the first ones are worth more.
        let span = [len, len.min(600)][rng.below(2) as usize];
        let at = rng.below(span) as usize;
        let what = rng.below(4);
        done.push((what, file.to_string(), at));
        match what {
            0 => disk.zero(file, at, rng.below(2_000) as usize),
            1 if file.kind == FileKind::Segment => {
                disk.remove(file).unwrap();
                disk.sync_names().unwrap();
            }
            _ => disk.damage(file, at, 1 << rng.below(8)),
        }
    }
    let (mut spool, recovery) = Spool::open(disk, opening(rng.next())).unwrap();
    while let Some(batch) = spool.next_batch(1_000, 5).unwrap() {
        for (i, datum) in batch.datums().enumerate() {
            let seq = batch.first_seq.get() + i as u64;
            let name = (batch.epoch.get(), batch.stream.to_string(), seq);
            let number = u64::from_le_bytes(datum[..8].try_into().unwrap());
            assert_eq!(given.get(&name), Some(&number), "seed {seed}: {name:?}");
            owed.remove(&name);
        }
        spool.confirm(&batch).unwrap();
    }
    let counted = recovery.corrupt_bytes
        + recovery.torn_tails
        + recovery.gaps
        + spool.stats().unreadable_records;
    assert!(
        owed.is_empty() || counted > 0,
        "seed {seed}: {} lost, {recovery:?}, {done:?}",
        owed.len()
    );
    assert_eq!(spool.stats().depth_records, 0, "seed {seed}");
    owed.len() as u64
}

#[test]
fn no_loss_is_silent() {
    let lost: u64 = (0..2_000).map(run).sum();
    assert!(lost > 100, "the simulation must hit records, it hit {lost}");
}
