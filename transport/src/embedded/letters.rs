//! The dead letters of a consumer: one file, shared by all its handles.

use std::string::String;
use std::vec::Vec;

use telemetry_core::Batch;
use telemetry_core::wire::{Reader, put_bytes};

use super::{decode, encode_head};
use crate::error::ConsumeError;
use crate::journal::{
    COMMIT, Frame, FrameHead, FrameKey, FrameKind, Known, Link, Part, put_frame, walk,
};
use crate::storage::{Disk, FileId, FileKind, Storage, StorageError, StorageErrorKind};

/// Bytes kept of the reason of a rejection.
const REASON_LEN_MAX: usize = 1024;

/// A batch that a consumer refused.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Why.
    pub reason: String,
    /// The batch.
    pub batch: Batch,
}

/// What a file of letters holds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The consumer.
    pub(crate) name: String,
    pub(crate) letters: Vec<DeadLetter>,
    /// Where the next letter goes.
    pub(crate) end: u64,
    /// Bytes of letters that are damaged.
    pub(crate) damaged_bytes: u64,
    salt: u64,
}

impl Found {
    /// Reads a file of letters; `salt` is the journal's, for where the file's own is damaged.
    pub(crate) fn read(bytes: &[u8], number: u32, salt: u64) -> Self {
        let link = Link::of(bytes).map(|(_, link)| link);
        let mut found = Self {
            salt: link.map_or(salt, |link| link.salt),
            ..Self::default()
        };
        let key = FrameKey {
            salt: found.salt,
            generation: number,
        };
        let end = walk(bytes, key, Known::Nothing, |part| match part {
            Part::Frame(frame) if frame.head.kind == FrameKind::Header => {
                let name = Link::split(frame.payload).map(|(_, name)| name);
                found.name = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
            }
            Part::Frame(frame) => match letter(frame) {
                Some(letter) => found.letters.push(letter),
                None => found.damaged_bytes += (frame.end() - frame.offset) as u64,
            },
            Part::Damage { at, end } => found.damaged_bytes += (end - at) as u64,
        });
        found.end = end.offset() as u64;
        found
    }
}

fn letter(mut frame: Frame<'_>) -> Option<DeadLetter> {
    let mut input = Reader::new(frame.payload);
    let reason = String::from_utf8_lossy(input.bytes().ok()?).into_owned();
    frame.payload = input.rest();
    let batch = decode(&frame)?;
    Some(DeadLetter { reason, batch })
}

/// A consumer's file of letters.
#[derive(Debug)]
pub(super) struct Letters {
    file: FileId,
    end: u64,
    pub(super) damaged_bytes: u64,
    made: bool,
}

impl Letters {
    /// Letters of a consumer that refused nothing yet.
    pub(super) const fn new(number: u64) -> Self {
        Self {
            file: FileId::new(FileKind::Letters, number),
            end: 0,
            damaged_bytes: 0,
            made: false,
        }
    }

    /// Letters that are there, and whose they are.
    pub(super) fn open<S: Storage>(
        storage: &mut Disk<S>,
        file: FileId,
        salt: u64,
    ) -> Result<(String, Self), StorageError> {
        let mut letters = Self::new(file.number);
        letters.made = true;
        let found = letters.read(storage, salt)?;
        letters.end = found.end;
        letters.damaged_bytes = found.damaged_bytes;
        Ok((found.name, letters))
    }

    pub(super) const fn number(&self) -> u64 {
        self.file.number
    }

    fn generation(&self) -> u32 {
        u32::try_from(self.file.number).unwrap_or(u32::MAX)
    }

    /// Reads what is there.
    pub(super) fn read<S: Storage>(
        &self,
        storage: &mut Disk<S>,
        salt: u64,
    ) -> Result<Found, StorageError> {
        if !self.made {
            return Ok(Found::default());
        }
        let len = usize::try_from(storage.len(self.file)?).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        storage.read(self.file, 0, len, &mut bytes)?;
        Ok(Found::read(&bytes, self.generation(), salt))
    }

    /// Puts a letter in, durably. Where it fails, the same letter may be put again.
    pub(super) fn put<S: Storage>(
        &mut self,
        storage: &mut Disk<S>,
        (salt, name, limit): (u64, &str, u64),
        (batch, reason): (&Batch, &str),
    ) -> Result<(), ConsumeError> {
        let key = FrameKey {
            salt,
            generation: self.generation(),
        };
        let head = |kind| FrameHead {
            kind,
            stream: 0,
            flags: COMMIT,
            seq: 0,
        };
        let mut bytes = Vec::new();
        if self.end == 0 {
            let link = Link {
                salt,
                ..Link::default()
            };
            let parts: [&[u8]; 2] = [&link.encode(), name.as_bytes()];
            put_frame(&mut bytes, key, 0, head(FrameKind::Header), &parts)?;
        }
        let (mut why, mut envelope) = (Vec::new(), Vec::new());
        let reason = &reason[..reason.floor_char_boundary(REASON_LEN_MAX)];
        put_bytes(&mut why, reason.as_bytes());
        encode_head(&batch.envelope, &mut envelope);
        let at = self.end + bytes.len() as u64;
        let parts: [&[u8]; 3] = [&why, &envelope, &batch.body];
        put_frame(&mut bytes, key, at, head(FrameKind::Batch), &parts)?;
        let (used, len) = (self.end, bytes.len() as u64);
        if used + len > limit {
            return Err(ConsumeError::DeadLettersFull { used, limit });
        }
        if !self.made {
            match storage.create(self.file, 0) {
                // An attempt that failed made it.
                Err(error) if error.kind == StorageErrorKind::AlreadyExists => {}
                made => made?,
            }
            self.made = true;
        }
        storage.write(self.file, self.end, &bytes)?;
        storage.sync(self.file)?;
        storage.sync_names()?;
        self.end += len;
        Ok(())
    }

    /// Empties the file. What is damaged in it is kept aside.
    pub(super) fn clear<S: Storage>(&mut self, storage: &mut Disk<S>) -> Result<(), StorageError> {
        if !self.made {
            return Ok(());
        }
        if self.damaged_bytes > 0 {
            // No segment has this number.
            let number = u64::from(u32::MAX) << 32 | self.file.number << 8;
            let taken = storage.list()?;
            let free = (number..)
                .map(|number| FileId::new(FileKind::Quarantine, number))
                .find(|file| !taken.contains(file));
            storage.rename(self.file, free.unwrap_or(self.file))?;
            self.made = false;
        } else {
            storage.truncate(self.file, 0)?;
            storage.sync(self.file)?;
        }
        storage.sync_names()?;
        self.end = 0;
        self.damaged_bytes = 0;
        Ok(())
    }
}
