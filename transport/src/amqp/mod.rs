//! RabbitMQ by AMQP 0-9-1, over lapin.
//!
//! # Ideas
//! [`Publisher`] is a task that owns one connection and one channel and does what a
//! [`Sender`](crate::Sender) decides: publishes persistent, mandatory messages, connects again
//! after a failure, publishes again what is not confirmed, declares a topology that is gone. Keep
//! a batch until its name is [`confirmed`](Publisher::confirmed).
//!
//! [`Subscription`] takes batches from all queues of a group: acknowledgements are sent together, a
//! batch is put off ([`retry`](Subscription::retry)) or put aside with a reason
//! ([`reject`](Subscription::reject)). [`Consumer`] is the same behind [`Deliveries`](crate::Deliveries), for
//! services that run behind any log or broker. [`DeadLetters`] looks at what was put aside, and publishes it
//! again. Publishing and consuming never share a connection: a broker that is short of memory or
//! disk holds back publishers alone.
//!
//! ```no_run
//! use telemetry_transport::BatchId;
//! use telemetry_transport::amqp::{AmqpConfig, Publisher, SubscribeConfig, Subscription};
//! # use telemetry_transport::telemetry_core::{Batch, Epoch};
//! # async fn example(batch: Batch, opening: Epoch) -> Result<(), Box<dyn std::error::Error>> {
//! let config = AmqpConfig::new(["amqp://guest:guest@127.0.0.1/%2f"]);
//! let publisher = Publisher::start(config.clone())?;
//! let id = BatchId::new(opening, 1); // `SpooledBatch::id` of a batch from a spool
//! publisher.offer(id, &batch).await?; // waits while the window is full
//! publisher.wait_confirmed(id).await?; // only now may the spool forget it
//!
//! let mut subscription = Subscription::start(config, SubscribeConfig::default())?;
//! let delivery = subscription.next().await?;
//! // Make it durable downstream, then:
//! subscription.ack(&delivery).await?;
//! # Ok(()) }
//! ```
//!
//! # What is refused
//! The queues are quorum queues, which have a batch on disk before they confirm it; a type that
//! does not is refused unless [`AmqpConfig::allow_loss`] says otherwise, and unencrypted links to
//! another machine unless [`AmqpConfig::allow_plain`] does.
//!
//! # What never ends a link for good
//! A device has nobody who could start it again. Wrong credentials, a certificate that is not
//! accepted, a limit of connections, a queue of another kind: each is an alarm with the broker's own
//! words ([`LinkState::Alarm`]), and attempts go on after delays of minutes. Who has corrected it and
//! does not want to wait calls [`Publisher::connect_now`].
//!
//! # Tests
//! The package `scripted-broker` is a broker on loopback that fails when a script says so: a service is
//! tested with this adapter as it is, and without RabbitMQ.
//!
//! # Logs
//! lapin writes a message that a broker returns, with its body, to `tracing` at level `WARN`: leave
//! its targets out (`lapin=off`) where logs must not hold measured values.

mod config;
mod dead_letters;
mod flight;
mod link;
mod meter;
mod properties;
mod publisher;
mod stats;
mod subscription;
mod tls;
mod topology;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::ShortString;

pub use config::{AmqpConfig, ConfigError, Connections, Endpoint};
pub use dead_letters::{DeadLetter, DeadLetterError, DeadLetters};
pub use link::{DeclareError, LinkFailure, LinkState, declare};
pub use publisher::{OfferError, Publisher, Refused};
pub use stats::{PublisherStats, Reconnects, SubscriptionStats};
pub use subscription::{Consumer, Delivery, ReceiveError, SubscribeConfig, Subscription};
pub use topology::{Flow, QueueType, Topology};

/// A message as it is published.
#[derive(Clone)]
struct Message {
    exchange: ShortString,
    routing_key: ShortString,
    properties: BasicProperties,
    body: Bytes,
}

impl std::fmt::Debug for Message {
    /// Without key and body, which has what was measured.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("exchange", &self.exchange)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
