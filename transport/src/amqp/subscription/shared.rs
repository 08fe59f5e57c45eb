//! The decisions of a subscription, shared by its handle and its task.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use telemetry_core::Instant as Moment;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Histogram;
use crate::receiver::{Input, Name, Receiver, ReceiverLimits, Refused};

/// What decides, and what is counted beside it.
#[derive(Debug)]
pub(super) struct Deciding {
    pub(super) receiver: Receiver,
    /// How long deliveries took until they were done.
    pub(super) process: Histogram,
}

/// A delivery that is done wakes the task only where something follows: a task that runs for each
/// costs more than the delivery.
#[derive(Debug)]
pub(super) struct Shared {
    deciding: Mutex<Deciding>,
    /// The first is done since the last acknowledgement, or enough are.
    pub(super) news: Notify,
    start: Instant,
    ack_batches: usize,
}

impl Shared {
    pub(super) fn new(limits: ReceiverLimits, seed: u64) -> Self {
        Self {
            deciding: Mutex::new(Deciding {
                receiver: Receiver::new(limits, seed),
                process: Histogram::link(),
            }),
            news: Notify::new(),
            start: Instant::now(),
            ack_batches: limits.ack_batches,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Deciding> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task's time as cores take it.
    pub(super) fn now(&self) -> Moment {
        let nanos = self.start.elapsed().as_nanos();
        Moment::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// A core's time as tokio takes it.
    pub(super) fn time(&self, at: Moment) -> Instant {
        self.start + Duration::from_nanos(at.as_nanos())
    }

    /// The session in force.
    pub(super) fn session(&self) -> u64 {
        self.lock().receiver.session()
    }

    /// Takes an input of the task.
    pub(super) fn feed(&self, input: Input) -> Result<(), Refused> {
        let now = self.now();
        self.lock().receiver.handle_input(now, input)
    }

    /// Takes a delivery as done, which took a while.
    pub(super) fn done(&self, name: Name, took: Option<Duration>) {
        let now = self.now();
        let mut deciding = self.lock();
        // What comes again is answered again.
        if deciding
            .receiver
            .handle_input(now, Input::Done(name))
            .is_err()
        {
            return;
        }
        if let Some(took) = took {
            deciding.process.record_duration(took);
        }
        let waiting = deciding.receiver.done();
        drop(deciding);
        if waiting == 1 || waiting == self.ack_batches {
            self.news.notify_one();
        }
    }
}
