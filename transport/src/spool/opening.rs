//! What an opening of a spool needs from outside.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use telemetry_core::{BootId, ClockMark, ClockQuality, DeviceId, Instant, Timestamp};

use crate::Limits;

/// What an opening needs from outside. [`Opening::new`] asks the operating system for it.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Identity of a new spool, and of one whose hardware changed: random.
    pub new_device: DeviceId,
    /// What the firmware says names this hardware. Another one than the spool was made with
    /// means a cloned image, which becomes a device of its own; so does a first token, since an
    /// image without one may have been cloned. `None` keeps the device and the token known.
    pub hardware_token: Option<[u8; 16]>,
    /// Both clocks, now.
    pub clock: ClockMark,
    /// Random bits for the epoch, others at every opening: never a constant, a process id or a
    /// counter that begins anew. Bits that repeat the epoch before are refused
    /// ([`OpenError::EpochRepeats`](crate::OpenError::EpochRepeats)).
    pub random: u64,
    /// Bounds.
    pub limits: Limits,
}

impl Opening {
    /// An opening with random bits of the operating system and the usual bounds.
    ///
    /// Wall time is the system's. Nobody says whether it follows a reference, so its quality is
    /// [`FreeRunning`](ClockQuality::FreeRunning), and [`Unset`](ClockQuality::Unset) before 1970. The
    /// boot is a new one whose monotonic time begins here, at 0. Who knows more, sets the field:
    ///
    /// ```
    /// # use telemetry_transport::{Limits, Opening};
    /// let opening = Opening {
    ///     limits: Limits { total_bytes: 1 << 30, ..Limits::default() },
    ///     ..Opening::new()?
    /// };
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// Fails only where the system has no random bits.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge: who has a clock of its own sets the field"
    )]
    pub fn new() -> io::Result<Self> {
        let (mut device, mut boot, mut random) = ([0; 16], [0; 16], [0; 8]);
        for bits in [&mut device[..], &mut boot, &mut random] {
            getrandom::fill(bits)?;
        }
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let wall = wall.and_then(|since| i64::try_from(since.as_micros()).ok());
        Ok(Self {
            new_device: DeviceId::from_bytes(device),
            hardware_token: None,
            clock: ClockMark {
                boot: BootId::from_bytes(boot),
                monotonic: Instant::default(),
                wall: Timestamp::from_micros(wall.unwrap_or(0)),
                quality: wall.map_or(ClockQuality::Unset, |_| ClockQuality::FreeRunning),
            },
            random: u64::from_le_bytes(random),
            limits: Limits::default(),
        })
    }
}
