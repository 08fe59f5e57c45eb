//! Exchanges and queues, as one table, and how they are declared.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
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

/// What travels through an exchange of its own, to queues of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flow {
    /// Batches as devices sent them.
    #[default]
    Raw,
    /// Batches that a stage has checked and enriched.
    Enriched,
    /// Changes of state that incidents are made of.
    Events,
    /// What wearers are told, and whether they were.
    Feedback,
    /// Births and last wills of devices.
    Status,
}

/// What the broker has for a flow.
struct Row {
    /// Second part of the names.
    name: &'static str,
    /// Devices publish it by MQTT, too: `amq.topic` is bound to it.
    mqtt: bool,
    /// Queues by default.
    queues: u16,
}

impl Flow {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Raw,
        Self::Enriched,
        Self::Events,
        Self::Feedback,
        Self::Status,
    ];

    /// The whole topology, one row a flow. What comes from many devices at once has several queues.
    const fn row(self) -> Row {
        let (name, mqtt, queues) = match self {
            Self::Raw => ("raw", true, 4),
            Self::Enriched => ("enriched", false, 4),
            Self::Events => ("events", false, 1),
            Self::Feedback => ("feedback", false, 1),
            Self::Status => ("status", true, 1),
        };
        Row { name, mqtt, queues }
    }

    /// Its name, as it stands in the names of exchanges, queues and routing keys.
    pub const fn name(self) -> &'static str {
        self.row().name
    }
}

/// Exchanges and queues of one flow, and the dead letters of the family.
///
/// ```text
/// <family>.<flow> (topic) ─┬─▶ <family>.<flow>.hash (by device) ─▶ <family>.<flow>.0 … N−1
/// amq.topic (MQTT) ────────┘
///                          └─▶ <family>.<flow>.<group>.hash ─▶ <family>.<flow>.<group>.0 … N−1
/// refused, or delivered too often ─▶ <family>.dlx ─▶ <family>.dlq
/// ```
///
/// Who publishes or consumes declares the flow that it uses. [`declare`](super::declare) declares
/// all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// First part of all names; default `telemetry`.
    pub family: String,
    /// What is published or consumed; default [`Flow::Raw`].
    pub flow: Flow,
    /// A group of consumers of its own: it sees every batch, too. Default: the first group.
    pub group: Option<String>,
    /// Queues of a group; a device's batches are all in one. Default 4, and 1 of events, feedback
    /// and status.
    ///
    /// Publishers and subscriptions of a group have to agree: who consumes from 4 of 8 queues leaves
    /// half of all devices unheard. The broker keeps the number, and whoever comes with another one
    /// gets [`SendError::TopologyMismatch`](crate::SendError::TopologyMismatch). To change it, stop all
    /// of them, let the queues run empty, and delete those and the exchange `<family>.<flow>.queues`.
    pub queues: u16,
    /// Default quorum.
    pub queue_type: QueueType,
    /// Replicas of a quorum queue where the cluster has as many nodes; default 3.
    pub replicas: u16,
    /// Failed deliveries before a batch is put aside; default 10.
    pub deliveries: u16,
    /// Bytes of a queue before it refuses batches; default 1 GiB.
    pub queue_bytes: u64,
    /// Bytes of the queue of dead letters before it refuses them; default 1 GiB. Then what should be
    /// put aside stays where it is, and subscriptions raise an alarm.
    pub dead_letter_bytes: u64,
}

impl Default for Topology {
    fn default() -> Self {
        Self::of(Flow::default())
    }
}

impl Topology {
    /// A flow with everything else at its default.
    pub fn of(flow: Flow) -> Self {
        Self {
            family: "telemetry".to_owned(),
            flow,
            group: None,
            queues: flow.row().queues,
            queue_type: QueueType::default(),
            replicas: 3,
            deliveries: 10,
            queue_bytes: 1 << 30,
            dead_letter_bytes: 1 << 30,
        }
    }

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
        range(
            "dead_letter_bytes",
            self.dead_letter_bytes,
            1,
            i64::MAX as u64,
        )?;
        let longest = [self.number_of_queues(), self.dead_letter_exchange()];
        match longest.iter().all(|name| short(name).is_some()) {
            true => Ok(()),
            false => Err(ConfigError::TooLong {
                field: "family or group",
            }),
        }
    }

    /// Exchange that publishers know.
    pub fn exchange(&self) -> String {
        self.exchange_of(self.flow)
    }

    fn exchange_of(&self, flow: Flow) -> String {
        format!("{}.{}", self.family, flow.name())
    }

    /// Exchange of the flow that a queue of this family is of.
    pub(super) fn exchange_behind(&self, queue: &str) -> Option<String> {
        let exchanges = Flow::ALL.map(|flow| self.exchange_of(flow));
        let is_of = |exchange: &String| {
            let rest = queue.strip_prefix(exchange.as_str());
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        exchanges.into_iter().find(is_of)
    }

    /// Another flow of the same family, in the first group, with its number of queues by default.
    pub fn of_flow(&self, flow: Flow) -> Self {
        match flow == self.flow {
            true => self.clone(),
            false => Self {
                flow,
                queues: flow.row().queues,
                group: None,
                ..self.clone()
            },
        }
    }

    fn group_prefix(&self) -> String {
        match &self.group {
            Some(group) => format!("{}.{group}", self.exchange()),
            None => self.exchange(),
        }
    }

    /// Keeps the number of queues, and has no other use.
    fn number_exchange(&self) -> String {
        format!("{}.queues", self.group_prefix())
    }

    fn hash_exchange(&self) -> String {
        format!("{}.hash", self.group_prefix())
    }

    fn number_of_queues(&self) -> String {
        format!("{}.{}", self.number_exchange(), self.queues)
    }

    /// Name of a queue of the group.
    pub fn queue(&self, index: u16) -> String {
        format!("{}.{index}", self.group_prefix())
    }

    /// Exchange that takes what is refused.
    pub fn dead_letter_exchange(&self) -> String {
        format!("{}.dlx", self.family)
    }

    /// Queue that keeps what is refused.
    pub fn dead_letter_queue(&self) -> String {
        format!("{}.dlq", self.family)
    }

    /// Declares everything; what exists with the same properties stays as it is.
    ///
    /// It takes three round trips, however many queues there are: over a satellite each one costs a
    /// second.
    pub(super) async fn declare(&self, connection: &Connection) -> lapin::Result<()> {
        declare_all(std::slice::from_ref(self), connection).await
    }

    /// Whether the queues were declared before, as far as the last one tells.
    async fn is_there(&self, probe: &Channel) -> lapin::Result<bool> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let last = name(&self.queue(self.queues - 1));
        let found = probe.queue_declare(last, options, FieldTable::default());
        match found.await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All declarations, in the order in which the broker has to get them.
    fn calls<'a>(&self, channel: &'a Channel) -> Vec<Call<'a, ()>> {
        let main = name(&self.exchange());
        let hash = name(&self.hash_exchange());
        let dlx = name(&self.dead_letter_exchange());
        let dlq = name(&self.dead_letter_queue());
        let by_device = table([("hash-header", text("xpt-device"))]);
        let none = FieldTable::default;
        // Looking at dead letters, however often, must not lose them.
        let arguments = table([
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", AMQPValue::LongInt(-1)),
            ("x-overflow", text("reject-publish")),
            ("x-max-length-bytes", bytes(self.dead_letter_bytes)),
        ]);
        let consistent = ExchangeKind::Custom("x-consistent-hash".to_owned());
        // An alternate exchange is what a broker compares when an exchange is declared again.
        let number = table([("alternate-exchange", text(&self.number_of_queues()))]);
        let mut calls = vec![
            exchange(
                channel,
                &name(&self.number_exchange()),
                ExchangeKind::Fanout,
                number,
            ),
            exchange(channel, &dlx, ExchangeKind::Fanout, none()),
            queue(channel, &dlq, arguments),
            bind_queue(channel, &dlq, &dlx, ""),
            exchange(channel, &main, ExchangeKind::Topic, none()),
        ];
        let Row {
            name: flow, mqtt, ..
        } = self.flow.row();
        if mqtt {
            let key = format!("xpt.{flow}.#");
            calls.push(bind(channel, &main, "amq.topic".into(), &key));
        }
        calls.push(exchange(channel, &hash, consistent, by_device));
        calls.push(bind(channel, &hash, main, "#"));
        for index in 0..self.queues {
            let name = name(&self.queue(index));
            calls.push(queue(channel, &name, self.arguments(&dlx)));
            // The key is a weight: each takes as much as another.
            calls.push(bind_queue(channel, &name, &hash, "1"));
        }
        calls
    }

    fn arguments(&self, dlx: &ShortString) -> FieldTable {
        let mut arguments = table([
            ("x-queue-type", text(&self.queue_type.to_string())),
            ("x-dead-letter-exchange", text(dlx.as_str())),
            ("x-overflow", text("reject-publish")),
            ("x-max-length-bytes", bytes(self.queue_bytes)),
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

/// Declares several flows, and returns when the broker keeps all of them.
pub(super) async fn declare_all(
    topologies: &[Topology],
    connection: &Connection,
) -> lapin::Result<()> {
    let mut are_known = true;
    // Closed in the end, together with what the caller says next: a close alone is a turn of the link.
    let mut channels = Vec::new();
    for topology in topologies {
        // On channels of their own: a refusal closes the channel.
        let (probe, channel) =
            tokio::join!(connection.create_channel(), connection.create_channel());
        let (probe, channel) = (probe?, channel?);
        are_known &= topology.is_there(&probe).await?;
        pipelined(topology.calls(&channel)).await?;
        channels.push((probe, channel));
    }
    if !are_known {
        tokio::time::sleep(UNTIL_KEPT).await;
    }
    drop(channels);
    Ok(())
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

fn bytes(bytes: u64) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}

/// Something that the broker is asked for, not sent yet.
pub(super) type Call<'a, T> = Pin<Box<dyn Future<Output = lapin::Result<T>> + Send + 'a>>;

/// Calls that wait for their answers at the same time: each answer looks at all of them.
const TOGETHER: usize = 256;

/// Sends all calls of a channel, in order, before it waits for the first answer.
///
/// The broker answers a channel's calls in their order. One that it refuses closes the channel, and
/// so all others fail, too: the refusal itself is what counts.
pub(super) async fn pipelined<T>(mut calls: Vec<Call<'_, T>>) -> lapin::Result<Vec<T>> {
    let mut values = Vec::with_capacity(calls.len());
    while !calls.is_empty() {
        let rest = calls.split_off(calls.len().min(TOGETHER));
        let mut together: Vec<_> = calls.into_iter().map(|call| (call, None)).collect();
        poll_fn(|cx| {
            let mut waits = false;
            for (call, answer) in together.iter_mut().filter(|(_, answer)| answer.is_none()) {
                match call.as_mut().poll(cx) {
                    Poll::Ready(value) => *answer = Some(value),
                    Poll::Pending => waits = true,
                }
            }
            match waits {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
        let mut failure = None;
        for answer in together.into_iter().filter_map(|(_, answer)| answer) {
            match answer {
                Ok(value) => values.push(value),
                Err(error) => {
                    let is_refusal = matches!(error.kind(), ErrorKind::ProtocolError(_));
                    if failure.is_none() || is_refusal {
                        failure = Some(error);
                    }
                }
            }
        }
        failure.map_or(Ok(()), Err)?;
        calls = rest;
    }
    Ok(values)
}

fn exchange<'a>(
    channel: &'a Channel,
    name: &ShortString,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> Call<'a, ()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let name = name.clone();
    Box::pin(channel.exchange_declare(name, kind, options, arguments))
}

fn queue<'a>(channel: &'a Channel, name: &ShortString, arguments: FieldTable) -> Call<'a, ()> {
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let name = name.clone();
    Box::pin(async move {
        let declared = channel.queue_declare(name, options, arguments);
        declared.await.map(drop)
    })
}

fn bind<'a>(channel: &'a Channel, to: &ShortString, from: ShortString, key: &str) -> Call<'a, ()> {
    let (options, arguments) = (ExchangeBindOptions::default(), FieldTable::default());
    Box::pin(channel.exchange_bind(to.clone(), from, key.into(), options, arguments))
}

fn bind_queue<'a>(
    channel: &'a Channel,
    queue: &ShortString,
    exchange: &ShortString,
    key: &str,
) -> Call<'a, ()> {
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    let (queue, exchange) = (queue.clone(), exchange.clone());
    Box::pin(channel.queue_bind(queue, exchange, key.into(), options, arguments))
}
