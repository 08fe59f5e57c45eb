//! This crate replays real activities as a small fleet of trackers through the whole system.
//!
//! # Ideas
//! Only examples connect the layers, and this example connects all of them. One process plays every
//! part: trackers are threads, the broker is the embedded log, and the warehouse is a SQLite file. One
//! virtual clock drives it. A step is one second: every tracker sends the samples of that second, and
//! everything that is durable is published, stored and examined. Only latencies are measured on the real
//! clock.
//!
//! # Data flow
//! ```text
//! activity ─▶ tracker: workout-ui ─Wayland▶ shim ─▶ agent ─▶ spool ─┐
//!                                                                  ▼ conductor
//!    incidents ◀─ controller ◀─ lag ─ storing ─▶ SQLite ◀── embedded log
//!                       FeedbackGiven ◀─ cues ◀───────────────────┘
//! ```
//!
//! # Start with
//! Start with [`conductor::run`]. Then read [`tracker`] and [`agent`], where records enter the system,
//! and [`storing`], where they leave it. The services themselves are in `examples/services`.

#![allow(
    missing_docs,
    reason = "the parts of a program are named after what they are"
)]

pub mod agent;
pub mod bench;
pub mod clock;
pub mod conductor;
pub mod controller;
pub mod cues;
pub mod firmware;
pub mod latency;
pub mod ledger;
pub mod live;
pub mod measure;
pub mod progress;
pub mod report;
pub mod ring;
mod screen;
pub mod signals;
pub mod speech;
pub mod storing;
pub mod tracker;
pub mod words;
pub mod workout;
