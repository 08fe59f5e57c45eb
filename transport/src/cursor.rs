//! A durable position: two slots written in turn, so that a torn write leaves the older one.

use alloc::string::String;
use alloc::vec::Vec;

use crate::journal::{Frame, FrameHead, FrameKey, FrameKind, Scanner, put_frame};
use crate::segments::{Position, Remembered};
use crate::storage::{Disk, FileId, Storage, StorageError, StorageErrorKind};

/// Distance of the slots: no sector holds both.
const SLOT: usize = 4096;

/// The file says itself what the salt of its journal is.
const KEY: FrameKey = FrameKey {
    salt: 0,
    generation: 0,
};

/// What a slot says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    salt: u64,
    position: Position,
    /// Bytes of the journal before the position, since the journal was made.
    logical: u64,
    /// End of the journal when this was written.
    durable: Position,
}

impl Slot {
    const LEN: usize = 40;

    fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..8].copy_from_slice(&self.salt.to_le_bytes());
        out[8..12].copy_from_slice(&self.position.segment.to_le_bytes());
        out[12..20].copy_from_slice(&self.position.offset.to_le_bytes());
        out[20..28].copy_from_slice(&self.logical.to_le_bytes());
        out[28..32].copy_from_slice(&self.durable.segment.to_le_bytes());
        out[32..].copy_from_slice(&self.durable.offset.to_le_bytes());
        out
    }

    /// The slot in a frame, and its reader's name.
    fn split<'a>(frame: &Frame<'a>) -> Option<(Self, &'a [u8])> {
        let (salt, rest) = frame.payload.split_first_chunk()?;
        let (segment, rest) = rest.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (logical, rest) = rest.split_first_chunk()?;
        let (last, rest) = rest.split_first_chunk()?;
        let (end, name) = rest.split_first_chunk()?;
        let slot = Self {
            salt: u64::from_le_bytes(*salt),
            position: Position {
                segment: u32::from_le_bytes(*segment),
                offset: u64::from_le_bytes(*offset),
            },
            logical: u64::from_le_bytes(*logical),
            durable: Position {
                segment: u32::from_le_bytes(*last),
                offset: u64::from_le_bytes(*end),
            },
        };
        Some((slot, name))
    }
}

/// A position that survives a crash.
#[derive(Debug)]
pub(crate) struct Cursor {
    file: FileId,
    /// Name of the reader, empty for that of a spool.
    name: String,
    writes: u64,
    /// The slot that is durable, and is not written before the other one is.
    durable_slot: u64,
    /// The newest slot that is whole.
    slot: Option<Slot>,
    made: bool,
    /// A sync failed.
    poisoned: bool,
    /// Bytes of slots that cannot be read.
    damaged_bytes: u64,
}

impl Cursor {
    /// A cursor whose file is not made yet.
    pub(crate) const fn new(file: FileId, name: String) -> Self {
        Self {
            file,
            name,
            writes: 0,
            durable_slot: 0,
            slot: None,
            made: false,
            poisoned: false,
            damaged_bytes: 0,
        }
    }

    /// The cursor in a file, as far as it can be read.
    pub(crate) fn read(storage: &mut impl Storage, file: FileId) -> Result<Self, StorageError> {
        let mut bytes = Vec::new();
        let read = storage.read(file, 0, 2 * SLOT, &mut bytes);
        let missing = read.is_err_and(|error| error.kind == StorageErrorKind::NotFound);
        if !missing {
            read?;
        }
        let mut cursor = Self::new(file, String::new());
        cursor.made = !missing;
        cursor.take(&bytes);
        Ok(cursor)
    }

    /// What a cursor file holds: its reader's name, where it is, and what it says of the journal.
    #[cfg(feature = "embedded")]
    pub(crate) fn in_bytes(bytes: &[u8]) -> (String, Position, Remembered) {
        let mut cursor = Self::new(FileId::segment(0), String::new());
        cursor.take(bytes);
        let remembered = cursor.remembered();
        (cursor.name.clone(), cursor.position(), remembered)
    }

    /// Takes the newer one of the slots that are whole.
    fn take(&mut self, bytes: &[u8]) {
        for (i, bytes) in bytes.chunks(SLOT).enumerate() {
            let frame = Scanner::window(bytes, (i * SLOT) as u64, KEY).next();
            if frame.is_none() {
                // A slot is written within one sector: no crash leaves half of one.
                self.damaged_bytes += bytes.iter().filter(|&&b| b != 0).count() as u64;
            }
            if let Some(frame) = frame.filter(|frame| frame.head.seq >= self.writes)
                && let Some((slot, name)) = Slot::split(&frame)
                && let Ok(name) = core::str::from_utf8(name)
            {
                self.writes = frame.head.seq;
                self.durable_slot = i as u64;
                self.slot = Some(slot);
                self.name = name.into();
            }
        }
    }

    /// Name of the reader.
    #[cfg(feature = "embedded")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    #[cfg(feature = "embedded")]
    pub(crate) const fn file(&self) -> FileId {
        self.file
    }

    /// What its file says of the journal.
    pub(crate) fn remembered(&self) -> Remembered {
        let slot = self.slot.as_ref();
        Remembered {
            salt: slot.map(|slot| slot.salt),
            kept: slot.map(|slot| (slot.position, slot.logical)),
            durable: slot.map_or_else(Position::default, |slot| slot.durable),
            damaged_bytes: self.damaged_bytes,
        }
    }

    /// The durable position; the start of everything where there is none.
    pub(crate) fn position(&self) -> Position {
        self.slot
            .as_ref()
            .map_or_else(Position::default, |slot| slot.position)
    }

    /// Makes the file, if it is missing.
    pub(crate) fn make<S: Storage>(&mut self, storage: &mut Disk<S>) -> Result<(), StorageError> {
        if !self.made {
            match storage.create(self.file, 2 * SLOT as u64) {
                // An attempt that failed made it.
                Err(error) if error.kind == StorageErrorKind::AlreadyExists => {}
                made => made?,
            }
            self.made = true;
        }
        storage.sync_names()
    }

    /// Moves the cursor, and makes it durable only by a [`sync`](Self::sync). A process that is killed
    /// before does not lose it.
    pub(crate) fn write(
        &mut self,
        storage: &mut impl Storage,
        salt: u64,
        position: Position,
        logical: u64,
        durable: Position,
    ) -> Result<(), StorageError> {
        if self.poisoned {
            return Err(StorageErrorKind::Poisoned.into());
        }
        let slot = Slot {
            salt,
            position,
            logical,
            durable,
        };
        let head = FrameHead {
            kind: FrameKind::Place,
            stream: 0,
            flags: 0,
            seq: self.writes + 1,
        };
        let at = (1 - self.durable_slot) * SLOT as u64;
        let mut bytes = Vec::new();
        let parts: [&[u8]; 2] = [&slot.encode(), self.name.as_bytes()];
        put_frame(&mut bytes, KEY, at, head, &parts).map_err(|_| StorageErrorKind::Other)?;
        storage.write(self.file, at, &bytes)?;
        self.writes = head.seq;
        self.slot = Some(slot);
        Ok(())
    }

    /// What the newest slot says.
    pub(crate) fn slot(&self) -> Option<Slot> {
        self.slot.clone()
    }

    /// Comes back to what an older slot said, since the newest one may not be on the disk.
    pub(crate) fn forget(&mut self, older: Option<Slot>) {
        self.slot = older;
    }

    /// Makes durable what was written. After an error nobody knows what the file holds.
    pub(crate) fn sync(&mut self, storage: &mut impl Storage) -> Result<(), StorageError> {
        let synced = storage.sync(self.file);
        match synced {
            Ok(()) => self.durable_slot = 1 - self.durable_slot,
            Err(_) => self.poisoned = true,
        }
        synced
    }
}
