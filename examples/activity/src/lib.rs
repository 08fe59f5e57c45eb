//! Activity files (FIT): what a watch or a bike computer recorded, as samples.
//!
//! ```text
//! file, pipe, .gz ─▶ messages ─▶ samples ─▶ summary, curves
//!                       │           ▲
//!                       └─ late ────┘      samples ─▶ write ─▶ file
//! ```
//!
//! Start with [`Activity::samples`], which replays a file in constant memory, [`Survey::of`], which
//! says what an activity was and what is wrong with its file, and [`write()`].
//!
//! Whatever is wrong with a file, what stands around it is read: [`Samples::faults`] has a sentence
//! for each fault, with the byte. A fault never panics, and it never ends what comes after it if
//! that can be understood.
//!
//! Some things stand in a file only after the samples that they are about: descriptions of
//! developers' fields, and heart rates from a strap's own memory. So each file is read twice, and a
//! pipe is copied into a file without a name first.
//!
//! Not here: laps, workouts, courses as such, sleep, and any other message that holds no sample.
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
pub use survey::{ContentId, Summary, Survey};
pub use write::{WriteError, write};

/// Longest file that is read, in unpacked bytes: a packed one can hold a thousand times its size.
pub const BYTES_MAX: u64 = 1 << 30;

/// Faults that are told of one file: a file of many damaged parts is not read to its end.
pub const FAULTS_MAX: usize = 20;

/// 1989-12-31T00:00:00Z, from which FIT counts: seconds since 1970.
pub(crate) const FIT_EPOCH: i64 = 631_065_600;

/// Times below this one are seconds since the recorder was switched on, says FIT.
pub(crate) const CLOCK_SET: i64 = FIT_EPOCH + 0x1000_0000;
