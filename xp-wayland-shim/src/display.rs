//! What the shim draws on and reads from: given by the caller for the time of one `compose`.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use telemetry_core::Instant;

use crate::{DisplayError, Handle, PoolError, Rect};

/// Size and refresh rate of the screen, as told to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputMode {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Refresh rate in millihertz, e.g. 60 000.
    pub refresh_mhz: u32,
}

impl OutputMode {
    /// A mode at 60 Hz.
    pub const fn new(width: u16, height: u16) -> Self {
        Self {
            width,
            height,
            refresh_mhz: 60_000,
        }
    }

    pub(crate) const fn rect(&self) -> Rect {
        Rect::new(0, 0, self.width as i32, self.height as i32)
    }
}

impl fmt::Display for OutputMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hertz, milli) = (self.refresh_mhz / 1000, self.refresh_mhz % 1000);
        write!(f, "{}x{} at {hertz}.{milli:03} Hz", self.width, self.height)
    }
}

/// The pixels of a display while a frame is drawn: XRGB8888, little-endian, rows from the top.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The rows; the last one may end after its last pixel.
    pub pixels: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// When a frame passed its last two stations, on the clock of `now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Its pixels were complete.
    pub composed: Instant,
    /// It became visible.
    pub visible: Instant,
}

/// A screen.
pub trait Display {
    /// Its mode. Must be the one given to [`Shim::new`](crate::Shim::new).
    fn mode(&self) -> OutputMode;

    /// Its pixels, as the last frame left them.
    fn lock(&mut self) -> Result<Frame<'_>, DisplayError>;

    /// Shows the pixels written since `lock`; only those inside `damage` changed.
    ///
    /// A driver that knows no better returns `now` for both times.
    fn present(&mut self, now: Instant, damage: &[Rect]) -> Result<Presented, DisplayError>;
}

/// The shared memory of clients. The caller owns the handles; the shim says what to do with them.
///
/// Every handle given to the shim is closed exactly once, whether or not a pool was opened on it.
pub trait Pools {
    /// Makes `size` bytes of `handle` readable.
    fn open(&mut self, handle: Handle, size: u32) -> Result<(), PoolError>;

    /// The client says that the memory has grown to `size` bytes.
    fn resize(&mut self, handle: Handle, size: u32) -> Result<(), PoolError>;

    /// Fills `out` from byte `offset` on. The client may truncate the memory at any time: that is
    /// an error here, never a signal.
    fn read(&mut self, handle: Handle, offset: u32, out: &mut [u8]) -> Result<(), PoolError>;

    /// The shim uses `handle` no more.
    fn close(&mut self, handle: Handle);
}

/// A display in memory.
#[derive(Clone, Debug)]
pub struct MemoryDisplay {
    mode: OutputMode,
    pixels: Vec<u8>,
    frames: u64,
}

impl MemoryDisplay {
    /// A black display.
    pub fn new(mode: OutputMode) -> Self {
        Self {
            mode,
            pixels: vec![0; usize::from(mode.width) * usize::from(mode.height) * 4],
            frames: 0,
        }
    }

    /// XRGB8888, little-endian (bytes B, G, R, X), `4 * width` bytes per row, rows from the top.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The colour at (`x`, `y`) as `0x00rrggbb`, `None` outside.
    pub fn pixel(&self, x: u16, y: u16) -> Option<u32> {
        if x >= self.mode.width {
            return None;
        }
        let at = (usize::from(y) * usize::from(self.mode.width) + usize::from(x)) * 4;
        let bytes = self.pixels.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) & 0x00ff_ffff)
    }

    /// Frames presented so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }
}

impl Display for MemoryDisplay {
    fn mode(&self) -> OutputMode {
        self.mode
    }

    fn lock(&mut self) -> Result<Frame<'_>, DisplayError> {
        Ok(Frame {
            stride: usize::from(self.mode.width) * 4,
            pixels: &mut self.pixels,
        })
    }

    fn present(&mut self, now: Instant, _damage: &[Rect]) -> Result<Presented, DisplayError> {
        self.frames += 1;
        Ok(Presented {
            composed: now,
            visible: now,
        })
    }
}
