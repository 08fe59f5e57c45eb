//! The device: the real spool and sender, wired as a publisher wires them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

use telemetry_core::{ClockMark, DeviceId, Epoch, Fingerprint, StreamName, single_object};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{
    AppendError, BatchId, FileId, FileKind, Limits, Opening, Recovery, Sender, SenderLimits, Spool,
    SpooledBatch, Storage, StorageError, StorageErrorKind, StreamNo,
};

use super::Bug;
use crate::Rng;

pub(super) const STREAMS: [&str; 3] = ["s.A", "s.B", "s.C"];

/// The simulated disk, with the lies of a planted bug.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) disk: SimulatedDisk,
    pub(super) bug: Bug,
    /// Syncs that failed.
    pub(super) failed_syncs: Rc<Cell<u64>>,
    /// Changes and syncs of names that failed.
    pub(super) failed_names: Rc<Cell<u64>>,
    /// The lock that an owner holds.
    pub(super) lock: Rc<RefCell<Weak<()>>>,
    pub(super) _held: Option<Rc<()>>,
}

impl Disk {
    /// The disk of an owner; `None` while another one lives.
    fn own(&self) -> Option<Self> {
        if self.bug != Bug::NoLock && self.lock.borrow().strong_count() > 0 {
            return None;
        }
        let held = Rc::new(());
        *self.lock.borrow_mut() = Rc::downgrade(&held);
        Some(Self {
            _held: Some(held),
            ..self.clone()
        })
    }

    /// What a disk that forgets does to a spool that nobody has open.
    pub(super) fn forget(&mut self, rng: &mut Rng) {
        let Ok(files) = self.disk.list() else { return };
        let segments = files.into_iter().filter(|f| f.kind == FileKind::Segment);
        let segments: Vec<FileId> = segments.collect();
        if segments.is_empty() {
            return;
        }
        let file = segments[rng.below(segments.len() as u64) as usize];
        match self.bug {
            Bug::ZeroedSector => self.disk.zero(file, 512 * rng.below(2) as usize, 512),
            // Another fault may be due first, and then nothing is forgotten.
            Bug::FileLost if self.disk.remove(file).is_ok() => {
                let _ = self.disk.sync_names();
            }
            _ => {}
        }
    }

    fn name(&self, result: Result<(), StorageError>) -> Result<(), StorageError> {
        if result.is_err() {
            self.failed_names.set(self.failed_names.get() + 1);
        }
        result
    }
}

impl Storage for Disk {
    fn list(&mut self) -> Result<Vec<FileId>, StorageError> {
        self.disk.list()
    }

    fn create(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        let created = self.disk.create(file, len);
        self.name(created)
    }

    fn len(&mut self, file: FileId) -> Result<u64, StorageError> {
        self.disk.len(file)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        self.disk.truncate(file, len)
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
        self.disk.write(file, offset, bytes)
    }

    fn sync(&mut self, file: FileId) -> Result<(), StorageError> {
        if self.bug == Bug::ReceiptBeforeSync {
            return Ok(());
        }
        let result = self.disk.sync(file);
        if result.is_err() {
            self.failed_syncs.set(self.failed_syncs.get() + 1);
        }
        match self.bug {
            Bug::SyncErrorIgnored => Ok(()),
            _ => result,
        }
    }

    fn rename(&mut self, from: FileId, to: FileId) -> Result<(), StorageError> {
        if self.bug == Bug::RenameOnce {
            if !self.disk.list()?.contains(&from) {
                return Err(StorageErrorKind::NotFound.into());
            }
            self.disk.rename(from, to)?;
            return self.disk.sync_names();
        }
        let renamed = self.disk.rename(from, to);
        self.name(renamed)
    }

    fn remove(&mut self, file: FileId) -> Result<(), StorageError> {
        let removed = self.disk.remove(file);
        self.name(removed)
    }

    fn sync_names(&mut self) -> Result<(), StorageError> {
        match self.bug {
            Bug::NamesNotSynced => Ok(()),
            _ => {
                let synced = self.disk.sync_names();
                self.name(synced)
            }
        }
    }
}

/// A publisher's process.
pub(super) struct Device {
    pub(super) spool: Spool<Disk>,
    pub(super) sender: Sender,
    pub(super) streams: [StreamNo; 3],
    /// Handed out by this opening and not offered yet.
    pub(super) next: Option<Rc<SpooledBatch>>,
    /// Handed out by this opening, offered and not confirmed.
    pub(super) open: VecDeque<Rc<SpooledBatch>>,
    /// Offered and not done, whichever opening handed it out.
    pub(super) offered: BTreeMap<Key, Rc<SpooledBatch>>,
    /// Last attempt of each batch that was published.
    pub(super) sent: BTreeMap<Key, u32>,
    /// Appended and not committed: name and number.
    pub(super) pending: Vec<(Name, u64)>,
}

/// A batch's id with an order: a seed gives one run.
pub(super) type Key = (Epoch, u64);

pub(super) const fn key(id: BatchId) -> Key {
    (id.opening, id.number)
}

/// What names a record: epoch, stream, number.
pub(super) type Name = (u64, u8, u64);

impl Device {
    /// Starts the process; `None` where the disk is full or broken.
    pub(super) fn start(disk: Disk, random: u64) -> Option<(Self, Recovery)> {
        let (spool, streams, recovery) = open(disk, random)?;
        let limits = SenderLimits {
            window_batches: 4,
            window_batches_max: 16,
            ..SenderLimits::default()
        };
        let device = Self {
            spool,
            sender: Sender::new(limits, random),
            streams,
            next: None,
            open: VecDeque::new(),
            offered: BTreeMap::new(),
            sent: BTreeMap::new(),
            pending: Vec::new(),
        };
        Some((device, recovery))
    }

    /// Opens the spool again; sender and link live on. `None` as above.
    pub(super) fn open_again(self, disk: Disk, random: u64) -> Option<(Self, Recovery)> {
        drop(self.spool);
        let (spool, streams, recovery) = open(disk, random)?;
        let device = Self {
            spool,
            streams,
            // What is not confirmed is handed out again.
            next: None,
            open: VecDeque::new(),
            pending: Vec::new(),
            sender: self.sender,
            offered: self.offered,
            sent: self.sent,
        };
        Some((device, recovery))
    }

    /// Appends a record whose datum is `number`.
    pub(super) fn append(&mut self, stream: usize, number: u64) -> Result<(), AppendError> {
        let mut record = single_object::header(Fingerprint(1)).to_vec();
        record.extend_from_slice(&number.to_le_bytes());
        let receipt = self.spool.append(self.streams[stream], &record, None)?;
        let name = (receipt.epoch.get(), stream as u8, receipt.seq.get());
        self.pending.push((name, number));
        Ok(())
    }
}

fn open(disk: Disk, random: u64) -> Option<(Spool<Disk>, [StreamNo; 3], Recovery)> {
    let opening = Opening {
        new_device: DeviceId::from_u128(7),
        hardware_token: None,
        clock: ClockMark::default(),
        random,
        salt: random,
        limits: Limits {
            segment_bytes: 1024,
            total_bytes: 64 << 10,
            spare_segments: 2,
            window_bytes: 512,
            ..Limits::default()
        },
    };
    let (mut spool, recovery) = Spool::open(disk.own()?, opening).ok()?;
    let names = STREAMS.map(|name| StreamName::new(name).unwrap());
    let mut streams = Vec::new();
    for name in &names {
        streams.push(spool.stream(name).ok()?);
    }
    Some((spool, streams.try_into().ok()?, recovery))
}

/// Names and numbers of the records of a batch.
pub(super) fn records(batch: &SpooledBatch) -> impl Iterator<Item = (Name, u64)> {
    let stream = batch.stream.as_str().as_bytes()[2] - b'A';
    let (epoch, first) = (batch.epoch.get(), batch.first_seq.get());
    let datums = batch.datums().enumerate();
    datums.map(move |(i, datum)| {
        let number = u64::from_le_bytes(datum.try_into().unwrap());
        ((epoch, stream, first + i as u64), number)
    })
}
