//! The frame: 32 bytes that say what follows and whether it is whole.

use crc32fast::Hasher;

/// First two bytes of a frame, little-endian.
pub const MAGIC: u16 = 0x4352;
/// Version of the frame.
pub const VERSION: u8 = 1;
/// Bytes before the payload.
pub const FRAME_LEN: usize = 32;

/// CRC-32 of any bytes with their own CRC-32 behind, so also of bytes 0 to 27 of every frame.
const HEADER_RESIDUE: u32 = 0x2144_df1c;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Opens a segment.
    Header = 1,
    /// One record.
    Record = 2,
    /// One batch.
    Batch = 3,
    /// A reading of the clocks.
    Mark = 4,
    /// Nothing: fills space.
    Pad = 5,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Header,
            2 => Self::Record,
            3 => Self::Batch,
            4 => Self::Mark,
            5 => Self::Pad,
            _ => return None,
        })
    }
}

/// What a writer says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// What the payload is.
    pub kind: FrameKind,
    /// Which use of the segment's bytes this is.
    pub generation: u32,
    /// Number of the stream, 0 where none applies.
    pub stream: u16,
    /// Bits whose meaning belongs to the journal's user.
    pub flags: u16,
    /// Number within the stream.
    pub seq: u64,
}

impl FrameHead {
    /// The 32 bytes before a payload given in parts.
    pub(super) fn encode(self, len: u32, payload: &[&[u8]]) -> [u8; FRAME_LEN] {
        let mut b = [0; FRAME_LEN];
        b[..2].copy_from_slice(&MAGIC.to_le_bytes());
        b[2] = VERSION;
        b[3] = self.kind as u8;
        b[4..8].copy_from_slice(&len.to_le_bytes());
        b[8..12].copy_from_slice(&self.generation.to_le_bytes());
        b[12..14].copy_from_slice(&self.stream.to_le_bytes());
        b[14..16].copy_from_slice(&self.flags.to_le_bytes());
        b[16..24].copy_from_slice(&self.seq.to_le_bytes());
        let header_crc = crc32fast::hash(&b[..24]);
        b[24..28].copy_from_slice(&header_crc.to_le_bytes());
        let mut crc = Hasher::new_with_initial(HEADER_RESIDUE);
        for part in payload {
            crc.update(part);
        }
        b[28..].copy_from_slice(&crc.finalize().to_le_bytes());
        b
    }
}

/// A whole frame in a borrowed buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the writer said.
    pub head: FrameHead,
    /// Offset of the frame's first byte in the scanned bytes.
    pub offset: usize,
    /// The payload, checked.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Offset of the first byte after the frame.
    pub const fn end(&self) -> usize {
        self.offset + FRAME_LEN + self.payload.len()
    }

    /// The frame at `offset`, if both checksums hold.
    pub(super) fn at(bytes: &'a [u8], offset: usize) -> Option<Self> {
        let (b, rest) = bytes.get(offset..)?.split_first_chunk::<FRAME_LEN>()?;
        if u16::from_le_bytes([b[0], b[1]]) != MAGIC
            || b[2] != VERSION
            || crc32fast::hash(&b[..24]) != u32::from_le_bytes([b[24], b[25], b[26], b[27]])
        {
            return None;
        }
        let len = u32::from_le_bytes([b[4], b[5], b[6], b[7]]);
        let payload = rest.get(..usize::try_from(len).ok()?)?;
        let mut crc = Hasher::new_with_initial(HEADER_RESIDUE);
        crc.update(payload);
        if crc.finalize() != u32::from_le_bytes([b[28], b[29], b[30], b[31]]) {
            return None;
        }
        let head = FrameHead {
            kind: FrameKind::from_byte(b[3])?,
            generation: u32::from_le_bytes([b[8], b[9], b[10], b[11]]),
            stream: u16::from_le_bytes([b[12], b[13]]),
            flags: u16::from_le_bytes([b[14], b[15]]),
            seq: u64::from_le_bytes([b[16], b[17], b[18], b[19], b[20], b[21], b[22], b[23]]),
        };
        Some(Self {
            head,
            offset,
            payload,
        })
    }
}

/// The version of the frame at the start of `bytes`, if a release with another format wrote it.
///
/// Magic and version stay where they are in every version. A frame of this version whose version
/// byte is damaged is not foreign: its header checksum tells.
pub fn foreign_version(bytes: &[u8]) -> Option<u8> {
    let mut b = *bytes.first_chunk::<FRAME_LEN>()?;
    let found = core::mem::replace(&mut b[2], VERSION);
    let ours = crc32fast::hash(&b[..24]) == u32::from_le_bytes([b[24], b[25], b[26], b[27]]);
    (u16::from_le_bytes([b[0], b[1]]) == MAGIC && found != VERSION && !ours).then_some(found)
}

/// A frame that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The payload does not fit the length field.
    #[error("a frame holds at most 4294967295 bytes, this payload has {len}")]
    TooLong {
        /// Length of the payload in bytes.
        len: usize,
    },
}

crate::error_codes!(FrameError { TooLong { .. } => 1100 });
