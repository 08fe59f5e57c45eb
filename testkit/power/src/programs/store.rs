//! The SQLite store: schemas and rows.

use std::convert::Infallible;
use std::path::Path;

use telemetry_core::records::Enrichment;
use telemetry_core::{
    AvroRecord, Batch, BatchBuilder, CONTENT_TYPE_AVRO, ClockMark, DeviceId, Envelope, Epoch,
    Fingerprint, Registry as _, Schema, Seq, StreamName, Timestamp,
};
use telemetry_storage::{
    Outcome, Selection, SqliteOptions, SqliteStore, Store as _, Write, read_all,
};

use super::{payload, say};
use crate::Result;

#[derive(AvroRecord)]
#[avro(name = "Row", namespace = "rig")]
struct Row {
    #[avro(event_time)]
    time: Timestamp,
    number: i64,
    text: String,
}

fn row(number: u64) -> Row {
    let text = payload(number)
        .into_iter()
        .map(|byte| format!("{byte:02x}"));
    Row {
        // Some decades of microseconds.
        time: Timestamp::from_micros(number.cast_signed()),
        number: number.cast_signed(),
        text: text.collect(),
    }
}

fn batch(rows: &[Row]) -> Result<Batch> {
    let mut builder = BatchBuilder::new(Fingerprint::of_array(Row::CANONICAL));
    for row in rows {
        let mut datum = Vec::new();
        row.put_datum(&mut datum);
        builder.push(&datum);
    }
    let first = rows.first().map_or(1, |row| row.number.cast_unsigned());
    Ok(Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(1)?,
            subject: StreamName::new(Row::NAME)?,
            first_seq: Seq::new(first)?,
            count: builder.count(),
            published: Timestamp::from_micros(1),
            clock: ClockMark::default(),
            schema: Some(Row::FINGERPRINT),
            content_type: CONTENT_TYPE_AVRO.to_owned(),
            traceparent: None,
        },
        body: builder.finish().ok_or("an empty batch")?,
    })
}

fn open(folder: &Path) -> Result<SqliteStore> {
    let path = folder.join("store.sqlite");
    Ok(SqliteStore::open(&path, SqliteOptions::default())?)
}

fn say_all(store: &SqliteStore) -> Result<()> {
    let (stream, schema) = (StreamName::new(Row::NAME)?, Schema::parse(Row::SCHEMA)?);
    let versions = pollster::block_on(store.versions(&stream))?;
    for entry in &versions {
        let json = entry.schema.json().to_string();
        say(format_args!("schema"), json.as_bytes())?;
    }
    if versions.is_empty() {
        return Ok(());
    }
    let all = Selection::default();
    let page = pollster::block_on(read_all(store, &stream, &all, &schema, usize::MAX))?;
    for row in page.records {
        let row: Row = row.read_as()?;
        say(format_args!("row {}", row.number), row.text.as_bytes())?;
    }
    Ok(())
}

pub(super) fn write(folder: &Path, first: u64) -> Result<Infallible> {
    let store = open(folder)?;
    say_all(&store)?;
    let (stream, schema) = (StreamName::new(Row::NAME)?, Schema::parse(Row::SCHEMA)?);
    pollster::block_on(store.register(&stream, &schema))?;
    let json = schema.json().to_string();
    say(format_args!("schema"), json.as_bytes())?;
    let mut number = first;
    loop {
        let rows: Vec<Row> = (number..number + 1 + number % 4).map(row).collect();
        number += rows.len() as u64;
        let (batch, enrichment) = (batch(&rows)?, Enrichment::default());
        let write = Write {
            batch: &batch,
            enrichment: &enrichment,
        };
        for outcome in pollster::block_on(store.write(&[write])) {
            match outcome {
                Outcome::Stored { .. } => {}
                Outcome::Refused(refusal) => return Err(refusal.into()),
                Outcome::Unknown(error) => return Err(error.into()),
            }
        }
        for row in rows {
            say(format_args!("row {}", row.number), row.text.as_bytes())?;
        }
    }
}

pub(super) fn read(folder: &Path) -> Result<()> {
    say_all(&open(folder)?)
}
