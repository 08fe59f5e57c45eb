//! What a publisher and a subscription count.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Histogram, SendError};

/// Counts of a publisher since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublisherStats {
    /// Messages published, each attempt counted.
    pub published: u64,
    /// Of these, attempts after the first of a message.
    pub resent: u64,
    /// Batches confirmed together with all before them.
    pub confirmed: u64,
    /// Attempts that the broker refused.
    pub refused: u64,
    /// Attempts that no queue took.
    pub returned: u64,
    /// Attempts to connect.
    pub connects: u64,
    /// Why links were given up.
    pub reconnects: Reconnects,
    /// Batches in the window.
    pub window: u64,
    /// Durations from a message's last attempt to the broker's confirmation of it.
    pub confirm: Histogram,
    blocked: Duration,
    blocked_since: Option<Instant>,
}

impl Default for PublisherStats {
    fn default() -> Self {
        Self {
            published: 0,
            resent: 0,
            confirmed: 0,
            refused: 0,
            returned: 0,
            connects: 0,
            reconnects: Reconnects::default(),
            window: 0,
            confirm: Histogram::link(),
            blocked: Duration::ZERO,
            blocked_since: None,
        }
    }
}

impl PublisherStats {
    /// How long the broker has taken nothing, up to now, over all links.
    pub fn blocked(&self) -> Duration {
        let now = self.blocked_since.map(|since| since.elapsed());
        self.blocked + now.unwrap_or_default()
    }

    /// Notes whether the broker takes something.
    pub(super) fn set_blocked(&mut self, is_blocked: bool) {
        match is_blocked {
            true => {
                self.blocked_since.get_or_insert_with(Instant::now);
            }
            false => {
                self.blocked = self.blocked();
                self.blocked_since = None;
            }
        }
    }
}

/// Counts of a subscription since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionStats {
    /// Batches delivered, each delivery counted.
    pub delivered: u64,
    /// Deliveries that may not have been the first.
    pub redelivered: u64,
    /// Deliveries acknowledged, with those that were put aside.
    pub acknowledged: u64,
    /// Deliveries put back.
    pub retried: u64,
    /// Deliveries put aside.
    pub rejected: u64,
    /// Attempts to connect.
    pub connects: u64,
    /// Why links were given up.
    pub reconnects: Reconnects,
    /// Durations from [`Subscription::next`](super::Subscription::next) to
    /// [`Subscription::ack`](super::Subscription::ack), as of the last acknowledgement sent.
    pub process: Histogram,
}

impl Default for SubscriptionStats {
    fn default() -> Self {
        Self {
            delivered: 0,
            redelivered: 0,
            acknowledged: 0,
            retried: 0,
            rejected: 0,
            connects: 0,
            reconnects: Reconnects::default(),
            process: Histogram::link(),
        }
    }
}

/// Links that were given up, and attempts to connect that failed, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconnects {
    /// No byte moved on the link.
    pub silent: u64,
    /// The broker was there and confirmed nothing.
    pub confirm_timeout: u64,
    /// No byte moved while connecting.
    pub connect_timeout: u64,
    /// The link broke, or nobody listens.
    pub link_lost: u64,
    /// A queue had messages and delivered none.
    pub queue_silent: u64,
    /// Nobody listened at the broker's address.
    pub connection_refused: u64,
    /// The broker's name had no address.
    pub host_unknown: u64,
    /// The broker had as many connections as it takes.
    pub connection_limit: u64,
    /// A certificate was not accepted; a person has to look.
    pub certificate: u64,
    /// User or password were not accepted; a person has to look.
    pub credentials: u64,
    /// The user may not do what was asked; a person has to look.
    pub not_allowed: u64,
    /// A queue or an exchange is another one; a person has to look.
    pub topology_mismatch: u64,
}

impl Reconnects {
    pub(super) fn count(&mut self, reason: &SendError) {
        let count = match reason {
            SendError::Silent { .. } => &mut self.silent,
            SendError::ConfirmTimeout { .. } => &mut self.confirm_timeout,
            SendError::ConnectTimeout { .. } => &mut self.connect_timeout,
            SendError::LinkLost => &mut self.link_lost,
            SendError::QueueSilent { .. } => &mut self.queue_silent,
            SendError::ConnectionRefused => &mut self.connection_refused,
            SendError::HostUnknown => &mut self.host_unknown,
            SendError::ConnectionLimit => &mut self.connection_limit,
            SendError::Certificate => &mut self.certificate,
            SendError::Credentials => &mut self.credentials,
            SendError::NotAllowed => &mut self.not_allowed,
            SendError::TopologyMismatch => &mut self.topology_mismatch,
            // These leave the link.
            SendError::NotSent { .. }
            | SendError::Nacked { .. }
            | SendError::Returned { .. }
            | SendError::TooLarge { .. }
            | SendError::DeadLettersFull => return,
        };
        *count += 1;
    }

    /// Each reason's name and count.
    pub const fn by_reason(&self) -> [(&'static str, u64); 12] {
        [
            ("silent", self.silent),
            ("confirm_timeout", self.confirm_timeout),
            ("connect_timeout", self.connect_timeout),
            ("link_lost", self.link_lost),
            ("queue_silent", self.queue_silent),
            ("connection_refused", self.connection_refused),
            ("host_unknown", self.host_unknown),
            ("connection_limit", self.connection_limit),
            ("certificate", self.certificate),
            ("credentials", self.credentials),
            ("not_allowed", self.not_allowed),
            ("topology_mismatch", self.topology_mismatch),
        ]
    }
}
