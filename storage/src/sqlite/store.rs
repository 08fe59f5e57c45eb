//! The contracts of a store, kept by one file.

use telemetry_core::{Schema, StreamName, Timestamp};

use super::{SqliteStore, read};
use crate::{
    Accounting, Gap, Outcome, Presence, ReadError, Selection, Store, StoreError, StoredRecord,
    Write,
};

impl Store for SqliteStore {
    async fn write(&self, writes: &[Write<'_>]) -> Vec<Outcome> {
        self.lock().write(writes)
    }

    async fn read(
        &self,
        stream: &StreamName,
        selection: &Selection,
        reader: &Schema,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let inner = self.lock();
        read::read(&inner, stream, selection, reader, None)
    }
}

impl Accounting for SqliteStore {
    async fn presence(&self) -> Result<Vec<Presence>, StoreError> {
        let inner = self.lock();
        read::presence(&inner.connection, &inner.catalogue)
    }

    async fn gaps(&self) -> Result<Vec<Gap>, ReadError> {
        read::gaps(&self.lock())
    }

    async fn newest(&self, stream: &StreamName) -> Result<Option<Timestamp>, StoreError> {
        let inner = self.lock();
        read::newest(&inner.connection, &inner.catalogue, stream)
    }
}
