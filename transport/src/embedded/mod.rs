//! The embedded log: a broker's stand-in on one machine.

mod alarm;
mod consumer;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use telemetry_core::journal::{Frame, FrameKind};
use telemetry_core::wire::{Reader, put_bytes};
use telemetry_core::{Batch, Envelope};

use crate::Storage;
use crate::cursor::Cursor;
use crate::error::{AppendError, CommitError, ConsumeError, OpenError};
use crate::segments::{Limits, Position, Recovery, Segments};
pub(crate) use consumer::letters_in;
pub use consumer::{Consumer, DeadLetter};

/// A log of batches, shared by any number of publishers and consumers in one process.
///
/// A batch is *confirmed* once [`commit`](Self::commit) returned after its append.
#[derive(Debug)]
pub struct EmbeddedLog<S>(Arc<Shared<S>>);

impl<S> Clone for EmbeddedLog<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<S> {
    state: Mutex<State<S>>,
    committed: Condvar,
}

#[derive(Debug)]
struct State<S> {
    log: Segments<S>,
    cursors: BTreeMap<String, Cursor>,
    head: Vec<u8>,
    unreadable_batches: u64,
    /// Consumers made so far: each is a session of its own.
    sessions: u64,
    /// Who waits for a commit, by session.
    wakers: BTreeMap<u64, Waker>,
}

/// Sizes of a log, and what reading it since the opening went past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Bytes of all batches kept.
    pub bytes: u64,
    /// Damaged bytes; each consumer that meets them counts.
    pub damaged_bytes: u64,
    /// Whole frames that hold no batch; each consumer that meets one counts.
    pub unreadable_batches: u64,
}

impl<S> Shared<S> {
    /// A panicking thread leaves the state whole: every change is one assignment at its end.
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prefix of the cursor files of consumers.
pub(crate) const CURSOR: &str = "consumer-";

/// The batch of a frame: length-delimited envelope, then the body.
pub(crate) fn decode(frame: &Frame<'_>) -> Option<Batch> {
    let mut input = Reader::new(frame.payload);
    let envelope = Envelope::from_avro(input.bytes().ok()?).ok()?;
    Some(Batch {
        envelope,
        body: Bytes::copy_from_slice(input.rest()),
    })
}

fn encode_head(envelope: &Envelope, head: &mut Vec<u8>) {
    let mut avro = Vec::with_capacity(384);
    envelope.to_avro(&mut avro);
    head.clear();
    put_bytes(head, &avro);
}

impl<S: Storage> State<S> {
    fn append(&mut self, batch: &Batch) -> Result<Position, AppendError> {
        encode_head(&batch.envelope, &mut self.head);
        if self.log.admit(self.head.len() + batch.body.len())? {
            self.log.commit()?;
            self.log.roll()?;
            self.log.push(FrameKind::Header, (0, 0, 0), &[])?;
        }
        self.log
            .push(FrameKind::Batch, (0, 0, 0), &[&self.head, &batch.body])
    }

    /// Frees the segments that every consumer has passed.
    fn free(&mut self) -> io::Result<()> {
        match self.cursors.values().map(Cursor::position).min() {
            Some(passed) => self.log.free_before(passed),
            None => Ok(()),
        }
    }
}

impl<S: Storage> EmbeddedLog<S> {
    /// Opens the log; consumers registered earlier keep their place.
    pub fn open(mut storage: S, limits: Limits) -> Result<(Self, Recovery), OpenError> {
        Segments::check(&mut storage, &limits)?;
        let (mut log, recovery) = Segments::recover(storage, limits, |_, _| {})?;
        let (start, end) = (log.start(), log.durable());
        let mut cursors = BTreeMap::new();
        for file in log.storage.list()? {
            if let Some(name) = file.strip_prefix(CURSOR) {
                let name = name.to_owned();
                let mut cursor = Cursor::open(&mut log.storage, file, start)?;
                cursor.clamp(&mut log.storage, end)?;
                cursors.insert(name, cursor);
            }
        }
        log.roll()?;
        log.push(FrameKind::Header, (0, 0, 0), &[])?;
        log.commit()?;
        log.remove_bare()?;
        let shared = Shared {
            state: Mutex::new(State {
                log,
                cursors,
                head: Vec::new(),
                unreadable_batches: 0,
                sessions: 0,
                wakers: BTreeMap::new(),
            }),
            committed: Condvar::new(),
        };
        Ok((Self(Arc::new(shared)), recovery))
    }

    /// Buffers a batch.
    pub fn append(&self, batch: &Batch) -> Result<Position, AppendError> {
        self.0.lock().append(batch)
    }

    /// Makes every batch appended so far durable, which confirms it, and wakes consumers.
    pub fn commit(&self) -> Result<Position, CommitError> {
        let mut state = self.0.lock();
        state.log.commit()?;
        self.0.committed.notify_all();
        let wakers = std::mem::take(&mut state.wakers);
        let durable = state.log.durable();
        drop(state);
        wakers.into_values().for_each(Waker::wake);
        Ok(durable)
    }

    /// Registers a consumer, or takes up its place; a new one starts at the oldest batch kept.
    ///
    /// Names are 1 to 64 bytes of `[A-Za-z0-9._]`. One consumer per name makes sense: two share
    /// a cursor.
    pub fn subscribe(&self, name: &str) -> Result<Consumer<S>, ConsumeError> {
        let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(ok) {
            return Err(ConsumeError::Name);
        }
        let mut state = self.0.lock();
        if !state.cursors.contains_key(name) {
            let start = state.log.start();
            let file = format!("{CURSOR}{name}");
            let cursor = Cursor::open(&mut state.log.storage, file, start)?;
            state.cursors.insert(name.to_owned(), cursor);
        }
        let position = state.cursors.get(name).map(Cursor::position);
        state.sessions += 1;
        let session = state.sessions;
        drop(state);
        Consumer::new(self.clone(), name, session, position.unwrap_or_default())
    }

    /// Forgets a consumer: nothing is kept for it any more. Its dead letters stay.
    pub fn unsubscribe(&self, name: &str) -> Result<(), ConsumeError> {
        let mut state = self.0.lock();
        if state.cursors.remove(name).is_some() {
            state.log.storage.remove(&format!("{CURSOR}{name}"))?;
        }
        Ok(state.free()?)
    }

    /// Waits until something is committed, at most `within`; a consumer looks again then.
    pub fn wait(&self, seen: Position, within: Duration) {
        let state = self.0.lock();
        let nothing_new = |s: &mut State<S>| s.log.durable() <= seen;
        // Both outcomes mean the same to the caller: look again.
        drop(
            self.0
                .committed
                .wait_timeout_while(state, within, nothing_new),
        );
    }

    /// End of what is confirmed.
    pub fn durable(&self) -> Position {
        self.0.lock().log.durable()
    }

    /// Sizes and counts.
    pub fn stats(&self) -> LogStats {
        let state = self.0.lock();
        LogStats {
            bytes: state.log.used(),
            damaged_bytes: state.log.damaged_bytes,
            unreadable_batches: state.unreadable_batches,
        }
    }

    /// Bytes of all batches kept.
    pub fn bytes(&self) -> u64 {
        self.0.lock().log.used()
    }
}
