//! The shim as its callers and clients see it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code; clippy knows only functions marked #[test]"
)]

mod client;
mod records;
mod split;
mod tables;
mod unix;
mod windows;
