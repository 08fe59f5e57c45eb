//! The agent of a tracker: everything between its screen and the link.
//!
//! ```text
//! workout-ui ─▶ shim host ─▶ record ──▶ spool ──▶ batches ─▶ (conductor) ─▶ embedded log
//!                  │ hook events ─▶ record ─▶ │                     │
//!       durable ◀──┴──────── commit ◀─────────┘      confirm ◀──────┘
//! ```

mod hooks;
mod schemas;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use telemetry_core::records::SchemaAnnouncement;
use telemetry_core::{
    AvroRecord, Batch, BootId, ClockMark, ClockQuality, DeviceId, Fingerprint, Instant, Schema,
    StreamName, single_object, stream_of,
};
use telemetry_transport::{
    AppendError, CommitError, Directory, Limits as SpoolLimits, OpenError, Opening, Origin,
    Recovery, Sender, SenderError, SenderInput, SenderLimits, SenderOutput, SourceNo, Spool,
    SpooledBatch, StreamNo,
};
use xp_wayland_shim::unix::{HostError, UnixHost};
use xp_wayland_shim::{
    Input, InputError, Limits as ShimLimits, MemoryDisplay, Output, OutputMode, Shim, SourceId,
};

use crate::clock::{Now, Stopwatch};
use crate::latency::Latencies;
use schemas::Schemas;
pub use state::HostPort;

/// Bytes and records of a batch on the link.
const BATCH: (usize, u32) = (64 << 10, 1_000);

/// An agent and its shim.
pub struct Agent {
    host: UnixHost<MemoryDisplay>,
    spool: Spool<Directory>,
    schemas: Schemas,
    /// Schemas announced in this epoch.
    announced: BTreeSet<Fingerprint>,
    streams: BTreeMap<StreamName, StreamNo>,
    sources: BTreeMap<SourceId, Source>,
    sender: Sender,
    /// Batches offered to the sender, until they are done.
    in_flight: BTreeMap<u64, SpooledBatch>,
    /// Batches handed to the link since the last confirmation.
    published: Vec<u64>,
    first_state: bool,
    /// Real time of the oldest append that is not durable.
    waiting: Option<Stopwatch>,
    counts: Counts,
    latencies: Latencies,
    recovery: Recovery,
    port: HostPort,
}

struct Source {
    number: SourceNo,
    /// Stream of the schema announced last.
    stream: Option<StreamNo>,
    /// Last serial handed on.
    serial: u64,
    /// Last serial the client was told is durable.
    told: u64,
}

/// What an agent did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records of clients.
    pub records: u64,
    /// Records of clients that are durable.
    pub durable: u64,
    /// Records of clients in batches that the log has confirmed.
    pub published: u64,
    /// Frames presented.
    pub frames: u64,
    /// Hook events lost in the ring.
    pub ring_drops: u64,
    /// Clients that were disconnected for an error.
    pub clients_failed: u64,
}

/// What an agent cannot go on from.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The shim's host.
    #[error("shim: {0}")]
    Host(#[from] HostError),
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
    /// A client announced something that is no schema of records.
    #[error("client's schema: {0}")]
    Schema(String),
    /// Reading or confirming batches failed.
    #[error("spool: {0}")]
    Io(#[from] io::Error),
}

impl Agent {
    /// Opens the spool in `dir` under a new epoch and starts the shim.
    pub fn open(
        dir: &Path,
        new_device: DeviceId,
        now: Now,
        random: u64,
    ) -> Result<Self, AgentError> {
        let opening = Opening {
            new_device,
            hardware_token: None,
            clock: ClockMark {
                boot: BootId::from_u128(u128::from(random) << 64 | new_device.as_u128() >> 64),
                monotonic: now.instant(),
                wall: now.wall(),
                quality: ClockQuality::Synchronised,
            },
            random,
            limits: SpoolLimits {
                segment_bytes: 1 << 20,
                ..SpoolLimits::default()
            },
        };
        let storage = Directory::open(&dir.join("spool"))?;
        let (spool, recovery) = Spool::open(storage, opening)?;
        let mode = OutputMode::new(workout_ui::WIDTH as u16, workout_ui::HEIGHT as u16);
        let shim = Shim::new(ShimLimits::default(), mode);
        Ok(Self {
            host: UnixHost::new(shim, MemoryDisplay::new(mode))?,
            spool,
            schemas: Schemas::open(&dir.join("schemas"))?,
            announced: BTreeSet::new(),
            streams: BTreeMap::new(),
            sources: BTreeMap::new(),
            sender: Sender::new(SenderLimits::default()),
            in_flight: BTreeMap::new(),
            published: Vec::new(),
            first_state: true,
            waiting: None,
            counts: Counts::default(),
            latencies: Latencies::default(),
            recovery,
            port: HostPort::default(),
        })
    }

    /// The device.
    pub fn device(&self) -> DeviceId {
        self.spool.device()
    }

    /// Serial of a source's last durable record.
    pub fn resume(&mut self, source: &str) -> Result<u64, AgentError> {
        let number = self.spool.source(source)?;
        Ok(self.spool.resume(number))
    }

    /// Takes a client's connection.
    pub fn add_client(&mut self, now: Instant, stream: UnixStream) -> Result<(), AgentError> {
        self.host.add_client(now, stream)?;
        Ok(())
    }

    /// Waits for the client, at most `timeout` of real time.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        self.host.wait(Some(timeout), &[])
    }

    /// One turn: takes what clients sent, shows what they drew. Returns the records taken.
    pub fn turn(&mut self, now: Now, instant: Instant) -> Result<u64, AgentError> {
        self.host.turn(instant)?;
        let before = self.counts.records;
        while let Some(output) = self.host.poll_output() {
            self.handle(instant, output)?;
        }
        self.take_hook_events(now)?;
        let stats = self.host.stats();
        self.counts.frames = stats.frames;
        self.counts.ring_drops = stats.hook_events_dropped;
        self.counts.clients_failed = stats.clients_failed;
        Ok(self.counts.records - before)
    }

    fn handle(&mut self, instant: Instant, output: Output) -> Result<(), AgentError> {
        match output {
            Output::SourceOpened { source, name, .. } => {
                let number = self.spool.source(&name)?;
                let serial = self.spool.resume(number);
                let entry = Source {
                    number,
                    stream: None,
                    serial,
                    told: serial,
                };
                self.sources.insert(source, entry);
                answer(&mut self.host, instant, Input::Resume { source, serial })?;
            }
            Output::SchemaAnnounced { source, text } => {
                let schema =
                    Schema::parse(&text).map_err(|e| AgentError::Schema(e.to_string()))?;
                let stream = self.announce(&schema)?;
                if let Some(entry) = self.sources.get_mut(&source) {
                    entry.stream = Some(stream);
                }
            }
            Output::Record {
                source,
                serial,
                bytes,
            } => {
                let Some(entry) = self.sources.get_mut(&source) else {
                    return Ok(());
                };
                let stream = entry
                    .stream
                    .ok_or_else(|| AgentError::Schema("a record before its schema".to_owned()))?;
                let origin = Origin {
                    source: entry.number,
                    serial,
                };
                self.spool.append(stream, &bytes, Some(origin))?;
                self.waiting.get_or_insert_with(Stopwatch::start);
                entry.serial = serial;
                self.counts.records += 1;
            }
            Output::SourceClosed { .. } | Output::Disconnect { .. } => {}
            _ => {}
        }
        Ok(())
    }

    /// Sends the schema before its first record of this epoch, in the same durable channel.
    fn announce(&mut self, schema: &Schema) -> Result<StreamNo, AgentError> {
        let name = schema
            .record()
            .map(|r| r.name.as_str())
            .ok_or_else(|| AgentError::Schema("it is no record".to_owned()))?;
        let name = StreamName::new(name).map_err(|e| AgentError::Schema(e.to_string()))?;
        let stream = self.stream(&name)?;
        if self.announced.insert(schema.fingerprint()) {
            self.schemas.keep(schema)?;
            let announcement = SchemaAnnouncement {
                subject: name.as_str().to_owned(),
                schema: schema.json().to_owned(),
            };
            let stream = self.stream(&stream_of::<SchemaAnnouncement>())?;
            self.spool
                .append(stream, &announcement.to_message(), None)?;
        }
        Ok(stream)
    }

    fn stream(&mut self, name: &StreamName) -> Result<StreamNo, AgentError> {
        if let Some(number) = self.streams.get(name) {
            return Ok(*number);
        }
        let number = self.spool.stream(name)?;
        self.streams.insert(name.clone(), number);
        Ok(number)
    }

    /// Appends a record of the agent's own.
    pub fn append<R: AvroRecord>(&mut self, record: &R) -> Result<(), AgentError> {
        if !self.announced.contains(&R::FINGERPRINT) {
            let schema =
                Schema::parse(R::SCHEMA).map_err(|e| AgentError::Schema(e.to_string()))?;
            self.announce(&schema)?;
        }
        let stream = self.stream(&stream_of::<R>())?;
        self.spool.append(stream, &record.to_message(), None)?;
        Ok(())
    }

    /// Makes everything taken durable and tells the clients.
    pub fn commit(&mut self, instant: Instant) -> Result<(), AgentError> {
        self.spool.commit()?;
        if let Some(since) = self.waiting.take() {
            self.latencies.durable.record(since.elapsed());
        }
        self.counts.durable = self.counts.records;
        for (source, entry) in &mut self.sources {
            if entry.serial > entry.told {
                entry.told = entry.serial;
                let durable = Input::Durable {
                    source: *source,
                    serial: entry.serial,
                };
                answer(&mut self.host, instant, durable)?;
            }
        }
        Ok(())
    }

    /// Says whether the link works.
    pub fn link(&mut self, instant: Instant, up: bool) -> Result<(), AgentError> {
        let input = if up {
            SenderInput::LinkUp
        } else {
            SenderInput::LinkDown
        };
        Ok(self.sender.handle_input(instant, input)?)
    }

    /// Durable batches for the link, as many as its window takes.
    pub fn publish(
        &mut self,
        now: Now,
        instant: Instant,
        out: &mut Vec<Batch>,
    ) -> Result<(), AgentError> {
        while self.sender.has_room(BATCH.0) {
            let Some(spooled) = self.spool.next_batch(BATCH.0, BATCH.1)? else {
                break;
            };
            let (id, bytes) = (spooled.id, spooled.bytes());
            self.in_flight.insert(id, spooled);
            self.sender
                .handle_input(instant, SenderInput::Offer { id, bytes })?;
        }
        while let Some(output) = self.sender.poll_output() {
            let SenderOutput::Publish { id } = output else {
                continue;
            };
            let Some(spooled) = self.in_flight.get(&id) else {
                continue;
            };
            let array = self.schemas.array(spooled.schema).ok_or_else(|| {
                AgentError::Schema(format!("{} is in the spool and unknown", spooled.schema))
            })?;
            out.extend(spooled.to_batch(array, now.wall()));
            self.published.push(id);
        }
        Ok(())
    }

    /// The log has everything that was published.
    pub fn confirm(&mut self, instant: Instant) -> Result<(), AgentError> {
        for id in std::mem::take(&mut self.published) {
            self.sender
                .handle_input(instant, SenderInput::Confirmed { id })?;
        }
        let samples: BTreeSet<StreamNo> = self.sources.values().filter_map(|s| s.stream).collect();
        while let Some(output) = self.sender.poll_output() {
            let SenderOutput::Done { id } = output else {
                continue;
            };
            let Some(batch) = self.in_flight.remove(&id) else {
                continue;
            };
            let stream = self.streams.get(&batch.stream);
            if stream.is_some_and(|s| samples.contains(s)) && batch.epoch == self.spool.epoch() {
                self.counts.published += u64::from(batch.count());
            }
            self.spool.confirm(&batch)?;
        }
        Ok(())
    }

    /// Whether batches wait for their confirmation.
    pub fn in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Ends well: what is confirmed is not sent again by the next run.
    pub fn close(&mut self) -> Result<(), AgentError> {
        self.spool.save_cursor()?;
        Ok(())
    }

    /// Clients that are connected.
    pub fn clients(&self) -> usize {
        self.host.clients()
    }

    /// What it did.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Real time from append to durable.
    pub const fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// What the opening found.
    pub const fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The next number of every stream of this epoch.
    pub fn next_seqs(&self) -> Vec<(StreamName, u64)> {
        let seqs = self.spool.next_seqs();
        seqs.map(|(name, seq)| (name.clone(), seq.get())).collect()
    }

    /// This opening.
    pub fn epoch(&self) -> u64 {
        self.spool.epoch().get()
    }

    /// The screen: XRGB8888 rows.
    pub fn screen(&self) -> Vec<u32> {
        let bytes = self.host.display().pixels();
        let pixels = bytes.chunks_exact(4);
        pixels
            .map(|p| u32::from_le_bytes([p[0], p[1], p[2], p[3]]))
            .collect()
    }
}

/// Answers the shim; a source whose client is gone meanwhile needs no answer.
fn answer(
    host: &mut UnixHost<MemoryDisplay>,
    instant: Instant,
    input: Input<'_>,
) -> Result<(), AgentError> {
    match host.handle_input(instant, input) {
        Ok(()) | Err(InputError::UnknownSource { .. }) => Ok(()),
        Err(error) => Err(HostError::from(error).into()),
    }
}

