//! Messages in, and their confirmations out.

use amq_protocol::protocol::{AMQPClass, basic};
use bytes::Bytes;
use tokio::time::Instant;

use super::super::queues::{Message, Routed};
use super::super::script::{Answer, When};
use super::super::wire::Over;
use super::{Due, Incoming, Session};

impl Session {
    pub(super) fn is_whole(&mut self, number: u16) -> Result<(), Over> {
        let Some(channel) = self.channels.get_mut(&number) else {
            return Ok(());
        };
        let whole = channel.incoming.take_if(|incoming| {
            let size = incoming.header.as_ref().map(|h| h.body_size);
            size.is_some_and(|size| incoming.body.len() as u64 >= size)
        });
        match whole {
            Some(Incoming {
                publish,
                header: Some(header),
                body,
            }) => {
                let (exchange, key) = (publish.exchange.as_str(), publish.routing_key.as_str());
                let message = Message::new(exchange, key, header.properties, Bytes::from(body));
                self.publish(number, publish.mandatory, &message)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn publish(
        &mut self,
        number: u16,
        mandatory: bool,
        message: &Message,
    ) -> Result<(), Over> {
        let count = self.shared.state().count(|c| &mut c.publishes);
        self.moment(When::Publish(count), number)?;
        // What just failed took the message along.
        let Some(channel) = self.channels.get_mut(&number).filter(|_| !self.is_closing) else {
            return Ok(());
        };
        channel.published += 1;
        let tag = channel.published;
        channel.open.insert(tag);
        let mut state = self.shared.state();
        let answer = state.answer(count);
        let routed = match answer {
            Some(Answer::Lost) => return Ok(()),
            Some(Answer::Nack) => Ok(Routed::Full),
            Some(Answer::Return) => Ok(Routed::Nowhere),
            _ => state.queues.publish(message),
        };
        if let (Ok(Routed::Taken), Some(id)) = (routed, message.properties.message_id()) {
            state.taken.insert(id.to_string());
        }
        drop(state);
        self.shared.wake_others(self.number);
        match (routed, answer) {
            (Err((code, said)), _) => self.close_channel(number, code, said),
            (Ok(Routed::Full), _) => self.refuse(number, tag),
            (Ok(Routed::Taken), Some(Answer::Never)) => {}
            (Ok(Routed::Taken), Some(Answer::Late(delay))) => {
                self.later(Instant::now() + delay, Due::Confirm(number, tag));
            }
            (Ok(Routed::Nowhere), _) if mandatory => {
                let returned = basic::AMQPMethod::Return(basic::Return {
                    reply_code: 312,
                    reply_text: "NO_ROUTE".into(),
                    exchange: message.exchange.as_str().into(),
                    routing_key: message.routing_key.as_str().into(),
                });
                let (method, properties) = (AMQPClass::Basic(returned), message.properties.clone());
                self.wire.content(number, method, properties, &message.body);
                self.confirm_later(number, tag);
            }
            (Ok(Routed::Taken | Routed::Nowhere), _) => self.confirm_later(number, tag),
        }
        Ok(())
    }

    pub(super) fn confirm_later(&mut self, number: u16, tag: u64) {
        self.with(number, |channel| channel.confirm.push(tag));
    }

    pub(super) fn refuse(&mut self, number: u16, tag: u64) {
        self.with(number, |channel| {
            channel.open.remove(&tag);
        });
        let nack = basic::AMQPMethod::Nack(basic::Nack {
            delivery_tag: tag,
            multiple: false,
            requeue: false,
        });
        self.wire.method(number, AMQPClass::Basic(nack));
    }

    /// Confirms what is to be confirmed: together where nothing older is open, or in any order.
    pub(super) fn confirm(&mut self) {
        for (number, channel) in &mut self.channels {
            let mut tags = std::mem::take(&mut channel.confirm);
            if !channel.confirms || tags.is_empty() {
                continue;
            }
            tags.iter().for_each(|tag| {
                channel.open.remove(tag);
            });
            tags.sort_unstable();
            let mut state = self.shared.state();
            let mut acks = Vec::new();
            if state.random.next().is_multiple_of(2) {
                let oldest = channel.open.first().copied().unwrap_or(u64::MAX);
                let rest = tags.split_off(tags.partition_point(|tag| *tag < oldest));
                acks.extend(tags.last().map(|tag| (*tag, true)));
                tags = rest;
            }
            for left in (1..=tags.len() as u64).rev() {
                let at = (state.random.next() % left) as usize;
                acks.push((tags.swap_remove(at), false));
            }
            for (delivery_tag, multiple) in acks {
                let ack = basic::AMQPMethod::Ack(basic::Ack {
                    delivery_tag,
                    multiple,
                });
                self.wire.method(*number, AMQPClass::Basic(ack));
            }
        }
    }
}
