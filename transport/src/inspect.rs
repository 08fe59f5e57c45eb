//! A look at a journal directory without owning it: no lock, no repair, nothing written.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use telemetry_core::journal::{Frame, FrameKind, Scanner, Verdict};
use telemetry_core::{Batch, DeviceId, Epoch, Fingerprint, RecordId, Seq, single_object};

use crate::Limits;
use crate::cursor::Cursor;
use crate::embedded::{CURSOR, DeadLetter, decode, letters_in};
use crate::segments::{Position, commit_follows};
use crate::spool::header::Header;
use crate::spool::payload_of;

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
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        let file = dir.join(&name);
        if let Some(hex) = name.strip_suffix(".segment") {
            numbers.extend(u32::from_str_radix(hex, 16));
        } else if name.starts_with("quarantine-") {
            out.quarantined_bytes += fs::metadata(&file)?.len();
        } else if let Some(consumer) = name.strip_prefix("dead-") {
            let bytes = read(&file, limits.dead_letter_bytes)?;
            let letters = letters_in(&bytes.unwrap_or_default()).0.into_iter();
            let named = letters.map(|letter| (consumer.to_owned(), letter));
            out.dead_letters.extend(named);
        } else if (name == "cursor" || name.starts_with(CURSOR))
            && let Some(bytes) = read(&file, 1 << 16)?
        {
            let reader = name.strip_prefix(CURSOR).unwrap_or(&name);
            let place = Cursor::position_in(&bytes);
            out.places.push((reader.to_owned(), place));
        }
    }
    out.places.sort_by(|a, b| a.0.cmp(&b.0));
    numbers.sort_unstable();
    for (i, &segment) in numbers.iter().enumerate() {
        let file = dir.join(format!("{segment:08x}.segment"));
        // Freed since it was listed.
        let Some(bytes) = read(&file, limits.total_bytes)? else {
            continue;
        };
        out.segments += 1;
        out.bytes += bytes.len() as u64;
        let mut header = None;
        let sealed = i + 1 < numbers.len();
        scan(&bytes, segment, sealed, &mut out, |frame| {
            let offset = frame.offset as u64;
            if let Some(content) = content(frame, &mut header) {
                visit(Position { segment, offset }, content);
            }
        });
    }
    Ok(out)
}

/// Goes over a segment as an opening would.
fn scan(
    bytes: &[u8],
    segment: u32,
    sealed: bool,
    out: &mut Inspection,
    mut visit: impl FnMut(&Frame<'_>),
) {
    let mut from = 0;
    loop {
        let mut scan = Scanner::from_offset(bytes, segment, from);
        for frame in scan.by_ref() {
            out.frames += 1;
            visit(&frame);
        }
        let (at, resume) = match scan.verdict() {
            Verdict::Clean { .. } => return,
            Verdict::Torn { at } => (at, None),
            Verdict::Corrupt { at, resume } => (at, Some(resume)),
        };
        if !sealed && !resume.is_some_and(|r| commit_follows(bytes, segment, r)) {
            out.torn_tails += 1;
            return;
        }
        let rest = &bytes[at..];
        let used = rest.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
        out.damaged_bytes += resume.map_or(used, |r| r - at) as u64;
        let Some(resume) = resume else { return };
        from = resume;
    }
}

fn content(frame: &Frame<'_>, header: &mut Option<Header>) -> Option<Content> {
    match frame.head.kind {
        FrameKind::Header => {
            // The header of an embedded log is empty.
            *header = Header::decode(frame.payload);
            header.as_ref().map(|header| Content::Opening {
                device: header.device,
                epoch: header.epoch,
            })
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
