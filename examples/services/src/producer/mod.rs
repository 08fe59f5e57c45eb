//! What every source of records has: a spool, the schemas it speaks, a sender.

mod schemas;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;

use telemetry_core::records::SchemaAnnouncement;
use telemetry_core::{
    AvroRecord, Batch, ClockMark, ClockQuality, DeviceId, Fingerprint, Instant, Schema, StreamName,
    stream_of,
};
use telemetry_transport::{
    AppendError, BatchId, CommitError, ConfirmError, Directory, Limits, OpenError, Opening, Origin,
    Receipt, SendError, Sender, SenderError, SenderInput, SenderLimits, SenderOutput, Spool,
    SpooledBatch, StreamNo,
};

use crate::Now;
use schemas::Schemas;

/// Bytes and records of a batch on the link.
const BATCH: (usize, u32) = (64 << 10, 1_000);

/// Records in, durable; batches out, until they are confirmed.
///
/// A schema is announced before its first record of an epoch, in the same durable channel.
pub struct Producer {
    spool: Spool<Directory>,
    schemas: Schemas,
    /// Schemas announced in this epoch.
    announced: BTreeSet<Fingerprint>,
    streams: BTreeMap<StreamName, StreamNo>,
    sender: Sender,
    /// A batch whose schema is not known, because its file was damaged; what comes after it waits as
    /// well, so that the order is kept.
    held: Option<SpooledBatch>,
    /// Batches offered to the sender, until they are done.
    in_flight: HashMap<BatchId, SpooledBatch>,
    /// Batches handed to the link since the last confirmation, each with its attempt.
    published: Vec<(BatchId, u32)>,
}

/// What a producer cannot go on from.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// The spool's directory.
    #[error("spool: {0}")]
    Open(#[from] OpenError),
    /// The spool refused a record.
    #[error("spool: {0}")]
    Append(#[from] AppendError),
    /// The spool's disk failed.
    #[error("spool: {0}")]
    Commit(#[from] CommitError),
    /// The sender refused an input.
    #[error("sender: {0}")]
    Sender(#[from] SenderError),
    /// Something that is no schema of records.
    #[error("schema: {0}")]
    Schema(String),
    /// The spool did not take a confirmation.
    #[error("spool: {0}")]
    Confirm(#[from] ConfirmError),
    /// Reading batches failed.
    #[error("spool: {0}")]
    Io(#[from] io::Error),
}

impl Producer {
    /// Opens the spool in `dir` under a new epoch; `random` spreads the delays of many senders.
    pub fn open(
        dir: &Path,
        new_device: DeviceId,
        now: Now,
        random: u64,
    ) -> Result<Self, ProducerError> {
        let fresh = Opening::new()?;
        let opening = Opening {
            new_device,
            clock: ClockMark {
                monotonic: now.instant,
                wall: now.wall,
                quality: ClockQuality::Synchronised,
                ..fresh.clock
            },
            limits: Limits {
                segment_bytes: 1 << 20,
                ..Limits::default()
            },
            ..fresh
        };
        let storage = Directory::open(dir.join("spool"))?;
        let (spool, _) = Spool::open(storage, opening)?;
        Ok(Self {
            spool,
            schemas: Schemas::open(&dir.join("schemas"))?,
            announced: BTreeSet::new(),
            streams: BTreeMap::new(),
            sender: Sender::new(SenderLimits::default(), random),
            held: None,
            in_flight: HashMap::new(),
            published: Vec::new(),
        })
    }

    pub const fn spool(&self) -> &Spool<Directory> {
        &self.spool
    }

    /// The spool, for sources.
    pub const fn spool_mut(&mut self) -> &mut Spool<Directory> {
        &mut self.spool
    }

    /// The stream of a schema, which is announced before its first record of this epoch, in the
    /// same durable channel.
    pub fn announce(&mut self, schema: &Schema) -> Result<StreamNo, ProducerError> {
        let record = schema
            .record()
            .ok_or_else(|| ProducerError::Schema("it is no record".to_owned()))?;
        let name =
            StreamName::new(&record.name).map_err(|e| ProducerError::Schema(e.to_string()))?;
        let stream = self.stream(&name)?;
        if self.announced.insert(schema.fingerprint()) {
            self.schemas.keep(schema)?;
            let announcement = SchemaAnnouncement {
                subject: name.as_str().to_owned(),
                schema: schema.json().to_owned(),
            };
            self.append(&announcement)?;
        }
        Ok(stream)
    }

    fn stream(&mut self, name: &StreamName) -> Result<StreamNo, ProducerError> {
        if let Some(number) = self.streams.get(name) {
            return Ok(*number);
        }
        let number = self.spool.stream(name)?;
        self.streams.insert(name.clone(), number);
        Ok(number)
    }

    /// Appends a record of a client, as it came.
    #[inline]
    pub fn pass_on(
        &mut self,
        stream: StreamNo,
        record: &[u8],
        origin: Option<Origin>,
    ) -> Result<Receipt, ProducerError> {
        Ok(self.spool.append(stream, record, origin)?)
    }

    /// Appends a record of one's own.
    pub fn append<R: AvroRecord>(&mut self, record: &R) -> Result<(), ProducerError> {
        if !self.announced.contains(&R::FINGERPRINT) {
            let schema =
                Schema::parse(R::SCHEMA).map_err(|e| ProducerError::Schema(e.to_string()))?;
            self.announce(&schema)?;
        }
        let stream = self.stream(&stream_of::<R>())?;
        self.spool.append(stream, &record.to_message(), None)?;
        Ok(())
    }

    /// Makes everything appended durable.
    pub fn commit(&mut self) -> Result<(), ProducerError> {
        self.spool.commit()?;
        Ok(())
    }

    /// Says whether the link works.
    pub fn link(&mut self, instant: Instant, up: bool) -> Result<(), ProducerError> {
        let input = if up {
            SenderInput::LinkUp
        } else {
            SenderInput::Failed(SendError::LinkLost)
        };
        Ok(self.sender.handle_input(instant, input)?)
    }

    /// Durable batches for the link, as many as its window takes. A batch whose schema is not known
    /// waits until the schema is announced again.
    pub fn publish(&mut self, now: Now, out: &mut Vec<Batch>) -> Result<(), ProducerError> {
        while self.sender.has_room(self.spool.epoch(), BATCH.0) {
            let next = match self.held.take() {
                Some(held) => Some(held),
                None => {
                    let next = self.spool.next_batch(BATCH.0, BATCH.1);
                    next.map_err(io::Error::from)?
                }
            };
            let Some(spooled) = next else { break };
            if self.schemas.array(spooled.schema).is_none() {
                self.held = Some(spooled);
                break;
            }
            let (id, bytes) = (spooled.id, spooled.bytes());
            self.in_flight.insert(id, spooled);
            self.sender
                .handle_input(now.instant, SenderInput::Offer { id, bytes })?;
        }
        while let Some(output) = self.sender.poll_output() {
            let SenderOutput::Publish { id, attempt } = output else {
                continue;
            };
            let Some(spooled) = self.in_flight.get(&id) else {
                continue;
            };
            let array = self.schemas.array(spooled.schema).ok_or_else(|| {
                ProducerError::Schema(format!("{} is in the spool and unknown", spooled.schema))
            })?;
            out.extend(spooled.to_batch(array, now.wall));
            self.published.push((id, attempt));
        }
        Ok(())
    }

    /// The log has everything that was published. Calls `done` for each batch.
    pub fn confirm(
        &mut self,
        instant: Instant,
        mut done: impl FnMut(&SpooledBatch),
    ) -> Result<(), ProducerError> {
        for (id, attempt) in std::mem::take(&mut self.published) {
            self.sender
                .handle_input(instant, SenderInput::Confirmed { id, attempt })?;
        }
        while let Some(output) = self.sender.poll_output() {
            if let SenderOutput::Done { id } = output
                && let Some(batch) = self.in_flight.remove(&id)
            {
                done(&batch);
                self.spool.confirm(&batch)?;
            }
        }
        Ok(())
    }

    /// Whether everything that was appended is confirmed.
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.spool.stats().depth_records == 0
    }

    /// Ends well: what is confirmed is not sent again by the next run.
    pub fn close(&mut self) -> Result<(), ProducerError> {
        self.spool.save_cursor().map_err(io::Error::from)?;
        Ok(())
    }

    /// The next number of every stream of this epoch.
    pub fn next_seqs(&self) -> Vec<(StreamName, u64)> {
        let seqs = self.spool.next_seqs();
        seqs.map(|(name, seq)| (name.clone(), seq.get())).collect()
    }
}
