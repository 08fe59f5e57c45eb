//! What every source of records has: a spool, the schemas it speaks, and batches until they are
//! confirmed.

mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use telemetry_core::records::SchemaAnnouncement;
use telemetry_core::{
    AvroRecord, Batch, ClockMark, ClockQuality, Fingerprint, Instant, Schema, StreamName,
    Timestamp, stream_of,
};

use crate::sender::outgoing::{Outgoing, Task};
use crate::{
    AppendError, BatchId, BatchLimits, CommitError, ConfirmError, Directory, OpenError, Opening,
    Origin, Receipt, SendError, SenderError, SenderInput, SenderLimits, Spool, SpooledBatch,
    Storage, StorageError, StreamNo,
};
use schemas::Schemas;

/// Wall time that is off by so much from what the mark in force foretells was set. Clocks that drift,
/// or that are slewed, are below.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// Records in, durable; batches out, until they are confirmed.
///
/// A schema is announced before its first record of an epoch, in the same durable channel. Batches go
/// by a [`Sender`](crate::Sender), so a producer publishes as far as its window and its link allow.
///
/// ```
/// use telemetry_core::records::ActivitySample;
/// use telemetry_core::{Instant, Timestamp};
/// use telemetry_transport::{Opening, Producer};
///
/// let dir = tempfile::tempdir()?;
/// let mut producer = Producer::open(dir.path(), Opening::new()?, 7)?;
/// producer.append(&ActivitySample::default())?;
/// producer.commit()?; // from here on the record survives
///
/// let (now, wall) = (Instant::from_nanos(0), Timestamp::from_micros(0));
/// producer.link(now, true)?;
/// let mut batches = Vec::new();
/// producer.publish(now, wall, &mut batches)?; // the announcement first, then the sample
/// assert_eq!(batches.len(), 2);
/// producer.confirm(now, |_| {})?; // whoever got them has them for good
/// assert!(producer.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Producer<S = Directory> {
    spool: Spool<S>,
    schemas: Schemas,
    /// Schemas announced in this epoch.
    announced: BTreeSet<Fingerprint>,
    streams: BTreeMap<StreamName, StreamNo>,
    outgoing: Outgoing<SpooledBatch>,
    limits: BatchLimits,
    /// The mark in force.
    clock: ClockMark,
    /// Batches handed to the link since the last confirmation, each with its attempt.
    published: Vec<(BatchId, u32)>,
}

/// What a producer cannot go on from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerError {
    /// The spool does not open.
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
    Storage(#[from] StorageError),
    /// The folder of the spool, or that of the schemas.
    #[error("the producer's folder: {0}")]
    Io(#[from] io::Error),
}

telemetry_core::error_codes!(ProducerError {
    Open(_) => 3120,
    Append(_) => 3121,
    Commit(_) => 3122,
    Sender(_) => 3123,
    Schema(_) => 3124,
    Confirm(_) => 3125,
    Storage(_) => 3126,
    Io(_) => 3127,
});

impl Producer {
    /// Opens the spool in `dir` under a new epoch; `seed` spreads the delays of many senders.
    pub fn open(dir: &Path, opening: Opening, seed: u64) -> Result<Self, ProducerError> {
        let storage = Directory::open(dir.join("spool"))?;
        let clock = opening.clock;
        let (spool, _) = Spool::open(storage, opening)?;
        Self::new(spool, clock, &dir.join("schemas"), seed)
    }
}

impl<S: Storage> Producer<S> {
    /// Takes a spool that was opened under `clock`; schemas are kept in a folder.
    pub fn new(
        spool: Spool<S>,
        clock: ClockMark,
        schemas: &Path,
        seed: u64,
    ) -> Result<Self, ProducerError> {
        Ok(Self {
            spool,
            schemas: Schemas::open(schemas)?,
            announced: BTreeSet::new(),
            streams: BTreeMap::new(),
            outgoing: Outgoing::new(SenderLimits::default(), seed),
            limits: BatchLimits::default(),
            clock,
            published: Vec::new(),
        })
    }

    /// The spool.
    pub const fn spool(&self) -> &Spool<S> {
        &self.spool
    }

    /// The spool, for sources.
    pub const fn spool_mut(&mut self) -> &mut Spool<S> {
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

    /// Says what the clocks show. Where wall time is not what the mark in force foretells, or has
    /// another quality, the clock was set: a mark is written, and no batch crosses it.
    pub fn clock(
        &mut self,
        now: Instant,
        wall: Timestamp,
        quality: ClockQuality,
    ) -> Result<(), ProducerError> {
        let expected = self.clock.wall + now.saturating_since(self.clock.monotonic);
        let off = wall.as_micros().abs_diff(expected.as_micros());
        if quality == self.clock.quality && off <= CLOCK_STEP.as_micros() as u64 {
            return Ok(());
        }
        let mark = ClockMark {
            boot: self.clock.boot,
            monotonic: now,
            wall,
            quality,
        };
        self.spool.mark_clock(mark)?;
        self.clock = mark;
        Ok(())
    }

    /// Makes everything appended durable.
    pub fn commit(&mut self) -> Result<(), ProducerError> {
        self.spool.commit()?;
        Ok(())
    }

    /// Says whether the link works.
    pub fn link(&mut self, now: Instant, up: bool) -> Result<(), ProducerError> {
        let input = match up {
            true => SenderInput::LinkUp,
            false => SenderInput::Failed(SendError::LinkLost),
        };
        Ok(self.outgoing.handle_input(now, input)?)
    }

    /// Durable batches for the link, as many as its window takes; `wall` is noted in them.
    pub fn publish(
        &mut self,
        now: Instant,
        wall: Timestamp,
        out: &mut Vec<Batch>,
    ) -> Result<(), ProducerError> {
        let BatchLimits { bytes, records } = self.limits;
        while self.outgoing.has_room(self.spool.epoch(), bytes)
            && let Some(batch) = self.spool.next_batch(bytes, records)?
        {
            let (id, bytes) = (batch.id, batch.bytes());
            self.outgoing.offer(now, id, bytes, batch)?;
        }
        while let Some(task) = self.outgoing.poll() {
            // Whoever calls has the link, and says what becomes of it.
            let Task::Publish { id, attempt, batch } = task else {
                continue;
            };
            let array = self.schemas.array(batch.schema).ok_or_else(|| {
                ProducerError::Schema(format!("{} is in the spool and unknown", batch.schema))
            })?;
            out.extend(batch.to_batch(array, wall));
            self.published.push((id, attempt));
        }
        Ok(())
    }

    /// Whoever got the batches has everything that was published. Calls `done` for each of them.
    pub fn confirm(
        &mut self,
        now: Instant,
        mut done: impl FnMut(&SpooledBatch),
    ) -> Result<(), ProducerError> {
        for (id, attempt) in std::mem::take(&mut self.published) {
            let confirmed = SenderInput::Confirmed { id, attempt };
            self.outgoing.handle_input(now, confirmed)?;
        }
        while let Some(task) = self.outgoing.poll() {
            if let Task::Done { batch, .. } = task {
                done(&batch);
                self.spool.confirm(&batch)?;
            }
        }
        Ok(())
    }

    /// Whether everything that was appended is confirmed.
    pub fn is_empty(&self) -> bool {
        self.outgoing.iter().len() == 0 && self.spool.stats().depth_records == 0
    }

    /// Ends well: what is confirmed is not sent again by the next opening.
    pub fn close(&mut self) -> Result<(), ProducerError> {
        Ok(self.spool.save_cursor()?)
    }

    /// The next number of every stream of this epoch.
    pub fn next_seqs(&self) -> Vec<(StreamName, u64)> {
        let seqs = self.spool.next_seqs();
        seqs.map(|(name, seq)| (name.clone(), seq.get())).collect()
    }
}
