//! Every state that a power cut can leave: after each operation on the disk, every subset of what was
//! not synced, writes and names alike.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::env;
use std::rc::Rc;

use telemetry_core::{ClockMark, DeviceId, Fingerprint, StreamName, single_object};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{
    FileId, Limits, Opening, Origin, Spool, SpooledBatch, Storage, StorageError, WhenFull,
};

use crate::Rng;

/// Changes of which every subset is tried; of more, so many subsets at random.
const SUBSETS_OF_MAX: usize = 12;

/// How many workloads; `1000` takes some minutes.
const WORKLOADS: &str = "XPT_CRASH_WORKLOADS";

type Name = (u64, u64);

/// What was promised so far.
#[derive(Default)]
struct Ledger {
    /// What each name stands for.
    given: BTreeMap<Name, u64>,
    /// Durable, and not confirmed.
    owed: BTreeSet<Name>,
    /// Last serial that is durable.
    serial: u64,
    /// Counts changes of what is owed.
    version: u64,
    random: u64,
}

impl Ledger {
    fn random(&mut self) -> u64 {
        self.random += 1;
        self.random
    }

    fn names(batch: &SpooledBatch) -> impl Iterator<Item = (Name, u64)> {
        let (epoch, first) = (batch.epoch.get(), batch.first_seq.get());
        let numbers = batch.datums();
        let numbers = numbers.map(|datum| u64::from_le_bytes(datum[..8].try_into().unwrap()));
        (first..)
            .zip(numbers)
            .map(move |(seq, n)| ((epoch, seq), n))
    }
}

fn opening(random: u64) -> Opening {
    Opening {
        new_device: DeviceId::from_u128(7),
        hardware_token: None,
        clock: ClockMark::default(),
        random,
        salt: 0x5eed,
        limits: Limits {
            segment_bytes: 4096,
            total_bytes: 24 << 10,
            when_full: WhenFull::DropOldest,
            spare_segments: 1,
            window_bytes: 1024,
            ..Limits::default()
        },
    }
}

/// A disk whose every crash is looked at.
#[derive(Clone)]
struct Probe {
    disk: SimulatedDisk,
    ledger: Rc<RefCell<Ledger>>,
    seen: Rc<RefCell<HashSet<(u64, u64)>>>,
    images: Rc<RefCell<HashSet<u64>>>,
    rng: Rc<RefCell<Rng>>,
    failure: Rc<RefCell<Option<String>>>,
}

impl Probe {
    /// Looks at every state that a crash could leave now.
    fn look(&self) {
        let pending = self.disk.pending();
        let all = 1_u64 << pending.min(SUBSETS_OF_MAX);
        for subset in 0..all {
            let chosen = match pending <= SUBSETS_OF_MAX {
                true => subset,
                false => self.rng.borrow_mut().next(),
            };
            let mut change = 0;
            let image = self.disk.crashed(|| {
                change += 1;
                chosen >> (change - 1) & 1 == 1
            });
            let digest = image.digest();
            self.images.borrow_mut().insert(digest);
            let state = (digest, self.ledger.borrow().version);
            if self.seen.borrow_mut().insert(state)
                && let Err(failure) = self.check(image)
            {
                *self.failure.borrow_mut() = Some(failure);
            }
        }
    }

    /// Opens an image, and compares what comes out with what was promised.
    fn check(&self, image: SimulatedDisk) -> Result<(), String> {
        let mut ledger = self.ledger.borrow_mut();
        let random = ledger.random();
        let opened = Spool::open(image, opening(random));
        let (mut spool, recovery) = opened.map_err(|error| error.to_string())?;
        if (recovery.corrupt_bytes, recovery.gaps) != (0, 0) {
            return Err(format!("nothing was damaged, and {recovery:?}"));
        }
        let source = spool.source("app").map_err(|error| error.to_string())?;
        let resumed = spool.resume(source);
        if resumed < ledger.serial {
            return Err(format!("serial {resumed} after {}", ledger.serial));
        }
        let mut missing = ledger.owed.clone();
        while let Some(batch) = spool.next_batch(2_000, 9).map_err(|e| e.to_string())? {
            for (name, number) in Ledger::names(&batch) {
                if ledger.given.get(&name) != Some(&number) {
                    return Err(format!("{name:?} came with {number}"));
                }
                missing.remove(&name);
            }
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(format!("lost {missing:?}, {recovery:?}")),
        }
    }

    fn after<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        self.look();
        result
    }
}

impl Storage for Probe {
    fn list(&mut self) -> Result<Vec<FileId>, StorageError> {
        self.disk.list()
    }
    fn create(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        let done = self.disk.create(file, len);
        self.after(done)
    }
    fn len(&mut self, file: FileId) -> Result<u64, StorageError> {
        self.disk.len(file)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        let done = self.disk.truncate(file, len);
        self.after(done)
    }
    fn read(
        &mut self,
        file: FileId,
        offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        self.disk.read(file, offset, len, out)
    }
    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let done = self.disk.write(file, offset, bytes);
        self.after(done)
    }
    fn sync(&mut self, file: FileId) -> Result<(), StorageError> {
        let done = self.disk.sync(file);
        self.after(done)
    }
    fn rename(&mut self, from: FileId, to: FileId) -> Result<(), StorageError> {
        let done = self.disk.rename(from, to);
        self.after(done)
    }
    fn remove(&mut self, file: FileId) -> Result<(), StorageError> {
        let done = self.disk.remove(file);
        self.after(done)
    }
    fn sync_names(&mut self) -> Result<(), StorageError> {
        let done = self.disk.sync_names();
        self.after(done)
    }
}

/// Records of a workload: random lengths, each with a number of its own.
fn record(rng: &mut Rng, number: u64) -> Vec<u8> {
    let mut record = single_object::header(Fingerprint(1)).to_vec();
    record.extend_from_slice(&number.to_le_bytes());
    record.resize(record.len() + rng.below(500) as usize, 1);
    record
}

/// A workload; how many images there were, and how many states of images and promises.
fn run(seed: u64) -> Result<(usize, usize), String> {
    let mut rng = Rng(seed);
    let probe = Probe {
        disk: SimulatedDisk::default(),
        ledger: Rc::default(),
        seen: Rc::default(),
        images: Rc::default(),
        rng: Rc::new(RefCell::new(Rng(!seed))),
        failure: Rc::default(),
    };
    let open = || {
        let random = probe.ledger.borrow_mut().random();
        Spool::open(probe.clone(), opening(random)).unwrap().0
    };
    let a = StreamName::new("a.A").unwrap();
    let mut spool = open();
    let mut pending: Vec<Name> = Vec::new();
    let (mut handed_out, mut number, mut serial) = (Vec::new(), 0, 0);
    for _ in 0..60 {
        match rng.below(16) {
            0..6 => {
                number += 1;
                serial += 1;
                let source = spool.source("app").unwrap();
                let stream = spool.stream(&a).unwrap();
                let bytes = record(&mut rng, number);
                // A segment that fills up is committed before the record is known by its name.
                let name = (
                    spool.epoch().get(),
                    spool.next_seqs().next().unwrap().1.get(),
                );
                let mut ledger = probe.ledger.borrow_mut();
                ledger.given.insert(name, number);
                // The oldest may go: nothing is owed for certain any more.
                if spool.stats().bytes > 16 << 10 {
                    ledger.owed.clear();
                    ledger.version += 1;
                    pending.clear();
                }
                drop(ledger);
                let origin = Some(Origin { source, serial });
                spool.append(stream, &bytes, origin).unwrap();
                pending.push(name);
            }
            6..10 => {
                spool.commit().unwrap();
                let mut ledger = probe.ledger.borrow_mut();
                ledger.owed.extend(pending.drain(..));
                ledger.serial = serial;
                ledger.version += 1;
                drop(ledger);
                probe.look();
            }
            10..13 => handed_out.extend(spool.next_batch(1_500, 4).unwrap()),
            13 if !handed_out.is_empty() => {
                let at = rng.below(handed_out.len() as u64) as usize;
                let batch: SpooledBatch = handed_out.swap_remove(at);
                let mut ledger = probe.ledger.borrow_mut();
                for (name, _) in Ledger::names(&batch) {
                    ledger.owed.remove(&name);
                    // A segment that was full may have been committed before its caller asked.
                    pending.retain(|other| *other != name);
                }
                ledger.version += 1;
                drop(ledger);
                spool.confirm(&batch).unwrap();
            }
            14 => spool.save_cursor().unwrap(),
            15 => {
                drop(spool);
                pending.clear();
                handed_out.clear();
                let mut odds = Rng(rng.next());
                probe.disk.crash(|| odds.below(2) == 0);
                spool = open();
                let source = spool.source("app").unwrap();
                serial = spool.resume(source);
                let mut ledger = probe.ledger.borrow_mut();
                ledger.serial = serial;
                ledger.version += 1;
            }
            _ => {}
        }
        if let Some(failure) = probe.failure.take() {
            return Err(failure);
        }
    }
    let (images, states) = (probe.images.borrow().len(), probe.seen.borrow().len());
    Ok((images, states))
}

#[test]
fn no_crash_loses_what_was_promised() {
    let workloads = env::var(WORKLOADS).map_or(50, |n| n.parse().unwrap());
    let (mut images, mut states) = (0, 0);
    for seed in 0..workloads {
        match run(seed) {
            Ok((more, of)) => {
                images += more;
                states += of;
            }
            Err(failure) => panic!("workload {seed}: {failure}"),
        }
    }
    println!(
        "{workloads} workloads, {images} images of crashes, {states} with what was promised then"
    );
    assert!(images > 1_000);
}
