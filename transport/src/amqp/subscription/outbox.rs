//! Messages that a delivery becomes before it is acknowledged: a dead letter, or a copy of itself.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use telemetry_core::Epoch;
use tokio::sync::{oneshot, watch};

use crate::BatchId;
use crate::amqp::Message;
use crate::amqp::config::AmqpConfig;
use crate::amqp::link::LinkState;
use crate::amqp::publisher::{OfferError, Publisher, maybe};

/// Publishes messages, and says which deliveries they have taken the place of.
///
/// Its publisher has a connection of its own, made when there is the first message.
pub(super) struct Outbox {
    config: Arc<AmqpConfig>,
    publisher: Option<(Publisher, watch::Receiver<LinkState>)>,
    /// To be published, each with the delivery that it settles.
    waiting: VecDeque<(u64, Box<Message>)>,
    /// Who is told that a delivery's message is there.
    told: HashMap<u64, oneshot::Sender<()>>,
    /// On their way, in the order of their names.
    sent: VecDeque<(BatchId, u64)>,
    last: u64,
    /// Refusals when the broker took a message last.
    refused: u64,
}

impl Outbox {
    pub(super) fn new(config: Arc<AmqpConfig>) -> Self {
        Self {
            config,
            publisher: None,
            waiting: VecDeque::new(),
            told: HashMap::new(),
            sent: VecDeque::new(),
            last: 0,
            refused: 0,
        }
    }

    pub(super) fn push(&mut self, tag: u64, message: Box<Message>) {
        self.waiting.push_back((tag, message));
    }

    /// Tells somebody when a delivery's message is there, or that it is not known to be.
    pub(super) fn tell(&mut self, tag: u64, done: oneshot::Sender<()>) {
        self.told.insert(tag, done);
    }

    /// Publishes what there is room for, and returns the deliveries whose messages the broker has
    /// for good.
    pub(super) fn publish(&mut self) -> Vec<u64> {
        if !self.waiting.is_empty() && self.publisher.is_none() {
            // It was checked at the start.
            let publisher = Publisher::start((*self.config).clone()).ok();
            self.publisher = publisher.map(|publisher| {
                let link = publisher.link();
                (publisher, link)
            });
        }
        let Some((publisher, _)) = &self.publisher else {
            return Vec::new();
        };
        while let Some((tag, message)) = self.waiting.pop_front() {
            // No spool hands them out, and the publisher is this task's own.
            let id = BatchId::new(Epoch::default(), self.last + 1);
            match publisher.try_offer_message(id, message) {
                Ok(()) => {
                    self.last = id.number;
                    self.sent.push_back((id, tag));
                }
                Err((OfferError::Full, message)) => {
                    self.waiting.push_front((tag, message));
                    break;
                }
                // With the runtime: nothing goes on.
                Err(_) => break,
            }
        }
        let confirmed = *publisher.confirmed().borrow();
        let done = |(id, _): &mut (BatchId, u64)| Some(*id) <= confirmed;
        let done: Vec<_> = std::iter::from_fn(|| self.sent.pop_front_if(done))
            .map(|(_, tag)| tag)
            .collect();
        for told in done.iter().filter_map(|tag| self.told.remove(tag)) {
            // Nobody waits any more.
            let _ = told.send(());
        }
        if !done.is_empty() {
            self.refused = publisher.stats().refused;
        }
        done
    }

    /// Resolves when there may be something to do.
    pub(super) async fn news(&mut self) {
        let oldest = self.sent.front().map(|(id, _)| *id);
        let waits = !self.waiting.is_empty();
        let is_refused = self.is_refused();
        let refused = self.refused;
        let Some((publisher, link)) = &mut self.publisher else {
            return std::future::pending().await;
        };
        let mut stats = publisher.watch_stats();
        let refusal = (oldest.is_some() && !is_refused)
            .then(|| stats.wait_for(move |stats| stats.refused > refused));
        let confirmed = oldest.map(|id| publisher.wait_confirmed(id));
        let room = waits.then(|| publisher.room());
        tokio::select! {
            _ = maybe(confirmed) => {}
            () = maybe(room) => {}
            _ = link.changed() => {}
            _ = maybe(refusal) => {}
        }
    }

    /// What a person has to look at before its messages can be published.
    pub(super) fn alarm(&self) -> Option<LinkState> {
        let (_, link) = self.publisher.as_ref()?;
        let state = link.borrow().clone();
        matches!(state, LinkState::Alarm { .. }).then_some(state)
    }

    /// Whether the broker has refused messages since it took one last, e.g. because their queue is
    /// full.
    pub(super) fn is_refused(&self) -> bool {
        let stats = self
            .publisher
            .as_ref()
            .map(|(publisher, _)| publisher.stats());
        let refused = stats.map_or(0, |stats| stats.refused);
        !self.sent.is_empty() && refused > self.refused
    }

    /// Forgets the deliveries: they come again. Messages that are on their way come twice.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.sent.clear();
        self.told.clear();
    }
}
