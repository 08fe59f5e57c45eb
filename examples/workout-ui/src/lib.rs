//! The workout screen of a tracker, as an ordinary Wayland client that also delivers telemetry.
//!
//! # Ideas
//! [`run`] gets a connected socket and a [`Feed`]. It draws what the feed reads (heart rate, speed,
//! power, time, distance, a chart) on 480 × 272 pixels, and sends each sample through
//! `xp_telemetry_v1`. The two are independent: a sample may be skipped on the screen when samples
//! come faster than frames, but each one is sent exactly once and in order, and [`run`] returns
//! when the last one is durable.
//!
//! # Data flow
//! ```text
//! Feed ── Sample { serial, record, reading } ──▶ run ── record(serial) ──▶ compositor ──▶ disk
//!   ▲                                             │ ▲                          │
//!   └── after(resume) ◀── where the last run ended ─┘ └── resume, credit, durable ◀┘
//!                                                 └─▶ Screen ──▶ wl_shm buffer ──▶ compositor
//! ```
//! # Example
//! A feed of one sample. [`Demo`] is a whole ride, [`Ride`] one from an activity file.
//! ```
//! use workout_ui::{Feed, Next, Reading, Sample};
//!
//! struct Once;
//! impl Feed for Once {
//!     fn source(&self) -> &str { "demo/once" }
//!     fn schema(&self) -> &str { r#""long""# }
//!     fn next(&mut self, after: u64) -> Next {
//!         if after >= 1 {
//!             return Next::End;
//!         }
//!         let reading = Reading { heart_rate: Some(142), ..Reading::default() };
//!         Next::Sample(Sample { serial: 1, record: vec![0xc3, 1], reading })
//!     }
//! }
//! assert!(matches!(Once.next(0), Next::Sample(_)));
//! assert!(matches!(Once.next(1), Next::End));
//! ```
//! # Start with [`run`], [`Feed`], [`Options`]
//! # Not here: what is in a record. It arrives encoded.

#![allow(
    missing_docs,
    reason = "the parts of a program are named after what they are"
)]

mod buffers;
mod canvas;
mod chart;
mod client;
mod demo;
mod font;
mod protocol;
mod ride;
mod screen;

use std::os::fd::BorrowedFd;
use std::time::Duration;

pub use client::run;
pub use demo::Demo;
pub use ride::Ride;
pub use screen::{HEIGHT, Screen, WIDTH};

/// What the screen shows of one sample. Absent readings are shown as "–".
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Time since the start of the activity.
    pub elapsed: Option<Duration>,
    /// Beats per minute.
    pub heart_rate: Option<u16>,
    /// Watts.
    pub power: Option<u16>,
    /// Metres per second.
    pub speed: Option<f64>,
    /// Metres since the start.
    pub distance: Option<f64>,
}

/// One sample, for the record and for the eye.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The previous serial + 1; the first one is the resumed serial + 1.
    pub serial: u64,
    /// One Avro single-object record, 1 to 4000 bytes.
    pub record: Vec<u8>,
    /// What to show.
    pub reading: Reading,
}

/// What a feed has.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// The next sample; its time has come.
    Sample(Sample),
    /// Nothing yet. Asked again when [`Feed::wake`] is readable, after `at_most`, or earlier.
    Wait {
        /// Longest time until the next question, `None` if [`Feed::wake`] will tell.
        at_most: Option<Duration>,
    },
    /// There will be no other sample.
    End,
}

/// Where samples come from.
pub trait Feed {
    /// Name of the source: 1 to 128 bytes, the same in every run.
    fn source(&self) -> &str;

    /// Avro schema of the records as JSON text, at most 64 KiB.
    fn schema(&self) -> &str;

    /// The first sample with a serial above `after`. Must not block: the screen waits meanwhile.
    fn next(&mut self, after: u64) -> Next;

    /// Becomes readable when [`Feed::next`] may have more to say than [`Next::Wait`], e.g. an
    /// eventfd or the end of a pipe. The feed makes it unreadable again in `next`.
    fn wake(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// How to show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Heading of the screen, and the window's title.
    pub title: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: "Workout".into(),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The serial to resume after, as the compositor said.
    pub resumed: u64,
    /// The last durable serial.
    pub durable: u64,
    /// Records sent in this run.
    pub sent: u64,
    /// Frames shown.
    pub frames: u64,
}

/// Why the screen could not go on. What is durable stays so: run again to continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UiError {
    /// The compositor is gone, or says that this client made a mistake.
    #[error("compositor: {0}")]
    Wayland(#[from] wayland_client::backend::WaylandError),
    /// The compositor sent something unexpected.
    #[error("compositor: {0}")]
    Dispatch(#[from] wayland_client::DispatchError),
    /// The compositor offers no such global.
    #[error("the compositor offers no {interface} in version {version} or later")]
    Global {
        interface: &'static str,
        /// The oldest version that would do.
        version: u32,
    },
    /// The feed broke its contract.
    #[error("feed gave serial {serial} after {after}, or a record of {len} bytes")]
    Feed {
        /// Serial of the sample.
        serial: u64,
        /// The serial before it.
        after: u64,
        /// Length of its record; 1 to 4000 are allowed.
        len: usize,
    },
    /// A system call failed.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}
