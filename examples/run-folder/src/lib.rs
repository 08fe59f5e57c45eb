//! This crate knows the folder of a run of `fleet`: which parts it has, what makes it the same run after
//! a restart, and how far it is.
//!
//! # Ideas
//! A run can be killed anywhere and go on, because each of its parts keeps what it promised. If a part is
//! lost, or replaced by an older copy, going on would begin that part anew: records would be replayed
//! under new numbers and stored twice. So a run first compares its folder with what it wrote down of
//! itself, and refuses to start by the name of the part.
//!
//! `run.json` says which run it is, and whether it has begun; from then on every part must be there.
//! `clock` says how far it is: each number in it only grows, and is written after the parts have what it
//! counts. A part that has less is not the part that was there.
//!
//! Every id in the parts derives from the run's id: those of the devices in spools, log and store, and the
//! writers of the incident log. So a part of another run is told from the run's own, also if both replay
//! the same files, and a tracker's folder from another tracker's.
//!
//! # Start with
//! [`Folder`] names the parts and looks at them without disturbing a program that has the run open.
//! [`RunFile`] opens a run, for the program that goes on with it.

#![allow(
    missing_docs,
    reason = "the parts of a run are named after what they are"
)]

mod clock_file;
mod contents;
mod folder;
mod identity;
mod run_file;

/// The consumers of a run's log: the storing service, and the coaching service.
pub const CONSUMERS: [&str; 2] = ["etl", "coach"];

pub use clock_file::{ClockError, Progress};
pub use folder::{Fault, Folder, Found, PartFault};
pub use run_file::{Plan, RunFile, RunFileError, Workout};
