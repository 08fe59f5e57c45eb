//! Tables in one SQLite file: one transaction per group, schema changes included.

mod catalogue;
mod read;
mod write;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};
use telemetry_core::{
    Compatibility, DeviceId, Entry, Epoch, Fingerprint, Plan, Quarantine, Registered, Registry,
    Schema, Seq, StreamName, Timestamp,
};

use crate::{Delivery, Limits, Outcome, ReadError, Selection, Store, StoreError, StoredRecord};
use catalogue::Catalogue;

/// Format of the file; a newer one is refused before anything is written.
const VERSION: i64 = 1;

/// How to open a store.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqliteOptions {
    /// Bounds.
    pub limits: Limits,
}

/// A store in one SQLite file.
///
/// Durable means `synchronous=FULL` in WAL mode: an acknowledged batch survives a power cut. The
/// methods block on the disk; call them from a thread that may. One writer at a time; other
/// connections may read while it writes.
#[derive(Debug)]
pub struct SqliteStore {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    catalogue: Catalogue,
    writers: HashMap<(StreamName, Fingerprint), Arc<write::Writer>>,
    meta: write::Meta,
    limits: Limits,
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
    /// The statement.
    pub statement: String,
}

/// What is there of one device, stream and epoch: a line of the loss ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Device.
    pub device: DeviceId,
    /// Stream.
    pub stream: StreamName,
    /// Opening of the device's spool.
    pub epoch: Epoch,
    /// Records stored.
    pub stored: u64,
    /// Highest number stored: numbers are contiguous, so `last_seq - stored` are missing.
    pub last_seq: u64,
}

/// Numbers that a device gave and that are not there, before one that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Device.
    pub device: DeviceId,
    /// Stream.
    pub stream: StreamName,
    /// Opening of the device's spool.
    pub epoch: Epoch,
    /// The first number missing.
    pub first: Seq,
    /// The last number missing.
    pub last: Seq,
}

impl SqliteStore {
    /// Opens or creates the store in a file.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        Self::with(Connection::open(path)?, options)
    }

    /// Opens a store that is there, to look at it: nothing is written, not even a new format, and
    /// a process that writes to it is not disturbed.
    pub fn open_read_only(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch(
            "PRAGMA cache_size=-16384; PRAGMA busy_timeout=5000; PRAGMA trusted_schema=OFF;",
        )?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match found {
            0 => Err(damaged("there is no store in this file")),
            found if found > VERSION => Err(StoreError::Version {
                found,
                known: VERSION,
            }),
            _ => {
                let catalogue = catalogue::read(&connection)?;
                Self::of(connection, catalogue, options)
            }
        }
    }

    /// A store that lives as long as the value: for tests and examples.
    pub fn in_memory(options: SqliteOptions) -> Result<Self, StoreError> {
        Self::with(Connection::open_in_memory()?, options)
    }

    fn with(mut connection: Connection, options: SqliteOptions) -> Result<Self, StoreError> {
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > VERSION {
            return Err(StoreError::Version {
                found,
                known: VERSION,
            });
        }
        connection.execute_batch(
            "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
             PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=67108864;
             PRAGMA cache_size=-16384; PRAGMA busy_timeout=5000; PRAGMA trusted_schema=OFF;",
        )?;
        connection.set_prepared_statement_cache_capacity(256);
        let catalogue = catalogue::load(&mut connection, VERSION)?;
        Self::of(connection, catalogue, options)
    }

    fn of(
        connection: Connection,
        catalogue: Catalogue,
        options: SqliteOptions,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            inner: Mutex::new(Inner {
                connection,
                catalogue,
                writers: HashMap::new(),
                meta: write::Meta::new()?,
                limits: options.limits,
            }),
        })
    }

    /// A panic inside the lock leaves the database consistent: a transaction that was not
    /// committed is rolled back.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every change of a table so far, oldest first.
    pub fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        catalogue::migrations(&self.lock().connection)
    }

    /// Names of the columns that hold fields of a stream, in the order they came.
    pub fn columns(&self, stream: &StreamName) -> Vec<String> {
        let inner = self.lock();
        let table = inner.catalogue.tables.get(stream);
        table.map_or_else(Vec::new, |t| {
            t.fields.columns().iter().map(|c| c.name.clone()).collect()
        })
    }

    /// The newest event time stored of a stream, as its devices wrote it.
    pub fn newest(&self, stream: &StreamName) -> Result<Option<Timestamp>, StoreError> {
        let inner = self.lock();
        read::newest(&inner.connection, &inner.catalogue, stream)
    }

    /// What is there, per device, stream and epoch.
    pub fn presence(&self) -> Result<Vec<Presence>, StoreError> {
        let inner = self.lock();
        read::presence(&inner.connection, &inner.catalogue)
    }

    /// Every gap in the numbers stored: a look at all keys, for when [`presence`](Self::presence)
    /// counts fewer records than the highest number.
    ///
    /// What is missing after the highest number stored is not known here.
    pub fn gaps(&self) -> Result<Vec<Gap>, ReadError> {
        read::gaps(&self.lock())
    }
}

impl Store for SqliteStore {
    async fn write(&self, deliveries: &[Delivery<'_>]) -> Result<Vec<Outcome>, StoreError> {
        self.lock().write(deliveries)
    }

    async fn read(
        &self,
        stream: &StreamName,
        selection: &Selection,
        reader: &Schema,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let inner = self.lock();
        read::read(&inner, stream, selection, reader)
    }
}

/// What becomes of a schema: tables keep old records, so every version must be readable, and their
/// columns hold flat records alone.
fn decide(known: &[Entry], offered: &Schema) -> Registered {
    let answer = telemetry_core::decide(known, offered, Compatibility::BackwardTransitive);
    let flat = || Plan::compile(offered, offered).and_then(|plan| plan.flat());
    match answer {
        Registered::New { .. } => match flat() {
            Ok(()) => answer,
            Err(reason) => Registered::Quarantined(Quarantine::Unsupported {
                reason: reason.to_string(),
            }),
        },
        answer => answer,
    }
}

impl Registry for SqliteStore {
    type Error = StoreError;

    async fn register(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, StoreError> {
        let mut inner = self.lock();
        let known = inner.catalogue.entries(subject);
        let answer = decide(known, schema);
        let fingerprint = schema.fingerprint();
        match &answer {
            Registered::Known { .. } => {}
            Registered::New { version } => {
                inner.put_schema(subject, schema, *version, None)?;
            }
            Registered::Revision { version } => {
                inner.put_schema(subject, schema, *version, None)?;
            }
            // A text that collides with a known meaning is not kept beside it: whoever sent it is
            // told, and its (device, epoch, stream) is set aside by the caller.
            Registered::Quarantined(Quarantine::OtherMeaning { .. }) => {}
            Registered::Quarantined(reason) => {
                if !known.iter().any(|e| e.schema.fingerprint() == fingerprint) {
                    let version = known.last().map_or(1, |e| e.version + 1);
                    let reason = reason.clone();
                    inner.put_schema(subject, schema, version, Some(reason))?;
                }
            }
        }
        Ok(answer)
    }

    async fn lookup(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, StoreError> {
        let inner = self.lock();
        Ok(inner.catalogue.entry(subject, fingerprint).cloned())
    }

    async fn versions(&self, subject: &StreamName) -> Result<Vec<Entry>, StoreError> {
        Ok(self.lock().catalogue.entries(subject).to_vec())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database {
            reason: error.to_string(),
        }
    }
}

fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Catalogue {
        reason: what.into(),
    }
}
