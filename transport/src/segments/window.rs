//! Reads durable frames, a window at a time.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::{Position, Segments, to_usize};
use crate::journal::{Frame, FrameKey, Scanner};
use crate::storage::{FileId, Storage, StorageError};

/// Durable bytes of one segment, kept by a reader: what it reads next is mostly there already.
#[derive(Debug, Default)]
pub(crate) struct Window {
    key: Option<FrameKey>,
    /// Offset of the first byte in the segment.
    from: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// A scan from `position` on, if it lies within the window.
    fn scan(&self, position: Position) -> Option<Scanner<'_>> {
        let key = self.key.filter(|key| key.generation == position.segment)?;
        let at = to_usize(position.offset.checked_sub(self.from)?);
        let bytes = self.bytes.get(at..)?;
        Some(Scanner::window(bytes, position.offset, key))
    }

    /// Whether a whole frame begins at `position`.
    pub(crate) fn holds(&self, position: Position) -> bool {
        self.scan(position)
            .is_some_and(|mut scan| scan.next().is_some())
    }

    /// Reads the first bytes of an extent, and all of them where the first are damaged or less than a
    /// frame.
    pub(crate) fn fill(
        &mut self,
        extent: &Extent,
        mut read: impl FnMut(u64, usize, &mut Vec<u8>) -> Result<(), StorageError>,
    ) -> Result<Filled, StorageError> {
        let Extent { start, key, .. } = *extent;
        let left = to_usize(extent.end - start.offset);
        let mut want = left.min(extent.window_bytes);
        loop {
            // What a failed read leaves belongs to nothing.
            self.key = None;
            read(start.offset, want, &mut self.bytes)?;
            self.key = Some(key);
            self.from = start.offset;
            if self.holds(start) {
                return Ok(Filled {
                    position: start,
                    skipped: 0,
                    found: true,
                });
            }
            if want == left {
                break;
            }
            want = left;
        }
        let resume = Scanner::window(&self.bytes, start.offset, key).resume();
        let skipped = resume.unwrap_or(left) as u64;
        let position = Position {
            offset: start.offset + skipped,
            ..start
        };
        Ok(Filled {
            position,
            skipped,
            found: resume.is_some(),
        })
    }

    /// Shows frames from `position` on, with the position after each, until `visit` breaks or the
    /// window ends. Returns where to go on.
    pub(crate) fn read(
        &self,
        position: Position,
        mut visit: impl FnMut(Position, Position, &Frame<'_>) -> ControlFlow<()>,
    ) -> Position {
        let after = |offset: usize| Position {
            offset: position.offset + offset as u64,
            ..position
        };
        let mut end = 0;
        for frame in self.scan(position).into_iter().flatten() {
            end = frame.end();
            if visit(after(frame.offset), after(end), &frame).is_break() {
                break;
            }
        }
        after(end)
    }
}

/// Durable bytes of one segment. They never change, so they can be read without the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) start: Position,
    end: u64,
    key: FrameKey,
    window_bytes: usize,
}

impl Extent {
    pub(crate) const fn file(&self) -> FileId {
        FileId::segment(self.start.segment)
    }
}

/// What a window was filled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    /// Where the first whole frame begins, or where the extent ends without one.
    pub(crate) position: Position,
    /// Damaged bytes before it.
    pub(crate) skipped: u64,
    pub(crate) found: bool,
}

impl<S: Storage> Segments<S> {
    /// Loads durable bytes from `from` on, going past damage, which is counted. Returns where the first
    /// whole frame begins, and whether there is one: else nothing more is durable.
    pub(crate) fn load(
        &mut self,
        mut from: Position,
        window: &mut Window,
    ) -> Result<(Position, bool), StorageError> {
        while let Some(extent) = self.extent(from) {
            let (file, storage) = (extent.file(), &mut self.storage);
            let filled = window.fill(&extent, |at, len, out| storage.read(file, at, len, out))?;
            self.damaged_bytes += filled.skipped;
            from = filled.position;
            if filled.found {
                return Ok((from, true));
            }
        }
        Ok((from, false))
    }

    /// Whether the segment of an extent is still kept.
    #[cfg(feature = "embedded")]
    pub(crate) fn is_live(&self, extent: Extent) -> bool {
        let number = extent.start.segment;
        self.live.iter().any(|s| s.number == number)
    }

    /// The first durable bytes from `from` on, up to the end of their segment.
    pub(crate) fn extent(&self, from: Position) -> Option<Extent> {
        let (start, end) = self.live.iter().find_map(|s| {
            if s.number == from.segment && from.offset < s.end {
                Some((from, s.end))
            } else if s.number > from.segment && s.end > 0 {
                Some((s.start(), s.end))
            } else {
                None
            }
        })?;
        Some(Extent {
            start,
            end,
            key: self.key(start.segment),
            window_bytes: self.limits.window_bytes,
        })
    }

    /// Shows durable frames from `from` on, with the position after each, until `visit` breaks or a
    /// window ends. Returns where to go on; the same position means: nothing more.
    pub(crate) fn read(
        &mut self,
        from: Position,
        window: &mut Window,
        visit: impl FnMut(Position, Position, &Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Position, StorageError> {
        let (start, found) = match window.holds(from) {
            true => (from, true),
            false => self.load(from, window)?,
        };
        Ok(match found {
            true => window.read(start, visit),
            false => start,
        })
    }
}
