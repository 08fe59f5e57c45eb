//! This crate does store and forward: records survive crashes until a receiver has stored them durably.
//!
//! # Ideas
//! A [`Spool`] numbers records per stream and keeps them in a checksummed journal. One
//! [`commit`](Spool::commit) makes any number of appends durable with one write and one sync.
//! Durable records are given out in batches until they are confirmed. After a crash, every record that
//! was not confirmed is delivered again under the same name, so a receiver can drop the records that it
//! already has. `Spool::share` puts a spool into a thread, so that many tasks append and share its
//! commits. [`Sender`] decides what is published when, and what to do after a failure
//! ([`SendError::action`]). [`EmbeddedLog`] is the receiving end on one machine: batches are appended to
//! it, and named consumers read them. [`Deliveries`] is the trait of every consumer, whatever it is
//! connected to. `amqp` connects to RabbitMQ: it has a `Publisher` that does what a [`Sender`] decides, a
//! `Subscription`, and the topology between them. Records are delivered at least once; with [`Dedup`]
//! each record takes effect once.
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
//! use telemetry_core::{Schema, StreamName, Timestamp, single_object};
//! use telemetry_transport::storage::SimulatedDisk; // `Directory::open(path)?` on a real disk
//! use telemetry_transport::{EmbeddedLog, Limits, Opening, Spool};
//!
//! let schema = Schema::parse(r#"{"type":"record","name":"Beat","fields":[{"name":"bpm","type":"int"}]}"#)?;
//! let (mut spool, _) = Spool::open(SimulatedDisk::default(), Opening::new()?)?;
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
//! while let Some(mut batch) = spool.next_batch(64 << 10, 1_000)? {
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
//! # Guarantees
//! A record is durable when its commit has returned. It is delivered at least once under one name:
//! device, epoch, stream, number. After a failed write or sync, the journal accepts nothing until it is
//! opened again. Damaged bytes are counted and kept in a separate file ([`Recovery`], [`Stats`]), and
//! they are never read as another record. [`Limits`] limits everything that grows; when a limit is
//! reached, the result is an error with its numbers. Damage inside the last commit before a crash cannot
//! be distinguished from an incomplete write.
//!
//! # What survives what
//!
//! | state of a record | process killed | power cut | broker killed, or its majority lost | network gone | disk full |
//! |---|---|---|---|---|---|
//! | appended, not committed | lost | lost | kept | kept | refused with [`AppendError::Io`] or [`Full`](AppendError::Full) |
//! | committed (a durable receipt) | kept | kept, on a disk that keeps what it synced | kept in the spool, sent again | kept in the spool, sent again | kept; appends work again when there is space |
//! | confirmed by the embedded log | kept | kept | - | - | kept |
//! | confirmed by a quorum queue | kept there | kept there: a majority syncs it before the queue confirms it | kept if a majority comes back | kept there | alarm: the broker blocks publishers |
//! | confirmed by a classic queue (only with `allow_loss`) | kept there | **may be lost**: RabbitMQ 4 confirms before it syncs | may be lost | kept there | alarm |
//!
//! Every record that is kept is delivered at least once, under the same name. With [`Dedup`], or with a
//! store that uses the name as a key, each record takes effect once. Two limits come from RabbitMQ
//! itself, seen on 4.0.5. If a queue is killed within half a second of its first declaration, it starts
//! empty; so a publisher waits a second after it declared a queue. After a restart, the broker may give
//! a device another queue of its group; so while there is a backlog, only the numbers of the records
//! show their order over a restart.
//!
//! # Start with
//! Start with [`Spool`], [`EmbeddedLog`] and [`Directory`]. Use `amqp::Publisher` and
//! `amqp::Subscription` for RabbitMQ, [`Sender`] for your own link, and `inspect` to look at a directory
//! that another process owns.
//!
//! # Not here
//! The meaning of schemas is in `telemetry-core`.
//!
//! # Features
//! - `std` (default) adds everything that needs files. Without it the crate is `no_std` with `alloc` and
//!   contains [`Sender`], [`Dedup`] and the trait [`Deliveries`].
//! - `embedded` (default) adds the embedded log.
//! - `amqp` adds the adapter for RabbitMQ, on tokio.
//! - `shared` adds a spool to which many tasks and threads append.
//! - `producer` adds a spool with the schemas that it announces, and its batches until they are confirmed.
//! - `tls` adds `amqps://`, by rustls with the caller's own provider.
//! - `metrics` adds counts and durations for a Prometheus registry.
//! - `test-util` adds the simulated disk, and `contract`, the test suite that every broker adapter must
//!   pass. The package `scripted-broker` is a broker on loopback that fails by script.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "amqp")]
pub mod amqp;
mod batch_id;
mod batch_limits;
#[cfg(feature = "test-util")]
pub mod contract;
mod cursor;
mod dedup;
mod deliveries;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
#[cfg(feature = "shared")]
mod histogram;
#[cfg(feature = "embedded")]
pub mod inspect;
pub mod journal;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "producer")]
mod producer;
#[cfg(any(feature = "amqp", test))]
mod receiver;
mod segments;
mod sender;
#[cfg(feature = "shared")]
pub mod shared;
mod spool;
pub mod storage;

/// What this crate's interface takes and gives.
pub use telemetry_core;

pub use batch_id::BatchId;
pub use batch_limits::BatchLimits;
pub use dedup::{Dedup, Fresh, Lineage};
pub use deliveries::{ConsumeAction, Deliveries, Delivery, Token};
#[cfg(feature = "embedded")]
pub use embedded::{Consumer, DeadLetter, EmbeddedLog, LogStats};
pub use error::{AppendError, CommitError, ConfirmError, ConsumeError, OpenError};
#[cfg(feature = "shared")]
pub use histogram::Histogram;
#[cfg(feature = "producer")]
pub use producer::{Producer, ProducerError};
pub use segments::{Limits, Position, Recovery, WhenFull};
pub use sender::{Action, SendError, Sender, SenderError, SenderInput, SenderLimits, SenderOutput};
pub use spool::{
    Committed, Opening, Origin, Previous, Receipt, SourceNo, Spool, SpooledBatch, Stats, StreamNo,
    Watermarks,
};
#[cfg(feature = "std")]
pub use storage::Directory;
pub use storage::{FileId, FileKind, FileReader, Storage, StorageError, StorageErrorKind};
