//! Replays real activities as a small fleet of trackers through the whole system.
//!
//! # Ideas
//! Only examples wire the layers together, and this is the example that wires them all. One
//! process plays every part: trackers are threads, the broker is the embedded log, the warehouse
//! is a SQLite file. One virtual clock drives it: a step is a second, in which every tracker sends
//! the samples of that second, and everything that is durable is published, stored and looked at.
//! Only latencies are measured on the real clock.
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
//! [`conductor::run`], then [`tracker`] and [`agent`] on the way in, [`storing`] on the way out. The
//! services themselves are `examples/services`.

#![allow(
    missing_docs,
    reason = "the parts of a program are named after what they are"
)]

pub mod activity;
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
pub mod progress;
pub mod report;
pub mod ring;
pub mod run_file;
mod screen;
pub mod speech;
pub mod storing;
pub mod tracker;
pub mod words;
