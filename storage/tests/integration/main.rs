//! The contract on every store, and what is particular to each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

mod faults;
mod lineages;
mod sqlite;
mod views;
