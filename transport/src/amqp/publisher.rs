//! Publishing: one task owns a link, and does what the [`Sender`] says.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, pending};
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use lapin::options::ConfirmSelectOptions;
use lapin::{BasicProperties, Event};
use telemetry_core::{Batch, Epoch, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::config::{AmqpConfig, Checked, ConfigError};
use super::flight::Flight;
use super::link::{Link, LinkFailure, LinkState, tell, tell_connecting};
use super::meter::{Meter, Moved};
use super::stats::PublisherStats;
use super::topology::name;
use super::{Message, properties};
use crate::sender::outgoing::{Outgoing, Task};
use crate::{BatchId, SendError, SenderInput};

/// Batches that are handed over and published together: one hand-off to the socket for all.
const GROUP: usize = 16;

/// Publishes batches to RabbitMQ until each is confirmed.
///
/// A task owns the connection: it connects again, publishes again and repairs the topology by
/// itself. Keep a batch, or the spool's record of it, until [`confirmed`](Self::confirmed) has
/// reached its name; dropping the publisher ends the task and forgets what is not confirmed.
///
/// It serves one spool at a time and may outlive it: the batches of the spool's next opening are
/// taken as soon as one is offered, and a confirmation names the opening that it is for.
///
/// Clones share the task and its window; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Publisher {
    ends: Arc<Ends>,
}

/// What reaches the task, and what it tells.
#[derive(Debug)]
struct Ends {
    offers: mpsc::Sender<Offer>,
    commands: mpsc::Sender<Command>,
    /// The batch handed over last: its lock keeps names in order on their way to the task.
    offered: watch::Sender<Option<BatchId>>,
    confirmed: watch::Receiver<Option<BatchId>>,
    refused: watch::Receiver<Refusals>,
    link: watch::Receiver<LinkState>,
    stats: watch::Receiver<PublisherStats>,
    checked: Checked,
    exchange: lapin::types::ShortString,
    task: JoinHandle<()>,
}

/// A batch that is handed over. It waits in the channel while the window is full.
#[derive(Debug)]
struct Offer {
    id: BatchId,
    message: Box<Message>,
}

/// What does not wait for the window.
#[derive(Clone, Copy, Debug)]
enum Command {
    SetAside { id: BatchId },
    ConnectNow,
}

/// A batch that the broker never takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name.
    pub id: BatchId,
    /// Its size in bytes.
    pub bytes: usize,
    /// The largest size that the broker takes.
    pub limit: usize,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, bytes, limit } = self;
        write!(
            f,
            "batch {id} has {bytes} bytes, the broker takes at most {limit}"
        )
    }
}

/// What a broker refuses for good.
#[derive(Clone, Debug)]
struct Refusals {
    /// The largest body that it takes, as far as is known.
    limit: usize,
    /// Batches that wait to be set aside; of those in the window.
    batches: Vec<Refused>,
}

/// A batch that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// The broker takes no message of this size: split the batch, or keep it elsewhere.
    #[error("the batch has {bytes} bytes, the broker takes at most {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size that the broker takes.
        limit: usize,
    },
    /// The window is full: wait for a confirmation.
    #[error("the window is full; wait for a confirmation")]
    Full,
    /// AMQP carries a content type of at most 255 bytes.
    #[error("the content type has {len} bytes, AMQP carries at most 255")]
    ContentType {
        /// Its length in bytes.
        len: usize,
    },
    /// The batch was offered before: within an opening, names have to grow. It is not taken again.
    #[error("batch {id} is offered after batch {last}; names have to grow")]
    Name {
        /// Name of the batch.
        id: BatchId,
        /// Name of the batch that was offered last.
        last: BatchId,
    },
    /// Batches of another opening are published now. The spool hands out again, under the same
    /// names, what of this one is not confirmed.
    #[error("opening {opening} is over: the publisher serves another one now")]
    OpeningOver {
        /// The opening that was asked about.
        opening: Epoch,
    },
    /// The task ended, with its runtime.
    #[error("the publisher's task ended with its runtime; start another")]
    Ended,
}

telemetry_core::error_codes!(OfferError {
    Full => 3070,
    ContentType { .. } => 3071,
    Ended => 3072,
    Name { .. } => 3073,
    OpeningOver { .. } => 3074,
    TooLarge { .. } => 3075,
});

impl Publisher {
    /// Checks the configuration and starts the task on the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(config: AmqpConfig) -> Result<Self, ConfigError> {
        let checked = config.check()?;
        let (offers, inbox) = mpsc::channel(GROUP);
        let (commands, orders) = mpsc::channel(GROUP);
        let (confirmed_tx, confirmed) = watch::channel(None);
        let (refused_tx, refused) = watch::channel(Refusals {
            limit: config.message_bytes_max,
            batches: Vec::new(),
        });
        let (state, link) = watch::channel(LinkState::default());
        let (stats_tx, stats) = watch::channel(PublisherStats::default());
        let exchange = name(&config.topology.exchange());
        let seed = RandomState::new().hash_one(0);
        let owner = Owner {
            outgoing: Outgoing::new(config.limits, seed),
            config: Arc::new(config),
            checked: checked.clone(),
            start: tokio::time::Instant::now(),
            attempts: 0,
            is_known: false,
            meter: Meter::default(),
            seen: Moved::default(),
            link: None,
            said: None,
            confirmed: confirmed_tx,
            refused: refused_tx,
            state,
            stats: PublisherStats::default(),
            tell_stats: stats_tx,
        };
        let ends = Ends {
            offers,
            commands,
            offered: watch::Sender::default(),
            confirmed,
            refused,
            link,
            stats,
            checked,
            exchange,
            task: tokio::spawn(owner.run(inbox, orders)),
        };
        Ok(Self {
            ends: Arc::new(ends),
        })
    }

    /// Hands a batch over under a name larger than the one before in its opening, e.g.
    /// `SpooledBatch::id`; waits while the window is full and a few more wait for it.
    ///
    /// Cancel safe: a batch is handed over whole, or not at all.
    pub async fn offer(&self, id: BatchId, batch: &Batch) -> Result<(), OfferError> {
        let message = self.message(batch)?;
        self.offer_message(id, Box::new(message)).await
    }

    /// Hands a batch over if there is room for it.
    pub fn try_offer(&self, id: BatchId, batch: &Batch) -> Result<(), OfferError> {
        let message = Box::new(self.message(batch)?);
        self.try_offer_message(id, message)
            .map_err(|(error, _)| error)
    }

    /// Hands a message over, or gives it back.
    pub(super) fn try_offer_message(
        &self,
        id: BatchId,
        message: Box<Message>,
    ) -> Result<(), (OfferError, Box<Message>)> {
        match self.ends.offers.try_reserve() {
            Ok(permit) => self.hand_over(permit, id, message),
            Err(mpsc::error::TrySendError::Full(())) => Err((OfferError::Full, message)),
            Err(mpsc::error::TrySendError::Closed(())) => Err((OfferError::Ended, message)),
        }
    }

    /// The one place where names enter: what the task gets has names that grow.
    fn hand_over(
        &self,
        permit: mpsc::Permit<'_, Offer>,
        id: BatchId,
        message: Box<Message>,
    ) -> Result<(), (OfferError, Box<Message>)> {
        let mut refused = None;
        self.ends.offered.send_if_modified(|last| {
            if let Some(last) = last.filter(|last| id <= *last) {
                refused = Some((OfferError::Name { id, last }, message));
                return false;
            }
            permit.send(Offer { id, message });
            // Who waits for a batch hears of another opening, and not of each batch.
            let before = last.replace(id);
            before.is_none_or(|before| before.opening != id.opening)
        });
        refused.map_or(Ok(()), Err)
    }

    fn message(&self, batch: &Batch) -> Result<Message, OfferError> {
        let len = batch.envelope.content_type.len();
        let (bytes, limit) = (batch.body.len(), self.ends.refused.borrow().limit);
        if bytes > limit {
            return Err(OfferError::TooLarge { bytes, limit });
        }
        Ok(Message {
            properties: properties::from_envelope(&batch.envelope)
                .ok_or(OfferError::ContentType { len })?,
            body: batch.body.clone(),
            ..self.blank()
        })
    }

    /// A message to where batches go, with nothing in it.
    pub(super) fn blank(&self) -> Message {
        Message {
            exchange: self.ends.exchange.clone(),
            routing_key: self.ends.checked.routing_key.clone(),
            properties: BasicProperties::default(),
            body: Bytes::new(),
        }
    }

    pub(super) async fn offer_message(
        &self,
        id: BatchId,
        message: Box<Message>,
    ) -> Result<(), OfferError> {
        let permit = self.ends.offers.reserve().await;
        let permit = permit.map_err(|_| OfferError::Ended)?;
        self.hand_over(permit, id, message)
            .map_err(|(error, _)| error)
    }

    /// Waits until a message may be handed over.
    pub(super) async fn room(&self) {
        // Its end shows when something is handed over.
        let _ = self.ends.offers.reserve().await;
    }

    /// Name of the last batch that is confirmed together with all offered before it.
    ///
    /// A batch of a spool's opening is confirmed where `batch.id <= confirmed`: ids of two openings
    /// have no order.
    pub fn confirmed(&self) -> watch::Receiver<Option<BatchId>> {
        self.ends.confirmed.clone()
    }

    /// Waits until a batch is known that the broker never takes, and that was offered before anybody
    /// could know. The others go on. Keep it elsewhere, and [set it aside](Self::set_aside): until
    /// then nothing counts as confirmed beyond it. Cancel safe.
    pub async fn refused(&self) -> Result<Refused, OfferError> {
        let mut refused = self.ends.refused.clone();
        let some = refused
            .wait_for(|refused| !refused.batches.is_empty())
            .await;
        let some = some.map_err(|_| OfferError::Ended)?;
        some.batches.first().copied().ok_or(OfferError::Ended)
    }

    /// Says that somebody keeps a [refused](Self::refused) batch elsewhere.
    pub async fn set_aside(&self, id: BatchId) -> Result<(), OfferError> {
        let sent = self.ends.commands.send(Command::SetAside { id }).await;
        sent.map_err(|_| OfferError::Ended)?;
        let mut refused = self.ends.refused.clone();
        let gone = |refused: &Refusals| refused.batches.iter().all(|batch| batch.id != id);
        let gone = refused.wait_for(gone).await;
        gone.map(drop).map_err(|_| OfferError::Ended)
    }

    /// Waits until batches of another opening are offered.
    pub(crate) async fn opening_over(&self, opening: Epoch) -> OfferError {
        let mut offered = self.ends.offered.subscribe();
        let is_other = |last: &Option<BatchId>| last.is_some_and(|last| last.opening != opening);
        // Its sender lives in `self`.
        let _ = offered.wait_for(is_other).await;
        OfferError::OpeningOver { opening }
    }

    /// What the link does.
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.ends.link.clone()
    }

    /// Counts since the start.
    pub fn stats(&self) -> PublisherStats {
        *self.ends.stats.borrow()
    }

    /// A way to the counts that outlives the publisher, e.g. for metrics.
    pub fn watch_stats(&self) -> watch::Receiver<PublisherStats> {
        self.ends.stats.clone()
    }

    /// Connects without waiting for the delay in force, e.g. because what [`LinkState::Alarm`] told
    /// of is corrected.
    pub async fn connect_now(&self) {
        // A task that ended has nothing to connect.
        let _ = self.ends.commands.send(Command::ConnectNow).await;
    }

    /// Waits until everything up to the name of a batch that was offered is confirmed.
    ///
    /// Fails where batches of another opening are offered meanwhile, and where the broker never takes
    /// one of them, as long as that is not set aside. Cancel safe.
    pub async fn wait_confirmed(&self, id: BatchId) -> Result<(), OfferError> {
        let (mut confirmed, mut refused) = (self.ends.confirmed.clone(), self.ends.refused.clone());
        let is_before = |batch: &&Refused| batch.id <= id;
        let never = refused.wait_for(|refused| refused.batches.iter().any(|b| is_before(&b)));
        tokio::select! {
            biased;
            reached = confirmed.wait_for(|done| done.is_some_and(|done| id <= done)) => {
                reached.map(drop).map_err(|_| OfferError::Ended)
            }
            never = never => Err(match never {
                Ok(refused) => match refused.batches.iter().find(is_before) {
                    Some(&Refused { bytes, limit, .. }) => OfferError::TooLarge { bytes, limit },
                    None => OfferError::Ended,
                },
                Err(_) => OfferError::Ended,
            }),
            over = self.opening_over(id.opening) => Err(over),
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Live, LinkFailure>> + Send>>;
type Repair = Pin<Box<dyn Future<Output = Result<(), LinkFailure>> + Send>>;
type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// A link in use.
struct Live {
    link: Link,
    flight: Flight,
    events: Events,
    repair: Option<Repair>,
}

enum Happened {
    Offers(usize),
    Command(Option<Command>),
    Opened(Result<Live, LinkFailure>),
    Event(Option<Event>),
    Repaired(Result<(), LinkFailure>),
    Answers,
    Time,
}

/// A message that is not confirmed.
struct Offered {
    message: Box<Message>,
    /// When it was published last.
    published: Instant,
}

struct Owner {
    config: Arc<AmqpConfig>,
    checked: Checked,
    /// What is offered and not confirmed, and what to do about it.
    outgoing: Outgoing<Offered>,
    start: tokio::time::Instant,
    attempts: usize,
    /// Queues and bindings were there when a link was opened last, and nothing says otherwise.
    is_known: bool,
    /// Of the link, or the attempt to get one.
    meter: Meter,
    /// What it had moved when somebody looked last.
    seen: Moved,
    link: Option<Live>,
    /// What was said of the failure that the sender is told of.
    said: Option<LinkFailure>,
    confirmed: watch::Sender<Option<BatchId>>,
    refused: watch::Sender<Refusals>,
    state: watch::Sender<LinkState>,
    stats: PublisherStats,
    tell_stats: watch::Sender<PublisherStats>,
}

/// Bytes that a message takes of the window.
fn cost(message: &Message) -> usize {
    // Headers, and what AMQP adds.
    message.body.len() + 1024
}

impl Owner {
    fn now(&self) -> Instant {
        let nanos = self.start.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Offer>, mut orders: mpsc::Receiver<Command>) {
        let mut opening: Option<Opening> = None;
        let mut offers = Vec::with_capacity(GROUP);
        // Handed over, and waiting for room.
        let mut waiting = VecDeque::<(BatchId, Box<Message>)>::with_capacity(GROUP);
        loop {
            while let Some((id, message)) = waiting.front()
                && self.outgoing.has_room(id.opening, cost(message))
                && let Some((id, message)) = waiting.pop_front()
            {
                self.offer(id, message);
            }
            self.act(&mut opening);
            self.stats.window = self.outgoing.iter().len() as u64;
            self.tell_stats.send_replace(self.stats);
            let due = self.outgoing.poll_timeout();
            let happened = {
                let link = self.link.as_mut();
                let (events, repair, answers) = match link {
                    Some(live) => (
                        Some(&mut live.events),
                        live.repair.as_mut(),
                        Some(live.flight.news()),
                    ),
                    None => (None, None, None),
                };
                let start = self.start;
                tokio::select! {
                    () = maybe(answers) => Happened::Answers,
                    event = next_event(events) => Happened::Event(event),
                    result = maybe(repair) => Happened::Repaired(result),
                    result = maybe(opening.as_mut()) => Happened::Opened(result),
                    count = inbox.recv_many(&mut offers, GROUP), if waiting.is_empty() => {
                        Happened::Offers(count)
                    }
                    order = orders.recv() => Happened::Command(order),
                    () = sleep_until(start, due) => Happened::Time,
                }
            };
            self.look();
            match happened {
                // The publisher was dropped.
                Happened::Offers(0) | Happened::Command(None) => return,
                Happened::Offers(_) => {
                    waiting.extend(offers.drain(..).map(|Offer { id, message }| (id, message)));
                }
                Happened::Command(Some(Command::SetAside { id })) => {
                    self.feed(SenderInput::SetAside { id });
                    let refused = &self.refused;
                    refused.send_modify(|refused| refused.batches.retain(|b| b.id != id));
                }
                Happened::Command(Some(Command::ConnectNow)) => {
                    self.feed(SenderInput::ConnectNow);
                }
                Happened::Opened(result) => {
                    opening = None;
                    self.is_known = result.is_ok();
                    match result {
                        Ok(live) => {
                            self.link = Some(live);
                            self.feed(SenderInput::LinkUp);
                            tell(&self.state, LinkState::Up);
                        }
                        Err(failure) => self.failed(failure),
                    }
                }
                Happened::Event(event) => self.event(event),
                Happened::Repaired(result) => {
                    if let Some(live) = &mut self.link {
                        live.repair = None;
                    }
                    if let Err(failure) = result {
                        self.failed(failure);
                    }
                }
                Happened::Answers => {
                    if let Some(live) = &mut self.link {
                        let (inputs, broken) = live.flight.settle();
                        inputs.into_iter().for_each(|input| self.feed(input));
                        // Last: it ends all the others.
                        broken.into_iter().for_each(|failure| self.failed(failure));
                    }
                }
                Happened::Time => self.feed(SenderInput::Tick),
            }
        }
    }

    /// Says what the link has moved since the last turn: a turn comes at the latest when the link
    /// would count as dead.
    fn look(&mut self) {
        let now = self.meter.moved();
        let seen = std::mem::replace(&mut self.seen, now);
        if now.sent != seen.sent {
            self.feed(SenderInput::Progress);
        } else if now.received != seen.received {
            self.feed(SenderInput::Heard);
        }
    }

    /// Offers a batch that there is room for.
    fn offer(&mut self, id: BatchId, message: Box<Message>) {
        let bytes = cost(&message);
        let published = self.now();
        let offered = Offered { message, published };
        let taken = self.outgoing.offer(published, id, bytes, offered);
        // A batch that is dropped here would count as confirmed with the next one.
        assert_eq!(
            taken,
            Ok(()),
            "names were compared where they were handed over"
        );
    }

    /// A refused input is an answer to an attempt that is over.
    fn feed(&mut self, input: SenderInput) {
        let mut published = None;
        match input {
            SenderInput::Failed(SendError::Nacked { .. }) => self.stats.refused += 1,
            SenderInput::Failed(SendError::Returned { .. }) => self.stats.returned += 1,
            SenderInput::Blocked => self.stats.set_blocked(true),
            SenderInput::Unblocked => self.stats.set_blocked(false),
            SenderInput::Confirmed { id, .. } => {
                published = self.outgoing.get(id).map(|offered| offered.published);
            }
            _ => {}
        }
        let now = self.now();
        // What is taken as confirmed is the last attempt.
        let is_taken = self.outgoing.handle_input(now, input).is_ok();
        if let SenderInput::SetAside { id } = input {
            self.refused
                .send_modify(|refused| refused.batches.retain(|b| b.id != id));
        }
        if is_taken && let Some(published) = published {
            let took = now.saturating_since(published);
            self.stats.confirm.record_duration(took);
        }
    }

    fn act(&mut self, opening: &mut Option<Opening>) {
        loop {
            // What is declared again has to be there before what is published next.
            if self.link.as_ref().is_some_and(|live| live.repair.is_some()) {
                return;
            }
            let now = self.now();
            let Some(task) = self.outgoing.poll() else {
                return;
            };
            match task {
                Task::Connect => {
                    tell_connecting(&self.state);
                    let (config, checked) = (Arc::clone(&self.config), self.checked.clone());
                    let attempt = self.attempts;
                    self.meter = Meter::default();
                    self.seen = Moved::default();
                    self.attempts += 1;
                    self.stats.connects += 1;
                    *opening = {
                        let meter = self.meter.clone();
                        Some(Box::pin(open(
                            config,
                            checked,
                            attempt,
                            self.is_known,
                            meter,
                        )))
                    };
                }
                Task::Disconnect(reason) => {
                    self.give_up(&reason, opening);
                    let said = self.said.take().filter(|said| said.error == reason);
                    let reason = said.unwrap_or_else(|| reason.into());
                    tell(&self.state, LinkState::after(reason));
                }
                Task::RepairTopology => {
                    if let Some(live) = &mut self.link
                        && self.config.declare
                    {
                        let (config, meter) = (Arc::clone(&self.config), self.meter.clone());
                        live.repair = Some(live.link.repair(config, meter));
                    }
                }
                Task::Publish { id, attempt, batch } => {
                    if let Some(live) = &mut self.link {
                        batch.published = now;
                        live.flight
                            .publish(&live.link.channel, id, attempt, &batch.message);
                        self.stats.published += 1;
                        self.stats.resent += u64::from(attempt != 1);
                    }
                }
                Task::Refused { id, batch } => {
                    let bytes = batch.message.body.len();
                    self.refused.send_modify(|refused| {
                        let limit = refused.limit;
                        refused.batches.push(Refused { id, bytes, limit });
                    });
                }
                Task::Done { id, batch } => {
                    drop(batch);
                    self.stats.confirmed += 1;
                    self.confirmed.send_replace(Some(id));
                }
            }
        }
    }

    /// Lets go of a link, or of the attempt to get one.
    fn give_up(&mut self, reason: &SendError, opening: &mut Option<Opening>) {
        self.link = None;
        *opening = None;
        self.stats.set_blocked(false);
        self.stats.reconnects.count(reason);
    }

    fn event(&mut self, event: Option<Event>) {
        match event {
            Some(Event::ConnectionBlocked(reason)) => {
                self.feed(SenderInput::Blocked);
                tell(&self.state, LinkState::Blocked { reason });
            }
            Some(Event::ConnectionUnblocked) => {
                self.feed(SenderInput::Unblocked);
                tell(&self.state, LinkState::Up);
            }
            Some(Event::SendFlow(active)) => self.feed(match active {
                true => SenderInput::Unblocked,
                false => SenderInput::Blocked,
            }),
            Some(Event::Error(error)) => self.failed(error.into()),
            Some(_) => {}
            None => self.failed(SendError::LinkLost.into()),
        }
    }

    /// The broker takes no message above a size: what is above it never gets there.
    fn learn(&mut self, limit: usize) {
        self.refused
            .send_modify(|refused| refused.limit = limit.min(refused.limit));
        let offered = self.outgoing.iter();
        let sizes = offered.map(|(id, offered)| (id, offered.message.body.len()));
        // In the order of their names: that is the order in which the caller hears of them.
        let above: Vec<_> = sizes.filter(|(_, bytes)| *bytes > limit).collect();
        for (id, bytes) in above {
            self.feed(SenderInput::Failed(SendError::TooLarge {
                id,
                bytes,
                limit,
            }));
        }
    }

    /// The link failed; what was said about it is kept for who asks.
    fn failed(&mut self, failure: LinkFailure) {
        let error = failure.error;
        if let Some(limit) = failure.size_limit() {
            self.learn(limit);
        }
        self.said = Some(failure);
        self.feed(SenderInput::Failed(error));
    }
}

async fn open(
    config: Arc<AmqpConfig>,
    checked: Checked,
    attempt: usize,
    is_known: bool,
    meter: Meter,
) -> Result<Live, LinkFailure> {
    let link = Link::open(&config, &checked, attempt, is_known, &meter).await?;
    let events = Box::pin(link.connection.events_listener());
    let confirm = link.channel.confirm_select(ConfirmSelectOptions::default());
    confirm.await?;
    Ok(Live {
        link,
        flight: Flight::default(),
        events,
        repair: None,
    })
}

async fn next_event(events: Option<&mut Events>) -> Option<Event> {
    match events {
        Some(events) => std::future::poll_fn(|cx| events.as_mut().poll_next(cx)).await,
        None => pending().await,
    }
}

/// A future that may not be there.
pub(super) async fn maybe<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

async fn sleep_until(start: tokio::time::Instant, due: Option<Instant>) {
    match due {
        Some(due) => {
            let since = std::time::Duration::from_nanos(due.as_nanos());
            tokio::time::sleep_until(start + since).await;
        }
        None => pending().await,
    }
}
