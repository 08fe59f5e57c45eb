//! The receiver: when to connect, and what to acknowledge, put back or put aside, without a connection.
//!
//! A delivery is named by the session that it came in and by its tag, which counts from 1 in each
//! session. It is *open* until its consumer answers. Then it is *done*, or it is *put off*: something
//! else takes its place, a copy at the end of its queue or a dead letter, and only when the broker
//! [has that for good](Input::Replaced) is it done, too. What is done is acknowledged together. A lost
//! link ends the session: everything that was not acknowledged comes again in the next one, and answers
//! to what came before are refused.

mod acks;
#[cfg(test)]
mod tests;
mod timers;
mod watchdog;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use telemetry_core::Instant;

use crate::sender::backoff::Random;
use crate::sender::dial::{Dial, Due};
use crate::{SendError, SenderLimits};
use acks::Acks;
use timers::{Timer, Timers};
use watchdog::{Look, Watchdog};

/// Bounds of what is handed out and not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiverLimits {
    /// Time-outs and delays of the link.
    pub(crate) link: SenderLimits,
    /// Queues of the group.
    pub(crate) queues: u16,
    /// Deliveries that a queue hands out without an acknowledgement.
    pub(crate) prefetch: u16,
    /// Deliveries that are done before they are acknowledged together.
    pub(crate) ack_batches: usize,
    /// Longest time that a delivery that is done waits for others.
    pub(crate) ack_delay: Duration,
    /// Failed deliveries before a batch is put aside.
    pub(crate) deliveries_max: u32,
    /// Longest time in which messages wait in a queue and none is delivered.
    pub(crate) watchdog: Duration,
}

/// Names a delivery: the session it came in, and its tag there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) session: u64,
    pub(crate) tag: u64,
}

/// What happens to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A new link works, and a new session begins.
    LinkUp,
    /// The link, or the attempt to get one, failed.
    Failed(SendError),
    /// Bytes moved: an attempt that is slow is not given up.
    Moved,
    /// Somebody changed what was wrong: connect without waiting.
    ConnectNow,
    /// A queue delivered something in this session.
    Delivered { queue: usize, tag: u64 },
    /// A consumer has made a delivery durable downstream.
    Done(Name),
    /// A consumer cannot take a delivery now, which failed so often before.
    PutOff {
        name: Name,
        after: Duration,
        failures: u32,
    },
    /// A consumer never takes a delivery.
    Reject(Name),
    /// The broker has for good what takes the place of a delivery.
    Replaced { tag: u64 },
    /// Somebody waits until the broker has seen everything that is done by now.
    Flush,
    /// The broker has seen the acknowledgements that were asked for last.
    Acknowledged,
    /// So many messages are ready in each queue.
    Looked(Vec<u32>),
    /// Time has passed.
    Tick,
}

/// What takes the place of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A copy at the end of its queue.
    Queue,
    /// A dead letter: its consumer rejected it.
    Rejected,
    /// A dead letter: it failed too often.
    FailedTooOften,
}

/// What a receiver wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Open a link and consume, then say [`LinkUp`](Input::LinkUp) or [`Failed`](Input::Failed).
    Connect,
    /// Drop the link, and everything that belongs to its session.
    Disconnect(SendError),
    /// Acknowledge these tags, each alone or with all before it; where somebody waits, ask the broker
    /// whether it has seen them. Then say [`Acknowledged`](Input::Acknowledged).
    Acknowledge {
        acks: Vec<(u64, bool)>,
        barrier: bool,
        /// Deliveries that are acknowledged by them.
        deliveries: usize,
    },
    /// Publish what takes the place of a delivery, then say [`Replaced`](Input::Replaced).
    Replace { tag: u64, by: Place },
    /// Count what is ready in each queue, then say [`Looked`](Input::Looked).
    Look,
}

/// An input that a receiver refuses; it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The delivery was answered before, or came in an earlier session: then it comes again.
    NotOpen,
    /// There is no link.
    NoLink,
}

/// Decides for a consumer of a broker's queues.
#[derive(Debug)]
pub(crate) struct Receiver {
    limits: ReceiverLimits,
    random: Random,
    now: Instant,
    dial: Dial,
    /// Counts links and the times between them.
    session: u64,
    /// Something came in this session.
    delivered: bool,
    acks: Acks,
    /// Acknowledgements are on their way.
    acknowledging: bool,
    /// What is done has waited long enough.
    ack_due: bool,
    /// Somebody waits for the acknowledgements that are sent next.
    barrier: bool,
    /// Deliveries that are put off, by when they go back.
    put_off: BTreeSet<(Instant, u64)>,
    watchdog: Watchdog,
    timers: Timers,
    outputs: VecDeque<Output>,
}

impl Receiver {
    /// A receiver that wants to connect; `seed` spreads the delays of many.
    pub(crate) fn new(limits: ReceiverLimits, seed: u64) -> Self {
        let mut this = Self {
            random: Random::new(seed),
            now: Instant::default(),
            dial: Dial::new(),
            session: 0,
            delivered: false,
            acks: Acks::default(),
            acknowledging: false,
            ack_due: false,
            barrier: false,
            put_off: BTreeSet::new(),
            watchdog: Watchdog::new(limits.watchdog, limits.queues),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            limits,
        };
        this.time_link();
        this
    }

    /// The session in force: what another one brought comes again.
    pub(crate) const fn session(&self) -> u64 {
        self.session
    }

    /// Takes an input; a refused one changes nothing. A `now` that goes back stands still.
    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) -> Result<(), Refused> {
        self.now = self.now.max(now);
        match input {
            Input::LinkUp => self.link_up(),
            Input::Failed(error) => self.fail(error),
            Input::Moved => self.dial.moved(self.now, &self.limits.link),
            Input::ConnectNow => self.dial.connect_now(self.now),
            Input::Delivered { queue, tag } => self.deliver(queue, tag)?,
            Input::Done(name) => {
                let is_open = name.session == self.session && self.acks.done(name.tag);
                is_open.then_some(()).ok_or(Refused::NotOpen)?;
                self.time_acks();
            }
            Input::PutOff {
                name,
                after,
                failures,
            } => {
                self.take_off(name)?;
                match failures >= self.limits.deliveries_max {
                    true => self.replace(name.tag, Place::FailedTooOften),
                    false => {
                        self.put_off.insert((self.now + after, name.tag));
                        self.time_put_off();
                    }
                }
            }
            Input::Reject(name) => {
                self.take_off(name)?;
                self.replace(name.tag, Place::Rejected);
            }
            Input::Replaced { tag } => {
                let replaced = self.acks.replaced(tag);
                replaced.then_some(()).ok_or(Refused::NotOpen)?;
                self.time_acks();
            }
            Input::Flush if !self.dial.is_up() => return Err(Refused::NoLink),
            Input::Flush => self.barrier = true,
            Input::Acknowledged => self.acknowledging = false,
            Input::Looked(ready) => self.looked(&ready),
            Input::Tick => self.tick(),
        }
        self.time_link();
        Ok(())
    }

    /// The next thing to do.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        let deliveries = self.acks.waiting();
        let many = deliveries > 0 && (self.ack_due || deliveries >= self.limits.ack_batches);
        if !self.dial.is_up() || self.acknowledging || !(many || self.barrier) {
            return None;
        }
        self.acknowledging = true;
        self.ack_due = false;
        self.timers.set(Timer::Acknowledge, None);
        Some(Output::Acknowledge {
            acks: self.acks.flush(),
            barrier: core::mem::take(&mut self.barrier),
            deliveries,
        })
    }

    /// When to send [`Input::Tick`] if nothing else happens.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Deliveries that are done and not acknowledged.
    pub(crate) fn done(&self) -> usize {
        self.acks.waiting()
    }

    fn link_up(&mut self) {
        self.begin_session();
        self.dial.up();
        self.watchdog.link_up(self.now);
        self.timers.set(Timer::Look, self.watchdog.poll_timeout());
    }

    /// Forgets everything that belongs to a link.
    fn begin_session(&mut self) {
        self.session += 1;
        self.delivered = false;
        self.acks = Acks::default();
        self.acknowledging = false;
        self.ack_due = false;
        self.barrier = false;
        self.put_off.clear();
        self.watchdog.link_down();
        self.outputs.clear();
        self.timers = Timers::default();
    }

    /// A link that is gone already cannot break.
    fn fail(&mut self, error: SendError) {
        let (limits, random) = (&self.limits.link, &mut self.random);
        if self.dial.lost(self.now, error, limits, random) {
            self.let_go(error);
        }
    }

    fn let_go(&mut self, error: SendError) {
        self.begin_session();
        self.outputs.push_back(Output::Disconnect(error));
    }

    fn deliver(&mut self, queue: usize, tag: u64) -> Result<(), Refused> {
        if !self.dial.is_up() {
            return Err(Refused::NoLink);
        }
        self.acks.delivered(tag, queue);
        self.watchdog.delivered(queue);
        // A broker that only accepts links is no success.
        if !core::mem::replace(&mut self.delivered, true) {
            self.dial.worked();
        }
        Ok(())
    }

    /// Takes an open delivery off its consumer: something else will take its place.
    fn take_off(&mut self, name: Name) -> Result<(), Refused> {
        let is_open = name.session == self.session && self.acks.put_off(name.tag);
        is_open.then_some(()).ok_or(Refused::NotOpen)
    }

    fn replace(&mut self, tag: u64, by: Place) {
        self.outputs.push_back(Output::Replace { tag, by });
    }

    fn looked(&mut self, ready: &[u32]) {
        if !self.dial.is_up() {
            return;
        }
        let prefetch = usize::from(self.limits.prefetch.max(1));
        let looks = ready.iter().enumerate().map(|(queue, ready)| Look {
            ready: *ready,
            has_room: self.acks.open_of(queue) < prefetch,
        });
        let looks: Vec<Look> = looks.collect();
        let silent = self.watchdog.seen(self.now, &looks);
        self.timers.set(Timer::Look, self.watchdog.poll_timeout());
        if let Some((_, ready)) = silent {
            self.fail(SendError::QueueSilent { ready });
        }
    }

    fn tick(&mut self) {
        while let Some(timer) = self.timers.expired(self.now) {
            match timer {
                Timer::Link => {
                    let (limits, random) = (&self.limits.link, &mut self.random);
                    match self.dial.tick(self.now, limits, random) {
                        Some(Due::Connect) => self.outputs.push_back(Output::Connect),
                        Some(Due::GiveUp(error)) => self.let_go(error),
                        None => {}
                    }
                    self.time_link();
                }
                Timer::Acknowledge => self.ack_due = true,
                Timer::PutBack => {
                    let now = self.now;
                    let is_due = |(at, _): &(Instant, u64)| *at <= now;
                    while let Some((_, tag)) = self.put_off.first().copied().filter(is_due) {
                        self.put_off.pop_first();
                        self.replace(tag, Place::Queue);
                    }
                    self.time_put_off();
                }
                Timer::Look => {
                    if self.watchdog.tick(self.now) {
                        self.outputs.push_back(Output::Look);
                    }
                }
            }
        }
    }

    fn time_link(&mut self) {
        self.timers.set(Timer::Link, self.dial.poll_timeout());
    }

    /// The first that is done sets the time for all that follow.
    fn time_acks(&mut self) {
        if !self.ack_due && !self.timers.runs(Timer::Acknowledge) {
            let due = self.now + self.limits.ack_delay;
            self.timers.set(Timer::Acknowledge, Some(due));
        }
    }

    fn time_put_off(&mut self) {
        let first = self.put_off.first().map(|(at, _)| *at);
        self.timers.set(Timer::PutBack, first);
    }
}
