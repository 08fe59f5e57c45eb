//! Reads frames back and says how the journal ends.

use super::{FRAME_LEN, Frame, MAGIC};

/// How a scan ended. Offsets count from the first scanned byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Only unused bytes follow: the end of the slice, or zeros where a frame would start.
    Clean {
        /// End of the last frame.
        end: usize,
    },
    /// The bytes at `at` are no frame, and none of this generation follows: a write was cut.
    Torn {
        /// End of the last whole frame.
        at: usize,
    },
    /// The bytes at `at` are no frame, yet one of this generation follows.
    ///
    /// Stored bytes were damaged, or the disk wrote later sectors of a cut write first.
    Corrupt {
        /// End of the last whole frame before the damage.
        at: usize,
        /// Offset of the next whole frame of this generation.
        resume: usize,
    },
}

/// Walks the frames of one generation in a slice, without allocating.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    generation: u32,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// A scan from the first byte.
    pub const fn new(bytes: &'a [u8], generation: u32) -> Self {
        Self::from_offset(bytes, generation, 0)
    }

    /// A scan from `at`, e.g. from where a [`Verdict::Corrupt`] says that frames resume.
    pub const fn from_offset(bytes: &'a [u8], generation: u32, at: usize) -> Self {
        Self {
            bytes,
            generation,
            at,
        }
    }

    /// The first frame of a slice, whatever its generation: how a segment tells its own.
    pub fn first(bytes: &'a [u8]) -> Option<Frame<'a>> {
        Frame::at(bytes, 0)
    }

    /// Offset of the next byte to read.
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Why [`next`](Iterator::next) returned `None`. Searches the rest of the slice if need be.
    pub fn verdict(&self) -> Verdict {
        let at = self.at;
        if let Some(resume) = self.next_valid(at) {
            return match resume == at {
                true => Verdict::Clean { end: at },
                false => Verdict::Corrupt { at, resume },
            };
        }
        let rest = self.bytes.get(at..).unwrap_or_default();
        match rest.iter().take(FRAME_LEN).all(|&b| b == 0) {
            true => Verdict::Clean { end: at },
            false => Verdict::Torn { at },
        }
    }

    fn valid_at(&self, offset: usize) -> Option<Frame<'a>> {
        Frame::at(self.bytes, offset).filter(|f| f.head.generation == self.generation)
    }

    fn next_valid(&self, from: usize) -> Option<usize> {
        let rest = self.bytes.get(from..)?;
        let magic = MAGIC.to_le_bytes();
        rest.windows(2)
            .enumerate()
            .filter(|(_, w)| *w == magic)
            .map(|(i, _)| from + i)
            .find(|&offset| self.valid_at(offset).is_some())
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let frame = self.valid_at(self.at)?;
        self.at = frame.end();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FrameHead, FrameKind, foreign_version, put_frame};
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn head(generation: u32, seq: u64) -> FrameHead {
        FrameHead {
            kind: FrameKind::Record,
            generation,
            stream: 0x0102,
            flags: 0x8001,
            seq,
        }
    }

    fn journal(generation: u32, payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (i, payload) in payloads.iter().enumerate() {
            put_frame(&mut bytes, head(generation, i as u64), &[payload]).unwrap();
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, head(7, 9), &[b"be", b"at"]).unwrap();
        // Made by another implementation: Python's struct and zlib.
        let golden: [u8; 36] = [
            0x52, 0x43, 0x01, 0x02, 0x04, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x02, 0x01,
            0x01, 0x80, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3e, 0xe4, 0xf7, 0xab,
            0xe9, 0x06, 0x9f, 0x91, 0x62, 0x65, 0x61, 0x74,
        ];
        assert_eq!(bytes, golden);
    }

    #[test]
    fn a_foreign_version_is_told_from_damage() {
        let (mut bytes, _) = journal(7, &[b"beat".to_vec()]);
        assert_eq!(foreign_version(&bytes), None);
        bytes[2] = 9;
        assert_eq!(foreign_version(&bytes), None, "one damaged byte");
        bytes[20] ^= 1;
        assert_eq!(foreign_version(&bytes), Some(9));
        assert_eq!(foreign_version(&bytes[..31]), None);
        assert_eq!(foreign_version(&[0; 40]), None);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let payloads = [b"one".to_vec(), Vec::new(), b"three".to_vec()];
        let (whole, ends) = journal(3, &payloads);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut scan = Scanner::new(&bytes, 3);
            let got = scan.by_ref().count();
            let hit = ends.iter().position(|&end| bit / 8 < end).unwrap();
            assert_eq!(got, hit, "bit {bit}");
            let at = if hit == 0 { 0 } else { ends[hit - 1] };
            let expected = match hit {
                2 => Verdict::Torn { at },
                _ => Verdict::Corrupt {
                    at,
                    resume: ends[hit],
                },
            };
            assert_eq!(scan.verdict(), expected, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn a_cut_leaves_the_longest_whole_prefix(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..5)) {
            let (whole, ends) = journal(5, &payloads);
            // A longer journal of the generation before lies under the new one.
            let (old, _) = journal(4, &[payloads.concat(), payloads.concat(), payloads.concat()]);
            for cut in 0..=whole.len() {
                let expected = ends.iter().filter(|&&end| end <= cut).count();
                let mut scan = Scanner::new(&whole[..cut], 5);
                prop_assert_eq!(scan.by_ref().count(), expected);
                let corrupt = matches!(scan.verdict(), Verdict::Corrupt { .. });
                prop_assert!(!corrupt);
                let mut stale = old.clone();
                let overlap = cut.min(stale.len());
                stale[..overlap].copy_from_slice(&whole[..overlap]);
                let expected = ends.iter().filter(|&&end| end <= overlap).count();
                // Stale bytes may happen to equal the cut ones and complete a frame: never more.
                let mut scan = Scanner::new(&stale, 5);
                let got: Vec<_> = scan.by_ref().map(|f| f.payload.to_vec()).collect();
                prop_assert!(got.len() >= expected);
                prop_assert_eq!(&got[..], &payloads[..got.len()]);
                let corrupt = matches!(scan.verdict(), Verdict::Corrupt { .. });
                prop_assert!(!corrupt);
            }
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), generation: u32) {
            let mut scan = Scanner::new(&bytes, generation);
            scan.by_ref().for_each(drop);
            scan.verdict();
        }
    }
}
