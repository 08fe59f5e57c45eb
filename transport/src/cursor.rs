//! A durable position: two slots written in turn, so that a torn write leaves the older one.

use std::io;

use telemetry_core::journal::{FrameHead, FrameKind, Scanner, put_frame};

use crate::Storage;
use crate::segments::Position;

/// Distance of the slots: no sector holds both.
const SLOT: usize = 4096;

/// A position that survives a crash.
#[derive(Debug)]
pub(crate) struct Cursor {
    name: String,
    writes: u64,
    position: Position,
}

impl Cursor {
    /// Opens the cursor file `name`, or makes it at `start`.
    pub(crate) fn open(
        storage: &mut impl Storage,
        name: String,
        start: Position,
    ) -> io::Result<Self> {
        let mut cursor = Self {
            name,
            writes: 0,
            position: start,
        };
        if !storage.list()?.contains(&cursor.name) {
            storage.create(&cursor.name, 2 * SLOT as u64)?;
            cursor.store(storage, start)?;
            return Ok(cursor);
        }
        let mut bytes = Vec::new();
        storage.read(&cursor.name, 0, 2 * SLOT, &mut bytes)?;
        cursor.take(&bytes);
        Ok(cursor)
    }

    /// The position that a cursor file holds.
    #[cfg(feature = "embedded")]
    pub(crate) fn position_in(bytes: &[u8]) -> Position {
        let mut cursor = Self {
            name: String::new(),
            writes: 0,
            position: Position::default(),
        };
        cursor.take(bytes);
        cursor.position
    }

    /// Takes the newer one of the slots that are whole.
    fn take(&mut self, bytes: &[u8]) {
        for slot in bytes.chunks(SLOT) {
            if let Some(frame) = Scanner::first(slot)
                && frame.head.seq >= self.writes
                && let Some((segment, offset)) = frame.payload.split_first_chunk::<4>()
                && let Ok(offset) = offset.try_into()
            {
                self.writes = frame.head.seq;
                self.position = Position {
                    segment: u32::from_le_bytes(*segment),
                    offset: u64::from_le_bytes(offset),
                };
            }
        }
    }

    /// The durable position.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Comes back to `end` where the journal it stood in is gone, so that new records count as new.
    pub(crate) fn clamp(&mut self, storage: &mut impl Storage, end: Position) -> io::Result<()> {
        match self.position > end {
            true => self.store(storage, end),
            false => Ok(()),
        }
    }

    /// Moves the cursor, durably.
    pub(crate) fn store(
        &mut self,
        storage: &mut impl Storage,
        position: Position,
    ) -> io::Result<()> {
        let head = FrameHead {
            kind: FrameKind::Mark,
            generation: 0,
            stream: 0,
            flags: 0,
            seq: self.writes + 1,
        };
        let mut slot = Vec::new();
        let parts: [&[u8]; 2] = [
            &position.segment.to_le_bytes(),
            &position.offset.to_le_bytes(),
        ];
        put_frame(&mut slot, head, &parts).map_err(io::Error::other)?;
        let at = head.seq % 2 * SLOT as u64;
        storage.write(&self.name, at, &slot)?;
        storage.sync(&self.name)?;
        self.writes = head.seq;
        self.position = position;
        Ok(())
    }
}
