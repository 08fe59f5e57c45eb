//! A sender together with what it sends.

use alloc::collections::BTreeMap;

use telemetry_core::{Epoch, Instant};

use super::{SendError, Sender, SenderError, SenderInput, SenderLimits, SenderOutput};
use crate::BatchId;

/// The next thing that a link has to do.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "amqp"),
    expect(dead_code, reason = "who is handed a link does less for it")
)]
pub(crate) enum Task<'a, T> {
    /// Open a link.
    Connect,
    /// Drop the link.
    Disconnect(SendError),
    /// Declare queues and bindings again, before what is published next.
    RepairTopology,
    /// Publish a batch.
    Publish {
        id: BatchId,
        attempt: u32,
        batch: &'a mut T,
    },
    /// The receiver never takes the batch: it waits to be set aside.
    Refused { id: BatchId, batch: &'a T },
    /// The batch and all offered before it are confirmed: nobody needs it any more.
    Done { id: BatchId, batch: T },
}

/// A [`Sender`] that keeps what it is offered until that is done: the loop of everybody who has
/// batches and a link.
#[derive(Debug)]
pub(crate) struct Outgoing<T> {
    sender: Sender,
    /// By opening and number. The sender has batches of one opening at a time, so they are in order.
    batches: BTreeMap<(Epoch, u64), T>,
}

impl<T> Outgoing<T> {
    pub(crate) fn new(limits: SenderLimits, seed: u64) -> Self {
        Self {
            sender: Sender::new(limits, seed),
            batches: BTreeMap::new(),
        }
    }

    /// As [`Sender::has_room`].
    pub(crate) fn has_room(&self, opening: Epoch, bytes: usize) -> bool {
        self.sender.has_room(opening, bytes)
    }

    /// As [`Sender::poll_timeout`].
    #[cfg(feature = "amqp")]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.sender.poll_timeout()
    }

    /// Takes a batch of so many bytes on the link.
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        id: BatchId,
        bytes: usize,
        batch: T,
    ) -> Result<(), SenderError> {
        let input = SenderInput::Offer { id, bytes };
        self.sender.handle_input(now, input)?;
        self.batches.insert(key(id), batch);
        Ok(())
    }

    /// As [`Sender::handle_input`]; batches come by [`offer`](Self::offer).
    pub(crate) fn handle_input(
        &mut self,
        now: Instant,
        input: SenderInput,
    ) -> Result<(), SenderError> {
        assert!(
            !matches!(input, SenderInput::Offer { .. }),
            "a batch is offered with its content"
        );
        self.sender.handle_input(now, input)
    }

    /// The next thing to do.
    #[expect(clippy::expect_used, reason = "the texts are the proof")]
    pub(crate) fn poll(&mut self) -> Option<Task<'_, T>> {
        const KEPT: &str = "a batch is kept from its offer until it is done";
        Some(match self.sender.poll_output()? {
            SenderOutput::Connect => Task::Connect,
            SenderOutput::Disconnect(error) => Task::Disconnect(error),
            SenderOutput::RepairTopology => Task::RepairTopology,
            SenderOutput::Publish { id, attempt } => Task::Publish {
                id,
                attempt,
                batch: self.batches.get_mut(&key(id)).expect(KEPT),
            },
            SenderOutput::Refused { id } => Task::Refused {
                id,
                batch: self.batches.get(&key(id)).expect(KEPT),
            },
            SenderOutput::Done { id } => Task::Done {
                id,
                batch: self.batches.remove(&key(id)).expect(KEPT),
            },
        })
    }

    /// A batch that is not done.
    #[cfg(feature = "amqp")]
    pub(crate) fn get(&self, id: BatchId) -> Option<&T> {
        self.batches.get(&key(id))
    }

    /// What is not done, in the order of the names.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (BatchId, &T)> {
        let id = |&(opening, number)| BatchId::new(opening, number);
        self.batches
            .iter()
            .map(move |(key, batch)| (id(key), batch))
    }
}

const fn key(id: BatchId) -> (Epoch, u64) {
    (id.opening, id.number)
}
