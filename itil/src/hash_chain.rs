//! The hash chain: any changed byte of a log is found.

use sha2::{Digest, Sha256};
use telemetry_core::{LogGroup, LogHead};

/// Seals `entries` to the group before them.
pub fn seal(head: Option<LogHead>, writer: u128, entries: Vec<Vec<u8>>) -> LogGroup {
    let mut group = LogGroup {
        seq: head.map_or(1, |h| h.seq.saturating_add(1)),
        writer,
        previous: head.map_or([0; 32], |h| h.hash),
        hash: [0; 32],
        entries,
    };
    group.hash = digest(&group);
    group
}

/// Checks that `group` follows `head` and that none of its bytes changed.
///
/// # Errors
/// Says which group, and whether it is missing, from another chain, or changed.
pub fn verify(head: Option<LogHead>, group: &LogGroup) -> Result<(), ChainError> {
    let expected = head.map_or(1, |h| h.seq.saturating_add(1));
    if group.seq != expected {
        return Err(ChainError::Gap {
            expected,
            found: group.seq,
        });
    }
    if group.previous != head.map_or([0; 32], |h| h.hash) {
        return Err(ChainError::Previous { seq: group.seq });
    }
    if group.hash != digest(group) {
        return Err(ChainError::Changed { seq: group.seq });
    }
    Ok(())
}

/// SHA-256 over `seq`, `writer`, `previous`, then each entry behind its length; numbers as 8 or 16
/// bytes little-endian. Lengths keep two splits of the same bytes apart.
fn digest(group: &LogGroup) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(group.seq.to_le_bytes());
    sha.update(group.writer.to_le_bytes());
    sha.update(group.previous);
    for entry in &group.entries {
        sha.update((entry.len() as u64).to_le_bytes());
        sha.update(entry);
    }
    sha.finalize().into()
}

/// A log that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A group is missing or out of order: fetch the log again.
    #[error("log: expected group {expected}, found {found}")]
    Gap {
        /// The place that should follow.
        expected: u64,
        /// The place that came.
        found: u64,
    },
    /// The group belongs to another chain: something before it was replaced.
    #[error("log: group {seq} does not follow the group before it")]
    Previous {
        /// Place of the group in the log, from 1.
        seq: u64,
    },
    /// Bytes of the group changed after it was sealed.
    #[error("log: group {seq} was changed after it was written")]
    Changed {
        /// Place of the group in the log, from 1.
        seq: u64,
    },
}

telemetry_core::error_codes!(ChainError {
    Gap { .. } => 5021,
    Previous { .. } => 5022,
    Changed { .. } => 5023,
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Flipping any bit of any field of any group is found.
        #[test]
        fn any_flipped_bit_is_found(
            texts in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4), 1..5),
            writer: u128, at: prop::sample::Index, bit in 0usize..8,
        ) {
            let mut head = None;
            let mut log: Vec<LogGroup> = Vec::new();
            for entries in texts {
                let group = seal(head, writer, entries);
                head = Some(LogHead::from(&group));
                log.push(group);
            }
            let check = |log: &[LogGroup]| log.iter().try_fold(None, |head, g| verify(head, g).map(|()| Some(LogHead::from(g))));
            prop_assert_eq!(check(&log), Ok(head));

            let sizes: Vec<usize> = log.iter().map(|g| 8 + 16 + 64 + g.entries.iter().map(Vec::len).sum::<usize>()).collect();
            let mut at = at.index(sizes.iter().sum());
            let mut n = 0;
            while at >= sizes[n] { at -= sizes[n]; n += 1; }
            let group = &mut log[n];
            match at {
                0..8 => group.seq ^= 1 << (at * 8 + bit),
                8..24 => group.writer ^= 1 << ((at - 8) * 8 + bit),
                24..56 => group.previous[at - 24] ^= 1 << bit,
                56..88 => group.hash[at - 56] ^= 1 << bit,
                _ => {
                    let mut rest = at - 88;
                    for e in &mut group.entries {
                        if rest < e.len() { e[rest] ^= 1 << bit; break; }
                        rest -= e.len();
                    }
                }
            }
            prop_assert!(check(&log).is_err());
        }
    }
}
