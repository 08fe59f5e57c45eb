//! The services between a log of batches and the people who rest on it, as machines without I/O.
//!
//! # Ideas
//! A service decides; it reads no socket, no disk and no clock. [`Machine`] is the one shape: inputs
//! are deliveries and answers, outputs are what to write, to ask and to answer, in order. [`Driver`]
//! carries the outputs out over any consumer ([`Deliveries`]), any store ([`Store`], [`Registry`])
//! and any incident log ([`LogStore`]). So one process can run all services, or each can have a
//! process of its own, on a log in the same folder or behind a broker.
//!
//! A refusal that can pass never ends a service. A write whose answer is missing is put back and
//! comes again; a batch that the store refuses is set aside with the reason; a refusal for want of
//! room holds the input until there is room, and then no further deliveries are taken.
//!
//! # Data flow
//! ```text
//!             deliveries                     register, look up, write
//! log ─────────────────────▶ Ingest ────────────────────────────────────▶ store
//!  │ ◀── acknowledge, retry, reject ──┘                                       │
//!  │                                                                          │ presence
//!  ├─ samples ─▶ Coaching ─▶ cues, stops; FeedbackGiven ─▶ Producer           ▼
//!  │                                                                       Ledger ─▶ missing
//!  └─ scores ──▶ Incidents ─▶ log group ─▶ (won) ─▶ effects                   ▲
//!                                              numbered: next_seqs, SystemState
//! ```
//!
//! # Start with
//! [`Ingest`] (register, enrich, write, acknowledge, set aside), [`Coaching`] (samples to alerts to
//! cues, each given or not), [`Incidents`] (scores and rules to incidents and effects), [`Ledger`]
//! (who numbered, who stored, what is missing), [`Driver`] to run them, [`Producer`] for records of
//! one's own. `tests/integration/` runs them all in one process.
//!
//! # Not here
//! Programs: the main job is `examples/fleet`. Sound, screens and reports.

#![allow(
    missing_docs,
    reason = "fields say what they are where their names do not"
)]

mod absent;
pub mod coaching;
mod driver;
pub mod incidents;
pub mod ingest;
mod intervals;
pub mod ledger;
mod machine;
pub mod producer;
mod reading;

pub use absent::Absent;
pub use coaching::Coaching;
pub use driver::{Clock, Driver};
pub use incidents::Incidents;
pub use ingest::Ingest;
pub use intervals::Intervals;
pub use ledger::Ledger;
pub use machine::{Busy, Enriched, Input, Machine, Now, Output, Unavailable};
pub use producer::Producer;

#[cfg(doc)]
use telemetry_core::{LogStore, Registry};
#[cfg(doc)]
use telemetry_storage::Store;
#[cfg(doc)]
use telemetry_transport::Deliveries;
