//! This crate turns anomalies into incidents, runs their clocks and closes them, in a hash-chained log.
//!
//! # Ideas
//! A [`Score`](detect::Score) is an opinion. A declared [`Rule`] turns it into a warning, and into an
//! exception if the condition lasts; only an exception opens an [`Incident`]. [`Itil`] decides and does
//! no I/O: the caller gives it the time, and every decision is an [`Entry`] in a hash-chained log, where
//! a later change is detected. The state follows from the log alone, so a restart is a replay. An effect
//! (a page, a message) starts only after the entry that decided it is won. A refused input is returned
//! with its [`Refusal`], so that the caller can offer it again when there is room.
//!
//! # Data flow
//! ```text
//! value -> detect::RangeBreak -> Score -> detect::Watch (a Rule) -> Event
//!                                                                     |
//! person -- Command --------------------------------------------> Itil::handle_input
//! timer --- Tick (poll_timeout) ---------------------------------->   |
//!                                                                     v
//!        LogStore <-- Output::Append(group) ----------------- Itil::poll_output
//!           '------- Input::LogWon ------> Output::Effect --> adapter -- Input::EffectEnded
//! ```
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use telemetry_core::Timestamp;
//! use telemetry_itil::*;
//!
//! let rule = Rule {
//!     rule: RuleRef { id: "backlog".into(), version: 1 },
//!     service: "telemetry".into(),
//!     signature: "backlog outside its history".into(),
//!     threshold: 1.0,
//!     lasts: Duration::from_secs(5),
//!     clear: Duration::from_secs(10),
//!     impact: Impact::High,
//!     urgency: IncidentUrgency::High,
//! };
//! let mut itil = Itil::new(Config { rules: vec![rule.clone()], ..Config::default() })?;
//! // The log of this example agrees to everything; a real one is a `LogStore`.
//! let mut log = Vec::new();
//! let mut told = Vec::new();
//! let mut drain = |itil: &mut Itil, now| -> Result<(), Box<Refusal>> {
//!     while let Some(output) = itil.poll_output() {
//!         let answer = match output {
//!             Output::Append(group) => {
//!                 let seq = group.seq;
//!                 log.push(group);
//!                 Input::LogWon { seq }
//!             }
//!             Output::Effect(effect) => {
//!                 told.push(effect.notice);
//!                 Input::EffectEnded { id: effect.id, outcome: EffectOutcome::Delivered }
//!             }
//!         };
//!         itil.handle_input(now, answer)?;
//!     }
//!     Ok(())
//! };
//! let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
//! itil.take_over(at(0), 0x1234);
//!
//! // A detector that has seen depths 0 to 4 meets a backlog that grows.
//! let mut depth = detect::RangeBreak::new(detect::RangeBreakConfig::default());
//! let mut watch = detect::Watch::new(rule, "spool-7");
//! for second in 0..120 {
//!     let value = if second < 60 { second % 5 } else { 40 * (second - 59) };
//!     let cause = Cause { record: format!("depth:{second}"), detector: "range-break".into() };
//!     let score = depth.update(value as f64);
//!     if let Some(event) = watch.update(at(second), score, cause) {
//!         itil.handle_input(at(second), Input::Event(event))?;
//!         drain(&mut itil, at(second))?;
//!     }
//! }
//! let id = itil.incidents().next().expect("one incident").id;
//! assert_eq!(itil.incident(id).unwrap().priority, Priority::P1);
//!
//! // Nobody takes it: the clock warns at 75 % of a quarter of an hour, 65 s + 11 min 15 s.
//! assert_eq!(itil.poll_timeout(), Some(at(740)));
//! itil.handle_input(at(740), Input::Tick)?;
//! drain(&mut itil, at(740))?;
//!
//! for action in [
//!     Action::Assign { group: "platform".into(), person: None },
//!     Action::Resolve {
//!         code: ClosureCode::Fixed,
//!         text: "restarted the broker".into(),
//!         caused_by_change: Some(false),
//!     },
//!     Action::Close,
//! ] {
//!     let by = "ada".into();
//!     itil.handle_input(at(800), Input::Command { by, incident: id, action })?;
//!     drain(&mut itil, at(800))?;
//! }
//! assert_eq!(itil.incident(id).unwrap().state, State::Closed);
//! assert_eq!(
//!     told,
//!     [Notice::Opened, Notice::SlaWarning { clock: ClockKind::Own }, Notice::Resolved]
//! );
//!
//! // The log alone rebuilds the machine, byte for byte.
//! let again = Itil::replay(Config::default(), &log)?;
//! assert_eq!(again.snapshot(), itil.snapshot());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is claimed
//! This crate has the record types, states and controls of the ITIL 4 practices *Monitoring and Event
//! Management*, *Incident Management* and *Service Level Management*, and the records that ISO/IEC
//! 20000-1:2018, 8.6.1 requires. ITIL is guidance: matrix, targets and windows are data in [`Config`].
//!
//! # Health data
//! An event carries a score, never the measured value. The caller chooses names and texts, and must name
//! wearers by pseudonyms only.
//!
//! # Not here
//! This crate does not move bytes, page anybody or publish metrics, and it has no log for a cluster.
//! `telemetry-core` has the [`LogStore`](telemetry_core::LogStore) trait, which such a log implements.
//!
//! # Features
//! `file` adds `FileLog`, the log in one append-only file.

mod config;
pub mod detect;
mod entry;
mod event;
#[cfg(feature = "file")]
mod file;
mod fsm;
pub mod hash_chain;
mod incident;
mod machine;
mod priority;
mod sla;
mod state;
mod wire;

/// What this crate's interface takes and gives.
pub use telemetry_core;

pub use config::{Config, ConfigError, Limits};
pub use entry::{ENTRY_VERSION, Effect, EffectId, EffectOutcome, Entry, Fact, Notice};
pub use event::{Cause, Condition, Event, Rule, RuleRef, Significance};
#[cfg(feature = "file")]
pub use file::{FileLog, FileLogError, TornTail};
pub use fsm::{Guard, State, TRANSITIONS, Transition, Verb, next};
pub use hash_chain::ChainError;
pub use incident::{
    Action, Actor, Assignee, Closure, ClosureCode, Hold, HoldReason, Incident, IncidentId, Step,
};
pub use machine::{Input, InputError, Itil, Output, Refusal, RefusalAction, ReplayError, Stats};
pub use priority::{Impact, IncidentUrgency, Matrix, MatrixError, Priority, Target, Targets};
pub use sla::{Calendar, Clock, ClockKind, Threshold};
