//! What must hold for any bytes that somebody left in a file of a journal.

#![expect(clippy::unwrap_used, reason = "a failed check panics")]

use alloc::vec::Vec;

use crate::journal::{
    End, Frame, FrameHead, FrameKey, FrameKind, Known, Link, Part, Scanner, foreign_version,
    put_frame, walk,
};

/// A journal of any bytes: frames come in order, each as it was written, and all bytes before the end
/// are frames or damage. A journal of frames that was damaged in one byte: all frames but the damaged
/// one are found.
///
/// # Panics
/// Where one of this does not hold.
pub fn journal(bytes: &[u8]) {
    any(bytes);
    damaged(bytes);
}

fn any(bytes: &[u8]) {
    foreign_version(bytes);
    Link::of(bytes);
    let generation = Frame::first(bytes).map_or(0, |first| first.generation);
    let key = FrameKey {
        salt: 0,
        generation,
    };
    for known in [Known::Nothing, Known::Whole, Known::End(bytes.len() + 7)] {
        let mut at = 0;
        let end = walk(bytes, key, known, |part| match part {
            Part::Frame(frame) => {
                assert_eq!(frame.offset, at);
                let mut again = Vec::new();
                let parts: [&[u8]; 1] = [frame.payload];
                put_frame(&mut again, key, at as u64, frame.head, &parts).unwrap();
                at = frame.end();
                assert_eq!(again, bytes[frame.offset..at]);
            }
            Part::Damage { at: from, end } => {
                assert!(from == at && end > from);
                at = end;
            }
        });
        assert_eq!(end.offset(), at);
    }
}

fn damaged(bytes: &[u8]) {
    let Some((&[generation, low, high, flip], bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let key = FrameKey {
        salt: u64::from_le_bytes([flip, 1, low, 2, high, 3, generation, 4]),
        generation: generation.into(),
    };
    let (mut journal, mut starts) = (Vec::new(), Vec::new());
    for (seq, payload) in (1..).zip(bytes.chunks(24)) {
        starts.push(journal.len());
        let head = FrameHead {
            kind: FrameKind::Record,
            stream: 0,
            flags: 0,
            seq,
        };
        let offset = journal.len() as u64;
        put_frame(&mut journal, key, offset, head, &[payload]).unwrap();
    }
    if starts.is_empty() || flip == 0 {
        return;
    }
    let at = usize::from(u16::from_le_bytes([low, high])) % journal.len();
    journal[at] ^= flip;
    let hit = starts.partition_point(|start| *start <= at) - 1;
    assert_eq!(Scanner::new(&journal, key).count(), hit);
    let whole = journal.len();
    let next = starts.get(hit + 1).copied().unwrap_or(whole);
    let (mut frames, mut damage) = (0, Vec::new());
    let end = walk(&journal, key, Known::End(whole), |part| match part {
        Part::Frame(_) => frames += 1,
        Part::Damage { at, end } => damage.push((at, end)),
    });
    assert_eq!(frames, starts.len() - 1);
    assert_eq!(damage, [(starts[hit], next)]);
    assert_eq!(end, End::Sealed(whole));
}
