//! This crate is a Wayland compositor for one screen that also carries its clients' telemetry.
//!
//! # Ideas
//! A tracker's screen shows one program at a time. That program is an ordinary Wayland client, and
//! this crate is its compositor: it shows the newest window on the whole screen, and receives the
//! program's measurements through a small private protocol, `xp_telemetry_v1`.
//!
//! [`Shim`] decides and does no I/O. It uses no socket, thread, clock or global variable, and without
//! the `std` feature no standard library, so the same code runs on Linux and on Windows XP. Two kinds
//! of data leave it, apart from the picture:
//! - *Records* come from clients, each with a serial. Credit limits their number, and they are never
//!   dropped. The caller says which records are durable, and the shim informs the client.
//! - *Hook events* are what the shim observed itself: frames, input latency, surfaces. They go through
//!   a ring of fixed size that never delays a frame and counts what it loses.
//!
//! # Data flow
//! ```text
//!            bytes, handles           SourceOpened, SchemaAnnounced, Record, Disconnect
//! client ──▶ handle_input ──▶ Shim ──▶ poll_output ──▶ caller ──▶ disk
//!    ▲                       ▲ │ │                        │
//!    │      poll_transmit    │ │ └─▶ take_hook_event      │
//!    └───────────────────────┼─┘                          │
//!                            └──── Resume, Durable ◀──────┘
//!                              compose(now, Display, Pools) ──▶ screen
//! ```
//! # Example
//! The bytes below are what any Wayland client sends first; `unix::UnixHost` does the same with
//! real sockets.
//! ```
//! use telemetry_core::Instant;
//! use xp_wayland_shim::{ClientId, Input, Limits, OutputMode, Shim};
//!
//! let mut shim = Shim::new(Limits::default(), OutputMode::new(480, 272));
//! let (now, client) = (Instant::from_nanos(0), ClientId(1));
//! shim.handle_input(now, Input::ClientConnected { client })?;
//! // wl_display.get_registry(2), as object, length and opcode, argument.
//! let words = [1u32, 12 << 16 | 1, 2];
//! let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
//! shim.handle_input(now, Input::Bytes { client, bytes: &bytes, handles: &[] })?;
//!
//! let (mut answer, mut handles) = (Vec::new(), Vec::new());
//! shim.poll_transmit(client, &mut answer, &mut handles);
//! let found = |name: &[u8]| answer.windows(name.len()).any(|w| w == name);
//! assert!(found(b"wl_compositor\0") && found(b"xp_telemetry_manager_v1\0"));
//! # Ok::<(), xp_wayland_shim::InputError>(())
//! ```
//! # Start with
//! Start with [`Shim`], [`Input`], [`Output`] and [`Limits`]. Then read [`Display`], on which
//! [`Shim::compose`] draws, [`Pools`], from which it reads, and [`MemoryDisplay`].
//!
//! # Globals
//! The globals are `wl_compositor` 6, `wl_shm` 2, `wl_output` 4, `wl_seat` 7, `xdg_wm_base` 5,
//! `wp_presentation` 1 and `xp_telemetry_manager_v1` 1. Popups are dismissed at once. Pictures are
//! shown without their transform. Keyboard modifiers are not tracked, and there are no subsurfaces.
//!
//! # Not here
//! The content of records is in `telemetry-core`, the spool that stores them is in
//! `telemetry-transport`, and the workout screen is `workout-ui`.
//!
//! # Features
//! - `std` (default) links the standard library.
//! - `telemetry` (default) records hook events; without it there are none.
//! - `unix` serves connected Unix sockets.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod display;
mod error;
mod geometry;
mod hooks;
mod limits;
mod object;
mod shim;
#[rustfmt::skip]
mod tables;
#[cfg(feature = "unix")]
pub mod unix;
mod wire;

/// What this crate's interface takes and gives.
pub use telemetry_core;

pub use display::{Display, Frame, MemoryDisplay, OutputMode, Pools, Presented};
pub use error::{ClientError, ComposeError, DisplayError, InputError, PoolError};
pub use geometry::Rect;
pub use hooks::{HookEvent, Role, SurfaceChange, SurfaceKey, Title};
pub use limits::{Limits, RECORD_BYTES_MAX, SCALE_MAX, SCHEMA_BYTES_MAX, SOURCE_NAME_BYTES_MAX};
pub use shim::{
    ClientId, Fixed, Input, Output, PointerEvent, Refusal, Shim, SourceId, Stats, TouchEvent,
};

/// A file descriptor or its like, named by the caller. Never the same for two at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u32);
