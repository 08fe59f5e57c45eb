//! Every bound of the shim, with its unit and its reason.

use core::time::Duration;

/// Longest record of `xp_telemetry_v1`, in bytes: it fits a 4096-byte message with its header.
pub const RECORD_BYTES_MAX: usize = 4000;
/// Longest schema text of `xp_telemetry_v1`, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Longest name of a source, in bytes.
pub const SOURCE_NAME_BYTES_MAX: usize = 128;
/// Largest scale of a surface's picture: it decides how many of the client's bytes are read for each
/// pixel of the screen. Desktops go up to 4.
pub const SCALE_MAX: i32 = 16;
/// Bytes of a client's memory that are read at once while a frame is composed, whatever the client
/// says about the shape of its buffer.
pub(crate) const SCRATCH_BYTES_MAX: usize = 64 * 1024;
/// Longest reason that a client hears of a refusal, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 512;

/// What the shim may hold. A client that exceeds a bound is disconnected; the others go on.
///
/// With the defaults one client can make the shim keep at most about 10 MiB, most of which is
/// records that the caller has not made durable.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Clients at a time.
    pub clients_max: usize,
    /// Objects of one client: a toolkit uses some hundred.
    pub objects_max: usize,
    /// Surfaces of one client.
    pub surfaces_max: usize,
    /// Shared-memory pools of one client; each holds a file descriptor open.
    pub pools_max: usize,
    /// File descriptors of one client that no message has taken yet.
    pub handles_max: usize,
    /// Bytes of one client that wait for the rest of their message or for a file descriptor.
    pub receive_bytes_max: usize,
    /// Bytes a client has not read yet: a stuck client costs this much, then its connection.
    pub transmit_bytes_max: usize,
    /// Frame callbacks or presentation feedbacks that wait on one surface.
    pub callbacks_max: usize,
    /// Rectangles of one region.
    pub region_rects_max: usize,
    /// Sources of one client.
    pub sources_max: usize,
    /// Records of one source that may be on their way to durability (its credit).
    pub record_window: u32,
    /// Outputs that may wait before inputs are refused.
    pub outputs_max: usize,
    /// Hook events that may wait; later ones are counted and dropped.
    pub hook_events_max: usize,
    /// Shortest time between two frames: 60 a second.
    pub frame_interval: Duration,
    /// Time between two frame callbacks of a surface nobody sees: toolkits stall without any.
    pub hidden_frame_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients_max: 16,
            objects_max: 4096,
            surfaces_max: 64,
            pools_max: 32,
            handles_max: 32,
            receive_bytes_max: 64 * 1024,
            transmit_bytes_max: 1024 * 1024,
            callbacks_max: 64,
            region_rects_max: 256,
            sources_max: 8,
            record_window: 256,
            outputs_max: 4096,
            hook_events_max: 1024,
            frame_interval: Duration::from_nanos(16_666_667),
            hidden_frame_interval: Duration::from_secs(1),
        }
    }
}
