//! What users of the crate see: derives, views and plans together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

#[cfg(feature = "arrow")]
mod agree;
mod codegen;
#[cfg(feature = "arrow")]
mod columns;
mod derive;
#[cfg(all(feature = "arrow", feature = "ocf"))]
mod field;
#[cfg(all(feature = "arrow", feature = "ocf"))]
mod found;
#[cfg(feature = "arrow")]
mod memory;
#[cfg(all(feature = "apache-avro", feature = "arrow"))]
mod peers;
