//! The task behind a subscription: connects, hands out, settles.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream as _;
use lapin::message::Delivery as Raw;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer, Event};
use telemetry_core::{Batch, Instant as Moment};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::outbox::Outbox;
use super::{Command, Delivery, FAILURES, SubscribeConfig, hash, letter};
use crate::SendError;
use crate::amqp::acks::{Acks, SharedAcks};
use crate::amqp::config::{AmqpConfig, Checked};
use crate::amqp::link::{Link, LinkFailure, LinkState, tell, tell_connecting};
use crate::amqp::meter::{Meter, Moved};
use crate::amqp::publisher::maybe;
use crate::amqp::stats::SubscriptionStats;
use crate::amqp::topology::{Call, name, pipelined};
use crate::amqp::{Message, properties};
use crate::dial::{Dial, Due};
use crate::sender::backoff::Random;
use crate::watchdog::{Look, Watchdog};

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
    delivered: bool,
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
    pub(super) acks: Arc<SharedAcks>,
    pub(super) deliveries: mpsc::Sender<Delivery>,
    pub(super) state: watch::Sender<LinkState>,
    pub(super) tell_stats: watch::Sender<SubscriptionStats>,
}

pub(super) struct Worker {
    config: Arc<AmqpConfig>,
    checked: Checked,
    subscribe: SubscribeConfig,
    random: Random,
    start: Instant,
    dial: Dial,
    attempts: usize,
    opening: Option<Opening>,
    /// Of the attempt to get a link.
    meter: Meter,
    /// What it had moved when somebody looked last.
    seen: Moved,
    /// Queues and bindings were there when a link was opened last, and nothing says otherwise.
    is_known: bool,
    live: Option<Live>,
    acks: Arc<SharedAcks>,
    flush_at: Option<Instant>,
    /// Copies of what is put off, by when they are published and the delivery that they settle.
    retries: BTreeMap<(Instant, u64), Box<Message>>,
    letters: Outbox,
    /// Apart from the letters: a queue that is full holds back neither.
    copies: Outbox,
    watchdog: Watchdog,
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
            random: Random::new(RandomState::new().hash_one(0)),
            letters: Outbox::new(Arc::clone(&config)),
            copies: Outbox::new(Arc::clone(&config)),
            watchdog: Watchdog::new(subscribe.watchdog, config.topology.queues),
            counting: None,
            config,
            checked,
            subscribe,
            start: Instant::now(),
            dial: Dial::new(),
            attempts: 0,
            opening: None,
            meter: Meter::default(),
            seen: Moved::default(),
            is_known: false,
            live: None,
            acks: ends.acks,
            flush_at: None,
            retries: BTreeMap::new(),
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
            let now = Instant::now();
            self.connect();
            self.publish(now);
            self.settle(now);
            self.watch();
            self.show();
            self.tell_stats.send_if_modified(|told| {
                let news = *told != self.stats;
                *told = self.stats;
                news
            });
            let cores = [self.dial.poll_timeout(), self.watchdog.poll_timeout()];
            let start = self.start;
            let time = |at: Moment| start + Duration::from_nanos(at.as_nanos());
            let [dial, watchdog] = cores.map(|at| at.map(time));
            let due = [
                dial,
                self.flush_at.filter(|_| self.settling.is_none()),
                self.retries.first_key_value().map(|((at, _), _)| *at),
                watchdog,
            ];
            let due = due.into_iter().flatten().min();
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
                    () = self.acks.news.notified() => Happened::Look,
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
                    self.dial.up();
                    self.watchdog.link_up(moment(self.start));
                    self.acks.lock().link += 1;
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
                Happened::Settled(result) => {
                    self.settling = None;
                    match result {
                        Ok(()) => self.flushed.drain(..).for_each(|done| {
                            // Nobody waits any more.
                            let _ = done.send(());
                        }),
                        Err(error) => self.lost(running(&error)),
                    }
                }
                Happened::Counted(Ok(ready)) => self.counted(&ready),
                Happened::Counted(Err(error)) => self.lost(running(&error)),
                Happened::Broken(failure) => self.lost(failure),
                Happened::Look => {}
            }
        }
    }

    fn command(&mut self, command: Command) {
        let mut current = self.acks.lock();
        match command {
            Command::Retry {
                link,
                tag,
                at,
                copy,
            } if link == current.link && current.acks.put_off(tag) => {
                self.retries.insert((at, tag), copy);
                self.stats.retried += 1;
            }
            Command::Reject {
                link,
                tag,
                letter,
                done,
            } if link == current.link && current.acks.put_off(tag) => {
                self.letters.push(tag, letter);
                done.into_iter()
                    .for_each(|done| self.letters.tell(tag, done));
                self.stats.rejected += 1;
            }
            Command::Flush(done) if self.live.is_some() => self.flushes.push(done),
            Command::ConnectNow => self.dial.connect_now(moment(self.start)),
            // The delivery of an older link comes again.
            _ => {}
        }
    }

    fn deliver(&mut self, index: usize, queue: Arc<str>, raw: Raw) {
        let tag = raw.delivery_tag;
        let link = {
            let mut current = self.acks.lock();
            current.acks.delivered(tag, index);
            current.link
        };
        self.watchdog.delivered(index);
        self.stats.delivered += 1;
        self.stats.redelivered += u64::from(raw.redelivered);
        if let Some(live) = &mut self.live
            && !std::mem::replace(&mut live.delivered, true)
        {
            self.dial.worked();
        }
        let body = Bytes::from(raw.data);
        let envelope = match properties::to_envelope(&raw.properties) {
            Ok(envelope) => envelope,
            Err(error) => {
                let reason = format!("no envelope: {error}");
                let dlx = name(&self.config.topology.dead_letter_exchange());
                let letter = letter(dlx, &raw.properties, body, &queue, &reason);
                let done = None;
                return self.command(Command::Reject {
                    link,
                    tag,
                    letter,
                    done,
                });
            }
        };
        // What the broker has counted since the last copy was made, and what that says.
        let [counted, noted] = ["x-delivery-count", FAILURES].map(|name| {
            let count = properties::number(&raw.properties, name);
            count.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
        });
        let failures = counted.saturating_add(noted);
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

    /// Publishes dead letters and copies, and takes as done what the broker has of them for good.
    fn publish(&mut self, now: Instant) {
        while let Some(due) = self.retries.first_entry()
            && due.key().0 <= now
        {
            let ((_, tag), copy) = due.remove_entry();
            self.copies.push(tag, copy);
        }
        let done = [self.letters.publish(), self.copies.publish()];
        let mut current = self.acks.lock();
        let done = done.iter().flatten();
        done.for_each(|tag| current.acks.replaced(*tag));
    }

    /// Acknowledges what is done.
    fn settle(&mut self, now: Instant) {
        let Some(live) = &self.live else {
            return;
        };
        if self.settling.is_some() {
            return;
        }
        let mut current = self.acks.lock();
        let waiting = current.acks.waiting();
        if waiting > 0 {
            let at = now + self.subscribe.ack_delay;
            self.flush_at.get_or_insert(at);
        }
        let many = waiting >= self.subscribe.ack_batches || !self.flushes.is_empty();
        let acks = match waiting > 0 && (many || self.flush_at.is_some_and(|at| at <= now)) {
            true => {
                self.flush_at = None;
                self.stats.acknowledged += waiting as u64;
                self.stats.process = current.process;
                current.acks.flush()
            }
            false => Vec::new(),
        };
        drop(current);
        let waits = !self.flushes.is_empty();
        if !acks.is_empty() || waits {
            let barrier = waits.then(|| name(&self.config.topology.queue(0)));
            self.flushed = std::mem::take(&mut self.flushes);
            self.settling = Some(Box::pin(send(live.link.channel.clone(), acks, barrier)));
        }
    }

    /// Begins an attempt to connect, or ends one, when that is due.
    fn connect(&mut self) {
        let (now, limits) = (moment(self.start), self.config.limits);
        if self.dial.poll_timeout().is_some_and(|due| due <= now) {
            let moved = self.meter.moved();
            if std::mem::replace(&mut self.seen, moved) != moved {
                self.dial.moved(now, &limits);
            }
        }
        match self.dial.tick(now, &limits, &mut self.random) {
            Some(Due::Connect) => {
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
            Some(Due::GiveUp(error)) => self.let_go(error.into()),
            None => {}
        }
    }

    fn lost(&mut self, failure: LinkFailure) {
        let (now, limits) = (moment(self.start), self.config.limits);
        self.dial
            .lost(now, failure.error, &limits, &mut self.random);
        self.let_go(failure);
    }

    /// Forgets the link, or the attempt to get one.
    fn let_go(&mut self, reason: LinkFailure) {
        self.stats.reconnects.count(&reason.error);
        self.opening = None;
        self.live = None;
        self.settling = None;
        self.flushes.clear();
        self.flushed.clear();
        {
            let mut current = self.acks.lock();
            current.acks = Acks::default();
            current.link += 1;
        }
        self.flush_at = None;
        self.retries.clear();
        self.letters.clear();
        self.copies.clear();
        self.counting = None;
        self.watchdog.link_down();
        tell(&self.state, LinkState::after(reason));
    }

    /// Looks at the queues when that is due.
    fn watch(&mut self) {
        if let Some(live) = &self.live
            && self.watchdog.tick(moment(self.start))
        {
            let channel = live.link.channel.clone();
            self.counting = Some(Box::pin(count(Arc::clone(&self.config), channel)));
        }
    }

    fn counted(&mut self, ready: &[u32]) {
        self.counting = None;
        let prefetch = usize::from(self.subscribe.prefetch.max(1));
        let looks: Vec<Look> = {
            let current = self.acks.lock();
            let looks = ready.iter().enumerate().map(|(queue, ready)| Look {
                ready: *ready,
                has_room: current.acks.open_of(queue) < prefetch,
            });
            looks.collect()
        };
        if let Some((_, ready)) = self.watchdog.seen(moment(self.start), &looks) {
            self.lost(SendError::QueueSilent { ready }.into());
        }
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

/// A task's time as cores take it.
fn moment(start: Instant) -> Moment {
    let nanos = start.elapsed().as_nanos();
    Moment::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
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
        delivered: false,
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
