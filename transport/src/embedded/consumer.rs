//! A named consumer: its place in the log, what is open, and what it refused.
//!
//! A cursor says one place, and answers come in any order. So what was handed out is kept in the
//! order of the log, each with its state, and the cursor moves to the end of the deliveries that are
//! done without an open one before them. A delivery that is put back keeps its place in that order:
//! the cursor never passes it, so it survives a crash, and its bytes stay on the disk, from where it
//! is read again when its time has come.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use telemetry_core::Batch;

use super::alarm::Alarm;
use super::letters::DeadLetter;
use super::{EmbeddedLog, decode};
use crate::deliveries::{ConsumeAction, Deliveries, Delivery, Token};
use crate::error::ConsumeError;
use crate::journal::FrameKind;
use crate::segments::{Extent, Position, Window};
use crate::storage::{FileId, FileReader, Storage, StorageError};

/// Bytes of bodies after which a group is not filled up any further.
const GROUP_BYTES: usize = 16 << 20;

/// A delivery that is not behind the cursor yet.
#[derive(Debug)]
struct Open {
    position: Position,
    /// Where the log goes on.
    end: Position,
    failures: u32,
    state: OpenState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenState {
    /// Handed out under this number.
    Out(u64),
    /// Put back, until then.
    PutBack(Instant),
    Done,
}

/// A named consumer of an [`EmbeddedLog`].
///
/// It implements [`Deliveries`]; the methods of the same names do the same without a future, since a
/// log in one's own process never waits to answer.
#[derive(Debug)]
pub struct Consumer<S> {
    log: EmbeddedLog<S>,
    name: String,
    session: u64,
    next: Position,
    /// What was durable at subscription: an earlier run may have seen it.
    old: Position,
    /// Deliveries handed out so far.
    handed_out: u64,
    /// What the cursor has not passed, in the order of the log.
    open: BTreeMap<Position, Open>,
    /// Where the deliveries are that are handed out, by their numbers.
    numbers: BTreeMap<u64, Position>,
    /// Deliveries that were put back, by the time at which they come again.
    put_back: BTreeSet<(Instant, Position)>,
    alarm: Alarm,
    /// [`Limits::deliveries_open_max`](crate::Limits::deliveries_open_max).
    open_max: usize,
    /// Bytes ahead of `next`, read once and then without the log.
    window: Window,
    /// Bytes around what was put back.
    again: Window,
    source: Source,
}

/// The segment that was read last, which is read while others append to the log.
#[derive(Debug, Default)]
struct Source(Option<(FileId, Box<dyn FileReader>)>);

impl Source {
    /// Loads durable bytes as [`Segments::load`](crate::segments::Segments::load) does. The log is
    /// locked only to learn where they are and to count damage.
    fn load<S: Storage>(
        &mut self,
        log: &EmbeddedLog<S>,
        mut from: Position,
        window: &mut Window,
    ) -> Result<(Position, bool), StorageError> {
        loop {
            let Some((extent, reader)) = self.open(log, from)? else {
                return log.0.lock().log.load(from, window);
            };
            let filled = window.fill(&extent, |at, len, out| reader.read(at, len, out));
            if let Ok(filled) = filled
                && filled.found
                && filled.skipped == 0
            {
                return Ok((filled.position, true));
            }
            let mut state = log.0.lock();
            if !state.log.is_live(extent) {
                // It was freed while it was read: that is no damage, and the log goes on behind it.
                self.0 = None;
                continue;
            }
            let filled = filled?;
            state.log.damaged_bytes += filled.skipped;
            from = filled.position;
            if filled.found {
                return Ok((from, true));
            }
        }
    }

    /// What comes first from `from` on, and its reader; `None` where nothing does, and where the disk
    /// has no readers.
    fn open<S: Storage>(
        &mut self,
        log: &EmbeddedLog<S>,
        from: Position,
    ) -> Result<Option<(Extent, &mut dyn FileReader)>, StorageError> {
        let mut state = log.0.lock();
        let Some(extent) = state.log.extent(from) else {
            return Ok(None);
        };
        let file = extent.file();
        if self.0.as_ref().is_none_or(|(open, _)| *open != file) {
            let reader = state.log.storage.reader(file)?;
            self.0 = reader.map(|reader| (file, reader));
        }
        let reader = self.0.as_mut().map(|(_, reader)| reader.as_mut());
        Ok(reader.map(|reader| (extent, reader as &mut dyn FileReader)))
    }
}

impl<S: Storage> Consumer<S> {
    pub(super) fn new(log: EmbeddedLog<S>, name: &str, session: u64, next: Position) -> Self {
        let state = log.0.lock();
        let (old, open_max) = (state.log.durable(), state.log.limits.deliveries_open_max);
        drop(state);
        Self {
            log,
            name: name.to_owned(),
            session,
            next,
            old,
            handed_out: 0,
            open: BTreeMap::new(),
            numbers: BTreeMap::new(),
            put_back: BTreeSet::new(),
            alarm: Alarm::default(),
            open_max,
            window: Window::default(),
            again: Window::default(),
            source: Source::default(),
        }
    }

    /// The next confirmed batch, or `None` until more is committed or put back.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end for good"
    )]
    pub fn next(&mut self) -> Result<Option<Delivery>, ConsumeError> {
        Ok(self.take_group(1)?.pop())
    }

    /// What is there now, at most `max` deliveries, and none where
    /// [`Limits::deliveries_open_max`](crate::Limits::deliveries_open_max) are open.
    pub fn take_group(&mut self, max: usize) -> Result<Vec<Delivery>, ConsumeError> {
        let mut group = Vec::new();
        let taken = self.take_put_back(max, &mut group);
        match taken.and_then(|()| self.take_new(max, &mut group)) {
            Err(error) if group.is_empty() => Err(error),
            // What was taken is handed out; the error is there again at the next call.
            _ => Ok(group),
        }
    }

    fn take_put_back(&mut self, max: usize, group: &mut Vec<Delivery>) -> Result<(), ConsumeError> {
        while group.len() < max
            && let Some(&(due, position)) = self.put_back.first()
            && due <= now()
        {
            let mut batch = None;
            let window = match self.window.holds(position) {
                true => &mut self.window,
                false => &mut self.again,
            };
            let found = window.holds(position)
                || self.source.load(&self.log, position, window)? == (position, true);
            if found {
                window.read(position, |_, _, frame| {
                    batch = decode(frame);
                    ControlFlow::Break(())
                });
            }
            self.put_back.remove(&(due, position));
            let Some(open) = self.open.get_mut(&position) else {
                continue;
            };
            match batch {
                Some(batch) => {
                    self.handed_out += 1;
                    open.state = OpenState::Out(self.handed_out);
                    self.numbers.insert(self.handed_out, position);
                    group.push(Delivery {
                        token: Token {
                            session: self.session,
                            number: self.handed_out,
                        },
                        batch,
                        redelivered: true,
                        failures: open.failures,
                    });
                }
                // Damaged since, which the log counts: there is nothing to wait for.
                None => open.state = OpenState::Done,
            }
        }
        Ok(())
    }

    fn take_new(&mut self, max: usize, group: &mut Vec<Delivery>) -> Result<(), ConsumeError> {
        let mut bytes = 0;
        loop {
            let open_max = self.open_max;
            let room = open_max
                .saturating_sub(self.open.len())
                .min(max.saturating_sub(group.len()));
            if room == 0 || bytes >= GROUP_BYTES {
                return Ok(());
            }
            if !self.window.holds(self.next) {
                let (next, found) = (self.source).load(&self.log, self.next, &mut self.window)?;
                self.next = next;
                if !found {
                    return Ok(());
                }
            }
            let (old, session) = (self.old, self.session);
            let mut unreadable = 0;
            let mut found: Vec<(Position, Position, Batch)> = Vec::new();
            self.next = self.window.read(self.next, |at, end, frame| {
                if frame.head.kind != FrameKind::Batch {
                    return ControlFlow::Continue(());
                }
                match decode(frame) {
                    Some(batch) => {
                        bytes += batch.body.len();
                        found.push((at, end, batch));
                    }
                    None => unreadable += 1,
                }
                match found.len() < room && bytes < GROUP_BYTES {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
            if unreadable > 0 {
                self.log.0.lock().unreadable_batches += unreadable;
            }
            for (position, end, batch) in found {
                self.handed_out += 1;
                let number = self.handed_out;
                let open = Open {
                    position,
                    end,
                    failures: 0,
                    state: OpenState::Out(number),
                };
                self.open.insert(position, open);
                self.numbers.insert(number, position);
                group.push(Delivery {
                    token: Token { session, number },
                    batch,
                    redelivered: position < old,
                    failures: 0,
                });
            }
        }
    }

    /// Takes these deliveries as done. The cursor moves, durably, to the first that is not, and what
    /// nobody needs is freed.
    ///
    /// After an error they count as done, and the next call moves the cursor; but see
    /// [`ConsumeError::action`].
    pub fn acknowledge(&mut self, tokens: &[Token]) -> Result<(), ConsumeError> {
        for token in tokens {
            if let Some(open) = self.out(*token) {
                open.state = OpenState::Done;
                self.numbers.remove(&token.number);
            }
        }
        self.move_cursor()
    }

    /// The delivery that was handed out under a token and is not answered yet.
    fn out(&mut self, token: Token) -> Option<&mut Open> {
        if token.session != self.session {
            return None;
        }
        let open = self.open.get_mut(self.numbers.get(&token.number)?)?;
        (open.state == OpenState::Out(token.number)).then_some(open)
    }

    /// Moves the cursor behind the deliveries that are done without an open one before them.
    fn move_cursor(&mut self) -> Result<(), ConsumeError> {
        let done = self.open.values();
        let done = done.take_while(|open| open.state == OpenState::Done);
        let Some(end) = done.last().map(|open| open.end) else {
            return Ok(());
        };
        let mut guard = self.log.0.lock();
        let state = &mut *guard;
        let cursor = state
            .cursors
            .get_mut(&self.name)
            .ok_or(ConsumeError::Unsubscribed)?;
        if end > cursor.position() {
            state.log.store(cursor, end)?;
        }
        // No delivery begins before the end of another, so what is left begins at `end` or later.
        self.open = self.open.split_off(&end);
        Ok(state.free()?)
    }

    /// Puts a delivery back: it comes again after a while, with one failure more.
    ///
    /// Failures are counted since the subscription; after a crash it comes again without a wait.
    pub fn retry(&mut self, delivery: &Delivery, after: Duration) -> Result<(), ConsumeError> {
        let Some(open) = self.out(delivery.token) else {
            return Ok(());
        };
        let at = now() + after;
        open.failures = open.failures.saturating_add(1);
        open.state = OpenState::PutBack(at);
        let position = open.position;
        self.put_back.insert((at, position));
        self.numbers.remove(&delivery.token.number);
        Ok(())
    }

    /// Puts a delivery aside with a reason, durably, and takes it as done.
    ///
    /// Of the reason, 1 KiB is kept. Dead letters beyond
    /// [`Limits::dead_letter_bytes`](crate::Limits::dead_letter_bytes) are refused: the delivery stays open until [`replay_dead_letters`](Self::replay_dead_letters) made room.
    pub fn reject(&mut self, delivery: &Delivery, reason: &str) -> Result<(), ConsumeError> {
        if self.out(delivery.token).is_none() {
            return Ok(());
        }
        {
            let mut guard = self.log.0.lock();
            let (log, letters) = guard.letters(&self.name);
            let of = (log.salt, self.name.as_str(), log.limits.dead_letter_bytes);
            letters.put(&mut log.storage, of, (&delivery.batch, reason))?;
        }
        self.acknowledge(&[delivery.token])
    }

    /// Deliveries that the cursor has not passed: handed out, put back, or done behind such a one.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Everything refused so far, oldest first. A letter may appear twice after a crash; what is
    /// damaged is counted in [`LogStats`](crate::LogStats).
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, ConsumeError> {
        let mut guard = self.log.0.lock();
        let (log, letters) = guard.letters(&self.name);
        let found = letters.read(&mut log.storage, log.salt)?;
        letters.damaged_bytes = found.damaged_bytes;
        Ok(found.letters)
    }

    /// Appends every dead letter to the log again, commits, and empties the file. A file with damaged
    /// letters is kept aside.
    ///
    /// All consumers see the batches again, under the same names.
    pub fn replay_dead_letters(&mut self) -> Result<usize, ConsumeError> {
        let letters = self.dead_letters()?;
        for letter in &letters {
            self.log.append(&letter.batch)?;
        }
        self.log.commit()?;
        let mut guard = self.log.0.lock();
        let (log, file) = guard.letters(&self.name);
        file.clear(&mut log.storage)?;
        Ok(letters.len())
    }
}

impl<S> Drop for Consumer<S> {
    fn drop(&mut self) {
        self.log.0.lock().wakers.remove(&self.session);
    }
}

impl<S: Storage> Consumer<S> {
    fn poll_group(
        &mut self,
        max: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<Vec<Delivery>, ConsumeError>> {
        // Before looking: a commit in between wakes.
        let waker = context.waker().clone();
        self.log.0.lock().wakers.insert(self.session, waker);
        let group = self.take_group(max.max(1))?;
        if !group.is_empty() {
            return Poll::Ready(Ok(group));
        }
        if let Some((due, _)) = self.put_back.first() {
            let set = self.alarm.set(*due, context.waker());
            set.map_err(StorageError::from)?;
        }
        Poll::Pending
    }
}

impl<S: Storage + Send> Deliveries for Consumer<S> {
    type Error = ConsumeError;

    fn action(error: &ConsumeError) -> ConsumeAction {
        error.action()
    }

    fn next_group(
        &mut self,
        max: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, ConsumeError>> + Send {
        poll_fn(move |context| self.poll_group(max, context))
    }

    async fn acknowledge(&mut self, tokens: &[Token]) -> Result<(), ConsumeError> {
        Consumer::acknowledge(self, tokens)
    }

    async fn retry(&mut self, delivery: &Delivery, after: Duration) -> Result<(), ConsumeError> {
        Consumer::retry(self, delivery, after)
    }

    async fn reject(&mut self, delivery: &Delivery, reason: &str) -> Result<(), ConsumeError> {
        Consumer::reject(self, delivery, reason)
    }
}

#[expect(clippy::disallowed_methods, reason = "delays end on the real clock")]
fn now() -> Instant {
    Instant::now()
}
