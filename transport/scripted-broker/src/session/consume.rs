//! Deliveries out, and what becomes of them.

use std::collections::BTreeMap;

use amq_protocol::protocol::{AMQPClass, basic};

use super::super::queues::Refusal;
use super::super::script::When;
use super::super::wire::Over;
use super::{Session, Settled, Unsettled};
use crate::values::integer;

impl Session {
    pub(super) fn consume(
        &mut self,
        number: u16,
        consume: basic::Consume,
    ) -> Result<Option<AMQPClass>, Refusal> {
        let Some(channel) = self.channels.get_mut(&number) else {
            return Ok(None);
        };
        let tag = match consume.consumer_tag.as_str() {
            "" => format!("consumer-{number}-{}", channel.consumers.len()),
            tag => tag.to_owned(),
        };
        let priority = consume.arguments.inner().get("x-priority");
        let priority = priority.and_then(integer).unwrap_or(0);
        let queue = consume.queue.to_string();
        let taker = (self.number, number, tag.clone());
        let mut state = self.shared.state();
        let queues = &mut state.queues;
        queues.consume(&queue, taker, priority, channel.prefetch)?;
        channel.consumers.push((tag.clone(), queue));
        let consumer_tag = tag.as_str().into();
        let ok = basic::AMQPMethod::ConsumeOk(basic::ConsumeOk { consumer_tag });
        Ok(Some(AMQPClass::Basic(ok)))
    }

    pub(super) fn get(&mut self, number: u16, queue: &str) -> Result<Option<AMQPClass>, Refusal> {
        let got = self.shared.state().queues.get(queue)?;
        let Some((message, left)) = got else {
            let empty = basic::AMQPMethod::GetEmpty(basic::GetEmpty {});
            return Ok(Some(AMQPClass::Basic(empty)));
        };
        let Some(channel) = self.channels.get_mut(&number) else {
            return Ok(None);
        };
        channel.delivered += 1;
        let ok = basic::AMQPMethod::GetOk(basic::GetOk {
            delivery_tag: channel.delivered,
            redelivered: message.redelivered,
            exchange: message.exchange.as_str().into(),
            routing_key: message.routing_key.as_str().into(),
            message_count: left,
        });
        let (properties, body) = (message.delivered(), message.body.clone());
        let unsettled = Unsettled {
            queue: queue.to_owned(),
            taker: None,
            message,
        };
        channel.unsettled.insert(channel.delivered, unsettled);
        self.wire
            .content(number, AMQPClass::Basic(ok), properties, &body);
        Ok(None)
    }

    pub(super) fn deliver(&mut self) -> Result<(), Over> {
        let all = self.channels.iter().flat_map(|(number, channel)| {
            let consumers = channel.consumers.iter().cloned();
            consumers.map(|(tag, queue)| (*number, tag, queue))
        });
        for (number, tag, queue) in all.collect::<Vec<_>>() {
            let taker = (self.number, number, tag.clone());
            while !self.is_closing && self.silent_until.is_none() {
                let message = self.shared.state().queues.take(&queue, &taker);
                let Some(message) = message else {
                    break;
                };
                let Some(channel) = self.channels.get_mut(&number) else {
                    break;
                };
                channel.delivered += 1;
                let delivery_tag = channel.delivered;
                let deliver = basic::AMQPMethod::Deliver(basic::Deliver {
                    consumer_tag: tag.as_str().into(),
                    delivery_tag,
                    redelivered: message.redelivered,
                    exchange: message.exchange.as_str().into(),
                    routing_key: message.routing_key.as_str().into(),
                });
                let (properties, body) = (message.delivered(), message.body.clone());
                let unsettled = Unsettled {
                    queue: queue.clone(),
                    taker: Some(taker.clone()),
                    message,
                };
                channel.unsettled.insert(delivery_tag, unsettled);
                let count = self.shared.state().count(|c| &mut c.deliveries);
                self.moment(When::Deliver(count), number)?;
                let is_there = self.channels.get(&number);
                if is_there.is_some_and(|c| c.unsettled.contains_key(&delivery_tag)) {
                    let method = AMQPClass::Basic(deliver);
                    self.wire.content(number, method, properties, &body);
                }
            }
        }
        Ok(())
    }

    pub(super) fn settle(
        &mut self,
        number: u16,
        tag: u64,
        multiple: bool,
        settled: Settled,
    ) -> Result<(), Over> {
        let count = self.shared.state().count(|c| &mut c.settles);
        self.moment(When::Settle(count), number)?;
        let Some(channel) = self.channels.get_mut(&number).filter(|_| !self.is_closing) else {
            return Ok(());
        };
        let some = match (multiple, tag) {
            (true, 0) => std::mem::take(&mut channel.unsettled),
            (true, tag) => {
                let rest = channel.unsettled.split_off(&(tag + 1));
                std::mem::replace(&mut channel.unsettled, rest)
            }
            (false, tag) => channel.unsettled.remove_entry(&tag).into_iter().collect(),
        };
        if some.is_empty() && tag > 0 {
            let said = "PRECONDITION_FAILED - unknown delivery tag";
            self.close_channel(number, 406, said);
            return Ok(());
        }
        self.put_away(some, settled);
        Ok(())
    }

    pub(super) fn put_away(&self, some: BTreeMap<u64, Unsettled>, settled: Settled) {
        let mut state = self.shared.state();
        let queues = &mut state.queues;
        for unsettled in some.into_values() {
            let Unsettled {
                queue,
                taker,
                message,
            } = unsettled;
            let taker = taker.as_ref();
            match settled {
                Settled::Done => queues.ack(&queue, taker, &message),
                Settled::Rejected => queues.reject(&queue, taker, &message),
                Settled::Failed => queues.put_back(&queue, taker, message, true),
                Settled::Dropped => queues.put_back(&queue, taker, message, false),
            }
        }
        drop(state);
        self.shared.wake_others(self.number);
    }
}
