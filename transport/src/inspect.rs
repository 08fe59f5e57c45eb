//! A look at a journal directory without owning it: no lock, no repair, nothing written.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use telemetry_core::{
    Batch, DeviceId, Epoch, Fingerprint, RecordId, Seq, StreamName, single_object,
};

use crate::Limits;
use crate::cursor::Cursor;
use crate::embedded::{DeadLetter, Letters, decode};
use crate::journal::{End, Frame, FrameKey, FrameKind, Known, Link, Part, walk};
use crate::segments::{Position, Remembered};
use crate::spool::header::Header;
use crate::spool::payload_of;
use crate::storage::{FileId, FileKind};

/// What stands at one place of a journal.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// A spool was opened, or goes on in a new segment.
    Opening {
        /// Whose spool.
        device: DeviceId,
        /// Which opening.
        epoch: Epoch,
    },
    /// A record of a spool.
    Record {
        /// Its name.
        id: RecordId,
        /// The schema it was written with.
        schema: Fingerprint,
        /// Its length in bytes, header included.
        len: usize,
    },
    /// A batch of an embedded log.
    Batch(Batch),
    /// A whole frame that holds nothing this release can name.
    Unreadable,
}

/// Ranges of lost records that are listed.
const LOST_MAX: usize = 10_000;

/// Consecutive records of a stream that were durable and are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Device that made them.
    pub device: DeviceId,
    /// Opening under which they were appended.
    pub epoch: Epoch,
    /// Their stream.
    pub stream: StreamName,
    /// Number of the first.
    pub first: Seq,
    /// Number of the last.
    pub last: Seq,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            device,
            epoch,
            stream,
            first,
            last,
        } = self;
        write!(f, "{device}:{epoch}:{stream}:{first}-{last}")
    }
}

/// What a directory holds, besides the contents that were visited.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Inspection {
    /// Segment files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whole frames.
    pub frames: u64,
    /// Writes that were cut or are going on just now: nothing in them was promised.
    pub torn_tails: u64,
    /// Bytes that were durable and are damaged.
    pub damaged_bytes: u64,
    /// Places where something durable is missing: a file, or the end of the journal.
    pub gaps: u64,
    /// Bytes that are missing there: at least so many.
    pub missing_bytes: u64,
    /// Records that are damaged or missing, as far as their neighbours tell; at most 10,000 ranges.
    pub lost: Vec<Lost>,
    /// Bytes that earlier openings found damaged and put aside.
    pub quarantined_bytes: u64,
    /// How far each reader is: `cursor` of a spool, else the names of consumers.
    pub places: Vec<(String, Position)>,
    /// What consumers refused.
    pub dead_letters: Vec<(String, DeadLetter)>,
}

/// Reads the directory of a spool or of an embedded log from its oldest frame to its newest.
///
/// A process that owns it may go on writing: what it frees meanwhile is left out, what it writes
/// at the end may be missing. A file longer than `limits` allow is read up to there.
///
/// # Errors
/// The directory or a file in it cannot be read.
pub fn inspect(
    dir: &Path,
    limits: &Limits,
    mut visit: impl FnMut(Position, Content),
) -> io::Result<Inspection> {
    let mut out = Inspection::default();
    let mut letters = Vec::new();
    let mut remembered = Remembered::default();
    for (file, path) in files(dir)? {
        match file.kind {
            FileKind::Quarantine => {
                out.quarantined_bytes += fs::metadata(path).map_or(0, |found| found.len());
            }
            FileKind::Letters => letters.extend(u32::try_from(file.number)),
            FileKind::Cursor => {
                if let Some(bytes) = read(&path, 1 << 16)? {
                    let (name, place, its) = Cursor::in_bytes(&bytes);
                    let name = Some(name).filter(|name| !name.is_empty());
                    let name = name.unwrap_or_else(|| "cursor".to_owned());
                    out.places.push((name, place));
                    out.damaged_bytes += its.damaged_bytes;
                    remembered = remembered.and(its);
                }
            }
            FileKind::Segment | FileKind::Spare => {}
        }
    }
    out.places.sort_by(|a, b| a.0.cmp(&b.0));
    // Listed after the cursors were read, which stand in none that is newer.
    let salt = read_segments(dir, limits, remembered, &mut out, &mut visit)?;
    letters.sort_unstable();
    for number in letters {
        let file = FileId::new(FileKind::Letters, number.into());
        let bytes = read(&dir.join(file.to_string()), limits.dead_letter_bytes)?;
        let found = Letters::read(&bytes.unwrap_or_default(), number, salt);
        out.damaged_bytes += found.damaged_bytes;
        let named = found.letters.into_iter();
        let named = named.map(|letter| (found.name.clone(), letter));
        out.dead_letters.extend(named);
    }
    Ok(out)
}

fn files(dir: &Path) -> io::Result<Vec<(FileId, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file = entry.file_name().to_str().and_then(FileId::from_name);
        files.extend(file.map(|file| (file, entry.path())));
    }
    files.sort();
    Ok(files)
}

/// Numbers of the segments that are there, in their order.
fn segments(dir: &Path) -> io::Result<Vec<u32>> {
    let files = files(dir)?.into_iter();
    let segments = files.filter(|(file, _)| file.kind == FileKind::Segment);
    Ok(segments
        .filter_map(|(file, _)| u32::try_from(file.number).ok())
        .collect())
}

/// Reads all segments in order, and returns the salt of the journal.
fn read_segments(
    dir: &Path,
    limits: &Limits,
    remembered: Remembered,
    out: &mut Inspection,
    visit: &mut impl FnMut(Position, Content),
) -> io::Result<u64> {
    let path = |number| dir.join(FileId::segment(number).to_string());
    let numbers = segments(dir)?;
    let mut links = Vec::new();
    for &number in &numbers {
        let bytes = read(&path(number), limits.segment_bytes)?.unwrap_or_default();
        let link = Link::of(&bytes).filter(|(key, _)| key.generation == number);
        links.push(link.map(|(_, link)| link));
    }
    let newest = links.iter().rev().flatten().next();
    let salt = remembered.salt.or(newest.map(|link| link.salt));
    let salt = salt.unwrap_or(0);
    let place = remembered
        .kept
        .map_or_else(Position::default, |kept| kept.0);
    let mut numbering = Numbering::new(place);
    // Bytes of the journal before the next segment, as far as anybody knows.
    let mut ended = remembered.kept.map(|(_, logical)| logical);
    let (mut end, mut next) = (Position::default(), None);
    for (i, &segment) in numbers.iter().enumerate() {
        let Some(bytes) = read(&path(segment), limits.total_bytes)? else {
            // Freed since it was listed.
            ended = None;
            continue;
        };
        out.segments += 1;
        out.bytes += bytes.len() as u64;
        let after = links[i + 1..].iter().flatten().next();
        if after.is_some_and(|after| after.before < segment) {
            // The journal was linked past it: nothing durable is in it.
            continue;
        }
        if let (Some(link), Some(ended)) = (links[i], ended)
            && link.base > ended
        {
            out.gaps += 1;
            out.missing_bytes += link.base - ended;
            numbering.damages += 1;
        }
        let known = match after {
            Some(after) if after.before == segment => {
                Known::End(usize::try_from(after.end).unwrap_or(usize::MAX))
            }
            Some(_) => Known::Whole,
            None => Known::Nothing,
        };
        let key = FrameKey {
            salt,
            generation: segment,
        };
        let (mut header, mut frames) = (None, 0);
        let found = walk(&bytes, key, known, |part| match part {
            Part::Damage { at, end } => {
                out.damaged_bytes += (end - at) as u64;
                numbering.damages += 1;
            }
            Part::Frame(frame) => {
                frames += 1;
                next = (frame.head.kind == FrameKind::Seal).then_some(frame.head.seq);
                let offset = frame.offset as u64;
                let position = Position { segment, offset };
                if let Some(content) = content(&frame, &mut header) {
                    numbering.content(position, &content, header.as_ref(), i == 0);
                    visit(position, content);
                }
            }
        });
        out.frames += frames;
        out.torn_tails += u64::from(matches!(found, End::Torn(_)));
        if frames > 0 {
            let offset = found.offset() as u64;
            end = Position { segment, offset };
            let base = links[i].map(|link| link.base).or(ended);
            ended = base.map(|base| base + offset);
        }
    }
    let newest_missing = match next {
        // Listed again: its owner may have made it since.
        Some(next) => segments(dir)?
            .last()
            .is_none_or(|last| u64::from(*last) < next),
        None => false,
    };
    if newest_missing || remembered.durable > end {
        let same = remembered.durable.segment == end.segment;
        let found = if same { end.offset } else { 0 };
        out.gaps += 1;
        out.missing_bytes += remembered.durable.offset.saturating_sub(found);
    }
    out.lost = numbering.lost;
    Ok(salt)
}

/// Follows the numbers of records, and finds those that are missing.
struct Numbering {
    /// What lies before it is not needed any more.
    place: Position,
    /// Damaged and missing parts so far.
    damages: u64,
    /// Number of the next record of each stream, and how many damages there were at the last one.
    next: BTreeMap<(Epoch, StreamName), (u64, u64)>,
    lost: Vec<Lost>,
}

impl Numbering {
    const fn new(place: Position) -> Self {
        Self {
            place,
            damages: 0,
            next: BTreeMap::new(),
            lost: Vec::new(),
        }
    }

    fn content(&mut self, at: Position, content: &Content, header: Option<&Header>, oldest: bool) {
        match (content, header) {
            (Content::Opening { device, epoch }, Some(header)) => {
                for stream in &header.streams {
                    // What came before the oldest segment was freed, or is told in bytes.
                    let first = if oldest { stream.next_seq } else { 1 };
                    let of = (*device, *epoch, &stream.name);
                    self.goes_on(at, of, (first, stream.next_seq), stream.next_seq);
                }
            }
            (Content::Record { id, .. }, _) => {
                let (of, seq) = ((id.device, id.epoch, &id.stream), id.seq.get());
                self.goes_on(at, of, (seq, seq), seq + 1);
            }
            (Content::Batch(batch), _) => {
                let e = &batch.envelope;
                let seq = e.first_seq.get();
                let next = seq + u64::from(e.count);
                self.goes_on(at, (e.device, e.epoch, &e.subject), (seq, seq), next);
            }
            _ => {}
        }
    }

    /// A stream goes on at a number; one that was not seen before was expected from `first` on.
    fn goes_on(
        &mut self,
        at: Position,
        (device, epoch, stream): (DeviceId, Epoch, &StreamName),
        (first, found): (u64, u64),
        next: u64,
    ) {
        let damages = self.damages;
        let entry = self.next.entry((epoch, stream.clone()));
        let (expected, seen) = entry.or_insert((first, 0));
        let gone = found > *expected && damages > *seen && at > self.place;
        if gone
            && self.lost.len() < LOST_MAX
            && let (Ok(first), Ok(last)) = (Seq::new(*expected), Seq::new(found - 1))
        {
            self.lost.push(Lost {
                device,
                epoch,
                stream: stream.clone(),
                first,
                last,
            });
        }
        *expected = next.max(*expected);
        *seen = damages;
    }
}

fn content(frame: &Frame<'_>, header: &mut Option<Header>) -> Option<Content> {
    match frame.head.kind {
        FrameKind::Header => {
            // The header of an embedded log is empty.
            *header = Header::of(frame);
            header.as_ref().map(|header| Content::Opening {
                device: header.device,
                epoch: header.epoch,
            })
        }
        FrameKind::Names => {
            // What nobody can name is unreadable.
            let _ = header.as_mut().and_then(|header| header.add_names(frame));
            None
        }
        FrameKind::Record => Some(record(frame, header.as_ref()).unwrap_or(Content::Unreadable)),
        FrameKind::Batch => Some(decode(frame).map_or(Content::Unreadable, Content::Batch)),
        _ => None,
    }
}

fn record(frame: &Frame<'_>, header: Option<&Header>) -> Option<Content> {
    let header = header?;
    let stream = header.streams.get(usize::from(frame.head.stream))?;
    let record = payload_of(frame)?.record;
    let (schema, _) = single_object::split(record).ok()?;
    Some(Content::Record {
        id: RecordId {
            device: header.device,
            epoch: header.epoch,
            stream: stream.name.clone(),
            seq: Seq::new(frame.head.seq).ok()?,
        },
        schema,
        len: record.len(),
    })
}

/// The bytes of a file; `None` if it is gone.
fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
