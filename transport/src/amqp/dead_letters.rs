//! What was put aside: looked at, and published again.

use bytes::Bytes;
use lapin::message::Delivery as Raw;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions};
use lapin::types::FieldTable;
use telemetry_core::{Batch, EnvelopeError, Epoch};

use super::config::{AmqpConfig, ConfigError};
use super::link::{Link, LinkFailure};
use super::publisher::{OfferError, Publisher};
use super::subscription::{FAILURES, QUEUE, REASON};
use super::topology::name;
use super::{Message, properties};
use crate::BatchId;

/// A batch that was put aside.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Why: what a consumer said, or what the broker did, e.g. `delivery_limit`.
    pub reason: String,
    /// The batch, or why the message is none.
    pub batch: Result<Batch, EnvelopeError>,
}

/// Why dead letters cannot be read or published again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeadLetterError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The broker cannot be reached, or refuses.
    #[error("the dead letters: {} ({})", .0.error, .0.text)]
    Link(LinkFailure),
    /// The publisher ended.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

telemetry_core::error_codes!(DeadLetterError {
    Config(_) => 3090,
    Link(_) => 3091,
    Offer(_) => 3092,
});

/// The dead letters of a topology.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    config: AmqpConfig,
}

impl DeadLetters {
    /// Checks the configuration; connects to nothing yet.
    pub fn new(config: AmqpConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { config })
    }

    async fn link(&self) -> Result<Link, DeadLetterError> {
        let checked = self.config.check()?;
        let link = Link::open_once(&self.config, &checked, false).await;
        link.map_err(DeadLetterError::Link)
    }

    async fn get(&self, link: &Link) -> Result<Option<Raw>, DeadLetterError> {
        let got = self.get_one(link).await?;
        Ok(got.map(|(raw, _)| raw))
    }

    /// The oldest letter, and how many are behind it.
    async fn get_one(&self, link: &Link) -> Result<Option<(Raw, usize)>, DeadLetterError> {
        let queue = name(&self.config.topology.dead_letter_queue());
        let got = link.channel.basic_get(queue, BasicGetOptions::default());
        let got = got.await.map_err(failed)?;
        Ok(got.map(|message| (message.delivery, message.message_count as usize)))
    }

    /// The oldest letters, at most `max`; all of them stay.
    pub async fn read(&self, max: usize) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let link = self.link().await?;
        let mut letters = Vec::new();
        let mut last = None;
        while letters.len() < max
            && let Some(raw) = self.get(&link).await?
        {
            last = Some(raw.delivery_tag);
            letters.push(letter(raw));
        }
        if let Some(tag) = last {
            let options = BasicNackOptions {
                multiple: true,
                requeue: true,
            };
            let back = link.channel.basic_nack(tag, options).await;
            back.map_err(failed)?;
        }
        // Once the broker has closed it, the letters are back in their places.
        let closed = link.connection.close(200, "read".into()).await;
        closed.map_err(failed)?;
        Ok(letters)
    }

    /// Publishes the oldest letters again, at most `max`, each into the flow that it came from, and
    /// then forgets it.
    ///
    /// Letters that are put aside meanwhile stay, also those that were published again here: who
    /// still cannot take them sends them back at once.
    /// Every group sees them, under the same names as before. Where the link breaks, some letters
    /// may be published and still be there.
    pub async fn replay(&self, max: usize) -> Result<usize, DeadLetterError> {
        let link = self.link().await?;
        let publisher = Publisher::start(self.config.clone())?;
        let (mut count, mut until) = (0, max);
        while count < until
            && let Some((raw, behind)) = self.get_one(&link).await?
        {
            if count == 0 {
                until = max.min(1 + behind);
            }
            count += 1;
            let tag = raw.delivery_tag;
            // No spool hands them out, and the publisher is this call's own.
            let id = BatchId::new(Epoch::default(), count as u64);
            let mut headers = FieldTable::default();
            for (name, value) in raw.properties.headers().iter().flatten() {
                // What the broker and the last consumer noted is over.
                let is_over = [REASON, QUEUE, FAILURES].contains(&name.as_str());
                if !is_over && !name.as_str().starts_with("x-") {
                    headers.insert(name.clone(), value.clone());
                }
            }
            let blank = publisher.blank();
            let queue = [QUEUE, "x-last-death-queue"]
                .into_iter()
                .find_map(|name| properties::header(&raw.properties, name));
            let exchange = queue.and_then(|queue| self.config.topology.exchange_behind(queue));
            let message = Message {
                exchange: exchange.map_or(blank.exchange, |exchange| name(&exchange)),
                properties: raw.properties.with_headers(headers),
                body: Bytes::from(raw.data),
                routing_key: blank.routing_key,
            };
            publisher.offer_message(id, Box::new(message)).await?;
            publisher.wait_confirmed(id).await?;
            let ack = BasicAckOptions::default();
            let acked = link.channel.basic_ack(tag, ack).await;
            acked.map_err(failed)?;
        }
        let closed = link.connection.close(200, "replayed".into()).await;
        closed.map_err(failed)?;
        Ok(count)
    }
}

fn failed(error: lapin::Error) -> DeadLetterError {
    DeadLetterError::Link(error.into())
}

fn letter(raw: Raw) -> DeadLetter {
    let said = [REASON, "x-last-death-reason", "x-first-death-reason"];
    let reason = said
        .into_iter()
        .find_map(|name| properties::header(&raw.properties, name));
    DeadLetter {
        reason: reason.unwrap_or("unknown").to_owned(),
        batch: properties::to_envelope(&raw.properties).map(|envelope| Batch {
            envelope,
            body: Bytes::from(raw.data),
        }),
    }
}
