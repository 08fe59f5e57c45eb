//! A column that is full: Arrow's arrays out.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::{replace, take};

use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    Time64MicrosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray,
    Int32Array, ListArray, MapArray, NullArray, PrimitiveArray, StringArray, StructArray,
    UnionArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

use super::ArrowError;
use super::column::Column;

impl Column {
    /// The rows as an array of `ty`; the column is empty then.
    pub(super) fn finish(&mut self, ty: &DataType) -> Result<ArrayRef, ArrowError> {
        self.array(ty, None)
    }

    /// The rows as an array, of which `nulls` are null.
    fn array(&mut self, ty: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        Ok(match (self, ty) {
            (Self::Nullable { valid, inner, .. }, ty) => {
                let valid = BooleanBuffer::from(renew(valid));
                let own = NullBuffer::new(valid);
                let nulls = (own.null_count() > 0).then_some(own);
                return inner.array(ty, nulls);
            }
            (Self::Null(rows), DataType::Null) => Arc::new(NullArray::new(take(rows))),
            (Self::Boolean(v), DataType::Boolean) => {
                Arc::new(BooleanArray::new(BooleanBuffer::from(renew(v)), nulls))
            }
            (Self::Int(v), DataType::Int32) => primitive::<Int32Type>(renew(v), ty, nulls)?,
            (Self::Int(v), DataType::Date32) => primitive::<Date32Type>(renew(v), ty, nulls)?,
            (Self::Int(v), DataType::Time32(TimeUnit::Millisecond)) => {
                primitive::<Time32MillisecondType>(renew(v), ty, nulls)?
            }
            (Self::Long(v), DataType::Int64) => primitive::<Int64Type>(renew(v), ty, nulls)?,
            (Self::Long(v), DataType::Time64(TimeUnit::Microsecond)) => {
                primitive::<Time64MicrosecondType>(renew(v), ty, nulls)?
            }
            (Self::Long(v), DataType::Timestamp(TimeUnit::Millisecond, _)) => {
                primitive::<TimestampMillisecondType>(renew(v), ty, nulls)?
            }
            (Self::Long(v), DataType::Timestamp(TimeUnit::Microsecond, _)) => {
                primitive::<TimestampMicrosecondType>(renew(v), ty, nulls)?
            }
            (Self::Long(v), DataType::Timestamp(TimeUnit::Nanosecond, _)) => {
                primitive::<TimestampNanosecondType>(renew(v), ty, nulls)?
            }
            (Self::Float(v), DataType::Float32) => primitive::<Float32Type>(renew(v), ty, nulls)?,
            (Self::Double(v), DataType::Float64) => primitive::<Float64Type>(renew(v), ty, nulls)?,
            (Self::Logical { values, .. }, ty) => values.array(ty, nulls)?,
            (Self::Text(v), DataType::Utf8) => Arc::new(v.text(nulls)),
            (Self::Bytes(v), DataType::Binary) => {
                let (offsets, bytes) = v.take();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            (Self::Fixed { rows, bytes, .. }, DataType::FixedSizeBinary(size)) => {
                let bytes = Buffer::from_vec(renew(bytes));
                let rows = take(rows);
                let array = FixedSizeBinaryArray::try_new_with_len(*size, bytes, nulls, rows);
                Arc::new(array?)
            }
            (Self::Enum { keys, symbols }, DataType::Dictionary(..)) => {
                let keys = Int32Array::try_new(ScalarBuffer::from(renew(keys)), nulls)?;
                let symbols = StringArray::from_iter_values(symbols.iter());
                Arc::new(DictionaryArray::try_new(keys, Arc::new(symbols))?)
            }
            (Self::List { ends, items, .. }, DataType::List(field)) => {
                let items = items.finish(field.data_type())?;
                let offsets = ends.take();
                Arc::new(ListArray::try_new(
                    Arc::clone(field),
                    offsets,
                    items,
                    nulls,
                )?)
            }
            (
                Self::Map {
                    ends, keys, values, ..
                },
                DataType::Map(field, sorted),
            ) => {
                let DataType::Struct(fields) = field.data_type() else {
                    return Err(ArrowError::OtherReader);
                };
                let keys = keys.text(None);
                let values = values.finish(fields[1].data_type())?;
                let arrays: Vec<ArrayRef> = alloc::vec![Arc::new(keys), values];
                let entries = StructArray::try_new(fields.clone(), arrays, None)?;
                let offsets = ends.take();
                let field = Arc::clone(field);
                Arc::new(MapArray::try_new(field, offsets, entries, nulls, *sorted)?)
            }
            (Self::Record { rows, fields }, DataType::Struct(types)) => {
                let arrays = fields.iter_mut().zip(types);
                let arrays = arrays
                    .map(|(field, ty)| field.finish(ty.data_type()))
                    .collect::<Result<Vec<_>, _>>()?;
                let rows = take(rows);
                let types = types.clone();
                Arc::new(StructArray::try_new_with_length(
                    types, arrays, nulls, rows,
                )?)
            }
            (
                Self::Union {
                    ids,
                    offsets,
                    branches,
                },
                DataType::Union(fields, _),
            ) => {
                let arrays = branches.iter_mut().zip(fields.iter());
                let arrays = arrays
                    .map(|((rows, column), (_, field))| {
                        *rows = 0;
                        column.finish(field.data_type())
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                let (ids, offsets) = (renew(ids).into(), renew(offsets).into());
                Arc::new(UnionArray::try_new(
                    fields.clone(),
                    ids,
                    Some(offsets),
                    arrays,
                )?)
            }
            _ => return Err(ArrowError::OtherReader),
        })
    }
}

pub(super) fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    ty: &DataType,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), nulls)?;
    Ok(Arc::new(array.with_data_type(ty.clone())))
}

/// What is there; the next batch gets as much room.
pub(super) fn renew<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len());
    replace(values, next)
}
