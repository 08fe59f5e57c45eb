//! The device: the real spool and sender, wired as a publisher wires them.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;

use telemetry_core::{ClockMark, DeviceId, Epoch, Fingerprint, StreamName, single_object};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{
    BatchId, Limits, Opening, Sender, SenderLimits, Spool, SpooledBatch, Storage, StreamNo,
};

use super::Bug;

pub(super) const STREAMS: [&str; 3] = ["s.A", "s.B", "s.C"];

/// The simulated disk, with the lies of a planted bug.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) disk: SimulatedDisk,
    pub(super) bug: Bug,
    /// Syncs that failed.
    pub(super) failed_syncs: Rc<Cell<u64>>,
}

impl Storage for Disk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.disk.create(name, len)
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        self.disk.len(name)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.disk.truncate(name, len)
    }

    fn read(&mut self, name: &str, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        self.disk.read(name, offset, len, out)
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(name, offset, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        if self.bug == Bug::ReceiptBeforeSync {
            return Ok(());
        }
        let result = self.disk.sync(name);
        if result.is_err() {
            self.failed_syncs.set(self.failed_syncs.get() + 1);
        }
        match self.bug {
            Bug::SyncErrorIgnored => Ok(()),
            _ => result,
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
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
    pub(super) fn start(disk: Disk, random: u64) -> Option<Self> {
        let (spool, streams) = open(disk, random)?;
        let limits = SenderLimits {
            window_batches: 4,
            window_batches_max: 16,
            ..SenderLimits::default()
        };
        Some(Self {
            spool,
            sender: Sender::new(limits, random),
            streams,
            next: None,
            open: VecDeque::new(),
            offered: BTreeMap::new(),
            sent: BTreeMap::new(),
            pending: Vec::new(),
        })
    }

    /// Opens the spool again; sender and link live on. `None` as above.
    pub(super) fn open_again(self, disk: Disk, random: u64) -> Option<Self> {
        drop(self.spool);
        let (spool, streams) = open(disk, random)?;
        Some(Self {
            spool,
            streams,
            // What is not confirmed is handed out again.
            next: None,
            open: VecDeque::new(),
            pending: Vec::new(),
            sender: self.sender,
            offered: self.offered,
            sent: self.sent,
        })
    }

    /// Appends a record whose datum is `number`; `None` where the spool takes nothing.
    pub(super) fn append(&mut self, stream: usize, number: u64) -> Option<()> {
        let mut record = single_object::header(Fingerprint(1)).to_vec();
        record.extend_from_slice(&number.to_le_bytes());
        let receipt = self
            .spool
            .append(self.streams[stream], &record, None)
            .ok()?;
        let name = (receipt.epoch.get(), stream as u8, receipt.seq.get());
        self.pending.push((name, number));
        Some(())
    }
}

fn open(disk: Disk, random: u64) -> Option<(Spool<Disk>, [StreamNo; 3])> {
    let opening = Opening {
        new_device: DeviceId::from_u128(7),
        hardware_token: None,
        clock: ClockMark::default(),
        random,
        limits: Limits {
            segment_bytes: 1024,
            total_bytes: 64 << 10,
            spare_segments: 2,
            window_bytes: 512,
            ..Limits::default()
        },
    };
    let bug = disk.bug;
    let (mut spool, recovery) = Spool::open(disk, opening).ok()?;
    let is_honest = bug == Bug::None;
    assert!(
        recovery.corrupt_bytes == 0 || !is_honest,
        "nothing was damaged"
    );
    let names = STREAMS.map(|name| StreamName::new(name).unwrap());
    let mut streams = Vec::new();
    for name in &names {
        streams.push(spool.stream(name).ok()?);
    }
    Some((spool, streams.try_into().ok()?))
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
