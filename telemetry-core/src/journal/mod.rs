//! The journal: checksummed frames in a byte stream that survives torn writes.
//!
//! This module owns the frame, its writer and its scanner; files, fsync and recycling belong to
//! who uses it. A frame is 32 bytes little-endian, then the payload:
//!
//! ```text
//!  0 magic 0x4352 u16 | 2 version u8 | 3 kind u8 | 4 len u32 | 8 generation u32
//! 12 stream u16       | 14 flags u16 | 16 seq u64
//! 24 CRC-32 of bytes 0..24           | 28 CRC-32 of bytes 0..28 and the payload
//! ```
//!
//! The *generation* grows whenever a segment's bytes are used again, so that what an earlier use
//! left behind never passes as part of this one.
//!
//! ```
//! use telemetry_core::journal::{FrameHead, FrameKind, Scanner, Verdict, put_frame};
//!
//! let head = FrameHead { kind: FrameKind::Record, generation: 1, stream: 2, flags: 0, seq: 3 };
//! let mut segment = Vec::new();
//! put_frame(&mut segment, head, &[b"beat"])?;
//! segment.extend_from_slice(&[0; 100]); // written ahead
//!
//! let mut scan = Scanner::new(&segment, 1);
//! assert_eq!(scan.next().map(|f| f.payload), Some(&b"beat"[..]));
//! assert_eq!(scan.next(), None);
//! assert_eq!(scan.verdict(), Verdict::Clean { end: 36 });
//! # Ok::<(), telemetry_core::journal::FrameError>(())
//! ```

mod frame;
mod scan;
mod writer;

pub use frame::{
    FRAME_LEN, Frame, FrameError, FrameHead, FrameKind, MAGIC, VERSION, foreign_version,
};
pub use scan::{Scanner, Verdict};
pub use writer::put_frame;
