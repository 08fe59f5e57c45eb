//! A part that a service does not have.

use std::future::{Future, pending};
use std::time::Duration;

use telemetry_core::{
    Appended, Entry, Fingerprint, LogGroup, LogHead, LogStore, Registered, Registry, Schema,
    StreamName,
};
use telemetry_storage::{
    Outcome, Page, ReadError, Selection, Store, StoreError, StoredRecord, Write,
};
use telemetry_transport::{ConsumeAction, Deliveries, Delivery, Token};

use crate::Unavailable;

/// Stands for a consumer, a store or a log that a service never asks: a consumer that never has
/// anything, and a store and a log that cannot answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Absent;

const CAUSE: &str = "this service runs without a store";

fn no_store() -> StoreError {
    StoreError::Database {
        reason: CAUSE.to_owned(),
    }
}

fn no_log() -> Unavailable {
    Unavailable {
        cause: "this service runs without an incident log".to_owned(),
    }
}

impl Deliveries for Absent {
    type Error = std::convert::Infallible;

    fn action(error: &Self::Error) -> ConsumeAction {
        match *error {}
    }

    fn next_group(
        &mut self,
        _max: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, Self::Error>> + Send {
        pending()
    }

    async fn acknowledge(&mut self, _tokens: &[Token]) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn retry(&mut self, _delivery: &Delivery, _after: Duration) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn reject(&mut self, _delivery: &Delivery, _reason: &str) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl Store for Absent {
    async fn write(&self, writes: &[Write<'_>]) -> Vec<Outcome> {
        let unknown = writes.iter().map(|_| Outcome::Unknown(no_store()));
        unknown.collect()
    }

    async fn read(
        &self,
        _stream: &StreamName,
        _selection: &Selection,
        _reader: &Schema,
    ) -> Result<Page, ReadError> {
        Err(no_store().into())
    }

    async fn latest(
        &self,
        _stream: &StreamName,
        _reader: &Schema,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        Err(no_store().into())
    }
}

impl Registry for Absent {
    type Error = StoreError;

    async fn register(
        &self,
        _subject: &StreamName,
        _schema: &Schema,
    ) -> Result<Registered, StoreError> {
        Err(no_store())
    }

    async fn lookup(
        &self,
        _subject: &StreamName,
        _fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, StoreError> {
        Err(no_store())
    }

    async fn versions(&self, _subject: &StreamName) -> Result<Vec<Entry>, StoreError> {
        Err(no_store())
    }
}

impl LogStore for Absent {
    type Error = Unavailable;

    async fn append(&mut self, _group: &LogGroup) -> Result<Appended, Unavailable> {
        Err(no_log())
    }

    async fn read(&mut self, _seq: u64, _max: usize) -> Result<Vec<LogGroup>, Unavailable> {
        Err(no_log())
    }

    async fn head(&mut self) -> Result<Option<LogHead>, Unavailable> {
        Err(no_log())
    }
}
