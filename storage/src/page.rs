//! What is asked of a stream, and what is given.

use telemetry_core::Schema;
use telemetry_core::wire::Reader;
use telemetry_core::{
    AvroRecord, Decode, DecodeError, DeviceId, Epoch, Fingerprint, Plan, Seq, StreamName,
    Timestamp, Value,
};

use crate::{ReadError, Store};

/// Records of a page that asks for no other number.
const PAGE: usize = 10_000;

/// Which records to read. All parts must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Of one device only.
    pub device: Option<DeviceId>,
    /// From this event time on. A record without an event time is in no range.
    pub from: Option<Timestamp>,
    /// Up to, not including, this event time.
    pub until: Option<Timestamp>,
    /// Of one session only, as the enrichment names it.
    pub session: Option<String>,
    /// Written with one schema only.
    pub schema: Option<Fingerprint>,
    /// Behind this place: [`Page::next`] of the page before.
    pub after: Option<Position>,
    /// Rows of a page; default 10,000.
    pub limit: usize,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            device: None,
            from: None,
            until: None,
            session: None,
            schema: None,
            after: None,
            limit: PAGE,
        }
    }
}

/// The place of a record in the order of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub(crate) bucket: i64,
    pub(crate) device: DeviceId,
    pub(crate) ts: i64,
    pub(crate) epoch: Epoch,
    pub(crate) seq: Seq,
}

/// Records of a stream, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What was read.
    pub records: Vec<StoredRecord>,
    /// Rows among them that the reader's schema cannot take; those beside them are not harmed.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page starts; `None` if this is the last.
    pub next: Option<Position>,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// Device that made it.
    pub device: DeviceId,
    /// Opening of its spool.
    pub epoch: Epoch,
    /// Number within device, epoch and stream.
    pub seq: Seq,
    /// Its event time, if it has one.
    pub time: Option<Timestamp>,
    /// Schema it was written with.
    pub schema: Fingerprint,
    /// The record as the reader's schema has it: an Avro datum.
    pub datum: Vec<u8>,
}

impl StoredRecord {
    /// The record as a struct, whose schema was the reader's.
    pub fn read_as<'a, R>(&'a self) -> Result<R, DecodeError>
    where
        R: AvroRecord + Decode<'a>,
    {
        R::read_datum(&mut Reader::new(&self.datum))
    }

    /// The record as a value; `plan` leads from the reader's schema to itself.
    pub fn value(&self, plan: &Plan) -> Result<Value, DecodeError> {
        plan.value(&mut Reader::new(&self.datum))
    }
}

/// A row that the reader's schema cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Device that made it.
    pub device: DeviceId,
    /// Opening of its spool.
    pub epoch: Epoch,
    /// Number within device, epoch and stream.
    pub seq: Seq,
    /// Schema it was written with.
    pub schema: Fingerprint,
    /// What stands against it.
    pub reason: String,
}

/// Reads page after page into one.
///
/// # Errors
/// Those of [`Store::read`], and [`ReadError::TooMany`] if there are more than `max` rows.
pub async fn read_all(
    store: &impl Store,
    stream: &StreamName,
    selection: &Selection,
    reader: &Schema,
    max: usize,
) -> Result<Page, ReadError> {
    let mut selection = selection.clone();
    let mut all = Page::default();
    loop {
        let page = store.read(stream, &selection, reader).await?;
        all.records.extend(page.records);
        all.unreadable.extend(page.unreadable);
        if all.records.len() + all.unreadable.len() > max {
            return Err(ReadError::TooMany { max });
        }
        match page.next {
            Some(next) => selection.after = Some(next),
            None => return Ok(all),
        }
    }
}
