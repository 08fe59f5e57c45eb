//! Cells as SQLite's values, and back.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use telemetry_core::Uuid;

use crate::evolve::{Cell, ColumnType};

/// The type of a column in a `STRICT` table.
pub(super) const fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean
        | ColumnType::Integer
        | ColumnType::Date
        | ColumnType::Time
        | ColumnType::Timestamp
        | ColumnType::LocalTimestamp => "INTEGER",
        ColumnType::Real => "REAL",
        ColumnType::Text | ColumnType::Decimal => "TEXT",
        ColumnType::Blob | ColumnType::Uuid | ColumnType::Duration | ColumnType::Avro => "BLOB",
    }
}

/// A cell on its way into a statement, without a copy where there are many bytes.
pub(super) struct Bound<'a>(pub(super) Cell<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Boolean(v) => ValueRef::Integer(i64::from(v)),
            Cell::Integer(v) => ValueRef::Integer(v),
            // SQLite makes null of NaN; `extra` has it.
            Cell::Real(v) => ValueRef::Real(v),
            Cell::Text(v) => ValueRef::Text(v.as_bytes()),
            Cell::Blob(v) => ValueRef::Blob(v),
            Cell::Uuid(v) => return Ok(ToSqlOutput::Owned(Value::Blob(v.as_bytes().to_vec()))),
            Cell::Decimal { unscaled, scale } => {
                return Ok(ToSqlOutput::Owned(Value::Text(decimal(unscaled, scale))));
            }
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

/// The cell of a column; `None` if something else stands there.
pub(super) fn cell(value: ValueRef<'_>, kind: ColumnType) -> Option<Cell<'_>> {
    Some(match (value, kind) {
        (ValueRef::Null, _) => Cell::Null,
        (ValueRef::Integer(v), ColumnType::Boolean) => Cell::Boolean(v != 0),
        (ValueRef::Integer(v), _) => Cell::Integer(v),
        (ValueRef::Real(v), _) => Cell::Real(v),
        (ValueRef::Text(v), ColumnType::Decimal) => parsed(std::str::from_utf8(v).ok()?)?,
        (ValueRef::Text(v), _) => Cell::Text(std::str::from_utf8(v).ok()?),
        (ValueRef::Blob(v), ColumnType::Uuid) => Cell::Uuid(Uuid::from_slice(v).ok()?),
        (ValueRef::Blob(v), _) => Cell::Blob(v),
    })
}

/// A decimal in digits: with as many behind the point as its scale says.
fn decimal(unscaled: i128, scale: u32) -> String {
    let scale = scale as usize;
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let sign = if unscaled < 0 { "-" } else { "" };
    let (whole, rest) = digits.split_at(digits.len() - scale);
    match rest {
        "" => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{rest}"),
    }
}

fn parsed(text: &str) -> Option<Cell<'static>> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    Some(Cell::Decimal {
        unscaled: format!("{whole}{rest}").parse().ok()?,
        scale: u32::try_from(rest.len()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decimals_come_back(unscaled: i128, scale in 0u32..40) {
            let text = decimal(unscaled, scale);
            prop_assert_eq!(parsed(&text), Some(Cell::Decimal { unscaled, scale }), "{}", text);
        }
    }

    #[test]
    fn decimals_are_written_as_people_do() {
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(1234, 2), "12.34");
        assert_eq!(decimal(7, 0), "7");
    }
}
