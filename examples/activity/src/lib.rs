//! This crate reads and writes activity files (FIT), which a watch or a bike computer records, as samples.
//!
//! ```text
//! file, pipe, .gz ─▶ messages ─▶ samples ─▶ summary, curves
//!                       │           ▲
//!                       └─ late ────┘      samples ─▶ write ─▶ file
//! ```
//!
//! Start with [`Activity::samples`], which replays a file in constant memory, [`Survey::of`], which
//! reports what an activity was and what is wrong with its file, and [`write()`].
//!
//! If a part of a file is wrong, the parts around it are still read: [`Samples::faults`] has a sentence
//! for each fault, with its byte. A fault never causes a panic, and the reader continues after it if the
//! next bytes can be understood.
//!
//! Some data is in a file only after the samples to which it belongs: descriptions of developers'
//! fields, and heart rates from a strap's own memory. So each file is read twice, and a pipe is first
//! copied into a file without a name.
//!
//! This crate does not read laps, workouts, courses as such, sleep, or any other message that contains no
//! sample.
//!
//! ```
//! use activity::{Activity, Survey};
//!
//! let ride = &Activity::built_in()[0];
//! let survey = Survey::of(ride);
//! assert_eq!(survey.summary.samples, 10_686);
//! assert!(survey.faults.is_empty());
//! let first = ride.samples()?.next().ok_or("a sample")?;
//! assert_eq!(first.heart_rate, Some(161));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(
    missing_docs,
    reason = "fields say what they are where their names do not"
)]

mod activity;
mod curve;
mod fault;
mod late;
mod messages;
mod sample;
mod source;
mod survey;
mod value;
mod write;

pub use activity::Activity;
pub use curve::Curve;
pub use fault::{ActivityError, Fault, Format};
pub use sample::{Heading, Sample, Samples};
pub use survey::{ContentId, Stretch, Summary, Survey};
pub use write::{WriteError, write};

/// Longest file that is read, in unpacked bytes: a packed one can hold a thousand times its size.
pub const BYTES_MAX: u64 = 1 << 30;

/// Faults that are told of one file: a file of many damaged parts is not read to its end.
pub const FAULTS_MAX: usize = 20;

/// 1989-12-31T00:00:00Z, from which FIT counts: seconds since 1970.
pub(crate) const FIT_EPOCH: i64 = 631_065_600;

/// Times below this one are seconds since the recorder was switched on, says FIT.
pub(crate) const CLOCK_SET: i64 = FIT_EPOCH + 0x1000_0000;
