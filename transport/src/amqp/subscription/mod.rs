//! Consuming: one task owns a link, hands batches out and settles them.

mod consumer;
mod outbox;
mod shared;
mod worker;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use telemetry_core::Batch;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Message;
use super::config::{AmqpConfig, ConfigError};
use super::link::LinkState;
use super::stats::SubscriptionStats;
use super::topology::{name, text};
use crate::receiver::{Name, ReceiverLimits};
pub use consumer::Consumer;
use shared::Shared;
use worker::{Ends, Worker};

/// Header of a dead letter: why.
pub(super) const REASON: &str = "xpt-reason";

/// Header of a dead letter: the queue it came from.
pub(super) const QUEUE: &str = "xpt-queue";

/// Header of a copy that was put back: failed deliveries before.
pub(super) const FAILURES: &str = "xpt-failures";

/// Bytes kept of the reason of a rejection.
const REASON_LEN_MAX: usize = 1024;

/// How batches are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeConfig {
    /// Names this worker; queues spread over workers by it. Default `worker`.
    pub worker: String,
    /// Batches that a queue hands out without an acknowledgement; default 64.
    pub prefetch: u16,
    /// Batches that are done before they are acknowledged together; default 32.
    pub ack_batches: usize,
    /// Longest time that a batch that is done waits for others; default 50 ms.
    pub ack_delay: Duration,
    /// Longest time in which messages wait in a queue and none is delivered, before the link is made
    /// anew; default 60 s.
    pub watchdog: Duration,
}

impl Default for SubscribeConfig {
    fn default() -> Self {
        Self {
            worker: "worker".to_owned(),
            prefetch: 64,
            ack_batches: 32,
            ack_delay: Duration::from_millis(50),
            watchdog: Duration::from_secs(60),
        }
    }
}

/// A batch, to be settled: acknowledged, put off or rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The batch.
    pub batch: Batch,
    /// It may have been delivered before.
    pub redelivered: bool,
    /// Failed deliveries before this one.
    pub failures: u32,
    /// As they came: what is put back or aside keeps them.
    properties: BasicProperties,
    queue: Arc<str>,
    link: u64,
    tag: u64,
    handed_out: Option<Instant>,
}

impl Delivery {
    const fn name(&self) -> Name {
        Name {
            session: self.link,
            tag: self.tag,
        }
    }
}

/// An answer that did not get there, or a subscription that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Start another.
    #[error("the subscription's task ended with its runtime; start another")]
    Ended,
    /// What was not answered comes again.
    #[error("the link broke before the broker had the answer; what it was for comes again")]
    LinkLost,
}

telemetry_core::error_codes!(ReceiveError {
    Ended => 3080,
    LinkLost => 3081,
});

/// Takes batches from all queues of a group.
///
/// A device's batches come in order, to one worker at a time. Everything comes at least once: what
/// was not acknowledged when a link broke comes again. [`Dedup`](crate::Dedup) makes it once.
#[derive(Debug)]
pub struct Subscription {
    deliveries: mpsc::Receiver<Delivery>,
    commands: mpsc::Sender<Command>,
    link: watch::Receiver<LinkState>,
    shared: Arc<Shared>,
    stats: watch::Receiver<SubscriptionStats>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Command {
    Retry {
        name: Name,
        after: Duration,
        held: Box<Held>,
    },
    Reject {
        name: Name,
        held: Box<Held>,
        done: Option<oneshot::Sender<()>>,
    },
    Flush(oneshot::Sender<()>),
    ConnectNow,
}

/// What is needed of a delivery for what takes its place.
#[derive(Debug)]
struct Held {
    properties: BasicProperties,
    body: Bytes,
    queue: Arc<str>,
    /// Failed deliveries before.
    failures: u32,
    /// Why it is rejected.
    reason: String,
}

impl Held {
    fn new(delivery: &Delivery, reason: &str) -> Box<Self> {
        Box::new(Self {
            properties: delivery.properties.clone(),
            body: delivery.batch.body.clone(),
            queue: Arc::clone(&delivery.queue),
            failures: delivery.failures,
            reason: reason.to_owned(),
        })
    }

    /// A message as it is put aside.
    fn letter(self, exchange: ShortString) -> Message {
        let mut headers = headers(&self.properties);
        let reason = &self.reason[..self.reason.floor_char_boundary(REASON_LEN_MAX)];
        headers.insert(REASON.into(), text(reason));
        headers.insert(QUEUE.into(), text(&self.queue));
        Message {
            exchange,
            routing_key: "".into(),
            properties: self.properties.with_headers(headers),
            body: self.body,
        }
    }

    /// A message as it is put back: to its queue alone, by the exchange that every broker has.
    fn copy(self) -> Message {
        let mut headers = headers(&self.properties);
        let failures = self.failures.saturating_add(1);
        headers.insert(FAILURES.into(), AMQPValue::LongLongInt(failures.into()));
        Message {
            exchange: "".into(),
            routing_key: name(&self.queue),
            properties: self.properties.with_headers(headers),
            body: self.body,
        }
    }
}

impl Subscription {
    /// Checks the configuration and starts the task on the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(config: AmqpConfig, subscribe: SubscribeConfig) -> Result<Self, ConfigError> {
        let checked = config.check()?;
        let room = usize::from(config.topology.queues) * usize::from(subscribe.prefetch.max(1));
        let (deliveries_tx, deliveries) = mpsc::channel(room.max(1));
        let (commands, inbox) = mpsc::channel(256);
        let (state, link) = watch::channel(LinkState::default());
        let limits = ReceiverLimits {
            link: config.limits,
            queues: config.topology.queues,
            prefetch: subscribe.prefetch,
            ack_batches: subscribe.ack_batches,
            ack_delay: subscribe.ack_delay,
            deliveries_max: config.topology.deliveries.into(),
            watchdog: subscribe.watchdog,
        };
        let shared = Arc::new(Shared::new(limits, RandomState::new().hash_one(0)));
        let (tell_stats, stats) = watch::channel(SubscriptionStats::default());
        let ends = Ends {
            shared: Arc::clone(&shared),
            deliveries: deliveries_tx,
            state,
            tell_stats,
        };
        let worker = Worker::new(config, checked, subscribe, ends);
        Ok(Self {
            deliveries,
            commands,
            link,
            shared,
            stats,
            task: tokio::spawn(worker.run(inbox)),
        })
    }

    /// The next batch. Cancel safe.
    pub async fn next(&mut self) -> Result<Delivery, ReceiveError> {
        loop {
            let mut delivery = self.deliveries.recv().await.ok_or(ReceiveError::Ended)?;
            // What an older link brought comes again on this one.
            if delivery.link == self.shared.session() {
                delivery.handed_out = Some(Instant::now());
                return Ok(delivery);
            }
        }
    }

    /// Takes a batch as done; call it when what was made of it is durable.
    ///
    /// Acknowledgements are sent together, within [`SubscribeConfig::ack_delay`].
    pub async fn ack(&self, delivery: &Delivery) -> Result<(), ReceiveError> {
        if self.task.is_finished() {
            return Err(ReceiveError::Ended);
        }
        let took = delivery.handed_out.map(|since| since.elapsed());
        self.shared.done(delivery.name(), took);
        Ok(())
    }

    /// Puts a batch back after a while: it comes again, and counts as a failed delivery. One that
    /// failed more than [`Topology::deliveries`](super::Topology::deliveries) times is put aside.
    ///
    /// A copy goes to the end of its queue, and the batch is acknowledged once the queue has that:
    /// RabbitMQ's own way back (`requeue`) silences a queue with a single active consumer when a
    /// worker of a higher priority comes (rabbitmq-server #14141). Keep `after` well below the
    /// broker's `consumer_timeout`, 30 minutes.
    pub async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), ReceiveError> {
        let (name, held) = (delivery.name(), Held::new(delivery, "delivery_limit"));
        self.command(Command::Retry { name, after, held }).await
    }

    /// Puts a batch aside with a reason, of which 1 KiB is kept.
    ///
    /// It leaves its queue once the dead letters have it for good.
    pub async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), ReceiveError> {
        self.put_aside(delivery, reason, None).await
    }

    /// As [`reject`](Self::reject), and returns when the dead letters have it for good.
    async fn reject_durably(&self, delivery: &Delivery, reason: &str) -> Result<(), ReceiveError> {
        let (done, answer) = oneshot::channel();
        self.put_aside(delivery, reason, Some(done)).await?;
        answer.await.map_err(|_| ReceiveError::LinkLost)
    }

    async fn put_aside(
        &self,
        delivery: &Delivery,
        reason: &str,
        done: Option<oneshot::Sender<()>>,
    ) -> Result<(), ReceiveError> {
        let (name, held) = (delivery.name(), Held::new(delivery, reason));
        self.command(Command::Reject { name, held, done }).await
    }

    /// Sends what is done, and returns when the broker has seen it.
    async fn flush(&self) -> Result<(), ReceiveError> {
        let (done, answer) = oneshot::channel();
        self.command(Command::Flush(done)).await?;
        answer.await.map_err(|_| ReceiveError::LinkLost)
    }

    /// The next batch, if it is there.
    fn next_now(&mut self) -> Option<Delivery> {
        loop {
            let mut delivery = self.deliveries.try_recv().ok()?;
            if delivery.link == self.shared.session() {
                delivery.handed_out = Some(Instant::now());
                return Some(delivery);
            }
        }
    }

    /// What the link does.
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.link.clone()
    }

    /// Counts since the start.
    pub fn stats(&self) -> SubscriptionStats {
        *self.stats.borrow()
    }

    /// A way to the counts that outlives the subscription, e.g. for metrics.
    pub fn watch_stats(&self) -> watch::Receiver<SubscriptionStats> {
        self.stats.clone()
    }

    /// Connects without waiting for the delay in force, e.g. because what [`LinkState::Alarm`] told
    /// of is corrected.
    pub async fn connect_now(&self) -> Result<(), ReceiveError> {
        self.command(Command::ConnectNow).await
    }

    async fn command(&self, command: Command) -> Result<(), ReceiveError> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| ReceiveError::Ended)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Headers as they came, without what the broker noted on the way.
fn headers(properties: &BasicProperties) -> FieldTable {
    let mut headers = FieldTable::default();
    for (name, value) in properties.headers().iter().flatten() {
        if !name.as_str().starts_with("x-") {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers
}

/// FNV-1a: the same in every release.
fn hash(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
