//! What the shim saw: frames, input latency and surfaces, in a ring that never blocks a frame.

#[cfg(feature = "telemetry")]
use alloc::collections::VecDeque;
use core::fmt;

use telemetry_core::Instant;

use crate::ClientId;

/// A surface, for the life of a shim's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SurfaceKey {
    /// The client that owns it.
    pub client: ClientId,
    /// Its `wl_surface` id, which the client may use again after destroying it.
    pub surface: u32,
}

/// A title without allocation: its first [`Title::LEN_MAX`] bytes, cut between characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Title {
    len: u8,
    bytes: [u8; Self::LEN_MAX],
}

impl Title {
    /// Longest title kept, in bytes.
    pub const LEN_MAX: usize = 47;

    pub(crate) const EMPTY: Self = Self {
        len: 0,
        bytes: [0; Self::LEN_MAX],
    };

    pub(crate) fn new(text: &str) -> Self {
        let mut out = Self::EMPTY;
        let len = text.floor_char_boundary(Self::LEN_MAX);
        out.bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        out.len = len as u8;
        out
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or("")
    }
}

impl fmt::Debug for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What a surface is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Nothing yet.
    #[default]
    None,
    /// A window: the newest mapped one fills the screen.
    Toplevel,
    /// A menu or tooltip.
    Popup,
    /// The picture of the pointer.
    Cursor,
}

/// A change in the life of a surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurfaceChange {
    /// It exists.
    Created,
    /// It has its first picture.
    Mapped,
    /// It has no picture any more.
    Unmapped,
    /// It is gone.
    Destroyed,
}

/// One thing the shim saw. All instants are on the clock of `now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookEvent {
    /// A frame became visible.
    FramePresented {
        /// The surface.
        surface: SurfaceKey,
        /// Number of the frame on this display.
        sequence: u64,
        /// The client committed the content.
        committed: Instant,
        /// The shim took it up.
        latched: Instant,
        /// Its pixels were complete.
        composed: Instant,
        /// It became visible.
        presented: Instant,
        /// Pixels drawn.
        damage_px: u64,
    },
    /// From an input to the first frame committed after the client got it: the floor of the time
    /// from finger to photon.
    InputLatency {
        /// The surface that got the input.
        surface: SurfaceKey,
        /// The input was delivered.
        input: Instant,
        /// The frame became visible.
        presented: Instant,
    },
    /// A surface changed.
    Surface {
        /// When.
        at: Instant,
        /// The surface.
        surface: SurfaceKey,
        /// What happened.
        change: SurfaceChange,
        /// Its role.
        role: Role,
        /// Width of its picture in pixels.
        width: i32,
        /// Height of its picture in pixels.
        height: i32,
        /// Its title.
        title: Title,
    },
}

/// The ring. Without the `telemetry` feature it takes nothing.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    #[cfg(feature = "telemetry")]
    ring: VecDeque<HookEvent>,
    #[cfg(feature = "telemetry")]
    capacity: usize,
    #[cfg(feature = "telemetry")]
    pub(crate) dropped: u64,
}

#[cfg(feature = "telemetry")]
impl Hooks {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ring: VecDeque::with_capacity(capacity),
            capacity,
            dropped: 0,
        }
    }

    /// Keeps the older events: those around a stall tell more than those after it.
    pub(crate) fn record(&mut self, event: HookEvent) {
        if self.ring.len() < self.capacity {
            self.ring.push_back(event);
        } else {
            self.dropped += 1;
        }
    }

    pub(crate) fn pop(&mut self) -> Option<HookEvent> {
        self.ring.pop_front()
    }
}

#[cfg(not(feature = "telemetry"))]
impl Hooks {
    pub(crate) fn new(_capacity: usize) -> Self {
        Self::default()
    }

    pub(crate) fn record(&mut self, _event: HookEvent) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_cut_between_characters() {
        let long = "ä".repeat(40);
        assert_eq!(Title::new(&long).as_str().len(), 46);
        assert_eq!(Title::new("Ride").as_str(), "Ride");
    }
}
