//! The storing service as a run has it: its consumer, what it did, how long it took.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use services::ingest::{AnnouncementWait, BuiltInError, DevicesFull, IngestConfig, IngestEvent};
use services::{Absent, Driver, Ingest, Intervals};
use telemetry_core::records::{ActivitySample, Enrichment};
use telemetry_core::{DeviceId, Envelope, StreamName, Timestamp, stream_of};
use telemetry_storage::{Accounting as _, SqliteStore, StoreError};
use telemetry_transport::{ConsumeError, Consumer, DeadLetter, Directory};

use crate::clock::Stopwatch;
use crate::latency::Histogram;
use crate::ring::Ring;
use crate::words;

/// Reasons kept for report and page.
const REASONS_MAX: usize = 100;

/// Something that was not accepted, and why.
#[derive(Clone, Debug)]
pub enum Rejected {
    /// A batch, which stands among the dead letters.
    Batch {
        /// Who sent it.
        device: DeviceId,
        /// Of which stream.
        stream: StreamName,
        /// Its records, by number.
        records: RangeInclusive<u64>,
        /// The name under which it can be looked at.
        name: String,
        reason: String,
    },
    /// Records whose names are those of others, which are stored.
    Conflict {
        /// Who sent them.
        device: DeviceId,
        /// Of which stream.
        stream: StreamName,
        /// How many.
        records: u32,
    },
    Schema {
        /// Who announced it, where that is known.
        device: Option<DeviceId>,
        /// What is wrong with it.
        reason: String,
    },
}

impl Rejected {
    /// A sentence; `who` names a device as people know it.
    pub fn in_words(&self, who: impl Fn(DeviceId) -> String) -> String {
        match self {
            Self::Batch {
                device,
                stream,
                records,
                reason,
                ..
            } => {
                let (first, last) = (records.start(), records.end());
                let records = match first == last {
                    true => format!("record {first}"),
                    false => format!("records {first} to {last}"),
                };
                format!("{records} of {stream} from {}: {reason}", who(*device))
            }
            Self::Conflict {
                device,
                stream,
                records,
            } => format!(
                "{} of {stream} from {} have the numbers of others that are stored: two devices \
                 share an identity, or a device was restored from an image",
                terminal::counted(u64::from(*records), "record", "records"),
                who(*device)
            ),
            Self::Schema {
                device: Some(device),
                reason,
            } => format!("a schema from {}: {reason}", who(*device)),
            Self::Schema {
                device: None,
                reason,
            } => reason.clone(),
        }
    }

    /// The name under which a batch can be looked at.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Batch { name, .. } => Some(name),
            Self::Conflict { .. } | Self::Schema { .. } => None,
        }
    }
}

/// What the service did, for report and page.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Rows that were not there before.
    pub rows: u64,
    /// Rows that were: resends.
    pub duplicates: u64,
    /// When the newest stored batch was published: how far the rows are behind the clock.
    pub newest: Option<Timestamp>,
    /// Samples among them, those of earlier runs included.
    pub samples: u64,
    /// Batches and schemas that were not accepted, and why.
    pub rejected: Ring<Rejected>,
    /// How often batches were put back.
    pub put_back: u64,
    /// Why nothing is stored just now.
    pub trouble: Option<String>,
    /// Rows of each stream of each device, those of earlier runs included.
    pub stored: BTreeMap<(DeviceId, StreamName), u64>,
    /// Records that stand among the dead letters. `Limits::dead_letter_bytes` bounds it.
    pub set_aside: BTreeMap<(DeviceId, StreamName), Intervals>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            rows: 0,
            duplicates: 0,
            newest: None,
            samples: 0,
            rejected: Ring::new(REASONS_MAX),
            put_back: 0,
            trouble: None,
            stored: BTreeMap::new(),
            set_aside: BTreeMap::new(),
        }
    }
}

impl Tally {
    /// Notes a dead letter; `false` if every record of it was noted before.
    fn set_aside(&mut self, envelope: &Envelope) -> bool {
        let key = (envelope.device, envelope.subject.clone());
        let first = envelope.first_seq.get();
        let seqs = first..first.saturating_add(u64::from(envelope.count));
        let records = self.set_aside.entry(key).or_default();
        records.insert(envelope.epoch.get(), seqs)
    }

    fn take(&mut self, event: IngestEvent, samples: &StreamName) {
        match event {
            IngestEvent::Stored {
                device,
                stream,
                published,
                new,
                duplicates,
                conflicts,
            } => {
                self.trouble = None;
                self.rows += u64::from(new);
                self.duplicates += u64::from(duplicates);
                self.newest = self.newest.max(Some(published));
                if stream == *samples {
                    self.samples += u64::from(new);
                }
                if conflicts > 0 {
                    self.rejected.push(Rejected::Conflict {
                        device,
                        stream: stream.clone(),
                        records: conflicts,
                    });
                }
                *self.stored.entry((device, stream)).or_default() += u64::from(new);
            }
            IngestEvent::SetAside { envelope, reason } => {
                if self.set_aside(&envelope) {
                    let first = envelope.first_seq.get();
                    let last = first.saturating_add(u64::from(envelope.count).saturating_sub(1));
                    self.rejected.push(Rejected::Batch {
                        device: envelope.device,
                        stream: envelope.subject.clone(),
                        records: first..=last,
                        name: envelope.message_id(),
                        reason,
                    });
                }
            }
            IngestEvent::PutBack { cause } => {
                self.put_back += 1;
                self.trouble = Some(words::put_back(&cause));
            }
            IngestEvent::Quarantined {
                subject,
                fingerprint,
                reason,
            } => {
                let reason = words::quarantine(&reason);
                let reason = format!("schema {fingerprint} of {subject}: {reason}");
                let device = None;
                self.rejected.push(Rejected::Schema { device, reason });
            }
            IngestEvent::NoSchema { device } => {
                let reason = "what it announced is no schema".to_owned();
                let device = Some(device);
                self.rejected.push(Rejected::Schema { device, reason });
            }
            IngestEvent::Waiting { error } => {
                let sentence = format!("The store does not answer: {error}. It is asked again.");
                self.trouble = Some(sentence);
            }
        }
    }
}

/// What the service cannot go on without.
#[derive(Debug, thiserror::Error)]
pub enum StoringError {
    #[error("store: {0}")]
    Store(#[from] StoreError),
    #[error("log: {0}")]
    Consume(#[from] ConsumeError),
    /// A built-in schema.
    #[error(transparent)]
    BuiltIn(#[from] BuiltInError),
    /// More devices than it takes.
    #[error(transparent)]
    Devices(#[from] DevicesFull),
}

pub struct Storing {
    driver: Driver<Ingest, Consumer<Directory>, Absent>,
    samples: StreamName,
    tally: Tally,
    latency: Histogram,
}

impl Storing {
    /// The service on a consumer, with what earlier runs stored and set aside.
    pub fn new(consumer: Consumer<Directory>, store: &SqliteStore) -> Result<Self, StoringError> {
        let samples = stream_of::<ActivitySample>();
        let mut tally = Tally::default();
        for presence in pollster::block_on(store.presence())? {
            if presence.stream == samples {
                tally.samples += presence.stored;
            }
            let key = (presence.device, presence.stream);
            *tally.stored.entry(key).or_default() += presence.stored;
        }
        for letter in consumer.dead_letters()? {
            tally.set_aside(&letter.batch.envelope);
        }
        let config = IngestConfig {
            // The embedded log keeps the order: no announcement comes late.
            announcements: AnnouncementWait::NONE,
            ..IngestConfig::default()
        };
        Ok(Self {
            driver: Driver::new(Ingest::new(config)?, consumer, Absent),
            samples,
            tally,
            latency: Histogram::default(),
        })
    }

    /// What is known about a device, before its batches come.
    pub fn enrol(&mut self, device: DeviceId, enrichment: Enrichment) -> Result<(), StoringError> {
        Ok(self.driver.machine.enrol(device, enrichment)?)
    }

    /// What is known about an enrolled device: later batches are stored with what it says then.
    pub fn enrolment_mut(&mut self, device: DeviceId) -> Option<&mut Enrichment> {
        self.driver.machine.enrolment_mut(device)
    }

    /// Stores everything that is in the log.
    pub fn drain(&mut self, now: services::Now, store: &SqliteStore) -> Result<(), StoringError> {
        loop {
            let watch = Stopwatch::start();
            let taken = pollster::block_on(self.driver.take_group(now, store));
            while let Some(event) = self.driver.poll_event() {
                self.tally.take(event, &self.samples);
            }
            match taken.map_err(|stopped| stopped.error)? {
                0 => return Ok(()),
                _ => self.latency.record(watch.elapsed()),
            }
        }
    }

    /// Everything that was set aside and stands among the dead letters.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoringError> {
        Ok(self.driver.deliveries.dead_letters()?)
    }

    /// Why nothing is stored just now, in a sentence.
    pub fn trouble(&self) -> Option<String> {
        self.tally.trouble.clone()
    }

    /// Samples of a device that are stored.
    pub fn samples_of(&self, device: DeviceId) -> u64 {
        let key = (device, self.samples.clone());
        self.tally.stored.get(&key).copied().unwrap_or(0)
    }

    /// Whether batches were put back and have not come again yet.
    pub fn is_waiting(&self) -> bool {
        self.driver.deliveries.open() > 0
    }

    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Real time from taking a group to its acknowledgement.
    pub const fn latency(&self) -> &Histogram {
        &self.latency
    }
}
