//! What an opening of a spool needs from outside, and what it finds.

use alloc::collections::BTreeSet;

use telemetry_core::wire::Reader;
use telemetry_core::{ClockMark, ClockQuality, DeviceId, Epoch, Seq};

use super::header::{Header, StreamState, take_clock};
use super::{Previous, payload_of};
use crate::error::OpenError;
use crate::journal::{Frame, FrameKind};
use crate::{Limits, Position};

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
    /// Random bits for a new spool, which nobody else learns. They are part of its checksums, so that
    /// no record can be made that looks like the spool's own frames.
    pub salt: u64,
    /// Bounds.
    pub limits: Limits,
}

#[cfg(feature = "std")]
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
    pub fn new() -> std::io::Result<Self> {
        use telemetry_core::{BootId, Instant, Timestamp};

        let (mut device, mut boot) = ([0; 16], [0; 16]);
        getrandom::fill(&mut device)?;
        getrandom::fill(&mut boot)?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let wall = since
            .ok()
            .and_then(|since| i64::try_from(since.as_micros()).ok());
        Ok(Self {
            new_device: DeviceId::from_bytes(device),
            hardware_token: None,
            clock: ClockMark {
                boot: BootId::from_bytes(boot),
                monotonic: Instant::default(),
                wall: Timestamp::from_micros(wall.unwrap_or(0)),
                quality: wall.map_or(ClockQuality::Unset, |_| ClockQuality::FreeRunning),
            },
            random: random_bits()?,
            salt: random_bits()?,
            limits: Limits::default(),
        })
    }
}

/// Random bits of the operating system.
#[cfg(feature = "std")]
pub(crate) fn random_bits() -> std::io::Result<u64> {
    let mut bits = [0; 8];
    getrandom::fill(&mut bits)?;
    Ok(u64::from_le_bytes(bits))
}

/// What earlier openings left, as their frames go by.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The newest header, brought up to the newest frame.
    header: Option<Header>,
    /// Of every header that is left: records of none of them may be named again.
    epochs: BTreeSet<Epoch>,
    /// Segment whose header is known: records of another may be of another epoch.
    headed: Option<u32>,
    /// Records that are not confirmed.
    pub(super) records: u64,
}

impl Past {
    /// Takes a frame; records before `cursor` are confirmed.
    pub(super) fn frame(&mut self, at: Position, frame: &Frame<'_>, cursor: Position) {
        if frame.head.kind == FrameKind::Header {
            if let Some(header) = Header::of(frame) {
                self.epochs.insert(header.epoch);
                self.header = Some(header);
                self.headed = Some(at.segment);
            }
            return;
        }
        let Some(header) = &mut self.header else {
            return;
        };
        let headed = self.headed == Some(at.segment);
        match frame.head.kind {
            FrameKind::Mark => {
                if let Ok(clock) = take_clock(&mut Reader::new(frame.payload)) {
                    header.clock = clock;
                }
            }
            FrameKind::Names if headed => {
                // Names that no release wrote are not known.
                let _ = header.add_names(frame);
            }
            FrameKind::Record => {
                self.records += u64::from(at >= cursor);
                if headed
                    && let Some(stream) = header.streams.get_mut(usize::from(frame.head.stream))
                {
                    stream.next_seq = frame.head.seq.saturating_add(1);
                }
                if let Some((source, serial)) = payload_of(frame).and_then(|p| p.origin)
                    && let Some(source) = header.sources.get_mut(usize::from(source))
                {
                    source.serial = serial;
                }
            }
            _ => {}
        }
    }

    /// The state of the new opening, and the epoch before it if its hardware is the same.
    pub(super) fn next(self, opening: &Opening) -> Result<(Header, Option<Previous>), OpenError> {
        let found = self.header;
        let synchronised = opening.clock.quality == ClockQuality::Synchronised;
        let previous = found.as_ref().map(|h| h.epoch);
        let now = synchronised.then_some(opening.clock.wall);
        let epoch = Epoch::for_opening(previous, now, opening.random)
            .filter(|epoch| !self.epochs.contains(epoch))
            .ok_or(OpenError::EpochRepeats {
                previous: previous.unwrap_or_default(),
            })?;
        // The same hardware, as far as the firmware can say.
        let same = found.as_ref().filter(|h| {
            opening.hardware_token.is_none() || h.hardware_token == opening.hardware_token
        });
        let previous = same.map(|h| Previous {
            epoch: h.epoch,
            next_seqs: h
                .streams
                .iter()
                .map(|s| (s.name.clone(), Seq::new(s.next_seq).unwrap_or(Seq::MAX)))
                .collect(),
        });
        let device = same.map_or(opening.new_device, |h| h.device);
        let token = found.as_ref().and_then(|h| h.hardware_token);
        let (mut streams, sources) =
            found.map_or_else(Default::default, |h| (h.streams, h.sources));
        let first = |s: &mut StreamState| s.next_seq = 1;
        streams.iter_mut().for_each(first);
        let header = Header {
            device,
            hardware_token: opening.hardware_token.or(token),
            epoch,
            clock: opening.clock,
            streams,
            sources,
        };
        Ok((header, previous))
    }
}
