//! From a shared spool to RabbitMQ.

use std::collections::VecDeque;
use std::io;

use telemetry_core::{Batch, Fingerprint, StreamName};

use super::Batches;
use crate::amqp::{OfferError, Publisher, Refused};
use crate::{BatchId, ConfirmError, SpooledBatch, StorageError};

/// Why publishing ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The spool's disk failed.
    #[error("the spool's disk: {0}")]
    Io(#[from] StorageError),
    /// The publisher takes nothing more.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The spool did not take a confirmation.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    /// Nobody knows the schema of a batch: make it known, then open the spool again.
    #[error("the spool has records of {stream} with schema #{schema}, which is unknown here")]
    UnknownSchema {
        /// The stream.
        stream: StreamName,
        /// Fingerprint of the records' schema.
        schema: Fingerprint,
    },
}

telemetry_core::error_codes!(PublishError {
    Io(_) => 3105,
    Offer(_) => 3106,
    UnknownSchema { .. } => 3107,
    Confirm(_) => 3108,
});

impl<S> Batches<S> {
    /// Publishes everything, and confirms what the broker has for good, until the spool is closed.
    ///
    /// `encode` makes the message, by [`SpooledBatch::to_batch`]; `None` where it does not know the
    /// schema. The publisher takes nothing from elsewhere: where another spool, or the next opening of
    /// this one, publishes by it, this ends with [`OfferError::OpeningOver`]. If the future is
    /// dropped, what is not confirmed is handed out after the next opening.
    ///
    /// A batch that is too large for the broker comes again in smaller ones, and records that are too
    /// large are refused from then on when they are appended. `set_aside` keeps one that was appended
    /// before, alone in its batch, durably and with the reason: when it returns, the batch is confirmed,
    /// and the others go on. Where it fails, this ends.
    pub async fn publish(
        mut self,
        publisher: &Publisher,
        mut encode: impl FnMut(&mut SpooledBatch) -> Option<Batch>,
        mut set_aside: impl FnMut(&SpooledBatch, &Refused) -> io::Result<()>,
    ) -> Result<(), PublishError> {
        let mut confirmed = publisher.confirmed();
        let mut open = VecDeque::<SpooledBatch>::new();
        let mut next: Option<(BatchId, Batch)> = None;
        let mut offered = false;
        loop {
            let offer = async {
                match &next {
                    Some((id, batch)) => publisher.offer(*id, batch).await,
                    None => std::future::pending().await,
                }
            };
            let has_next = next.is_some();
            tokio::select! {
                changed = confirmed.changed() => {
                    changed.map_err(|_| OfferError::Ended)?;
                    let done = *confirmed.borrow_and_update();
                    while let Some(batch) = open.pop_front_if(|batch| Some(batch.id) <= done) {
                        self.confirm(batch)?;
                    }
                }
                over = publisher.opening_over(self.opening()), if offered => {
                    return Err(over.into());
                }
                refused = publisher.refused() => {
                    let refused = refused?;
                    if let Some(at) = open.iter().position(|batch| batch.id == refused.id)
                        && let Some(batch) = open.remove(at)
                    {
                        self.too_large(batch, &refused, &mut set_aside)?;
                    }
                    publisher.set_aside(refused.id).await?;
                }
                taken = offer => {
                    next = None;
                    match taken {
                        // What is offered is the batch that was taken last.
                        Err(OfferError::TooLarge { bytes, limit }) => {
                            if let Some(batch) = open.pop_back() {
                                let id = batch.id;
                                let refused = Refused { id, bytes, limit };
                                self.too_large(batch, &refused, &mut set_aside)?;
                            }
                        }
                        taken => {
                            taken?;
                            offered = true;
                        }
                    }
                }
                batch = self.next(), if !has_next => {
                    let Some(mut batch) = batch? else {
                        return Ok(());
                    };
                    let message = encode(&mut batch).ok_or_else(|| PublishError::UnknownSchema {
                        stream: batch.stream.clone(),
                        schema: batch.schema,
                    })?;
                    next = Some((batch.id, message));
                    open.push_back(batch);
                }
            }
        }
    }

    /// Several records come again in smaller batches. One that is too large alone is kept elsewhere.
    fn too_large(
        &mut self,
        batch: SpooledBatch,
        refused: &Refused,
        set_aside: &mut impl FnMut(&SpooledBatch, &Refused) -> io::Result<()>,
    ) -> Result<(), PublishError> {
        if batch.count() > 1 {
            self.split(batch, refused.limit);
            return Ok(());
        }
        self.limit(refused.limit);
        set_aside(&batch, refused).map_err(StorageError::from)?;
        Ok(self.confirm(batch)?)
    }
}
