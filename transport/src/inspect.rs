//! A look at a journal directory without owning it: no lock, no repair, nothing written.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use telemetry_core::{Batch, DeviceId, Epoch, Fingerprint, RecordId, Seq, single_object};

use crate::Limits;
use crate::cursor::Cursor;
use crate::embedded::{DeadLetter, Letters, decode};
use crate::journal::{End, Frame, FrameKey, FrameKind, Known, Link, Part, walk};
use crate::segments::Position;
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
    /// Bytes between the segments that are there which are missing.
    pub missing_bytes: u64,
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
    let (mut segments, mut letters) = (Vec::new(), Vec::new());
    let mut salt = None;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(file) = name.to_str().and_then(FileId::from_name) else {
            continue;
        };
        match file.kind {
            FileKind::Segment => segments.extend(u32::try_from(file.number)),
            FileKind::Quarantine => out.quarantined_bytes += entry.metadata()?.len(),
            FileKind::Letters => letters.extend(u32::try_from(file.number)),
            FileKind::Cursor => {
                if let Some(bytes) = read(&entry.path(), 1 << 16)? {
                    let (name, place, its) = Cursor::in_bytes(&bytes);
                    salt = salt.or(its);
                    let name = Some(name).filter(|name| !name.is_empty());
                    let name = name.unwrap_or_else(|| "cursor".to_owned());
                    out.places.push((name, place));
                }
            }
            FileKind::Spare => {}
        }
    }
    out.places.sort_by(|a, b| a.0.cmp(&b.0));
    segments.sort_unstable();
    let salt = read_segments(dir, limits, (&segments, salt), &mut out, &mut visit)?;
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

/// Reads all segments in order, and returns the salt of the journal.
fn read_segments(
    dir: &Path,
    limits: &Limits,
    (numbers, salt): (&[u32], Option<u64>),
    out: &mut Inspection,
    visit: &mut impl FnMut(Position, Content),
) -> io::Result<u64> {
    let path = |number| dir.join(FileId::segment(number).to_string());
    let mut links = Vec::new();
    for &number in numbers {
        let bytes = read(&path(number), limits.segment_bytes)?.unwrap_or_default();
        let link = Link::of(&bytes).filter(|(key, _)| key.generation == number);
        links.push(link.map(|(_, link)| link));
    }
    let newest = links.iter().rev().flatten().next();
    let salt = salt.or(newest.map(|link| link.salt)).unwrap_or(0);
    let mut ended: Option<u64> = None;
    for (i, &segment) in numbers.iter().enumerate() {
        // Freed since it was listed.
        let Some(bytes) = read(&path(segment), limits.total_bytes)? else {
            continue;
        };
        out.segments += 1;
        out.bytes += bytes.len() as u64;
        let known = match links[i + 1..].iter().flatten().next() {
            Some(next) if next.before == segment => {
                Known::End(usize::try_from(next.end).unwrap_or(usize::MAX))
            }
            Some(_) => Known::Whole,
            None => Known::Nothing,
        };
        let key = FrameKey {
            salt,
            generation: segment,
        };
        let mut header = None;
        let end = walk(&bytes, key, known, |part| match part {
            Part::Damage { at, end } => out.damaged_bytes += (end - at) as u64,
            Part::Frame(frame) => {
                out.frames += 1;
                let offset = frame.offset as u64;
                if let Some(content) = content(&frame, &mut header) {
                    visit(Position { segment, offset }, content);
                }
            }
        });
        out.torn_tails += u64::from(matches!(end, End::Torn(_)));
        if let Some(link) = links[i] {
            out.missing_bytes += ended.map_or(0, |ended| link.base.saturating_sub(ended));
            ended = Some(link.base + end.offset() as u64);
        }
    }
    Ok(salt)
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
