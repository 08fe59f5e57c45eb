//! Tables in one SQLite file: one transaction per group, schema changes included.
//!
//! For each stream there are a table of rows, whose name ends in `_rows`, and a view with the names,
//! defaults and units of today, for people and their tools. The catalogue (`xpt_…`) is read again
//! whenever another connection has committed, inside the transaction that relies on it: so any number
//! of stores may write to one file, and decide as one.

mod catalogue;
mod cell;
mod error;
mod open;
mod read;
mod registry;
mod store;
mod view;
mod write;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use telemetry_core::{Compatibility, Fingerprint, Schema, StreamName, Timestamp};

use crate::evolve::{Evolution, Part};
use crate::{BucketWidth, Limits, StoreError};
use catalogue::Catalogue;
use open::Opened;

/// How to open a store.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// Bounds.
    pub limits: Limits,
    /// How long a call waits for another process that writes to the file, before it is
    /// [`StoreError::Busy`]; default 5 s.
    pub busy_timeout: Duration,
    /// Width of the buckets of tables that are made from now on; default a day.
    pub bucket: BucketWidth,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            busy_timeout: Duration::from_secs(5),
            bucket: BucketWidth::ONE_DAY,
        }
    }
}

/// A store in one SQLite file.
///
/// Durable means `synchronous=FULL` in WAL mode: an acknowledged batch survives a power cut. The
/// methods block on the disk, those that return futures too; call them from a thread that may.
#[derive(Debug)]
pub struct SqliteStore {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    opened: Opened,
    /// As of the commit that `seen` names.
    catalogue: Catalogue,
    /// `PRAGMA data_version`: another one where another connection has committed. `None` after a
    /// transaction that failed, since what it put into the catalogue is not there.
    seen: Option<i64>,
    writers: HashMap<(StreamName, Fingerprint), Arc<write::Writer>>,
    enriching: write::Enriching,
    options: SqliteOptions,
}

/// A change of a table, as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// When the first batch that needed it was published.
    pub at: Timestamp,
    /// Stream whose schema asked for it.
    pub stream: StreamName,
    /// Schema that asked for it.
    pub schema: Fingerprint,
    /// The SQL statement that changed the table.
    pub statement: String,
}

impl SqliteStore {
    /// Opens or creates the store in a file.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        Self::of(open::to_write(path, options)?, options)
    }

    /// Opens a store that is there, to look at it. Nothing is written, a process that writes to it is
    /// not disturbed, and what it commits is seen. It needs no more than the right to read.
    pub fn open_read_only(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        Self::of(open::to_read(path, options)?, options)
    }

    /// A store that lives as long as the value: for tests and examples.
    pub fn in_memory(options: SqliteOptions) -> Result<Self, StoreError> {
        Self::of(open::in_memory(options)?, options)
    }

    fn of(opened: Opened, options: SqliteOptions) -> Result<Self, StoreError> {
        let mut inner = Inner {
            opened,
            catalogue: Catalogue::default(),
            seen: None,
            writers: HashMap::new(),
            enriching: write::Enriching::new()?,
            options,
        };
        inner.look()?;
        Ok(Self {
            inner: Mutex::new(inner),
        })
    }

    /// A panic inside the lock leaves the database consistent: a transaction that was not
    /// committed is rolled back.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every change of a table so far, oldest first.
    pub fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        catalogue::migrations(self.lock().opened.connection())
    }

    /// Names of the columns that hold fields of a stream, in the order they came.
    pub fn columns(&self, stream: &StreamName) -> Result<Vec<String>, StoreError> {
        let mut inner = self.lock();
        inner.look()?;
        let table = inner.catalogue.tables.get(stream);
        let fields = |t: &catalogue::StreamTable| {
            let columns = t.columns.columns().iter();
            let fields = columns.filter(|c| c.part == Part::Record);
            fields.map(|c| c.name.clone()).collect()
        };
        Ok(table.map_or_else(Vec::new, fields))
    }

    /// What the first record of `schema` would change: to be shown before it is written.
    pub fn plan(&self, stream: &StreamName, schema: &Schema) -> Result<Evolution, StoreError> {
        let mut inner = self.lock();
        inner.look()?;
        let shape = crate::evolve::Shape::of(schema).map_err(|e| StoreError::Database {
            reason: e.to_string(),
        })?;
        let table = inner.catalogue.table(stream, inner.options.bucket);
        let max = inner.columns_max();
        Ok(table.columns.evolve(Part::Record, &shape, max))
    }

    /// Accepts a schema that was set in quarantine, as a person decides; `false` if none was.
    pub fn accept(&self, subject: &StreamName, schema: Fingerprint) -> Result<bool, StoreError> {
        self.lock().accept(subject, schema)
    }

    /// Says what a new schema of a subject must be able to do; the default is
    /// [`Compatibility::BackwardTransitive`].
    pub fn set_compatibility(
        &self,
        subject: &StreamName,
        mode: Compatibility,
    ) -> Result<(), StoreError> {
        self.lock().set_compatibility(subject, mode)
    }
}

impl Inner {
    /// Reads the catalogue again if somebody else has changed it.
    fn look(&mut self) -> Result<(), StoreError> {
        self.opened.follow(&self.options)?;
        let seen = data_version(self.opened.connection())?;
        if self.seen != Some(seen) {
            self.catalogue = catalogue::read(self.opened.connection())?;
            self.writers.clear();
            self.seen = Some(seen);
        }
        Ok(())
    }

    /// SQLite takes 2,000 columns.
    fn columns_max(&self) -> usize {
        self.options.limits.columns_max.min(1_900)
    }
}

fn data_version(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// A name as SQL takes it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Catalogue {
        reason: what.into(),
    }
}
