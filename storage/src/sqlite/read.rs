//! Rows back to records, as a reader's schema wants them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Row as SqlRow, Transaction, params_from_iter};
use telemetry_core::wire::Reader;
use telemetry_core::{DeviceId, Epoch, Fingerprint, Plan, Schema, Seq, StreamName, Timestamp};

use super::catalogue::{Catalogue, StreamTable};
use super::cell::cell;
use super::{damaged, quoted};
use crate::evolve::{Cell, ColumnType, Part, Shape};
use crate::row::NO_TIME;
use crate::{
    Gap, Page, Position, Presence, ReadError, Selection, StoreError, StoredRecord, Unreadable,
};

/// Columns of the statement before those of the fields.
const KEY: &str = "bucket, device, ts, epoch, seq, schema_fp, extra";
const KEY_LEN: usize = 7;

/// The way from rows to a reader's records.
pub(super) struct Records<'c> {
    tx: &'c Transaction<'c>,
    catalogue: &'c Catalogue,
    stream: &'c StreamName,
    table: &'c StreamTable,
    reader: &'c Schema,
    /// The statement's columns of fields, in order.
    columns: Vec<(String, ColumnType)>,
    writers: HashMap<Fingerprint, Writer>,
}

/// How rows of one writer's schema become the reader's records.
struct Writer {
    shape: Shape,
    /// For each leaf, its place among the statement's columns of fields.
    places: Vec<Option<usize>>,
    /// Or why they do not.
    plan: Result<Plan, String>,
}

impl<'c> Records<'c> {
    /// `None` if the stream has no table yet.
    pub(super) fn new(
        tx: &'c Transaction<'c>,
        catalogue: &'c Catalogue,
        stream: &'c StreamName,
        reader: &'c Schema,
    ) -> Result<Option<Self>, ReadError> {
        // Asked before anything is read: a reader that is no record is the caller's mistake.
        Shape::of(reader)?;
        let Some(table) = catalogue.tables.get(stream) else {
            return Ok(None);
        };
        let columns = table.columns.columns().iter();
        let columns = columns.filter(|c| c.part == Part::Record);
        Ok(Some(Self {
            tx,
            catalogue,
            stream,
            table,
            reader,
            columns: columns.map(|c| (quoted(&c.name), c.kind)).collect(),
            writers: HashMap::new(),
        }))
    }

    /// The part of a statement that every read begins with.
    fn select(&self) -> String {
        let mut sql = format!("SELECT {KEY}");
        for (name, _) in &self.columns {
            sql += ", ";
            sql += name;
        }
        sql + " FROM " + &quoted(&self.table.rows)
    }

    /// A page of rows, one partition after another: no query sorts more than a bucket of a device,
    /// which is sorted already.
    pub(super) fn page(&mut self, selection: &Selection, max: usize) -> Result<Page, ReadError> {
        let limit = selection.limit.clamp(1, max);
        let mut page = Page::default();
        for (bucket, device) in self.partitions(selection)? {
            let (sql, bound) = self.slice(selection, bucket, device, limit + 1)?;
            let mut statement = self.tx.prepare_cached(&sql).map_err(StoreError::from)?;
            let mut rows = statement
                .query(params_from_iter(bound))
                .map_err(StoreError::from)?;
            while let Some(row) = rows.next().map_err(StoreError::from)? {
                if page.records.len() + page.unreadable.len() == limit {
                    return Ok(page);
                }
                page.next = Some(self.take(row, &mut page)?);
            }
        }
        page.next = None;
        Ok(page)
    }

    /// The partitions that may have rows of a selection, in order.
    fn partitions(&self, selection: &Selection) -> Result<Vec<(i64, DeviceId)>, StoreError> {
        let mut sql = "SELECT bucket, device FROM xpt_partition WHERE stream = ?".to_owned();
        let mut bound: Vec<Value> = vec![self.stream.as_str().to_owned().into()];
        let mut add = |condition: &str, value: Value| {
            sql += condition;
            bound.push(value);
        };
        let bucket = |time: Timestamp| {
            self.table
                .width
                .bucket_of(Some(time.as_micros()), Seq::FIRST)
        };
        if let Some(device) = selection.device {
            add(" AND device = ?", device.to_bytes().to_vec().into());
        }
        if let Some(from) = selection.from {
            add(" AND bucket >= ?", bucket(from).into());
        }
        if let Some(until) = selection.until {
            add(" AND bucket <= ?", bucket(until).into());
        }
        if let Some(after) = selection.after {
            add(" AND (bucket, device) >= (?, ", after.bucket.into());
            add("?)", after.device.to_bytes().to_vec().into());
        }
        sql += " ORDER BY bucket, device";
        let mut statement = self.tx.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(bound))?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push((row.get(0)?, DeviceId::from_bytes(row.get(1)?)));
        }
        Ok(out)
    }

    /// The statement for the rows of one partition, and the values for its `?`.
    fn slice(
        &self,
        selection: &Selection,
        bucket: i64,
        device: DeviceId,
        limit: usize,
    ) -> Result<(String, Vec<Value>), ReadError> {
        let mut sql = self.select() + " WHERE device = ? AND bucket = ?";
        let mut bound: Vec<Value> = vec![device.to_bytes().to_vec().into(), bucket.into()];
        let mut add = |condition: &str, value: Value| {
            sql += condition;
            bound.push(value);
        };
        if let Some(from) = selection.from {
            add(" AND ts >= ?", from.as_micros().into());
        }
        if let Some(until) = selection.until {
            add(" AND ts < ?", until.as_micros().into());
        }
        if selection.from.is_some() || selection.until.is_some() {
            add(" AND ts > ?", NO_TIME.into());
        }
        if let Some(schema) = selection.schema {
            add(" AND schema_fp = ?", (schema.0 as i64).into());
        }
        if let Some(session) = &selection.session {
            add(
                &format!(" AND {} = ?", self.session()?),
                session.clone().into(),
            );
        }
        let after = selection
            .after
            .filter(|a| a.bucket == bucket && a.device == device);
        if let Some(after) = after {
            add(" AND (ts, epoch, seq) > (?, ", after.ts.into());
            add("?, ", (after.epoch.get() as i64).into());
            add("?)", (after.seq.get() as i64).into());
        }
        add(" ORDER BY ts, epoch, seq LIMIT ?", (limit as i64).into());
        Ok((sql, bound))
    }

    /// The column that names the session of a row.
    fn session(&self) -> Result<String, StoreError> {
        let mut columns = self.table.columns.columns().iter();
        let is_session = |name: &str| name == "meta_session" || name.starts_with("meta_session__");
        let column = columns.find(|c| c.part == Part::Enrichment && is_session(&c.name));
        let column = column.ok_or_else(|| damaged("a table without a session"))?;
        Ok(quoted(&column.name))
    }

    /// The newest row of each device.
    pub(super) fn latest(&mut self) -> Result<Vec<StoredRecord>, ReadError> {
        let mut devices = Vec::new();
        {
            let mut statement = self
                .tx
                .prepare_cached(
                    "SELECT DISTINCT device FROM xpt_partition WHERE stream = ? ORDER BY 1",
                )
                .map_err(StoreError::from)?;
            let mut rows = statement
                .query([self.stream.as_str()])
                .map_err(StoreError::from)?;
            while let Some(row) = rows.next().map_err(StoreError::from)? {
                devices.push(row.get::<_, [u8; 16]>(0).map_err(StoreError::from)?);
            }
        }
        let timed = self.select()
            + " WHERE device = ? AND ts > ?
                ORDER BY bucket DESC, ts DESC, epoch DESC, seq DESC LIMIT 1";
        // Of records without a time the last number of the newest epoch is the newest.
        let numbered =
            self.select() + " WHERE device = ? AND ts = ? ORDER BY epoch DESC, seq DESC LIMIT 1";
        let mut page = Page::default();
        for device in devices {
            for sql in [&timed, &numbered] {
                let mut statement = self.tx.prepare_cached(sql).map_err(StoreError::from)?;
                let mut rows = statement
                    .query((device, NO_TIME))
                    .map_err(StoreError::from)?;
                if let Some(row) = rows.next().map_err(StoreError::from)? {
                    self.take(row, &mut page)?;
                    break;
                }
            }
        }
        Ok(page.records)
    }

    /// Takes a row into a page, where the reader's schema can take it.
    fn take(&mut self, row: &SqlRow<'_>, page: &mut Page) -> Result<Position, StoreError> {
        let position = position(row)?;
        let schema = Fingerprint(row.get::<_, i64>(5)? as u64);
        let writer = match self.writers.entry(schema) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(slot) => slot.insert(Writer::find(
                self.catalogue,
                self.stream,
                self.table,
                schema,
                self.reader,
            )?),
        };
        match writer.record(row, &self.columns)? {
            Ok(datum) => page.records.push(StoredRecord {
                device: position.device,
                epoch: position.epoch,
                seq: position.seq,
                time: Some(position.ts)
                    .filter(|ts| *ts != NO_TIME)
                    .map(Timestamp::from_micros),
                schema,
                datum,
            }),
            Err(reason) => page.unreadable.push(Unreadable {
                device: position.device,
                epoch: position.epoch,
                seq: position.seq,
                schema,
                reason,
            }),
        }
        Ok(position)
    }
}

impl Writer {
    fn find(
        catalogue: &Catalogue,
        stream: &StreamName,
        table: &StreamTable,
        fingerprint: Fingerprint,
        reader: &Schema,
    ) -> Result<Self, StoreError> {
        let lacks = |what| damaged(format!("rows of schema {fingerprint}, which has no {what}"));
        let entry = catalogue
            .entry(stream, fingerprint)
            .ok_or_else(|| lacks("text"))?;
        let shape = Shape::of(&entry.schema).map_err(|e| damaged(e.to_string()))?;
        let layout = table.layout(Part::Record, fingerprint, &shape);
        let layout = layout.ok_or_else(|| lacks("layout"))?;
        let columns = table.columns.columns().iter();
        let fields: Vec<_> = columns
            .filter(|c| c.part == Part::Record)
            .map(|c| c.id)
            .collect();
        let place = |id| fields.iter().position(|field| *field == id);
        Ok(Self {
            places: layout.columns.iter().map(|id| id.and_then(place)).collect(),
            plan: Plan::compile(&entry.schema, reader).map_err(|e| e.to_string()),
            shape,
        })
    }

    /// The record of a row, or what stands against it.
    fn record(
        &self,
        row: &SqlRow<'_>,
        columns: &[(String, ColumnType)],
    ) -> Result<Result<Vec<u8>, String>, StoreError> {
        let plan = match &self.plan {
            Ok(plan) => plan,
            Err(reason) => return Ok(Err(reason.clone())),
        };
        let mut cells = Vec::with_capacity(self.places.len());
        for place in &self.places {
            cells.push(match *place {
                None => Cell::Null,
                Some(at) => match cell(row.get_ref(KEY_LEN + at)?, columns[at].1) {
                    Some(cell) => cell,
                    None => return Ok(Err(format!("{} holds another type", columns[at].0))),
                },
            });
        }
        let extra = match row.get_ref(6)? {
            ValueRef::Blob(extra) => Some(extra),
            _ => None,
        };
        let mut written = Vec::new();
        if let Err(error) = self.shape.write(&cells, extra, &mut written) {
            return Ok(Err(error.to_string()));
        }
        let mut datum = Vec::with_capacity(written.len());
        let read = plan.transcode(&mut Reader::new(&written), &mut datum);
        Ok(read.map(|()| datum).map_err(|e| e.to_string()))
    }
}

fn position(row: &SqlRow<'_>) -> Result<Position, StoreError> {
    let number = |i: usize| {
        let number: i64 = row.get(i)?;
        u64::try_from(number).map_err(|e| damaged(e.to_string()))
    };
    Ok(Position {
        bucket: row.get(0)?,
        device: DeviceId::from_bytes(row.get(1)?),
        ts: row.get(2)?,
        epoch: Epoch::new(number(3)?).map_err(|e| damaged(e.to_string()))?,
        seq: Seq::new(number(4)?).map_err(|e| damaged(e.to_string()))?,
    })
}

pub(super) fn newest(
    tx: &Transaction<'_>,
    catalogue: &Catalogue,
    stream: &StreamName,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(table) = catalogue.tables.get(stream) else {
        return Ok(None);
    };
    let sql = format!("SELECT max(ts) FROM {} WHERE ts > ?", quoted(&table.rows));
    let ts: Option<i64> = tx.query_row(&sql, [NO_TIME], |row| row.get(0))?;
    Ok(ts.map(Timestamp::from_micros))
}

pub(super) fn presence(
    tx: &Transaction<'_>,
    catalogue: &Catalogue,
) -> Result<Vec<Presence>, StoreError> {
    let mut streams: Vec<_> = catalogue.tables.iter().collect();
    streams.sort_by_key(|(stream, _)| *stream);
    let mut out = Vec::new();
    for (stream, table) in streams {
        let mut statement = tx.prepare(&format!(
            "SELECT device, epoch, count(*), max(seq) FROM {} GROUP BY device, epoch
             ORDER BY device, epoch",
            quoted(&table.rows)
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

pub(super) fn gaps(
    tx: &Transaction<'_>,
    catalogue: &Catalogue,
    max: usize,
) -> Result<Vec<Gap>, ReadError> {
    let mut streams: Vec<_> = catalogue.tables.iter().collect();
    streams.sort_by_key(|(stream, _)| *stream);
    let mut out = Vec::new();
    for (stream, table) in streams {
        let sql = format!(
            "SELECT device, epoch, before + 1, seq - 1 FROM (
                 SELECT device, epoch, seq,
                     LAG(seq, 1, 0) OVER (PARTITION BY device, epoch ORDER BY seq) AS before
                 FROM {}) WHERE seq > before + 1 ORDER BY 1, 2, 3",
            quoted(&table.rows)
        );
        let mut statement = tx.prepare(&sql).map_err(StoreError::from)?;
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
