//! The one shape of a service: what goes into it, what comes out.

use std::time::Duration;

use telemetry_core::records::Enrichment;
use telemetry_core::{
    Appended, Entry, Fingerprint, Instant, LogGroup, Registered, Schema, StreamName, Timestamp,
};
use telemetry_storage::Outcome;
use telemetry_transport::{ConsumeAction, Delivery, Token};

/// A moment: monotonic time for deadlines, wall time for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub instant: Instant,
    /// UTC.
    pub wall: Timestamp,
}

/// A delivery on its way into the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Enriched {
    pub delivery: Delivery,
    /// What is known about its batch besides.
    pub enrichment: Enrichment,
}

/// Somebody did not answer, or answered that they cannot now. Ask again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Unavailable {
    /// What they said.
    pub cause: String,
}

/// What a service is told.
#[derive(Debug)]
pub enum Input {
    /// Deliveries from its consumer, at most [`Machine::room`].
    Delivered(Vec<Delivery>),
    /// The answer to [`Output::Register`].
    Registered {
        /// Of the schema.
        subject: StreamName,
        /// Of the schema.
        fingerprint: Fingerprint,
        /// What the registry said.
        answer: Result<Registered, Unavailable>,
    },
    /// The answer to [`Output::LookUp`].
    LookedUp {
        /// Asked for.
        subject: StreamName,
        /// Asked for.
        fingerprint: Fingerprint,
        /// What the registry said.
        answer: Result<Option<Entry>, Unavailable>,
    },
    /// The answer to [`Output::Write`]: an outcome for each, in order.
    Written(Vec<(Enriched, Outcome)>),
    /// The answer to [`Output::Reject`].
    Rejected {
        delivery: Delivery,
        /// The reason that was given.
        reason: String,
        /// It is among the dead letters, or what to do about the error.
        answer: Result<(), ConsumeAction>,
    },
    /// The answer to [`Output::Append`].
    Appended {
        /// Place of the group.
        seq: u64,
        /// What the log said.
        answer: Result<Appended, Unavailable>,
    },
    /// Time passed: what [`Machine::poll_timeout`] asked for.
    Tick,
}

/// What a service wants done, in order.
#[derive(Debug)]
pub enum Output<E> {
    /// Acknowledge these deliveries.
    Acknowledge(Vec<Token>),
    /// Put a delivery back.
    Retry {
        delivery: Delivery,
        /// How long it stays away.
        after: Duration,
    },
    /// Set a delivery aside; answer with [`Input::Rejected`].
    Reject { delivery: Delivery, reason: String },
    /// Register a schema; answer with [`Input::Registered`].
    Register { subject: StreamName, schema: Schema },
    /// Look a schema up; answer with [`Input::LookedUp`].
    LookUp {
        subject: StreamName,
        fingerprint: Fingerprint,
    },
    /// Write to the store; answer with [`Input::Written`].
    Write(Vec<Enriched>),
    /// Append to the incident log; answer with [`Input::Appended`].
    Append(LogGroup),
    /// Something for the program that runs the service.
    Event(E),
}

/// No room: carry the outputs out and answer them, then offer the deliveries again.
#[derive(Debug, thiserror::Error)]
#[error("{} deliveries are offered, there is room for {room}", deliveries.len())]
pub struct Busy {
    /// What was offered, as it was.
    pub deliveries: Vec<Delivery>,
    /// How many would be taken.
    pub room: usize,
}

/// A service.
///
/// An answer that nobody waits for is ignored: it is late, and what it answers was asked again.
pub trait Machine {
    /// What it has to say to the program that runs it.
    type Event;

    /// Takes an input at `now`; only deliveries can be refused.
    fn handle_input(&mut self, now: Now, input: Input) -> Result<(), Busy>;

    /// The next thing to do.
    fn poll_output(&mut self) -> Option<Output<Self::Event>>;

    /// When to come back with [`Input::Tick`] if nothing else happens.
    fn poll_timeout(&self) -> Option<Instant>;

    /// How many deliveries it takes now; 0 while it has enough to do.
    fn room(&self) -> usize;
}

/// The wait before the n-th attempt after a failure: 100 ms, doubled, at most 30 s.
pub(crate) fn backoff(failures: u32) -> Duration {
    let doubled = Duration::from_millis(100) * 2u32.pow(failures.min(9));
    doubled.min(Duration::from_secs(30))
}
