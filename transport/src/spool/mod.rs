//! The spool: records on disk until someone downstream has them for good.

pub(crate) mod header;
mod opening;
mod reader;

use std::collections::{BTreeSet, HashMap};
use std::io;

use telemetry_core::journal::{Frame, FrameKind};
use telemetry_core::wire::Reader;
use telemetry_core::{ClockMark, ClockQuality, DeviceId, Epoch, Seq, StreamName, single_object};

use crate::Storage;
use crate::cursor::Cursor;
use crate::error::{AppendError, CommitError, ConfirmError, OpenError};
use crate::segments::{Position, Recovery, Segments, WhenFull};
use header::{Header, SourceState, StreamState, put_clock, take_clock};
pub use opening::Opening;
use reader::BatchReader;
pub use reader::SpooledBatch;

/// Flag of a record whose payload begins with its origin: source `u16`, two zeros, serial `u64`.
const ORIGIN: u16 = 2;

/// Bytes of an origin.
const ORIGIN_LEN: usize = 12;

/// Bytes of a source's name at most.
const SOURCE_LEN_MAX: usize = 128;

/// Number of a stream within one spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamNo(u16);

/// Number of a source within one spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceNo(u16);

/// Where a record came from: durable together with it, so that a source knows where to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The source.
    pub source: SourceNo,
    /// Its own number of the record, growing from 1.
    pub serial: u64,
}

/// What an append promises once a commit has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// This opening.
    pub epoch: Epoch,
    /// Number of the record in its stream.
    pub seq: Seq,
    /// Where it is: durable once it lies before [`Committed::durable`].
    pub position: Position,
}

/// What a commit made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Everything before this is durable.
    pub durable: Position,
}

/// How far records have come; each bound is the end of a prefix of the journal.
///
/// A [`Receipt`] is past a bound when its position lies before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Taken.
    pub appended: Position,
    /// Survives a crash.
    pub durable: Position,
    /// Handed out in batches.
    pub sent: Position,
    /// Somebody downstream has it for good.
    pub confirmed: Position,
}

/// Counts of one opening, and bytes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that earlier openings left, not confirmed.
    pub recovered: u64,
    /// Records appended.
    pub appended: u64,
    /// Of these, records that are durable.
    pub durable: u64,
    /// Records handed out in batches.
    pub sent: u64,
    /// Records in batches confirmed.
    pub confirmed: u64,
    /// Records dropped before anybody had them, to make room ([`WhenFull::DropOldest`]).
    pub dropped: u64,
    /// Attempts to append that found no room.
    pub refused: u64,
    /// Records of all epochs that are not confirmed, also those not committed yet.
    pub depth_records: u64,
    /// Bytes of all frames kept.
    pub bytes: u64,
    /// Bytes that reading went past because they are damaged.
    pub damaged_bytes: u64,
    /// Records that reading went past because nobody can tell their name or schema.
    pub unreadable_records: u64,
    /// What the opening found.
    pub recovery: Recovery,
}

/// The epoch before this opening, as far as it was recovered: where the tails of its streams are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its epoch.
    pub epoch: Epoch,
    /// Every stream with the number its next record would have had.
    pub next_seqs: Vec<(StreamName, Seq)>,
}

/// A spool of one device.
#[derive(Debug)]
pub struct Spool<S> {
    log: Segments<S>,
    state: Header,
    stream_numbers: HashMap<StreamName, StreamNo>,
    cursor: Cursor,
    reader: BatchReader,
    stats: Stats,
    previous: Option<Previous>,
    /// Streams or sources have come whose names no header on the way to the disk has. One header
    /// takes them all: before the next record, or with the next commit.
    header_stale: bool,
    /// Records appended since the last commit.
    uncommitted: u64,
    /// Serials of sources as far as they are durable.
    durable_serials: Vec<u64>,
}

/// What a record frame holds.
pub(crate) struct Payload<'a> {
    /// Source and serial.
    origin: Option<(u16, u64)>,
    pub(crate) record: &'a [u8],
}

pub(crate) fn payload_of<'a>(frame: &Frame<'a>) -> Option<Payload<'a>> {
    if frame.head.flags & ORIGIN == 0 {
        return Some(Payload {
            origin: None,
            record: frame.payload,
        });
    }
    let (origin, record) = frame.payload.split_first_chunk::<ORIGIN_LEN>()?;
    let [a, b, _, _, serial @ ..] = *origin;
    let origin = Some((u16::from_le_bytes([a, b]), u64::from_le_bytes(serial)));
    Some(Payload { origin, record })
}

impl<S: Storage> Spool<S> {
    /// Opens a spool for appending, under an epoch of its own; makes it where it is missing.
    pub fn open(mut storage: S, opening: Opening) -> Result<(Self, Recovery), OpenError> {
        Segments::check(&mut storage, &opening.limits)?;
        let mut cursor = Cursor::open(&mut storage, "cursor".to_owned(), Position::default())?;
        let mut found: Option<Header> = None;
        // Of every header that is left: records of none of them may be named again.
        let mut epochs = BTreeSet::new();
        let mut depth_records = 0;
        // Segment whose header is known: records of another may be of another epoch.
        let mut headed = None;
        let (mut log, recovery) = Segments::recover(storage, opening.limits, |at, frame| {
            match (frame.head.kind, &mut found) {
                (FrameKind::Header, found) => {
                    if let Some(header) = Header::decode(frame.payload) {
                        epochs.insert(header.epoch);
                        *found = Some(header);
                        headed = Some(at.segment);
                    }
                }
                (FrameKind::Mark, Some(header)) => {
                    if let Ok(clock) = take_clock(&mut Reader::new(frame.payload)) {
                        header.clock = clock;
                    }
                }
                (FrameKind::Record, Some(header)) => {
                    depth_records += u64::from(at >= cursor.position());
                    if headed == Some(at.segment)
                        && let Some(stream) = header.streams.get_mut(usize::from(frame.head.stream))
                    {
                        stream.next_seq = frame.head.seq.saturating_add(1);
                    }
                    if let Some((source, serial)) = payload_of(frame).and_then(|p| p.origin)
                        && let Some(source) = header.sources.get_mut(usize::from(source))
                    {
                        source.serial = serial;
                    }
                }
                _ => {}
            }
        })?;
        let synchronised = opening.clock.quality == ClockQuality::Synchronised;
        let previous = found.as_ref().map(|h| h.epoch);
        let now = synchronised.then_some(opening.clock.wall);
        let epoch = Epoch::for_opening(previous, now, opening.random)
            .filter(|epoch| !epochs.contains(epoch))
            .ok_or(OpenError::EpochRepeats {
                previous: previous.unwrap_or_default(),
            })?;
        // The same hardware, as far as the firmware can say.
        let same = found.as_ref().filter(|h| {
            opening.hardware_token.is_none() || h.hardware_token == opening.hardware_token
        });
        let device = same.map_or(opening.new_device, |h| h.device);
        let hardware_token = opening
            .hardware_token
            .or_else(|| found.as_ref().and_then(|h| h.hardware_token));
        let previous = same.map(|h| Previous {
            epoch: h.epoch,
            next_seqs: h
                .streams
                .iter()
                .map(|s| (s.name.clone(), Seq::new(s.next_seq).unwrap_or(Seq::MAX)))
                .collect(),
        });
        let (mut streams, sources) =
            found.map_or_else(Default::default, |h| (h.streams, h.sources));
        streams
            .iter_mut()
            .for_each(|s: &mut StreamState| s.next_seq = 1);
        let end = log.durable();
        cursor.clamp(&mut log.storage, end)?;
        log.roll()?;
        let numbers = streams.iter().enumerate();
        let mut spool = Self {
            stream_numbers: numbers
                .map(|(i, s)| (s.name.clone(), StreamNo(i as u16)))
                .collect(),
            durable_serials: Vec::new(),
            state: Header {
                device,
                hardware_token,
                epoch,
                clock: opening.clock,
                streams,
                sources,
            },
            // From the oldest segment, so that the header in force at the cursor is known.
            reader: BatchReader::new(epoch, log.start()),
            log,
            cursor,
            previous,
            header_stale: false,
            uncommitted: 0,
            stats: Stats {
                recovery,
                recovered: depth_records,
                depth_records,
                ..Stats::default()
            },
        };
        spool.put_header()?;
        spool.commit()?;
        // Openings alone leave nothing behind.
        spool.log.remove_bare()?;
        Ok((spool, recovery))
    }

    fn put_header(&mut self) -> Result<(), AppendError> {
        let payload = self.state.encode();
        self.log.push(FrameKind::Header, (0, 0, 0), &[&payload])?;
        self.header_stale = false;
        Ok(())
    }

    /// Makes room for a payload, in a new segment if need be.
    fn make_room(&mut self, len: usize) -> Result<(), AppendError> {
        let mut rolled = false;
        let full = loop {
            match self.log.admit(len) {
                // The only segment cannot be freed; a new one, with nothing in it, may serve.
                Err(AppendError::Full { .. }) if !rolled && self.may_drop() => {
                    rolled = self.drop_oldest()?;
                }
                other => break other?,
            }
        };
        if full {
            self.roll()?;
        }
        Ok(())
    }

    /// Goes on in a new segment.
    fn roll(&mut self) -> Result<(), AppendError> {
        self.commit()?;
        self.log.roll()?;
        self.put_header()
    }

    /// Whether the oldest segment may go although nobody confirmed all of it, or where everything
    /// is confirmed and fills its segment.
    fn may_drop(&self) -> bool {
        self.log.limits.when_full == WhenFull::DropOldest
            || self.reader.confirmed() >= self.log.appended()
    }

    /// Frees the oldest segment; says whether there is only a new one now.
    ///
    /// Batches that were handed out may still be confirmed, and are not counted as dropped.
    fn drop_oldest(&mut self) -> Result<bool, AppendError> {
        let only = self.log.second().is_none();
        if only {
            self.roll()?;
        }
        // The header that names device and sources is durable before the last one goes.
        self.commit()?;
        let boundary = self.log.second().unwrap_or_default();
        let cursor = self.cursor.position();
        let dropped = self.reader.drop_before(&mut self.log, cursor, boundary)?;
        self.stats.dropped += dropped;
        self.stats.depth_records = self.stats.depth_records.saturating_sub(dropped);
        if boundary > cursor {
            self.cursor.store(&mut self.log.storage, boundary)?;
        }
        self.log.free_before(boundary)?;
        Ok(only)
    }

    /// The number of a stream, new or known.
    pub fn stream(&mut self, name: &StreamName) -> Result<StreamNo, AppendError> {
        if let Some(&number) = self.stream_numbers.get(name) {
            return Ok(number);
        }
        let number =
            u16::try_from(self.state.streams.len()).map_err(|_| AppendError::TooManyNames)?;
        self.make_room(self.state.encode().len() + StreamName::LEN_MAX + 16)?;
        self.state.streams.push(StreamState {
            name: name.clone(),
            next_seq: 1,
        });
        self.stream_numbers.insert(name.clone(), StreamNo(number));
        self.header_stale = true;
        Ok(StreamNo(number))
    }

    /// The number of a source, new or known, e.g. one application on the console.
    ///
    /// Its name has at most 128 bytes.
    pub fn source(&mut self, name: &str) -> Result<SourceNo, AppendError> {
        if name.len() > SOURCE_LEN_MAX {
            let (len, max) = (name.len(), SOURCE_LEN_MAX);
            return Err(AppendError::NameTooLong { len, max });
        }
        let sources = &self.state.sources;
        let found = sources.iter().position(|s| s.name == name);
        let number =
            u16::try_from(found.unwrap_or(sources.len())).map_err(|_| AppendError::TooManyNames)?;
        if found.is_none() {
            self.make_room(self.state.encode().len() + name.len() + 16)?;
            self.state.sources.push(SourceState {
                name: name.to_owned(),
                serial: 0,
            });
            self.header_stale = true;
        }
        Ok(SourceNo(number))
    }

    /// Names of the sources that this spool knows.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.state.sources.iter().map(|source| source.name.as_str())
    }

    /// Serial of a source's last durable record, 0 for none: what it need not send again.
    pub fn resume(&self, source: SourceNo) -> u64 {
        self.durable_serials
            .get(usize::from(source.0))
            .copied()
            .unwrap_or(0)
    }

    /// Buffers a record in single-object encoding. [`commit`](Self::commit) makes it durable.
    pub fn append(
        &mut self,
        stream: StreamNo,
        record: &[u8],
        origin: Option<Origin>,
    ) -> Result<Receipt, AppendError> {
        if single_object::split(record).is_err() {
            return Err(AppendError::NotSingleObject);
        }
        let known = usize::from(stream.0) < self.state.streams.len();
        let number = (!known).then_some(stream.0).or_else(|| {
            let source = origin?.source.0;
            (usize::from(source) >= self.state.sources.len()).then_some(source)
        });
        if let Some(number) = number {
            return Err(AppendError::Unknown { number });
        }
        if self.header_stale {
            // The record's stream and source must be known to whoever reads from here.
            self.make_room(self.state.encode().len())?;
            if self.header_stale {
                self.put_header()?;
            }
        }
        let room = self.make_room(record.len() + ORIGIN_LEN);
        self.stats.refused += u64::from(matches!(room, Err(AppendError::Full { .. })));
        room?;
        let state = &mut self.state.streams[usize::from(stream.0)];
        let seq = state.next_seq;
        let mut prefix = [0; ORIGIN_LEN];
        let (parts, flags): (&[&[u8]], _) = match origin {
            Some(o) => {
                prefix[..2].copy_from_slice(&o.source.0.to_le_bytes());
                prefix[4..].copy_from_slice(&o.serial.to_le_bytes());
                (&[&prefix, record], ORIGIN)
            }
            None => (&[record], 0),
        };
        let head = (stream.0, flags, seq);
        let position = self.log.push(FrameKind::Record, head, parts)?;
        state.next_seq += 1;
        if let Some(o) = origin {
            self.state.sources[usize::from(o.source.0)].serial = o.serial;
        }
        self.stats.appended += 1;
        self.stats.depth_records += 1;
        self.uncommitted += 1;
        Ok(Receipt {
            epoch: self.state.epoch,
            seq: Seq::new(seq).unwrap_or(Seq::MAX),
            position,
        })
    }

    /// Makes everything appended durable, with one write and one sync.
    ///
    /// After an error the spool takes nothing more: what is on disk is unknown until it is
    /// opened again.
    pub fn commit(&mut self) -> Result<Committed, CommitError> {
        if self.header_stale && matches!(self.log.admit(self.state.encode().len()), Ok(false)) {
            // Names without a record can wait for one, if a header does not fit here.
            let _ = self.put_header();
        }
        self.log.commit()?;
        self.uncommitted = 0;
        self.durable_serials.clear();
        self.durable_serials
            .extend(self.state.sources.iter().map(|s| s.serial));
        Ok(Committed {
            durable: self.log.durable(),
        })
    }

    /// Notes a clock step: no batch crosses it.
    pub fn mark_clock(&mut self, clock: ClockMark) -> Result<(), AppendError> {
        let mut payload = Vec::new();
        put_clock(&mut payload, &clock);
        self.make_room(payload.len())?;
        self.log.push(FrameKind::Mark, (0, 0, 0), &[&payload])?;
        self.state.clock = clock;
        Ok(())
    }

    /// The next durable records that were not handed out yet, at most `max_bytes` of datums
    /// (one record may have more) and `max_records`.
    pub fn next_batch(
        &mut self,
        max_bytes: usize,
        max_records: u32,
    ) -> io::Result<Option<SpooledBatch>> {
        let cursor = self.cursor.position();
        let batch = self
            .reader
            .next_batch(&mut self.log, cursor, max_bytes, max_records)?;
        self.stats.sent += batch.as_ref().map_or(0, |batch| u64::from(batch.count()));
        if batch.is_none() && self.reader.all_confirmed() {
            // Damaged records are never confirmed, and wait no longer.
            self.stats.depth_records = self.uncommitted;
        }
        Ok(batch)
    }

    /// Takes a confirmation: the batch is durable downstream.
    ///
    /// The cursor moves over the confirmed prefix, durably, whenever that frees a segment;
    /// [`save_cursor`](Self::save_cursor) moves it at any time. What lies after the cursor is
    /// handed out again after the next opening, under the same names.
    ///
    /// A batch that an earlier opening handed out is refused, for its number names another batch
    /// here.
    pub fn confirm(&mut self, batch: &SpooledBatch) -> Result<(), ConfirmError> {
        let (id, opening) = (batch.id, self.state.epoch);
        if !self.reader.handed_out_batch(id) {
            return Err(ConfirmError::NotHandedOut { id, opening });
        }
        if self.reader.confirm(id) {
            let count = u64::from(batch.count());
            self.stats.confirmed += count;
            self.stats.depth_records = self.stats.depth_records.saturating_sub(count);
        }
        let confirmed = self.reader.confirmed();
        if confirmed.segment > self.log.start().segment {
            self.cursor.store(&mut self.log.storage, confirmed)?;
            self.log.free_before(confirmed)?;
        }
        Ok(())
    }

    /// Stores how far confirmation has come, so that less is sent again.
    pub fn save_cursor(&mut self) -> io::Result<()> {
        let confirmed = self.reader.confirmed();
        if confirmed > self.cursor.position() {
            self.cursor.store(&mut self.log.storage, confirmed)?;
        }
        Ok(())
    }

    /// The device this spool belongs to.
    pub fn device(&self) -> DeviceId {
        self.state.device
    }

    /// This opening.
    pub fn epoch(&self) -> Epoch {
        self.state.epoch
    }

    /// Every stream with the number its next record gets.
    pub fn next_seqs(&self) -> impl Iterator<Item = (&StreamName, Seq)> {
        let streams = self.state.streams.iter();
        streams.map(|s| (&s.name, Seq::new(s.next_seq).unwrap_or(Seq::MAX)))
    }

    /// The epoch before this opening; `None` for a new device.
    pub fn previous(&self) -> Option<&Previous> {
        self.previous.as_ref()
    }

    /// How far records have come.
    pub fn watermarks(&self) -> Watermarks {
        Watermarks {
            appended: self.log.appended(),
            durable: self.log.durable(),
            sent: self.reader.handed_out(),
            confirmed: self.reader.confirmed(),
        }
    }

    /// Counts and sizes.
    pub fn stats(&self) -> Stats {
        Stats {
            durable: self.stats.appended - self.uncommitted,
            bytes: self.log.used(),
            damaged_bytes: self.log.damaged_bytes,
            unreadable_records: self.reader.unreadable,
            ..self.stats
        }
    }
}
