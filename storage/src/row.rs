//! The parts of a row's key that follow from a record and its identity alone.

use telemetry_core::Seq;

/// What stands in place of an event time in a key where a record has none: before all times.
pub const NO_TIME: i64 = i64::MIN;

/// Width of a bucket of records without an event time: records.
const SEQS: u64 = 100_000;

/// How much event time the rows of one bucket span, fixed when the table is made.
///
/// A device's rows of one bucket are one partition of a cluster: at most 500,000 rows and 100 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketWidth(i64);

impl BucketWidth {
    const DAY: i64 = 86_400_000_000;

    /// A day.
    pub const ONE_DAY: Self = Self(Self::DAY);

    /// The widest of a day, an hour and a minute for so many records a second of one device.
    pub fn for_rate(records_a_second: f64) -> Self {
        const ROWS_MAX: f64 = 500_000.0;
        let widths = [Self::DAY, 3_600_000_000, 60_000_000];
        let fits = |width: &i64| records_a_second * (*width as f64 / 1e6) <= ROWS_MAX;
        Self(widths.into_iter().find(fits).unwrap_or(60_000_000))
    }

    /// A width that a catalogue has; `None` if it is none.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (micros > 0).then_some(Self(micros))
    }

    /// In microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The bucket of a record: part of its key, fixed for ever.
    ///
    /// Widths since 1970 where the record has an event time `ts` (microseconds), otherwise hundred
    /// thousands of records.
    pub fn bucket_of(self, ts: Option<i64>, seq: Seq) -> i64 {
        match ts {
            Some(ts) => ts.div_euclid(self.0),
            // A Seq is below 2^63.
            None => (seq.get() / SEQS) as i64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_widths_of_time_or_runs_of_records() {
        let day = BucketWidth::ONE_DAY;
        assert_eq!(day.bucket_of(Some(0), Seq::FIRST), 0);
        assert_eq!(day.bucket_of(Some(-1), Seq::FIRST), -1);
        assert_eq!(day.bucket_of(Some(BucketWidth::DAY), Seq::FIRST), 1);
        assert_eq!(day.bucket_of(None, Seq::new(99_999).unwrap()), 0);
        assert_eq!(day.bucket_of(None, Seq::new(100_000).unwrap()), 1);
    }

    #[test]
    fn a_bucket_is_as_wide_as_the_rate_allows() {
        assert_eq!(BucketWidth::for_rate(5.0), BucketWidth::ONE_DAY);
        assert_eq!(BucketWidth::for_rate(50.0).micros(), 3_600_000_000);
        assert_eq!(BucketWidth::for_rate(1_000.0).micros(), 60_000_000);
        assert_eq!(BucketWidth::for_rate(f64::INFINITY).micros(), 60_000_000);
    }
}
