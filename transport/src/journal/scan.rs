//! Reads frames back, and says what is damaged and how the journal ends.

use super::{FRAME_LEN, Frame, FrameKey, FrameKind, MAGIC};

/// Flag of the first frame of a commit: everything before it was durable when it was written.
///
/// It tells damage to durable bytes from a cut write whose later sectors arrived first.
pub(crate) const COMMIT: u16 = 1;

/// Walks the frames of one file in a slice, without allocating, up to the first that is none.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    base: u64,
    key: FrameKey,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// A scan of a file from its first byte.
    pub const fn new(bytes: &'a [u8], key: FrameKey) -> Self {
        Self::window(bytes, 0, key)
    }

    /// A scan of bytes that begin at `base` of their file.
    pub const fn window(bytes: &'a [u8], base: u64, key: FrameKey) -> Self {
        Self {
            bytes,
            base,
            key,
            at: 0,
        }
    }

    /// Offset of the next byte to read.
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Goes on at `at`.
    pub(crate) const fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// Where the next whole frame begins, over bytes that are none.
    pub fn resume(&self) -> Option<usize> {
        let rest = self.bytes.get(self.at..)?;
        let magic = MAGIC.to_le_bytes();
        rest.windows(2)
            .enumerate()
            .filter(|(_, w)| *w == magic)
            .map(|(i, _)| self.at + i)
            .find(|&at| self.frame_at(at).is_some())
    }

    /// Whether a later commit exists, so that everything before it was durable.
    fn commit_follows(&self, from: usize) -> bool {
        let mut scan = self.clone();
        scan.at = from;
        loop {
            if scan.any(|frame| frame.head.flags & COMMIT != 0) {
                return true;
            }
            match scan.resume() {
                Some(resume) => scan.at = resume,
                None => return false,
            }
        }
    }

    fn frame_at(&self, at: usize) -> Option<Frame<'a>> {
        Frame::at(self.bytes, at, self.base, self.key)
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let frame = self.frame_at(self.at)?;
        self.at = frame.end();
        Some(frame)
    }
}

/// What others know about the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it may end in a write that was cut.
    Nothing,
    /// It was whole before the next file began, and nobody knows how long it was.
    Whole,
    /// Its frames were whole up to here.
    End(usize),
}

/// What a walk comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// Bytes from `at` to `end` that were durable and are no frames any more, zeros among them.
    ///
    /// `end` is behind the last byte of a file that was cut.
    Damage {
        /// The first of them.
        at: usize,
        /// The first behind them.
        end: usize,
    },
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything up to here was promised; only unused bytes follow.
    Clean(usize),
    /// A write was cut here: nothing in it was promised.
    Torn(usize),
    /// A seal ends here: another segment goes on.
    Sealed(usize),
}

impl End {
    /// End of the last whole frame or of the damage behind it.
    pub const fn offset(self) -> usize {
        match self {
            Self::Clean(at) | Self::Torn(at) | Self::Sealed(at) => at,
        }
    }
}

/// Shows every frame of a file, and the damage between them.
///
/// Zeros are an end only where nobody knows better: before a known end, and where a later commit
/// follows, they are damage like other bytes.
pub fn walk<'a>(
    bytes: &'a [u8],
    key: FrameKey,
    known: Known,
    mut visit: impl FnMut(Part<'a>),
) -> End {
    let bytes = match known {
        Known::End(end) => &bytes[..end.min(bytes.len())],
        _ => bytes,
    };
    let mut scan = Scanner::new(bytes, key);
    loop {
        for frame in scan.by_ref() {
            visit(Part::Frame(frame));
            if frame.head.kind == FrameKind::Seal && !matches!(known, Known::End(_)) {
                return End::Sealed(frame.end());
            }
        }
        let at = scan.offset();
        let resume = scan.resume();
        let end = match (resume, known) {
            (None, Known::End(end)) if at >= end => return End::Sealed(at),
            (Some(resume), Known::End(_) | Known::Whole) => resume,
            (Some(resume), Known::Nothing) if scan.commit_follows(resume) => resume,
            (None, Known::End(end)) => end,
            (None, Known::Whole) => {
                // Nobody knows how much is gone; at least the bytes that are no zeros.
                let used = bytes[at..].iter().rposition(|&b| b != 0);
                used.map_or(at, |used| at + used + 1)
            }
            (_, Known::Nothing) => {
                let unused = bytes[at..].iter().take(FRAME_LEN).all(|&b| b == 0);
                return match unused && resume.is_none() {
                    true => End::Clean(at),
                    false => End::Torn(at),
                };
            }
        };
        if at < end {
            visit(Part::Damage { at, end });
        }
        match resume {
            Some(resume) => scan.seek(resume),
            None => return End::Sealed(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FrameHead, FrameKind, foreign_version, put_frame};
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const KEY: FrameKey = FrameKey {
        salt: 0x0123_4567_89ab_cdef,
        generation: 3,
    };

    const fn head(flags: u16, seq: u64) -> FrameHead {
        FrameHead {
            kind: FrameKind::Record,
            stream: 0x0102,
            flags,
            seq,
        }
    }

    /// Each payload is a commit of its own, or all are one.
    fn journal(key: FrameKey, flags: u16, payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (i, payload) in payloads.iter().enumerate() {
            let offset = bytes.len() as u64;
            put_frame(&mut bytes, key, offset, head(flags, i as u64), &[payload]).unwrap();
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn seen(bytes: &[u8], known: Known) -> (usize, Vec<(usize, usize)>, End) {
        let (mut frames, mut damage) = (0, Vec::new());
        let end = walk(bytes, KEY, known, |part| match part {
            Part::Frame(_) => frames += 1,
            Part::Damage { at, end } => damage.push((at, end)),
        });
        (frames, damage, end)
    }

    #[test]
    fn golden_bytes() {
        // Made by another implementation: Python's struct and zlib.
        let first: [u8; 36] = [
            0x52, 0x43, 0x02, 0x02, 0x04, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x02, 0x01,
            0x01, 0x80, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf9, 0x05, 0xbe, 0x46,
            0xc9, 0xfa, 0xa5, 0xcd, 0x62, 0x65, 0x61, 0x74,
        ];
        let second: [u8; 36] = [
            0x52, 0x43, 0x02, 0x02, 0x04, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x02, 0x01,
            0x01, 0x80, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x86, 0xf3, 0xd2, 0xfd,
            0xf8, 0xac, 0x63, 0xd7, 0x62, 0x65, 0x61, 0x74,
        ];
        let mut bytes = Vec::new();
        put_frame(&mut bytes, KEY, 0, head(0x8001, 9), &[b"be", b"at"]).unwrap();
        assert_eq!(bytes, first);
        put_frame(&mut bytes, KEY, 36, head(0x8001, 9), &[b"be", b"at"]).unwrap();
        assert_eq!(bytes[36..], second);
    }

    #[test]
    fn a_version_is_believed_only_with_its_checksum() {
        let (mut bytes, _) = journal(KEY, 0, &[b"beat".to_vec()]);
        assert_eq!(foreign_version(&bytes), None);
        for damage in [&[(2, 9)][..], &[(2, 9), (20, 7)], &[(2, 9), (24, 1)]] {
            let mut bytes = bytes.clone();
            for (at, byte) in damage {
                bytes[*at] = *byte;
            }
            assert_eq!(foreign_version(&bytes), None, "{damage:?}");
        }
        bytes[2] = 1;
        let crc = crc32fast::hash(&bytes[..24]);
        bytes[24..28].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(foreign_version(&bytes), Some(1));
        assert_eq!(foreign_version(&bytes[..31]), None);
        assert_eq!(foreign_version(&[0; 40]), None);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let payloads = [b"one".to_vec(), Vec::new(), b"three".to_vec()];
        let (whole, ends) = journal(KEY, COMMIT, &payloads);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let hit = ends.iter().position(|&end| bit / 8 < end).unwrap();
            let at = if hit == 0 { 0 } else { ends[hit - 1] };
            let damage = vec![(at, ends[hit])];
            let expected = match hit {
                // Damage in the last commit looks like a cut write.
                2 => (2, Vec::new(), End::Torn(at)),
                _ => (2, damage.clone(), End::Clean(ends[2])),
            };
            assert_eq!(seen(&bytes, Known::Nothing), expected, "bit {bit}");
            let expected = (2, damage, End::Sealed(ends[2]));
            assert_eq!(seen(&bytes, Known::End(ends[2])), expected, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_damage_where_bytes_were_durable() {
        let payloads = [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
        let (whole, ends) = journal(KEY, COMMIT, &payloads);
        let zeroed = |from: usize, to: usize| {
            let mut bytes = whole.clone();
            bytes[from..to].fill(0);
            bytes.resize(whole.len() + 64, 0);
            bytes
        };
        let middle = zeroed(ends[0], ends[1]);
        let expected = (2, vec![(ends[0], ends[1])], End::Clean(ends[2]));
        assert_eq!(seen(&middle, Known::Nothing), expected);
        let tail = zeroed(ends[0], ends[2]);
        let expected = (1, vec![(ends[0], ends[2])], End::Sealed(ends[2]));
        assert_eq!(seen(&tail, Known::End(ends[2])), expected);
        let cut = &whole[..ends[0]];
        assert_eq!(seen(cut, Known::End(ends[2])), expected);
    }

    /// Neither a copy nor a payload that was made to look like one.
    #[test]
    fn a_frame_holds_only_where_it_was_written() {
        let (real, _) = journal(KEY, 0, &[b"first".to_vec(), b"real".to_vec()]);
        let at = real.len();
        let other = FrameKey { salt: 9, ..KEY };
        let mut forged = Vec::new();
        let inside = (at + FRAME_LEN) as u64;
        put_frame(&mut forged, other, inside, head(0, 7), &[b"forged"]).unwrap();
        for payload in [&real[FRAME_LEN + 5..], &forged] {
            let mut bytes = real.clone();
            put_frame(&mut bytes, KEY, at as u64, head(0, 2), &[payload]).unwrap();
            assert_eq!(Scanner::new(&bytes, KEY).count(), 3);
            // The frame around it is damaged, and the scan looks for the next one.
            bytes[at] ^= 1;
            let mut scan = Scanner::new(&bytes, KEY);
            assert_eq!((scan.by_ref().count(), scan.resume()), (2, None));
        }
    }

    /// The halves of two frames at one place, as sectors of two writes would leave them.
    #[test]
    fn a_payload_holds_only_with_its_header() {
        let (one, _) = journal(KEY, 0, &[b"first".to_vec(), b"aaaa".to_vec()]);
        let (two, _) = journal(KEY, COMMIT, &[b"first".to_vec(), b"bbbb".to_vec()]);
        let at = FRAME_LEN + 5;
        for seam in at + 1..at + FRAME_LEN + 4 {
            let mixed = [&one[..seam], &two[seam..]].concat();
            let mut scan = Scanner::new(&mixed, KEY);
            scan.by_ref().for_each(drop);
            let whole = mixed[at..] == one[at..] || mixed[at..] == two[at..];
            assert!(whole || scan.offset() == at, "seam {seam}");
        }
    }

    proptest! {
        #[test]
        fn a_cut_leaves_the_longest_whole_prefix(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..5)) {
            let (whole, ends) = journal(KEY, 0, &payloads);
            // A longer journal of the generation before lies under the new one.
            let before = FrameKey { generation: 2, ..KEY };
            let (old, _) = journal(before, 0, &[payloads.concat(), payloads.concat(), payloads.concat()]);
            for cut in 0..=whole.len() {
                let expected = ends.iter().filter(|&&end| end <= cut).count();
                let (frames, damage, _) = seen(&whole[..cut], Known::Nothing);
                prop_assert_eq!((frames, damage.len()), (expected, 0));
                let mut stale = old.clone();
                let overlap = cut.min(stale.len());
                stale[..overlap].copy_from_slice(&whole[..overlap]);
                let expected = ends.iter().filter(|&&end| end <= overlap).count();
                // Stale bytes may happen to equal the cut ones and complete a frame: never more.
                let got: Vec<_> = Scanner::new(&stale, KEY).map(|f| f.payload.to_vec()).collect();
                prop_assert!(got.len() >= expected);
                prop_assert_eq!(&got[..], &payloads[..got.len()]);
                let (_, damage, _) = seen(&stale, Known::Nothing);
                prop_assert!(damage.is_empty());
            }
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), salt: u64, generation: u32, end in 0_usize..300) {
            let key = FrameKey { salt, generation };
            for known in [Known::Nothing, Known::Whole, Known::End(end)] {
                walk(&bytes, key, known, |_| {});
            }
            Frame::first(&bytes);
            foreign_version(&bytes);
        }
    }
}
