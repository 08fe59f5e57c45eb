//! The contracts of a store, kept by one file.

use rusqlite::Transaction;
use telemetry_core::{Schema, StreamName, Timestamp};

use super::catalogue::Catalogue;
use super::{Inner, SqliteStore, read};
use crate::{
    Accounting, Gap, Outcome, Page, Presence, ReadError, Selection, Store, StoreError,
    StoredRecord, Write,
};

impl Inner {
    /// Reads in one transaction, of which the catalogue is a part: what others commit meanwhile is
    /// seen the next time.
    fn reading<T, E: From<StoreError>>(
        &mut self,
        read: impl FnOnce(&Transaction<'_>, &Catalogue) -> Result<T, E>,
    ) -> Result<T, E> {
        self.opened.follow(&self.options)?;
        let tx = self.opened.connection().unchecked_transaction();
        let tx = tx.map_err(StoreError::from)?;
        // The first query begins the transaction; from there on nothing changes.
        let seen = super::data_version(&tx)?;
        if self.seen != Some(seen) {
            self.catalogue = super::catalogue::read(&tx)?;
            self.writers.clear();
            self.seen = Some(seen);
        }
        read(&tx, &self.catalogue)
    }
}

impl Store for SqliteStore {
    async fn write(&self, writes: &[Write<'_>]) -> Vec<Outcome> {
        self.lock().write(writes)
    }

    async fn read(
        &self,
        stream: &StreamName,
        selection: &Selection,
        reader: &Schema,
    ) -> Result<Page, ReadError> {
        let mut inner = self.lock();
        let max = inner.options.limits.page_max;
        inner.reading(
            |tx, catalogue| match read::Records::new(tx, catalogue, stream, reader)? {
                Some(mut records) => records.page(selection, max),
                None => Ok(Page::default()),
            },
        )
    }

    async fn latest(
        &self,
        stream: &StreamName,
        reader: &Schema,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        self.lock().reading(|tx, catalogue| {
            match read::Records::new(tx, catalogue, stream, reader)? {
                Some(mut records) => records.latest(),
                None => Ok(Vec::new()),
            }
        })
    }
}

impl Accounting for SqliteStore {
    async fn presence(&self) -> Result<Vec<Presence>, StoreError> {
        self.lock().reading(read::presence)
    }

    async fn gaps(&self) -> Result<Vec<Gap>, ReadError> {
        let mut inner = self.lock();
        let max = inner.options.limits.gaps_max;
        inner.reading(|tx, catalogue| read::gaps(tx, catalogue, max))
    }

    async fn newest(&self, stream: &StreamName) -> Result<Option<Timestamp>, StoreError> {
        self.lock()
            .reading(|tx, catalogue| read::newest(tx, catalogue, stream))
    }
}
