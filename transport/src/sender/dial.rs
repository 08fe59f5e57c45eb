//! When to connect, and when an attempt has taken too long: the same for sender and receiver.

use core::time::Duration;

use telemetry_core::Instant;

use super::backoff::{Backoff, Random};
use super::{Action, SendError, SenderLimits};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No link; the next attempt begins then.
    Down { connect_at: Instant },
    /// An attempt is made, and given up then.
    Connecting { give_up_at: Instant },
    /// A link is in use.
    Up,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Make an attempt.
    Connect,
    /// Drop the attempt: it is over.
    GiveUp(SendError),
}

/// The life of a link, and the delays between two of them.
///
/// No failure ends it. A device has nobody who could start it again, and what was refused today may
/// be taken tomorrow: a limit of connections, a password that is being changed, a certificate that
/// is not valid before midnight. Where a person has to look ([`Action::Alarm`]), the delays grow up
/// to minutes instead of seconds, since many attempts only fill the broker's log.
#[derive(Debug)]
pub(crate) struct Dial {
    state: State,
    failures: Backoff,
}

impl Dial {
    /// Wants to connect at once.
    pub(crate) fn new() -> Self {
        let connect_at = Instant::default();
        Self {
            state: State::Down { connect_at },
            failures: Backoff::default(),
        }
    }

    /// Whether there is a link.
    pub(crate) fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// When something is due next; `None` with a link.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Down { connect_at } => Some(connect_at),
            State::Connecting { give_up_at } => Some(give_up_at),
            State::Up => None,
        }
    }

    /// What is due by now.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        limits: &SenderLimits,
        random: &mut Random,
    ) -> Option<Due> {
        self.poll_timeout().filter(|due| *due <= now)?;
        let limit = limits.connect_timeout;
        match self.state {
            State::Down { .. } => {
                let give_up_at = now + limit;
                self.state = State::Connecting { give_up_at };
                Some(Due::Connect)
            }
            State::Connecting { .. } => {
                let error = SendError::ConnectTimeout { limit };
                self.lost(now, error, limits, random);
                Some(Due::GiveUp(error))
            }
            State::Up => None,
        }
    }

    /// Bytes moved: an attempt that is slow is not given up.
    pub(crate) fn moved(&mut self, now: Instant, limits: &SenderLimits) {
        if let State::Connecting { give_up_at } = &mut self.state {
            *give_up_at = now + limits.connect_timeout;
        }
    }

    /// An attempt succeeded.
    pub(crate) const fn up(&mut self) {
        self.state = State::Up;
    }

    /// The link, or an attempt to get one, failed. `false` where there was neither: the delay in
    /// force stays.
    pub(crate) fn lost(
        &mut self,
        now: Instant,
        error: SendError,
        limits: &SenderLimits,
        random: &mut Random,
    ) -> bool {
        if let State::Down { .. } = self.state {
            return false;
        }
        let longest: Duration = match error.action() {
            Action::Alarm => limits.backoff_alarm,
            _ => limits.backoff_max,
        };
        let delay = self.failures.next(limits.backoff_first, longest, random);
        let connect_at = now + delay;
        self.state = State::Down { connect_at };
        true
    }

    /// Somebody changed what was wrong: the next attempt does not wait.
    pub(crate) fn connect_now(&mut self, now: Instant) {
        if let State::Down { connect_at } = &mut self.state {
            *connect_at = now.min(*connect_at);
        }
    }

    /// The link did what it is for, which a broker that only accepts links does not show.
    pub(crate) fn worked(&mut self) {
        self.failures.reset();
    }
}
