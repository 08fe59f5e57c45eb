//! The agent of a tracker: everything between its screen and the link.
//!
//! ```text
//! workout-ui ─▶ shim host ─▶ record ──▶ producer (spool, sender) ─▶ batches ─▶ conductor
//!                  │ hook events ─▶ record ─▶ │                              │
//!       durable ◀──┴──────── commit ◀─────────┘ confirm ◀────────────────────┘
//! ```

mod admission;
mod hooks;
mod poison;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use telemetry_core::{
    Batch, ClockMark, ClockQuality, DeviceId, Fingerprint, Instant, StreamName, Timestamp,
    single_object,
};
use telemetry_transport::{
    AppendError, Limits as SpoolLimits, Opening, Origin, Producer, ProducerError, SourceNo,
    StreamNo,
};
use xp_wayland_shim::unix::{HostError, UnixHost};
use xp_wayland_shim::{
    ClientId, Fixed, Input, InputError, Limits, MemoryDisplay, Output, OutputMode, Refusal, Shim,
    SourceId, TouchEvent,
};

use crate::clock::{Now, Stopwatch};
use crate::latency::Histogram;
use admission::Admission;
pub use state::HostPort;

/// An agent and its shim.
pub struct Agent {
    host: UnixHost<MemoryDisplay>,
    producer: Producer,
    sources: BTreeMap<SourceId, Source>,
    /// Streams of clients' records in this epoch.
    samples: BTreeSet<StreamName>,
    admission: Admission,
    /// What the device's own clock shows: the time that its records carry.
    wall: Timestamp,
    first_state: bool,
    /// Real time since the oldest append that is not durable.
    waiting: Option<Stopwatch>,
    counts: Counts,
    durable: Histogram,
    port: HostPort,
}

struct Source {
    client: ClientId,
    number: SourceNo,
    /// The schema announced last, and its stream.
    schema: Option<(Fingerprint, StreamNo)>,
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
    /// The spool and what is around it.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The spool refused a source.
    #[error("spool: {0}")]
    Append(#[from] AppendError),
    /// A schema of the agent's own is none.
    #[error("own schema: {0}")]
    Schema(String),
    #[error("shim: {0}")]
    Io(#[from] io::Error),
}

/// A clock that shows a time before 2000 was never set: recorders begin at 1970 or 1989.
const SET_SINCE: Timestamp = Timestamp::from_micros(946_684_800_000_000);

fn quality(wall: Timestamp) -> ClockQuality {
    match wall < SET_SINCE {
        true => ClockQuality::Unset,
        false => ClockQuality::Synchronised,
    }
}

/// The opening of a device's spool, whose clocks show `now`.
pub(crate) fn opening(new_device: DeviceId, now: services::Now) -> Result<Opening, ProducerError> {
    let fresh = Opening::new()?;
    Ok(Opening {
        new_device,
        clock: ClockMark {
            monotonic: now.instant,
            wall: now.wall,
            quality: quality(now.wall),
            ..fresh.clock
        },
        limits: SpoolLimits {
            segment_bytes: 1 << 20,
            ..SpoolLimits::default()
        },
        ..fresh
    })
}

impl Agent {
    /// Opens the spool in `dir` under a new epoch and starts the shim. The device's own clock shows
    /// `wall`.
    pub fn open(
        dir: &Path,
        new_device: DeviceId,
        now: Now,
        wall: Timestamp,
        random: u64,
    ) -> Result<Self, AgentError> {
        let mode = OutputMode::new(workout_ui::WIDTH as u16, workout_ui::HEIGHT as u16);
        let shim = Shim::new(Limits::default(), mode);
        Ok(Self {
            host: UnixHost::new(shim, MemoryDisplay::new(mode))?,
            producer: Producer::open(
                dir,
                opening(new_device, services::Now { wall, ..now.at() })?,
                random,
            )?,
            wall,
            sources: BTreeMap::new(),
            samples: BTreeSet::new(),
            admission: Admission::open(dir)?,
            first_state: true,
            waiting: None,
            counts: Counts::default(),
            durable: Histogram::default(),
            port: HostPort::default(),
        })
    }

    /// The device's own clock goes on.
    pub fn set_clock(&mut self, now: Instant, wall: Timestamp) -> Result<(), AgentError> {
        self.wall = wall;
        Ok(self.producer.clock(now, wall, quality(wall))?)
    }

    pub fn device(&self) -> DeviceId {
        self.producer.spool().device()
    }

    /// Serial of a source's last durable record.
    pub fn resume(&mut self, source: &str) -> Result<u64, AgentError> {
        let spool = self.producer.spool_mut();
        let number = spool.source(source)?;
        Ok(spool.resume(number))
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
    pub fn turn(&mut self, instant: Instant) -> Result<u64, AgentError> {
        self.host.turn(instant)?;
        let before = self.counts.records;
        while let Some(output) = self.host.poll_output() {
            self.handle(instant, output)?;
        }
        self.take_hook_events()?;
        let stats = self.host.stats();
        self.counts.frames = stats.frames;
        self.counts.ring_drops = stats.hook_events_dropped;
        self.counts.clients_failed = stats.clients_failed;
        Ok(self.counts.records - before)
    }

    fn handle(&mut self, instant: Instant, output: Output) -> Result<(), AgentError> {
        match output {
            Output::SourceOpened {
                client,
                source,
                name,
            } => self.open_source(instant, client, source, &name),
            Output::SchemaAnnounced { source, text } => self.announce(instant, source, &text),
            Output::Record {
                source,
                serial,
                bytes,
            } => self.take(instant, source, serial, &bytes),
            // Its records stay to be stored; nobody waits to hear of it.
            Output::SourceClosed { source } => {
                self.sources.remove(&source);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open_source(
        &mut self,
        instant: Instant,
        client: ClientId,
        source: SourceId,
        name: &str,
    ) -> Result<(), AgentError> {
        let Self { host, producer, .. } = self;
        self.admission.keep(|client| host.is_connected(client));
        if let Err(reason) = self
            .admission
            .source(client, name, producer.spool().sources())
        {
            return self.refuse(instant, source, Refusal::Limit, reason);
        }
        let spool = producer.spool_mut();
        let number = spool.source(name)?;
        let serial = spool.resume(number);
        let entry = Source {
            client,
            number,
            schema: None,
            serial,
            told: serial,
        };
        self.sources.insert(source, entry);
        answer(host, instant, Input::Resume { source, serial })
    }

    fn announce(
        &mut self,
        instant: Instant,
        source: SourceId,
        text: &str,
    ) -> Result<(), AgentError> {
        let Some(entry) = self.sources.get_mut(&source) else {
            return Ok(());
        };
        // A client's mistake is the client's: whatever it says is a schema, the agent goes on.
        let schema = match admission::schema(text) {
            Ok(schema) => schema,
            Err(reason) => return self.refuse(instant, source, Refusal::Schema, &reason),
        };
        let streams = self.producer.spool().next_seqs().map(|(name, _)| name);
        if let Err(reason) = self.admission.schema(entry.client, &schema, streams) {
            return self.refuse(instant, source, Refusal::Limit, reason);
        }
        let stream = self.producer.announce(&schema.text)?;
        entry.schema = Some((schema.text.fingerprint(), stream));
        self.samples.insert(schema.stream);
        Ok(())
    }

    fn take(
        &mut self,
        instant: Instant,
        source: SourceId,
        serial: u64,
        bytes: &[u8],
    ) -> Result<(), AgentError> {
        let Some(entry) = self.sources.get_mut(&source) else {
            return Ok(());
        };
        // What is in the spool must be sent some day, also by the next epoch: a record of a schema
        // that nobody announced could never be.
        let reason = match (single_object::split(bytes), entry.schema) {
            (Ok((fingerprint, _)), Some((announced, stream))) if fingerprint == announced => {
                let origin = Origin {
                    source: entry.number,
                    serial,
                };
                self.producer.pass_on(stream, bytes, Some(origin))?;
                self.waiting.get_or_insert_with(Stopwatch::start);
                entry.serial = serial;
                self.counts.records += 1;
                return Ok(());
            }
            (Ok((fingerprint, _)), Some((announced, _))) => {
                format!("the record is of schema {fingerprint}, {announced} was announced")
            }
            (Ok(_), None) => "a record before its schema".to_owned(),
            (Err(error), _) => error.to_string(),
        };
        self.refuse(instant, source, Refusal::Record, &reason)
    }

    /// Disconnects a source's client with the reason. What it sent before stays.
    fn refuse(
        &mut self,
        instant: Instant,
        source: SourceId,
        refusal: Refusal,
        reason: &str,
    ) -> Result<(), AgentError> {
        self.sources.remove(&source);
        let input = Input::Refuse {
            source,
            refusal,
            reason,
        };
        answer(&mut self.host, instant, input)
    }

    /// A finger taps the middle of the screen.
    pub fn tap(&mut self, instant: Instant) -> Result<(), AgentError> {
        let middle = |size: usize| Fixed::from_pixels(size as i32 / 2);
        let (x, y) = (middle(workout_ui::WIDTH), middle(workout_ui::HEIGHT));
        for touch in [TouchEvent::Down { id: 0, x, y }, TouchEvent::Up { id: 0 }] {
            answer(&mut self.host, instant, Input::Touch(touch))?;
        }
        Ok(())
    }

    /// Makes everything taken durable and tells the clients.
    pub fn commit(&mut self, instant: Instant) -> Result<(), AgentError> {
        self.producer.commit()?;
        if let Some(since) = self.waiting.take() {
            self.durable.record(since.elapsed());
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

    /// Says whether the link works, and hands it batches if it does.
    pub fn publish(
        &mut self,
        now: Now,
        instant: Instant,
        link_up: bool,
        out: &mut Vec<Batch>,
    ) -> Result<(), AgentError> {
        self.producer.link(instant, link_up)?;
        if link_up {
            self.producer.publish(instant, now.wall(), out)?;
        }
        Ok(())
    }

    /// The log has everything that was published.
    pub fn confirm(&mut self, instant: Instant) -> Result<(), AgentError> {
        let epoch = self.producer.spool().epoch();
        let (published, samples) = (&mut self.counts.published, &self.samples);
        self.producer.confirm(instant, |batch| {
            if batch.epoch == epoch && samples.contains(&batch.stream) {
                *published += u64::from(batch.count());
            }
        })?;
        Ok(())
    }

    /// What it publishes through.
    pub const fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Ends well: what is confirmed is not sent again by the next run.
    pub fn close(&mut self) -> Result<(), AgentError> {
        Ok(self.producer.close()?)
    }

    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Real time from the first append of a group to its commit.
    pub const fn durable_latency(&self) -> &Histogram {
        &self.durable
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
