//! What goes wrong when: a script that is a value, made by hand or from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::random::Random;

/// Published messages within which a random script has its faults.
const RANDOM_PUBLISHES: u64 = 60;

/// A moment in the life of a broker, counted from 1 over all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum When {
    /// A client opens a connection: its credentials are looked at.
    Connect(u64),
    /// A client declares or binds something, or looks whether it is there.
    Declare(u64),
    /// A message came in whole, and is not answered.
    Publish(u64),
    /// A message is about to be delivered.
    Deliver(u64),
    /// A delivery, or several, is acknowledged or put back; it is not done yet.
    Settle(u64),
}

/// How a published message is answered, other than by a confirmation at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Refused, as by a queue that is full.
    Nack,
    /// No queue takes it: it comes back, and is confirmed after that.
    Return,
    /// Taken, and confirmed later than what comes after it.
    Late(Duration),
    /// Taken, and never confirmed on this connection.
    Never,
    /// Neither taken nor answered.
    Lost,
}

/// What goes wrong with a connection, a channel or the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The connection is reset.
    Reset,
    /// The connection is reset in the middle of the next frame to the client.
    HalfFrame,
    /// Bytes that are no frame.
    Garbage,
    /// A black hole: nothing comes or goes for a while, the connection stays.
    Silence(Duration),
    /// The channel is closed with a code, e.g. 406.
    CloseChannel(u16),
    /// The connection is closed with a code, e.g. 320, or 403 for credentials.
    CloseConnection(u16),
    /// The broker is short of memory for a while: it says so and takes nothing from the connection.
    Block(Duration),
    /// Every consumer of the connection is cancelled, as by a queue that is deleted.
    CancelConsumers,
    /// All bindings of all exchanges are gone: nothing is routed until somebody declares them.
    Unbind,
    /// All connections are reset, and new ones refused for a while; the queues keep everything.
    Crash(Duration),
}

impl Answer {
    pub(super) const NAMES: [&str; 5] = ["nack", "return", "late confirm", "no confirm", "lost"];

    pub(super) const fn name(self) -> &'static str {
        let [nack, returned, late, never, lost] = Self::NAMES;
        match self {
            Self::Nack => nack,
            Self::Return => returned,
            Self::Late(_) => late,
            Self::Never => never,
            Self::Lost => lost,
        }
    }

    fn random(random: &mut Random) -> Self {
        match random.next() % 5 {
            0 => Self::Nack,
            1 => Self::Return,
            2 => Self::Late(millis(random, 500)),
            3 => Self::Never,
            _ => Self::Lost,
        }
    }
}

impl Failure {
    pub(super) const NAMES: [&str; 10] = [
        "reset",
        "half a frame",
        "garbage",
        "silence",
        "channel closed",
        "connection closed",
        "blocked",
        "consumers cancelled",
        "bindings gone",
        "crash",
    ];

    pub(super) const fn name(self) -> &'static str {
        Self::NAMES[match self {
            Self::Reset => 0,
            Self::HalfFrame => 1,
            Self::Garbage => 2,
            Self::Silence(_) => 3,
            Self::CloseChannel(_) => 4,
            Self::CloseConnection(_) => 5,
            Self::Block(_) => 6,
            Self::CancelConsumers => 7,
            Self::Unbind => 8,
            Self::Crash(_) => 9,
        }]
    }

    fn random(random: &mut Random) -> Self {
        match random.next() % Self::NAMES.len() as u64 {
            0 => Self::Reset,
            1 => Self::HalfFrame,
            2 => Self::Garbage,
            3 => Self::Silence(millis(random, 5_000)),
            // Not found, not allowed now, precondition failed.
            4 => Self::CloseChannel(pick(random, &[404, 405, 406])),
            // Forced, access refused, a frame that is none, not allowed, internal error.
            5 => Self::CloseConnection(pick(random, &[320, 403, 501, 530, 541])),
            6 => Self::Block(millis(random, 5_000)),
            7 => Self::CancelConsumers,
            8 => Self::Unbind,
            _ => Self::Crash(millis(random, 1_000)),
        }
    }
}

fn pick(random: &mut Random, codes: &[u16]) -> u16 {
    codes[(random.next() % codes.len() as u64) as usize]
}

fn millis(random: &mut Random, most: u64) -> Duration {
    Duration::from_millis(1 + random.next() % most)
}

/// Which moments of a broker's life go wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub(super) answers: BTreeMap<u64, Answer>,
    pub(super) failures: BTreeMap<When, Failure>,
    /// Largest frame that the broker proposes, in bytes, 4,096 or more; default 131,072.
    pub frame_bytes_max: u32,
    /// Names the order in which confirmations are sent, and which of them together; default 0.
    pub seed: u64,
}

impl Default for Script {
    /// Nothing goes wrong.
    fn default() -> Self {
        Self {
            answers: BTreeMap::new(),
            failures: BTreeMap::new(),
            frame_bytes_max: 131_072,
            seed: 0,
        }
    }
}

impl Script {
    /// Answers a published message, counted from 1 over all connections, in another way.
    #[must_use]
    pub fn answer(mut self, publish: u64, answer: Answer) -> Self {
        self.answers.insert(publish, answer);
        self
    }

    /// Lets something fail at a moment.
    #[must_use]
    pub fn fail(mut self, when: When, failure: Failure) -> Self {
        self.failures.insert(when, failure);
        self
    }

    /// Faults of every kind at moments that the seed names, within 60 published messages.
    ///
    /// The script is the same for ever; which message is the fifth is up to the threads of lapin.
    pub fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut script = Self {
            // Frames so small that a message takes several, in half of all scripts.
            frame_bytes_max: [4_096, 131_072][(random.next() % 2) as usize],
            seed,
            ..Self::default()
        };
        for publish in 1..=RANDOM_PUBLISHES {
            if random.next().is_multiple_of(8) {
                let answer = Answer::random(&mut random);
                script.answers.insert(publish, answer);
            }
        }
        for _ in 0..4 + random.next() % 8 {
            let kind = random.next() % 8;
            let mut below = |n: u64| 1 + random.next() % n;
            let when = match kind {
                0 => When::Connect(below(4)),
                1 => When::Declare(below(80)),
                2..=4 => When::Publish(below(RANDOM_PUBLISHES)),
                5 | 6 => When::Deliver(below(RANDOM_PUBLISHES)),
                _ => When::Settle(below(20)),
            };
            let failure = Failure::random(&mut random);
            script.failures.insert(when, failure);
        }
        script
    }
}
