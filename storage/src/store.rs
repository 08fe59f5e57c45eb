//! What every store does: write batches once in effect, read rows as a schema of today, and account
//! for what is there.

use std::future::Future;

use telemetry_core::records::Enrichment;
use telemetry_core::{
    Batch, BatchError, Fingerprint, PlanError, Quarantine, Schema, SchemaError, Seq, StreamName,
    Timestamp,
};
use telemetry_core::{DeviceId, Epoch};

use crate::{Page, Selection, StoredRecord};

/// A place for batches.
///
/// Every store passes the suite in `contract` (feature `test-util`).
pub trait Store {
    /// Writes batches with what is known about them. There is one outcome for each, in their order,
    /// and what becomes of one does not depend on its neighbours.
    ///
    /// A batch whose outcome is [`Outcome::Stored`] is durable and may be acknowledged. Cancel-safe:
    /// of a dropped future each batch is stored whole or not at all, and offering it again is
    /// harmless.
    fn write(&self, writes: &[Write<'_>]) -> impl Future<Output = Vec<Outcome>> + Send;

    /// Reads a page of a stream's records as `reader` wants them: bucket by bucket, and in a bucket
    /// by device, time, epoch and number.
    fn read(
        &self,
        stream: &StreamName,
        selection: &Selection,
        reader: &Schema,
    ) -> impl Future<Output = Result<Page, ReadError>> + Send;

    /// The newest record of each device, by event time: "when did it last speak".
    fn latest(
        &self,
        stream: &StreamName,
        reader: &Schema,
    ) -> impl Future<Output = Result<Vec<StoredRecord>, ReadError>> + Send;
}

/// Accounts for the numbers that devices gave: what a ledger of losses asks of a store.
pub trait Accounting {
    /// What is there, per device, stream and epoch.
    fn presence(&self) -> impl Future<Output = Result<Vec<Presence>, StoreError>> + Send;

    /// Every gap in the numbers stored: a look at all keys, for when
    /// [`presence`](Self::presence) counts fewer records than the highest number.
    ///
    /// What is missing after the highest number stored is not known here.
    fn gaps(&self) -> impl Future<Output = Result<Vec<Gap>, ReadError>> + Send;

    /// The newest event time stored of a stream, as its devices wrote it.
    fn newest(
        &self,
        stream: &StreamName,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;
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

/// A batch and its enrichment on their way into a store.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The records, with the envelope that names them.
    pub batch: &'a Batch,
    /// What is known about it besides.
    pub enrichment: &'a Enrichment,
}

/// What became of a write.
#[derive(Debug)]
pub enum Outcome {
    /// Its rows are there, durably.
    Stored {
        /// Rows that were not there before.
        new: u32,
        /// Rows that were: a resend.
        duplicates: u32,
        /// Rows whose key was there with another content, which stays. No device does this that
        /// keeps its identity: an image was restored, or two devices have one name. Raise an alarm.
        conflicts: u32,
    },
    /// Nothing of it was written, and offering it again changes nothing until the cause is removed.
    Refused(Refusal),
    /// Whether it was written is not known. Offer it again: its rows are found by their key, so
    /// that writing them twice is harmless.
    Unknown(StoreError),
}

/// What to do about a refusal or an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Try again after a while, for as long as it takes.
    Retry,
    /// Free space, or repair the disk or its permissions; then try again.
    RepairDisk,
    /// Restore the store from a backup: it is damaged.
    Restore,
    /// Use the release that wrote the store, or a newer one.
    Upgrade,
    /// Report it: the store refuses what this release asks for.
    Report,
    /// Register the schema that its announcement brings, then offer the batch again.
    Announce,
    /// Have a person accept the schema, then replay the batch.
    Accept,
    /// Set the batch aside: it will not be taken as it is.
    SetAside,
}

/// Why a batch is not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The schema is not registered (yet): try again after its announcement, then set it aside.
    #[error("schema {fingerprint} of {stream} is not registered: wait for its announcement")]
    UnknownSchema {
        /// Stream of the batch.
        stream: StreamName,
        /// Fingerprint of the records' schema.
        fingerprint: Fingerprint,
    },
    /// The schema is quarantined: set the batch aside until a person accepts the schema.
    #[error("schema {fingerprint} of {stream} is quarantined: accept it, then replay")]
    Quarantined {
        /// Stream of the batch.
        stream: StreamName,
        /// Fingerprint of the records' schema.
        fingerprint: Fingerprint,
        /// What stands against the schema.
        reason: Quarantine,
    },
    /// The batch names no schema: a table needs one.
    #[error("the batch has no schema, content type {content_type}")]
    Opaque {
        /// Its content type.
        content_type: String,
    },
    /// The body cannot be decoded with the schema it names.
    #[error(transparent)]
    Body(#[from] BatchError),
    /// The body holds another number of records than the envelope says.
    #[error("the envelope says {expected} records, the body has {found}")]
    Count {
        /// What the envelope says.
        expected: u32,
        /// What the body says.
        found: u32,
    },
    /// The schema is no record, or one that no plan can be made for.
    #[error(transparent)]
    Schema(#[from] PlanError),
    /// The numbers of the batch's records end past the last number that there is.
    #[error("{count} records from number {first} on end past the last number")]
    Numbers {
        /// Number of the first record.
        first: Seq,
        /// Records.
        count: u32,
    },
    /// The store has as many streams as it may.
    #[error("the store has {max} streams already, which is its limit")]
    TooManyStreams {
        /// What is allowed.
        max: usize,
    },
    /// The database takes no such row, e.g. for its size or for a constraint that somebody added.
    #[error("the database takes no such row: {reason}")]
    Row {
        /// What the database said.
        reason: String,
    },
}

impl Refusal {
    /// What to do about it.
    pub const fn action(&self) -> Action {
        match self {
            Self::UnknownSchema { .. } => Action::Announce,
            Self::Quarantined { .. } => Action::Accept,
            Self::Opaque { .. }
            | Self::Body(_)
            | Self::Count { .. }
            | Self::Schema(_)
            | Self::Numbers { .. }
            | Self::TooManyStreams { .. }
            | Self::Row { .. } => Action::SetAside,
        }
    }
}

telemetry_core::error_codes!(Refusal {
    UnknownSchema { .. } => 4001,
    Quarantined { .. } => 4002,
    Opaque { .. } => 4003,
    Body(_) => 4004,
    Count { .. } => 4005,
    Schema(_) => 4006,
    Row { .. } => 4008,
    Numbers { .. } => 4009,
    TooManyStreams { .. } => 4015,
});

/// The store itself failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process or connection is in the way: try again.
    #[error("the database is busy: {reason}")]
    Busy {
        /// What the database said.
        reason: String,
    },
    /// The disk is full, broken or not to be written: look at space, permissions and the system's
    /// log, then try again.
    #[error("the database's disk: {reason}")]
    Disk {
        /// What the database said.
        reason: String,
    },
    /// The database refuses what this release asks for.
    #[error("database: {reason}")]
    Database {
        /// What the database said.
        reason: String,
    },
    /// The database holds something that this program did not write.
    #[error("the catalogue is damaged: {reason}")]
    Catalogue {
        /// What is wrong, and where.
        reason: String,
    },
    /// The file is of another release.
    #[error(
        "the file has format {found}, this release reads and writes {known}: use the release that wrote it"
    )]
    Version {
        /// Version in the file.
        found: i64,
        /// Version of this release.
        known: i64,
    },
    /// The file is another program's database.
    #[error("the file is a database of another program: name another file")]
    Foreign,
    /// The store was opened to be read.
    #[error("the store was opened to be read only")]
    ReadOnly,
}

impl StoreError {
    /// What to do about it.
    pub const fn action(&self) -> Action {
        match self {
            Self::Busy { .. } => Action::Retry,
            Self::Disk { .. } => Action::RepairDisk,
            Self::Database { .. } | Self::ReadOnly | Self::Foreign => Action::Report,
            Self::Catalogue { .. } => Action::Restore,
            Self::Version { .. } => Action::Upgrade,
        }
    }
}

telemetry_core::error_codes!(StoreError {
    Database { .. } => 4010,
    Catalogue { .. } => 4011,
    Version { .. } => 4012,
    Busy { .. } => 4013,
    Disk { .. } => 4014,
    Foreign => 4016,
    ReadOnly => 4017,
});

impl From<SchemaError> for StoreError {
    fn from(error: SchemaError) -> Self {
        Self::Catalogue {
            reason: error.to_string(),
        }
    }
}

/// A read that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reader's schema is no record.
    #[error("reader's schema: {0}")]
    Reader(#[from] PlanError),
    /// More rows than the caller, or [`Limits::gaps_max`](crate::Limits::gaps_max), allows.
    #[error("more than {max} rows: ask for less")]
    TooMany {
        /// What is allowed.
        max: usize,
    },
}

telemetry_core::error_codes!(ReadError {
    Store(_) => 4020,
    Reader(_) => 4021,
    TooMany { .. } => 4022,
});
