//! The task behind a subscription: connects, hands out, settles.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_core::Stream as _;
use lapin::message::Delivery as Raw;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer, Event};
use telemetry_core::Batch;
use tokio::sync::{mpsc, oneshot, watch};

use super::outbox::Outbox;
use super::shared::Shared;
use super::{Command, Delivery, FAILURES, Held, SubscribeConfig, hash};
use crate::SendError;
use crate::amqp::config::{AmqpConfig, Checked};
use crate::amqp::link::{Link, LinkFailure, LinkState, tell, tell_connecting};
use crate::amqp::meter::{Meter, Moved};
use crate::amqp::properties;
use crate::amqp::publisher::maybe;
use crate::amqp::stats::SubscriptionStats;
use crate::amqp::topology::{Call, name, pipelined};
use crate::receiver::{Input, Name, Output, Place};

/// Deliveries and answers that are looked at together.
const GROUP: usize = 32;

type Settling = Pin<Box<dyn Future<Output = lapin::Result<()>> + Send>>;
type Counting = Pin<Box<dyn Future<Output = lapin::Result<Vec<u32>>> + Send>>;
type Opening = Pin<Box<dyn Future<Output = Result<Live, LinkFailure>> + Send>>;

struct Live {
    link: Link,
    consumers: Vec<(Arc<str>, Consumer)>,
    events: Pin<Box<dyn futures_core::Stream<Item = Event> + Send>>,
    /// Which consumer is asked first.
    turn: usize,
}

enum Happened {
    Commands(usize),
    Opened(Result<Live, LinkFailure>),
    Delivered(Vec<(usize, Arc<str>, Raw)>),
    Settled(lapin::Result<()>),
    Counted(lapin::Result<Vec<u32>>),
    Broken(LinkFailure),
    /// A dead letter was confirmed or its link is another, there is room again, or time has passed.
    Look,
}

/// What the task shares with its subscription.
pub(super) struct Ends {
    pub(super) shared: Arc<Shared>,
    pub(super) deliveries: mpsc::Sender<Delivery>,
    pub(super) state: watch::Sender<LinkState>,
    pub(super) tell_stats: watch::Sender<SubscriptionStats>,
}

/// Does what the receiver decides.
pub(super) struct Worker {
    config: Arc<AmqpConfig>,
    checked: Checked,
    subscribe: SubscribeConfig,
    shared: Arc<Shared>,
    attempts: usize,
    opening: Option<Opening>,
    /// Of the attempt to get a link.
    meter: Meter,
    /// What it had moved when somebody looked last.
    seen: Moved,
    /// Queues and bindings were there when a link was opened last, and nothing says otherwise.
    is_known: bool,
    live: Option<Live>,
    /// What was said of the failure that the receiver is told of.
    said: Option<LinkFailure>,
    /// What something else will take the place of, by its tag, and who waits for that.
    held: BTreeMap<u64, (Box<Held>, Option<oneshot::Sender<()>>)>,
    letters: Outbox,
    /// Apart from the letters: a queue that is full holds back neither.
    copies: Outbox,
    counting: Option<Counting>,
    settling: Option<Settling>,
    /// Who waits until the broker has seen what is done.
    flushes: Vec<oneshot::Sender<()>>,
    /// The same, for what is being sent.
    flushed: Vec<oneshot::Sender<()>>,
    deliveries: mpsc::Sender<Delivery>,
    state: watch::Sender<LinkState>,
    stats: SubscriptionStats,
    tell_stats: watch::Sender<SubscriptionStats>,
}

impl Worker {
    pub(super) fn new(
        config: AmqpConfig,
        checked: Checked,
        subscribe: SubscribeConfig,
        ends: Ends,
    ) -> Self {
        let config = Arc::new(config);
        Self {
            letters: Outbox::new(Arc::clone(&config)),
            copies: Outbox::new(Arc::clone(&config)),
            config,
            checked,
            subscribe,
            shared: ends.shared,
            attempts: 0,
            opening: None,
            meter: Meter::default(),
            seen: Moved::default(),
            is_known: false,
            live: None,
            said: None,
            held: BTreeMap::new(),
            counting: None,
            settling: None,
            flushes: Vec::new(),
            flushed: Vec::new(),
            deliveries: ends.deliveries,
            state: ends.state,
            stats: SubscriptionStats::default(),
            tell_stats: ends.tell_stats,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut commands = Vec::with_capacity(GROUP);
        loop {
            self.tick();
            self.act();
            // What was asked for just now is published, and what that answers is acted on.
            self.replaced();
            self.act();
            self.show();
            self.tell_stats.send_if_modified(|told| {
                let news = *told != self.stats;
                *told = self.stats;
                news
            });
            let due = self.shared.lock().receiver.poll_timeout();
            let due = due.map(|at| self.shared.time(at));
            let room = self.deliveries.capacity().min(GROUP);
            let is_full = room == 0;
            let happened = {
                let deliveries = self.deliveries.clone();
                let live = self.live.as_mut();
                tokio::select! {
                    count = inbox.recv_many(&mut commands, GROUP) => Happened::Commands(count),
                    result = maybe(self.opening.as_mut()) => Happened::Opened(result),
                    result = maybe(self.settling.as_mut()) => Happened::Settled(result),
                    happened = next(live, room) => happened,
                    result = maybe(self.counting.as_mut()) => Happened::Counted(result),
                    () = self.letters.news() => Happened::Look,
                    () = self.copies.news() => Happened::Look,
                    () = self.shared.news.notified() => Happened::Look,
                    _ = deliveries.reserve(), if is_full => Happened::Look,
                    () = maybe(due.map(tokio::time::sleep_until)) => Happened::Look,
                }
            };
            match happened {
                // The subscription was dropped.
                Happened::Commands(0) => return,
                Happened::Commands(_) => {
                    commands.drain(..).for_each(|command| self.command(command));
                }
                Happened::Opened(Ok(live)) => {
                    self.opening = None;
                    self.is_known = true;
                    self.live = Some(live);
                    self.feed(Input::LinkUp);
                }
                Happened::Opened(Err(failure)) => {
                    self.is_known = false;
                    self.lost(failure);
                }
                Happened::Delivered(some) => {
                    for (index, queue, raw) in some {
                        self.deliver(index, queue, raw);
                    }
                }
                Happened::Settled(Ok(())) => {
                    self.settling = None;
                    self.feed(Input::Acknowledged);
                    for done in self.flushed.drain(..) {
                        // Nobody waits any more.
                        let _ = done.send(());
                    }
                }
                Happened::Settled(Err(error)) => self.lost(running(&error)),
                Happened::Counted(Ok(ready)) => {
                    self.counting = None;
                    self.feed(Input::Looked(ready));
                }
                Happened::Counted(Err(error)) => self.lost(running(&error)),
                Happened::Broken(failure) => self.lost(failure),
                Happened::Look => {}
            }
        }
    }

    /// Whether the receiver took it. What it refuses is an answer to what comes again.
    fn feed(&self, input: Input) -> bool {
        self.shared.feed(input).is_ok()
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Retry { name, after, held } => {
                let failures = held.failures;
                let input = Input::PutOff {
                    name,
                    after,
                    failures,
                };
                if self.feed(input) {
                    self.held.insert(name.tag, (held, None));
                }
            }
            Command::Reject { name, held, done } => {
                if self.feed(Input::Reject(name)) {
                    self.held.insert(name.tag, (held, done));
                }
            }
            Command::Flush(done) => {
                if self.feed(Input::Flush) {
                    self.flushes.push(done);
                }
            }
            Command::ConnectNow => {
                self.feed(Input::ConnectNow);
            }
        }
    }

    fn deliver(&mut self, index: usize, queue: Arc<str>, raw: Raw) {
        let tag = raw.delivery_tag;
        let link = self.shared.session();
        if !self.feed(Input::Delivered { queue: index, tag }) {
            return;
        }
        self.stats.delivered += 1;
        self.stats.redelivered += u64::from(raw.redelivered);
        // What the broker has counted since the last copy was made, and what that says.
        let [counted, noted] = ["x-delivery-count", FAILURES].map(|name| {
            let count = properties::number(&raw.properties, name);
            count.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
        });
        let failures = counted.saturating_add(noted);
        let body = Bytes::from(raw.data);
        let envelope = match properties::to_envelope(&raw.properties) {
            Ok(envelope) => envelope,
            Err(error) => {
                let held = Box::new(Held {
                    properties: raw.properties,
                    body,
                    queue,
                    failures,
                    reason: format!("no envelope: {error}"),
                });
                let name = Name { session: link, tag };
                let done = None;
                return self.command(Command::Reject { name, held, done });
            }
        };
        let delivery = Delivery {
            batch: Batch { envelope, body },
            redelivered: raw.redelivered || failures > 0,
            failures,
            properties: raw.properties,
            queue,
            link,
            tag,
            handed_out: None,
        };
        // Nobody was asked for a delivery without room for it.
        let _ = self.deliveries.try_send(delivery);
    }

    /// Tells the receiver what time it is, and first what moved until then.
    fn tick(&mut self) {
        let due = self.shared.lock().receiver.poll_timeout();
        if due.is_none_or(|due| due > self.shared.now()) {
            return;
        }
        let moved = self.meter.moved();
        if std::mem::replace(&mut self.seen, moved) != moved {
            self.feed(Input::Moved);
        }
        self.feed(Input::Tick);
    }

    /// Publishes dead letters and copies, and says what the broker has of them for good.
    fn replaced(&mut self) {
        let done = [self.letters.publish(), self.copies.publish()];
        for tag in done.into_iter().flatten() {
            self.feed(Input::Replaced { tag });
        }
    }

    fn act(&mut self) {
        loop {
            let output = self.shared.lock().receiver.poll_output();
            match output {
                None => return,
                Some(Output::Connect) => self.connect(),
                Some(Output::Disconnect(error)) => {
                    let said = self.said.take().filter(|said| said.error == error);
                    self.let_go(said.unwrap_or_else(|| error.into()));
                }
                Some(Output::Acknowledge {
                    acks,
                    barrier,
                    deliveries,
                }) => self.acknowledge(acks, barrier, deliveries),
                Some(Output::Replace { tag, by }) => self.replace(tag, by),
                Some(Output::Look) => {
                    if let Some(live) = &self.live {
                        let channel = live.link.channel.clone();
                        self.counting = Some(Box::pin(count(Arc::clone(&self.config), channel)));
                    }
                }
            }
        }
    }

    fn connect(&mut self) {
        tell_connecting(&self.state);
        self.meter = Meter::default();
        self.seen = Moved::default();
        self.opening = Some(Box::pin(open(
            Arc::clone(&self.config),
            self.checked.clone(),
            self.subscribe.clone(),
            self.attempts,
            self.is_known,
            self.meter.clone(),
        )));
        self.attempts += 1;
        self.stats.connects += 1;
    }

    fn acknowledge(&mut self, acks: Vec<(u64, bool)>, barrier: bool, deliveries: usize) {
        let Some(live) = &self.live else {
            return;
        };
        self.stats.acknowledged += deliveries as u64;
        self.stats.process = self.shared.lock().process;
        let barrier = barrier.then(|| {
            self.flushed = std::mem::take(&mut self.flushes);
            name(&self.config.topology.queue(0))
        });
        self.settling = Some(Box::pin(send(live.link.channel.clone(), acks, barrier)));
    }

    fn replace(&mut self, tag: u64, by: Place) {
        let Some((held, done)) = self.held.remove(&tag) else {
            return;
        };
        match by {
            Place::Queue => {
                self.stats.retried += 1;
                self.copies.push(tag, Box::new(held.copy()));
            }
            Place::Rejected | Place::FailedTooOften => {
                self.stats.rejected += 1;
                let dlx = name(&self.config.topology.dead_letter_exchange());
                self.letters.push(tag, Box::new(held.letter(dlx)));
                done.into_iter()
                    .for_each(|done| self.letters.tell(tag, done));
            }
        }
    }

    /// What the link is worth is for the receiver to say; what was said about it is kept.
    fn lost(&mut self, failure: LinkFailure) {
        let error = failure.error;
        self.said = Some(failure);
        self.feed(Input::Failed(error));
    }

    /// Forgets the link, or the attempt to get one.
    fn let_go(&mut self, reason: LinkFailure) {
        self.stats.reconnects.count(&reason.error);
        self.opening = None;
        self.live = None;
        self.settling = None;
        self.counting = None;
        self.flushes.clear();
        self.flushed.clear();
        self.held.clear();
        self.letters.clear();
        self.copies.clear();
        tell(&self.state, LinkState::after(reason));
    }

    /// Says how the link in use is. Where dead letters or copies cannot be published, what they
    /// settle holds its place, so their alarm is this subscription's.
    fn show(&self) {
        if self.live.is_none() {
            return;
        }
        let full = || {
            let reason = SendError::DeadLettersFull.into();
            self.letters
                .is_refused()
                .then_some(LinkState::Alarm { reason })
        };
        let alarm = self.letters.alarm().or_else(full);
        let alarm = alarm.or_else(|| self.copies.alarm());
        tell(&self.state, alarm.unwrap_or(LinkState::Up));
    }
}

/// What a failure after the opening means: a channel that took too long is closed as if a queue
/// were another one.
fn running(error: &lapin::Error) -> LinkFailure {
    let mut failure = LinkFailure::from(error);
    if failure.error == SendError::TopologyMismatch {
        failure.error = SendError::LinkLost;
    }
    failure
}

/// Sends acknowledgements. AMQP does not answer them: a question after them is answered when the
/// broker has seen them.
async fn send(
    channel: Channel,
    acks: Vec<(u64, bool)>,
    barrier: Option<ShortString>,
) -> lapin::Result<()> {
    for (tag, multiple) in acks {
        channel.basic_ack(tag, BasicAckOptions { multiple }).await?;
    }
    if let Some(queue) = barrier {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let asked = channel.queue_declare(queue, options, FieldTable::default());
        asked.await?;
    }
    Ok(())
}

/// Messages that are ready in each queue.
async fn count(config: Arc<AmqpConfig>, channel: Channel) -> lapin::Result<Vec<u32>> {
    let calls = (0..config.topology.queues).map(|index| -> Call<'_, u32> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = name(&config.topology.queue(index));
        let found = channel.queue_declare(queue, options, FieldTable::default());
        Box::pin(async move { Ok(found.await?.message_count()) })
    });
    pipelined(calls.collect()).await
}

async fn open(
    config: Arc<AmqpConfig>,
    checked: Checked,
    subscribe: SubscribeConfig,
    attempt: usize,
    is_known: bool,
    meter: Meter,
) -> Result<Live, LinkFailure> {
    let link = Link::open(&config, &checked, attempt, is_known, &meter).await?;
    Ok(Live {
        consumers: consume(&config, &subscribe, &link.channel).await?,
        events: Box::pin(link.connection.events_listener()),
        link,
        turn: 0,
    })
}

async fn consume(
    config: &AmqpConfig,
    subscribe: &SubscribeConfig,
    channel: &Channel,
) -> lapin::Result<Vec<(Arc<str>, Consumer)>> {
    let prefetch = subscribe.prefetch.max(1);
    // The broker reads in order: the limit is in force before it looks at the first queue.
    let mut calls: Vec<Call<'_, Option<Consumer>>> = vec![Box::pin(async move {
        let limited = channel.basic_qos(prefetch, BasicQosOptions::default());
        limited.await.map(|()| None)
    })];
    let mut queues: Vec<Arc<str>> = Vec::new();
    for index in 0..config.topology.queues {
        let queue = config.topology.queue(index);
        let mut arguments = FieldTable::default();
        let priority = priority(&subscribe.worker, &queue);
        arguments.insert("x-priority".into(), priority.into());
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(name(&queue), "".into(), options, arguments);
        calls.push(Box::pin(async move { consumer.await.map(Some) }));
        queues.push(queue.into());
    }
    let consumers = pipelined(calls).await?.into_iter().flatten();
    Ok(queues.into_iter().zip(consumers).collect())
}

/// Which worker has a queue: the one with the highest number, another one for each queue.
fn priority(worker: &str, queue: &str) -> i32 {
    let hash = hash(worker.bytes().chain([0]).chain(queue.bytes()));
    i32::from((hash ^ (hash >> 16)) as u16 >> 1)
}

/// The next deliveries of any queue, in turn, as many as there are and `room` is for; or what ends
/// the link.
async fn next(live: Option<&mut Live>, room: usize) -> Happened {
    let Some(live) = live else {
        return pending().await;
    };
    std::future::poll_fn(|cx| {
        while let Poll::Ready(event) = live.events.as_mut().poll_next(cx) {
            match event {
                Some(Event::Error(error)) => return Poll::Ready(Happened::Broken(running(&error))),
                None => return Poll::Ready(Happened::Broken(SendError::LinkLost.into())),
                Some(_) => {}
            }
        }
        let mut some = Vec::new();
        let count = live.consumers.len();
        let mut idle = 0;
        while some.len() < room && idle < count {
            live.turn = (live.turn + 1) % count;
            let (queue, consumer) = &mut live.consumers[live.turn];
            match Pin::new(consumer).poll_next(cx) {
                Poll::Ready(Some(Ok(raw))) => {
                    idle = 0;
                    some.push((live.turn, Arc::clone(queue), raw));
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Happened::Broken(running(&error)));
                }
                // The queue was deleted: a new link declares it.
                Poll::Ready(None) => {
                    return Poll::Ready(Happened::Broken(SendError::LinkLost.into()));
                }
                Poll::Pending => idle += 1,
            }
        }
        match some.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Happened::Delivered(some)),
        }
    })
    .await
}
