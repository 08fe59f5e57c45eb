//! The thread that owns a shared spool, and the mailbox through which others reach it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use telemetry_core::single_object;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::{COST, SharedError, SharedLimits, SharedStats};
use crate::{
    AppendError, BatchLimits, CommitError, ConfirmError, Origin, Position, Receipt, Spool,
    SpooledBatch, Storage, StorageError, StorageErrorKind, StreamNo,
};

/// Bytes of a body beside its datums, at most: the header, the count, and the end.
const BODY_OVERHEAD: usize = single_object::HEADER_LEN + 5 + 1;

/// Age of the newest mark before another one is set.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// Marks kept of when records were appended; beyond, every other one goes.
const MARKS_MAX: usize = 1024;

#[expect(
    clippy::disallowed_methods,
    reason = "durations are measured at the edge"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Says to a call's caller that its commit succeeded, or why not.
type Answer = Box<dyn FnOnce(Result<(), SharedError>) + Send>;

type Call<S> = Box<dyn FnOnce(&mut Spool<S>) -> Answer + Send>;

pub(super) struct Append {
    pub(super) stream: StreamNo,
    pub(super) record: Bytes,
    pub(super) origin: Option<Origin>,
    /// Its caller waits for room; without a caller it is not wanted.
    pub(super) waits: bool,
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Result<Receipt, AppendError>>,
    pub(super) _room: OwnedSemaphorePermit,
}

pub(super) enum Request<S> {
    Append(Append),
    Call(Call<S>),
}

/// What a shared spool still does; it only moves on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    #[default]
    Open,
    /// Takes nothing more, and waits for confirmations.
    Draining,
    Ending,
    Ended,
}

struct State<S> {
    requests: VecDeque<Request<S>>,
    /// Confirmed batches, and how long that took.
    confirmed: Vec<(SpooledBatch, Duration)>,
    /// Batches to hand out again in smaller ones.
    split: Vec<SpooledBatch>,
    /// The largest body of a batch that the receiver takes.
    body_bytes_max: usize,
    /// A batch was taken: there is room for another.
    took: bool,
    phase: Phase,
    handles: usize,
    /// Bytes used and allowed, while a record waits for room in the spool.
    full: Option<(u64, u64)>,
    closed_with: Option<StorageError>,
}

/// Where requests wait for the owner.
pub(super) struct Mailbox<S> {
    state: Mutex<State<S>>,
    work: Condvar,
    /// A permit a byte.
    pub(super) room: Arc<Semaphore>,
    pub(super) capacity: u32,
}

impl<S> Mailbox<S> {
    /// A mailbox with one handle.
    pub(super) fn new(queue_bytes: u32) -> Self {
        let capacity = queue_bytes.max(COST as u32);
        Self {
            state: Mutex::new(State {
                requests: VecDeque::new(),
                confirmed: Vec::new(),
                split: Vec::new(),
                body_bytes_max: usize::MAX,
                took: false,
                phase: Phase::Open,
                handles: 1,
                full: None,
                closed_with: None,
            }),
            work: Condvar::new(),
            room: Arc::new(Semaphore::new(capacity as usize)),
            capacity,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        // No code of a caller runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Permits that a payload takes: all of them where it has more bytes.
    pub(super) fn cost(&self, len: usize) -> u32 {
        let cost = u32::try_from(len.saturating_add(COST)).unwrap_or(u32::MAX);
        cost.min(self.capacity)
    }

    pub(super) fn submit(&self, request: Request<S>) -> Result<(), SharedError> {
        let mut state = self.state();
        if state.phase > Phase::Open {
            return Err(SharedError::Ended);
        }
        state.requests.push_back(request);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    pub(super) fn full(&self) -> Option<(u64, u64)> {
        self.state().full
    }

    pub(super) fn took(&self) {
        self.state().took = true;
        self.work.notify_one();
    }

    pub(super) fn confirm(&self, batch: SpooledBatch, took: Duration) {
        self.state().confirmed.push((batch, took));
        self.work.notify_one();
    }

    /// The receiver takes no body of more than so many bytes; this batch has more.
    pub(super) fn split(&self, batch: Option<SpooledBatch>, body_bytes_max: usize) {
        let mut state = self.state();
        state.body_bytes_max = body_bytes_max;
        state.split.extend(batch);
        // Also what is appended next is measured.
        state.took = true;
        drop(state);
        self.work.notify_one();
    }

    /// Moves on to a later phase.
    pub(super) fn advance(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = state.phase.max(phase);
        drop(state);
        self.room.close();
        self.work.notify_one();
    }

    pub(super) fn join(&self) {
        self.state().handles += 1;
    }

    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.handles -= 1;
        // Whoever waits for batches to be confirmed may wait in vain now.
        state.took = true;
        let last = state.handles == 0;
        drop(state);
        match last {
            true => self.advance(Phase::Ending),
            false => self.work.notify_one(),
        }
    }

    /// Why the end of the thread stored no cursor.
    pub(super) fn closed_with(&self) -> Option<StorageError> {
        self.state().closed_with.take()
    }
}

pub(super) struct Owner<S> {
    // Before what tells of the end: the directory is free by then.
    spool: Spool<S>,
    limits: SharedLimits,
    mailbox: Arc<Mailbox<S>>,
    /// Taken, and not appended yet.
    waiting: VecDeque<Request<S>>,
    /// Appended, and not durable yet.
    appended: Vec<(Append, Receipt)>,
    called: Vec<Answer>,
    /// What the last commit was for.
    tried: Position,
    /// Durable records may not be handed out yet.
    more: bool,
    out: mpsc::Sender<Result<SpooledBatch, StorageError>>,
    /// What to tell who takes batches.
    failed: Option<StorageError>,
    /// Since when records wait that lie from a position on.
    marks: VecDeque<(Position, Instant)>,
    stats: SharedStats,
    tell: watch::Sender<SharedStats>,
    tell_drained: watch::Sender<bool>,
}

impl<S: Storage> Owner<S> {
    pub(super) fn new(
        spool: Spool<S>,
        limits: SharedLimits,
        mailbox: Arc<Mailbox<S>>,
        out: mpsc::Sender<Result<SpooledBatch, StorageError>>,
        tell: watch::Sender<SharedStats>,
        tell_drained: watch::Sender<bool>,
    ) -> Self {
        let stats = SharedStats::new(&spool);
        let backlog = stats.spool.depth_records > 0;
        Self {
            marks: backlog
                .then(|| (Position::default(), now()))
                .into_iter()
                .collect(),
            spool,
            limits,
            mailbox,
            waiting: VecDeque::new(),
            appended: Vec::new(),
            called: Vec::new(),
            tried: Position::default(),
            more: true,
            out,
            failed: None,
            stats,
            tell,
            tell_drained,
        }
    }

    pub(super) fn run(mut self) {
        let mut seen = Phase::Open;
        self.hand_out();
        self.tell();
        loop {
            let phase = self.receive(seen);
            let full = self.take();
            self.mailbox.state().full = full;
            self.commit();
            self.hand_out();
            self.tell();
            if phase > Phase::Open {
                // What waits for room is refused.
                self.waiting.clear();
            }
            let confirmed = self.stats.watermarks.confirmed >= self.stats.watermarks.durable;
            if phase == Phase::Draining && (confirmed || self.out.is_closed()) {
                self.tell_drained.send_replace(true);
            }
            if phase == Phase::Ending {
                break;
            }
            seen = phase;
        }
        let saved = self.spool.save_cursor();
        self.mailbox.state().closed_with = saved.err();
    }

    /// Waits for something to do, and takes all of it.
    fn receive(&mut self, seen: Phase) -> Phase {
        let mailbox = Arc::clone(&self.mailbox);
        let mut state = mailbox.state();
        while state.requests.is_empty()
            && state.confirmed.is_empty()
            && !state.took
            && state.phase == seen
        {
            state = mailbox
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.append(&mut state.requests);
        let confirmed = std::mem::take(&mut state.confirmed);
        let split = std::mem::take(&mut state.split);
        let body_bytes_max = state.body_bytes_max;
        state.took = false;
        let phase = state.phase;
        drop(state);
        if body_bytes_max < usize::MAX {
            // A record has a header of its own instead.
            let datums = body_bytes_max.saturating_sub(BODY_OVERHEAD);
            self.limits.batch.bytes = self.limits.batch.bytes.min(datums);
            self.spool.limit_records(datums + single_object::HEADER_LEN);
        }
        for batch in split {
            // A call put another spool in the place of the one that handed it out.
            if self.spool.split(&batch, self.limits.batch.bytes).is_err() {
                self.failed = Some(StorageErrorKind::Stranger.into());
            }
            self.more = true;
        }
        for (batch, took) in confirmed {
            self.stats.confirm.record_duration(took);
            match self.spool.confirm(&batch) {
                Ok(()) => {}
                Err(ConfirmError::Io(error)) => self.failed = Some(error),
                // A call put another spool in the place of the one that handed it out.
                Err(_) => self.failed = Some(StorageErrorKind::Stranger.into()),
            }
        }
        phase
    }

    /// Appends what waits, in order, until the spool is full; then says how full.
    fn take(&mut self) -> Option<(u64, u64)> {
        let mut full = None;
        let mut stalled = VecDeque::new();
        while let Some(request) = self.waiting.pop_front() {
            let append = match request {
                Request::Call(call) => {
                    self.called.push(call(&mut self.spool));
                    continue;
                }
                Request::Append(append) if append.waits && append.reply.is_closed() => continue,
                Request::Append(append) if append.waits && full.is_some() => {
                    stalled.push_back(Request::Append(append));
                    continue;
                }
                Request::Append(append) => append,
            };
            let taken = self
                .spool
                .append(append.stream, &append.record, append.origin);
            match taken {
                Ok(receipt) => self.appended.push((append, receipt)),
                Err(AppendError::Full { used, limit }) if append.waits => {
                    full = Some((used, limit));
                    stalled.push_back(Request::Append(append));
                }
                Err(error) => {
                    if let AppendError::Commit(error) = &error {
                        self.fail(error);
                    }
                    // Nobody waits any more.
                    let _ = append.reply.send(Err(error));
                }
            }
        }
        self.waiting = stalled;
        full
    }

    /// Makes durable what was appended, and tells everyone who waits for it.
    fn commit(&mut self) {
        let before = self.spool.watermarks();
        // A commit that failed is not tried again.
        if before.appended != before.durable && before.appended != self.tried {
            self.tried = before.appended;
            let start = now();
            let committed = self.spool.commit();
            let end = now();
            if let Err(error) = committed {
                self.fail(&error);
            } else {
                self.stats.commit.record_duration(end - start);
                self.stats.commit_records.record(self.appended.len() as u64);
                self.mark(before.durable, end);
                for (append, _) in &self.appended {
                    self.stats.append.record_duration(end - append.since);
                }
            }
            self.more = true;
        }
        if !self.appended.is_empty() {
            self.tell();
        }
        for (append, receipt) in self.appended.drain(..) {
            let _ = append.reply.send(Ok(receipt));
        }
        self.called.drain(..).for_each(|answer| answer(Ok(())));
    }

    /// Tells everyone whose record was in a commit that failed. A commit before it, at the end of a
    /// segment, may have made some of them durable.
    fn fail(&mut self, error: &CommitError) {
        let durable = self.spool.watermarks().durable;
        for (append, receipt) in self.appended.drain(..) {
            let _ = append.reply.send(match receipt.position < durable {
                true => Ok(receipt),
                false => Err(AppendError::Commit(*error)),
            });
        }
        for answer in self.called.drain(..) {
            answer(Err(AppendError::Commit(*error).into()));
        }
    }

    /// Notes that records from a position on were appended by now.
    fn mark(&mut self, from: Position, now: Instant) {
        let due = |(_, last): &(Position, Instant)| now - *last >= MARK_EVERY;
        if self.marks.back().is_none_or(due) {
            self.marks.push_back((from, now));
        }
        if self.marks.len() > MARKS_MAX {
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// Hands durable records out, as far as somebody takes them.
    fn hand_out(&mut self) {
        while let Ok(room) = self.out.try_reserve() {
            if let Some(error) = self.failed.take() {
                room.send(Err(error));
                continue;
            }
            if !self.more {
                break;
            }
            let BatchLimits { bytes, records } = self.limits.batch;
            match self.spool.next_batch(bytes, records) {
                Ok(Some(batch)) => {
                    self.stats.batch_records.record(u64::from(batch.count()));
                    self.stats.batch_bytes.record(batch.bytes() as u64);
                    room.send(Ok(batch));
                }
                Ok(None) => self.more = false,
                Err(error) => {
                    room.send(Err(error));
                    break;
                }
            }
        }
    }

    fn tell(&mut self) {
        self.stats.spool = self.spool.stats();
        self.stats.watermarks = self.spool.watermarks();
        let confirmed = self.stats.watermarks.confirmed;
        if confirmed >= self.stats.watermarks.durable {
            self.marks.clear();
        }
        while self
            .marks
            .get(1)
            .is_some_and(|(from, _)| *from <= confirmed)
        {
            self.marks.pop_front();
        }
        self.stats.oldest = self.marks.front().map(|(_, since)| *since);
        self.tell.send_replace(self.stats);
    }
}

impl<S> Drop for Owner<S> {
    fn drop(&mut self) {
        // Also where a call panicked: nobody waits for a thread that is gone.
        self.mailbox.advance(Phase::Ended);
        let left = std::mem::take(&mut self.mailbox.state().requests);
        drop(left);
    }
}
