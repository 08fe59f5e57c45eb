//! What can go wrong, with the numbers to act.

use telemetry_core::Epoch;

use crate::journal::{self, FrameError};
#[cfg(feature = "embedded")]
use crate::storage::StorageErrorKind;
use crate::storage::{FileId, StorageError};

use crate::BatchId;

/// A journal that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The disk refused.
    #[error("the journal's disk: {0}")]
    Io(#[from] StorageError),
    /// The first commit failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The first frame was refused.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Another release wrote a file, in a format unknown here; nothing was changed.
    #[error("{file} has format version {found}, this release knows {known}: use the release that wrote it", known = journal::VERSION)]
    Version {
        /// The file.
        file: FileId,
        /// Its version.
        found: u8,
    },
    /// The limits cannot work; nothing was changed.
    #[error("limit {field} is {value}, at least {min} is needed")]
    Limits {
        /// Field of [`Limits`](crate::Limits).
        field: &'static str,
        /// Its value.
        value: u64,
        /// The smallest that works.
        min: u64,
    },
    /// A limit cannot work; nothing was changed.
    #[error("limit {field} is {value}, at most {max} is possible")]
    LimitTooLarge {
        /// Field of [`Limits`](crate::Limits).
        field: &'static str,
        /// Its value.
        value: u64,
        /// The largest that works.
        max: u64,
    },
    /// The random bits name an opening before this one again, or no larger epoch is left. Nothing
    /// was opened.
    #[error(
        "the random bits give no epoch that is new after {previous}: open again with other bits"
    )]
    EpochRepeats {
        /// The epoch of the opening before.
        previous: Epoch,
    },
}

telemetry_core::error_codes!(OpenError {
    Io(_) => 3001,
    Commit(_) => 3002,
    Append(_) => 3003,
    Version { .. } => 3004,
    Limits { .. } => 3005,
    EpochRepeats { .. } => 3006,
    LimitTooLarge { .. } => 3007,
});

/// A record or batch that was not taken; the journal is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// No room until something is confirmed.
    #[error("the journal holds {used} of {limit} bytes; confirm or acknowledge, then append again")]
    Full {
        /// Bytes held.
        used: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// It fits no segment, or no message of the receiver
    /// ([`Spool::limit_records`](crate::Spool::limit_records)).
    #[error("the payload has {len} bytes, at most {max} are possible")]
    TooLarge {
        /// Length in bytes.
        len: usize,
        /// Largest length with frames, in bytes.
        max: u64,
    },
    /// Not in single-object encoding.
    #[error("a record starts with C3 01 and its schema's fingerprint")]
    NotSingleObject,
    /// A number that [`Spool::stream`](crate::Spool::stream) or `source` did not give.
    #[error("unknown stream or source number {number}")]
    Unknown {
        /// The number.
        number: u16,
    },
    /// More streams or sources than a number can name.
    #[error("a spool has at most 65535 streams and as many sources")]
    TooManyNames,
    /// A source's name is too long.
    #[error("a source's name has {len} bytes, at most {max} are allowed")]
    NameTooLong {
        /// Length in bytes.
        len: usize,
        /// Largest length in bytes.
        max: usize,
    },
    /// An earlier commit failed: open the journal again.
    #[error("an earlier commit failed; open the journal again")]
    Poisoned,
    /// A full segment could not be committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Every number of a segment was given: only a new journal can go on.
    #[error("every number of a segment was given; send what is left, then begin a new journal")]
    SegmentsUsedUp,
    /// A new segment could not be made, or there was no room for it; try again.
    #[error("a new segment: {0}")]
    Io(#[from] StorageError),
    /// The frame cannot be written.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

telemetry_core::error_codes!(AppendError {
    Full { .. } => 3010,
    TooLarge { .. } => 3011,
    NotSingleObject => 3012,
    Unknown { .. } => 3013,
    TooManyNames => 3014,
    Poisoned => 3015,
    Commit(_) => 3016,
    Io(_) => 3017,
    Frame(_) => 3018,
    NameTooLong { .. } => 3019,
    SegmentsUsedUp => 3024,
});

/// Nothing since the last commit is promised any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The disk refused a write or sync: what is on it is unknown. Open the journal again.
    #[error("commit failed, open the journal again: {0}")]
    Io(StorageError),
    /// An earlier commit failed.
    #[error("an earlier commit failed; open the journal again")]
    Poisoned,
}

telemetry_core::error_codes!(CommitError {
    Io(_) => 3020,
    Poisoned => 3021,
});

/// A confirmation that was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// This opening did not hand the batch out; nothing was changed. Where an earlier opening did,
    /// this one hands its records out again, and only that batch can be confirmed.
    #[error("batch {id} was not handed out by opening {opening}: only its own batches count")]
    NotHandedOut {
        /// The batch.
        id: BatchId,
        /// The opening that was told of it.
        opening: Epoch,
    },
    /// The disk refused to store how far confirmation has come: more is sent again after the next
    /// opening. The confirmation itself counts.
    #[error("the cursor of the spool: {0}")]
    Io(#[from] StorageError),
}

telemetry_core::error_codes!(ConfirmError {
    NotHandedOut { .. } => 3022,
    Io(_) => 3023,
});

/// A consumer that cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumeError {
    /// The disk refused; the cursor stays, and everything after it comes again.
    #[error("the log's disk: {0}")]
    Io(#[from] StorageError),
    /// Not a consumer's name.
    #[error("a consumer's name is 1 to 64 bytes of [A-Za-z0-9._]")]
    Name,
    /// The consumer was unsubscribed.
    #[error("the consumer was unsubscribed")]
    Unsubscribed,
    /// A dead letter cannot be appended again.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Replayed dead letters cannot be committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A dead letter is too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No room for another dead letter: the delivery stays undone.
    #[error("the dead letters hold {used} of {limit} bytes; replay them, then reject again")]
    DeadLettersFull {
        /// Bytes held.
        used: u64,
        /// Bytes allowed.
        limit: u64,
    },
}

#[cfg(feature = "embedded")]
impl ConsumeError {
    /// What to do about it.
    pub fn action(&self) -> crate::ConsumeAction {
        use crate::ConsumeAction::{BackOff, Fatal, MakeRoom, Reopen};
        match self {
            Self::Io(error) if error.kind == StorageErrorKind::Poisoned => Reopen,
            Self::Io(_) => BackOff,
            Self::DeadLettersFull { .. } | Self::Append(AppendError::Full { .. }) => MakeRoom,
            Self::Unsubscribed | Self::Append(_) | Self::Commit(_) => Reopen,
            Self::Name | Self::Frame(_) => Fatal,
        }
    }
}

telemetry_core::error_codes!(ConsumeError {
    Io(_) => 3030,
    Name => 3031,
    Unsubscribed => 3032,
    Append(_) => 3033,
    Commit(_) => 3034,
    Frame(_) => 3035,
    DeadLettersFull { .. } => 3036,
});
