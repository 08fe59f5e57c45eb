//! The journal: checksummed frames in a byte stream that survives torn writes.
//!
//! This module owns the frame, its writer and its scanner; files, syncs and recycling belong to who
//! uses it. `FORMAT.md` beside the crate draws every byte, and argues each rule. A frame is 32 bytes
//! little-endian, then the payload:
//!
//! ```text
//!  0 magic 0x4352 u16 | 2 version u8 | 3 kind u8 | 4 len u32 | 8 generation u32
//! 12 stream u16       | 14 flags u16 | 16 seq u64
//! 24 CRC-32 of bytes 0..24           | 28 CRC-32 of bytes 0..24 and the payload
//! ```
//!
//! A frame holds only where it was written: its generation is the number of its segment, and both
//! checksums begin with the offset in the file and with the journal's salt. So neither what an earlier
//! use of the bytes left behind, nor a copy elsewhere, nor a payload that looks like a frame is one.
//!
//! ```
//! use telemetry_transport::journal::{FrameHead, FrameKey, FrameKind, Scanner, put_frame};
//!
//! let key = FrameKey { salt: 0x5eed, generation: 1 };
//! let head = FrameHead { kind: FrameKind::Record, stream: 2, flags: 0, seq: 3 };
//! let mut segment = Vec::new();
//! put_frame(&mut segment, key, 0, head, &[b"beat"])?;
//! segment.extend_from_slice(&[0; 100]); // written ahead
//!
//! let mut scan = Scanner::new(&segment, key);
//! assert_eq!(scan.next().map(|f| f.payload), Some(&b"beat"[..]));
//! assert_eq!(scan.next(), None);
//! assert_eq!(scan.offset(), 36);
//! # Ok::<(), telemetry_transport::journal::FrameError>(())
//! ```

mod frame;
mod link;
mod scan;

pub(crate) use frame::checksum;
pub use frame::{
    FRAME_LEN, Frame, FrameError, FrameHead, FrameKey, FrameKind, MAGIC, VERSION, foreign_version,
    put_frame,
};
pub use link::Link;
pub(crate) use scan::COMMIT;
pub use scan::{End, Known, Part, Scanner, walk};
