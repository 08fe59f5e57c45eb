//! What every store does: write batches once in effect, read rows as a schema of today.

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
    /// Writes batches with what is known about them, in one group.
    ///
    /// When it returns `Ok`, every batch whose outcome is [`Outcome::Stored`] is durable and may be
    /// acknowledged. An error wrote nothing of the group: offer it again. Cancel-safe: a dropped
    /// future wrote all or nothing.
    fn write(
        &self,
        deliveries: &[Delivery<'_>],
    ) -> impl Future<Output = Result<Vec<Outcome>, StoreError>> + Send;

    /// Reads records of a stream as `reader` wants them, in order of device, time and identity.
    fn read(
        &self,
        stream: &StreamName,
        selection: &Selection,
        reader: &Schema,
    ) -> impl Future<Output = Result<Vec<StoredRecord>, ReadError>> + Send;
}

/// A batch to write.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// What is known about it besides.
    pub enrichment: &'a Enrichment,
}

/// What became of a batch.
#[derive(Debug)]
pub enum Outcome {
    /// Its rows are there.
    Stored {
        /// Rows that were not there before.
        new: u32,
        /// Rows that were: a resend.
        duplicates: u32,
    },
    /// Nothing of it was written, and writing it again helps only after the cause is removed.
    Refused(Refusal),
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
        /// Why.
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
}

telemetry_core::error_codes!(Refusal {
    UnknownSchema { .. } => 4001,
    Quarantined { .. } => 4002,
    Opaque { .. } => 4003,
    Body(_) => 4004,
    Count { .. } => 4005,
    Schema(_) => 4006,
    TooManyColumns { .. } => 4007,
});

/// The store itself failed: nothing of the group was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database refused or failed: try again; if it stays, look at disk and permissions.
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

telemetry_core::error_codes!(StoreError {
    Database { .. } => 4010,
    Catalogue { .. } => 4011,
    Version { .. } => 4012,
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
