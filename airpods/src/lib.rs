//! This crate routes an alert to the wearer's ear, hand or wrist, or gives the reason why it cannot.
//!
//! # Ideas
//! AirPods say in the unencrypted part of their advertisements whether they are worn. They have no
//! interface to which a program could write text: speech goes through the sound output of the platform,
//! and touch goes through a phone, a watch or the tracker. So a [`Router`] looks at what is worn and
//! reachable, and emits cues. It does no I/O; the caller gives it the time. **Every alert ends once**: it
//! is given, with the route, or it is not given, with the reason.
//!
//! # Data flow
//! ```text
//! advertisement -> proximity::decode -> Frame --- PodsSeen --.
//! alert, call, devices, clock, acknowledgement, tick ------> Router
//!                                                              |
//!   voice (text) <- Speak  sound <- Earcon  phone <- Haptic  tracker <- TrackerAlert
//!                                           report <- Given | NotGiven(reason)
//! ```
//!
//! # Example
//! ```
//! use telemetry_airpods::*;
//! use telemetry_core::Instant;
//!
//! let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
//! let mut router = Router::new(Policy::default());
//!
//! // AirPods Pro 2, both in ear, as captured from the air.
//! let data = [
//!     0x07, 0x19, 0x01, 0x24, 0x20, 0x0b, 0x77, 0x8f, 0x11, 0x00, 0x05, 0x5f, 0x57, 0x40, 0xde,
//!     0x21, 0x49, 0x1e, 0xa5, 0xbc, 0xb9, 0xb3, 0xa0, 0x7f, 0x8e, 0x95, 0x0d,
//! ];
//! let frame = proximity::decode(&data)?;
//! assert!(frame.is_worn());
//! router.handle_input(at(1), Input::PodsSeen { frame, rssi: proximity::rssi(-48) })?;
//!
//! let alert = |id, text: &str| {
//!     Input::Alert(Alert {
//!         id: AlertId(id),
//!         topic: "workout".into(),
//!         urgency: Urgency::Notice,
//!         text: SpokenText(text.into()),
//!         earcon: Earcon::Goal,
//!         haptic: Haptic::Goal,
//!     })
//! };
//! router.handle_input(at(2), alert(1, "Ten kilometres."))?;
//! assert!(matches!(
//!     router.poll_output(),
//!     Some(Output::Cue { cue: Cue::Earcon(Earcon::Goal), .. })
//! ));
//! assert!(matches!(router.poll_output(), Some(Output::Cue { cue: Cue::Speak { .. }, .. })));
//! router.handle_input(at(4), Input::SpeechDone(AlertId(1)))?;
//! assert!(matches!(router.poll_output(), Some(Output::Given { .. })));
//!
//! // A minute later nobody has seen the pods for long.
//! router.handle_input(at(60), alert(2, "Eleven kilometres."))?;
//! let reason = Reason::PodsNotWorn;
//! assert_eq!(router.poll_output(), Some(Output::NotGiven { alert: AlertId(2), reason }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Privacy
//! `Debug` prints no words, no heart rate and no identifying bytes of a frame. Frames are not
//! authenticated: at worst a forged frame makes an alert sound where nobody listens.
//!
//! # Not here
//! The caller provides the radio, speech synthesis and playback.
//!
//! # Features
//! `std` is a default feature. `render` gives an [`Earcon`] as WAV. The decoder allocates nothing; the
//! router uses `alloc`.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod alert;
mod earcon;
mod haptic;
mod model;
mod pods;
mod policy;
pub mod proximity;
mod router;

/// What this crate's interface takes and gives.
pub use telemetry_core;

pub use alert::{
    Alert, AlertId, AlertLevel, Cue, Input, Output, Reason, Route, SpokenText, Urgency,
};
pub use earcon::{Earcon, SAMPLE_RATE};
pub use haptic::{Haptic, Touch};
pub use model::Model;
pub use policy::{Limits, Policy, QuietHours, Rate};
pub use router::{InputError, Refusal, RefusalAction, Router};
