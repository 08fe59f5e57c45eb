//! Exchanges, bindings and queues, without a connection.
//!
//! As much of RabbitMQ as the adapter relies on: topic, fanout and consistent-hash exchanges, the
//! default exchange, a limit of bytes that refuses, a limit of deliveries, dead letters, and one
//! active consumer a queue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amq_protocol::protocol::basic::AMQPProperties as BasicProperties;
use amq_protocol::types::{AMQPValue, FieldTable};
use bytes::Bytes;

use crate::values::{hash, header, integer, text};

/// A message in a queue or on its way to a consumer.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Its place in the queue.
    place: u64,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
    pub(super) redelivered: bool,
    failures: i64,
}

impl Message {
    pub(super) fn new(
        exchange: &str,
        routing_key: &str,
        properties: BasicProperties,
        body: Bytes,
    ) -> Self {
        Self {
            place: 0,
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            properties,
            body,
            redelivered: false,
            failures: 0,
        }
    }

    /// Its properties as a consumer gets them.
    pub(super) fn delivered(&self) -> BasicProperties {
        match self.failures {
            0 => self.properties.clone(),
            n => with_header(&self.properties, "x-delivery-count", n.into()),
        }
    }
}

fn with_header(properties: &BasicProperties, name: &str, value: AMQPValue) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(name.into(), value);
    properties.clone().with_headers(headers)
}

/// Who takes from a queue: connection, channel and consumer tag.
pub(super) type Taker = (u64, u16, String);

#[derive(Debug)]
struct Consumer {
    priority: i64,
    taker: Taker,
    /// Most deliveries that are not settled.
    prefetch: usize,
    unsettled: usize,
}

#[derive(Debug, Default)]
struct Queue {
    arguments: FieldTable,
    ready: VecDeque<Message>,
    unsettled: usize,
    bytes: usize,
    consumers: Vec<Consumer>,
    active: Option<Taker>,
}

#[derive(Debug)]
struct Exchange {
    kind: String,
    arguments: FieldTable,
    /// Destination, whether that is a queue, and key.
    bindings: BTreeSet<(String, bool, String)>,
}

/// Why a method closes its channel: code and text.
pub(super) type Refusal = (u16, &'static str);

const NOT_FOUND: Refusal = (404, "NOT_FOUND");
const INEQUIVALENT: Refusal = (406, "PRECONDITION_FAILED - inequivalent arg");

/// What became of a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routed {
    Taken,
    Full,
    Nowhere,
}

#[derive(Debug)]
pub(super) struct Queues {
    exchanges: BTreeMap<String, Exchange>,
    queues: BTreeMap<String, Queue>,
    last_place: u64,
}

impl Default for Queues {
    fn default() -> Self {
        let mut this = Self {
            exchanges: BTreeMap::new(),
            queues: BTreeMap::new(),
            last_place: 0,
        };
        let kinds = [("amq.topic", "topic"), ("amq.fanout", "fanout")];
        for (name, kind) in kinds {
            let exchange = Exchange {
                kind: kind.to_owned(),
                arguments: FieldTable::default(),
                bindings: BTreeSet::new(),
            };
            this.exchanges.insert(name.to_owned(), exchange);
        }
        this
    }
}

impl Queues {
    pub(super) fn declare_exchange(
        &mut self,
        name: &str,
        kind: &str,
        arguments: FieldTable,
        passive: bool,
    ) -> Result<(), Refusal> {
        match self.exchanges.get(name) {
            Some(_) if passive => Ok(()),
            Some(e) if e.kind == kind && e.arguments == arguments => Ok(()),
            Some(_) => Err(INEQUIVALENT),
            None if passive => Err(NOT_FOUND),
            None => {
                let exchange = Exchange {
                    kind: kind.to_owned(),
                    arguments,
                    bindings: BTreeSet::new(),
                };
                self.exchanges.insert(name.to_owned(), exchange);
                Ok(())
            }
        }
    }

    /// Messages that are ready, and consumers.
    pub(super) fn declare_queue(
        &mut self,
        name: &str,
        arguments: FieldTable,
        passive: bool,
    ) -> Result<(u32, u32), Refusal> {
        if passive && !self.queues.contains_key(name) {
            return Err(NOT_FOUND);
        }
        let queue = self.queues.entry(name.to_owned());
        let queue = queue.or_insert_with(|| Queue {
            arguments: arguments.clone(),
            ..Queue::default()
        });
        match passive || queue.arguments == arguments {
            true => Ok((queue.ready.len() as u32, queue.consumers.len() as u32)),
            false => Err(INEQUIVALENT),
        }
    }

    pub(super) fn bind(
        &mut self,
        source: &str,
        destination: &str,
        is_queue: bool,
        key: &str,
    ) -> Result<(), Refusal> {
        let is_there = match is_queue {
            true => self.queues.contains_key(destination),
            false => self.exchanges.contains_key(destination),
        };
        let exchange = self.exchanges.get_mut(source);
        let exchange = exchange.filter(|_| is_there).ok_or(NOT_FOUND)?;
        let binding = (destination.to_owned(), is_queue, key.to_owned());
        exchange.bindings.insert(binding);
        Ok(())
    }

    pub(super) fn unbind_all(&mut self) {
        for exchange in self.exchanges.values_mut() {
            exchange.bindings.clear();
        }
    }

    /// Names of the queues that a message goes to.
    fn route(&self, message: &Message) -> Result<BTreeSet<String>, Refusal> {
        if message.exchange.is_empty() {
            let key = &message.routing_key;
            let queue = self.queues.contains_key(key).then(|| key.clone());
            return Ok(queue.into_iter().collect());
        }
        if !self.exchanges.contains_key(&message.exchange) {
            return Err(NOT_FOUND);
        }
        let (mut queues, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut open = vec![message.exchange.clone()];
        while let Some(name) = open.pop() {
            let Some(exchange) = self.exchanges.get(&name).filter(|_| seen.insert(name)) else {
                continue;
            };
            for (destination, is_queue, _) in exchange.matching(message) {
                match is_queue {
                    true => {
                        queues.insert(destination.clone());
                    }
                    false => open.push(destination.clone()),
                }
            }
        }
        Ok(queues)
    }

    /// Puts a message into every queue that it is routed to, or into none.
    pub(super) fn publish(&mut self, message: &Message) -> Result<Routed, Refusal> {
        let queues = self.route(message)?;
        if queues.is_empty() {
            return Ok(Routed::Nowhere);
        }
        let is_full = |name: &String| self.queues.get(name).is_some_and(Queue::is_full);
        if queues.iter().any(is_full) {
            return Ok(Routed::Full);
        }
        for name in queues {
            if let Some(queue) = self.queues.get_mut(&name) {
                self.last_place += 1;
                queue.bytes += message.body.len();
                queue.ready.push_back(Message {
                    place: self.last_place,
                    ..message.clone()
                });
            }
        }
        Ok(Routed::Taken)
    }

    pub(super) fn consume(
        &mut self,
        queue: &str,
        taker: Taker,
        priority: i64,
        prefetch: u16,
    ) -> Result<(), Refusal> {
        let queue = self.queues.get_mut(queue).ok_or(NOT_FOUND)?;
        queue.consumers.push(Consumer {
            priority,
            taker,
            prefetch: match prefetch {
                0 => usize::MAX,
                n => n.into(),
            },
            unsettled: 0,
        });
        // The first of the highest priority is first.
        queue
            .consumers
            .sort_by_key(|c| std::cmp::Reverse(c.priority));
        Ok(())
    }

    /// Ends consumers; what they have not settled stays theirs until it is put back.
    pub(super) fn cancel(&mut self, is_over: impl Fn(&Taker) -> bool) {
        for queue in self.queues.values_mut() {
            queue.consumers.retain(|consumer| !is_over(&consumer.taker));
            queue.active = queue.active.take().filter(|taker| !is_over(taker));
        }
    }

    /// The next message for a consumer, if it is its turn.
    pub(super) fn take(&mut self, queue: &str, taker: &Taker) -> Option<Message> {
        let queue = self.queues.get_mut(queue)?;
        let first = queue.consumers.first()?.taker.clone();
        let active = queue.active.get_or_insert_with(|| first.clone());
        if *active != first {
            // Another one has a higher priority: it begins when this one has settled everything.
            let consumers = &queue.consumers;
            let old = consumers.iter().find(|c| c.taker == *active);
            if old.is_some_and(|old| old.unsettled > 0) {
                return None;
            }
            *active = first;
        }
        let is_active = *active == *taker;
        let consumer = queue.consumers.iter_mut().find(|c| c.taker == *taker)?;
        if !is_active || consumer.unsettled >= consumer.prefetch {
            return None;
        }
        let message = queue.ready.pop_front()?;
        consumer.unsettled += 1;
        queue.unsettled += 1;
        Some(message)
    }

    /// The oldest message, for somebody who asks once.
    pub(super) fn get(&mut self, queue: &str) -> Result<Option<(Message, u32)>, Refusal> {
        let queue = self.queues.get_mut(queue).ok_or(NOT_FOUND)?;
        let message = queue.ready.pop_front();
        queue.unsettled += usize::from(message.is_some());
        Ok(message.map(|message| (message, queue.ready.len() as u32)))
    }

    fn settled(&mut self, queue: &str, taker: Option<&Taker>) -> Option<&mut Queue> {
        let queue = self.queues.get_mut(queue)?;
        queue.unsettled -= 1;
        let mut consumers = queue.consumers.iter_mut();
        if let Some(consumer) = consumers.find(|c| Some(&c.taker) == taker) {
            consumer.unsettled -= 1;
        }
        Some(queue)
    }

    /// A message is done.
    pub(super) fn ack(&mut self, queue: &str, taker: Option<&Taker>, message: &Message) {
        if let Some(queue) = self.settled(queue, taker) {
            queue.bytes -= message.body.len();
        }
    }

    /// A message goes back to its place; `failed` where its consumer gave it back.
    pub(super) fn put_back(
        &mut self,
        queue: &str,
        taker: Option<&Taker>,
        mut message: Message,
        failed: bool,
    ) {
        let Some(found) = self.settled(queue, taker) else {
            return;
        };
        message.redelivered = true;
        message.failures += i64::from(failed);
        let limit = found.number("x-delivery-limit").filter(|n| *n >= 0);
        if limit.is_some_and(|limit| message.failures > limit) {
            return self.put_aside(queue, &message, "delivery_limit");
        }
        let at = found.ready.partition_point(|m| m.place < message.place);
        found.ready.insert(at, message);
    }

    /// A message is refused for good.
    pub(super) fn reject(&mut self, queue: &str, taker: Option<&Taker>, message: &Message) {
        if self.settled(queue, taker).is_some() {
            self.put_aside(queue, message, "rejected");
        }
    }

    fn put_aside(&mut self, queue: &str, message: &Message, reason: &str) {
        let Some(found) = self.queues.get_mut(queue) else {
            return;
        };
        found.bytes -= message.body.len();
        let Some(AMQPValue::LongString(exchange)) =
            found.arguments.inner().get("x-dead-letter-exchange")
        else {
            return;
        };
        let properties = with_header(&message.properties, "x-last-death-reason", text(reason));
        let letter = Message {
            exchange: exchange.to_string(),
            properties,
            redelivered: false,
            failures: 0,
            ..message.clone()
        };
        // Without an exchange, or without a queue behind it, it is gone, as in RabbitMQ.
        let _ = self.publish(&letter);
    }

    /// Messages of a queue that are ready, and delivered without being settled.
    pub(super) fn count(&self, queue: &str) -> Option<(usize, usize)> {
        let queue = self.queues.get(queue)?;
        Some((queue.ready.len(), queue.unsettled))
    }
}

impl Queue {
    fn number(&self, name: &str) -> Option<i64> {
        integer(self.arguments.inner().get(name)?)
    }

    fn is_full(&self) -> bool {
        let limit = self.number("x-max-length-bytes");
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        limit.is_some_and(|limit| self.bytes >= limit)
    }
}

impl Exchange {
    fn matching(&self, message: &Message) -> Vec<&(String, bool, String)> {
        match self.kind.as_str() {
            "fanout" => self.bindings.iter().collect(),
            "topic" => {
                let words = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
                let key = words(&message.routing_key);
                let matches = |pattern: &str| is_match(&words(pattern), &key);
                let bindings = self.bindings.iter();
                bindings.filter(|(.., pattern)| matches(pattern)).collect()
            }
            "x-consistent-hash" if !self.bindings.is_empty() => {
                let by = match self.arguments.inner().get("hash-header") {
                    Some(AMQPValue::LongString(name)) => name.to_string(),
                    _ => String::new(),
                };
                let value = header(&message.properties, &by);
                let value = value.unwrap_or(&message.routing_key);
                let at = hash(value) as usize;
                let binding = self.bindings.iter().nth(at % self.bindings.len());
                binding.into_iter().collect()
            }
            _ => {
                let bindings = self.bindings.iter();
                let key = &message.routing_key;
                bindings.filter(|(.., pattern)| pattern == key).collect()
            }
        }
    }
}

/// Whether a topic has a pattern's words: `*` is one, `#` any number.
fn is_match(pattern: &[String], key: &[String]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((first, rest)) if first == "#" => {
            (0..=key.len()).any(|taken| is_match(rest, &key[taken..]))
        }
        Some((first, rest)) => key
            .split_first()
            .is_some_and(|(word, key)| (first == "*" || first == word) && is_match(rest, key)),
    }
}
