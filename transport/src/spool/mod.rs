//! The spool: records on disk until someone downstream has them for good.

pub(crate) mod header;
mod opening;
mod reader;

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use telemetry_core::{ClockMark, DeviceId, Epoch, Seq, StreamName, single_object};

use crate::cursor::Cursor;
use crate::error::{AppendError, CommitError, ConfirmError, OpenError};
use crate::journal::{Frame, FrameKind, Link};
use crate::segments::{Position, Recovery, Segments, WhenFull};
use crate::storage::{Disk, FileId, FileKind, Storage, StorageError, StorageErrorKind};
use header::{Header, SourceState, StreamState, put_clock};
pub use opening::Opening;
use opening::Past;
#[cfg(feature = "embedded")]
pub(crate) use opening::random_bits;
pub use reader::SpooledBatch;
use reader::{BatchReader, Open};

/// The file that keeps how far records are confirmed.
const CURSOR: FileId = FileId::new(FileKind::Cursor, 0);

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
    /// Records dropped to make room ([`WhenFull::DropOldest`]) that nobody confirmed: never handed
    /// out, or handed out and not confirmed so far.
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
    stream_numbers: BTreeMap<StreamName, StreamNo>,
    cursor: Cursor,
    reader: BatchReader,
    stats: Stats,
    previous: Option<Previous>,
    /// The opening found no room for its header: one has to be written before anything else.
    unheaded: bool,
    /// Streams and sources whose names are on the way to the disk. One frame takes all that came after
    /// them: before the next record, or with the next commit.
    named: (usize, usize),
    /// Bytes of a header, at most.
    header_len: usize,
    /// Records appended since the last commit.
    uncommitted: u64,
    /// Serials of sources as far as they are durable.
    durable_serials: Vec<u64>,
    /// The largest record that the receiver takes, as far as somebody said.
    record_bytes_max: usize,
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
    ///
    /// A spool that holds something opens on a full disk too: it hands out and takes confirmations, and
    /// refuses appends until there is room.
    pub fn open(storage: S, opening: Opening) -> Result<(Self, Recovery), OpenError> {
        let mut storage = Disk::new(storage);
        Segments::check(&mut storage, &opening.limits)?;
        storage.sync_names()?;
        let cursor = Cursor::read(&mut storage, CURSOR)?;
        let (remembered, confirmed) = (cursor.remembered(), cursor.position());
        let mut past = Past::default();
        let (log, recovery) = Segments::recover(
            storage,
            opening.limits,
            opening.salt,
            remembered,
            |at, frame| past.frame(at, frame, confirmed),
        )?;
        let records = past.records;
        let (state, previous) = past.next(&opening)?;
        let numbers = state.streams.iter().zip(0..);
        let mut spool = Self {
            stream_numbers: numbers
                .map(|(s, number)| (s.name.clone(), StreamNo(number)))
                .collect(),
            durable_serials: state.sources.iter().map(|s| s.serial).collect(),
            named: (state.streams.len(), state.sources.len()),
            header_len: state.encode().len(),
            // From the oldest segment, so that the header in force at the cursor is known.
            reader: BatchReader::new(state.epoch, log.start()),
            state,
            cursor,
            previous,
            unheaded: true,
            uncommitted: 0,
            record_bytes_max: usize::MAX,
            stats: Stats {
                recovery,
                recovered: records,
                depth_records: records,
                ..Stats::default()
            },
            log,
        };
        spool.begin()?;
        Ok((spool, recovery))
    }

    /// Writes what an opening has to say, as far as there is room.
    fn begin(&mut self) -> Result<(), OpenError> {
        let end = self.log.durable();
        // What comes now was never confirmed, also where the journal that a cursor stood in is gone.
        let place = self.cursor.position().min(end);
        self.log.store(&mut self.cursor, place)?;
        match self.put_opening() {
            Ok(()) => {
                self.commit()?;
                // Openings alone leave nothing behind.
                self.log.tidy()?;
            }
            Err(AppendError::Io(error))
                if error.kind == StorageErrorKind::Full && end != Position::default() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Opens a segment for this opening. Where there is no room for one, goes on in the newest.
    fn put_opening(&mut self) -> Result<(), AppendError> {
        let state = self.state.encode();
        let rolled = self.roll();
        if let Err(AppendError::Io(error)) = &rolled
            && error.kind == StorageErrorKind::Full
            && matches!(self.log.admit(state.len() + Link::LEN, u64::MAX), Ok(false))
        {
            self.log.put_header(&state)?;
        } else {
            rolled?;
        }
        self.headed();
        Ok(())
    }

    /// A header is on the way to the disk.
    fn headed(&mut self) {
        self.unheaded = false;
        self.named = (self.state.streams.len(), self.state.sources.len());
    }

    /// Makes room for a payload, in a new segment if need be.
    fn make_room(&mut self, len: usize) -> Result<(), AppendError> {
        if self.unheaded {
            self.put_opening()?;
        }
        let mut rolled = false;
        let new_segment = loop {
            match self.log.admit(len, self.log.half()) {
                // The only segment cannot be freed; a new one, with nothing in it, may serve.
                Err(AppendError::Full { .. }) if !rolled && self.may_drop() => {
                    rolled = self.drop_oldest()?;
                }
                other => break other?,
            }
        };
        if new_segment {
            self.roll()?;
        }
        Ok(())
    }

    /// Goes on in a new segment.
    fn roll(&mut self) -> Result<(), AppendError> {
        loop {
            let rolled = self.log.roll(&self.state.encode());
            match rolled {
                // On a full disk the file of the oldest segment serves again.
                Err(AppendError::Io(error))
                    if error.kind == StorageErrorKind::Full
                        && self.log.second().is_some()
                        && self.may_drop() =>
                {
                    self.drop_oldest()?;
                }
                other => {
                    other?;
                    self.headed();
                    // What was buffered before went with the seal.
                    self.committed();
                    return Ok(());
                }
            }
        }
    }

    /// Whether the oldest segment may go although nobody confirmed all of it, or where everything
    /// is confirmed and fills its segment.
    fn may_drop(&self) -> bool {
        self.log.limits.when_full == WhenFull::DropOldest || self.stats.depth_records == 0
    }

    /// Frees the oldest segment; says whether there is only a new one now.
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
        self.log.store(&mut self.cursor, boundary.max(cursor))?;
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
        self.name_fits(name.as_str())?;
        self.state.streams.push(StreamState {
            name: name.clone(),
            next_seq: 1,
        });
        self.stream_numbers.insert(name.clone(), StreamNo(number));
        Ok(StreamNo(number))
    }

    /// Counts a new name in, if a header with it fits half a segment.
    fn name_fits(&mut self, name: &str) -> Result<(), AppendError> {
        // The length before it and the number behind it.
        let len = self.header_len + name.len() + 16;
        let max = self.log.half();
        match (len + Link::LEN) as u64 > max {
            true => Err(AppendError::TooLarge { len, max }),
            false => {
                self.header_len = len;
                Ok(())
            }
        }
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
            self.name_fits(name)?;
            self.state.sources.push(SourceState {
                name: name.to_owned(),
                serial: 0,
            });
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
        if record.len() > self.record_bytes_max {
            let (len, max) = (record.len(), self.record_bytes_max as u64);
            return Err(AppendError::TooLarge { len, max });
        }
        let known = usize::from(stream.0) < self.state.streams.len();
        let number = (!known).then_some(stream.0).or_else(|| {
            let source = origin?.source.0;
            (usize::from(source) >= self.state.sources.len()).then_some(source)
        });
        if let Some(number) = number {
            return Err(AppendError::Unknown { number });
        }
        // The record's stream and source must be known to whoever reads from here.
        if let Some(names) = self.new_names() {
            self.make_room(names.len())?;
            self.put_names()?;
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
        if let Some(names) = self.new_names()
            && matches!(self.log.admit(names.len(), self.log.half()), Ok(false))
        {
            // Names without a record can wait for one, if they do not fit here.
            let _ = self.put_names();
        }
        self.log.commit()?;
        self.committed();
        Ok(Committed {
            durable: self.log.durable(),
        })
    }

    /// Everything appended is durable.
    fn committed(&mut self) {
        self.uncommitted = 0;
        self.durable_serials.clear();
        self.durable_serials
            .extend(self.state.sources.iter().map(|s| s.serial));
    }

    /// A payload with the names that are not on the way to the disk yet.
    fn new_names(&self) -> Option<Vec<u8>> {
        let (streams, sources) = self.named;
        let new =
            !self.unheaded && self.named != (self.state.streams.len(), self.state.sources.len());
        new.then(|| {
            let mut names = Vec::new();
            self.state.put_names(&mut names, streams, sources);
            names
        })
    }

    fn put_names(&mut self) -> Result<(), AppendError> {
        // A new segment begins with all of them.
        if let Some(names) = self.new_names() {
            self.log.push(FrameKind::Names, (0, 0, 0), &[&names])?;
            self.headed();
        }
        Ok(())
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
    ) -> Result<Option<SpooledBatch>, StorageError> {
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

    /// Takes a batch back that the receiver finds too large, to hand its records out in batches of at
    /// most `max_bytes` of datums (one record may have more) under the same names.
    ///
    /// They are handed out after what was read already, and each of them is confirmed on its own.
    pub fn split(&mut self, batch: &SpooledBatch, max_bytes: usize) -> Result<(), ConfirmError> {
        let (id, opening) = (batch.id, self.state.epoch);
        if !self.reader.handed_out_batch(id) {
            return Err(ConfirmError::NotHandedOut { id, opening });
        }
        self.reader.split(batch, max_bytes);
        Ok(())
    }

    /// Refuses records of more than so many bytes from now on, e.g. because the receiver takes no
    /// message that is larger: a record that can never be sent is refused while somebody is there who
    /// can act. It is a bound of this opening.
    pub const fn limit_records(&mut self, bytes_max: usize) {
        self.record_bytes_max = bytes_max;
    }

    /// Takes a confirmation: the batch is durable downstream.
    ///
    /// The cursor moves over the confirmed prefix. It survives a process that is killed; a power cut
    /// may take it back to where the last segment was freed, or to the last
    /// [`save_cursor`](Self::save_cursor). What lies after it is handed out again after the next
    /// opening, under the same names.
    ///
    /// A batch that an earlier opening handed out is refused, for its number names another batch
    /// here.
    pub fn confirm(&mut self, batch: &SpooledBatch) -> Result<(), ConfirmError> {
        let (id, opening) = (batch.id, self.state.epoch);
        if !self.reader.handed_out_batch(id) {
            return Err(ConfirmError::NotHandedOut { id, opening });
        }
        let count = u64::from(batch.count());
        match self.reader.confirm(id) {
            Open::Kept => {
                self.stats.confirmed += count;
                self.stats.depth_records = self.stats.depth_records.saturating_sub(count);
            }
            Open::Dropped => {
                self.stats.confirmed += count;
                self.stats.dropped -= count;
            }
            Open::No => {}
        }
        let confirmed = self.reader.confirmed();
        if confirmed.segment > self.log.start().segment {
            self.log.store(&mut self.cursor, confirmed)?;
            self.log.free_before(confirmed)?;
        } else if confirmed > self.cursor.position() {
            self.log.note(&mut self.cursor, confirmed)?;
        }
        Ok(())
    }

    /// Stores how far confirmation has come, so that less is sent again after a power cut.
    pub fn save_cursor(&mut self) -> Result<(), StorageError> {
        let confirmed = self.reader.confirmed().max(self.cursor.position());
        self.log.store(&mut self.cursor, confirmed)
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
