//! The end of a shared spool that hands batches out.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use telemetry_core::Epoch;
use tokio::sync::mpsc;

use super::owner::{Mailbox, now};
use crate::{BatchId, ConfirmError, SpooledBatch, StorageError};

/// The end of a shared spool that hands batches out and takes their confirmations.
pub struct Batches<S> {
    mailbox: Arc<Mailbox<S>>,
    inbox: mpsc::Receiver<Result<SpooledBatch, StorageError>>,
    /// When each batch was taken that is not confirmed.
    taken: HashMap<BatchId, Instant>,
    /// The opening that hands them out.
    opening: Epoch,
}

impl<S> fmt::Debug for Batches<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.taken.len();
        f.debug_struct("Batches")
            .field("open", &open)
            .finish_non_exhaustive()
    }
}

impl<S> Batches<S> {
    pub(super) fn new(
        mailbox: Arc<Mailbox<S>>,
        inbox: mpsc::Receiver<Result<SpooledBatch, StorageError>>,
        opening: Epoch,
    ) -> Self {
        mailbox.join();
        Self {
            mailbox,
            inbox,
            taken: HashMap::new(),
            opening,
        }
    }

    /// The next durable records that were not handed out yet; waits for some. `None` once the spool
    /// is closed.
    ///
    /// Keep a batch until it may be [confirmed](Self::confirm); after the next opening it is handed
    /// out again. An error of the disk is told once, and the next call tries again. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<SpooledBatch>, StorageError> {
        let Some(next) = self.inbox.recv().await else {
            return Ok(None);
        };
        self.mailbox.took();
        let batch = next?;
        self.taken.insert(batch.id, now());
        Ok(Some(batch))
    }

    /// The opening of the spool: what it hands out carries it in its id.
    pub const fn opening(&self) -> Epoch {
        self.opening
    }

    /// Takes a confirmation: the batch is durable downstream, and its space may be freed.
    ///
    /// Never waits; where the disk refuses, [`next`](Self::next) tells. A batch of another opening
    /// is refused ([`ConfirmError::NotHandedOut`]); one that is confirmed already changes nothing.
    pub fn confirm(&mut self, batch: SpooledBatch) -> Result<(), ConfirmError> {
        let (id, opening) = (batch.id, self.opening);
        if id.opening != opening {
            return Err(ConfirmError::NotHandedOut { id, opening });
        }
        if let Some(since) = self.taken.remove(&id) {
            self.mailbox.confirm(batch, since.elapsed());
        }
        Ok(())
    }
}

impl<S> Batches<S> {
    /// Says that the receiver takes no body of more than so many bytes: smaller batches are made from
    /// now on, and [`AppendError::TooLarge`](crate::AppendError::TooLarge) answers a record that can
    /// never be sent.
    pub fn limit(&mut self, body_bytes_max: usize) {
        self.mailbox.split(None, body_bytes_max);
    }

    /// As [`limit`](Self::limit), where a batch of several records has shown it: its records are handed
    /// out again in smaller batches.
    pub fn split(&mut self, batch: SpooledBatch, body_bytes_max: usize) {
        if batch.id.opening == self.opening && self.taken.remove(&batch.id).is_some() {
            self.mailbox.split(Some(batch), body_bytes_max);
        }
    }
}

impl<S> Drop for Batches<S> {
    fn drop(&mut self) {
        self.inbox.close();
        self.mailbox.leave();
    }
}
