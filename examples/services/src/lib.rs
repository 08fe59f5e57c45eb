//! This crate has the services that run behind a log of batches, as machines without I/O.
//!
//! # Ideas
//! A service decides; it reads no socket, no disk and no clock. Every service has the shape of
//! [`Machine`]: its inputs are deliveries and answers, and its outputs say, in order, what to write, what
//! to ask and what to answer. [`Driver`] carries out the outputs over any consumer ([`Deliveries`]), any
//! store ([`Store`], [`Registry`]) and any incident log ([`LogStore`]). So one process can run all
//! services, or each service can have its own process, on a log in the same folder or behind a broker.
//!
//! A temporary refusal never ends a service. If the answer to a write is missing, its delivery is put
//! back and delivered again. A batch that the store refuses is set aside with the reason. If an input is
//! refused because there is no room, the service keeps it until there is room, and until then it accepts
//! no further deliveries.
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
//! - [`Ingest`] registers schemas, enriches batches, writes and acknowledges them, and sets bad ones aside.
//! - [`Coaching`] turns samples into alerts and alerts into cues, and reports for each alert whether it
//!   was given.
//! - [`Incidents`] turns scores and rules into incidents and effects.
//! - [`Ledger`] compares the numbers given with the records stored, and reports what is missing.
//! - [`Driver`] runs the services.
//! - [`Producer`] is for your own records.
//!
//! `tests/integration/` runs all of them in one process.
//!
//! # Not here
//! Programs are not here (the main job is `examples/fleet`), and neither are sound, screens and reports.

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
mod reading;

pub use absent::Absent;
pub use coaching::Coaching;
pub use driver::{Clock, Driver};
pub use incidents::Incidents;
pub use ingest::Ingest;
pub use intervals::Intervals;
pub use ledger::Ledger;
pub use machine::{Busy, Enriched, Input, Machine, Now, Output, Unavailable};

#[cfg(doc)]
use telemetry_core::{LogStore, Registry};
#[cfg(doc)]
use telemetry_storage::Store;
#[cfg(doc)]
use telemetry_transport::{Deliveries, Producer};
