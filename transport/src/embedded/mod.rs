//! The embedded log: a broker's stand-in on one machine.

mod alarm;
mod consumer;
mod letters;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use telemetry_core::wire::{Reader, put_bytes};
use telemetry_core::{Batch, Envelope};

use crate::cursor::Cursor;
use crate::error::{AppendError, CommitError, ConsumeError, OpenError};
use crate::journal::{Frame, FrameKind};
use crate::segments::{Limits, Position, Recovery, Remembered, Segments};
use crate::spool::random_bits;
use crate::storage::{Disk, FileId, FileKind, Storage, StorageError, StorageErrorKind};
pub use consumer::Consumer;
pub use letters::DeadLetter;
pub(crate) use letters::Found as Letters;
use letters::Letters as LettersFile;

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
    /// Dead letters, also of consumers that were unsubscribed.
    letters: BTreeMap<String, LettersFile>,
    /// End of the newest batch.
    newest: Position,
    /// Largest number of a consumer's files.
    last_number: u64,
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
    /// Damaged bytes of dead letters, which a replay keeps aside.
    pub damaged_letter_bytes: u64,
}

impl<S> Shared<S> {
    /// A panicking thread leaves the state whole: every change is one assignment at its end.
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
        let len = self.head.len() + batch.body.len();
        let admitted = match self.log.admit(len, self.log.whole()) {
            Err(AppendError::Full { .. }) if self.all_passed() => {
                self.leave_segment()?;
                self.log.admit(len, self.log.whole())
            }
            admitted => admitted,
        };
        if admitted? {
            self.log.roll(&[])?;
        }
        let parts: [&[u8]; 2] = [&self.head, &batch.body];
        let position = self.log.push(FrameKind::Batch, (0, 0, 0), &parts)?;
        self.newest = self.log.appended();
        Ok(position)
    }

    /// Whether every consumer has everything: what is kept only fills its segment.
    fn all_passed(&self) -> bool {
        let mut places = self.cursors.values().map(Cursor::position);
        !self.cursors.is_empty() && places.all(|place| place >= self.newest)
    }

    /// Goes on in a new segment, and frees all others.
    fn leave_segment(&mut self) -> Result<(), AppendError> {
        self.log.roll(&[])?;
        self.log.commit()?;
        let start = Position {
            offset: 0,
            ..self.log.durable()
        };
        for cursor in self.cursors.values_mut() {
            self.log.store(cursor, start)?;
        }
        self.log.free_before(start)?;
        Ok(())
    }

    /// Frees the segments that every consumer has passed.
    fn free(&mut self) -> Result<(), StorageError> {
        match self.cursors.values().map(Cursor::position).min() {
            Some(passed) => self.log.free_before(passed),
            None => Ok(()),
        }
    }

    /// The dead letters of a consumer.
    fn letters(&mut self, name: &str) -> (&mut Segments<S>, &mut LettersFile) {
        let number = self.cursors.get(name).map_or(0, |c| c.file().number);
        let letters = self.letters.entry(name.to_owned());
        let letters = letters.or_insert_with(|| LettersFile::new(number));
        (&mut self.log, letters)
    }
}

impl<S: Storage> EmbeddedLog<S> {
    /// Opens the log; consumers registered earlier keep their place. A new log gets random bits of the
    /// operating system.
    ///
    /// A log that holds something opens on a full disk too: it delivers and takes acknowledgements.
    pub fn open(storage: S, limits: Limits) -> Result<(Self, Recovery), OpenError> {
        let salt = random_bits().map_err(StorageError::from)?;
        Self::open_salted(storage, limits, salt)
    }

    /// Opens the log; a new one gets these random bits, which nobody else may learn.
    pub fn open_salted(
        storage: S,
        limits: Limits,
        salt: u64,
    ) -> Result<(Self, Recovery), OpenError> {
        let mut storage = Disk::new(storage);
        Segments::check(&mut storage, &limits)?;
        storage.sync_names()?;
        let files = storage.list()?;
        let mut cursors = BTreeMap::new();
        let mut remembered = Remembered::default();
        for &file in files.iter().filter(|file| file.kind == FileKind::Cursor) {
            let cursor = Cursor::read(&mut storage, file)?;
            remembered = remembered.and(cursor.remembered());
            if !cursor.name().is_empty() {
                cursors.insert(cursor.name().to_owned(), cursor);
            }
        }
        let mut newest = Position::default();
        let (mut log, recovery) =
            Segments::recover(storage, limits, salt, remembered, |at, frame| {
                if frame.head.kind == FrameKind::Batch {
                    let offset = at.offset + (frame.end() - frame.offset) as u64;
                    newest = Position { offset, ..at };
                }
            })?;
        let (end, mut letters) = (log.durable(), BTreeMap::new());
        for cursor in cursors.values_mut() {
            // What comes now was never delivered, also where the log that a cursor stood in is gone.
            let place = cursor.position().min(end);
            log.store(cursor, place)?;
        }
        for &file in files.iter().filter(|file| file.kind == FileKind::Letters) {
            let (name, its) = LettersFile::open(&mut log.storage, file, log.salt)?;
            let named = cursors.values().find(|c| c.file().number == file.number);
            let name = named.map_or(name, |cursor| cursor.name().to_owned());
            letters.insert(name, its);
        }
        let opened = log.roll(&[]).and_then(|()| Ok(log.commit()?));
        match opened {
            Ok(()) => log.tidy()?,
            Err(AppendError::Io(error))
                if error.kind == StorageErrorKind::Full && end != Position::default() => {}
            Err(error) => return Err(error.into()),
        }
        let numbers = files
            .iter()
            .filter(|file| matches!(file.kind, FileKind::Cursor | FileKind::Letters));
        let shared = Shared {
            state: Mutex::new(State {
                log,
                cursors,
                letters,
                newest,
                last_number: numbers.map(|file| file.number).max().unwrap_or(0),
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
        let mut guard = self.0.lock();
        let state = &mut *guard;
        if !state.cursors.contains_key(name) {
            // Letters that the consumer left before are its letters again.
            let number = match state.letters.get(name) {
                Some(letters) => letters.number(),
                None => state.last_number + 1,
            };
            let file = FileId::new(FileKind::Cursor, number);
            let mut cursor = Cursor::new(file, name.to_owned());
            state.last_number = state.last_number.max(number);
            state.log.store(&mut cursor, state.log.start())?;
            state.cursors.insert(name.to_owned(), cursor);
        }
        let position = state.cursors.get(name).map(Cursor::position);
        state.sessions += 1;
        let session = state.sessions;
        drop(guard);
        let position = position.unwrap_or_default();
        Ok(Consumer::new(self.clone(), name, session, position))
    }

    /// Forgets a consumer: nothing is kept for it any more. Its dead letters stay.
    pub fn unsubscribe(&self, name: &str) -> Result<(), ConsumeError> {
        let mut state = self.0.lock();
        if let Some(cursor) = state.cursors.get(name) {
            let file = cursor.file();
            state.log.storage.remove(file)?;
            state.log.storage.sync_names()?;
            state.cursors.remove(name);
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
            damaged_letter_bytes: state.letters.values().map(|l| l.damaged_bytes).sum(),
        }
    }

    /// Bytes of all batches kept.
    pub fn bytes(&self) -> u64 {
        self.0.lock().log.used()
    }
}
