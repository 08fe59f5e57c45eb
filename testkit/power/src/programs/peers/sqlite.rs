//! SQLite alone, in WAL mode, with a row a transaction.

use std::convert::Infallible;
use std::path::Path;

use rusqlite::Connection;

use super::{payload, say_message};
use crate::Result;

fn open(folder: &Path, synchronous: &str) -> Result<Connection> {
    let connection = Connection::open(folder.join("sqlite"))?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};
         CREATE TABLE IF NOT EXISTS rig(number INTEGER PRIMARY KEY, body BLOB)"
    ))?;
    Ok(connection)
}

pub(super) fn write(folder: &Path, first: u64, synchronous: &str) -> Result<Infallible> {
    let connection = open(folder, synchronous)?;
    let mut insert = connection.prepare("INSERT INTO rig(body) VALUES (?1)")?;
    for number in first.. {
        let body = payload(number);
        insert.execute([&body])?;
        say_message(&body)?;
    }
    Err("there are no more numbers".into())
}

pub(super) fn read(folder: &Path) -> Result<()> {
    let connection = open(folder, "FULL")?;
    let mut select = connection.prepare("SELECT body FROM rig")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        say_message(row.get_ref(0)?.as_blob()?)?;
    }
    Ok(())
}
