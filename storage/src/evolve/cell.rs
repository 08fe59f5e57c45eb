//! From the datum of a record to a row of cells, and back.

use telemetry_core::wire::{self, Reader, WireError};
use telemetry_core::{DecodeError, Uuid};

use super::shape::{Branch, Leaf, Segment, Unit, Wire};
use super::{Layout, Shape};

/// What stands in one column of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// Of a boolean column.
    Boolean(bool),
    /// Of an integer, date, time or timestamp column.
    Integer(i64),
    /// Of a real column.
    Real(f64),
    /// Of a text column.
    Text(&'a str),
    /// Of a column of bytes, a duration or an Avro datum.
    Blob(&'a [u8]),
    /// Of a UUID column.
    Uuid(Uuid),
    /// Of a decimal column: `unscaled` × 10⁻ˢᶜᵃˡᵉ.
    Decimal {
        /// The digits.
        unscaled: i128,
        /// How many of them are behind the point.
        scale: u32,
    },
}

/// The cells of one record, and what they do not say exactly.
///
/// A value that its column cannot hold as it is, e.g. NaN or an overlong decimal, or that has no
/// column yet, stands in `extra`: so what is read is what was written, bit by bit.
#[derive(Debug, Default)]
pub struct Row<'a> {
    cells: Vec<Cell<'a>>,
    /// Leaf, and its datum.
    extra: Vec<(usize, &'a [u8])>,
    scratch: Vec<u8>,
}

impl<'a> Row<'a> {
    /// A cell for each leaf of the shape, in its order.
    pub fn cells(&self) -> &[Cell<'a>] {
        &self.cells
    }

    /// What the cells do not say: the datum of `{"type": "map", "values": "bytes"}`, in which the
    /// name of a leaf leads to its datum. Empty if they say all.
    pub fn extra(&self, shape: &Shape) -> Vec<u8> {
        let mut out = Vec::new();
        if self.extra.is_empty() {
            return out;
        }
        wire::put_long(&mut out, self.extra.len() as i64);
        for (leaf, datum) in &self.extra {
            wire::put_bytes(&mut out, shape.leaves()[*leaf].key.as_bytes());
            wire::put_bytes(&mut out, datum);
        }
        out.push(0);
        out
    }
}

impl Shape {
    /// Reads the datum of one record into a row. The layout says which leaves have a column.
    pub fn read<'a>(
        &'a self,
        layout: &Layout,
        input: &mut Reader<'a>,
        row: &mut Row<'a>,
    ) -> Result<(), DecodeError> {
        row.cells.clear();
        row.cells.resize(self.leaves().len(), Cell::Null);
        row.extra.clear();
        let mut reading = Reading {
            leaves: self.leaves(),
            layout,
            row,
        };
        self.root
            .iter()
            .try_for_each(|segment| reading.segment(segment, input))
    }

    /// When the record was made, in microseconds since 1970; `None` if it does not say.
    pub fn time(&self, cells: &[Cell<'_>]) -> Option<i64> {
        let (leaf, unit) = self.event_time()?;
        match (*cells.get(leaf)?, unit) {
            (Cell::Integer(v), Unit::Micros) => Some(v),
            (Cell::Integer(v), Unit::Nanos) => Some(v.div_euclid(1_000)),
            (Cell::Integer(v), Unit::Seconds) => v.checked_mul(1_000_000),
            (Cell::Integer(v), Unit::Days) => v.checked_mul(86_400_000_000),
            (Cell::Text(text), Unit::Text) => {
                let time: jiff::Timestamp = text.parse().ok()?;
                Some(time.as_microsecond())
            }
            _ => None,
        }
    }

    /// Appends the datum that `cells` and `extra` were made of. On an error `out` is as before.
    pub fn write(
        &self,
        cells: &[Cell<'_>],
        extra: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        let start = out.len();
        let writing = Writing {
            leaves: self.leaves(),
            cells,
            extra: match extra {
                Some(extra) => pairs(extra)?,
                None => Vec::new(),
            },
        };
        let done = self
            .root
            .iter()
            .try_for_each(|segment| writing.segment(segment, out));
        if done.is_err() {
            out.truncate(start);
        }
        done
    }
}

/// Cells that no record of their schema gives: something else wrote to the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// A value that every record has is not there, or is none of its type.
    #[error("`{path}` has no value of its type")]
    Cell {
        /// Path of the field.
        path: String,
    },
    /// `extra` is no map of values.
    #[error("extra: {0}")]
    Extra(#[from] WireError),
}

telemetry_core::error_codes!(RowError {
    Cell { .. } => 4032,
    Extra(_) => 4033,
});

struct Reading<'r, 'a> {
    leaves: &'a [Leaf],
    layout: &'r Layout,
    row: &'r mut Row<'a>,
}

impl<'a> Reading<'_, 'a> {
    fn segment(&mut self, segment: &Segment, input: &mut Reader<'a>) -> Result<(), DecodeError> {
        match segment {
            Segment::Null => Ok(()),
            Segment::Leaf(leaf) => self.leaf(*leaf, input),
            Segment::Record(fields) => fields.iter().try_for_each(|f| self.segment(f, input)),
            Segment::Union(branches) => match &branches[position(input, branches.len())?] {
                Branch::Null => Ok(()),
                Branch::Leaf(leaf) => self.leaf(*leaf, input),
                Branch::Record(presence, fields) => {
                    self.leaf(*presence, input)?;
                    fields.iter().try_for_each(|f| self.segment(f, input))
                }
            },
        }
    }

    fn leaf(&mut self, leaf: usize, input: &mut Reader<'a>) -> Result<(), DecodeError> {
        let (rest, start) = (input.rest(), input.offset());
        let wire = &self.leaves[leaf].wire;
        let (cell, exact) = wire.read(input, &mut self.row.scratch)?;
        self.row.cells[leaf] = cell;
        if !exact || !self.layout.has_column(leaf) {
            let datum = &rest[..input.offset() - start];
            self.row.extra.push((leaf, datum));
        }
        Ok(())
    }
}

/// Which of so many branches or symbols follows.
fn position(input: &mut Reader<'_>, of: usize) -> Result<usize, DecodeError> {
    let offset = input.offset();
    let symbol = input.long()?;
    match usize::try_from(symbol) {
        Ok(at) if at < of => Ok(at),
        _ => Err(DecodeError::Symbol {
            offset,
            symbol,
            symbols: of,
        }),
    }
}

impl Wire {
    /// Reads a value: its cell, and whether the cell alone gives it back.
    fn read<'a>(
        &'a self,
        input: &mut Reader<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<(Cell<'a>, bool), DecodeError> {
        Ok(match self {
            Self::Boolean => (Cell::Boolean(input.boolean()?), true),
            Self::Int => (Cell::Integer(i64::from(input.int()?)), true),
            Self::Long => (Cell::Integer(input.long()?), true),
            Self::Millis { int } => {
                let millis = if *int {
                    i64::from(input.int()?)
                } else {
                    input.long()?
                };
                match millis.checked_mul(1_000) {
                    Some(micros) => (Cell::Integer(micros), true),
                    None => (Cell::Null, false),
                }
            }
            Self::Float => real(f64::from(input.float()?)),
            Self::Double => real(input.double()?),
            Self::Bytes => (Cell::Blob(input.bytes()?), true),
            Self::String => (Cell::Text(input.string()?), true),
            Self::Fixed(size) => (Cell::Blob(input.take(*size)?), true),
            Self::Enum(symbols) => {
                let symbol = position(input, symbols.len())?;
                (Cell::Text(&symbols[symbol]), true)
            }
            Self::UuidText => {
                let text = input.string()?;
                match Uuid::try_parse(text) {
                    Ok(uuid) => {
                        let mut buffer = Uuid::encode_buffer();
                        let exact = uuid.hyphenated().encode_lower(&mut buffer) == text;
                        (Cell::Uuid(uuid), exact)
                    }
                    Err(_) => (Cell::Null, false),
                }
            }
            Self::UuidBytes => {
                let bytes = input.take(16)?;
                let uuid = Uuid::from_slice(bytes);
                uuid.map_or((Cell::Null, false), |uuid| (Cell::Uuid(uuid), true))
            }
            Self::Decimal { size, scale } => {
                let bytes = match size {
                    Some(size) => input.take(*size)?,
                    None => input.bytes()?,
                };
                decimal(bytes, *size, *scale)
            }
            Self::Avro(plan) => {
                let (rest, start) = (input.rest(), input.offset());
                scratch.clear();
                plan.transcode(input, scratch)?;
                (Cell::Blob(&rest[..input.offset() - start]), true)
            }
            Self::Presence => (Cell::Boolean(true), true),
        })
    }
}

/// SQLite knows no NaN and no negative zero, and nobody knows what is in a NaN.
fn real(value: f64) -> (Cell<'static>, bool) {
    let exact = !value.is_nan() && (value != 0.0 || value.is_sign_positive());
    (Cell::Real(value), exact)
}

/// The number of a decimal, and whether its shortest form (or that of its size) is the one read.
fn decimal(bytes: &[u8], size: Option<usize>, scale: u32) -> (Cell<'static>, bool) {
    const LEN: usize = size_of::<i128>();
    let sign = match bytes.first() {
        Some(first) if *first >= 0x80 => 0xff,
        _ => 0,
    };
    let (surplus, low) = bytes.split_at(bytes.len().saturating_sub(LEN));
    let mut number = [sign; LEN];
    number[LEN - low.len()..].copy_from_slice(low);
    let unscaled = i128::from_be_bytes(number);
    if surplus.iter().any(|b| *b != sign) || (unscaled < 0) != (sign == 0xff) {
        return (Cell::Null, false);
    }
    let exact = size.is_some() || bytes.len() == digits(&unscaled.to_be_bytes()).len();
    (Cell::Decimal { unscaled, scale }, exact)
}

/// A big-endian number without the bytes that only repeat its sign.
fn digits(number: &[u8]) -> &[u8] {
    let mut digits = number;
    while let [first, rest @ ..] = digits
        && let [next, ..] = rest
        && *first == if *next >= 0x80 { 0xff } else { 0 }
    {
        digits = rest;
    }
    digits
}

/// The pairs of `extra`.
fn pairs(extra: &[u8]) -> Result<Vec<(&str, &[u8])>, WireError> {
    let mut input = Reader::new(extra);
    let mut pairs = Vec::new();
    // One block, as it was written; a bound that its bytes set.
    for _ in 0..input.long()?.clamp(0, extra.len() as i64) {
        pairs.push((input.string()?, input.bytes()?));
    }
    Ok(pairs)
}

struct Writing<'r> {
    leaves: &'r [Leaf],
    cells: &'r [Cell<'r>],
    extra: Vec<(&'r str, &'r [u8])>,
}

impl Writing<'_> {
    fn segment(&self, segment: &Segment, out: &mut Vec<u8>) -> Result<(), RowError> {
        match segment {
            Segment::Null => Ok(()),
            Segment::Leaf(leaf) => self.leaf(*leaf, out),
            Segment::Record(fields) => fields.iter().try_for_each(|f| self.segment(f, out)),
            Segment::Union(branches) => self.union(branches, out),
        }
    }

    fn union(&self, branches: &[Branch], out: &mut Vec<u8>) -> Result<(), RowError> {
        let leaf = |branch: &Branch| match branch {
            Branch::Null => None,
            Branch::Leaf(leaf) | Branch::Record(leaf, _) => Some(*leaf),
        };
        let set = |branch: &Branch| leaf(branch).is_some_and(|leaf| self.is_set(leaf));
        let null = |branch: &Branch| matches!(branch, Branch::Null);
        let branch = branches.iter().position(set);
        let Some(at) = branch.or_else(|| branches.iter().position(null)) else {
            let first = branches.iter().find_map(leaf);
            return Err(first.map_or(
                RowError::Cell {
                    path: String::new(),
                },
                |leaf| self.wrong(leaf),
            ));
        };
        wire::put_long(out, at as i64);
        match &branches[at] {
            Branch::Null => Ok(()),
            Branch::Leaf(leaf) => self.leaf(*leaf, out),
            Branch::Record(_, fields) => fields.iter().try_for_each(|f| self.segment(f, out)),
        }
    }

    fn extra(&self, leaf: usize) -> Option<&[u8]> {
        let key = &self.leaves[leaf].key;
        let mut pairs = self.extra.iter();
        pairs.find(|(k, _)| k == key).map(|(_, datum)| *datum)
    }

    fn is_set(&self, leaf: usize) -> bool {
        let cell = self.cells.get(leaf);
        cell.is_some_and(|cell| *cell != Cell::Null) || self.extra(leaf).is_some()
    }

    fn wrong(&self, leaf: usize) -> RowError {
        RowError::Cell {
            path: self.leaves[leaf].path.clone(),
        }
    }

    fn leaf(&self, leaf: usize, out: &mut Vec<u8>) -> Result<(), RowError> {
        // Where `extra` says it, the cell is at most near.
        if let Some(datum) = self.extra(leaf) {
            out.extend_from_slice(datum);
            return Ok(());
        }
        let cell = self.cells.get(leaf).copied().unwrap_or(Cell::Null);
        let put = self.leaves[leaf].wire.put(cell, out);
        put.ok_or_else(|| self.wrong(leaf))
    }
}

impl Wire {
    /// Appends the value of a cell; `None` if the cell has none of this type.
    fn put(&self, cell: Cell<'_>, out: &mut Vec<u8>) -> Option<()> {
        match (self, cell) {
            (Self::Boolean, Cell::Boolean(v)) => out.push(u8::from(v)),
            (Self::Int, Cell::Integer(v)) => wire::put_long(out, i64::from(i32::try_from(v).ok()?)),
            (Self::Long, Cell::Integer(v)) => wire::put_long(out, v),
            (Self::Millis { int }, Cell::Integer(micros)) => {
                let millis = micros.div_euclid(1_000);
                if *int {
                    i32::try_from(millis).ok()?;
                }
                wire::put_long(out, millis);
            }
            // A wider column: what was written was a float.
            (Self::Float, Cell::Real(v)) => out.extend_from_slice(&(v as f32).to_le_bytes()),
            (Self::Double, Cell::Real(v)) => out.extend_from_slice(&v.to_le_bytes()),
            (Self::Bytes, Cell::Blob(v)) => wire::put_bytes(out, v),
            (Self::String, Cell::Text(v)) => wire::put_bytes(out, v.as_bytes()),
            (Self::Fixed(size), Cell::Blob(v)) if v.len() == *size => out.extend_from_slice(v),
            (Self::Enum(symbols), Cell::Text(v)) => {
                wire::put_long(out, symbols.iter().position(|s| s == v)? as i64);
            }
            (Self::UuidText, Cell::Uuid(v)) => {
                let mut buffer = Uuid::encode_buffer();
                wire::put_bytes(out, v.hyphenated().encode_lower(&mut buffer).as_bytes());
            }
            (Self::UuidBytes, Cell::Uuid(v)) => out.extend_from_slice(v.as_bytes()),
            (Self::Decimal { size, scale: own }, Cell::Decimal { unscaled, scale }) => {
                if scale != *own {
                    return None;
                }
                let number = unscaled.to_be_bytes();
                let digits = digits(&number);
                match size {
                    None => wire::put_bytes(out, digits),
                    Some(size) => {
                        let sign = if unscaled < 0 { 0xff } else { 0 };
                        let missing = size.checked_sub(digits.len())?;
                        out.resize(out.len() + missing, sign);
                        out.extend_from_slice(digits);
                    }
                }
            }
            (Self::Avro(_), Cell::Blob(v)) => out.extend_from_slice(v),
            _ => return None,
        }
        Some(())
    }
}
