//! Sets of numbers, kept as the intervals they form.

use std::collections::BTreeMap;
use std::ops::Range;

/// Numbers of records, by epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intervals {
    /// Epoch and first number, to the end: apart from each other, none of them empty.
    ends: BTreeMap<(u64, u64), u64>,
}

impl Intervals {
    /// Adds numbers of an epoch; `false` if each of them was there.
    pub fn insert(&mut self, epoch: u64, seqs: Range<u64>) -> bool {
        let (mut first, mut end) = (seqs.start, seqs.end);
        if seqs.is_empty() {
            return false;
        }
        let before = self.ends.range(..=(epoch, first)).next_back();
        if let Some((&(its, start), &its_end)) = before
            && its == epoch
            && its_end >= first
        {
            if its_end >= end {
                return false;
            }
            first = start;
        }
        while let Some((&key, &its_end)) = self.ends.range((epoch, first)..=(epoch, end)).next() {
            self.ends.remove(&key);
            end = end.max(its_end);
        }
        self.ends.insert((epoch, first), end);
        true
    }

    /// How many numbers it holds.
    pub fn count(&self) -> u64 {
        let lengths = self.ends.iter().map(|((_, first), end)| end - first);
        lengths.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_holds_what_a_set_holds(
            ranges in prop::collection::vec((0u64..3, 0u64..40, 0u64..12), 0..40)
        ) {
            let (mut intervals, mut set) = (Intervals::default(), BTreeSet::new());
            for (epoch, first, len) in ranges {
                let before = set.len();
                set.extend((first..first + len).map(|seq| (epoch, seq)));
                let new = intervals.insert(epoch, first..first + len);
                prop_assert_eq!(new, set.len() > before);
                prop_assert_eq!(intervals.count(), set.len() as u64);
            }
        }
    }
}
