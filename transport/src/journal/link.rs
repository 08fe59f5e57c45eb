//! What the first frame of a segment says about the journal around it.

use super::{Frame, FrameKey, FrameKind};

/// Links a segment to the one before it, so that nothing between them can go unnoticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Random bits of the journal: part of every checksum but that of a file's first frame.
    pub salt: u64,
    /// Number of the segment before, 0 for none.
    pub before: u32,
    /// Checksum over the checksums of its frames.
    pub checksum: u32,
    /// Where its frames end.
    pub end: u64,
    /// Bytes of all frames of the journal before this segment, since the journal was made.
    pub base: u64,
}

impl Link {
    /// Bytes of a link.
    pub const LEN: usize = 32;

    pub(crate) fn encode(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..8].copy_from_slice(&self.salt.to_le_bytes());
        out[8..12].copy_from_slice(&self.before.to_le_bytes());
        out[12..16].copy_from_slice(&self.checksum.to_le_bytes());
        out[16..24].copy_from_slice(&self.end.to_le_bytes());
        out[24..].copy_from_slice(&self.base.to_le_bytes());
        out
    }

    /// The link at the start of a header's payload, and what follows it.
    pub(crate) fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (salt, rest) = payload.split_first_chunk()?;
        let (before, rest) = rest.split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let (end, rest) = rest.split_first_chunk()?;
        let (base, rest) = rest.split_first_chunk()?;
        let link = Self {
            salt: u64::from_le_bytes(*salt),
            before: u32::from_le_bytes(*before),
            checksum: u32::from_le_bytes(*checksum),
            end: u64::from_le_bytes(*end),
            base: u64::from_le_bytes(*base),
        };
        Some((link, rest))
    }

    /// The key and the link of the segment that begins with these bytes, if its first frame is whole.
    pub fn of(bytes: &[u8]) -> Option<(FrameKey, Self)> {
        let first = Frame::first(bytes).filter(|first| first.head.kind == FrameKind::Header)?;
        let (link, _) = Self::split(first.payload)?;
        let key = FrameKey {
            salt: link.salt,
            generation: first.generation,
        };
        Some((key, link))
    }
}
