//! All services in one process: an embedded log, a SQLite store, a file of incidents.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod rig;
mod run;
mod whole;
