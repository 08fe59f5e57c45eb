//! Rows back to records, as a reader's schema wants them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};
use telemetry_core::{
    DeviceId, Epoch, Fingerprint, Plan, Primitive, Schema, Seq, Source, StreamName, Timestamp,
};

use super::catalogue::{Catalogue, StreamTable};
use super::{Inner, damaged};
use crate::evolve::{Column, ColumnType};
use crate::{Cell, Gap, Presence, ReadError, Selection, StoreError, StoredRecord};

/// Where a value of the reader's record comes from, for rows of one writer's schema.
enum From {
    /// This column of the statement, and what the reader makes of it.
    Column(usize, Primitive),
    Default(Cell),
}

/// Columns of the statement before those of the fields: device, epoch, seq, schema_fp.
const KEY: usize = 4;

pub(super) fn read(
    inner: &Inner,
    stream: &StreamName,
    selection: &Selection,
    reader: &Schema,
    first: Option<usize>,
) -> Result<Vec<StoredRecord>, ReadError> {
    let Some(table) = inner.catalogue.tables.get(stream) else {
        return Ok(Vec::new());
    };
    let max = inner.limits.rows_read_max;
    let (sql, bound) = statement(table, selection);
    let mut resolved: HashMap<Fingerprint, Vec<From>> = HashMap::new();
    let mut out = Vec::new();
    let mut statement = inner
        .connection
        .prepare_cached(&sql)
        .map_err(StoreError::from)?;
    let mut rows = statement
        .query(params_from_iter(bound))
        .map_err(StoreError::from)?;
    while let Some(row) = rows.next().map_err(StoreError::from)? {
        if first.is_some_and(|first| out.len() == first) {
            break;
        }
        if out.len() == max {
            return Err(ReadError::TooMany { max });
        }
        let get = |i: usize| row.get_ref(i).map_err(StoreError::from);
        let number = |i: usize| match get(i)? {
            ValueRef::Integer(n) => Ok(n),
            _ => Err(damaged("a key that is no number")),
        };
        let schema = Fingerprint(number(3)? as u64);
        let sources = match resolved.entry(schema) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(slot) => slot.insert(resolve(inner, stream, table, schema, reader)?),
        };
        let values = sources
            .iter()
            .map(|from| match from {
                From::Default(cell) => Ok(cell.clone()),
                From::Column(i, primitive) => cell(get(*i)?, *primitive),
            })
            .collect::<Result<_, StoreError>>()?;
        let device = match get(0)? {
            ValueRef::Blob(bytes) => <[u8; 16]>::try_from(bytes).ok(),
            _ => None,
        };
        let id = |n: i64| u64::try_from(n).unwrap_or(0);
        out.push(StoredRecord {
            device: DeviceId::from_bytes(
                device.ok_or_else(|| damaged("a device that is no UUID"))?,
            ),
            epoch: Epoch::new(id(number(1)?)).map_err(|e| damaged(e.to_string()))?,
            seq: Seq::new(id(number(2)?)).map_err(|e| damaged(e.to_string()))?,
            schema,
            values,
        });
    }
    Ok(out)
}

/// The statement that selects rows in the order of their keys, and the values for its `?`.
fn statement(table: &StreamTable, selection: &Selection) -> (String, Vec<rusqlite::types::Value>) {
    let mut sql = "SELECT device, epoch, seq, schema_fp".to_owned();
    for column in table.fields.columns() {
        sql += ", ";
        sql += &column.name;
    }
    sql += &format!(" FROM {} WHERE 1", table.name);
    let mut bound: Vec<rusqlite::types::Value> = Vec::new();
    if let Some(device) = selection.device {
        bound.push(device.to_bytes().to_vec().into());
        sql += " AND device = ?";
    }
    if let Some(from) = selection.from {
        bound.push(from.as_micros().into());
        sql += " AND ts >= ?";
    }
    if let Some(until) = selection.until {
        bound.push(until.as_micros().into());
        sql += " AND ts < ?";
    }
    sql += " ORDER BY device, bucket, ts, epoch, seq";
    (sql, bound)
}

/// For rows written with `writer`: the source of each field of `reader`.
fn resolve(
    inner: &Inner,
    stream: &StreamName,
    table: &StreamTable,
    fingerprint: Fingerprint,
    reader: &Schema,
) -> Result<Vec<From>, ReadError> {
    let incompatible = |reason: String| ReadError::Incompatible {
        writer: fingerprint,
        reason,
    };
    let entry = inner
        .catalogue
        .entry(stream, fingerprint)
        .ok_or_else(|| damaged(format!("rows of schema {fingerprint}, which is not there")))?;
    let writer = &entry.schema;
    let plan = Plan::compile(writer, reader).map_err(|e| incompatible(e.to_string()))?;
    plan.flat().map_err(|e| incompatible(e.to_string()))?;
    if let Some(problem) = plan.problems().first() {
        return Err(incompatible(format!(
            "{}: {}; {}",
            problem.path, problem.rule, problem.hint
        )));
    }
    let evolution = table
        .fields
        .evolve(writer)
        .map_err(|e| damaged(e.to_string()))?;
    let place = |name: &str| {
        let columns = table.fields.columns();
        columns.iter().position(|c: &Column| c.name == name)
    };
    let record = reader
        .record()
        .ok_or_else(|| incompatible("the reader is no record".to_owned()))?;
    let mut sources: Vec<Option<From>> = record.fields.iter().map(|_| None).collect();
    for (field, source) in plan.sources() {
        sources[field] = Some(match source {
            Source::Default(value) => From::Default(value.into()),
            Source::Writer(i) => {
                let at = place(&evolution.columns[i])
                    .ok_or_else(|| damaged(format!("no column for schema {fingerprint}")))?;
                let to = reader
                    .flat(&record.fields[field])
                    .map_or(Primitive::Null, |flat| flat.primitive);
                From::Column(KEY + at, to)
            }
        });
    }
    sources
        .into_iter()
        .map(|s| s.ok_or_else(|| incompatible("a field has no source".to_owned())))
        .collect()
}

/// A stored value as the reader's primitive: the column may be wider or older than the field.
fn cell(value: ValueRef<'_>, to: Primitive) -> Result<Cell, StoreError> {
    Ok(match (value, ColumnType::of(to)) {
        (ValueRef::Null, _) => Cell::Null,
        (ValueRef::Integer(n), ColumnType::Boolean) => Cell::Boolean(n != 0),
        (ValueRef::Integer(n), ColumnType::Real) => Cell::Real(n as f64),
        (ValueRef::Integer(n), _) => Cell::Integer(n),
        (ValueRef::Real(v), _) => Cell::Real(v),
        (ValueRef::Text(v), ColumnType::Blob) => Cell::Blob(v.to_vec()),
        (ValueRef::Text(v) | ValueRef::Blob(v), ColumnType::Text) => Cell::Text(
            std::str::from_utf8(v)
                .map_err(|_| damaged("text that is not UTF-8"))?
                .to_owned(),
        ),
        (ValueRef::Text(v) | ValueRef::Blob(v), _) => Cell::Blob(v.to_vec()),
    })
}

pub(super) fn newest(
    connection: &Connection,
    catalogue: &Catalogue,
    stream: &StreamName,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(table) = catalogue.tables.get(stream) else {
        return Ok(None);
    };
    let sql = format!("SELECT max(ts) FROM {}", table.name);
    let ts: Option<i64> = connection.query_row(&sql, [], |row| row.get(0))?;
    Ok(ts.map(Timestamp::from_micros))
}

pub(super) fn presence(
    connection: &Connection,
    catalogue: &Catalogue,
) -> Result<Vec<Presence>, StoreError> {
    let mut streams: Vec<_> = catalogue.tables.iter().collect();
    streams.sort_by_key(|(stream, _)| *stream);
    let mut out = Vec::new();
    for (stream, table) in streams {
        let mut statement = connection.prepare(&format!(
            "SELECT device, epoch, count(*), max(seq) FROM {} GROUP BY device, epoch
             ORDER BY device, epoch",
            table.name
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = |n: i64| u64::try_from(n).unwrap_or(0);
            out.push(Presence {
                device: DeviceId::from_bytes(row.get(0)?),
                stream: stream.clone(),
                epoch: Epoch::new(id(row.get(1)?)).map_err(|e| damaged(e.to_string()))?,
                stored: id(row.get(2)?),
                last_seq: id(row.get(3)?),
            });
        }
    }
    Ok(out)
}

pub(super) fn gaps(inner: &Inner) -> Result<Vec<Gap>, ReadError> {
    let max = inner.limits.rows_read_max;
    let mut streams: Vec<_> = inner.catalogue.tables.iter().collect();
    streams.sort_by_key(|(stream, _)| *stream);
    let mut out = Vec::new();
    for (stream, table) in streams {
        let sql = format!(
            "SELECT device, epoch, before + 1, seq - 1 FROM (
                 SELECT device, epoch, seq,
                     LAG(seq, 1, 0) OVER (PARTITION BY device, epoch ORDER BY seq) AS before
                 FROM {}) WHERE seq > before + 1 ORDER BY 1, 2, 3",
            table.name
        );
        let mut statement = inner.connection.prepare(&sql).map_err(StoreError::from)?;
        let mut rows = statement.query([]).map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            if out.len() == max {
                return Err(ReadError::TooMany { max });
            }
            let number = |i: usize| {
                let number: i64 = row.get(i).map_err(StoreError::from)?;
                u64::try_from(number).map_err(|e| damaged(e.to_string()))
            };
            let seq = |i| Seq::new(number(i)?).map_err(|e| damaged(e.to_string()));
            out.push(Gap {
                device: DeviceId::from_bytes(row.get(0).map_err(StoreError::from)?),
                stream: stream.clone(),
                epoch: Epoch::new(number(1)?).map_err(|e| damaged(e.to_string()))?,
                first: seq(2)?,
                last: seq(3)?,
            });
        }
    }
    Ok(out)
}
