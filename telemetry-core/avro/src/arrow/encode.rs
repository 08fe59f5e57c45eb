//! Columns to datums.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{
    Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray, MapArray, RecordBatch,
    StringArray, UnionArray,
};

use super::types::{self, nullable};
use super::{ArrowError, logical, temporal};
use crate::wire::Out;
use crate::{Kind, Node, NodeId, Primitive, Schema};

/// Encodes the rows of a batch as records of `schema`, whose fields are columns of their names.
///
/// `each` gets the row's number and its datum. A batch of [`Columns`](super::Columns) with the same
/// schema always fits. Dates, times and timestamps may come in another unit, as long as each value is a
/// whole number of the schema's; a column that counts something else is refused.
pub fn encode(
    schema: &Schema,
    batch: &RecordBatch,
    mut each: impl FnMut(usize, &[u8]),
) -> Result<(), ArrowError> {
    let Kind::Record(record) = &schema.root().kind else {
        return Err(ArrowError::NoRecord);
    };
    // Also refuses records that hold themselves.
    super::schema(schema)?;
    let mut columns = Vec::with_capacity(record.fields.len());
    for field in &record.fields {
        let path = format!("{}.{}", record.name, field.name);
        let Some(array) = batch.column_by_name(&field.name) else {
            return Err(mismatch(&path, "a column", "none of that name"));
        };
        columns.push(Source::new(schema, field.node, array.as_ref(), &path)?);
    }
    let mut datum = Vec::new();
    for row in 0..batch.num_rows() {
        datum.clear();
        let mut out = Out::new(&mut datum, 0);
        for column in &columns {
            column
                .put(row, &mut out)
                .map_err(|reason| ArrowError::Row { row, reason })?;
        }
        drop(out);
        each(row, &datum);
    }
    Ok(())
}

fn mismatch(path: &str, expected: &str, found: &str) -> ArrowError {
    ArrowError::Column {
        path: path.to_string(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

/// An array, and how its values are written.
enum Source<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int(&'a [i32]),
    Long(&'a [i64]),
    Temporal(temporal::Source<'a>),
    Float(&'a [f32]),
    Double(&'a [f64]),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    /// Keys of the dictionary, and the symbol of each of its values.
    Enum(&'a [i32], Vec<Option<i64>>),
    /// And the size of its `fixed`.
    Logical(logical::Source<'a>, Option<usize>),
    List(&'a ListArray, Box<Source<'a>>),
    Map(&'a MapArray, &'a StringArray, Box<Source<'a>>),
    Record(Vec<Source<'a>>),
    Nullable {
        array: &'a dyn Array,
        null: u8,
        inner: Box<Source<'a>>,
    },
    Union(&'a UnionArray, Vec<Source<'a>>),
    /// Values of which none may be null.
    There(&'a dyn Array, Box<Source<'a>>),
}

impl<'a> Source<'a> {
    fn new(
        schema: &Schema,
        node: NodeId,
        array: &'a dyn Array,
        path: &str,
    ) -> Result<Self, ArrowError> {
        if let Some((inner, null)) = nullable(schema, node) {
            return Ok(Self::Nullable {
                array,
                null,
                inner: Box::new(Self::values(schema, inner, array, path)?),
            });
        }
        let values = Self::values(schema, node, array, path)?;
        if array.null_count() > 0 {
            return Ok(Self::There(array, Box::new(values)));
        }
        Ok(values)
    }

    fn values(
        schema: &Schema,
        node: NodeId,
        array: &'a dyn Array,
        path: &str,
    ) -> Result<Self, ArrowError> {
        let found = |expected: &str| mismatch(path, expected, &array.data_type().to_string());
        let node = schema.node(node);
        if let (Some(ty), Some(size)) = (logical::ty(node), logical::size(node)) {
            let source = logical::Source::new(&ty, array);
            let source = source.ok_or_else(|| found(&ty.to_string()))?;
            return Ok(Self::Logical(source, size));
        }
        Ok(match &node.kind {
            Kind::Primitive(p) => match p {
                Primitive::Null => Self::Null,
                Primitive::Boolean => {
                    Self::Boolean(array.as_boolean_opt().ok_or_else(|| found("Boolean"))?)
                }
                Primitive::Int | Primitive::Long => {
                    Self::integer(*p, node, array).map_err(|expected| found(&expected))?
                }
                Primitive::Float => {
                    Self::Float(native::<Float32Type>(array).ok_or_else(|| found("Float32"))?)
                }
                Primitive::Double => {
                    Self::Double(native::<Float64Type>(array).ok_or_else(|| found("Float64"))?)
                }
                Primitive::Bytes => {
                    Self::Bytes(array.as_binary_opt().ok_or_else(|| found("Binary"))?)
                }
                Primitive::String => {
                    Self::Text(array.as_string_opt().ok_or_else(|| found("Utf8"))?)
                }
            },
            Kind::Fixed(fixed) => {
                let array = array.as_fixed_size_binary_opt();
                let array = array.filter(|a| a.value_length() as u32 == fixed.size);
                Self::Fixed(
                    array.ok_or_else(|| found(&format!("FixedSizeBinary({})", fixed.size)))?,
                )
            }
            Kind::Enum(e) => {
                let dictionary = array.as_dictionary_opt::<Int32Type>();
                let values = dictionary.and_then(|d| d.values().as_string_opt::<i32>());
                let (Some(dictionary), Some(values)) = (dictionary, values) else {
                    return Err(found("Dictionary(Int32, Utf8)"));
                };
                let symbol = |value: Option<&str>| {
                    let position = e.symbols.iter().position(|s| Some(&**s) == value);
                    position.map(|i| i as i64)
                };
                Self::Enum(
                    dictionary.keys().values(),
                    values.iter().map(symbol).collect(),
                )
            }
            Kind::Array(items) => {
                let array: &ListArray = array.as_list_opt().ok_or_else(|| found("List"))?;
                let path = format!("{path}[]");
                let items = Self::new(schema, *items, array.values().as_ref(), &path)?;
                Self::List(array, Box::new(items))
            }
            Kind::Map(values) => {
                let map = array.as_map_opt();
                let keys = map.and_then(|m| m.keys().as_string_opt::<i32>());
                let (Some(map), Some(keys)) = (map, keys) else {
                    return Err(found("Map of Utf8"));
                };
                let path = format!("{path}{{}}");
                let values = Self::new(schema, *values, map.values().as_ref(), &path)?;
                Self::Map(map, keys, Box::new(values))
            }
            Kind::Record(record) => {
                let array = array.as_struct_opt().ok_or_else(|| found("Struct"))?;
                let fields = record.fields.iter().map(|field| {
                    let path = format!("{path}.{}", field.name);
                    match array.column_by_name(&field.name) {
                        Some(column) => Self::new(schema, field.node, column.as_ref(), &path),
                        None => Err(mismatch(&path, "a field", "none of that name")),
                    }
                });
                Self::Record(fields.collect::<Result<_, _>>()?)
            }
            Kind::Union(branches) => {
                let union = array.as_union_opt().ok_or_else(|| found("Union"))?;
                if union.fields().len() != branches.len() {
                    return Err(found(&format!("Union of {}", branches.len())));
                }
                let branches = branches.iter().enumerate().map(|(i, &branch)| {
                    let path = format!("{path}({i})");
                    // A child's id is its branch, as `Columns` makes them.
                    let ids = union.fields().iter().any(|(id, _)| id as usize == i);
                    if !ids {
                        return Err(found("Union with the ids of its branches"));
                    }
                    Self::new(schema, branch, union.child(i as i8).as_ref(), &path)
                });
                Self::Union(union, branches.collect::<Result<_, _>>()?)
            }
        })
    }

    /// A column of an `int` or a `long`; else what was expected.
    fn integer(p: Primitive, node: &Node, array: &'a dyn Array) -> Result<Self, String> {
        let expected = types::primitive(p, node.logical.as_deref());
        let source = if *array.data_type() == expected {
            native::<Int32Type>(array)
                .map(Self::Int)
                .or_else(|| native::<Int64Type>(array).map(Self::Long))
        } else {
            None
        };
        source
            .or_else(|| temporal::Source::new(&expected, array).map(Self::Temporal))
            .ok_or_else(|| expected.to_string())
    }

    fn put(&self, row: usize, out: &mut Out<'_>) -> Result<(), &'static str> {
        match self {
            Self::Null => {}
            Self::Boolean(v) => out.byte(u8::from(v.value(row))),
            Self::Int(v) => out.long(v[row].into()),
            Self::Long(v) => out.long(v[row]),
            Self::Temporal(source) => source.put(row, out)?,
            Self::Float(v) => out.array(v[row].to_le_bytes()),
            Self::Double(v) => out.array(v[row].to_le_bytes()),
            Self::Text(v) => out.bytes(v.value(row).as_bytes()),
            Self::Bytes(v) => out.bytes(v.value(row)),
            Self::Fixed(v) => out.raw(v.value(row)),
            Self::Logical(source, size) => source.put(row, *size, out)?,
            Self::Enum(keys, symbols) => {
                let symbol = usize::try_from(keys[row])
                    .ok()
                    .and_then(|key| symbols.get(key).copied().flatten());
                out.long(symbol.ok_or("the enum has no such symbol")?);
            }
            Self::List(array, items) => {
                let ends = array.value_offsets();
                put_block(ends[row]..ends[row + 1], out, |i, out| items.put(i, out))?;
            }
            Self::Map(array, keys, values) => {
                let ends = array.value_offsets();
                put_block(ends[row]..ends[row + 1], out, |i, out| {
                    out.bytes(keys.value(i).as_bytes());
                    values.put(i, out)
                })?;
            }
            Self::Record(fields) => {
                for field in fields {
                    field.put(row, out)?;
                }
            }
            Self::Nullable { array, null, inner } => {
                let there = array.is_valid(row);
                out.long((u8::from(there) ^ null).into());
                if there {
                    inner.put(row, out)?;
                }
            }
            Self::Union(array, branches) => {
                let branch = array.type_id(row);
                let source = usize::try_from(branch)
                    .ok()
                    .and_then(|branch| branches.get(branch))
                    .ok_or("the union has no such branch")?;
                out.long(branch.into());
                source.put(array.value_offset(row), out)?;
            }
            Self::There(array, inner) => {
                if array.is_null(row) {
                    return Err("null where the schema has no null");
                }
                inner.put(row, out)?;
            }
        }
        Ok(())
    }
}

/// The values of an array of this type.
pub(super) fn native<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<&[T::Native]> {
    Some(array.as_primitive_opt::<T>()?.values())
}

fn put_block(
    rows: core::ops::Range<i32>,
    out: &mut Out<'_>,
    mut put: impl FnMut(usize, &mut Out<'_>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    if !rows.is_empty() {
        out.long(rows.len() as i64);
        for i in rows {
            put(i as usize, out)?;
        }
    }
    out.byte(0);
    Ok(())
}
