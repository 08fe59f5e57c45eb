//! Exchanges and queues of one family, and how they are declared.

use std::fmt;
use std::time::Duration;

use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use super::config::{ConfigError, short};

/// Time that RabbitMQ takes to have the existence of a new quorum queue on its disk.
///
/// It answers a declaration before; killed until then, it starts such a queue anew, without what
/// it confirmed (seen on 4.0.5, whose directory of queues is saved after half a second).
const UNTIL_KEPT: Duration = Duration::from_secs(1);

/// How a queue keeps its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueType {
    /// Replicated by Raft, on disk before it confirms.
    #[default]
    Quorum,
    /// On RabbitMQ 4 it confirms before its disk has a message.
    Classic,
}

impl fmt::Display for QueueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        })
    }
}

/// Exchanges and queues.
///
/// ```text
/// <exchange> (topic) ─┬─▶ <exchange>.hash (by device) ─▶ <exchange>.0 … N−1
/// amq.topic (MQTT) ───┘
///                     └─▶ <exchange>.<group>.hash ─▶ <exchange>.<group>.0 … N−1
/// refused, or delivered too often ─▶ <dead_letters>.dlx ─▶ <dead_letters>.dlq
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Exchange that publishers know; default `telemetry.raw`.
    pub exchange: String,
    /// A group of consumers of its own: it sees every batch, too. Default: the first group.
    pub group: Option<String>,
    /// Queues of a group; a device's batches are all in one. Default 4.
    pub queues: u16,
    /// Default quorum.
    pub queue_type: QueueType,
    /// Replicas of a quorum queue where the cluster has as many nodes; default 3.
    pub replicas: u16,
    /// Failed deliveries before a batch is put aside; default 10.
    pub deliveries: u16,
    /// Bytes of a queue before it refuses batches; default 1 GiB.
    pub queue_bytes: u64,
    /// Prefix of exchange and queue of dead letters; default `telemetry`.
    pub dead_letters: String,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            exchange: "telemetry.raw".to_owned(),
            group: None,
            queues: 4,
            queue_type: QueueType::default(),
            replicas: 3,
            deliveries: 10,
            queue_bytes: 1 << 30,
            dead_letters: "telemetry".to_owned(),
        }
    }
}

impl Topology {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let range = |field, value: u64, min, max| match (min..=max).contains(&value) {
            true => Ok(()),
            false => Err(ConfigError::Range {
                field,
                value,
                min,
                max,
            }),
        };
        range("queues", self.queues.into(), 1, 1_024)?;
        range("replicas", self.replicas.into(), 1, 99)?;
        range("deliveries", self.deliveries.into(), 1, 65_535)?;
        range("queue_bytes", self.queue_bytes, 1, i64::MAX as u64)?;
        let longest = [self.queue(u16::MAX), self.dead_letter_exchange()];
        match longest.iter().all(|name| short(name).is_some()) {
            true => Ok(()),
            false => Err(ConfigError::TooLong {
                field: "exchange, group or dead_letters",
            }),
        }
    }

    fn group_prefix(&self) -> String {
        match &self.group {
            Some(group) => format!("{}.{group}", self.exchange),
            None => self.exchange.clone(),
        }
    }

    fn hash_exchange(&self) -> String {
        format!("{}.hash", self.group_prefix())
    }

    /// Name of a queue of the group.
    pub fn queue(&self, index: u16) -> String {
        format!("{}.{index}", self.group_prefix())
    }

    /// Exchange that takes what is refused.
    pub fn dead_letter_exchange(&self) -> String {
        format!("{}.dlx", self.dead_letters)
    }

    /// Queue that keeps what is refused.
    pub fn dead_letter_queue(&self) -> String {
        format!("{}.dlq", self.dead_letters)
    }

    /// Declares everything; what exists with the same properties stays as it is.
    pub(super) async fn declare(&self, connection: &Connection) -> lapin::Result<()> {
        // On channels of their own: a refusal closes the channel.
        let known = self.is_there(&connection.create_channel().await?).await?;
        let channel = connection.create_channel().await?;
        self.declare_on(&channel).await?;
        if !known {
            tokio::time::sleep(UNTIL_KEPT).await;
        }
        channel.close(200, "declared".into()).await
    }

    /// Whether the queues were declared before, as far as the last one tells.
    async fn is_there(&self, channel: &Channel) -> lapin::Result<bool> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let last = name(&self.queue(self.queues - 1));
        let found = channel.queue_declare(last, options, FieldTable::default());
        match found.await {
            Ok(_) => channel.close(200, "found".into()).await.map(|()| true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn declare_on(&self, channel: &Channel) -> lapin::Result<()> {
        let raw = name(&self.exchange);
        let hash = name(&self.hash_exchange());
        let dlx = name(&self.dead_letter_exchange());
        let dlq = name(&self.dead_letter_queue());
        let by_device = table([("hash-header", text("xpt-device"))]);
        let none = FieldTable::default;
        exchange(channel, &dlx, ExchangeKind::Fanout, none()).await?;
        // Looking at dead letters, however often, must not lose them.
        let arguments = table([
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", AMQPValue::LongInt(-1)),
        ]);
        queue(channel, &dlq, arguments).await?;
        bind_queue(channel, &dlq, &dlx, "").await?;
        exchange(channel, &raw, ExchangeKind::Topic, none()).await?;
        bind(channel, &raw, "amq.topic".into(), "xpt.raw.#").await?;
        let consistent = ExchangeKind::Custom("x-consistent-hash".to_owned());
        exchange(channel, &hash, consistent, by_device).await?;
        bind(channel, &hash, raw, "#").await?;
        for index in 0..self.queues {
            let name = name(&self.queue(index));
            queue(channel, &name, self.arguments(&dlx)).await?;
            // The key is a weight: each takes as much as another.
            bind_queue(channel, &name, &hash, "1").await?;
        }
        Ok(())
    }

    fn arguments(&self, dlx: &ShortString) -> FieldTable {
        let bytes = i64::try_from(self.queue_bytes).unwrap_or(i64::MAX);
        let mut arguments = table([
            ("x-queue-type", text(&self.queue_type.to_string())),
            ("x-dead-letter-exchange", text(dlx.as_str())),
            ("x-overflow", text("reject-publish")),
            ("x-max-length-bytes", AMQPValue::LongLongInt(bytes)),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ]);
        if self.queue_type == QueueType::Quorum {
            let deliveries = AMQPValue::LongInt(self.deliveries.into());
            arguments.insert("x-delivery-limit".into(), deliveries);
            arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
            let replicas = AMQPValue::LongInt(self.replicas.into());
            arguments.insert("x-quorum-initial-group-size".into(), replicas);
        }
        arguments
    }
}

fn is_missing(error: &lapin::Error) -> bool {
    let missing = AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND);
    matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() == missing)
}

/// A name that `check` found short enough.
pub(super) fn name(text: &str) -> ShortString {
    short(text).unwrap_or_default()
}

pub(super) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}

async fn exchange(
    channel: &Channel,
    name: &ShortString,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let name = name.clone();
    channel
        .exchange_declare(name, kind, options, arguments)
        .await
}

async fn queue(channel: &Channel, name: &ShortString, arguments: FieldTable) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(name.clone(), options, arguments)
        .await?;
    Ok(())
}

async fn bind(
    channel: &Channel,
    to: &ShortString,
    from: ShortString,
    key: &str,
) -> lapin::Result<()> {
    let (options, arguments) = (ExchangeBindOptions::default(), FieldTable::default());
    channel
        .exchange_bind(to.clone(), from, key.into(), options, arguments)
        .await
}

async fn bind_queue(
    channel: &Channel,
    queue: &ShortString,
    exchange: &ShortString,
    key: &str,
) -> lapin::Result<()> {
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel
        .queue_bind(
            queue.clone(),
            exchange.clone(),
            key.into(),
            options,
            arguments,
        )
        .await
}
