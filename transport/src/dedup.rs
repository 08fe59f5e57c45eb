//! What a consumer has, so that everything counts once.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use telemetry_core::{DeviceId, Envelope, Epoch, StreamName};

/// One sequence of numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage {
    /// Who numbers.
    pub device: DeviceId,
    /// In which opening of its spool.
    pub epoch: Epoch,
    /// Which stream.
    pub stream: StreamName,
}

/// Which records of a batch are new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// All.
    All,
    /// Not one: acknowledge the batch and go on.
    Nothing,
    /// These numbers, and not the others.
    Ranges(Vec<RangeInclusive<u64>>),
}

/// The numbers that a sink has, by lineage.
///
/// Exactly once in effect takes three steps. [`fresh`](Self::fresh) says what is new; the sink
/// writes that and the ranges that [`take`](Self::take) returns *in one transaction*; only then is
/// the batch acknowledged. After a start, [`restore`](Self::restore) what the sink has.
///
/// Where a transaction fails, start anew from what the sink has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dedup {
    seen: BTreeMap<Lineage, Vec<RangeInclusive<u64>>>,
}

fn lineage(envelope: &Envelope) -> Lineage {
    Lineage {
        device: envelope.device,
        epoch: envelope.epoch,
        stream: envelope.subject.clone(),
    }
}

impl Dedup {
    /// Takes up what a sink has of a lineage: ranges in their order, apart from each other.
    pub fn restore(&mut self, lineage: Lineage, ranges: Vec<RangeInclusive<u64>>) {
        self.seen.insert(lineage, ranges);
    }

    /// Forgets a lineage, e.g. an epoch that ended long ago.
    pub fn forget(&mut self, lineage: &Lineage) {
        self.seen.remove(lineage);
    }

    /// Which records of a batch the sink does not have.
    pub fn fresh(&self, envelope: &Envelope) -> Fresh {
        let (first, last) = (envelope.first_seq.get(), envelope.last_seq().get());
        let Some(ranges) = self.seen.get(&lineage(envelope)) else {
            return Fresh::All;
        };
        let (mut new, mut from) = (Vec::new(), first);
        for seen in ranges
            .iter()
            .filter(|r| *r.end() >= first && *r.start() <= last)
        {
            if *seen.start() > from {
                new.push(from..=seen.start() - 1);
            }
            from = seen.end() + 1;
        }
        if from <= last {
            new.push(from..=last);
        }
        match new.as_slice() {
            [] => Fresh::Nothing,
            [all] if *all == (first..=last) => Fresh::All,
            _ => Fresh::Ranges(new),
        }
    }

    /// Notes a batch, and returns its lineage with all its ranges, for the sink to keep.
    ///
    /// Sequences have no gaps, so after a while there is one range.
    pub fn take(&mut self, envelope: &Envelope) -> (Lineage, &[RangeInclusive<u64>]) {
        let lineage = lineage(envelope);
        let (mut first, mut last) = (envelope.first_seq.get(), envelope.last_seq().get());
        let ranges = self.seen.entry(lineage.clone()).or_default();
        // What touches the batch becomes one range with it.
        ranges.retain(|r| {
            let apart = r.end() + 1 < first || *r.start() > last + 1;
            if !apart {
                first = first.min(*r.start());
                last = last.max(*r.end());
            }
            apart
        });
        let at = ranges.partition_point(|r| *r.end() < first);
        ranges.insert(at, first..=last);
        (lineage, ranges)
    }

    /// Numbers missing between those the sink has, over all lineages: on their way, given to
    /// another consumer, or lost.
    pub fn missing(&self) -> u64 {
        let holes = |ranges: &Vec<RangeInclusive<u64>>| -> u64 {
            let pairs = ranges.iter().zip(ranges.iter().skip(1));
            pairs.map(|(a, b)| b.start() - a.end() - 1).sum()
        };
        self.seen.values().map(holes).sum()
    }

    /// Lineages known.
    pub fn lineages(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::borrow::ToOwned as _;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;
    use telemetry_core::{ClockMark, Seq, Timestamp};

    pub(crate) fn envelope(first: u64, count: u32) -> Envelope {
        Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(3).unwrap(),
            subject: StreamName::new("a.A").unwrap(),
            first_seq: Seq::new(first).unwrap(),
            count,
            published: Timestamp::from_micros(0),
            clock: ClockMark::default(),
            schema: None,
            content_type: "x".to_owned(),
            traceparent: None,
        }
    }

    #[test]
    fn another_epoch_is_another_lineage() {
        let mut dedup = Dedup::default();
        dedup.take(&envelope(1, 10));
        let mut other = envelope(1, 10);
        other.epoch = Epoch::new(4).unwrap();
        assert_eq!(dedup.fresh(&other), Fresh::All);
        assert_eq!(dedup.fresh(&envelope(2, 3)), Fresh::Nothing);
        assert_eq!(
            dedup.fresh(&envelope(8, 5)),
            Fresh::Ranges([11..=12].into())
        );
        dedup.forget(&lineage(&other));
        assert_eq!(dedup.lineages(), 1);
    }

    proptest! {
        /// As a set of numbers would say, for batches in any order and with any borders.
        #[test]
        fn agrees_with_a_set(batches in proptest::collection::vec((1_u64..60, 1_u32..12), 1..40)) {
            let (mut dedup, mut set) = (Dedup::default(), BTreeSet::new());
            for (first, count) in batches {
                let batch = envelope(first, count);
                let numbers = first..=first + u64::from(count) - 1;
                let new: Vec<u64> = numbers.clone().filter(|n| !set.contains(n)).collect();
                let found: Vec<u64> = match dedup.fresh(&batch) {
                    Fresh::All => numbers.clone().collect(),
                    Fresh::Nothing => Vec::new(),
                    Fresh::Ranges(ranges) => ranges.into_iter().flatten().collect(),
                };
                prop_assert_eq!(found, new);
                set.extend(numbers);
                let (_, ranges) = dedup.take(&batch);
                prop_assert!(ranges.windows(2).all(|w| w[0].end() + 1 < *w[1].start()));
                let covered: BTreeSet<u64> = ranges.iter().cloned().flatten().collect();
                prop_assert_eq!(&covered, &set);
                let span = set.last().zip(set.first()).map_or(0, |(b, a)| b - a + 1);
                prop_assert_eq!(dedup.missing(), span - set.len() as u64);
            }
        }
    }
}
