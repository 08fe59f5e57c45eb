//! Appends frames to a buffer.

use alloc::vec::Vec;

use super::{FRAME_LEN, FrameError, FrameHead};

/// Appends a frame whose payload is the concatenation of `parts`; returns the bytes added.
///
/// A refused payload leaves `out` as it was.
pub fn put_frame(out: &mut Vec<u8>, head: FrameHead, parts: &[&[u8]]) -> Result<usize, FrameError> {
    let len = parts.iter().map(|p| p.len()).sum();
    let encoded = u32::try_from(len).map_err(|_| FrameError::TooLong { len })?;
    out.reserve(FRAME_LEN + len);
    out.extend_from_slice(&head.encode(encoded, parts));
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(FRAME_LEN + len)
}
