//! What `telemetry-avro` and `telemetry-core` have in common: numbers for errors, and [`Timestamp`].
//!
//! Both re-export it, so nobody needs to name this crate. It knows neither schemas nor identities,
//! and depends on nothing.

#![no_std]

mod error;
mod time;

pub use time::Timestamp;
