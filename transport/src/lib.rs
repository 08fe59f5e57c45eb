//! Store and forward: records survive crashes here until someone downstream has them for good.
//!
//! # Ideas
//! A [`Spool`] numbers records per stream and keeps them in a checksummed journal. One
//! [`commit`](Spool::commit) makes any number of appends durable with one write and one sync.
//! What is durable is handed out in batches until it is confirmed; after a crash everything not
//! confirmed comes again under the same names, so a receiver drops what it has by name.
//! `Spool::share` puts a spool into a thread, so that many tasks append and share its commits.
//! [`Sender`] decides what is published when, and what follows from a failure ([`SendError::action`]).
//! [`EmbeddedLog`] is the receiving end on one machine: batches in, named consumers out.
//! [`Deliveries`] is what a consumer offers, whatever it talks to.
//! `amqp` is the way to RabbitMQ: a `Publisher` that does what a [`Sender`] says, a `Subscription`,
//! and the topology between. [`Dedup`] makes once in effect of what comes at least once.
//!
//! # Data flow
//! ```text
//! append ─▶ buffer ─▶ commit ─▶ segments ─▶ next_batch ─▶ EmbeddedLog::append, commit
//!                                  ▲                          │
//!                                  └──────── confirm ◀────────┘
//! EmbeddedLog ─▶ Deliveries::next_group ─▶ acknowledge │ retry │ reject ─▶ dead letters
//! ```
//!
//! # Carry a record
#![cfg_attr(all(feature = "embedded", feature = "test-util"), doc = "```")]
#![cfg_attr(not(all(feature = "embedded", feature = "test-util")), doc = "```text")]
//! use telemetry_core::{ClockMark, DeviceId, Schema, StreamName, Timestamp, single_object};
//! use telemetry_transport::storage::SimulatedDisk; // `Directory::open(path)?` on a real disk
//! use telemetry_transport::{EmbeddedLog, Limits, Opening, Spool};
//!
//! let schema = Schema::parse(r#"{"type":"record","name":"Beat","fields":[{"name":"bpm","type":"int"}]}"#)?;
//! let opening = Opening {
//!     new_device: DeviceId::from_u128(7), // random
//!     hardware_token: None,
//!     clock: ClockMark::default(),
//!     random: 42,
//!     limits: Limits::default(),
//! };
//! let (mut spool, _) = Spool::open(SimulatedDisk::default(), opening)?;
//! let (log, _) = EmbeddedLog::open(SimulatedDisk::default(), Limits::default())?;
//! let mut consumer = log.subscribe("etl")?;
//!
//! let stream = spool.stream(&StreamName::new("vendor.Beat")?)?;
//! let mut record = single_object::header(schema.fingerprint()).to_vec();
//! record.extend([0x82, 0x01]); // bpm = 65
//! spool.append(stream, &record, None)?;
//! spool.commit()?; // from here on the record survives
//!
//! let published = Timestamp::from_micros(0);
//! while let Some(batch) = spool.next_batch(64 << 10, 1_000)? {
//!     log.append(&batch.to_batch(schema.array_fingerprint(), published).ok_or("empty")?)?;
//!     log.commit()?;
//!     spool.confirm(&batch)?;
//! }
//!
//! let delivery = consumer.next()?.ok_or("nothing")?;
//! assert_eq!(delivery.batch.envelope.count, 1);
//! consumer.acknowledge(&[delivery.token])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Promises
//! A record is durable when its commit returned, and comes out at least once under one name: device,
//! epoch, stream, number. A failed write or sync poisons the journal until it is opened again. What
//! is damaged is counted and kept aside ([`Recovery`], [`Stats`]), and never passes for something
//! else. What grows is bounded by [`Limits`]; a bound that is reached is an error with its numbers.
//! Damage inside the last commit before a crash cannot be told from a cut write.
//!
//! # What survives what
//!
//! | a record is | process killed | power cut | broker killed, or its majority lost | network gone | disk full |
//! |---|---|---|---|---|---|
//! | appended, not committed | lost | lost | kept | kept | refused with [`AppendError::Io`] or [`Full`](AppendError::Full) |
//! | committed (a durable receipt) | kept | kept, on a disk that keeps what it synced | kept in the spool, sent again | kept in the spool, sent again | kept; taking goes on when there is space |
//! | confirmed by the embedded log | kept | kept | - | - | kept |
//! | confirmed by a quorum queue | kept there | kept there: synced on a majority before it confirms | kept while a majority comes back | kept there | alarm: the broker blocks publishers |
//! | confirmed by a classic queue (only with `allow_loss`) | kept there | **may be lost**: RabbitMQ 4 confirms before it syncs | may be lost | kept there | alarm |
//!
//! Everything kept comes at least once, under the same name; with [`Dedup`], or a store that keys by
//! name, once in effect. Two limits are RabbitMQ's own, seen on 4.0.5: a queue killed within half a
//! second of its first declaration starts anew, so a publisher waits a second after it declared one;
//! and a restarted broker may give a device another queue of its group, so while a backlog remains,
//! order over a restart is only by number.
//!
//! # Start with
//! [`Spool`], [`EmbeddedLog`], [`Directory`]; `amqp::Publisher` and `amqp::Subscription` for
//! RabbitMQ; [`Sender`] for a link of one's own; `inspect` to look at a directory that another
//! process owns.
//!
//! # Not here
//! What a schema means (`telemetry-core`).
//!
//! # Features
//! `std` (default): everything that keeps files; without it the crate is `no_std` with `alloc` and
//! holds [`Sender`], [`Dedup`] and the trait [`Deliveries`]. `embedded` (default): the embedded log. `amqp`: RabbitMQ, on
//! tokio. `shared`: a spool that many tasks and threads append to. `tls`: `amqps://`, by rustls with
//! the caller's own provider. `metrics`: counts and durations for a Prometheus registry. `test-util`:
//! the simulated disk, and `contract`, the suite that every broker adapter must pass; with `amqp` also
//! deliveries for tests, and `amqp::scripted`, a broker on loopback that fails by script, with a clock
//! that can be paused beside it.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "test-util")]
pub mod contract;
#[cfg(feature = "std")]
mod cursor;
mod dedup;
mod deliveries;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "shared")]
mod histogram;
#[cfg(feature = "embedded")]
pub mod inspect;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "std")]
mod segments;
mod sender;
#[cfg(feature = "shared")]
pub mod shared;
#[cfg(feature = "std")]
mod spool;
#[cfg(feature = "std")]
pub mod storage;

/// What this crate's interface takes and gives.
pub use telemetry_core;

pub use dedup::{Dedup, Fresh, Lineage};
pub use deliveries::{ConsumeAction, Deliveries, Delivery, Token};
#[cfg(feature = "embedded")]
pub use embedded::{Consumer, DeadLetter, EmbeddedLog, LogStats};
#[cfg(feature = "std")]
pub use error::{AppendError, CommitError, ConsumeError, OpenError};
#[cfg(feature = "shared")]
pub use histogram::Histogram;
#[cfg(feature = "std")]
pub use segments::{Limits, Position, Recovery, WhenFull};
pub use sender::{Action, SendError, Sender, SenderError, SenderInput, SenderLimits, SenderOutput};
#[cfg(feature = "std")]
pub use spool::{
    Committed, Opening, Origin, Previous, Receipt, SourceNo, Spool, SpooledBatch, Stats, StreamNo,
    Watermarks,
};
#[cfg(feature = "std")]
pub use storage::{Directory, Storage};
