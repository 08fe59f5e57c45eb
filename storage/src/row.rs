//! The parts of a row that follow from a record and its identity alone.

use telemetry_core::{Scalar, Seq};

/// Width of a bucket in event time: a day, in microseconds.
const DAY_US: i64 = 86_400_000_000;

/// Width of a bucket of a stream without event time: records.
const SEQS: u64 = 100_000;

/// The bucket of a record: part of its key, fixed for ever.
///
/// Days since 1970 where the stream has an event time `ts` (microseconds, as the device wrote it),
/// otherwise hundred thousands of records.
pub fn bucket_of(ts: Option<i64>, seq: Seq) -> i64 {
    match ts {
        Some(ts) => ts.div_euclid(DAY_US),
        // A Seq is below 2^63.
        None => (seq.get() / SEQS) as i64,
    }
}

/// A value as it comes out of a store.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// A `boolean`.
    Boolean(bool),
    /// An `int` or `long`.
    Integer(i64),
    /// A `float` or `double`.
    Real(f64),
    /// A `string`.
    Text(String),
    /// `bytes`.
    Blob(Vec<u8>),
}

impl From<Scalar<'_>> for Cell {
    fn from(value: Scalar<'_>) -> Self {
        match value {
            Scalar::Null => Self::Null,
            Scalar::Boolean(v) => Self::Boolean(v),
            Scalar::Int(v) => Self::Integer(i64::from(v)),
            Scalar::Long(v) => Self::Integer(v),
            Scalar::Float(v) => Self::Real(f64::from(v)),
            Scalar::Double(v) => Self::Real(v),
            Scalar::String(v) => Self::Text(v.to_owned()),
            Scalar::Bytes(v) => Self::Blob(v.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_days_or_runs_of_records() {
        assert_eq!(bucket_of(Some(0), Seq::FIRST), 0);
        assert_eq!(bucket_of(Some(-1), Seq::FIRST), -1);
        assert_eq!(bucket_of(Some(DAY_US), Seq::FIRST), 1);
        assert_eq!(bucket_of(None, Seq::new(99_999).unwrap()), 0);
        assert_eq!(bucket_of(None, Seq::new(100_000).unwrap()), 1);
    }
}
