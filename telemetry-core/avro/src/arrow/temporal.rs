//! Dates, times and timestamps of Arrow in another unit than the schema's.

use arrow_array::Array;
use arrow_array::types::{
    Date32Type, Date64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_schema::{DataType, TimeUnit};

use super::encode::native;
use crate::wire::Out;

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    Days,
    TimeOfDay,
    /// Since 1970 in UTC.
    Instant,
    /// Since 1970 on some wall's clock.
    Local,
}

/// What a type counts, and its ticks of a day or a second.
fn counts(ty: &DataType) -> Option<(Counts, i64)> {
    let second = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    Some(match ty {
        DataType::Date32 => (Counts::Days, 1),
        DataType::Date64 => (Counts::Days, 86_400_000),
        DataType::Time32(unit) | DataType::Time64(unit) => (Counts::TimeOfDay, second(unit)),
        DataType::Timestamp(unit, Some(_)) => (Counts::Instant, second(unit)),
        DataType::Timestamp(unit, None) => (Counts::Local, second(unit)),
        _ => return None,
    })
}

enum Ticks<'a> {
    Narrow(&'a [i32]),
    Wide(&'a [i64]),
}

/// A column of ticks, and how they become the schema's.
pub(super) struct Source<'a> {
    ticks: Ticks<'a>,
    times: i64,
    over: i64,
    /// Whether the schema's type is an `int`.
    is_int: bool,
}

impl<'a> Source<'a> {
    /// `None` if the array does not count what `expected` counts.
    pub(super) fn new(expected: &DataType, array: &'a dyn Array) -> Option<Self> {
        let found = array.data_type();
        let ((to, to_ticks), (from, from_ticks)) = (counts(expected)?, counts(found)?);
        if from != to {
            return None;
        }
        let narrow = native::<Date32Type>(array)
            .or_else(|| native::<Time32SecondType>(array))
            .or_else(|| native::<Time32MillisecondType>(array));
        let ticks = match narrow {
            Some(ticks) => Ticks::Narrow(ticks),
            None => Ticks::Wide(
                native::<Date64Type>(array)
                    .or_else(|| native::<Time64MicrosecondType>(array))
                    .or_else(|| native::<Time64NanosecondType>(array))
                    .or_else(|| native::<TimestampSecondType>(array))
                    .or_else(|| native::<TimestampMillisecondType>(array))
                    .or_else(|| native::<TimestampMicrosecondType>(array))
                    .or_else(|| native::<TimestampNanosecondType>(array))?,
            ),
        };
        Some(Self {
            ticks,
            times: (to_ticks / from_ticks).max(1),
            over: (from_ticks / to_ticks).max(1),
            is_int: matches!(expected, DataType::Date32 | DataType::Time32(_)),
        })
    }

    /// Writes a row, if the schema's unit can tell it.
    #[inline]
    pub(super) fn put(&self, row: usize, out: &mut Out<'_>) -> Result<(), &'static str> {
        let ticks = match self.ticks {
            Ticks::Narrow(ticks) => ticks[row].into(),
            Ticks::Wide(ticks) => ticks[row],
        };
        if ticks % self.over != 0 {
            return Err("the value lies between two ticks of the schema's unit");
        }
        let ticks = (ticks / self.over).checked_mul(self.times);
        let ticks = ticks.filter(|&t| !self.is_int || i32::try_from(t).is_ok());
        out.long(ticks.ok_or("the value is out of range in the schema's unit")?);
        Ok(())
    }
}
