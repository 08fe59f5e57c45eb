//! What a column holds.

use telemetry_core::{Kind, NodeId, Primitive, Schema};

/// What a column holds. Wide from the start, so that promotions need no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ColumnType {
    /// `boolean`, and whether a nullable record is there.
    Boolean,
    /// `int` and `long`.
    Integer,
    /// `float` and `double`.
    Real,
    /// `string`, and the symbols of an `enum`.
    Text,
    /// `bytes` and `fixed`.
    Blob,
    /// `uuid`.
    Uuid,
    /// Days since 1970: `date`.
    Date,
    /// Microseconds since midnight: `time-millis` and `time-micros`.
    Time,
    /// Microseconds since 1970 in UTC: `timestamp-millis` and `timestamp-micros`.
    Timestamp,
    /// Microseconds since 1970 in no time zone: `local-timestamp-millis` and `-micros`.
    LocalTimestamp,
    /// `decimal` of at most [`Self::DIGITS_MAX`] digits, at any scale.
    Decimal,
    /// Months, days and milliseconds, 4 bytes each, little endian: `duration`.
    Duration,
    /// The Avro datum of the field's own schema: arrays, maps, and what has too many parts.
    Avro,
}

impl ColumnType {
    /// Most digits of a decimal column: what 128 bits hold. Longer ones are kept as Avro.
    pub const DIGITS_MAX: u32 = 38;

    const ALL: [Self; 13] = [
        Self::Boolean,
        Self::Integer,
        Self::Real,
        Self::Text,
        Self::Blob,
        Self::Uuid,
        Self::Date,
        Self::Time,
        Self::Timestamp,
        Self::LocalTimestamp,
        Self::Decimal,
        Self::Duration,
        Self::Avro,
    ];

    /// The word for it in catalogues and column names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "i64",
            Self::Real => "f64",
            Self::Text => "text",
            Self::Blob => "blob",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::LocalTimestamp => "local",
            Self::Decimal => "decimal",
            Self::Duration => "duration",
            Self::Avro => "avro",
        }
    }

    /// The type named by `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == word)
    }

    /// What one cell of a type can be kept as; `None` if the type has parts, or is null.
    pub(super) fn of(schema: &Schema, id: NodeId) -> Option<Self> {
        let node = schema.node(id);
        let (primitive, size) = match &node.kind {
            Kind::Primitive(Primitive::Null) => return None,
            Kind::Primitive(primitive) => (Some(*primitive), None),
            Kind::Fixed(fixed) => (None, Some(fixed.size)),
            Kind::Enum(_) => return Some(Self::Text),
            Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_) => return None,
        };
        if let Some(decimal) = node.decimal {
            return (decimal.precision <= Self::DIGITS_MAX).then_some(Self::Decimal);
        }
        let is = |wanted: Primitive| primitive == Some(wanted);
        Some(match node.logical.as_deref() {
            Some("uuid") if is(Primitive::String) || size == Some(16) => Self::Uuid,
            Some("duration") if size == Some(12) => Self::Duration,
            Some("date") if is(Primitive::Int) => Self::Date,
            Some("time-millis") if is(Primitive::Int) => Self::Time,
            Some("time-micros") if is(Primitive::Long) => Self::Time,
            Some("timestamp-millis" | "timestamp-micros") if is(Primitive::Long) => Self::Timestamp,
            Some("local-timestamp-millis" | "local-timestamp-micros") if is(Primitive::Long) => {
                Self::LocalTimestamp
            }
            _ => match primitive {
                Some(Primitive::Boolean) => Self::Boolean,
                Some(Primitive::Int | Primitive::Long) => Self::Integer,
                Some(Primitive::Float | Primitive::Double) => Self::Real,
                Some(Primitive::String) => Self::Text,
                Some(Primitive::Bytes | Primitive::Null) | None => Self::Blob,
            },
        })
    }
}

/// The number of a column in its table, for ever: its name is data, and may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnId(pub u32);

/// Which of the two records of a row a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What the device wrote.
    Record,
    /// What is known about it besides: the columns `meta_…`.
    Enrichment,
}

impl Part {
    /// The word for it in catalogues.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Enrichment => "enrichment",
        }
    }

    /// The part named by `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Record, Self::Enrichment]
            .into_iter()
            .find(|p| p.as_str() == word)
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its number.
    pub id: ColumnId,
    /// The record it belongs to.
    pub part: Part,
    /// Its name in the database: `[a-z][a-z0-9_]*`.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
}
