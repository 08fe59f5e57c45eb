//! The consumer that stores: registers schemas, enriches, writes, acknowledges.

use std::collections::{BTreeMap, HashMap};

use telemetry_core::records::{ActivitySample, Enrichment, SchemaAnnouncement};
use telemetry_core::{
    AvroRecord, Batch, BatchReader, DeviceId, Envelope, Fingerprint, Plan, PlanError, Registered,
    Registry, Schema, SchemaError, StreamName, Timestamp, stream_of,
};
use telemetry_storage::{Accounting as _, Outcome, SqliteStore, Store, StoreError, Write};
use telemetry_transport::{ConsumeError, Consumer, Delivery, Directory, Token};

use crate::clock::Stopwatch;
use crate::intervals::Intervals;
use crate::latency::Histogram;

/// Batches written in one group.
const GROUP: usize = 256;

/// Reasons kept for the report; later ones are counted.
const REASONS_MAX: usize = 100;

/// What the consumer did since it started.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Rows that were not there before.
    pub rows: u64,
    /// Rows that were: resends.
    pub duplicates: u64,
    /// When the newest stored batch was published: how far the rows are behind the clock.
    pub newest: Option<Timestamp>,
    /// Samples among them, those of earlier runs included.
    pub samples: u64,
    /// Batches set aside, and why: the first ones.
    pub rejected: Vec<String>,
    /// Batches set aside besides.
    pub rejected_more: u64,
    /// Rows of each stream of each device, those of earlier runs included.
    pub stored: BTreeMap<(DeviceId, StreamName), u64>,
    /// Records that stand among the dead letters. `Limits::dead_letter_bytes` bounds it.
    pub set_aside: BTreeMap<(DeviceId, StreamName), Intervals>,
}

impl Counts {
    /// Notes a dead letter; `false` if every record of it was noted before.
    fn set_aside(&mut self, envelope: &Envelope) -> bool {
        let key = (envelope.device, envelope.subject.clone());
        let first = envelope.first_seq.get();
        let seqs = first..first.saturating_add(u64::from(envelope.count));
        let records = self.set_aside.entry(key).or_default();
        records.insert(envelope.epoch.get(), seqs)
    }

    fn reject(&mut self, reason: String) {
        if self.rejected.len() < REASONS_MAX {
            self.rejected.push(reason);
        } else {
            self.rejected_more += 1;
        }
    }
}

/// What the consumer cannot go on without.
#[derive(Debug, thiserror::Error)]
pub enum EtlError {
    /// The store.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The log.
    #[error("log: {0}")]
    Consume(#[from] ConsumeError),
    /// A built-in schema.
    #[error("built-in schema: {0}")]
    Schema(#[from] SchemaError),
    /// A built-in schema.
    #[error("built-in schema: {0}")]
    Plan(#[from] PlanError),
}

/// The consumer.
pub struct Etl {
    consumer: Consumer<Directory>,
    announcements: Plan,
    announcement_stream: StreamName,
    sample_stream: StreamName,
    devices: HashMap<DeviceId, Enrichment>,
    versions: HashMap<(StreamName, Fingerprint), i32>,
    counts: Counts,
    latency: Histogram,
}

impl Etl {
    /// A consumer that knows the schema every device speaks first: the announcement's.
    pub fn new(consumer: Consumer<Directory>, store: &SqliteStore) -> Result<Self, EtlError> {
        let schema = Schema::parse(SchemaAnnouncement::SCHEMA)?;
        let stream = stream_of::<SchemaAnnouncement>();
        pollster::block_on(store.register(&stream, &schema))?;
        let samples = stream_of::<ActivitySample>();
        let mut counts = Counts::default();
        for presence in pollster::block_on(store.presence())? {
            if presence.stream == samples {
                counts.samples += presence.stored;
            }
            let key = (presence.device, presence.stream);
            *counts.stored.entry(key).or_default() += presence.stored;
        }
        for letter in consumer.dead_letters()? {
            counts.set_aside(&letter.batch.envelope);
        }
        Ok(Self {
            consumer,
            announcements: Plan::compile(&schema, &schema)?,
            announcement_stream: stream,
            sample_stream: samples,
            devices: HashMap::new(),
            versions: HashMap::new(),
            counts,
            latency: Histogram::default(),
        })
    }

    /// What is known about a device, before its batches come.
    pub fn enrol(&mut self, device: DeviceId, enrichment: Enrichment) {
        self.devices.insert(device, enrichment);
    }

    /// What is known about an enrolled device: later batches are stored with what it says then.
    pub fn enrolment_mut(&mut self, device: DeviceId) -> Option<&mut Enrichment> {
        self.devices.get_mut(&device)
    }

    /// Takes one group from the log; returns the batches taken, none if there is nothing.
    pub fn turn(&mut self, store: &SqliteStore) -> Result<usize, EtlError> {
        let watch = Stopwatch::start();
        let group = self.consumer.take_group(GROUP)?;
        if group.is_empty() {
            return Ok(0);
        }
        for delivery in &group {
            if delivery.batch.envelope.subject == self.announcement_stream {
                self.register(store, &delivery.batch)?;
            }
        }
        let enrichments: Vec<Enrichment> = group
            .iter()
            .map(|d| self.enrich(store, &d.batch))
            .collect::<Result<_, _>>()?;
        let writes: Vec<Write<'_>> = group
            .iter()
            .zip(&enrichments)
            .map(|(delivery, enrichment)| Write {
                batch: &delivery.batch,
                enrichment,
            })
            .collect();
        let outcomes = pollster::block_on(store.write(&writes));
        for (delivery, outcome) in group.iter().zip(outcomes) {
            self.settle(delivery, outcome)?;
        }
        let tokens: Vec<Token> = group.iter().map(|d| d.token).collect();
        self.consumer.acknowledge(&tokens)?;
        self.latency.record(watch.elapsed());
        Ok(group.len())
    }

    fn settle(&mut self, delivery: &Delivery, outcome: Outcome) -> Result<(), EtlError> {
        match outcome {
            Outcome::Stored { new, duplicates } => {
                self.counts.rows += u64::from(new);
                let published = Some(delivery.batch.envelope.published);
                self.counts.newest = self.counts.newest.max(published);
                let envelope = &delivery.batch.envelope;
                if envelope.subject == self.sample_stream {
                    self.counts.samples += u64::from(new);
                }
                let key = (envelope.device, envelope.subject.clone());
                *self.counts.stored.entry(key).or_default() += u64::from(new);
                self.counts.duplicates += u64::from(duplicates);
            }
            Outcome::Unknown(error) => return Err(error.into()),
            // An announcement travels ahead of its records, so a schema that is unknown here
            // stays unknown: the batch is set aside with the reason, and can be replayed.
            Outcome::Refused(refusal) => {
                let envelope = &delivery.batch.envelope;
                // What comes again was set aside before.
                if self.counts.set_aside(envelope) {
                    let reason = refusal.to_string();
                    self.consumer.reject(delivery, &reason)?;
                    let name = envelope.message_id();
                    self.counts.reject(format!("{name}: {reason}"));
                }
            }
        }
        Ok(())
    }

    /// Registers what a batch of announcements says, before it is acknowledged.
    fn register(&mut self, store: &SqliteStore, batch: &Batch) -> Result<(), EtlError> {
        let array = Fingerprint::of_array(SchemaAnnouncement::CANONICAL);
        let Ok(mut records) = BatchReader::new(&batch.body, array) else {
            return Ok(());
        };
        // What cannot be read is refused by the store, with the reason.
        while let Ok(Some(said)) = records.record::<SchemaAnnouncement>(&self.announcements) {
            let (Ok(subject), Ok(schema)) =
                (StreamName::new(&said.subject), Schema::parse(&said.schema))
            else {
                self.counts
                    .reject("an announcement of something that is no schema".to_owned());
                continue;
            };
            let answer = pollster::block_on(store.register(&subject, &schema))?;
            if let Registered::Quarantined(reason) = answer {
                let fingerprint = schema.fingerprint();
                self.counts
                    .reject(format!("schema {fingerprint} of {subject}: {reason:?}"));
            }
        }
        Ok(())
    }

    fn enrich(&mut self, store: &SqliteStore, batch: &Batch) -> Result<Enrichment, EtlError> {
        let envelope = &batch.envelope;
        let mut enrichment = self
            .devices
            .get(&envelope.device)
            .cloned()
            .unwrap_or_default();
        if let Some(schema) = envelope.schema {
            let key = (envelope.subject.clone(), schema);
            let version = match self.versions.get(&key) {
                Some(version) => Some(*version),
                None => {
                    let entry = pollster::block_on(store.lookup(&key.0, schema))?;
                    let version = entry.and_then(|e| i32::try_from(e.version).ok());
                    if let Some(version) = version {
                        self.versions.insert(key, version);
                    }
                    version
                }
            };
            enrichment.schema_version = version;
        }
        Ok(enrichment)
    }

    /// What it did.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Real time from taking a group to its acknowledgement.
    pub const fn latency(&self) -> &Histogram {
        &self.latency
    }
}
