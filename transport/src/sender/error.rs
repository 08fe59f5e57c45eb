//! What goes wrong on the way to the receiver, and what follows from it.

use core::time::Duration;

use crate::BatchId;

/// What to do about a failure. A [`Sender`](crate::Sender) does it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Publish again at once.
    Retry,
    /// Publish again after a delay that grows.
    BackOff,
    /// Keep the batch elsewhere, with the reason, and go on with the others.
    SetAside,
    /// Drop the link and connect again, after a delay that grows.
    Reconnect,
    /// Declare queues and bindings again, then publish again.
    RepairTopology,
    /// Tell a person what is wrong, and go on: connect again, after delays of minutes.
    Alarm,
}

/// Why a batch is not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The batch never left.
    #[error("attempt {attempt} of batch {id} was not sent")]
    NotSent {
        /// Its name.
        id: BatchId,
        /// The attempt.
        attempt: u32,
    },
    /// The receiver refused the batch, e.g. because its queue is full.
    #[error("the receiver refused attempt {attempt} of batch {id}")]
    Nacked {
        /// Its name.
        id: BatchId,
        /// The attempt.
        attempt: u32,
    },
    /// The receiver never takes a batch of this size.
    #[error("batch {id} has {bytes} bytes, the receiver takes at most {limit}")]
    TooLarge {
        /// Its name.
        id: BatchId,
        /// Its size.
        bytes: usize,
        /// The largest size that the receiver takes.
        limit: usize,
    },
    /// No queue takes the batch. A confirmation that AMQP sends after it means nothing.
    #[error("no queue takes batch {id} (attempt {attempt})")]
    Returned {
        /// Its name.
        id: BatchId,
        /// The attempt.
        attempt: u32,
    },
    /// No byte moved in time: the link is dead.
    #[error("{in_flight} batches in flight and not a byte for {limit:?}")]
    Silent {
        /// Batches in flight.
        in_flight: usize,
        /// The longest time allowed.
        limit: Duration,
    },
    /// The receiver is there and confirmed nothing in time.
    #[error("{in_flight} batches in flight and no progress for {limit:?}")]
    ConfirmTimeout {
        /// Batches in flight.
        in_flight: usize,
        /// The longest time allowed.
        limit: Duration,
    },
    /// No byte moved in time while connecting.
    #[error("not connected, and not a byte for {limit:?}")]
    ConnectTimeout {
        /// The longest time allowed.
        limit: Duration,
    },
    /// The link broke.
    #[error("the link broke")]
    LinkLost,
    /// Messages wait in a queue, and none is delivered: a new link ends that.
    #[error("{ready} messages wait in a queue that delivers none")]
    QueueSilent {
        /// Messages that wait.
        ready: u32,
    },
    /// The queue of dead letters is full: what should be put aside holds its place.
    #[error("the dead letters are full; replay or remove some, or raise their limit")]
    DeadLettersFull,
    /// Nobody listens at the receiver's address.
    #[error("nobody listens at the receiver's address")]
    ConnectionRefused,
    /// The receiver's name has no address.
    #[error("the receiver's name has no address")]
    HostUnknown,
    /// The receiver has as many connections as it takes: another has to end.
    #[error("the receiver takes no more connections; end others or raise its limit")]
    ConnectionLimit,
    /// The receiver's certificate is not accepted here, or the own one is not accepted there: of
    /// another authority, expired, not yet valid.
    #[error("the certificate is not accepted; change it, the trust in it, or the clock")]
    Certificate,
    /// The receiver does not know this user or this password.
    #[error("the receiver does not accept the credentials; change them")]
    Credentials,
    /// The user may not do this: use a virtual host, declare, publish or consume.
    #[error("the user is not allowed to do this; change the permissions or the configuration")]
    NotAllowed,
    /// A queue or an exchange exists with other properties.
    #[error("a queue or an exchange exists with other properties; change it or the configuration")]
    TopologyMismatch,
}

impl SendError {
    /// What follows from it.
    pub const fn action(&self) -> Action {
        match self {
            Self::NotSent { .. } => Action::Retry,
            Self::Nacked { .. } => Action::BackOff,
            Self::TooLarge { .. } => Action::SetAside,
            Self::Returned { .. } => Action::RepairTopology,
            Self::Silent { .. }
            | Self::ConfirmTimeout { .. }
            | Self::ConnectTimeout { .. }
            | Self::LinkLost
            | Self::QueueSilent { .. }
            | Self::ConnectionRefused
            | Self::HostUnknown => Action::Reconnect,
            Self::DeadLettersFull
            | Self::ConnectionLimit
            | Self::Certificate
            | Self::Credentials
            | Self::NotAllowed
            | Self::TopologyMismatch => Action::Alarm,
        }
    }
}

telemetry_core::error_codes!(SendError {
    NotSent { .. } => 3050,
    Nacked { .. } => 3051,
    Returned { .. } => 3052,
    ConfirmTimeout { .. } => 3053,
    ConnectTimeout { .. } => 3054,
    LinkLost => 3055,
    TopologyMismatch => 3057,
    ConnectionRefused => 3058,
    HostUnknown => 3059,
    ConnectionLimit => 3110,
    Certificate => 3111,
    Credentials => 3112,
    NotAllowed => 3113,
    Silent { .. } => 3114,
    QueueSilent { .. } => 3115,
    DeadLettersFull => 3116,
    TooLarge { .. } => 3117,
});

/// An input that a sender refuses; it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SenderError {
    /// Offer again after a confirmation. The batches of another opening wait for all of this one.
    #[error("{batches} batches with {bytes} bytes wait for confirmation")]
    WindowFull {
        /// Batches in the window.
        batches: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// An answer to an attempt that is not in flight: it is late, or was answered already. Go on.
    #[error("attempt {attempt} of batch {id} is not in flight")]
    NotInFlight {
        /// Name of the batch.
        id: BatchId,
        /// The attempt.
        attempt: u32,
    },
    /// The batch is not one that the receiver never takes, or it was set aside before. Go on.
    #[error("batch {id} was not refused")]
    NotRefused {
        /// Name of the batch.
        id: BatchId,
    },
    /// The batch was offered before: within an opening, names have to grow.
    #[error("batch {id} is offered after batch {last}; names have to grow")]
    Name {
        /// Name of the batch.
        id: BatchId,
        /// Name of the batch before.
        last: BatchId,
    },
}

telemetry_core::error_codes!(SenderError {
    WindowFull { .. } => 3040,
    NotInFlight { .. } => 3041,
    Name { .. } => 3042,
    NotRefused { .. } => 3043,
});
