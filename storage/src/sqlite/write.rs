//! Batches to rows, in one transaction.

use std::sync::Arc;

use rusqlite::{CachedStatement, OptionalExtension as _, Transaction, TransactionBehavior};
use telemetry_core::records::Enrichment;
use telemetry_core::wire::Reader;
use telemetry_core::{AvroRecord, BatchReader, ClockQuality, Envelope, Fingerprint, Schema, Seq};

use super::catalogue::{self, Catalogue, Cause, KEY_COLUMNS, Placed, StreamTable, migrate};
use super::cell::Bound;
use super::error::WriteError;
use super::{Inner, SqliteOptions, damaged, quoted, view};
use crate::evolve::{Cell, Evolution, Layout, Part, Row, Shape};
use crate::row::NO_TIME;
use crate::{BucketWidth, Outcome, Refusal, StoreError, Write};

/// How batches of one stream and schema become rows: compiled once.
#[derive(Debug)]
pub(super) struct Writer {
    shape: Shape,
    layout: Layout,
    enrichment: Layout,
    width: BucketWidth,
    array: Fingerprint,
    insert: String,
    /// Finds a row that is there and says the same.
    same: String,
    /// Sets the `meta_*` columns of a row that is already there.
    update: String,
}

/// The enrichment's schema and the way to its cells.
#[derive(Debug)]
pub(super) struct Enriching {
    fingerprint: Fingerprint,
    shape: Shape,
}

impl Enriching {
    pub(super) fn new() -> Result<Self, StoreError> {
        let schema = Schema::parse(Enrichment::SCHEMA)?;
        Ok(Self {
            fingerprint: schema.fingerprint(),
            shape: Shape::of(&schema).map_err(|e| damaged(e.to_string()))?,
        })
    }
}

impl Inner {
    /// Writes a group in one transaction.
    ///
    /// Where the database refuses something of the group, the transaction is gone with all of it.
    /// Then each batch is written alone, so that only the one at fault has to answer for it.
    pub(super) fn write(&mut self, writes: &[Write<'_>]) -> Vec<Outcome> {
        match self.write_together(writes) {
            Ok(outcomes) => outcomes,
            Err(error) if error.is_everyones() => {
                let again = || match &error {
                    WriteError::Store(error) => Outcome::Unknown(error.clone()),
                    WriteError::Row(reason) => refused(reason.clone()),
                };
                writes.iter().map(|_| again()).collect()
            }
            Err(_) => writes.iter().map(|write| self.write_alone(write)).collect(),
        }
    }

    fn write_alone(&mut self, write: &Write<'_>) -> Outcome {
        match self.write_together(std::slice::from_ref(write)) {
            Ok(mut outcomes) => outcomes.remove(0),
            Err(WriteError::Store(error)) => Outcome::Unknown(error),
            Err(WriteError::Row(reason)) => refused(reason),
        }
    }

    fn write_together(&mut self, writes: &[Write<'_>]) -> Result<Vec<Outcome>, WriteError> {
        let result = self.transact(writes);
        if result.is_err() {
            // What the rolled-back transaction made is not there: forget it.
            self.seen = None;
        }
        result
    }

    fn transact(&mut self, writes: &[Write<'_>]) -> Result<Vec<Outcome>, WriteError> {
        let columns_max = self.columns_max();
        let Self {
            opened,
            catalogue,
            seen,
            writers,
            enriching,
            options,
        } = self;
        let tx = opened
            .writing()?
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = super::data_version(&tx)?;
        if *seen != Some(now) {
            *catalogue = catalogue::read(&tx)?;
            writers.clear();
            *seen = Some(now);
        }
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            let envelope = &write.batch.envelope;
            let key = envelope
                .schema
                .map(|schema| (envelope.subject.clone(), schema));
            let known = key.as_ref().and_then(|key| writers.get(key)).cloned();
            let outcome = match known {
                Some(writer) => writer.write(&tx, write, enriching)?,
                None => {
                    let found = New::find(catalogue, enriching, options, columns_max, envelope);
                    match found {
                        Ok(new) => {
                            let (outcome, writer) = new.write(&tx, catalogue, write, enriching)?;
                            if let (Some(key), Some(writer)) = (key, writer) {
                                writers.insert(key, Arc::new(writer));
                            }
                            outcome
                        }
                        Err(refusal) => Outcome::Refused(refusal),
                    }
                }
            };
            outcomes.push(outcome);
        }
        tx.commit()?;
        Ok(outcomes)
    }
}

const fn refused(reason: String) -> Outcome {
    Outcome::Refused(Refusal::Row { reason })
}

/// A schema that was not written since the opening, for which the table may have to grow.
struct New {
    writer: Writer,
    schema: Fingerprint,
    table: StreamTable,
    /// There is no table yet.
    is_first: bool,
    record: Option<Evolution>,
    enrichment: Option<Evolution>,
}

impl New {
    /// Finds the schema's way into the table, without a change to anything.
    fn find(
        catalogue: &Catalogue,
        enriching: &Enriching,
        options: &SqliteOptions,
        columns_max: usize,
        envelope: &Envelope,
    ) -> Result<Self, Refusal> {
        let stream = &envelope.subject;
        let Some(fingerprint) = envelope.schema else {
            return Err(Refusal::Opaque {
                content_type: envelope.content_type.clone(),
            });
        };
        let Some(entry) = catalogue.entry(stream, fingerprint) else {
            return Err(Refusal::UnknownSchema {
                stream: stream.clone(),
                fingerprint,
            });
        };
        if let Some(reason) = &entry.quarantine {
            return Err(Refusal::Quarantined {
                stream: stream.clone(),
                fingerprint,
                reason: reason.clone(),
            });
        }
        let max = options.limits.streams_max;
        let is_first = !catalogue.tables.contains_key(stream);
        if is_first && catalogue.tables.len() >= max {
            return Err(Refusal::TooManyStreams { max });
        }
        let shape = Shape::of(&entry.schema)?;
        let table = catalogue.table(stream, options.bucket);
        let mut columns = table.columns.clone();
        let mut place =
            |part, fingerprint, shape: &Shape, max| match table.layout(part, fingerprint, shape) {
                Some(layout) => (layout, None),
                None => {
                    let evolution = columns.evolve(part, shape, max);
                    columns.apply(&evolution);
                    (evolution.layout.clone(), Some(evolution))
                }
            };
        // The family's own columns come first, and all of them have room.
        let (about, enrichment) = place(
            Part::Enrichment,
            enriching.fingerprint,
            &enriching.shape,
            usize::MAX,
        );
        let (layout, record) = place(Part::Record, fingerprint, &shape, columns_max);
        let names = |layout: &Layout| -> Vec<String> {
            let ids = layout.columns.iter().flatten();
            let names = ids.filter_map(|id| columns.column(*id));
            names.map(|column| quoted(&column.name)).collect()
        };
        let writer = Writer::new(
            &table,
            shape,
            (&names(&layout), layout),
            (&names(&about), about),
            entry.schema.array_fingerprint(),
        );
        Ok(Self {
            writer,
            schema: fingerprint,
            table,
            is_first,
            record,
            enrichment,
        })
    }

    /// Changes the table where it has to change, and writes the batch; a batch that is refused changes
    /// nothing.
    fn write(
        mut self,
        tx: &Transaction<'_>,
        catalogue: &mut Catalogue,
        write: &Write<'_>,
        enriching: &Enriching,
    ) -> Result<(Outcome, Option<Writer>), WriteError> {
        let rows = match self.writer.decode(write) {
            Ok(rows) => rows,
            Err(refusal) => return Ok((Outcome::Refused(refusal), None)),
        };
        let stream = &write.batch.envelope.subject;
        let record = self.record.as_ref().map(|evolution| Placed {
            part: Part::Record,
            fingerprint: self.schema,
            shape: &self.writer.shape,
            evolution,
        });
        let enrichment = self.enrichment.as_ref().map(|evolution| Placed {
            part: Part::Enrichment,
            fingerprint: enriching.fingerprint,
            shape: &enriching.shape,
            evolution,
        });
        let placed: Vec<Placed<'_>> = enrichment.into_iter().chain(record).collect();
        if self.is_first || !placed.is_empty() {
            let cause = Cause {
                stream,
                schema: self.schema,
                at: write.batch.envelope.published,
            };
            migrate(tx, &cause, &mut self.table, self.is_first, &placed)?;
            catalogue.tables.insert(stream.clone(), self.table);
            view::renew(tx, catalogue, stream)?;
        }
        let outcome = self.writer.insert(tx, write, &rows, enriching)?;
        drop(rows);
        Ok((outcome, Some(self.writer)))
    }
}

/// The cells of a batch's records, one row after another.
struct Rows<'a> {
    cells: Vec<Cell<'a>>,
    /// For each row: its event time, and what its cells do not say.
    others: Vec<(Option<i64>, Vec<u8>)>,
}

impl Writer {
    fn new(
        table: &StreamTable,
        shape: Shape,
        (fields, layout): (&[String], Layout),
        (about, enrichment): (&[String], Layout),
        array: Fingerprint,
    ) -> Self {
        const KEY: &str = "device=? AND bucket=? AND ts=? AND epoch=? AND seq=?";
        let rows = quoted(&table.rows);
        let keys = KEY_COLUMNS.iter().map(|name| (*name).to_owned());
        let all: Vec<String> = keys
            .chain(fields.iter().cloned())
            .chain(about.iter().cloned())
            .collect();
        let marks = vec!["?"; all.len()].join(",");
        let says: String = fields
            .iter()
            .map(|name| format!(" AND {name} IS ?"))
            .collect();
        let sets: Vec<String> = about.iter().map(|name| format!("{name}=?")).collect();
        Self {
            insert: format!(
                "INSERT OR IGNORE INTO {rows}({}) VALUES ({marks})",
                all.join(",")
            ),
            same: format!("SELECT 1 FROM {rows} WHERE {KEY} AND schema_fp=? AND extra IS ?{says}"),
            update: format!("UPDATE {rows} SET {} WHERE {KEY}", sets.join(",")),
            shape,
            layout,
            enrichment,
            width: table.width,
            array,
        }
    }

    fn write(
        &self,
        tx: &Transaction<'_>,
        write: &Write<'_>,
        enriching: &Enriching,
    ) -> Result<Outcome, WriteError> {
        // Decoded as a whole before the first row is written: a batch is stored or it is not.
        match self.decode(write) {
            Ok(rows) => self.insert(tx, write, &rows, enriching),
            Err(refusal) => Ok(Outcome::Refused(refusal)),
        }
    }

    fn decode<'a>(&'a self, write: &Write<'a>) -> Result<Rows<'a>, Refusal> {
        let envelope = &write.batch.envelope;
        let (first, count) = (envelope.first_seq, envelope.count);
        let last = first.get().checked_add(u64::from(count.saturating_sub(1)));
        if last.is_none_or(|last| Seq::new(last).is_err()) {
            return Err(Refusal::Numbers { first, count });
        }
        let mut reader = BatchReader::new(&write.batch.body, self.array)?;
        if reader.left() != count {
            return Err(Refusal::Count {
                expected: count,
                found: reader.left(),
            });
        }
        let mut row = Row::default();
        let mut rows = Rows {
            cells: Vec::new(),
            others: Vec::new(),
        };
        while let Some(()) = reader.datum(|input| self.shape.read(&self.layout, input, &mut row))? {
            rows.cells.extend_from_slice(row.cells());
            let time = self.shape.time(row.cells()).filter(|ts| *ts != NO_TIME);
            rows.others.push((time, row.extra(&self.shape)));
        }
        reader.finish()?;
        Ok(rows)
    }

    fn insert(
        &self,
        tx: &Transaction<'_>,
        write: &Write<'_>,
        rows: &Rows<'_>,
        enriching: &Enriching,
    ) -> Result<Outcome, WriteError> {
        let envelope = &write.batch.envelope;
        let mut message = Vec::new();
        write.enrichment.put_datum(&mut message);
        let mut about = Row::default();
        enriching
            .shape
            .read(&self.enrichment, &mut Reader::new(&message), &mut about)
            .map_err(|e| damaged(format!("enrichment: {e}")))?;
        let about = kept(about.cells(), &self.enrichment);

        let device = envelope.device.to_bytes();
        let boot = envelope.clock.boot.to_bytes();
        let synchronised = envelope.clock.quality == ClockQuality::Synchronised;
        // SQLite integers are signed: the same 64 bits.
        let schema = Cell::Integer(envelope.schema.map_or(0, |f| f.0) as i64);
        let mut insert = tx.prepare_cached(&self.insert)?;
        let (mut new, mut duplicates, mut conflicts) = (0, 0, 0);
        let mut buckets = Vec::new();
        let leaves = self.shape.leaves().len();
        for (i, (time, extra)) in rows.others.iter().enumerate() {
            let fields = kept(&rows.cells[i * leaves..(i + 1) * leaves], &self.layout);
            // Checked when the batch was decoded.
            let seq = envelope.first_seq.get() + i as u64;
            let bucket = self
                .width
                .bucket_of(*time, Seq::new(seq).map_err(|e| damaged(e.to_string()))?);
            if !buckets.contains(&bucket) {
                buckets.push(bucket);
            }
            let key = [
                Cell::Blob(&device),
                Cell::Integer(bucket),
                Cell::Integer(time.unwrap_or(NO_TIME)),
                // Both are below 2^63.
                Cell::Integer(envelope.epoch.get() as i64),
                Cell::Integer(seq as i64),
            ];
            let extra = match extra.as_slice() {
                [] => Cell::Null,
                extra => Cell::Blob(extra),
            };
            let others = [
                Cell::Blob(&boot),
                Cell::Text(envelope.clock.quality.as_str()),
                time.filter(|_| synchronised)
                    .map_or(Cell::Null, Cell::Integer),
            ];
            let parts: [&[Cell<'_>]; 6] = [&key, &[schema], &others, &[extra], &fields, &about];
            if execute(&mut insert, &parts)? > 0 {
                new += 1;
                continue;
            }
            let mut same = tx.prepare_cached(&self.same)?;
            let cells = [&key[..], &[schema], &[extra], &fields].concat();
            let cells = rusqlite::params_from_iter(cells.into_iter().map(Bound));
            let is_same = same.query_row(cells, |_| Ok(())).optional()?.is_some();
            if is_same {
                duplicates += 1;
                let mut update = tx.prepare_cached(&self.update)?;
                execute(&mut update, &[&about, &key])?;
            } else {
                conflicts += 1;
            }
        }
        let mut partition = tx.prepare_cached(
            "INSERT OR IGNORE INTO xpt_partition(stream, bucket, device) VALUES (?1, ?2, ?3)",
        )?;
        for bucket in buckets {
            partition.execute((envelope.subject.as_str(), bucket, &device))?;
        }
        Ok(Outcome::Stored {
            new,
            duplicates,
            conflicts,
        })
    }
}

/// The cells that have a column.
fn kept<'a>(cells: &[Cell<'a>], layout: &Layout) -> Vec<Cell<'a>> {
    let columns = cells.iter().zip(&layout.columns);
    let kept = columns.filter(|(_, column)| column.is_some());
    kept.map(|(cell, _)| *cell).collect()
}

fn execute(statement: &mut CachedStatement<'_>, parts: &[&[Cell<'_>]]) -> rusqlite::Result<usize> {
    for (i, cell) in parts.iter().flat_map(|part| part.iter()).enumerate() {
        statement.raw_bind_parameter(i + 1, Bound(*cell))?;
    }
    statement.raw_execute()
}
