//! The catalogue in the file: streams, columns, schemas, changes made.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use telemetry_core::{Entry, Fingerprint, Quarantine, Schema, StreamName, Timestamp};

use super::{Inner, Migration, damaged};
use crate::StoreError;
use crate::evolve::{Column, ColumnType, Evolution, Mapping, Table, table_name};

/// Columns that every table has before those of its fields.
pub(super) const KEY_COLUMNS: &[&str] = &[
    "device",
    "bucket",
    "ts",
    "epoch",
    "seq",
    "schema_fp",
    "boot",
    "clock",
    "corrected_us",
];

/// What starts the name of an enrichment's column.
pub(super) const META: &str = "meta_";

/// A stream's table.
#[derive(Clone, Debug)]
pub(super) struct StreamTable {
    /// Its name in the file.
    pub(super) name: String,
    /// Columns of the record's fields.
    pub(super) fields: Table,
    /// Columns of the enrichment's fields.
    pub(super) meta: Table,
}

/// Everything the store knows besides rows, kept in memory.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub(super) tables: HashMap<StreamName, StreamTable>,
    entries: HashMap<StreamName, Vec<Entry>>,
}

impl Catalogue {
    pub(super) fn entries(&self, subject: &StreamName) -> &[Entry] {
        self.entries.get(subject).map_or(&[], Vec::as_slice)
    }

    pub(super) fn entry(&self, subject: &StreamName, fingerprint: Fingerprint) -> Option<&Entry> {
        let mut entries = self.entries(subject).iter();
        entries.find(|e| e.schema.fingerprint() == fingerprint)
    }

    fn put(&mut self, subject: &StreamName, entry: Entry) {
        let entries = self.entries.entry(subject.clone()).or_default();
        match entries.iter_mut().find(|e| e.version == entry.version) {
            Some(old) => *old = entry,
            None => entries.push(entry),
        }
    }

    /// The table of a stream, or the one it will get.
    pub(super) fn table(&self, stream: &StreamName) -> StreamTable {
        if let Some(table) = self.tables.get(stream) {
            return table.clone();
        }
        let taken = |name: &str| self.tables.values().any(|t| t.name == name);
        let mut nth = 0;
        let mut name = table_name(stream.as_str(), nth);
        while taken(&name) {
            nth += 1;
            name = table_name(stream.as_str(), nth);
        }
        StreamTable {
            name,
            fields: Table::new(KEY_COLUMNS, ""),
            meta: Table::new(&[], META),
        }
    }
}

pub(super) fn load(connection: &mut Connection, version: i64) -> Result<Catalogue, StoreError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS xpt_stream(
             stream TEXT PRIMARY KEY, table_name TEXT NOT NULL UNIQUE) STRICT, WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS xpt_column_map(
             stream TEXT NOT NULL, meta INTEGER NOT NULL, field TEXT NOT NULL, kind TEXT NOT NULL,
             column_name TEXT NOT NULL, ordinal INTEGER NOT NULL,
             PRIMARY KEY(stream, meta, field, kind)) STRICT, WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS xpt_schema(
             subject TEXT NOT NULL, version INTEGER NOT NULL, json TEXT NOT NULL,
             quarantined INTEGER NOT NULL,
             PRIMARY KEY(subject, version)) STRICT, WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS xpt_migration(
             id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, stream TEXT NOT NULL,
             schema_fp INTEGER NOT NULL, statement TEXT NOT NULL) STRICT;",
    )?;
    tx.pragma_update(None, "user_version", version)?;
    let catalogue = read(&tx)?;
    tx.commit()?;
    Ok(catalogue)
}

/// Reads the catalogue of a store that is there.
pub(super) fn read(connection: &Connection) -> Result<Catalogue, StoreError> {
    let mut catalogue = Catalogue::default();
    let mut rows = connection.prepare("SELECT stream, table_name FROM xpt_stream")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let stream = stream_name(&row.get::<_, String>(0)?)?;
        let table = StreamTable {
            name: row.get(1)?,
            ..catalogue.table(&stream)
        };
        catalogue.tables.insert(stream, table);
    }
    let mut rows = connection.prepare(
        "SELECT stream, meta, field, kind, column_name FROM xpt_column_map
             ORDER BY stream, ordinal",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let stream = stream_name(&row.get::<_, String>(0)?)?;
        let kind: String = row.get(3)?;
        let mapping = Mapping {
            field: row.get(2)?,
            column: Column {
                name: row.get(4)?,
                kind: ColumnType::from_word(&kind)
                    .ok_or_else(|| damaged(format!("unknown column type `{kind}`")))?,
            },
        };
        let table = catalogue
            .tables
            .get_mut(&stream)
            .ok_or_else(|| damaged(format!("columns of {stream}, which has no table")))?;
        if row.get(1)? {
            table.meta.restore(&mapping);
        } else {
            table.fields.restore(&mapping);
        }
    }
    let mut rows = connection.prepare(
        "SELECT subject, version, json, quarantined FROM xpt_schema ORDER BY subject, version",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let subject = stream_name(&row.get::<_, String>(0)?)?;
        let schema = Schema::parse(&row.get::<_, String>(2)?)?;
        let quarantine = if row.get(3)? {
            // The reason follows from the schemas, so it is not stored.
            match super::registry::decide(catalogue.entries(&subject), &schema) {
                telemetry_core::Registered::Quarantined(reason) => Some(reason),
                _ => Some(Quarantine::Unsupported {
                    reason: "refused by an earlier release".to_owned(),
                }),
            }
        } else {
            None
        };
        let entry = Entry {
            schema: Arc::new(schema),
            version: row.get(1)?,
            quarantine,
        };
        catalogue.put(&subject, entry);
    }
    Ok(catalogue)
}

impl Inner {
    pub(super) fn put_schema(
        &mut self,
        subject: &StreamName,
        schema: &Schema,
        version: u32,
        quarantine: Option<Quarantine>,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO xpt_schema(subject, version, json, quarantined) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET json = excluded.json",
            params![
                subject.as_str(),
                version,
                schema.json(),
                quarantine.is_some()
            ],
        )?;
        let entry = Entry {
            schema: Arc::new(schema.clone()),
            version,
            quarantine,
        };
        self.catalogue.put(subject, entry);
        self.writers
            .remove(&(subject.clone(), schema.fingerprint()));
        Ok(())
    }
}

/// Why a table changes.
pub(super) struct Cause<'a> {
    pub(super) stream: &'a StreamName,
    pub(super) schema: Fingerprint,
    pub(super) at: Timestamp,
}

/// Creates or alters a table inside the transaction that also writes its first rows.
pub(super) fn migrate(
    tx: &Transaction<'_>,
    cause: &Cause<'_>,
    table: &mut StreamTable,
    is_new: bool,
    fields: &Evolution,
    meta: &Evolution,
) -> Result<(), StoreError> {
    let name = &table.name;
    let mut statements = Vec::new();
    if is_new {
        tx.execute(
            "INSERT INTO xpt_stream(stream, table_name) VALUES (?1, ?2)",
            params![cause.stream.as_str(), name],
        )?;
        let columns: String = fields
            .added
            .iter()
            .chain(&meta.added)
            .map(|c| format!(", {} {}", c.name, sql_type(c.kind)))
            .collect();
        statements.push(format!(
            "CREATE TABLE {name}(device BLOB NOT NULL, bucket INTEGER NOT NULL, \
             ts INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, \
             schema_fp INTEGER NOT NULL, boot BLOB NOT NULL, clock TEXT NOT NULL, \
             corrected_us INTEGER{columns}, \
             PRIMARY KEY(device, bucket, ts, epoch, seq)) STRICT, WITHOUT ROWID"
        ));
    } else {
        for column in fields.added.iter().chain(&meta.added) {
            let kind = sql_type(column.kind);
            statements.push(format!(
                "ALTER TABLE {name} ADD COLUMN {} {kind}",
                column.name
            ));
        }
    }
    let before = table.fields.columns().len() + table.meta.columns().len();
    for (is_meta, evolution) in [(false, fields), (true, meta)] {
        for (i, mapping) in evolution.mappings.iter().enumerate() {
            tx.execute(
                "INSERT INTO xpt_column_map(stream, meta, field, kind, column_name, ordinal)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    cause.stream.as_str(),
                    is_meta,
                    mapping.field,
                    mapping.column.kind.as_str(),
                    mapping.column.name,
                    (before + i) as i64
                ],
            )?;
        }
    }
    for statement in statements {
        tx.execute_batch(&statement)?;
        tx.execute(
            "INSERT INTO xpt_migration(at_us, stream, schema_fp, statement)
             VALUES (?1, ?2, ?3, ?4)",
            params![
                cause.at.as_micros(),
                cause.stream.as_str(),
                // SQLite integers are signed: the same 64 bits.
                cause.schema.0 as i64,
                statement
            ],
        )?;
    }
    table.fields.apply(fields);
    table.meta.apply(meta);
    Ok(())
}

pub(super) fn migrations(connection: &Connection) -> Result<Vec<Migration>, StoreError> {
    let mut statement = connection
        .prepare("SELECT at_us, stream, schema_fp, statement FROM xpt_migration ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(Migration {
            at: Timestamp::from_micros(row.get(0)?),
            stream: stream_name(&row.get::<_, String>(1)?)?,
            schema: Fingerprint(row.get::<_, i64>(2)? as u64),
            statement: row.get(3)?,
        });
    }
    Ok(out)
}

fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean | ColumnType::Integer => "INTEGER",
        ColumnType::Real => "REAL",
        ColumnType::Text => "TEXT",
        ColumnType::Blob => "BLOB",
    }
}

pub(super) fn stream_name(text: &str) -> Result<StreamName, StoreError> {
    StreamName::new(text).map_err(|e| damaged(format!("stream: {e}")))
}
