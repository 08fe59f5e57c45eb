//! The frame: 32 bytes that say what follows, where it belongs, and whether it is whole.

use alloc::vec::Vec;

use crc32fast::Hasher;

/// First two bytes of a frame, little-endian.
pub const MAGIC: u16 = 0x4352;
/// Version of the frame.
pub const VERSION: u8 = 2;
/// Bytes before the payload.
pub const FRAME_LEN: usize = 32;

/// Bytes of a frame that its first checksum covers.
const HEAD_LEN: usize = 24;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Opens a segment, or an opening within it.
    Header = 1,
    /// One record.
    Record = 2,
    /// One batch.
    Batch = 3,
    /// A reading of the clocks.
    Mark = 4,
    /// Streams and sources that came after the header.
    Names = 5,
    /// Ends a segment: another one goes on.
    Seal = 6,
    /// The place of a reader.
    Place = 7,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Header,
            2 => Self::Record,
            3 => Self::Batch,
            4 => Self::Mark,
            5 => Self::Names,
            6 => Self::Seal,
            7 => Self::Place,
            _ => return None,
        })
    }
}

/// Which file of which journal a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameKey {
    /// Random bits of the journal, which nobody knows who only appends to it.
    pub salt: u64,
    /// Which use of the file's bytes this is: the number of a segment.
    pub generation: u32,
}

impl FrameKey {
    /// What the two checksums of a frame begin with.
    ///
    /// Another first value gives another checksum for the same bytes, always. So a frame is none at
    /// another offset, and one that was made without the salt fails both checksums but once in 2⁶⁴.
    /// The first frame of a file says what the salt is, and does without it.
    const fn seeds(self, offset: u64) -> (u32, u32) {
        // No file is longer than 4 GiB.
        let at = offset as u32;
        match offset {
            0 => (0, 0),
            _ => (self.salt as u32 ^ at, (self.salt >> 32) as u32 ^ at),
        }
    }
}

/// What a writer says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// What the payload is.
    pub kind: FrameKind,
    /// Number of the stream, 0 where none applies.
    pub stream: u16,
    /// Bits whose meaning belongs to the journal's user.
    pub flags: u16,
    /// Number within the stream.
    pub seq: u64,
}

impl FrameHead {
    /// The 32 bytes before a payload given in parts.
    fn encode(self, key: FrameKey, offset: u64, len: u32, payload: &[&[u8]]) -> [u8; FRAME_LEN] {
        let mut b = [0; FRAME_LEN];
        b[..2].copy_from_slice(&MAGIC.to_le_bytes());
        b[2] = VERSION;
        b[3] = self.kind as u8;
        b[4..8].copy_from_slice(&len.to_le_bytes());
        b[8..12].copy_from_slice(&key.generation.to_le_bytes());
        b[12..14].copy_from_slice(&self.stream.to_le_bytes());
        b[14..16].copy_from_slice(&self.flags.to_le_bytes());
        b[16..24].copy_from_slice(&self.seq.to_le_bytes());
        let (head_seed, seed) = key.seeds(offset);
        let head_crc = checksum(head_seed, &[&b[..HEAD_LEN]]);
        let mut crc = Hasher::new_with_initial(seed);
        crc.update(&b[..HEAD_LEN]);
        payload.iter().for_each(|part| crc.update(part));
        b[24..28].copy_from_slice(&head_crc.to_le_bytes());
        b[28..].copy_from_slice(&crc.finalize().to_le_bytes());
        b
    }
}

/// CRC-32 of parts, from a first value on.
pub(crate) fn checksum(first: u32, parts: &[&[u8]]) -> u32 {
    let mut crc = Hasher::new_with_initial(first);
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

/// A whole frame in a borrowed buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the writer said.
    pub head: FrameHead,
    /// Use of the file's bytes that it belongs to.
    pub generation: u32,
    /// Offset of the frame's first byte in the scanned bytes.
    pub offset: usize,
    /// The payload, checked.
    pub payload: &'a [u8],
    /// Both checksums, as they are stored.
    pub checksums: [u8; 8],
}

impl<'a> Frame<'a> {
    /// Offset of the first byte after the frame.
    pub const fn end(&self) -> usize {
        self.offset + FRAME_LEN + self.payload.len()
    }

    /// The first frame of a file, whatever its generation: how a file says what it is.
    pub fn first(bytes: &'a [u8]) -> Option<Self> {
        Self::whole(bytes, 0, (0, 0))
    }

    /// The frame at `at` in bytes that begin at `base` of their file, if both checksums hold.
    pub(super) fn at(bytes: &'a [u8], at: usize, base: u64, key: FrameKey) -> Option<Self> {
        let seeds = key.seeds(base + at as u64);
        Self::whole(bytes, at, seeds).filter(|frame| frame.generation == key.generation)
    }

    fn whole(bytes: &'a [u8], offset: usize, (head_seed, seed): (u32, u32)) -> Option<Self> {
        let (b, rest) = bytes.get(offset..)?.split_first_chunk::<FRAME_LEN>()?;
        let [.., c0, c1, c2, c3, p0, p1, p2, p3] = *b;
        if u16::from_le_bytes([b[0], b[1]]) != MAGIC
            || b[2] != VERSION
            || checksum(head_seed, &[&b[..HEAD_LEN]]) != u32::from_le_bytes([c0, c1, c2, c3])
        {
            return None;
        }
        let len = u32::from_le_bytes([b[4], b[5], b[6], b[7]]);
        let payload = rest.get(..usize::try_from(len).ok()?)?;
        if checksum(seed, &[&b[..HEAD_LEN], payload]) != u32::from_le_bytes([p0, p1, p2, p3]) {
            return None;
        }
        let head = FrameHead {
            kind: FrameKind::from_byte(b[3])?,
            stream: u16::from_le_bytes([b[12], b[13]]),
            flags: u16::from_le_bytes([b[14], b[15]]),
            seq: u64::from_le_bytes([b[16], b[17], b[18], b[19], b[20], b[21], b[22], b[23]]),
        };
        Some(Self {
            head,
            generation: u32::from_le_bytes([b[8], b[9], b[10], b[11]]),
            offset,
            payload,
            checksums: [c0, c1, c2, c3, p0, p1, p2, p3],
        })
    }
}

/// The version of a file that begins with these bytes, if a release with another format wrote it.
///
/// Magic, version and the plain CRC-32 of the first 24 bytes, at byte 24, stay where they are in every
/// version. So a version is believed only where that checksum holds: damage is never another release.
pub fn foreign_version(bytes: &[u8]) -> Option<u8> {
    let b = bytes.first_chunk::<FRAME_LEN>()?;
    let whole = checksum(0, &[&b[..HEAD_LEN]]) == u32::from_le_bytes([b[24], b[25], b[26], b[27]]);
    (u16::from_le_bytes([b[0], b[1]]) == MAGIC && whole && b[2] != VERSION).then_some(b[2])
}

/// Appends a frame that will stand at `offset` of its file, and whose payload is the concatenation of
/// `parts`; returns the bytes added.
///
/// A refused payload leaves `out` as it was.
pub fn put_frame(
    out: &mut Vec<u8>,
    key: FrameKey,
    offset: u64,
    head: FrameHead,
    parts: &[&[u8]],
) -> Result<usize, FrameError> {
    let len = parts.iter().map(|p| p.len()).sum();
    let encoded = u32::try_from(len).map_err(|_| FrameError::TooLong { len })?;
    out.reserve(FRAME_LEN + len);
    out.extend_from_slice(&head.encode(key, offset, encoded, parts));
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(FRAME_LEN + len)
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

telemetry_core::error_codes!(FrameError { TooLong { .. } => 3900 });
