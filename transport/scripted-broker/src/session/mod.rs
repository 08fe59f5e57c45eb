//! A client's connection: methods in, answers and deliveries out.

mod consume;
mod declare;
mod fail;
mod publish;

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection};
use amq_protocol::types::{AMQPValue, FieldTable};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shared;
use super::queues::{Message, Refusal, Taker};
use super::script::When;
use super::wire::{Over, Wire};
use crate::values::text;

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
                declare::declare_exchange(&mut self.shared.state(), method)
            }
            AMQPClass::Queue(method) => {
                self.declare(number)?;
                declare::declare_queue(&mut self.shared.state(), method)
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
}

#[derive(Clone, Copy)]
enum Settled {
    Done,
    Failed,
    Rejected,
    /// With its channel.
    Dropped,
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}
