//! Logical types that Arrow keeps in another form than the wire: decimals, durations, UUIDs.

use alloc::sync::Arc;
use alloc::vec::Vec;

use arrow_array::types::{
    Decimal128Type, Decimal256Type, DecimalType, IntervalMonthDayNano, IntervalMonthDayNanoType,
};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray};
use arrow_buffer::{Buffer, NullBuffer, i256};
use arrow_schema::{DataType, IntervalUnit};
use uuid::Uuid;

use super::ArrowError;
use super::finish::{primitive, renew};
use crate::typed::DecodeError;
use crate::wire::Out;
use crate::{Kind, Node, Primitive};

/// Bytes of a `duration`: months, days and milliseconds, each an unsigned `u32`, little-endian.
const DURATION_LEN: usize = 12;
/// Bytes of a UUID.
const UUID_LEN: i32 = 16;
/// Nanoseconds of a millisecond.
const MILLI: i64 = 1_000_000;

/// The Arrow type of a logical type that has another form there.
pub(super) fn ty(node: &Node) -> Option<DataType> {
    let size = size(node)?;
    if let Some(decimal) = node.decimal {
        let scale = i8::try_from(decimal.scale).ok()?;
        return match u8::try_from(decimal.precision).ok()? {
            precision @ 1..=Decimal128Type::MAX_PRECISION => {
                Some(DataType::Decimal128(precision, scale))
            }
            precision @ ..=Decimal256Type::MAX_PRECISION => {
                Some(DataType::Decimal256(precision, scale))
            }
            _ => None,
        };
    }
    match (node.logical.as_deref()?, size) {
        ("duration", Some(DURATION_LEN)) => Some(DataType::Interval(IntervalUnit::MonthDayNano)),
        ("uuid", None) if matches!(node.kind, Kind::Primitive(Primitive::String)) => {
            Some(DataType::FixedSizeBinary(UUID_LEN))
        }
        _ => None,
    }
}

/// The bytes that a `fixed` takes, none for `bytes` and `string`; `None` for any other type.
pub(super) fn size(node: &Node) -> Option<Option<usize>> {
    match &node.kind {
        Kind::Fixed(fixed) => Some(Some(fixed.size as usize)),
        Kind::Primitive(Primitive::Bytes | Primitive::String) => Some(None),
        _ => None,
    }
}

/// Rows of one of them.
#[derive(Debug)]
pub(super) enum Values {
    Decimal128(Vec<i128>, u8),
    Decimal256(Vec<i256>, u8),
    Interval(Vec<IntervalMonthDayNano>),
    Uuid(Vec<[u8; 16]>),
}

impl Values {
    pub(super) fn new(ty: &DataType) -> Option<Self> {
        Some(match ty {
            DataType::Decimal128(precision, _) => Self::Decimal128(Vec::new(), *precision),
            DataType::Decimal256(precision, _) => Self::Decimal256(Vec::new(), *precision),
            DataType::Interval(_) => Self::Interval(Vec::new()),
            DataType::FixedSizeBinary(UUID_LEN) => Self::Uuid(Vec::new()),
            _ => return None,
        })
    }

    /// Adds what is on the wire, which starts at `offset`.
    pub(super) fn push(&mut self, wire: &[u8], offset: usize) -> Result<(), DecodeError> {
        let decimal = |precision: u8| DecodeError::Decimal { offset, precision };
        match self {
            Self::Decimal128(v, precision) => {
                let value = extend(wire).map(i128::from_be_bytes);
                let value =
                    value.filter(|v| Decimal128Type::is_valid_decimal_precision(*v, *precision));
                v.push(value.ok_or(decimal(*precision))?);
            }
            Self::Decimal256(v, precision) => {
                let value = extend(wire).map(i256::from_be_bytes);
                let value =
                    value.filter(|v| Decimal256Type::is_valid_decimal_precision(*v, *precision));
                v.push(value.ok_or(decimal(*precision))?);
            }
            Self::Interval(v) => {
                v.push(interval(wire).ok_or(DecodeError::Duration { offset })?);
            }
            Self::Uuid(v) => {
                let uuid = Uuid::try_parse_ascii(wire);
                v.push(*uuid.map_err(|_| DecodeError::Uuid { offset })?.as_bytes());
            }
        }
        Ok(())
    }

    /// Adds a row that nobody looks at.
    pub(super) fn nothing(&mut self) {
        match self {
            Self::Decimal128(v, _) => v.push(0),
            Self::Decimal256(v, _) => v.push(i256::ZERO),
            Self::Interval(v) => v.push(IntervalMonthDayNano::ZERO),
            Self::Uuid(v) => v.push([0; 16]),
        }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Decimal128(v, _) => v.truncate(rows),
            Self::Decimal256(v, _) => v.truncate(rows),
            Self::Interval(v) => v.truncate(rows),
            Self::Uuid(v) => v.truncate(rows),
        }
    }

    /// The rows as an array; there are none then.
    pub(super) fn array(
        &mut self,
        ty: &DataType,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Decimal128(v, _) => primitive::<Decimal128Type>(renew(v), ty, nulls),
            Self::Decimal256(v, _) => primitive::<Decimal256Type>(renew(v), ty, nulls),
            Self::Interval(v) => primitive::<IntervalMonthDayNanoType>(renew(v), ty, nulls),
            Self::Uuid(v) => {
                let rows = v.len();
                let bytes = Buffer::from_vec(renew(v).into_flattened());
                Ok(Arc::new(FixedSizeBinaryArray::try_new_with_len(
                    UUID_LEN, bytes, nulls, rows,
                )?))
            }
        }
    }
}

/// Two's complement, big-endian, to more bytes or fewer; `None` if it does not fit.
fn extend<const N: usize>(wire: &[u8]) -> Option<[u8; N]> {
    let negative = wire.first().is_some_and(|&first| first >= 0x80);
    let fill = if negative { 0xff } else { 0 };
    let mut out = [fill; N];
    match wire.len().checked_sub(N) {
        None => out[N - wire.len()..].copy_from_slice(wire),
        Some(more) => {
            out.copy_from_slice(&wire[more..]);
            let spare = wire[..more].iter().all(|&byte| byte == fill);
            if !spare || (out.first() >= Some(&0x80)) != negative {
                return None;
            }
        }
    }
    Some(out)
}

/// A duration; `None` if it has more months or days than Arrow can tell.
fn interval(wire: &[u8]) -> Option<IntervalMonthDayNano> {
    let (parts, []) = wire.as_chunks() else {
        return None;
    };
    let [months, days, millis] = *parts else {
        return None;
    };
    let part = |bytes| i32::try_from(u32::from_le_bytes(bytes)).ok();
    let nanos = i64::from(u32::from_le_bytes(millis)) * MILLI;
    Some(IntervalMonthDayNano::new(part(months)?, part(days)?, nanos))
}

/// An array of one of them, and how its values are written.
pub(super) enum Source<'a> {
    Decimal128(&'a [i128], u8),
    Decimal256(&'a [i256], u8),
    Interval(&'a [IntervalMonthDayNano]),
    Uuid(&'a FixedSizeBinaryArray),
}

impl<'a> Source<'a> {
    /// `None` if the array is not of `ty`.
    pub(super) fn new(ty: &DataType, array: &'a dyn Array) -> Option<Self> {
        use super::encode::native;
        if array.data_type() != ty {
            return None;
        }
        Some(match ty {
            DataType::Decimal128(precision, _) => {
                Self::Decimal128(native::<Decimal128Type>(array)?, *precision)
            }
            DataType::Decimal256(precision, _) => {
                Self::Decimal256(native::<Decimal256Type>(array)?, *precision)
            }
            DataType::Interval(_) => Self::Interval(native::<IntervalMonthDayNanoType>(array)?),
            _ => Self::Uuid(array.as_any().downcast_ref()?),
        })
    }

    /// Writes a row, as `size` bytes where it is a `fixed`.
    pub(super) fn put(
        &self,
        row: usize,
        size: Option<usize>,
        out: &mut Out<'_>,
    ) -> Result<(), &'static str> {
        const DIGITS: &str = "the decimal has more digits than its precision says";
        match self {
            Self::Decimal128(v, precision) => {
                if !Decimal128Type::is_valid_decimal_precision(v[row], *precision) {
                    return Err(DIGITS);
                }
                put_decimal(&v[row].to_be_bytes(), size, out)
            }
            Self::Decimal256(v, precision) => {
                if !Decimal256Type::is_valid_decimal_precision(v[row], *precision) {
                    return Err(DIGITS);
                }
                put_decimal(&v[row].to_be_bytes(), size, out)
            }
            Self::Interval(v) => {
                let parts = (
                    u32::try_from(v[row].months),
                    u32::try_from(v[row].days),
                    u32::try_from(v[row].nanoseconds / MILLI),
                );
                let (Ok(months), Ok(days), Ok(millis)) = parts else {
                    return Err("a part of the interval is negative, or over 2^32 ms");
                };
                if v[row].nanoseconds % MILLI != 0 {
                    return Err("the interval has a part of a millisecond");
                }
                for part in [months, days, millis] {
                    out.array(part.to_le_bytes());
                }
                Ok(())
            }
            Self::Uuid(v) => {
                let Ok(uuid) = Uuid::from_slice(v.value(row)) else {
                    return Err("a UUID has 16 bytes");
                };
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                out.bytes(uuid.hyphenated().encode_lower(&mut text).as_bytes());
                Ok(())
            }
        }
    }
}

/// Writes as many bytes as `size` says, else as few as hold the value.
fn put_decimal(value: &[u8], size: Option<usize>, out: &mut Out<'_>) -> Result<(), &'static str> {
    let fill = if value.first() >= Some(&0x80) {
        0xff
    } else {
        0
    };
    let spare = |pair: &&[u8]| pair[0] == fill && (pair[1] ^ fill) < 0x80;
    let least = &value[value.windows(2).take_while(spare).count()..];
    let Some(size) = size else {
        out.bytes(least);
        return Ok(());
    };
    let Some(more) = size.checked_sub(least.len()) else {
        return Err("the decimal has more bytes than its fixed");
    };
    for _ in 0..more {
        out.byte(fill);
    }
    out.raw(least);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: &[u8], size: Option<usize>) -> Result<Vec<u8>, &'static str> {
        let mut bytes = Vec::new();
        put_decimal(value, size, &mut Out::new(&mut bytes, 0))?;
        Ok(bytes)
    }

    proptest! {
        #[test]
        fn decimals_round_trip(low: u128, high: i128, shift in 0u32..256, size in 0usize..40) {
            let value = i256::from_parts(low, high) >> shift as u8;
            let bytes = written(&value.to_be_bytes(), None).unwrap();
            prop_assert_eq!(extend(&bytes[1..]).map(i256::from_be_bytes), Some(value));
            // A byte less does not hold it.
            let narrow = extend::<16>(&bytes[1..]).map(i128::from_be_bytes);
            prop_assert_eq!(narrow, value.to_i128());
            let least = bytes.len() - 1;
            match written(&value.to_be_bytes(), Some(size)) {
                Ok(fixed) => {
                    prop_assert_eq!(fixed.len(), size);
                    prop_assert_eq!(extend(&fixed).map(i256::from_be_bytes), Some(value));
                }
                Err(_) => prop_assert!(size < least),
            }
        }
    }

    #[test]
    fn no_bytes_are_zero() {
        assert_eq!(extend(&[]).map(i128::from_be_bytes), Some(0));
        assert_eq!(extend::<2>(&[0, 0, 0x80, 0]), None);
        assert_eq!(extend::<2>(&[0xff, 0x80, 0]), Some([0x80, 0]));
    }
}
