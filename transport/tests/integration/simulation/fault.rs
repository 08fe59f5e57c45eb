//! The faults, by name.

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A fault; numbers of section 6 of the design follow from the names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

faults! {
    /// The broker loses what it did not sync, and comes back.
    BrokerKill,
    /// The broker ends well, and comes back.
    BrokerRestart,
    /// The link breaks; half of what is on the way arrives.
    Reset,
    /// Nothing arrives anywhere, and nobody says so.
    BlackHole,
    /// The broker is reached and has no majority: it takes and never confirms.
    Partition,
    Latency,
    Bandwidth,
    /// A link that is slow from its first byte on: 250, 600 or 2,000 ms there and back, and in half
    /// of all cases 9,600 bit/s.
    SlowOpening,
    /// Memory or disk alarm.
    Blocked,
    /// The queue is full.
    Nack,
    /// A batch is larger than the broker takes.
    TooLarge,
    /// The queue is gone.
    Return,
    /// The confirmation that follows a return.
    ConfirmAfterReturn,
    ConfirmLost,
    ConfirmOutOfOrder,
    /// A batch is published again after it arrived.
    PublishedTwice,
    /// The consumer's acknowledgement is lost: the batch is delivered again.
    DeliveredTwice,
    ConsumerKill,
    ConsumerStall,
    ConnectRefused,
    ConnectHangs,
    WrongPassword,
    KillAfterAppend,
    KillAfterCommit,
    KillAfterPublish,
    KillAfterConfirm,
    KillAfterCursor,
    /// The spool is opened again in the process, whose sender and link live on.
    SpoolOpenedAgain,
    PowerCut,
    /// A power cut that leaves some sectors of a commit and not others.
    TornWrite,
    DiskFull,
    WriteError,
    SyncError,
    /// A file could not be made, renamed or removed, or its name not made durable; or it was, and the
    /// answer was lost.
    NamesError,
    /// A second process tries to open the spool of one that lives.
    SecondOwner,
    ClockForward,
    ClockBack,
}
