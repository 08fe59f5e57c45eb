//! What every layer of the telemetry family shares.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod error;
mod id;
mod log_store;
mod time;

pub use id::{BootId, DeviceId, Epoch, IdError, RecordId, Seq, StreamName};
pub use log_store::{Appended, LogGroup, LogHead, LogStore};
pub use time::{ClockMark, ClockQuality, Instant, Timestamp};
