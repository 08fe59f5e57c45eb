//! Tables in one SQLite file: one transaction per group, schema changes included.

mod catalogue;
mod error;
mod read;
mod registry;
mod store;
mod write;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use telemetry_core::{Fingerprint, Schema, StreamName, Timestamp, owner_only};

use crate::{Limits, ReadError, Selection, StoreError, StoredRecord};
use catalogue::Catalogue;

/// Format of the file; a newer one is refused before anything is written.
const VERSION: i64 = 1;

/// How to open a store.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// Bounds.
    pub limits: Limits,
    /// How long a call waits for another process that writes to the file, before it is
    /// [`StoreError::Busy`]; default 5 s.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            busy_timeout: Duration::from_secs(5),
        }
    }
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
    /// The SQL statement that changed the table.
    pub statement: String,
}

/// The URL under which a store can be read although SQLite cannot make the index of its journal beside
/// it; `None` if it can, or if there is a journal, whose content would be left out.
///
/// Without a journal there is no writer, and what stands in the file is all. Should another user begin to
/// write meanwhile, a look may fail; it changes nothing.
fn as_it_stands(connection: &Connection, path: &Path) -> Option<String> {
    let looked: Result<i64, _> = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    let code = looked.err()?.sqlite_error_code();
    let mut journal = path.as_os_str().to_owned();
    journal.push("-wal");
    let nothing =
        std::fs::metadata(journal).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if code != Some(rusqlite::ErrorCode::CannotOpen) || !nothing || !path.is_file() {
        return None;
    }
    let mut url = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        // Every byte as a number: no path has a host, a query or a fragment then. Writing to a string
        // cannot fail.
        let _ = write!(url, "%{byte:02x}");
    }
    Some(url + "?immutable=1")
}

impl SqliteStore {
    /// Opens or creates the store in a file.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        // SQLite makes files that everybody reads, and gives its journal the mode of its file: so
        // the file is made before. What keeps it from being made, SQLite finds and says as well.
        let name = path.as_os_str().as_encoded_bytes();
        if !name.is_empty() && !name.starts_with(b":") && !name.starts_with(b"file:") {
            let _ = owner_only::options()
                .write(true)
                .create_new(true)
                .open(path);
        }
        Self::with(Connection::open(path)?, options)
    }

    /// Opens a store that is there, to look at it: nothing is written, not even a new format, and
    /// a process that writes to it is not disturbed. The store of a writer that has ended well can be
    /// looked at on a read-only place, too.
    pub fn open_read_only(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        if let Some(unchanging) = as_it_stands(&connection, path) {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            connection = Connection::open_with_flags(unchanging, flags)?;
        }
        connection.busy_timeout(options.busy_timeout)?;
        connection.execute_batch("PRAGMA cache_size=-16384; PRAGMA trusted_schema=OFF;")?;
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

    /// The first records that [`Store::read`](crate::Store::read) would give, at most `count`: a look
    /// at a store of any size.
    ///
    /// # Errors
    ///
    /// Those of [`Store::read`](crate::Store::read).
    pub fn first(
        &self,
        stream: &StreamName,
        selection: &Selection,
        reader: &Schema,
        count: usize,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        read::read(&self.lock(), stream, selection, reader, Some(count))
    }

    /// A store that lives as long as the value: for tests and examples.
    pub fn in_memory(options: SqliteOptions) -> Result<Self, StoreError> {
        Self::with(Connection::open_in_memory()?, options)
    }

    fn with(mut connection: Connection, options: SqliteOptions) -> Result<Self, StoreError> {
        connection.busy_timeout(options.busy_timeout)?;
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
             PRAGMA cache_size=-16384; PRAGMA trusted_schema=OFF;",
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
}

fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Catalogue {
        reason: what.into(),
    }
}
