//! A client's connection: methods in, answers and deliveries out.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, exchange, queue};
use bytes::Bytes;
use lapin::types::{AMQPValue, FieldTable};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::properties::integer;
use super::super::topology::text;
use super::queues::{Message, Refusal, Routed, Taker};
use super::script::{Answer, Failure, When};
use super::wire::{Over, Wire};
use super::{Shared, State};

/// A message of which not all is there.
#[derive(Debug)]
struct Incoming {
    publish: basic::Publish,
    header: Option<AMQPContentHeader>,
    body: Vec<u8>,
}

/// Delivered, and not settled.
#[derive(Debug)]
struct Unsettled {
    queue: String,
    /// `None` where somebody asked once.
    taker: Option<Taker>,
    message: Message,
}

#[derive(Debug, Default)]
struct Channel {
    incoming: Option<Incoming>,
    confirms: bool,
    published: u64,
    /// Published, and neither confirmed nor refused.
    open: BTreeSet<u64>,
    /// To be confirmed when nothing more came in.
    confirm: Vec<u64>,
    prefetch: u16,
    consumers: Vec<(String, String)>,
    delivered: u64,
    unsettled: BTreeMap<u64, Unsettled>,
}

/// What is due later.
#[derive(Debug)]
enum Due {
    Confirm(u16, u64),
    Unblock,
    Heartbeat,
}

#[derive(Debug)]
pub(super) struct Session {
    number: u64,
    shared: Arc<Shared>,
    wake: Arc<Notify>,
    wire: Wire,
    channels: BTreeMap<u16, Channel>,
    /// Closed here, and not by the client yet.
    closing: BTreeSet<u16>,
    is_closing: bool,
    due: BTreeMap<(Instant, u64), Due>,
    dues: u64,
    silent_until: Option<Instant>,
    blocked: bool,
    cut: bool,
    heartbeat: Option<Duration>,
}

impl Session {
    pub(super) fn new(number: u64, shared: Arc<Shared>, wake: Arc<Notify>, wire: Wire) -> Self {
        Self {
            number,
            shared,
            wake,
            wire,
            channels: BTreeMap::new(),
            closing: BTreeSet::new(),
            is_closing: false,
            due: BTreeMap::new(),
            dues: 0,
            silent_until: None,
            blocked: false,
            cut: false,
            heartbeat: None,
        }
    }

    /// Serves the client until either side ends it.
    pub(super) async fn run(mut self) {
        let Over = self.serve().await;
        let channels: Vec<u16> = self.channels.keys().copied().collect();
        for number in channels {
            self.drop_channel(number);
        }
        self.shared.state().sessions.remove(&self.number);
        self.shared.wake_all();
    }

    async fn serve(&mut self) -> Over {
        loop {
            if let Err(over) = self.turn().await {
                return over;
            }
        }
    }

    async fn turn(&mut self) -> Result<(), Over> {
        let now = Instant::now();
        let mut orders = self.shared.orders(self.number).into_iter();
        orders.try_for_each(|failure| self.fail(failure, 0))?;
        self.silent_until = self.silent_until.filter(|until| *until > now);
        if self.silent_until.is_none() {
            self.act(now)?;
        }
        if self.silent_until.is_none() {
            if self.cut {
                self.wire.cut();
            }
            self.wire.flush().await?;
            if self.cut {
                self.wire.reset();
                return Err(Over);
            }
        }
        let first = self.due.first_key_value().map(|((at, _), _)| *at);
        let until = self.silent_until.or(first);
        let reads = self.silent_until.is_none() && !self.blocked;
        tokio::select! {
            read = self.wire.read(), if reads => read,
            () = self.wake.notified() => Ok(()),
            () = sleep_until(until) => Ok(()),
        }
    }

    /// Everything that can be done without waiting.
    fn act(&mut self, now: Instant) -> Result<(), Over> {
        while let Some(first) = self.due.first_entry()
            && first.key().0 <= now
        {
            match first.remove() {
                Due::Confirm(channel, tag) => self.confirm_later(channel, tag),
                Due::Unblock => {
                    self.blocked = false;
                    let unblocked = connection::AMQPMethod::Unblocked(connection::Unblocked {});
                    self.wire.method(0, AMQPClass::Connection(unblocked));
                }
                Due::Heartbeat => {
                    self.wire.push(&AMQPFrame::Heartbeat);
                    self.beat(now);
                }
            }
        }
        while !self.blocked
            && self.silent_until.is_none()
            && let Some(frame) = self.wire.next()?
        {
            self.frame(frame)?;
        }
        self.deliver()?;
        self.confirm();
        Ok(())
    }

    fn later(&mut self, at: Instant, due: Due) {
        self.dues += 1;
        self.due.insert((at, self.dues), due);
    }

    fn beat(&mut self, now: Instant) {
        if let Some(distance) = self.heartbeat {
            self.later(now + distance, Due::Heartbeat);
        }
    }

    fn frame(&mut self, frame: AMQPFrame) -> Result<(), Over> {
        match frame {
            AMQPFrame::ProtocolHeader(_) => self.start(),
            AMQPFrame::Method(0, AMQPClass::Connection(method)) => return self.connection(method),
            AMQPFrame::Method(number, method) => {
                if self.closing.contains(&number) {
                    if let AMQPClass::Channel(channel::AMQPMethod::CloseOk(_)) = method {
                        self.closing.remove(&number);
                    }
                    return Ok(());
                }
                return self.method(number, method);
            }
            AMQPFrame::Header(number, header) => {
                if let Some(incoming) = self.incoming(number) {
                    incoming.header = Some(header);
                }
                return self.is_whole(number);
            }
            AMQPFrame::Body(number, piece) => {
                if let Some(incoming) = self.incoming(number) {
                    incoming.body.extend(piece);
                }
                return self.is_whole(number);
            }
            AMQPFrame::Heartbeat | AMQPFrame::InvalidHeartbeat(_) => {}
        }
        Ok(())
    }

    fn incoming(&mut self, number: u16) -> Option<&mut Incoming> {
        self.channels.get_mut(&number)?.incoming.as_mut()
    }

    fn start(&mut self) {
        let mut capabilities = FieldTable::default();
        for name in [
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "consumer_priorities",
            "authentication_failure_close",
            "per_consumer_qos",
        ] {
            capabilities.insert(name.into(), AMQPValue::Boolean(true));
        }
        let mut properties = FieldTable::default();
        properties.insert("product".into(), text("scripted broker, not RabbitMQ"));
        properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: properties,
            mechanisms: "PLAIN AMQPLAIN".into(),
            locales: "en_US".into(),
        };
        let start = connection::AMQPMethod::Start(start);
        self.wire.method(0, AMQPClass::Connection(start));
    }

    fn connection(&mut self, method: connection::AMQPMethod) -> Result<(), Over> {
        use connection::AMQPMethod as Method;
        let answer = match method {
            Method::StartOk(_) => Method::Tune(connection::Tune {
                channel_max: 2_047,
                frame_max: self.shared.state().script.frame_bytes_max,
                heartbeat: 60,
            }),
            Method::TuneOk(tune) => {
                self.wire.frame_bytes_max = tune.frame_max.max(4_096) as usize;
                let distance = Duration::from_secs(tune.heartbeat.into()) / 2;
                self.heartbeat = (!distance.is_zero()).then_some(distance);
                self.beat(Instant::now());
                return Ok(());
            }
            Method::Open(_) => {
                let number = self.shared.state().count(|c| &mut c.connects);
                self.moment(When::Connect(number), 0)?;
                if self.is_closing {
                    return Ok(());
                }
                Method::OpenOk(connection::OpenOk {})
            }
            Method::Close(_) => {
                self.is_closing = true;
                Method::CloseOk(connection::CloseOk {})
            }
            // The client agrees to the end.
            Method::CloseOk(_) => return Err(Over),
            _ => return Ok(()),
        };
        self.wire.method(0, AMQPClass::Connection(answer));
        Ok(())
    }

    fn method(&mut self, number: u16, method: AMQPClass) -> Result<(), Over> {
        if self.is_closing {
            return Ok(());
        }
        let answer = match method {
            AMQPClass::Channel(channel::AMQPMethod::Open(_)) => {
                self.channels.insert(number, Channel::default());
                let open = channel::AMQPMethod::OpenOk(channel::OpenOk {});
                Ok(Some(AMQPClass::Channel(open)))
            }
            AMQPClass::Channel(channel::AMQPMethod::Close(_)) => {
                self.drop_channel(number);
                let close = channel::AMQPMethod::CloseOk(channel::CloseOk {});
                Ok(Some(AMQPClass::Channel(close)))
            }
            // Of a channel that is closed here, and not by the client yet.
            _ if !self.channels.contains_key(&number) => Ok(None),
            AMQPClass::Exchange(method) => {
                self.declare(number)?;
                declare_exchange(&mut self.shared.state(), method)
            }
            AMQPClass::Queue(method) => {
                self.declare(number)?;
                declare_queue(&mut self.shared.state(), method)
            }
            AMQPClass::Confirm(_) => {
                self.with(number, |channel| channel.confirms = true);
                let select = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
                Ok(Some(AMQPClass::Confirm(select)))
            }
            AMQPClass::Basic(method) => self.basic(number, method)?,
            _ => Err((540, "NOT_IMPLEMENTED by the scripted broker")),
        };
        match answer {
            // A failure at this very moment may have closed it.
            Ok(Some(_)) if self.is_closing || self.closing.contains(&number) => {}
            Ok(Some(answer)) => self.wire.method(number, answer),
            Ok(None) => {}
            Err((code, said)) => self.close_channel(number, code, said),
        }
        Ok(())
    }

    fn with(&mut self, number: u16, f: impl FnOnce(&mut Channel)) {
        if let Some(channel) = self.channels.get_mut(&number) {
            f(channel);
        }
    }

    fn declare(&mut self, number: u16) -> Result<(), Over> {
        let count = self.shared.state().count(|c| &mut c.declares);
        self.moment(When::Declare(count), number)
    }

    fn basic(
        &mut self,
        number: u16,
        method: basic::AMQPMethod,
    ) -> Result<Result<Option<AMQPClass>, Refusal>, Over> {
        use basic::AMQPMethod as Method;
        let answer = match method {
            Method::Publish(publish) => {
                let incoming = Incoming {
                    publish,
                    header: None,
                    body: Vec::new(),
                };
                self.with(number, |channel| channel.incoming = Some(incoming));
                None
            }
            Method::Qos(qos) => {
                self.with(number, |channel| channel.prefetch = qos.prefetch_count);
                Some(Method::QosOk(basic::QosOk {}))
            }
            Method::Consume(consume) => return Ok(self.consume(number, consume)),
            Method::Get(get) => return Ok(self.get(number, get.queue.as_str())),
            Method::Ack(ack) => {
                self.settle(number, ack.delivery_tag, ack.multiple, Settled::Done)?;
                None
            }
            Method::Nack(nack) => {
                let settled = match nack.requeue {
                    true => Settled::Failed,
                    false => Settled::Rejected,
                };
                self.settle(number, nack.delivery_tag, nack.multiple, settled)?;
                None
            }
            _ => return Ok(Err((540, "NOT_IMPLEMENTED by the scripted broker"))),
        };
        Ok(Ok(answer.map(AMQPClass::Basic)))
    }

    fn consume(
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

    fn get(&mut self, number: u16, queue: &str) -> Result<Option<AMQPClass>, Refusal> {
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

    fn is_whole(&mut self, number: u16) -> Result<(), Over> {
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

    fn publish(&mut self, number: u16, mandatory: bool, message: &Message) -> Result<(), Over> {
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

    fn confirm_later(&mut self, number: u16, tag: u64) {
        self.with(number, |channel| channel.confirm.push(tag));
    }

    fn refuse(&mut self, number: u16, tag: u64) {
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
    fn confirm(&mut self) {
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

    fn deliver(&mut self) -> Result<(), Over> {
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

    fn settle(
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

    fn put_away(&self, some: BTreeMap<u64, Unsettled>, settled: Settled) {
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

    fn drop_channel(&mut self, number: u16) {
        if let Some(channel) = self.channels.remove(&number) {
            let is_over = |taker: &Taker| taker.0 == self.number && taker.1 == number;
            self.put_away(channel.unsettled, Settled::Dropped);
            self.shared.state().queues.cancel(is_over);
            self.shared.wake_others(self.number);
        }
    }

    fn close_channel(&mut self, number: u16, code: u16, said: &str) {
        self.drop_channel(number);
        self.closing.insert(number);
        let close = channel::AMQPMethod::Close(channel::Close {
            reply_code: code,
            reply_text: said.into(),
            class_id: 0,
            method_id: 0,
        });
        self.wire.method(number, AMQPClass::Channel(close));
    }

    /// A moment of the script.
    fn moment(&mut self, when: When, channel: u16) -> Result<(), Over> {
        let mut state = self.shared.state();
        let Some(failure) = state.script.failures.remove(&when) else {
            return Ok(());
        };
        state.note(failure.name());
        drop(state);
        self.fail(failure, channel)
    }

    /// Lets something fail; a channel that is none is the whole connection.
    fn fail(&mut self, failure: Failure, number: u16) -> Result<(), Over> {
        let now = Instant::now();
        match failure {
            Failure::Reset => {
                self.wire.reset();
                return Err(Over);
            }
            Failure::HalfFrame => self.cut = true,
            Failure::Garbage => self.wire.garbage(),
            Failure::Silence(time) => self.silent_until = Some(now + time),
            Failure::CloseChannel(code) if self.channels.contains_key(&number) => {
                self.close_channel(number, code, "as the script says");
            }
            Failure::CloseChannel(code) | Failure::CloseConnection(code) => {
                self.is_closing = true;
                let close = connection::AMQPMethod::Close(connection::Close {
                    reply_code: code,
                    reply_text: "as the script says".into(),
                    class_id: 0,
                    method_id: 0,
                });
                self.wire.method(0, AMQPClass::Connection(close));
            }
            Failure::Block(time) => {
                self.blocked = true;
                let reason = "low on memory".into();
                let blocked = connection::AMQPMethod::Blocked(connection::Blocked { reason });
                self.wire.method(0, AMQPClass::Connection(blocked));
                self.later(now + time, Due::Unblock);
            }
            Failure::CancelConsumers => self.cancel_consumers(),
            Failure::Unbind => self.shared.state().queues.unbind_all(),
            Failure::Crash(time) => {
                self.shared.state().crash(now + time);
                self.wire.reset();
                return Err(Over);
            }
        }
        Ok(())
    }

    fn cancel_consumers(&mut self) {
        let number = self.number;
        let is_own = |taker: &Taker| taker.0 == number;
        self.shared.state().queues.cancel(is_own);
        for (number, channel) in &mut self.channels {
            for (tag, _) in std::mem::take(&mut channel.consumers) {
                let cancel = basic::AMQPMethod::Cancel(basic::Cancel {
                    consumer_tag: tag.as_str().into(),
                    nowait: true,
                });
                self.wire.method(*number, AMQPClass::Basic(cancel));
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Settled {
    Done,
    Failed,
    Rejected,
    /// With its channel.
    Dropped,
}

fn declare_exchange(
    state: &mut State,
    method: exchange::AMQPMethod,
) -> Result<Option<AMQPClass>, Refusal> {
    use exchange::AMQPMethod as Method;
    let answer = match method {
        Method::Declare(declare) => {
            let (name, kind) = (declare.exchange.as_str(), declare.kind.as_str());
            let queues = &mut state.queues;
            queues.declare_exchange(name, kind, declare.arguments, declare.passive)?;
            Method::DeclareOk(exchange::DeclareOk {})
        }
        Method::Bind(bind) => {
            let (from, to) = (bind.source.as_str(), bind.destination.as_str());
            let queues = &mut state.queues;
            queues.bind(from, to, false, bind.routing_key.as_str())?;
            Method::BindOk(exchange::BindOk {})
        }
        _ => return Err((540, "NOT_IMPLEMENTED by the scripted broker")),
    };
    Ok(Some(AMQPClass::Exchange(answer)))
}

fn declare_queue(
    state: &mut State,
    method: queue::AMQPMethod,
) -> Result<Option<AMQPClass>, Refusal> {
    use queue::AMQPMethod as Method;
    let answer = match method {
        Method::Declare(declare) => {
            let name = declare.queue.as_str();
            let queues = &mut state.queues;
            let (ready, consumers) =
                queues.declare_queue(name, declare.arguments, declare.passive)?;
            Method::DeclareOk(queue::DeclareOk {
                queue: declare.queue,
                message_count: ready,
                consumer_count: consumers,
            })
        }
        Method::Bind(bind) => {
            let (from, to) = (bind.exchange.as_str(), bind.queue.as_str());
            let queues = &mut state.queues;
            queues.bind(from, to, true, bind.routing_key.as_str())?;
            Method::BindOk(queue::BindOk {})
        }
        _ => return Err((540, "NOT_IMPLEMENTED by the scripted broker")),
    };
    Ok(Some(AMQPClass::Queue(answer)))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}
