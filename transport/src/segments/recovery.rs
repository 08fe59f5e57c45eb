//! Reads back what an earlier process left, and says what is missing or damaged.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Limits, Next, Position, Segment, Segments, to_usize};
use crate::journal::{
    End, FRAME_LEN, Frame, FrameKey, FrameKind, Known, Link, Part, checksum, walk,
};
use crate::storage::{Disk, FileId, FileKind, Storage, StorageError, StorageErrorKind};

/// What an opening found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whole frames.
    pub frames: u64,
    /// Writes that a crash had cut; nothing in them was promised.
    pub torn_tails: u64,
    /// Bytes that were durable and are damaged, zeros among them. What is not zeros is kept in
    /// `*.quarantine` files.
    pub corrupt_bytes: u64,
    /// Places where something durable is missing altogether: a file, the end of the journal, or frames
    /// that others stand for.
    pub gaps: u64,
    /// Bytes that are missing there, as far as anybody can tell: at least so many.
    pub missing_bytes: u64,
}

impl Recovery {
    fn gap(&mut self, missing: u64) {
        self.gaps += 1;
        self.missing_bytes += missing;
    }
}

/// What readers remember of a journal, beside its segments.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) salt: Option<u64>,
    /// Everything from here on is kept, and how many bytes came before it.
    pub(crate) kept: Option<(Position, u64)>,
    /// Everything before this was durable.
    pub(crate) durable: Position,
    /// Bytes of cursors that hold no place any more.
    pub(crate) damaged_bytes: u64,
}

impl Remembered {
    /// What both know.
    #[cfg(feature = "embedded")]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            salt: self.salt.or(other.salt),
            kept: match (self.kept, other.kept) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            durable: self.durable.max(other.durable),
            damaged_bytes: self.damaged_bytes + other.damaged_bytes,
        }
    }
}

/// Damaged bytes kept aside.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    files: Vec<FileId>,
    bytes: u64,
}

impl Quarantine {
    const fn file(number: u32, at: usize) -> FileId {
        let at = at as u64 & 0xffff_ffff;
        FileId::new(FileKind::Quarantine, (number as u64) << 32 | at)
    }

    /// Keeps damage once, as far as limit and disk allow. Zeros say nothing and are not kept.
    fn keep(
        &mut self,
        storage: &mut impl Storage,
        limits: &Limits,
        file: FileId,
        damaged: &[u8],
    ) -> Result<(), StorageError> {
        let len = damaged.len() as u64;
        let zeros = damaged.iter().all(|&b| b == 0);
        if zeros || self.bytes + len > limits.quarantine_bytes {
            return Ok(());
        }
        if self.files.contains(&file) {
            // A file of zeros is one that an opening did not come to write.
            let mut kept = Vec::new();
            storage.read(file, 0, damaged.len(), &mut kept)?;
            if kept.iter().any(|&b| b != 0) {
                return Ok(());
            }
        } else {
            match storage.create(file, len) {
                // It is counted, and stays where it is for as long as its segment.
                Err(error) if error.kind == StorageErrorKind::Full => return Ok(()),
                created => created?,
            }
            self.bytes += len;
            self.files.push(file);
        }
        storage.write(file, 0, damaged)?;
        storage.sync(file)
    }

    /// Keeps a whole file of which no frame can be read; needs no room.
    pub(super) fn keep_file(
        &mut self,
        storage: &mut impl Storage,
        limits: &Limits,
        number: u32,
        used: u64,
    ) -> Result<(), StorageError> {
        let (from, to) = (FileId::segment(number), Self::file(number, 0));
        if used == 0 || self.bytes + used > limits.quarantine_bytes || self.files.contains(&to) {
            return storage.remove(from);
        }
        storage.rename(from, to)?;
        storage.truncate(to, used)?;
        self.bytes += used;
        self.files.push(to);
        Ok(())
    }
}

/// The files of a journal, sorted.
#[derive(Default)]
struct Files {
    segments: Vec<u32>,
    spare: Vec<FileId>,
    aside: Quarantine,
    last: u32,
}

impl Files {
    fn list(storage: &mut impl Storage, limits: &Limits) -> Result<Self, StorageError> {
        let mut files = Self::default();
        for file in storage.list()? {
            match (file.kind, u32::try_from(file.number)) {
                (FileKind::Segment, Ok(number)) => {
                    files.last = files.last.max(number);
                    files.segments.push(number);
                }
                (FileKind::Spare, Ok(number)) => {
                    files.last = files.last.max(number);
                    match storage.len(file)? == limits.segment_bytes {
                        true => files.spare.push(file),
                        // Another length was asked for then, or half of it is gone.
                        false => storage.remove(file)?,
                    }
                }
                (FileKind::Quarantine, _) => {
                    files.aside.bytes += storage.len(file)?;
                    files.aside.files.push(file);
                }
                _ => {}
            }
        }
        files.segments.sort_unstable();
        Ok(files)
    }
}

/// The link at the start of a segment, where its header is whole.
fn link_of(storage: &mut impl Storage, number: u32) -> Result<Option<Link>, StorageError> {
    let file = FileId::segment(number);
    let mut bytes = Vec::new();
    storage.read(file, 0, FRAME_LEN, &mut bytes)?;
    let Some([_, _, _, _, len @ .., _, _, _, _]) = bytes.first_chunk::<12>() else {
        return Ok(None);
    };
    // A length that is damaged reads at most the file.
    let len = to_usize(u64::from(u32::from_le_bytes(*len)));
    storage.read(file, 0, FRAME_LEN.saturating_add(len), &mut bytes)?;
    let link = Link::of(&bytes).filter(|(key, _)| key.generation == number);
    Ok(link.map(|(_, link)| link))
}

/// What is known of a segment before it is read.
struct Outlook {
    number: u32,
    link: Option<Link>,
    known: Known,
    /// The link of the segment that comes right behind it.
    after: Option<Link>,
    /// Another one was linked past it: it holds nothing but headers.
    passed_over: bool,
}

impl Outlook {
    /// `later` are the segments behind, with their links.
    fn new(number: u32, link: Option<Link>, later: &[(u32, Option<Link>)]) -> Self {
        let next = later.iter().find_map(|(_, link)| *link);
        let after = next.filter(|next| next.before == number);
        Self {
            number,
            link,
            known: match (after, next) {
                (Some(after), _) => Known::End(to_usize(after.end)),
                (None, Some(_)) => Known::Whole,
                (None, None) => Known::Nothing,
            },
            after,
            passed_over: next.is_some_and(|next| next.before < number),
        }
    }

    /// The segment's link, or what it would say if its header were whole.
    fn link(&self, before: Option<&Segment>, salt: u64) -> Link {
        let bridge = || Link {
            salt,
            before: before.map_or(0, |s| s.number),
            checksum: before.map_or(0, |s| s.checksum),
            end: before.map_or(0, |s| s.end),
            base: match self.after {
                Some(after) => after.base.saturating_sub(after.end),
                None => before.map_or(0, Segment::logical_end),
            },
        };
        self.link.unwrap_or_else(bridge)
    }
}

/// What was found in a segment.
struct Contents {
    frames: u64,
    end: End,
    checksum: u32,
    bare: bool,
    damage: Vec<(usize, usize)>,
    /// Number of the segment that follows, by the seal.
    next: Option<u32>,
}

impl Contents {
    fn read(
        outlook: &Outlook,
        bytes: &[u8],
        salt: u64,
        mut visit: impl FnMut(Position, &Frame<'_>),
    ) -> Self {
        let key = FrameKey {
            salt,
            generation: outlook.number,
        };
        let (mut frames, mut sum, mut bare, mut next) = (0, 0, true, None);
        let mut damage = Vec::new();
        let end = walk(bytes, key, outlook.known, |part| match part {
            Part::Frame(frame) => {
                frames += 1;
                sum = checksum(sum, &[&frame.checksums]);
                bare &= !matches!(frame.head.kind, FrameKind::Record | FrameKind::Batch);
                if frame.head.kind == FrameKind::Seal {
                    next = u32::try_from(frame.head.seq).ok();
                }
                let position = Position {
                    segment: outlook.number,
                    offset: frame.offset as u64,
                };
                visit(position, &frame);
            }
            Part::Damage { at, end } => damage.push((at, end)),
        });
        Self {
            frames,
            end,
            checksum: sum,
            bare: bare && damage.is_empty(),
            damage,
            next,
        }
    }
}

fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1)
}

/// A recovery under way.
struct Recovering<S> {
    storage: Disk<S>,
    limits: Limits,
    salt: u64,
    aside: Quarantine,
    spare: Vec<FileId>,
    /// Files without a frame, and bytes of them that are worth keeping. A seal may count on the name of
    /// one, until a newer segment stands for it.
    leftovers: Vec<(u32, u64)>,
    live: VecDeque<Segment>,
    /// Number of the segment behind the newest one, by its seal.
    next: Option<u32>,
    bytes: Vec<u8>,
    recovery: Recovery,
}

impl<S: Storage> Recovering<S> {
    /// Whether the bytes are those of an earlier use of the file.
    fn is_stale(&self, number: u32) -> bool {
        let earlier =
            |(key, link): (FrameKey, Link)| link.salt == self.salt && key.generation < number;
        Link::of(&self.bytes).is_some_and(earlier)
    }

    /// Takes a file whose bytes nobody needs.
    fn spare(&mut self, file: FileId, len: u64) {
        match (len == self.limits.segment_bytes, u32::try_from(file.number)) {
            (false, Ok(number)) => self.leftovers.push((number, 0)),
            _ => self.spare.push(file),
        }
    }

    fn segment(
        &mut self,
        outlook: &Outlook,
        visit: impl FnMut(Position, &Frame<'_>),
    ) -> Result<(), StorageError> {
        let (number, file) = (outlook.number, FileId::segment(outlook.number));
        let len = self.storage.len(file)?;
        self.storage.read(file, 0, to_usize(len), &mut self.bytes)?;
        if outlook.after.is_none() && self.is_stale(number) {
            // A file that serves again, and whose new header a crash did not let come.
            self.spare(file, len);
            return Ok(());
        }
        if outlook.passed_over && outlook.link.is_none() {
            // Nothing durable was ever in it: a write that was cut, or a stranger's file.
            self.leftovers.push((number, used(&self.bytes) as u64));
            return Ok(());
        }
        let contents = Contents::read(outlook, &self.bytes, self.salt, visit);
        let torn = matches!(contents.end, End::Torn(_));
        self.recovery.frames += contents.frames;
        self.recovery.torn_tails += u64::from(torn);
        for (at, end) in &contents.damage {
            self.recovery.corrupt_bytes += (end - at) as u64;
        }
        if contents.frames == 0 || (outlook.passed_over && contents.bare) {
            // Nobody can tell what it is: a stranger's file, or one whose header is gone.
            let evidence = match torn || !contents.damage.is_empty() {
                true => used(&self.bytes) as u64,
                false => 0,
            };
            match evidence {
                0 => self.spare(file, len),
                _ => self.leftovers.push((number, evidence)),
            }
            return Ok(());
        }
        for &(at, end) in &contents.damage {
            let all = self.bytes.len();
            let damaged = &self.bytes[at.min(all)..end.min(all)];
            let kept = Quarantine::file(number, at);
            let Self { storage, aside, .. } = self;
            aside.keep(storage, &self.limits, kept, damaged)?;
        }
        let other = |after: Link| after.checksum != contents.checksum;
        if contents.damage.is_empty() && outlook.after.is_some_and(other) {
            self.recovery.gap(0);
        }
        let end = contents.end.offset() as u64;
        if outlook.known == Known::Nothing {
            harden(&mut self.storage, file, &mut self.bytes, to_usize(end))?;
        }
        self.next = contents.next;
        self.live.push_back(Segment {
            number,
            link: outlook.link(self.live.back(), self.salt),
            end,
            checksum: contents.checksum,
            len,
            bare: contents.bare,
            sealed: matches!(contents.end, End::Sealed(_)),
        });
        Ok(())
    }
}

impl<S: Storage> Segments<S> {
    /// Reads every frame that an earlier process left, in order. Needs no room on the disk, and gives
    /// none away.
    ///
    /// `salt` is for a journal that has none yet.
    pub(crate) fn recover(
        mut storage: Disk<S>,
        limits: Limits,
        salt: u64,
        remembered: Remembered,
        mut visit: impl FnMut(Position, &Frame<'_>),
    ) -> Result<(Self, Recovery), StorageError> {
        let files = Files::list(&mut storage, &limits)?;
        let mut links = Vec::new();
        for &number in &files.segments {
            links.push((number, link_of(&mut storage, number)?));
        }
        let newest = links.iter().rev().find_map(|(_, link)| *link);
        let salt = remembered.salt.or(newest.map(|l| l.salt)).unwrap_or(salt);
        for (_, link) in &mut links {
            // A file of another journal is a stranger here.
            *link = link.filter(|link| link.salt == salt);
        }
        let mut recovering = Recovering {
            storage,
            limits,
            salt,
            aside: files.aside,
            spare: files.spare,
            leftovers: Vec::new(),
            live: VecDeque::new(),
            next: None,
            bytes: Vec::new(),
            recovery: Recovery {
                corrupt_bytes: remembered.damaged_bytes,
                ..Recovery::default()
            },
        };
        for (i, &(number, link)) in links.iter().enumerate() {
            let outlook = Outlook::new(number, link, &links[i + 1..]);
            recovering.segment(&outlook, &mut visit)?;
        }
        let Recovering {
            storage,
            live,
            next,
            spare,
            leftovers,
            aside,
            mut recovery,
            ..
        } = recovering;
        let missing = files.segments.last().copied() < next;
        look_for_gaps(&live, remembered, missing, &mut recovery);
        let segments = Self {
            storage,
            limits,
            salt,
            held: live.iter().map(|s| s.end).sum(),
            checksum: live.back().map_or(0, |s| s.checksum),
            live,
            spare,
            leftovers,
            aside,
            last: files.last,
            next: Next::Missing,
            buffer: Vec::new(),
            poisoned: false,
            damaged_bytes: 0,
        };
        Ok((segments, recovery))
    }
}

/// Makes durable what an opening counts, and clears the rest of a write that was cut.
///
/// A process that ended before its sync, or whose sync failed, left this to the page cache, perhaps as
/// clean. What is left of a cut write could pass for a part of what is written after it.
fn harden(
    storage: &mut impl Storage,
    file: FileId,
    bytes: &mut [u8],
    end: usize,
) -> Result<(), StorageError> {
    let used = used(bytes).max(end);
    bytes[end..used].fill(0);
    storage.write(file, 0, &bytes[..used])?;
    storage.sync(file)
}

/// Compares what the segments say of each other, and what readers remember, with what is there.
fn look_for_gaps(
    live: &VecDeque<Segment>,
    remembered: Remembered,
    newest_missing: bool,
    recovery: &mut Recovery,
) {
    // What lies before the place of a reader may be gone, or may have come back after a crash.
    let mut ended = remembered.kept.map(|(_, logical)| logical);
    for segment in live {
        let missing = ended.map_or(0, |ended| segment.link.base.saturating_sub(ended));
        if missing > 0 {
            recovery.gap(missing);
        }
        ended = ended.max(Some(segment.logical_end()));
    }
    let end = live.back().map_or_else(Position::default, Segment::durable);
    if newest_missing {
        recovery.gap(0);
    } else if remembered.durable > end {
        let found = match remembered.durable.segment == end.segment {
            true => end.offset,
            false => 0,
        };
        recovery.gap(remembered.durable.offset - found);
    }
}
