//! The machine as its users meet it: scripts, random walks, files, a benchmark series.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod file_log;
mod nab;
mod rig;
mod rules;
mod walk;
