//! Segments of a journal: group commit, recovery, recycling.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;

use telemetry_core::journal::{
    FRAME_LEN, Frame, FrameHead, FrameKind, Scanner, Verdict, foreign_version, put_frame,
};

use crate::Storage;
use crate::error::{AppendError, CommitError, OpenError};

/// Flag of the first frame of a commit: everything before it was durable when it was written.
///
/// It tells damage to durable bytes from a cut write whose later sectors arrived first.
const COMMIT: u16 = 1;

/// Prefix of files that wait to be used again.
const SPARE: &str = "spare-";

/// Prefix of the files that keep damaged bytes.
const QUARANTINE: &str = "quarantine-";

/// A place in a journal, in the order of appending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment, which is also its generation.
    pub segment: u32,
    /// Byte in the segment.
    pub offset: u64,
}

/// What a spool does with a record that finds no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Refuses it, until something is confirmed.
    #[default]
    Refuse,
    /// Drops the oldest segment, confirmed or not, and counts what was lost with it
    /// ([`Stats::dropped`](crate::Stats::dropped)).
    DropOldest,
}

/// Bounds of a journal on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a segment file; default 8 MiB. A larger payload is refused.
    pub segment_bytes: u64,
    /// Bytes of all frames kept; default 1 GiB. Appending beyond is refused.
    pub total_bytes: u64,
    /// Whether a spool refuses what is beyond, or drops its oldest records; default refuse. An
    /// embedded log always refuses.
    pub when_full: WhenFull,
    /// Freed segment files kept for reuse; default 2.
    pub spare_segments: usize,
    /// Bytes of the log that one read looks at; default 1 MiB.
    pub window_bytes: usize,
    /// Bytes of `quarantine-*` files; default 64 MiB. Damage beyond is counted and not kept.
    pub quarantine_bytes: u64,
    /// Bytes of a consumer's dead letters; default 64 MiB. Beyond, a rejection is refused.
    pub dead_letter_bytes: u64,
    /// Deliveries that a consumer of an embedded log holds at a time, from handing out until its
    /// place has passed them; default 16,384. Beyond, it gets no more until it answers.
    pub deliveries_open_max: usize,
}

impl Limits {
    /// The smallest segment: room for a header and a small record.
    pub const SEGMENT_BYTES_MIN: u64 = 1024;

    fn check(&self) -> Result<(), OpenError> {
        let least = [
            ("segment_bytes", self.segment_bytes, Self::SEGMENT_BYTES_MIN),
            ("total_bytes", self.total_bytes, self.segment_bytes),
            ("window_bytes", self.window_bytes as u64, FRAME_LEN as u64),
            ("deliveries_open_max", self.deliveries_open_max as u64, 1),
        ];
        for (field, value, min) in least {
            if value < min {
                return Err(OpenError::Limits { field, value, min });
            }
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            total_bytes: 1 << 30,
            when_full: WhenFull::Refuse,
            spare_segments: 2,
            window_bytes: 1 << 20,
            quarantine_bytes: 64 << 20,
            dead_letter_bytes: 64 << 20,
            deliveries_open_max: 16_384,
        }
    }
}

/// What an opening found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whole frames.
    pub frames: u64,
    /// Writes that a crash had cut; nothing in them was promised.
    pub torn_tails: u64,
    /// Bytes that were durable and are damaged, kept in `quarantine-*` files.
    pub corrupt_bytes: u64,
}

#[derive(Debug)]
struct Segment {
    number: u32,
    /// End of the durable frames.
    end: u64,
    /// The file has its full length and can serve again.
    full_length: bool,
    /// An earlier process left nothing but headers and marks in it.
    bare: bool,
}

#[derive(Debug)]
pub(crate) struct Segments<S> {
    pub(crate) storage: S,
    pub(crate) limits: Limits,
    live: VecDeque<Segment>,
    /// Bytes of the durable frames of all of them.
    held: u64,
    spare: Vec<String>,
    /// Largest number that any file has or had, so that no generation is given twice.
    last: u32,
    buffer: Vec<u8>,
    poisoned: bool,
    /// Bytes that reading went past since the opening.
    pub(crate) damaged_bytes: u64,
}

/// Damaged bytes kept aside.
#[derive(Default)]
struct Quarantine {
    names: Vec<String>,
    bytes: u64,
}

impl Quarantine {
    /// Keeps damage once, as far as the limit allows.
    fn keep(
        &mut self,
        storage: &mut impl Storage,
        limits: Limits,
        (number, at): (u32, usize),
        damaged: &[u8],
    ) -> io::Result<()> {
        let name = format!("{QUARANTINE}{number:08x}-{at:08x}");
        let len = damaged.len() as u64;
        if self.names.contains(&name) || self.bytes + len > limits.quarantine_bytes {
            return Ok(());
        }
        storage.create(&name, len)?;
        storage.write(&name, 0, damaged)?;
        storage.sync(&name)?;
        self.bytes += len;
        self.names.push(name);
        Ok(())
    }
}

fn file_name(number: u32) -> String {
    format!("{number:08x}.segment")
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl<S: Storage> Segments<S> {
    /// Refuses limits that cannot work and files of another release; changes nothing.
    pub(crate) fn check(storage: &mut S, limits: &Limits) -> Result<(), OpenError> {
        limits.check()?;
        let mut start = Vec::new();
        for file in storage.list()? {
            if !file.starts_with(QUARANTINE) {
                storage.read(&file, 0, FRAME_LEN, &mut start)?;
                if let Some(found) = foreign_version(&start) {
                    return Err(OpenError::Version { file, found });
                }
            }
        }
        Ok(())
    }

    /// Reads every frame that an earlier process left, in order.
    pub(crate) fn recover(
        mut storage: S,
        limits: Limits,
        mut visit: impl FnMut(Position, &Frame<'_>),
    ) -> io::Result<(Self, Recovery)> {
        let mut recovery = Recovery::default();
        let (mut numbers, mut spare, mut aside) = (Vec::new(), Vec::new(), Quarantine::default());
        let mut last = 0;
        for name in storage.list()? {
            if let Some(hex) = name.strip_suffix(".segment") {
                numbers.extend(u32::from_str_radix(hex, 16));
            } else if let Some(hex) = name.strip_prefix(SPARE) {
                last = last.max(u32::from_str_radix(hex, 16).unwrap_or(0));
                spare.push(name);
            } else if name.starts_with(QUARANTINE) {
                aside.bytes += storage.len(&name)?;
                aside.names.push(name);
            }
        }
        numbers.sort_unstable();
        let mut live = VecDeque::new();
        let mut bytes = Vec::new();
        for (i, &number) in numbers.iter().enumerate() {
            last = last.max(number);
            let name = file_name(number);
            let len = storage.len(&name)?;
            storage.read(&name, 0, to_usize(len), &mut bytes)?;
            // A segment is whole on disk before the next one is made.
            let sealed = i + 1 < numbers.len();
            let (mut from, mut bare) = (0, true);
            let end = loop {
                let mut scan = Scanner::from_offset(&bytes, number, from);
                for frame in scan.by_ref() {
                    let offset = frame.offset as u64;
                    visit(
                        Position {
                            segment: number,
                            offset,
                        },
                        &frame,
                    );
                    bare &= !matches!(frame.head.kind, FrameKind::Record | FrameKind::Batch);
                    recovery.frames += 1;
                }
                let (at, resume) = match scan.verdict() {
                    Verdict::Clean { end } => break end,
                    Verdict::Torn { at } => (at, None),
                    Verdict::Corrupt { at, resume } => (at, Some(resume)),
                };
                if !sealed && !resume.is_some_and(|r| commit_follows(&bytes, number, r)) {
                    recovery.torn_tails += 1;
                    break at;
                }
                let rest = &bytes[at..];
                // Where nothing follows, the damage ends where the zeros begin.
                let used = rest.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
                let damaged = &rest[..resume.map_or(used, |r| r - at)];
                recovery.corrupt_bytes += damaged.len() as u64;
                aside.keep(&mut storage, limits, (number, at), damaged)?;
                match resume {
                    Some(resume) => from = resume,
                    None => break at,
                }
            };
            if end == 0 {
                storage.remove(&name)?;
                continue;
            }
            if len > end as u64 {
                storage.truncate(&name, end as u64)?;
            }
            if !sealed {
                // A process that ended before its sync, or whose sync failed, left this to the
                // page cache, perhaps as clean: what is counted from here on has to be on disk.
                storage.write(&name, 0, &bytes[..end])?;
                storage.sync(&name)?;
            }
            live.push_back(Segment {
                number,
                end: end as u64,
                full_length: false,
                bare,
            });
        }
        let segments = Self {
            storage,
            limits,
            held: live.iter().map(|s: &Segment| s.end).sum(),
            live,
            spare,
            last,
            buffer: Vec::new(),
            poisoned: false,
            damaged_bytes: 0,
        };
        Ok((segments, recovery))
    }

    /// Opens a new segment; the caller appends its header frame next.
    pub(crate) fn roll(&mut self) -> io::Result<()> {
        let number = self.last.checked_add(1);
        let number = number.ok_or_else(|| io::Error::other("segment numbers are used up"))?;
        let name = file_name(number);
        if let Some(spare) = self.spare.last() {
            self.storage.rename(spare, &name)?;
            self.spare.pop();
        } else if let Err(e) = self.storage.create(&name, self.limits.segment_bytes) {
            // Half a file would keep the space that a full disk needs. What failed is the
            // making; that the half cannot be removed either adds nothing.
            let _ = self.storage.remove(&name);
            return Err(e);
        }
        self.last = number;
        self.live.push_back(Segment {
            number,
            end: 0,
            full_length: true,
            bare: false,
        });
        Ok(())
    }

    /// Start of the oldest segment.
    pub(crate) fn start(&self) -> Position {
        let segment = self.live.front().map_or(0, |s| s.number);
        Position { segment, offset: 0 }
    }

    /// Start of the segment after the oldest one, if there is one.
    pub(crate) fn second(&self) -> Option<Position> {
        let segment = self.live.get(1)?.number;
        Some(Position { segment, offset: 0 })
    }

    /// End of what is durable.
    pub(crate) fn durable(&self) -> Position {
        self.live.back().map_or(Position::default(), |s| Position {
            segment: s.number,
            offset: s.end,
        })
    }

    /// End of what is appended.
    pub(crate) fn appended(&self) -> Position {
        let durable = self.durable();
        Position {
            offset: durable.offset + self.buffer.len() as u64,
            ..durable
        }
    }

    /// Bytes of all frames.
    pub(crate) fn used(&self) -> u64 {
        self.held + self.buffer.len() as u64
    }

    /// Whether a payload of `len` bytes needs a new segment first; refuses what fits nowhere.
    pub(crate) fn admit(&self, len: usize) -> Result<bool, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let need = (len + 2 * FRAME_LEN) as u64;
        // Half a segment always fits beside the largest header.
        let max = self.limits.segment_bytes / 2;
        if need > max {
            return Err(AppendError::TooLarge { len, max });
        }
        let (used, limit) = (self.used(), self.limits.total_bytes);
        if used + need > limit {
            return Err(AppendError::Full { used, limit });
        }
        Ok(self.appended().offset + need > self.limits.segment_bytes)
    }

    /// Buffers a frame.
    pub(crate) fn push(
        &mut self,
        kind: FrameKind,
        (stream, flags, seq): (u16, u16, u64),
        parts: &[&[u8]],
    ) -> Result<Position, AppendError> {
        let position = self.appended();
        let first = if self.buffer.is_empty() { COMMIT } else { 0 };
        let head = FrameHead {
            kind,
            generation: position.segment,
            stream,
            flags: flags | first,
            seq,
        };
        put_frame(&mut self.buffer, head, parts)?;
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
        let name = file_name(active.number);
        let written = self.storage.write(&name, active.end, &self.buffer);
        self.buffer.truncate(len);
        if let Err(e) = written.and_then(|()| self.storage.sync(&name)) {
            self.poisoned = true;
            return Err(CommitError::Io(e));
        }
        self.buffer.clear();
        active.end += len as u64;
        self.held += len as u64;
        Ok(())
    }

    /// Recycles the segments that lie wholly before `position`.
    pub(crate) fn free_before(&mut self, position: Position) -> io::Result<()> {
        while self.live.len() > 1
            && let Some(oldest) = self.live.front()
            && oldest.number < position.segment
        {
            let name = file_name(oldest.number);
            if oldest.full_length && self.spare.len() < self.limits.spare_segments {
                let spare = format!("{SPARE}{:08x}", oldest.number);
                self.storage.rename(&name, &spare)?;
                self.spare.push(spare);
            } else {
                self.storage.remove(&name)?;
            }
            self.held -= oldest.end;
            self.live.pop_front();
        }
        Ok(())
    }

    /// Removes segments that hold nothing for a reader; a newer header must be durable.
    pub(crate) fn remove_bare(&mut self) -> io::Result<()> {
        for bare in self.live.iter().filter(|s| s.bare) {
            self.storage.remove(&file_name(bare.number))?;
        }
        self.live.retain(|s| !s.bare);
        self.held = self.live.iter().map(|s| s.end).sum();
        Ok(())
    }

    /// Shows durable frames from `from` on, with the position after each, until `visit` breaks
    /// or a window ends. Returns where to go on; the same position means: nothing more.
    pub(crate) fn read(
        &mut self,
        from: Position,
        buffer: &mut Vec<u8>,
        mut visit: impl FnMut(Position, Position, &Frame<'_>) -> ControlFlow<()>,
    ) -> io::Result<Position> {
        let mut found = None;
        for s in &self.live {
            if s.number == from.segment && from.offset < s.end {
                found = Some((from, s.end));
            } else if s.number > from.segment && s.end > 0 {
                found = Some((
                    Position {
                        segment: s.number,
                        offset: 0,
                    },
                    s.end,
                ));
            }
            if found.is_some() {
                break;
            }
        }
        let Some((start, end)) = found else {
            return Ok(from);
        };
        let left = to_usize(end - start.offset);
        let after = |offset: usize| Position {
            segment: start.segment,
            offset: start.offset + offset as u64,
        };
        let name = file_name(start.segment);
        let mut want = left.min(self.limits.window_bytes);
        loop {
            self.storage.read(&name, start.offset, want, buffer)?;
            let mut scan = Scanner::new(buffer, start.segment);
            for frame in scan.by_ref() {
                if visit(after(frame.offset), after(frame.end()), &frame).is_break() {
                    return Ok(after(frame.end()));
                }
            }
            if scan.offset() > 0 {
                return Ok(after(scan.offset()));
            }
            if want == left {
                let skipped = match scan.verdict() {
                    Verdict::Corrupt { resume, .. } => resume,
                    _ => left,
                };
                self.damaged_bytes += skipped as u64;
                return Ok(after(skipped));
            }
            want = left;
        }
    }
}

/// Whether a later commit exists, so that everything before it was durable.
pub(crate) fn commit_follows(bytes: &[u8], generation: u32, mut from: usize) -> bool {
    loop {
        let mut scan = Scanner::from_offset(bytes, generation, from);
        if scan.any(|f| f.head.flags & COMMIT != 0) {
            return true;
        }
        match scan.verdict() {
            Verdict::Corrupt { resume, .. } => from = resume,
            _ => return false,
        }
    }
}
