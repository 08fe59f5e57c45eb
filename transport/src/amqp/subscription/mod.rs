//! Consuming: one task owns a link, hands batches out and settles them.

mod worker;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lapin::BasicProperties;
use telemetry_core::Batch;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::acks::SharedAcks;
use super::config::{AmqpConfig, ConfigError};
use super::link::LinkState;
use super::stats::SubscriptionStats;
use super::topology::text;
use super::{Message, properties};
use worker::{Ends, Worker};

/// Header of a dead letter: why.
pub(super) const REASON: &str = "xpt-reason";

/// Header of a dead letter: the queue it came from.
pub(super) const QUEUE: &str = "xpt-queue";

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
}

impl Default for SubscribeConfig {
    fn default() -> Self {
        Self {
            worker: "worker".to_owned(),
            prefetch: 64,
            ack_batches: 32,
            ack_delay: Duration::from_millis(50),
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
    queue: Arc<str>,
    link: u64,
    tag: u64,
    handed_out: Option<Instant>,
}

#[cfg(feature = "test-util")]
impl Delivery {
    /// A delivery that belongs to no broker, for the tests of a service.
    pub fn for_test(batch: Batch, redelivered: bool, failures: u32) -> Self {
        Self {
            batch,
            redelivered,
            failures,
            queue: "".into(),
            link: 0,
            tag: 0,
            handed_out: None,
        }
    }
}

/// A subscription that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Start another.
    #[error("the subscription's task ended with its runtime; start another")]
    Ended,
}

telemetry_core::error_codes!(ReceiveError {
    Ended => 3080,
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
    acks: Arc<SharedAcks>,
    ack_batches: usize,
    stats: watch::Receiver<SubscriptionStats>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Command {
    Retry {
        link: u64,
        tag: u64,
        at: Instant,
    },
    Reject {
        link: u64,
        tag: u64,
        letter: Box<Message>,
    },
    ConnectNow,
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
        let acks = Arc::new(SharedAcks::default());
        let ack_batches = subscribe.ack_batches;
        let (tell_stats, stats) = watch::channel(SubscriptionStats::default());
        let ends = Ends {
            acks: Arc::clone(&acks),
            deliveries: deliveries_tx,
            state,
            tell_stats,
        };
        let worker = Worker::new(config, checked, subscribe, ends);
        Ok(Self {
            deliveries,
            commands,
            link,
            acks,
            ack_batches,
            stats,
            task: tokio::spawn(worker.run(inbox)),
        })
    }

    /// The next batch. Cancel safe.
    pub async fn next(&mut self) -> Result<Delivery, ReceiveError> {
        loop {
            let mut delivery = self.deliveries.recv().await.ok_or(ReceiveError::Ended)?;
            // What an older link brought comes again on this one.
            if delivery.link == self.acks.lock().link {
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
        let Delivery { link, tag, .. } = *delivery;
        let took = delivery.handed_out.map(|since| since.elapsed());
        self.acks.done(link, tag, took, self.ack_batches);
        Ok(())
    }

    /// Puts a batch back after a while: it comes again, and counts as a failed delivery.
    ///
    /// Keep `after` well below the broker's `consumer_timeout`, 30 minutes.
    pub async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), ReceiveError> {
        let Delivery { link, tag, .. } = *delivery;
        let at = Instant::now() + after;
        self.command(Command::Retry { link, tag, at }).await
    }

    /// Puts a batch aside with a reason, of which 1 KiB is kept.
    ///
    /// It leaves its queue once the dead letters have it for good.
    pub async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), ReceiveError> {
        let Delivery { link, tag, .. } = *delivery;
        let properties = properties::from_envelope(&delivery.batch.envelope).unwrap_or_default();
        let body = delivery.batch.body.clone();
        let letter = letter(properties, body, &delivery.queue, reason);
        self.command(Command::Reject { link, tag, letter }).await
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

/// A message as it is put aside; the exchange is filled in by the task.
fn letter(properties: BasicProperties, body: Bytes, queue: &str, reason: &str) -> Box<Message> {
    let mut headers = properties.headers().clone().unwrap_or_default();
    let reason = &reason[..reason.floor_char_boundary(REASON_LEN_MAX)];
    headers.insert(REASON.into(), text(reason));
    headers.insert(QUEUE.into(), text(queue));
    Box::new(Message {
        exchange: "".into(),
        routing_key: "".into(),
        properties: properties.with_headers(headers),
        body,
    })
}

/// FNV-1a: the same in every release.
pub(super) fn hash(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
