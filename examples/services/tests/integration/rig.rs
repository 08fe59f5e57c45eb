//! A device with a producer, a log on a simulated disk, a store that fails when it is told to.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use services::{Absent, Driver, Ingest, Ledger, Now, ingest, ledger};
use telemetry_core::records::ActivitySample;
use telemetry_core::{
    AvroRecord, Batch, ClockMark, ClockQuality, DeviceId, Entry, Fingerprint, Instant, Registered,
    Registry, Schema, StreamName, Timestamp,
};
use telemetry_storage::{
    Outcome, Page, ReadError, Selection, SqliteOptions, SqliteStore, Store, StoreError,
    StoredRecord, Write,
};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{Consumer, EmbeddedLog, Limits, Opening, Producer};

pub(crate) const DEVICE: DeviceId = DeviceId::from_u128(7);

pub(crate) fn at(second: u64) -> Now {
    Now {
        instant: Instant::from_nanos(second * 1_000_000_000),
        wall: Timestamp::from_micros(1_700_000_000_000_000 + second as i64 * 1_000_000),
    }
}

/// A store of which the next answers are missing.
pub(crate) struct FlakyStore {
    pub(crate) store: SqliteStore,
    /// Writes whose answer is lost, though they were made.
    pub(crate) lost_answers: AtomicU32,
    /// Questions to the registry that fail.
    pub(crate) registry_faults: AtomicU32,
}

fn fails(left: &AtomicU32) -> bool {
    let take = |left: u32| left.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
}

fn busy() -> StoreError {
    StoreError::Busy {
        reason: "a test is in the way".to_owned(),
    }
}

impl FlakyStore {
    pub(crate) fn new() -> Self {
        Self {
            store: SqliteStore::in_memory(SqliteOptions::default()).unwrap(),
            lost_answers: AtomicU32::new(0),
            registry_faults: AtomicU32::new(0),
        }
    }
}

impl Store for FlakyStore {
    async fn write(&self, writes: &[Write<'_>]) -> Vec<Outcome> {
        let outcomes = self.store.write(writes).await.into_iter();
        let outcomes = outcomes.map(|outcome| match fails(&self.lost_answers) {
            true => Outcome::Unknown(busy()),
            false => outcome,
        });
        outcomes.collect()
    }

    async fn read(
        &self,
        stream: &StreamName,
        selection: &Selection,
        reader: &Schema,
    ) -> Result<Page, ReadError> {
        self.store.read(stream, selection, reader).await
    }

    async fn latest(
        &self,
        stream: &StreamName,
        reader: &Schema,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        self.store.latest(stream, reader).await
    }
}

impl Registry for FlakyStore {
    type Error = StoreError;

    async fn register(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, StoreError> {
        match fails(&self.registry_faults) {
            true => Err(busy()),
            false => self.store.register(subject, schema).await,
        }
    }

    async fn lookup(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, StoreError> {
        match fails(&self.registry_faults) {
            true => Err(busy()),
            false => self.store.lookup(subject, fingerprint).await,
        }
    }

    async fn versions(&self, subject: &StreamName) -> Result<Vec<Entry>, StoreError> {
        self.store.versions(subject).await
    }
}

/// The opening of a device whose clock is right.
fn opening() -> Opening {
    Opening {
        new_device: DEVICE,
        clock: ClockMark {
            monotonic: at(0).instant,
            wall: at(0).wall,
            quality: ClockQuality::Synchronised,
            ..ClockMark::default()
        },
        ..Opening::new().unwrap()
    }
}

/// A device, its log, and who stores.
pub(crate) struct House {
    _dir: tempfile::TempDir,
    pub(crate) disk: SimulatedDisk,
    pub(crate) limits: Limits,
    pub(crate) log: EmbeddedLog<SimulatedDisk>,
    pub(crate) store: FlakyStore,
    pub(crate) producer: Producer,
    pub(crate) ingest: Driver<Ingest, Consumer<SimulatedDisk>, Absent>,
}

impl House {
    pub(crate) fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = SimulatedDisk::default();
        let log = EmbeddedLog::open(disk.clone(), limits).unwrap().0;
        Self {
            producer: Producer::open(dir.path(), opening(), 1).unwrap(),
            ingest: ingest_of(&log),
            store: FlakyStore::new(),
            _dir: dir,
            disk,
            limits,
            log,
        }
    }

    /// Everything that is durable goes to the log.
    pub(crate) fn publish(&mut self, second: u64) -> Vec<Batch> {
        let now = at(second);
        let mut batches = Vec::new();
        self.producer.commit().unwrap();
        self.producer.link(now.instant, true).unwrap();
        self.producer
            .publish(now.instant, now.wall, &mut batches)
            .unwrap();
        for batch in &batches {
            self.log.append(batch).unwrap();
        }
        self.log.commit().unwrap();
        self.producer.confirm(now.instant, |_| {}).unwrap();
        batches
    }

    pub(crate) fn samples(&mut self, second: u64, serials: std::ops::Range<i64>) {
        for serial in serials {
            let sample = ActivitySample {
                time: at(second).wall,
                source: "ride".to_owned(),
                serial,
                distance: Some(serial as f64 * 1_000.0),
                heart_rate: Some(if serial % 10 == 9 { 180 } else { 120 }),
                ..ActivitySample::default()
            };
            self.producer.append(&sample).unwrap();
        }
        self.publish(second);
    }

    pub(crate) fn drain(&mut self, second: u64) -> usize {
        let mut taken = 0;
        loop {
            let group = self.ingest.take_group(at(second), &self.store);
            let count = pollster::block_on(group).unwrap();
            while self.ingest.poll_event().is_some() {}
            match count {
                0 => return taken,
                count => taken += count,
            }
        }
    }

    /// Stores until nothing is open, and time passes meanwhile.
    pub(crate) fn settle(&mut self, mut second: u64) {
        for _ in 0..1_000 {
            self.drain(second);
            second += 1;
            if self.ingest.deliveries.open() == 0 {
                return;
            }
            // What was put back comes when its time has come.
            self.log.wait(self.log.durable(), Duration::from_millis(20));
        }
        panic!("{} deliveries stay open", self.ingest.deliveries.open());
    }

    /// The process with log and ingest dies, and comes back on what the disk had kept.
    pub(crate) fn restart(&mut self) {
        self.disk.crash(|| false);
        self.log = EmbeddedLog::open(self.disk.clone(), self.limits).unwrap().0;
        self.ingest = ingest_of(&self.log);
    }

    pub(crate) fn ledger(&self) -> Vec<ledger::StreamLine> {
        let mut ledger = Ledger::new().unwrap();
        let spool = self.producer.spool();
        for (stream, next) in self.producer.next_seqs() {
            ledger.handle_input(ledger::LedgerInput::Numbered {
                device: spool.device(),
                epoch: spool.epoch().get(),
                stream,
                next,
            });
        }
        for letter in self.ingest.deliveries.dead_letters().unwrap() {
            let envelope = &letter.batch.envelope;
            ledger.handle_input(ledger::LedgerInput::SetAside(envelope));
        }
        let states = [(spool.device(), at(0).wall..at(1).wall)];
        pollster::block_on(ledger.read(&self.store.store, states)).unwrap();
        ledger.lines()
    }

    /// Samples numbered, stored and set aside.
    pub(crate) fn sample_line(&self) -> (u64, u64, u64) {
        let lines = self.ledger();
        let samples = lines
            .iter()
            .find(|l| l.stream.as_str() == ActivitySample::NAME);
        samples.map_or((0, 0, 0), |l| (l.numbered, l.stored, l.set_aside))
    }
}

fn ingest_of(log: &EmbeddedLog<SimulatedDisk>) -> Driver<Ingest, Consumer<SimulatedDisk>, Absent> {
    let config = ingest::IngestConfig {
        announcements: ingest::AnnouncementWait::NONE,
        // The embedded log counts real time.
        dead_letters_wait: Duration::from_millis(20),
        ..ingest::IngestConfig::default()
    };
    let consumer = log.subscribe("ingest").unwrap();
    Driver::new(Ingest::new(config).unwrap(), consumer, Absent)
}
