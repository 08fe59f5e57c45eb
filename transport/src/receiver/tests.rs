//! A receiver, a broker and a consumer in one loop, by seed.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use telemetry_core::Instant;

use super::{Input, Name, Output, Place, Receiver, ReceiverLimits, Refused};
use crate::sender::backoff::Random;
use crate::{SendError, SenderLimits};

const QUEUES: usize = 2;
const MESSAGES: u64 = 60;
const PREFETCH: usize = 4;

fn limits() -> ReceiverLimits {
    ReceiverLimits {
        link: SenderLimits::default(),
        queues: QUEUES as u16,
        prefetch: PREFETCH as u16,
        ack_batches: 3,
        ack_delay: Duration::from_millis(50),
        deliveries_max: 3,
        watchdog: Duration::from_secs(60),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    id: u64,
    queue: usize,
    failures: u32,
}

/// What the broker and everybody around the receiver know.
#[derive(Default)]
struct Broker {
    ready: [VecDeque<Message>; QUEUES],
    unacknowledged: BTreeMap<u64, Message>,
    /// On their way to the receiver: a queue's in order, two queues' in any.
    coming: [VecDeque<(u64, Message)>; QUEUES],
    last_tag: u64,
    letters: BTreeSet<u64>,
}

impl Broker {
    fn new() -> Self {
        let mut this = Self::default();
        for id in 0..MESSAGES {
            let queue = id as usize % QUEUES;
            let failures = 0;
            this.ready[queue].push_back(Message {
                id,
                queue,
                failures,
            });
        }
        this
    }

    fn send(&mut self) {
        for queue in 0..QUEUES {
            let of = |m: &&Message| m.queue == queue;
            while self.unacknowledged.values().filter(of).count() < PREFETCH
                && let Some(message) = self.ready[queue].pop_front()
            {
                self.last_tag += 1;
                self.unacknowledged.insert(self.last_tag, message);
                self.coming[queue].push_back((self.last_tag, message));
            }
        }
    }

    fn end_link(&mut self) {
        self.coming.iter_mut().for_each(VecDeque::clear);
        while let Some((_, message)) = self.unacknowledged.pop_last() {
            self.ready[message.queue].push_front(message);
        }
        self.last_tag = 0;
    }

    fn acknowledge(&mut self, acks: &[(u64, bool)]) -> usize {
        let before = self.unacknowledged.len();
        for &(tag, with_all_before) in acks {
            match with_all_before {
                true => self.unacknowledged.retain(|other, _| *other > tag),
                false => {
                    let there = self.unacknowledged.remove(&tag);
                    assert!(there.is_some(), "tag {tag} was acknowledged before");
                }
            }
        }
        before - self.unacknowledged.len()
    }

    /// What is in a queue or among the letters, by its id.
    fn has(&self) -> [bool; MESSAGES as usize] {
        let mut has = [false; MESSAGES as usize];
        let all = self
            .ready
            .iter()
            .flatten()
            .chain(self.unacknowledged.values());
        let all = all
            .map(|message| message.id)
            .chain(self.letters.iter().copied());
        all.for_each(|id| has[id as usize] = true);
        has
    }

    fn is_empty(&self) -> bool {
        self.unacknowledged.is_empty() && self.ready.iter().all(VecDeque::is_empty)
    }
}

struct World {
    random: Random,
    now: Instant,
    receiver: Receiver,
    broker: Broker,
    connecting: bool,
    up: bool,
    /// At the consumer.
    open: Vec<(Name, Message)>,
    /// Being published in the place of a delivery, of this session.
    replacing: Vec<(u64, Place)>,
    acknowledging: bool,
    looking: bool,
    /// What the consumer has made durable.
    effects: BTreeSet<u64>,
    /// Every output, to compare two runs.
    log: Vec<Output>,
    faults: u64,
    refused: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            now: Instant::default(),
            receiver: Receiver::new(limits(), seed),
            broker: Broker::new(),
            connecting: false,
            up: false,
            open: Vec::new(),
            replacing: Vec::new(),
            acknowledging: false,
            looking: false,
            effects: BTreeSet::new(),
            log: Vec::new(),
            faults: 0,
            refused: 0,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random.next() % n as u64) as usize
    }

    fn feed(&mut self, input: Input) {
        let answer = self.receiver.handle_input(self.now, input);
        self.refused += u64::from(answer.is_err());
        while let Some(output) = self.receiver.poll_output() {
            self.act(&output);
            self.log.push(output);
        }
        let has = self.broker.has();
        let is_lost = |id: &u64| !has[*id as usize] && !self.effects.contains(id);
        let lost = (0..MESSAGES).find(is_lost);
        assert_eq!(lost, None, "acknowledged, and nobody has it");
    }

    fn act(&mut self, output: &Output) {
        match output {
            Output::Connect => {
                assert!(!self.up && !self.connecting);
                self.connecting = true;
            }
            Output::Disconnect(_) => {
                assert!(self.up || self.connecting, "there is nothing to drop");
                (self.up, self.connecting) = (false, false);
                (self.acknowledging, self.looking) = (false, false);
                self.replacing.clear();
                self.broker.end_link();
            }
            Output::Acknowledge {
                acks, deliveries, ..
            } => {
                assert!(self.up && !self.acknowledging);
                assert_eq!(self.broker.acknowledge(acks), *deliveries);
                self.acknowledging = true;
            }
            Output::Replace { tag, by } => {
                assert!(self.up && self.broker.unacknowledged.contains_key(tag));
                self.replacing.push((*tag, *by));
            }
            Output::Look => {
                assert!(self.up && !self.looking);
                self.looking = true;
            }
        }
    }

    /// The broker stores what takes the place of a delivery.
    fn store(&mut self, tag: u64, by: Place) {
        let message = self.broker.unacknowledged[&tag];
        match by {
            Place::Queue => self.broker.ready[message.queue].push_back(Message {
                failures: message.failures + 1,
                ..message
            }),
            Place::Rejected => {
                self.broker.letters.insert(message.id);
            }
            Place::FailedTooOften => {
                assert_eq!(message.failures, limits().deliveries_max);
                self.broker.letters.insert(message.id);
            }
        }
    }

    fn answer(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = self.below(self.open.len());
        let (name, message) = self.open.swap_remove(at);
        let input = match self.below(10) {
            0 => Input::PutOff {
                name,
                after: Duration::from_millis(self.random.next() % 5_000),
                failures: message.failures,
            },
            1 => Input::Reject(name),
            _ => {
                self.effects.insert(message.id);
                Input::Done(name)
            }
        };
        let is_over = name.session != self.receiver.session();
        let before = self.refused;
        self.feed(input.clone());
        assert!(!is_over || self.refused > before, "its session is over");
        if self.below(4) == 0 {
            // An answer that comes twice changes nothing.
            let before = self.refused;
            self.feed(input);
            assert_eq!(self.refused, before + 1);
        }
    }

    fn fault(&mut self) {
        if self.up || self.connecting {
            self.faults += 1;
            self.feed(Input::Failed(SendError::LinkLost));
            assert!(!self.up && !self.connecting);
        }
    }

    fn step(&mut self, calm: bool) {
        match self.below(16) {
            0 if !calm => self.fault(),
            1 if self.below(8) == 0 => self.feed(Input::ConnectNow),
            2 if self.up => self.feed(Input::Flush),
            3..6 if self.connecting => {
                (self.connecting, self.up) = (false, true);
                self.feed(Input::LinkUp);
            }
            3..8 if self.up => {
                self.broker.send();
                let queue = self.below(QUEUES);
                if let Some((tag, message)) = self.broker.coming[queue].pop_front() {
                    let session = self.receiver.session();
                    self.open.push((Name { session, tag }, message));
                    self.feed(Input::Delivered { queue, tag });
                }
            }
            8..11 => self.answer(),
            11 if self.acknowledging => {
                self.acknowledging = false;
                self.feed(Input::Acknowledged);
            }
            12 if !self.replacing.is_empty() => {
                let at = self.below(self.replacing.len());
                let (tag, by) = self.replacing.swap_remove(at);
                self.store(tag, by);
                // The link may break before the receiver hears of it: then it is there twice.
                match !calm && self.below(8) == 0 {
                    true => self.fault(),
                    false => self.feed(Input::Replaced { tag }),
                }
            }
            13 if self.looking => {
                self.looking = false;
                let ready = self.broker.ready.each_ref().map(|q| q.len() as u32);
                self.feed(Input::Looked(ready.into()));
            }
            _ => {
                if let Some(due) = self.receiver.poll_timeout() {
                    self.now = self.now.max(due);
                    self.feed(Input::Tick);
                    let next = self.receiver.poll_timeout();
                    assert!(next.is_none_or(|next| next > self.now), "it spins");
                }
            }
        }
    }
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..400 {
        world.step(false);
    }
    let mut steps = 0;
    while !world.broker.is_empty() {
        steps += 1;
        assert!(steps < 100_000, "something is never answered");
        world.step(true);
    }
    world
}

#[test]
fn nothing_is_lost_and_everything_ends() {
    let (mut faults, mut refused, mut letters) = (0, 0, 0);
    for seed in 0..2_000 {
        let world = run(seed);
        for id in 0..MESSAGES {
            let ended = world.effects.contains(&id) || world.broker.letters.contains(&id);
            assert!(ended, "message {id} of seed {seed}");
        }
        faults += world.faults;
        refused += world.refused;
        letters += world.broker.letters.len();
    }
    let found = (faults, refused, letters);
    assert!(
        faults > 10_000 && refused > 1_000 && letters > 1_000,
        "{found:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_outputs() {
    for seed in 0..20 {
        assert_eq!(run(seed).log, run(seed).log);
    }
}

/// A receiver with a link, at its beginning.
fn connected() -> Receiver {
    let mut receiver = Receiver::new(limits(), 1);
    let now = Instant::default();
    assert_eq!(receiver.handle_input(now, Input::Tick), Ok(()));
    assert_eq!(receiver.poll_output(), Some(Output::Connect));
    assert_eq!(receiver.handle_input(now, Input::LinkUp), Ok(()));
    receiver
}

#[test]
fn what_is_done_waits_for_others_and_not_for_ever() {
    let mut receiver = connected();
    let now = Instant::default();
    let session = receiver.session();
    for tag in 1..=4 {
        receiver
            .handle_input(now, Input::Delivered { queue: 0, tag })
            .unwrap();
    }
    let done = |tag| Input::Done(Name { session, tag });
    receiver.handle_input(now, done(1)).unwrap();
    assert_eq!(receiver.poll_output(), None);
    let due = now + limits().ack_delay;
    assert_eq!(receiver.poll_timeout(), Some(due));
    receiver.handle_input(due, Input::Tick).unwrap();
    let acknowledge = |tag, deliveries, barrier| Output::Acknowledge {
        acks: Vec::from([(tag, true)]),
        barrier,
        deliveries,
    };
    assert_eq!(receiver.poll_output(), Some(acknowledge(1, 1, false)));
    // One group is on its way at a time.
    for tag in 2..=4 {
        receiver.handle_input(due, done(tag)).unwrap();
    }
    receiver.handle_input(due, Input::Flush).unwrap();
    assert_eq!(receiver.poll_output(), None);
    receiver.handle_input(due, Input::Acknowledged).unwrap();
    assert_eq!(receiver.poll_output(), Some(acknowledge(4, 3, true)));
    let again = receiver.handle_input(due, done(4));
    assert_eq!(again, Err(Refused::NotOpen));
}

#[test]
fn a_silent_queue_ends_the_link() {
    let mut receiver = connected();
    for _ in 0..2 {
        let due = receiver.poll_timeout().unwrap();
        receiver.handle_input(due, Input::Tick).unwrap();
        assert_eq!(receiver.poll_output(), Some(Output::Look));
        let looked = Input::Looked([0, 7].into());
        receiver.handle_input(due, looked).unwrap();
    }
    let silent = SendError::QueueSilent { ready: 7 };
    assert_eq!(receiver.poll_output(), Some(Output::Disconnect(silent)));
    let flushed = receiver.handle_input(Instant::default(), Input::Flush);
    assert_eq!(flushed, Err(Refused::NoLink));
}
