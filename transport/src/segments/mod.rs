//! Segments of a journal: group commit, recovery, recycling.

mod limits;
mod recovery;
mod window;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

pub use limits::{Limits, WhenFull};
pub use recovery::Recovery;
pub(crate) use recovery::Remembered;
#[cfg(feature = "embedded")]
pub(crate) use window::Extent;
pub(crate) use window::Window;

use crate::cursor::Cursor;
use crate::error::{AppendError, CommitError, OpenError};
use crate::journal::{
    COMMIT, FRAME_LEN, FrameHead, FrameKey, FrameKind, Link, checksum, foreign_version, put_frame,
};
use crate::storage::{Disk, FileId, FileKind, Storage, StorageError, StorageErrorKind};

/// A place in a journal, in the order of appending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment, which is also its generation.
    pub segment: u32,
    /// Byte in the segment.
    pub offset: u64,
}

#[derive(Debug)]
struct Segment {
    number: u32,
    link: Link,
    /// End of the durable frames.
    end: u64,
    /// Checksum over the checksums of the durable frames.
    checksum: u32,
    /// Bytes of the file.
    len: u64,
    /// An earlier process left nothing but headers and marks in it.
    bare: bool,
    /// Nothing more is appended to it.
    sealed: bool,
}

impl Segment {
    const fn file(&self) -> FileId {
        FileId::segment(self.number)
    }

    const fn start(&self) -> Position {
        Position {
            segment: self.number,
            offset: 0,
        }
    }

    /// End of its durable frames.
    const fn durable(&self) -> Position {
        Position {
            segment: self.number,
            offset: self.end,
        }
    }

    /// Bytes of the journal before its end, since the journal was made.
    const fn logical_end(&self) -> u64 {
        self.link.base.saturating_add(self.end)
    }
}

#[derive(Debug)]
pub(crate) struct Segments<S> {
    pub(crate) storage: Disk<S>,
    pub(crate) limits: Limits,
    pub(crate) salt: u64,
    live: VecDeque<Segment>,
    /// Bytes of the durable frames of all of them.
    held: u64,
    /// Files whose bytes nobody needs any more.
    spare: Vec<FileId>,
    /// What recovery found and could not use: see [`tidy`](Self::tidy).
    leftovers: Vec<(u32, u64)>,
    aside: recovery::Quarantine,
    /// Largest number that any file has or had, so that no generation is given twice.
    last: u32,
    /// How far the file of the next segment is.
    next: Next,
    buffer: Vec<u8>,
    /// Checksum over the checksums of the active segment's frames, with those in the buffer.
    checksum: u32,
    poisoned: bool,
    /// Bytes that reading went past since the opening.
    pub(crate) damaged_bytes: u64,
}

/// How far the file of the segment to come is made, over attempts that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Missing,
    /// Making it failed, and half of it may be there.
    Half,
    /// Its name may not be durable.
    Made,
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl<S: Storage> Segments<S> {
    /// Refuses limits that cannot work and files of another release; changes nothing.
    pub(crate) fn check(storage: &mut Disk<S>, limits: &Limits) -> Result<(), OpenError> {
        limits.check()?;
        let mut start = Vec::new();
        for file in storage.list()? {
            if file.kind != FileKind::Quarantine {
                storage.read(file, 0, FRAME_LEN, &mut start)?;
                if let Some(found) = foreign_version(&start) {
                    return Err(OpenError::Version { file, found });
                }
            }
        }
        Ok(())
    }

    /// Goes on in a new segment that begins with `state`; the one before ends with a seal.
    ///
    /// The new file has its name before the seal says that it is there. What is buffered is committed.
    pub(crate) fn roll(&mut self, state: &[u8]) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let number = self.last.checked_add(1);
        let number = number.ok_or(AppendError::SegmentsUsedUp)?;
        if self.next != Next::Made {
            self.make(number)?;
            self.next = Next::Made;
        }
        // Where this fails, the next attempt goes on here: the file has its name already.
        self.storage.sync_names()?;
        self.seal(number)?;
        self.next = Next::Missing;
        self.last = number;
        let link = self.link();
        self.live.push_back(Segment {
            number,
            link,
            end: 0,
            checksum: 0,
            len: self.limits.segment_bytes,
            bare: false,
            sealed: false,
        });
        self.checksum = 0;
        self.put_header(state)
    }

    /// Buffers a header in the active segment.
    pub(crate) fn put_header(&mut self, state: &[u8]) -> Result<(), AppendError> {
        let link = self.live.back().map_or_else(Link::default, |s| s.link);
        self.push(FrameKind::Header, (0, 0, 0), &[&link.encode(), state])?;
        Ok(())
    }

    /// Makes the file of a segment, from a spare one if there is one.
    fn make(&mut self, number: u32) -> Result<(), StorageError> {
        let file = FileId::segment(number);
        if self.next == Next::Half {
            self.storage.remove(file)?;
            self.next = Next::Missing;
        }
        if let Some(&spare) = self.spare.last() {
            self.storage.rename(spare, file)?;
            self.spare.pop();
            return Ok(());
        }
        let made = self.storage.create(file, self.limits.segment_bytes);
        if made.is_err_and(|error| error.kind != StorageErrorKind::AlreadyExists) {
            self.next = Next::Half;
        }
        made
    }

    /// Ends the active segment, which is followed by `next`.
    fn seal(&mut self, next: u32) -> Result<(), AppendError> {
        let fits = |s: &&mut Segment| !s.sealed && s.end + 2 * FRAME_LEN as u64 <= s.len;
        if self.live.back_mut().filter(fits).is_some() {
            self.push(FrameKind::Seal, (0, 0, u64::from(next)), &[])?;
        }
        self.commit()?;
        if let Some(active) = self.live.back_mut() {
            active.sealed = true;
        }
        Ok(())
    }

    /// Links a new segment to the newest one that stays.
    fn link(&self) -> Link {
        let salt = self.salt;
        match self.live.iter().rfind(|s| !s.bare) {
            Some(before) => Link {
                salt,
                before: before.number,
                checksum: before.checksum,
                end: before.end,
                base: before.logical_end(),
            },
            // Those that are left will be removed: the one before them is the one before this.
            None => Link {
                salt,
                ..self.live.front().map_or_else(Link::default, |s| s.link)
            },
        }
    }

    /// Start of the oldest segment.
    pub(crate) fn start(&self) -> Position {
        self.live
            .front()
            .map_or_else(Position::default, Segment::start)
    }

    /// Start of the segment after the oldest one, if there is one.
    pub(crate) fn second(&self) -> Option<Position> {
        self.live.get(1).map(Segment::start)
    }

    /// End of what is durable.
    pub(crate) fn durable(&self) -> Position {
        let active = self.live.back();
        active.map_or_else(Position::default, Segment::durable)
    }

    /// End of what is appended.
    pub(crate) fn appended(&self) -> Position {
        let durable = self.durable();
        Position {
            offset: durable.offset + self.buffer.len() as u64,
            ..durable
        }
    }

    /// Bytes of the journal before a position, since the journal was made.
    fn logical(&self, position: Position) -> u64 {
        let segment = self.live.iter().rfind(|s| s.number <= position.segment);
        match segment {
            Some(s) if s.number == position.segment => s.link.base + position.offset,
            Some(s) => s.logical_end(),
            None => self.live.front().map_or(0, |s| s.link.base),
        }
    }

    /// Bytes of all frames.
    pub(crate) fn used(&self) -> u64 {
        self.held + self.buffer.len() as u64
    }

    /// Largest payload that half a segment holds, with its frame and what may follow.
    pub(crate) const fn half(&self) -> u64 {
        self.limits.segment_bytes / 2
    }

    /// Largest need that a segment holds beside its own header.
    #[cfg(feature = "embedded")]
    pub(crate) const fn whole(&self) -> u64 {
        self.limits.segment_bytes - (FRAME_LEN + Link::LEN) as u64
    }

    /// Whether a payload of `len` bytes needs a new segment first; refuses what needs more than `max`
    /// bytes with its frame, a seal and the zeros behind.
    pub(crate) fn admit(&self, len: usize, max: u64) -> Result<bool, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let need = (len + 3 * FRAME_LEN) as u64;
        if need > max {
            return Err(AppendError::TooLarge { len, max });
        }
        let (used, limit) = (self.used(), self.limits.total_bytes);
        if used + need > limit {
            return Err(AppendError::Full { used, limit });
        }
        let active = self.live.back().filter(|s| !s.sealed);
        Ok(active.is_none_or(|s| self.appended().offset + need > s.len))
    }

    fn key(&self, generation: u32) -> FrameKey {
        FrameKey {
            salt: self.salt,
            generation,
        }
    }

    /// Buffers a frame in the active segment.
    pub(crate) fn push(
        &mut self,
        kind: FrameKind,
        (stream, flags, seq): (u16, u16, u64),
        parts: &[&[u8]],
    ) -> Result<Position, AppendError> {
        let active = self.live.back_mut().filter(|s| !s.sealed);
        assert!(active.is_some(), "a frame has a segment");
        if let Some(active) = active.filter(|_| kind != FrameKind::Seal) {
            // One that an opening goes on in for want of room is used again.
            active.bare = false;
        }
        let position = self.appended();
        let first = if self.buffer.is_empty() { COMMIT } else { 0 };
        let head = FrameHead {
            kind,
            stream,
            flags: flags | first,
            seq,
        };
        let at = self.buffer.len();
        let key = self.key(position.segment);
        put_frame(&mut self.buffer, key, position.offset, head, parts)?;
        let checksums = &self.buffer[at + FRAME_LEN - 8..at + FRAME_LEN];
        self.checksum = checksum(self.checksum, &[checksums]);
        Ok(position)
    }

    /// One write and one sync for everything buffered.
    pub(crate) fn commit(&mut self) -> Result<(), CommitError> {
        if self.poisoned {
            return Err(CommitError::Poisoned);
        }
        let Some(active) = self.live.back_mut().filter(|_| !self.buffer.is_empty()) else {
            return Ok(());
        };
        let len = self.buffer.len();
        // Zeros after the last frame: a clean end, also over the bytes of an earlier use.
        self.buffer.extend_from_slice(&[0; FRAME_LEN]);
        let file = active.file();
        let written = self.storage.write(file, active.end, &self.buffer);
        self.buffer.truncate(len);
        if let Err(e) = written.and_then(|()| self.storage.sync(file)) {
            self.poisoned = true;
            return Err(CommitError::Io(e));
        }
        self.buffer.clear();
        active.end += len as u64;
        active.checksum = self.checksum;
        self.held += len as u64;
        Ok(())
    }

    /// Moves a cursor, durably.
    ///
    /// After a sync that failed nobody knows what its file holds: the journal takes nothing more, and
    /// this cursor does not move, until it is opened again.
    pub(crate) fn store(
        &mut self,
        cursor: &mut Cursor,
        position: Position,
    ) -> Result<(), StorageError> {
        cursor.make(&mut self.storage)?;
        let before = cursor.slot();
        self.note(cursor, position)?;
        let synced = cursor.sync(&mut self.storage);
        if synced.is_err() {
            self.poisoned = true;
            cursor.forget(before);
        }
        synced
    }

    /// Moves a cursor so that a killed process does not lose it; a power cut may.
    pub(crate) fn note(
        &mut self,
        cursor: &mut Cursor,
        position: Position,
    ) -> Result<(), StorageError> {
        // A new segment without a header is not there yet.
        let durable = self.live.iter().rfind(|s| s.end > 0);
        let durable = durable.map_or_else(Position::default, Segment::durable);
        let logical = self.logical(position);
        cursor.write(&mut self.storage, self.salt, position, logical, durable)
    }

    /// Recycles the segments that lie wholly before `position`.
    ///
    /// A name that comes back after a crash does no harm: the cursor is behind it.
    pub(crate) fn free_before(&mut self, position: Position) -> Result<(), StorageError> {
        while self.live.len() > 1
            && let Some(oldest) = self.live.front()
            && oldest.number < position.segment
        {
            let file = oldest.file();
            let whole = oldest.len == self.limits.segment_bytes;
            if whole && self.spare.len() < self.limits.spare_segments {
                let spare = FileId::new(FileKind::Spare, file.number);
                self.storage.rename(file, spare)?;
                self.spare.push(spare);
            } else {
                self.storage.remove(file)?;
            }
            self.held -= oldest.end;
            self.live.pop_front();
        }
        Ok(())
    }

    /// Removes segments that hold nothing for a reader and files that are no segments, and gives back
    /// the room that earlier openings did not come to use. A newer header must be durable.
    pub(crate) fn tidy(&mut self) -> Result<(), StorageError> {
        for bare in self.live.iter().filter(|s| s.bare) {
            self.storage.remove(bare.file())?;
        }
        for (number, evidence) in self.leftovers.drain(..) {
            let Self { storage, aside, .. } = self;
            aside.keep_file(storage, &self.limits, number, evidence)?;
        }
        self.live.retain(|s| !s.bare);
        self.held = self.live.iter().map(|s| s.end).sum();
        for s in self.live.iter_mut().filter(|s| s.sealed) {
            // Little room is worth less than a file that can serve again.
            if s.len.saturating_sub(s.end) > self.limits.segment_bytes / 8 {
                self.storage.truncate(s.file(), s.end)?;
                s.len = s.end;
            }
        }
        Ok(())
    }
}
