//! What every store does: write batches once in effect, read rows as a schema of today, and account
//! for what is there.

use std::future::Future;

use telemetry_core::records::Enrichment;
use telemetry_core::{
    Batch, BatchError, DeviceId, Epoch, Fingerprint, Quarantine, Schema, SchemaError, Seq,
    StreamName, Timestamp,
};

use crate::Cell;
use crate::evolve::EvolveError;

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

    /// Reads records of a stream as `reader` wants them, in order of device, time and identity.
    fn read(
        &self,
        stream: &StreamName,
        selection: &Selection,
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
    /// The schema has a form that this release cannot keep in columns.
    #[error(transparent)]
    Schema(#[from] EvolveError),
    /// The table would grow past [`Limits::columns_max`](crate::Limits::columns_max).
    #[error("the table would have {columns} columns, at most {max} are allowed")]
    TooManyColumns {
        /// Columns it would have.
        columns: usize,
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
            | Self::TooManyColumns { .. }
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
    TooManyColumns { .. } => 4007,
    Row { .. } => 4008,
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
    #[error("{found} is a newer format than {known}, which this release writes: use the newer one")]
    Version {
        /// Version in the file.
        found: i64,
        /// Version of this release.
        known: i64,
    },
}

impl StoreError {
    /// What to do about it.
    pub const fn action(&self) -> Action {
        match self {
            Self::Busy { .. } => Action::Retry,
            Self::Disk { .. } => Action::RepairDisk,
            Self::Database { .. } => Action::Report,
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
});

impl From<SchemaError> for StoreError {
    fn from(error: SchemaError) -> Self {
        Self::Catalogue {
            reason: error.to_string(),
        }
    }
}

/// Which records to read.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of one device only.
    pub device: Option<DeviceId>,
    /// From this event time on.
    pub from: Option<Timestamp>,
    /// Up to, not including, this event time.
    pub until: Option<Timestamp>,
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
    /// Schema it was written with.
    pub schema: Fingerprint,
    /// A value for each field of the reader's schema, in its order.
    pub values: Vec<Cell>,
}

/// A read that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rows of this schema cannot be read with the reader's.
    #[error("rows of schema {writer} cannot be read: {reason}")]
    Incompatible {
        /// Schema of the rows.
        writer: Fingerprint,
        /// What stands against it.
        reason: String,
    },
    /// More rows than [`Limits::rows_read_max`](crate::Limits::rows_read_max).
    #[error("more than {max} rows: ask for a shorter time")]
    TooMany {
        /// What is allowed.
        max: usize,
    },
}

telemetry_core::error_codes!(ReadError {
    Store(_) => 4020,
    Incompatible { .. } => 4021,
    TooMany { .. } => 4022,
});
