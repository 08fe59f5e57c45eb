//! The catalogue in the file: streams, columns, schemas, changes made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, Transaction, params};
use telemetry_core::{
    Compatibility, Entry, Fingerprint, Quarantine, Schema, StreamName, Timestamp,
};

use super::cell::sql_type;
use super::{Migration, damaged, quoted};
use crate::evolve::{
    Column, ColumnId, ColumnType, Evolution, Layout, Part, Shape, Table, Way, table_name,
};
use crate::{BucketWidth, StoreError};

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
    "extra",
];

/// Names of views that no stream may take.
const OWN_VIEWS: &[&str] = &["units"];

/// A stream's table.
#[derive(Clone, Debug)]
pub(super) struct StreamTable {
    /// What people read: a view with the names of today.
    pub(super) view: String,
    /// Where the rows are.
    pub(super) rows: String,
    pub(super) width: BucketWidth,
    pub(super) columns: Table,
    layouts: BTreeMap<(Part, Fingerprint), BTreeMap<String, Option<ColumnId>>>,
}

impl StreamTable {
    /// Where the leaves of a schema are kept, if that was decided.
    pub(super) fn layout(
        &self,
        part: Part,
        fingerprint: Fingerprint,
        shape: &Shape,
    ) -> Option<Layout> {
        let known = self.layouts.get(&(part, fingerprint))?;
        let column = |key: &str| known.get(key).copied().flatten();
        let columns = shape.leaves().iter().map(|leaf| column(leaf.key()));
        Some(Layout {
            columns: columns.collect(),
        })
    }

    /// The schemas of records that rows may have.
    pub(super) fn writers(&self) -> impl Iterator<Item = Fingerprint> {
        let keys = self.layouts.keys();
        keys.filter(|(part, _)| *part == Part::Record)
            .map(|(_, fingerprint)| *fingerprint)
    }
}

/// Everything the store knows besides rows, kept in memory as of one commit.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub(super) tables: HashMap<StreamName, StreamTable>,
    entries: HashMap<StreamName, Vec<Entry>>,
    modes: HashMap<StreamName, Compatibility>,
}

impl Catalogue {
    pub(super) fn entries(&self, subject: &StreamName) -> &[Entry] {
        self.entries.get(subject).map_or(&[], Vec::as_slice)
    }

    pub(super) fn entry(&self, subject: &StreamName, fingerprint: Fingerprint) -> Option<&Entry> {
        let mut entries = self.entries(subject).iter();
        entries.find(|e| e.schema.fingerprint() == fingerprint)
    }

    pub(super) fn compatibility(&self, subject: &StreamName) -> Compatibility {
        self.modes.get(subject).copied().unwrap_or_default()
    }

    /// Puts a schema into the catalogue, or another text or verdict for one that is there.
    pub(super) fn put(
        &mut self,
        tx: &Transaction<'_>,
        subject: &StreamName,
        entry: Entry,
    ) -> Result<(), StoreError> {
        tx.execute(
            "INSERT INTO xpt_schema(subject, version, fingerprint, json, quarantined)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET json = excluded.json, quarantined = excluded.quarantined",
            params![
                subject.as_str(),
                entry.version,
                entry.schema.fingerprint().to_string(),
                entry.schema.json(),
                entry.quarantine.is_some()
            ],
        )?;
        let entries = self.entries.entry(subject.clone()).or_default();
        match entries.iter_mut().find(|e| e.version == entry.version) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
        Ok(())
    }

    pub(super) fn set_compatibility(
        &mut self,
        tx: &Transaction<'_>,
        subject: &StreamName,
        mode: Compatibility,
    ) -> Result<(), StoreError> {
        tx.execute(
            "INSERT INTO xpt_subject(subject, compatibility) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET compatibility = excluded.compatibility",
            [subject.as_str(), mode.as_str()],
        )?;
        self.modes.insert(subject.clone(), mode);
        Ok(())
    }

    /// The schema whose names people see: the accepted one that reads those before it.
    ///
    /// A schema that arrives late, from old firmware, does not read the newer ones.
    pub(super) fn today(&self, subject: &StreamName) -> Option<&Arc<Schema>> {
        let accepted = self
            .entries(subject)
            .iter()
            .filter(|e| e.quarantine.is_none());
        accepted.map(|e| &e.schema).reduce(|today, next| {
            let reads = Compatibility::Backward.check(&[today], next);
            if matches!(reads, Ok(None)) {
                next
            } else {
                today
            }
        })
    }

    /// The table of a stream, or the one it will get.
    pub(super) fn table(&self, stream: &StreamName, width: BucketWidth) -> StreamTable {
        if let Some(table) = self.tables.get(stream) {
            return table.clone();
        }
        let taken = |name: &str| {
            let table = |t: &StreamTable| t.view == name || t.rows == name;
            OWN_VIEWS.contains(&name) || self.tables.values().any(table)
        };
        // There are fewer tables than numbers.
        let (view, rows) = (0..)
            .map(|nth| {
                (
                    table_name(stream.as_str(), nth),
                    table_name(&format!("{stream}_rows"), nth),
                )
            })
            .find(|(view, rows)| !taken(view) && !taken(rows) && view != rows)
            .unwrap_or_default();
        StreamTable {
            view,
            rows,
            width,
            columns: Table::new(KEY_COLUMNS),
            layouts: BTreeMap::new(),
        }
    }
}

/// Makes the catalogue in an empty file.
pub(super) fn create(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "CREATE TABLE xpt_stream(
             stream TEXT PRIMARY KEY, view_name TEXT NOT NULL UNIQUE,
             table_name TEXT NOT NULL UNIQUE, bucket_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
         CREATE TABLE xpt_column(
             stream TEXT NOT NULL, id INTEGER NOT NULL, part TEXT NOT NULL, name TEXT NOT NULL,
             kind TEXT NOT NULL, PRIMARY KEY(stream, id)) STRICT, WITHOUT ROWID;
         CREATE TABLE xpt_way(
             stream TEXT NOT NULL, part TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL,
             id INTEGER NOT NULL, own INTEGER NOT NULL,
             PRIMARY KEY(stream, part, path, kind)) STRICT, WITHOUT ROWID;
         CREATE TABLE xpt_layout(
             stream TEXT NOT NULL, part TEXT NOT NULL, schema_fp INTEGER NOT NULL,
             leaf TEXT NOT NULL, id INTEGER,
             PRIMARY KEY(stream, part, schema_fp, leaf)) STRICT, WITHOUT ROWID;
         CREATE TABLE xpt_layout_of(
             stream TEXT NOT NULL, part TEXT NOT NULL, schema_fp INTEGER NOT NULL,
             PRIMARY KEY(stream, part, schema_fp)) STRICT, WITHOUT ROWID;
         CREATE TABLE xpt_partition(
             stream TEXT NOT NULL, bucket INTEGER NOT NULL, device BLOB NOT NULL,
             PRIMARY KEY(stream, bucket, device)) STRICT, WITHOUT ROWID;
         CREATE TABLE xpt_subject(
             subject TEXT PRIMARY KEY, compatibility TEXT NOT NULL) STRICT, WITHOUT ROWID;
         CREATE TABLE xpt_schema(
             subject TEXT NOT NULL, version INTEGER NOT NULL, fingerprint TEXT NOT NULL,
             json TEXT NOT NULL, quarantined INTEGER NOT NULL,
             PRIMARY KEY(subject, version)) STRICT, WITHOUT ROWID;
         CREATE TABLE xpt_migration(
             id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, stream TEXT NOT NULL,
             schema_fp INTEGER NOT NULL, statement TEXT NOT NULL) STRICT;
         CREATE TABLE units(
             view_name TEXT NOT NULL, column_name TEXT NOT NULL, unit TEXT NOT NULL,
             meaning TEXT NOT NULL, PRIMARY KEY(view_name, column_name)) STRICT, WITHOUT ROWID;",
    )?;
    Ok(())
}

/// Reads the catalogue.
pub(super) fn read(connection: &Connection) -> Result<Catalogue, StoreError> {
    let mut catalogue = Catalogue::default();
    streams(connection, &mut catalogue)?;
    columns(connection, &mut catalogue)?;
    layouts(connection, &mut catalogue)?;
    schemas(connection, &mut catalogue)?;
    Ok(catalogue)
}

fn streams(connection: &Connection, catalogue: &mut Catalogue) -> Result<(), StoreError> {
    let mut rows =
        connection.prepare("SELECT stream, view_name, table_name, bucket_us FROM xpt_stream")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let stream = stream_name(&row.get::<_, String>(0)?)?;
        let width = BucketWidth::from_micros(row.get(3)?)
            .ok_or_else(|| damaged(format!("{stream} has no width of buckets")))?;
        let table = StreamTable {
            view: row.get(1)?,
            rows: row.get(2)?,
            width,
            columns: Table::new(KEY_COLUMNS),
            layouts: BTreeMap::new(),
        };
        catalogue.tables.insert(stream, table);
    }
    Ok(())
}

fn columns(connection: &Connection, catalogue: &mut Catalogue) -> Result<(), StoreError> {
    let mut rows = connection
        .prepare("SELECT stream, id, part, name, kind FROM xpt_column ORDER BY stream, id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let table = table_of(catalogue, &row.get::<_, String>(0)?)?;
        table.columns.restore_column(Column {
            id: ColumnId(row.get(1)?),
            part: part(&row.get::<_, String>(2)?)?,
            name: row.get(3)?,
            kind: kind(&row.get::<_, String>(4)?)?,
        });
    }
    let mut rows = connection.prepare("SELECT stream, part, path, kind, id, own FROM xpt_way")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let table = table_of(catalogue, &row.get::<_, String>(0)?)?;
        table.columns.restore_way(&Way {
            part: part(&row.get::<_, String>(1)?)?,
            path: row.get(2)?,
            kind: kind(&row.get::<_, String>(3)?)?,
            column: ColumnId(row.get(4)?),
            own: row.get(5)?,
        });
    }
    Ok(())
}

fn layouts(connection: &Connection, catalogue: &mut Catalogue) -> Result<(), StoreError> {
    let mut rows = connection.prepare(
        "SELECT stream, part, schema_fp, leaf, id FROM xpt_layout_of
             LEFT JOIN xpt_layout USING(stream, part, schema_fp)",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let table = table_of(catalogue, &row.get::<_, String>(0)?)?;
        let key = (
            part(&row.get::<_, String>(1)?)?,
            Fingerprint(row.get::<_, i64>(2)? as u64),
        );
        let layout = table.layouts.entry(key).or_default();
        if let Some(leaf) = row.get::<_, Option<String>>(3)? {
            layout.insert(leaf, row.get::<_, Option<u32>>(4)?.map(ColumnId));
        }
    }
    Ok(())
}

fn schemas(connection: &Connection, catalogue: &mut Catalogue) -> Result<(), StoreError> {
    let mut rows = connection.prepare("SELECT subject, compatibility FROM xpt_subject")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let mode: String = row.get(1)?;
        let mode = mode
            .parse()
            .map_err(|_| damaged(format!("compatibility `{mode}`")))?;
        catalogue
            .modes
            .insert(stream_name(&row.get::<_, String>(0)?)?, mode);
    }
    let mut rows = connection.prepare(
        "SELECT subject, version, json, quarantined FROM xpt_schema ORDER BY subject, version",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let subject = stream_name(&row.get::<_, String>(0)?)?;
        // It was taken once: what this release thinks of its text changes nothing.
        let schema = Schema::parse_written(&row.get::<_, String>(2)?)?;
        let quarantine = if row.get(3)? {
            let mode = catalogue.compatibility(&subject);
            // The reason follows from the schemas, so it is not stored.
            match super::registry::decide(catalogue.entries(&subject), &schema, mode) {
                telemetry_core::Registered::Quarantined(reason) => Some(reason),
                _ => Some(Quarantine::Unsupported {
                    reason: "refused when it arrived: accept it, or offer it again".to_owned(),
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
        catalogue.entries.entry(subject).or_default().push(entry);
    }
    Ok(())
}

fn table_of<'c>(
    catalogue: &'c mut Catalogue,
    stream: &str,
) -> Result<&'c mut StreamTable, StoreError> {
    let name = stream_name(stream)?;
    let table = catalogue.tables.get_mut(&name);
    table.ok_or_else(|| damaged(format!("columns of {stream}, which has no table")))
}

fn part(word: &str) -> Result<Part, StoreError> {
    Part::from_word(word).ok_or_else(|| damaged(format!("unknown part `{word}`")))
}

fn kind(word: &str) -> Result<ColumnType, StoreError> {
    ColumnType::from_word(word).ok_or_else(|| damaged(format!("unknown column type `{word}`")))
}

/// Why a table changes.
pub(super) struct Cause<'a> {
    pub(super) stream: &'a StreamName,
    pub(super) schema: Fingerprint,
    pub(super) at: Timestamp,
}

/// Where the leaves of one schema go, and what that asks of the table.
pub(super) struct Placed<'a> {
    pub(super) part: Part,
    pub(super) fingerprint: Fingerprint,
    pub(super) shape: &'a Shape,
    pub(super) evolution: &'a Evolution,
}

/// Creates or alters a table inside the transaction that also writes its first rows.
pub(super) fn migrate(
    tx: &Transaction<'_>,
    cause: &Cause<'_>,
    table: &mut StreamTable,
    is_new: bool,
    placed: &[Placed<'_>],
) -> Result<(), StoreError> {
    let stream = cause.stream.as_str();
    let rows = quoted(&table.rows);
    let added = placed.iter().flat_map(|p| &p.evolution.added);
    let typed = added.map(|c| format!("{} {}", quoted(&c.name), sql_type(c.kind)));
    let mut statements = Vec::new();
    if is_new {
        tx.execute(
            "INSERT INTO xpt_stream(stream, view_name, table_name, bucket_us)
             VALUES (?1, ?2, ?3, ?4)",
            params![stream, table.view, table.rows, table.width.micros()],
        )?;
        let columns: String = typed.map(|column| format!(", {column}")).collect();
        statements.push(format!(
            "CREATE TABLE {rows}(device BLOB NOT NULL, bucket INTEGER NOT NULL, \
             ts INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, \
             schema_fp INTEGER NOT NULL, boot BLOB NOT NULL, clock TEXT NOT NULL, \
             corrected_us INTEGER, extra BLOB{columns}, \
             PRIMARY KEY(device, bucket, ts, epoch, seq)) STRICT, WITHOUT ROWID"
        ));
    } else {
        statements.extend(typed.map(|column| format!("ALTER TABLE {rows} ADD COLUMN {column}")));
    }
    for placed in placed {
        put_layout(tx, stream, table, placed)?;
    }
    for statement in statements {
        tx.execute_batch(&statement)?;
        tx.execute(
            "INSERT INTO xpt_migration(at_us, stream, schema_fp, statement)
             VALUES (?1, ?2, ?3, ?4)",
            params![
                cause.at.as_micros(),
                stream,
                // SQLite integers are signed: the same 64 bits.
                cause.schema.0 as i64,
                statement
            ],
        )?;
    }
    Ok(())
}

fn put_layout(
    tx: &Transaction<'_>,
    stream: &str,
    table: &mut StreamTable,
    placed: &Placed<'_>,
) -> Result<(), StoreError> {
    for column in &placed.evolution.added {
        tx.execute(
            "INSERT INTO xpt_column(stream, id, part, name, kind) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                stream,
                column.id.0,
                column.part.as_str(),
                column.name,
                column.kind.as_str()
            ],
        )?;
    }
    for way in &placed.evolution.ways {
        tx.execute(
            "INSERT OR REPLACE INTO xpt_way(stream, part, path, kind, id, own)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                stream,
                way.part.as_str(),
                way.path,
                way.kind.as_str(),
                way.column.0,
                way.own
            ],
        )?;
    }
    let fingerprint = placed.fingerprint.0 as i64;
    let part = placed.part.as_str();
    tx.execute(
        "INSERT OR REPLACE INTO xpt_layout_of(stream, part, schema_fp) VALUES (?1, ?2, ?3)",
        params![stream, part, fingerprint],
    )?;
    let mut layout = BTreeMap::new();
    let leaves = placed.shape.leaves().iter();
    for (leaf, column) in leaves.zip(&placed.evolution.layout.columns) {
        tx.execute(
            "INSERT OR REPLACE INTO xpt_layout(stream, part, schema_fp, leaf, id)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![stream, part, fingerprint, leaf.key(), column.map(|c| c.0)],
        )?;
        layout.insert(leaf.key().to_owned(), *column);
    }
    table.columns.apply(placed.evolution);
    table
        .layouts
        .insert((placed.part, placed.fingerprint), layout);
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

pub(super) fn stream_name(text: &str) -> Result<StreamName, StoreError> {
    StreamName::new(text).map_err(|e| damaged(format!("stream: {e}")))
}
