//! What SQLite said, as what to do.

use rusqlite::ErrorCode;

use crate::StoreError;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull,
            FileLockingProtocolFailed, NotADatabase, OutOfMemory, PermissionDenied, ReadOnly,
            SystemIoFailure,
        };
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(DatabaseBusy | DatabaseLocked | FileLockingProtocolFailed | OutOfMemory) => {
                Self::Busy { reason }
            }
            Some(SystemIoFailure | DiskFull | CannotOpen | ReadOnly | PermissionDenied) => {
                Self::Disk { reason }
            }
            Some(DatabaseCorrupt | NotADatabase) => Self::Catalogue { reason },
            _ => Self::Database { reason },
        }
    }
}

/// Why a group was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The store failed.
    Store(StoreError),
    /// The database took everything but a row of a batch.
    Row(String),
}

impl WriteError {
    /// Whether it would be the same for each batch of the group.
    pub(super) const fn is_everyones(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Busy { .. } | StoreError::Disk { .. })
        )
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        use ErrorCode::{ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch};
        match error.sqlite_error_code() {
            Some(ConstraintViolation | ParameterOutOfRange | TooBig | TypeMismatch) => {
                Self::Row(error.to_string())
            }
            _ => Self::Store(error.into()),
        }
    }
}
