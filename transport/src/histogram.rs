//! Counts in buckets: how long things took, how large they were.

/// Bounds that a histogram has at most.
const BOUNDS_MAX: usize = 14;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

const fn micros<const N: usize>(micros: [u64; N]) -> [u64; N] {
    let (mut nanos, mut i) = (micros, 0);
    while i < N {
        nanos[i] = micros[i] * 1_000;
        i += 1;
    }
    nanos
}

/// Of a write and a sync, in nanoseconds: 0.1 ms to 2.5 s.
const DISK: &[u64] = &micros([
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000,
]);

/// Of an exchange with a broker, in nanoseconds: the buckets of OpenTelemetry's messaging metrics.
const LINK: &[u64] = &micros([
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 7_500_000, 10_000_000,
]);

/// Records written, or handed out, together.
const RECORDS: &[u64] = &[
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192,
];

/// Bytes written, or handed out, together.
const BYTES: &[u64] = &[
    256,
    1 << 10,
    4 << 10,
    16 << 10,
    32 << 10,
    64 << 10,
    128 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
];

/// Counts of values in buckets, in whole units: nanoseconds, records or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One a bound, and one for what is above all of them.
    counts: [u64; BOUNDS_MAX + 1],
    sum: u64,
    unit: u64,
}

impl Histogram {
    const fn new(bounds: &'static [u64], unit: u64) -> Self {
        Self {
            bounds,
            counts: [0; BOUNDS_MAX + 1],
            sum: 0,
            unit,
        }
    }

    /// Of durations of the disk.
    pub(crate) const fn disk() -> Self {
        Self::new(DISK, SECOND)
    }

    /// Of durations of a link.
    pub(crate) const fn link() -> Self {
        Self::new(LINK, SECOND)
    }

    /// Of counts of records.
    pub(crate) const fn records() -> Self {
        Self::new(RECORDS, 1)
    }

    /// Of sizes in bytes.
    pub(crate) const fn bytes() -> Self {
        Self::new(BYTES, 1)
    }

    pub(crate) fn record(&mut self, value: u64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    pub(crate) fn record_duration(&mut self, took: core::time::Duration) {
        self.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Values seen.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all values, in the unit.
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// Each bucket: its largest value in the unit, `None` for the last one, and the values in it
    /// that are in no smaller one.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts)
    }

    /// Units of a second, for a histogram of durations; 1 for others.
    pub const fn unit(&self) -> u64 {
        self.unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_smallest_bucket_that_holds_it() {
        let mut seen = Histogram::records();
        for value in [0, 1, 2, 3, 8_192, 8_193, u64::MAX] {
            seen.record(value);
        }
        let filled: Vec<_> = seen.buckets().filter(|(_, count)| *count > 0).collect();
        let bounds = [(Some(1), 2), (Some(2), 1), (Some(4), 1), (Some(8_192), 1)];
        assert_eq!(filled, [&bounds[..], &[(None, 2)]].concat());
        assert_eq!((seen.count(), seen.sum()), (7, u64::MAX));
    }
}
