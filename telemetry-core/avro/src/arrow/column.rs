//! A column that grows: values in through a plan, back to a row on an error.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::constant;
use super::logical;
use super::rows;
use super::slices::{Ends, Slices, end};
use super::types::nullable;
use crate::plan::{Op, Target, symbol};
use crate::typed::DecodeError;
use crate::wire::Reader;
use crate::{Cursor, Datum, Kind, NodeId, OpId, Plan, Primitive, Schema};

/// Values of one type of the reader.
///
/// With a tag of its own: one hidden in a vector's capacity takes longer to tell.
#[derive(Debug)]
#[repr(u8)]
pub(super) enum Column {
    Null(usize),
    Boolean(Vec<bool>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Text(Slices),
    Bytes(Slices),
    Fixed {
        size: usize,
        rows: usize,
        bytes: Vec<u8>,
    },
    Enum {
        keys: Vec<i32>,
        symbols: Vec<String>,
    },
    Logical {
        /// The bytes of its `fixed`.
        size: Option<usize>,
        values: logical::Values,
    },
    List {
        ends: Ends,
        items: Box<Column>,
        /// Least bytes of an item that was written as it is read.
        min: usize,
    },
    Map {
        ends: Ends,
        keys: Slices,
        values: Box<Column>,
        min: usize,
    },
    Record {
        rows: usize,
        fields: Vec<Column>,
    },
    Nullable {
        valid: Vec<bool>,
        /// Which branch is null.
        null: u8,
        inner: Box<Column>,
    },
    Union {
        ids: Vec<i8>,
        offsets: Vec<i32>,
        branches: Vec<(usize, Column)>,
    },
}

#[cold]
const fn other() -> DecodeError {
    DecodeError::OtherReader {
        expected: "the schema of the columns",
    }
}

impl Column {
    pub(super) fn new(schema: &Schema, node: NodeId) -> Self {
        let mins = crate::plan::wire_min(schema);
        Self::with(schema, node, &mins)
    }

    fn with(schema: &Schema, node: NodeId, mins: &[u32]) -> Self {
        let new = |node| Self::with(schema, node, mins);
        let min = |node: NodeId| mins[node.index()] as usize;
        if let Some((inner, null)) = nullable(schema, node) {
            return Self::Nullable {
                valid: Vec::new(),
                null,
                inner: Box::new(new(inner)),
            };
        }
        let node = schema.node(node);
        if let Some(values) = logical::ty(node).and_then(|ty| logical::Values::new(&ty)) {
            let size = logical::size(node).flatten();
            return Self::Logical { size, values };
        }
        match &node.kind {
            Kind::Primitive(p) => match p {
                Primitive::Null => Self::Null(0),
                Primitive::Boolean => Self::Boolean(Vec::new()),
                Primitive::Int => Self::Int(Vec::new()),
                Primitive::Long => Self::Long(Vec::new()),
                Primitive::Float => Self::Float(Vec::new()),
                Primitive::Double => Self::Double(Vec::new()),
                Primitive::Bytes => Self::Bytes(Slices::default()),
                Primitive::String => Self::Text(Slices::default()),
            },
            Kind::Array(items) => Self::List {
                ends: Ends::default(),
                items: Box::new(new(*items)),
                min: min(*items),
            },
            Kind::Map(values) => Self::Map {
                ends: Ends::default(),
                keys: Slices::default(),
                values: Box::new(new(*values)),
                min: min(*values).saturating_add(1),
            },
            Kind::Union(branches) => Self::Union {
                ids: Vec::new(),
                offsets: Vec::new(),
                branches: branches.iter().map(|&b| (0, new(b))).collect(),
            },
            Kind::Record(record) => Self::Record {
                rows: 0,
                fields: record.fields.iter().map(|f| new(f.node)).collect(),
            },
            Kind::Enum(e) => Self::Enum {
                keys: Vec::new(),
                symbols: e.symbols.clone(),
            },
            Kind::Fixed(fixed) => Self::Fixed {
                size: fixed.size as usize,
                rows: 0,
                bytes: Vec::new(),
            },
        }
    }

    /// Reads what `op` of the cursor's plan gives.
    #[inline]
    pub(super) fn take(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        op: OpId,
    ) -> Result<(), DecodeError> {
        if cursor.plan.same(op) {
            self.read(&mut cursor.datum)
        } else {
            self.resolve(cursor, op)
        }
    }

    /// Reads a default of the plan.
    pub(super) fn constant(&mut self, plan: &Plan, number: u32) -> Result<(), DecodeError> {
        self.read(&mut constant(plan, number))
    }

    /// Reads a value that was written as this type.
    #[inline(always)]
    pub(super) fn read(&mut self, datum: &mut Datum<'_>) -> Result<(), DecodeError> {
        match self {
            Self::Boolean(v) => v.push(datum.input.boolean()?),
            Self::Int(v) => v.push(datum.input.int()?),
            Self::Long(v) => v.push(datum.input.long()?),
            Self::Float(v) => v.push(datum.input.float()?),
            Self::Double(v) => v.push(datum.input.double()?),
            Self::Text(v) => {
                v.push(datum.input.string()?.as_bytes())?;
            }
            Self::Enum { keys, symbols } => keys.push(datum.symbol(symbols.len())? as i32),
            Self::Nullable { valid, null, inner } => {
                let there = datum.branch(2)? != usize::from(*null);
                valid.push(there);
                match (&mut **inner, there) {
                    (Self::Double(v), true) => v.push(datum.input.double()?),
                    (Self::Double(v), false) => v.push(0.0),
                    (inner, true) => inner.read_parts(datum)?,
                    (inner, false) => inner.nothing()?,
                }
            }
            other => other.read_parts(datum)?,
        }
        Ok(())
    }

    /// Reads as [`read`](Column::read) does, any type, at the price of a call.
    fn read_parts(&mut self, datum: &mut Datum<'_>) -> Result<(), DecodeError> {
        match self {
            Self::Null(rows) => *rows += 1,
            Self::Bytes(v) => v.push(datum.input.bytes()?)?,
            Self::Fixed { size, rows, bytes } => {
                bytes.extend_from_slice(datum.input.take(*size)?);
                *rows += 1;
            }
            Self::Logical { size, values } => {
                let offset = datum.input.offset();
                let wire = match size {
                    Some(size) => datum.input.take(*size)?,
                    None => datum.input.bytes()?,
                };
                values.push(wire, offset)?;
            }
            Self::List { ends, items, min } => {
                let mut len = ends.last();
                datum.enter()?;
                while let Some(block) = datum.block(*min)? {
                    items.read_many(datum, block.count)?;
                    datum.close(&block)?;
                    len += block.count;
                }
                datum.leave();
                ends.push(len)?;
            }
            Self::Map {
                ends,
                keys,
                values,
                min,
            } => {
                let mut len = ends.last();
                datum.enter()?;
                while let Some(block) = datum.block(*min)? {
                    for _ in 0..block.count {
                        let key = datum.input.string()?;
                        keys.push(key.as_bytes())?;
                        match &mut **values {
                            Self::Text(v) => v.push(datum.input.string()?.as_bytes())?,
                            other => other.read(datum)?,
                        }
                    }
                    datum.close(&block)?;
                    len += block.count;
                }
                datum.leave();
                ends.push(len)?;
            }
            Self::Record { rows, fields } => {
                datum.enter()?;
                for field in fields {
                    field.read(datum)?;
                }
                datum.leave();
                *rows += 1;
            }
            Self::Union {
                ids,
                offsets,
                branches,
            } => {
                let branch = datum.branch(branches.len())?;
                let (rows, column) = &mut branches[branch];
                column.read(datum)?;
                ids.push(branch as i8);
                offsets.push(end(*rows)?);
                *rows += 1;
            }
            other => return other.read(datum),
        }
        Ok(())
    }

    /// Reads values behind each other; their count is checked against what is left.
    fn read_many(&mut self, datum: &mut Datum<'_>, count: usize) -> Result<(), DecodeError> {
        match self {
            Self::Double(v) => {
                let bytes = datum.input.take(count * 8)?;
                let chunks = bytes.as_chunks().0.iter();
                v.extend(chunks.map(|chunk| f64::from_le_bytes(*chunk)));
            }
            Self::Float(v) => {
                let bytes = datum.input.take(count * 4)?;
                let chunks = bytes.as_chunks().0.iter();
                v.extend(chunks.map(|chunk| f32::from_le_bytes(*chunk)));
            }
            other => {
                for _ in 0..count {
                    other.read(datum)?;
                }
            }
        }
        Ok(())
    }

    /// Reads a value that the plan resolves to this type.
    pub(super) fn resolve(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        op: OpId,
    ) -> Result<(), DecodeError> {
        let plan = cursor.plan;
        let op = cursor.choose(op)?;
        match (self, plan.op(op)) {
            (_, Op::Fail { problem }) => return Err(cursor.fail(*problem)),
            (Self::Nullable { valid, null, inner }, Op::Wrap { branch, then }) => {
                let there = *branch != u32::from(*null);
                valid.push(there);
                if there {
                    inner.take(cursor, *then)?;
                } else {
                    inner.nothing()?;
                }
            }
            (
                Self::Union {
                    ids,
                    offsets,
                    branches,
                },
                Op::Wrap { branch, then },
            ) => {
                let (rows, column) = branches.get_mut(*branch as usize).ok_or_else(other)?;
                column.take(cursor, *then)?;
                ids.push(*branch as i8);
                offsets.push(end(*rows)?);
                *rows += 1;
            }
            (column, Op::Scalar(promotion)) => {
                promotion.read(&mut cursor.datum.input, column)?;
            }
            (
                column @ (Self::Fixed { .. } | Self::Logical { size: Some(_), .. }),
                Op::Fixed { .. },
            ) => column.read(&mut cursor.datum)?,
            (column, op @ Op::Enum { .. }) => {
                column.symbol(cursor.plan, op, &mut cursor.datum.input)?
            }
            (Self::List { ends, items, .. }, Op::Array { item, min }) => {
                let mut len = ends.last();
                cursor.datum.enter()?;
                while let Some(block) = cursor.datum.block(*min as usize)? {
                    for _ in 0..block.count {
                        items.take(cursor, *item)?;
                    }
                    cursor.datum.close(&block)?;
                    len += block.count;
                }
                cursor.datum.leave();
                ends.push(len)?;
            }
            (
                Self::Map {
                    ends, keys, values, ..
                },
                Op::Map { value, min },
            ) => {
                let mut len = ends.last();
                cursor.datum.enter()?;
                while let Some(block) = cursor.datum.block(*min as usize)? {
                    for _ in 0..block.count {
                        let key = cursor.datum.input.string()?;
                        keys.push(key.as_bytes())?;
                        values.take(cursor, *value)?;
                    }
                    cursor.datum.close(&block)?;
                    len += block.count;
                }
                cursor.datum.leave();
                ends.push(len)?;
            }
            (Self::Record { rows, fields }, Op::Record(record)) => {
                cursor.open(record)?;
                rows::nested(&record.steps, fields, cursor)?;
                cursor.datum.leave();
                *rows += 1;
            }
            _ => return Err(other()),
        }
        Ok(())
    }

    /// Reads a symbol by the table of an operation.
    #[inline(always)]
    pub(super) fn symbol(
        &mut self,
        plan: &Plan,
        op: &Op,
        input: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        match (self, op) {
            (Self::Enum { keys, .. }, Op::Enum { symbols, problem }) => {
                keys.push(symbol(plan, input, symbols, *problem)? as i32);
                Ok(())
            }
            _ => Err(other()),
        }
    }

    /// Adds a row that nobody looks at, beneath a null.
    #[inline(always)]
    pub(super) fn nothing(&mut self) -> Result<(), DecodeError> {
        match self {
            Self::Int(v) => v.push(0),
            Self::Long(v) => v.push(0),
            Self::Double(v) => v.push(0.0),
            other => return other.nothing_parts(),
        }
        Ok(())
    }

    /// Adds a row as [`nothing`](Column::nothing) does, of any type, at the price of a call.
    fn nothing_parts(&mut self) -> Result<(), DecodeError> {
        match self {
            Self::Null(rows) => *rows += 1,
            Self::Boolean(v) => v.push(false),
            Self::Float(v) => v.push(0.0),
            Self::Text(v) | Self::Bytes(v) => v.push(&[])?,
            Self::Fixed { size, rows, bytes } => {
                bytes.resize(bytes.len() + *size, 0);
                *rows += 1;
            }
            Self::Enum { keys, .. } => keys.push(0),
            Self::Logical { values, .. } => values.nothing(),
            Self::List { ends, .. } | Self::Map { ends, .. } => ends.push(ends.last())?,
            Self::Record { rows, fields } => {
                fields.iter_mut().try_for_each(Self::nothing)?;
                *rows += 1;
            }
            Self::Nullable { valid, inner, .. } => {
                valid.push(false);
                inner.nothing()?;
            }
            Self::Union {
                ids,
                offsets,
                branches,
            } => {
                let (rows, column) = branches.first_mut().ok_or_else(other)?;
                column.nothing()?;
                ids.push(0);
                offsets.push(end(*rows)?);
                *rows += 1;
            }
            other => return other.nothing(),
        }
        Ok(())
    }

    /// Adds the only row so many times more; `again` adds it where there is no shorter way.
    pub(super) fn repeat(
        &mut self,
        times: usize,
        mut again: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        fn fill<T: Copy>(v: &mut Vec<T>, times: usize) {
            if let Some(&value) = v.first() {
                v.resize(times + 1, value);
            }
        }
        match self {
            Self::Null(rows) => *rows += times,
            Self::Boolean(v) => fill(v, times),
            Self::Int(v) => fill(v, times),
            Self::Long(v) => fill(v, times),
            Self::Float(v) => fill(v, times),
            Self::Double(v) => fill(v, times),
            Self::Enum { keys, .. } => fill(keys, times),
            Self::Text(v) | Self::Bytes(v) => v.repeat(times)?,
            _ => {
                for _ in 0..times {
                    again(self)?;
                }
            }
        }
        Ok(())
    }

    /// Takes away what was added after the first `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Null(n) => *n = (*n).min(rows),
            Self::Boolean(v) => v.truncate(rows),
            Self::Int(v) => v.truncate(rows),
            Self::Long(v) => v.truncate(rows),
            Self::Float(v) => v.truncate(rows),
            Self::Double(v) => v.truncate(rows),
            Self::Text(v) | Self::Bytes(v) => v.truncate(rows),
            Self::Fixed {
                size,
                rows: n,
                bytes,
            } => {
                *n = (*n).min(rows);
                bytes.truncate(*n * *size);
            }
            Self::Enum { keys, .. } => keys.truncate(rows),
            Self::Logical { values, .. } => values.truncate(rows),
            Self::List { ends, items, .. } => {
                ends.truncate(rows);
                items.truncate(ends.last());
            }
            Self::Map {
                ends, keys, values, ..
            } => {
                ends.truncate(rows);
                keys.truncate(ends.last());
                values.truncate(ends.last());
            }
            Self::Record { rows: n, fields } => {
                *n = (*n).min(rows);
                fields.iter_mut().for_each(|f| f.truncate(rows));
            }
            Self::Nullable { valid, inner, .. } => {
                valid.truncate(rows);
                inner.truncate(rows);
            }
            Self::Union {
                ids,
                offsets,
                branches,
            } => {
                ids.truncate(rows);
                offsets.truncate(rows);
                for (i, (n, column)) in branches.iter_mut().enumerate() {
                    *n = ids.iter().filter(|&&id| id as usize == i).count();
                    column.truncate(*n);
                }
            }
        }
    }
}

impl<'a> Target<'a> for &mut Column {
    type Out = ();

    #[cold]
    fn other() -> DecodeError {
        other()
    }

    #[inline(always)]
    fn null(self) -> Result<(), DecodeError> {
        let Column::Null(rows) = self else {
            return Err(other());
        };
        *rows += 1;
        Ok(())
    }

    #[inline(always)]
    fn boolean(self, v: bool) -> Result<(), DecodeError> {
        let Column::Boolean(rows) = self else {
            return Err(other());
        };
        rows.push(v);
        Ok(())
    }

    #[inline(always)]
    fn int(self, v: i32) -> Result<(), DecodeError> {
        let Column::Int(rows) = self else {
            return Err(other());
        };
        rows.push(v);
        Ok(())
    }

    #[inline(always)]
    fn long(self, v: i64) -> Result<(), DecodeError> {
        let Column::Long(rows) = self else {
            return Err(other());
        };
        rows.push(v);
        Ok(())
    }

    #[inline(always)]
    fn float(self, v: f32) -> Result<(), DecodeError> {
        let Column::Float(rows) = self else {
            return Err(other());
        };
        rows.push(v);
        Ok(())
    }

    #[inline(always)]
    fn double(self, v: f64) -> Result<(), DecodeError> {
        let Column::Double(rows) = self else {
            return Err(other());
        };
        rows.push(v);
        Ok(())
    }

    #[inline(always)]
    fn bytes(self, v: &'a [u8], offset: usize) -> Result<(), DecodeError> {
        match self {
            Column::Bytes(rows) => rows.push(v),
            Column::Logical { size: None, values } => values.push(v, offset),
            _ => Err(other()),
        }
    }

    #[inline(always)]
    fn string(self, v: &'a str, offset: usize) -> Result<(), DecodeError> {
        match self {
            Column::Text(rows) => rows.push(v.as_bytes()),
            Column::Logical { size: None, values } => values.push(v.as_bytes(), offset),
            _ => Err(other()),
        }
    }
}
