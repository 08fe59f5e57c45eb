//! A named consumer: its place in the log, and what it refused.

use std::ops::ControlFlow;

use telemetry_core::Batch;
use telemetry_core::journal::{FrameHead, FrameKind, Scanner, Verdict, put_frame};
use telemetry_core::wire::{Reader, put_bytes};

use super::{EmbeddedLog, decode, encode_head};
use crate::Storage;
use crate::error::ConsumeError;
use crate::segments::Position;

/// Bytes kept of the reason of a rejection.
const REASON_LEN_MAX: usize = 1024;

/// A batch for a consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Where it is in the log.
    pub position: Position,
    /// Where the log goes on: what [`Consumer::ack`] takes.
    pub next: Position,
    /// The batch.
    pub batch: Batch,
    /// It may have been delivered before: an earlier run of this consumer got as far.
    pub redelivered: bool,
}

/// A batch that a consumer refused.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Why.
    pub reason: String,
    /// The batch.
    pub batch: Batch,
}

/// A named consumer of an [`EmbeddedLog`].
#[derive(Debug)]
pub struct Consumer<S> {
    log: EmbeddedLog<S>,
    name: String,
    next: Position,
    /// What was durable at subscription: an earlier run may have seen it.
    old: Position,
    letters: u64,
    buffer: Vec<u8>,
}

impl<S: Storage> Consumer<S> {
    pub(super) fn new(
        log: EmbeddedLog<S>,
        name: &str,
        next: Position,
    ) -> Result<Self, ConsumeError> {
        let old = log.durable();
        let mut consumer = Self {
            log,
            name: name.to_owned(),
            next,
            old,
            letters: 0,
            buffer: Vec::new(),
        };
        consumer.letters = consumer.read_letters()?.1;
        Ok(consumer)
    }

    /// The next confirmed batch, or `None` until more is committed.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end for good"
    )]
    pub fn next(&mut self) -> Result<Option<Delivery>, ConsumeError> {
        let mut guard = self.log.0.lock();
        let state = &mut *guard;
        let (mut found, unreadable) = (None, &mut state.unreadable_batches);
        loop {
            let from = self.next;
            let old = self.old;
            self.next = state
                .log
                .read(from, &mut self.buffer, |position, next, frame| {
                    if frame.head.kind != FrameKind::Batch {
                        return ControlFlow::Continue(());
                    }
                    found = decode(frame).map(|batch| Delivery {
                        position,
                        next,
                        batch,
                        redelivered: position < old,
                    });
                    *unreadable += u64::from(found.is_none());
                    ControlFlow::Break(())
                })?;
            if found.is_some() || self.next == from {
                return Ok(found);
            }
        }
    }

    /// Takes every delivery before `next` as done, durably, and frees what nobody needs.
    pub fn ack(&mut self, next: Position) -> Result<(), ConsumeError> {
        let mut guard = self.log.0.lock();
        let state = &mut *guard;
        let cursor = state
            .cursors
            .get_mut(&self.name)
            .ok_or(ConsumeError::Unsubscribed)?;
        // Nothing that is still to come can be done.
        let next = next.min(state.log.durable());
        if next > cursor.position() {
            cursor.store(&mut state.log.storage, next)?;
        }
        Ok(state.free()?)
    }

    /// Puts a delivery aside with a reason, durably, and then takes all before its end as done.
    ///
    /// Of the reason, 1 KiB is kept. Dead letters beyond [`Limits::dead_letter_bytes`] are
    /// refused: the delivery stays where it is until [`replay_dead_letters`] made room.
    ///
    /// [`Limits::dead_letter_bytes`]: crate::Limits::dead_letter_bytes
    /// [`replay_dead_letters`]: Self::replay_dead_letters
    pub fn reject(&mut self, delivery: &Delivery, reason: &str) -> Result<(), ConsumeError> {
        let mut head = Vec::new();
        encode_head(&delivery.batch.envelope, &mut head);
        let mut why = Vec::new();
        put_bytes(
            &mut why,
            &reason.as_bytes()[..reason.floor_char_boundary(REASON_LEN_MAX)],
        );
        let frame = FrameHead {
            kind: FrameKind::Batch,
            generation: 1,
            stream: 0,
            flags: 0,
            seq: 0,
        };
        let mut bytes = Vec::new();
        let len = put_frame(&mut bytes, frame, &[&why, &head, &delivery.batch.body])?;
        let file = self.letters_file();
        {
            let mut state = self.log.0.lock();
            let (used, limit) = (self.letters, state.log.limits.dead_letter_bytes);
            if used + len as u64 > limit {
                return Err(ConsumeError::DeadLettersFull { used, limit });
            }
            if !state.log.storage.list()?.contains(&file) {
                state.log.storage.create(&file, 0)?;
            }
            state.log.storage.write(&file, self.letters, &bytes)?;
            state.log.storage.sync(&file)?;
        }
        self.letters += len as u64;
        self.ack(delivery.next)
    }

    /// Everything refused so far, oldest first. A letter may appear twice after a crash.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, ConsumeError> {
        Ok(self.read_letters()?.0)
    }

    /// Appends every dead letter to the log again, commits, and empties the file.
    ///
    /// All consumers see the batches again, under the same names.
    pub fn replay_dead_letters(&mut self) -> Result<usize, ConsumeError> {
        let letters = self.dead_letters()?;
        for letter in &letters {
            self.log.append(&letter.batch)?;
        }
        self.log.commit()?;
        if !letters.is_empty() {
            let mut state = self.log.0.lock();
            state.log.storage.truncate(&self.letters_file(), 0)?;
        }
        self.letters = 0;
        Ok(letters.len())
    }

    fn letters_file(&self) -> String {
        format!("dead-{}", self.name)
    }

    /// The letters, and where the next one goes.
    fn read_letters(&self) -> Result<(Vec<DeadLetter>, u64), ConsumeError> {
        let file = self.letters_file();
        let mut state = self.log.0.lock();
        if !state.log.storage.list()?.contains(&file) {
            return Ok((Vec::new(), 0));
        }
        let len = state.log.storage.len(&file)?;
        let mut bytes = Vec::new();
        let all = usize::try_from(len).unwrap_or(usize::MAX);
        state.log.storage.read(&file, 0, all, &mut bytes)?;
        Ok(letters_in(&bytes))
    }
}

/// The letters of a file, and where they end.
pub(crate) fn letters_in(bytes: &[u8]) -> (Vec<DeadLetter>, u64) {
    let mut letters = Vec::new();
    let mut from = 0;
    loop {
        let mut scan = Scanner::from_offset(bytes, 1, from);
        for mut frame in scan.by_ref() {
            let mut input = Reader::new(frame.payload);
            if let Ok(reason) = input.bytes() {
                frame.payload = input.rest();
                letters.extend(decode(&frame).map(|batch| DeadLetter {
                    reason: String::from_utf8_lossy(reason).into_owned(),
                    batch,
                }));
            }
        }
        match scan.verdict() {
            Verdict::Clean { end } | Verdict::Torn { at: end } => {
                return (letters, end as u64);
            }
            // Damage to one letter leaves the others readable.
            Verdict::Corrupt { resume, .. } => from = resume,
        }
    }
}
