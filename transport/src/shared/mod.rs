//! A spool that many tasks and threads append to, with group commit.
//!
//! # Ideas
//! [`Spool::share`] gives a spool to a thread of its own, since a sync blocks, and returns its two
//! ends: an [`Appender`] for whoever has records, and [`Batches`] for who carries them on. A commit
//! starts when the one before has ended, without a timer: what arrives during a commit shares the
//! next one. The futures need no runtime; any executor polls them.
//!
//! ```text
//! append ─┐                                 ┌─▶ Batches::next ─▶ publisher
//! append ─┼─▶ queue ─▶ Spool: one commit ───┤                       │
//! append ─┘    ▲                            └─▶ receipts            │
//!              └───────────── room ◀── Batches::confirm ◀───────────┘
//! ```
//!
#![cfg_attr(feature = "test-util", doc = "```")]
#![cfg_attr(not(feature = "test-util"), doc = "```text")]
//! use telemetry_core::{Fingerprint, StreamName, single_object};
//! use telemetry_transport::shared::SharedLimits;
//! use telemetry_transport::storage::SimulatedDisk; // `Directory::open(path)?` on a real disk
//! use telemetry_transport::{Opening, Spool};
//!
//! let (mut spool, _) = Spool::open(SimulatedDisk::default(), Opening::new()?)?;
//! let stream = spool.stream(&StreamName::new("vendor.Beat")?)?;
//! let (appender, mut batches) = spool.share(SharedLimits::default())?;
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let mut record = single_object::header(Fingerprint(1)).to_vec();
//! record.extend([0x82, 0x01]); // bpm = 65
//! let receipt = appender.append(stream, record, None).await?; // the record survives
//!
//! while let Some(batch) = batches.next().await? {
//!     // Publish it, wait until it is confirmed, then:
//!     batches.confirm(batch)?;
//! #   break;
//! }
//! appender.wait_confirmed(&receipt).await?;
//! let drained = appender.drain(std::future::pending()).await?; // with a deadline: a timer
//! assert_eq!(drained.left, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batches;
mod owner;
#[cfg(feature = "amqp")]
mod publish;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, mpsc, oneshot, watch};

pub use batches::Batches;
#[cfg(feature = "amqp")]
pub use publish::PublishError;

use crate::histogram::Histogram;
use crate::{
    AppendError, BatchLimits, Origin, Receipt, Spool, Stats, Storage, StorageError, StreamNo,
    Watermarks,
};
use owner::{Append, Mailbox, Owner, Phase, Request};

/// What a record or a call takes of the queue beside its own bytes.
const COST: usize = 64;

/// Bounds of a shared spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedLimits {
    /// Bytes of records that wait for a commit; default 4 MiB. Beyond, appending waits. One record
    /// may have more.
    pub queue_bytes: u32,
    /// How much goes into one batch.
    pub batch: BatchLimits,
}

impl Default for SharedLimits {
    fn default() -> Self {
        Self {
            queue_bytes: 4 << 20,
            batch: BatchLimits::default(),
        }
    }
}

/// A record or a call that was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SharedError {
    /// Too much waits for the disk: come back later, or wait with [`Appender::append`].
    #[error("{limit} bytes of records wait for the disk; append waits, try_append comes later")]
    Busy {
        /// Bytes that may wait.
        limit: u32,
    },
    /// The spool did not take it, or its commit failed.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Nothing is taken any more: the spool was drained, or its thread ended.
    #[error("the spool was drained or its thread ended; open it again")]
    Ended,
}

telemetry_core::error_codes!(SharedError {
    Busy { .. } => 3100,
    Append(_) => 3101,
    Ended => 3102,
});

/// What a shared spool counts since it is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedStats {
    /// What the spool counts.
    pub spool: Stats,
    /// How far records have come.
    pub watermarks: Watermarks,
    /// Since when the oldest record waits that is not confirmed, to about a second; one of an
    /// earlier opening since this one.
    pub oldest: Option<Instant>,
    /// Durations of commits: a write and a sync.
    pub commit: Histogram,
    /// Durations from append to durable, of each record.
    pub append: Histogram,
    /// Durations from [`Batches::next`] to [`Batches::confirm`], of each batch.
    pub confirm: Histogram,
    /// Records of each commit.
    pub commit_records: Histogram,
    /// Records of each batch.
    pub batch_records: Histogram,
    /// Bytes of each batch's datums.
    pub batch_bytes: Histogram,
}

impl SharedStats {
    fn new<S: Storage>(spool: &Spool<S>) -> Self {
        Self {
            spool: spool.stats(),
            watermarks: spool.watermarks(),
            oldest: None,
            commit: Histogram::disk(),
            append: Histogram::disk(),
            confirm: Histogram::link(),
            commit_records: Histogram::records(),
            batch_records: Histogram::records(),
            batch_bytes: Histogram::bytes(),
        }
    }
}

impl<S: Storage + Send + 'static> Spool<S> {
    /// Gives the spool to a thread of its own, and returns its two ends.
    ///
    /// The thread ends with its last handle, or when the spool is [drained](Appender::drain); either
    /// way it commits what it took and stores how far confirmation has come.
    pub fn share(self, limits: SharedLimits) -> io::Result<(Appender<S>, Batches<S>)> {
        let (tell, stats) = watch::channel(SharedStats::new(&self));
        let (tell_drained, drained) = watch::channel(false);
        // One waits while its taker is busy; more would be made while they are still small.
        let (out, inbox) = mpsc::channel(1);
        let mailbox = Arc::new(Mailbox::new(limits.queue_bytes));
        let opening = self.epoch();
        let owner = Owner::new(self, limits, Arc::clone(&mailbox), out, tell, tell_drained);
        let thread = std::thread::Builder::new().name("spool".to_owned());
        thread.spawn(move || owner.run())?;
        let appender = Appender {
            mailbox: Arc::clone(&mailbox),
            stats,
            drained,
        };
        Ok((appender, Batches::new(mailbox, inbox, opening)))
    }
}

/// What a [drain](Appender::drain) came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Records that nobody has confirmed by the deadline: they are durable here, and the next opening
    /// hands them out. 0 where everything arrived.
    pub left: u64,
    /// What was counted until the end.
    pub stats: SharedStats,
}

/// The end of a shared spool that takes records. Clones share it.
pub struct Appender<S> {
    mailbox: Arc<Mailbox<S>>,
    stats: watch::Receiver<SharedStats>,
    drained: watch::Receiver<bool>,
}

impl<S> fmt::Debug for Appender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender").finish_non_exhaustive()
    }
}

impl<S> Clone for Appender<S> {
    fn clone(&self) -> Self {
        self.mailbox.join();
        Self {
            mailbox: Arc::clone(&self.mailbox),
            stats: self.stats.clone(),
            drained: self.drained.clone(),
        }
    }
}

impl<S> Drop for Appender<S> {
    fn drop(&mut self) {
        self.mailbox.leave();
    }
}

impl<S> Appender<S> {
    /// Counts, durations, and how far records have come, now.
    pub fn stats(&self) -> SharedStats {
        *self.stats.borrow()
    }

    /// The same as they change; outlives the spool, e.g. for metrics.
    pub fn watch_stats(&self) -> watch::Receiver<SharedStats> {
        self.stats.clone()
    }
}

impl<S: Storage + Send + 'static> Appender<S> {
    /// Appends a record in single-object encoding, and returns once it is durable.
    ///
    /// Waits while the queue or the spool is full, in the order of asking. Cancel safe: a record
    /// whose future is dropped before its commit begins is not appended; after that it is, as if
    /// nobody had waited.
    pub async fn append(
        &self,
        stream: StreamNo,
        record: impl Into<Bytes>,
        origin: Option<Origin>,
    ) -> Result<Receipt, SharedError> {
        let record = record.into();
        let room = self.room(record.len()).await?;
        self.submit(stream, record, origin, true, room)?.await
    }

    /// Hands a record over if there is room for it now, and never waits.
    ///
    /// What is returned resolves when the record is durable; dropping it changes nothing about that.
    pub fn try_append(
        &self,
        stream: StreamNo,
        record: impl Into<Bytes>,
        origin: Option<Origin>,
    ) -> Result<Pending, SharedError> {
        let record = record.into();
        let cost = self.mailbox.cost(record.len());
        let room = Arc::clone(&self.mailbox.room).try_acquire_many_owned(cost);
        let room = room.map_err(|error| match (error, self.mailbox.full()) {
            (TryAcquireError::Closed, _) => SharedError::Ended,
            (TryAcquireError::NoPermits, Some((used, limit))) => {
                AppendError::Full { used, limit }.into()
            }
            (TryAcquireError::NoPermits, None) => SharedError::Busy {
                limit: self.mailbox.capacity,
            },
        })?;
        self.submit(stream, record, origin, false, room)
    }

    /// Does something with the spool in its thread, e.g. [`Spool::stream`] or
    /// [`Spool::mark_clock`], and returns once what was appended by then is durable.
    ///
    /// Everybody who appends waits for it. If its future is dropped it may be done, or not.
    pub async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Spool<S>) -> T + Send + 'static,
    ) -> Result<T, SharedError> {
        let room = self.room(0).await?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Call(Box::new(move |spool| {
            let value = call(spool);
            drop(room);
            Box::new(move |committed| {
                // Nobody waits any more.
                let _ = reply.send(committed.map(|()| value));
            })
        }));
        self.mailbox.submit(request)?;
        answer.await.map_err(|_| SharedError::Ended)?
    }

    async fn room(&self, len: usize) -> Result<OwnedSemaphorePermit, SharedError> {
        let cost = self.mailbox.cost(len);
        let room = Arc::clone(&self.mailbox.room).acquire_many_owned(cost);
        room.await.map_err(|_| SharedError::Ended)
    }

    fn submit(
        &self,
        stream: StreamNo,
        record: Bytes,
        origin: Option<Origin>,
        waits: bool,
        room: OwnedSemaphorePermit,
    ) -> Result<Pending, SharedError> {
        if let Some((used, limit)) = self.mailbox.full().filter(|_| !waits) {
            return Err(AppendError::Full { used, limit }.into());
        }
        let (reply, answer) = oneshot::channel();
        self.mailbox.submit(Request::Append(Append {
            stream,
            record,
            origin,
            waits,
            since: owner::now(),
            reply,
            _room: room,
        }))?;
        Ok(Pending(answer))
    }

    /// Waits until somebody downstream has a record for good. Cancel safe.
    pub async fn wait_confirmed(&self, receipt: &Receipt) -> Result<(), SharedError> {
        let mut stats = self.stats.clone();
        let reached = |stats: &SharedStats| receipt.position < stats.watermarks.confirmed;
        let waited = stats.wait_for(reached).await;
        waited.map(drop).map_err(|_| SharedError::Ended)
    }

    /// Takes nothing more, makes durable what was taken, and waits until all of it is confirmed or
    /// `deadline` resolves; then stores how far confirmation has come and closes the spool.
    ///
    /// What waits for room is refused. Fails where the cursor cannot be stored, so that more is sent again. If its future is dropped nothing more is
    /// taken, and the thread ends with its last handle.
    pub async fn drain(&self, deadline: impl Future<Output = ()>) -> Result<Drained, StorageError> {
        self.mailbox.advance(Phase::Draining);
        let (mut drained, mut stats) = (self.drained.clone(), self.stats.clone());
        let mut all = pin!(drained.wait_for(|drained| *drained));
        let mut deadline = pin!(deadline);
        poll_fn(|cx| match all.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => deadline.as_mut().poll(cx),
        })
        .await;
        self.mailbox.advance(Phase::Ending);
        // The thread's end closes it.
        while stats.changed().await.is_ok() {}
        let stats = *stats.borrow();
        let left = stats.spool.depth_records;
        let drained = Drained { left, stats };
        self.mailbox.closed_with().map_or(Ok(drained), Err)
    }
}

/// A record that was handed over: resolves when it is durable.
#[derive(Debug)]
#[must_use = "only when it resolves is the record durable"]
pub struct Pending(oneshot::Receiver<Result<Receipt, AppendError>>);

impl Future for Pending {
    type Output = Result<Receipt, SharedError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(match answer {
            Ok(answer) => answer.map_err(SharedError::Append),
            Err(_) => Err(SharedError::Ended),
        })
    }
}
