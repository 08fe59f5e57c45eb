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
//!        incidents ◀─ controller ◀─ lag ─ etl ─▶ SQLite ◀──── embedded log
//!                       cues ◀─ coach ◀────────────────────────────┘
//! ```
//!
//! # Start with
//! [`conductor::run`], then [`tracker`] and [`agent`] on the way in, [`etl`] on the way out.

pub mod activity;
pub mod agent;
pub mod bench;
pub mod clock;
pub mod coach;
pub mod conductor;
pub mod controller;
pub mod etl;
pub mod firmware;
pub mod intervals;
pub mod latency;
pub mod ledger;
pub mod live;
pub mod outlet;
pub mod progress;
pub mod report;
pub mod run_file;
mod schemas;
mod screen;
pub mod speech;
pub mod tracker;
