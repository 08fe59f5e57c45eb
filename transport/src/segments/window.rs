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

impl<S: Storage> Segments<S> {
    /// Loads durable bytes from `from` on, going past damage, which is counted. Returns where the first
    /// whole frame begins, and whether there is one: else nothing more is durable.
    pub(crate) fn load(
        &mut self,
        mut from: Position,
        window: &mut Window,
    ) -> Result<(Position, bool), StorageError> {
        loop {
            let Some((start, end)) = self.extent(from) else {
                return Ok((from, false));
            };
            let key = self.key(start.segment);
            let left = to_usize(end - start.offset);
            let mut want = left.min(self.limits.window_bytes);
            let resume = loop {
                let file = FileId::segment(start.segment);
                self.storage
                    .read(file, start.offset, want, &mut window.bytes)?;
                window.key = Some(key);
                window.from = start.offset;
                if window.holds(start) {
                    return Ok((start, true));
                }
                if want == left {
                    break Scanner::window(&window.bytes, start.offset, key).resume();
                }
                want = left;
            };
            let skipped = resume.unwrap_or(left) as u64;
            self.damaged_bytes += skipped;
            from = Position {
                offset: start.offset + skipped,
                ..start
            };
            if resume.is_some() {
                return Ok((from, true));
            }
        }
    }

    /// The first durable position from `from` on, and the end of its segment.
    fn extent(&self, from: Position) -> Option<(Position, u64)> {
        self.live.iter().find_map(|s| {
            if s.number == from.segment && from.offset < s.end {
                Some((from, s.end))
            } else if s.number > from.segment && s.end > 0 {
                Some((s.start(), s.end))
            } else {
                None
            }
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
