//! Opening a file: to write, or to read without leaving a trace.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use telemetry_core::owner_only;

use super::{SqliteOptions, catalogue, damaged};
use crate::StoreError;

/// Format of the file; another one is refused before anything is written.
const VERSION: i64 = 2;

/// `XPT` in the header of the file, where `file` and other tools look.
const APPLICATION: i64 = 0x5850_5400;

/// A connection, and how it may be used.
#[derive(Debug)]
pub(super) struct Opened {
    connection: Connection,
    reading: Option<Reading>,
}

/// A connection that only reads.
#[derive(Debug)]
struct Reading {
    path: PathBuf,
    /// Opened without locks and shared memory, which is right as long as nobody writes.
    still: bool,
}

impl Opened {
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection to write with.
    pub(super) const fn writing(&mut self) -> Result<&mut Connection, StoreError> {
        match self.reading {
            None => Ok(&mut self.connection),
            Some(_) => Err(StoreError::ReadOnly),
        }
    }

    /// Opens the file anew where a writer came after it was opened as still.
    pub(super) fn follow(&mut self, options: &SqliteOptions) -> Result<(), StoreError> {
        if let Some(Reading { path, still: true }) = &self.reading
            && is_written(path)
        {
            *self = to_read(&path.clone(), *options)?;
        }
        Ok(())
    }
}

pub(super) fn to_write(path: &Path, options: SqliteOptions) -> Result<Opened, StoreError> {
    // SQLite makes files that everybody reads, and gives its journal the mode of its file: so
    // the file is made before. What keeps it from being made, SQLite finds and says as well.
    let name = path.as_os_str().as_encoded_bytes();
    if !name.is_empty() && !name.starts_with(b":") && !name.starts_with(b"file:") {
        let _ = owner_only::options()
            .write(true)
            .create_new(true)
            .open(path);
    }
    writing(Connection::open(path)?, options)
}

pub(super) fn in_memory(options: SqliteOptions) -> Result<Opened, StoreError> {
    writing(Connection::open_in_memory()?, options)
}

fn writing(mut connection: Connection, options: SqliteOptions) -> Result<Opened, StoreError> {
    connection.busy_timeout(options.busy_timeout)?;
    // Before anything is written, a change of the journal included.
    is_ours(&connection)?;
    connection.execute_batch(
        "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=67108864;
         PRAGMA cache_size=-16384; PRAGMA trusted_schema=OFF;",
    )?;
    connection.set_prepared_statement_cache_capacity(256);
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have made it since.
    if !is_ours(&tx)? {
        catalogue::create(&tx)?;
        tx.pragma_update(None, "user_version", VERSION)?;
        tx.pragma_update(None, "application_id", APPLICATION)?;
    }
    tx.commit()?;
    Ok(Opened {
        connection,
        reading: None,
    })
}

pub(super) fn to_read(path: &Path, options: SqliteOptions) -> Result<Opened, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // A file that nobody has open is read as it stands: with locks SQLite would make files beside
    // it, or fail where it may not.
    let still = !is_written(path);
    let connection = if still {
        let uri = immutable(path);
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    connection.busy_timeout(options.busy_timeout)?;
    connection.execute_batch("PRAGMA cache_size=-16384; PRAGMA trusted_schema=OFF;")?;
    if !is_ours(&connection)? {
        return Err(damaged("there is no store in this file"));
    }
    Ok(Opened {
        connection,
        reading: Some(Reading {
            path: path.to_owned(),
            still,
        }),
    })
}

/// Whether the file has a store of this release; `false` if it is empty.
fn is_ours(connection: &Connection) -> Result<bool, StoreError> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let found = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let is_empty = number("SELECT count(*) FROM sqlite_schema")? == 0;
    let has_catalogue =
        number("SELECT count(*) FROM sqlite_schema WHERE name = 'xpt_stream'")? == 1;
    match (application, found) {
        (APPLICATION, VERSION) => Ok(true),
        (0, 0) if is_empty => Ok(false),
        // The first format had no mark of its own.
        (APPLICATION, _) => Err(version(found)),
        (0, 1) if has_catalogue => Err(version(found)),
        _ => Err(StoreError::Foreign),
    }
}

const fn version(found: i64) -> StoreError {
    StoreError::Version {
        found,
        known: VERSION,
    }
}

/// Whether a process has the file open to write, or left it so: then its journal is there.
fn is_written(path: &Path) -> bool {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-wal");
    Path::new(&journal).exists()
}

/// The URI of a file that nobody writes to.
fn immutable(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri + "?immutable=1"
}
