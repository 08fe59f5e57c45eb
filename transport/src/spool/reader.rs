//! Groups the durable log into batches, and tracks what is confirmed.

use alloc::borrow::ToOwned as _;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use bytes::Bytes;
use telemetry_core::single_object;
use telemetry_core::wire::Reader as WireReader;
use telemetry_core::{
    Batch, BatchBuilder, CONTENT_TYPE_AVRO, ClockMark, DeviceId, Envelope, Epoch, Fingerprint, Seq,
    StreamName, Timestamp,
};

use super::header::{Header, take_clock};
use super::payload_of;
use crate::BatchId;
use crate::journal::FrameKind;
use crate::segments::{Position, Segments, Window};
use crate::storage::{Storage, StorageError};

/// Consecutive durable records of one stream, schema and clock mark.
#[derive(Clone, Debug)]
pub struct SpooledBatch {
    /// Device that made the records.
    pub device: DeviceId,
    /// Opening under which they were appended: not always the one that hands them out.
    pub epoch: Epoch,
    /// Their stream.
    pub stream: StreamName,
    /// Number of the first record.
    pub first_seq: Seq,
    /// Schema of one record.
    pub schema: Fingerprint,
    /// The clock mark under which they were appended.
    pub clock: ClockMark,
    /// Names the batch to [`Spool::confirm`](crate::Spool::confirm), and to a sender.
    pub id: BatchId,
    body: Body,
    /// Where each datum ends.
    ends: Vec<usize>,
    from: Position,
}

/// What travels, written once: the records' schema is known when they are read, that of their array
/// when they are sent.
#[derive(Clone, Debug)]
enum Body {
    /// The datums, with room for what goes before and after them.
    Open(BatchBuilder),
    /// All of it, shared with everybody who sends it.
    Made { array: Fingerprint, body: Bytes },
}

impl SpooledBatch {
    /// Records in the batch.
    pub fn count(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of all datums.
    pub fn bytes(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The records in order, without their single-object headers.
    pub fn datums(&self) -> impl Iterator<Item = &[u8]> {
        let datums = match &self.body {
            Body::Open(builder) => builder.datums(),
            // Behind them is the end of the array, one byte.
            Body::Made { body, .. } => &body[body.len() - 1 - self.bytes()..body.len() - 1],
        };
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, &to)| &datums[from..to])
    }

    /// The batch as it travels; `array` is the fingerprint of the schema's array
    /// ([`Fingerprint::of_array`]).
    ///
    /// The datums are not copied: from now on this and what is returned share the body.
    ///
    /// `None` for a batch without records, which the spool never makes.
    pub fn to_batch(&mut self, array: Fingerprint, published: Timestamp) -> Option<Batch> {
        let is_made = matches!(&self.body, Body::Made { array: made, .. } if *made == array);
        if !is_made {
            let none = Body::Made {
                array,
                body: Bytes::new(),
            };
            let builder = match core::mem::replace(&mut self.body, none) {
                Body::Open(mut builder) => {
                    builder.set_array(array);
                    builder
                }
                // Somebody named another schema before.
                made @ Body::Made { .. } => {
                    self.body = made;
                    let mut builder = BatchBuilder::new(array);
                    self.datums().for_each(|datum| builder.push(datum));
                    builder
                }
            };
            let body = builder.finish()?;
            self.body = Body::Made { array, body };
        }
        let Body::Made { body, .. } = &self.body else {
            return None;
        };
        Some(Batch {
            body: body.clone(),
            envelope: Envelope {
                device: self.device,
                epoch: self.epoch,
                subject: self.stream.clone(),
                first_seq: self.first_seq,
                count: self.count(),
                published,
                clock: self.clock,
                schema: Some(self.schema),
                content_type: CONTENT_TYPE_AVRO.to_owned(),
                traceparent: None,
            },
        })
    }

    fn fits(&self, datum: &[u8], max_bytes: usize, max_records: u32) -> bool {
        self.bytes() + datum.len() <= max_bytes && self.count() < max_records
    }

    fn push(&mut self, datum: &[u8]) {
        if let Body::Open(builder) = &mut self.body {
            builder.push(datum);
            self.ends.push(self.bytes() + datum.len());
        }
    }
}

/// A batch that waits for its confirmation.
#[derive(Clone, Copy, Debug)]
struct Made {
    /// Where it begins.
    from: Position,
    /// Its records.
    count: u32,
    /// They were dropped to make room.
    dropped: bool,
}

/// Whether a batch waited for its confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    Kept,
    /// Its records were counted as dropped.
    Dropped,
    No,
}

/// Reads ahead of the cursor, a window at a time.
#[derive(Debug)]
pub(super) struct BatchReader {
    /// Epoch of the opening that reads, and so hands out.
    opening: Epoch,
    next: Position,
    /// Header in force at `next`; `None` where the one that opens the segment is damaged.
    header: Option<Header>,
    /// Segment that the header is from.
    segment: u32,
    /// Records whose name or content nobody can tell.
    pub(super) unreadable: u64,
    ready: VecDeque<SpooledBatch>,
    /// Every batch that is made and not confirmed, by its number.
    open: BTreeMap<u64, Made>,
    last_number: u64,
    window: Window,
}

impl BatchReader {
    pub(super) fn new(opening: Epoch, start: Position) -> Self {
        Self {
            opening,
            next: start,
            header: None,
            segment: 0,
            unreadable: 0,
            ready: VecDeque::new(),
            open: BTreeMap::new(),
            last_number: 0,
            window: Window::default(),
        }
    }

    /// The next batch; records before `cursor` were confirmed in an earlier run.
    pub(super) fn next_batch<S: Storage>(
        &mut self,
        log: &mut Segments<S>,
        cursor: Position,
        max_bytes: usize,
        max_records: u32,
    ) -> Result<Option<SpooledBatch>, StorageError> {
        while self.ready.is_empty() {
            let mut groups: BTreeMap<u16, SpooledBatch> = BTreeMap::new();
            let Self {
                opening,
                header,
                segment,
                unreadable,
                ready,
                open,
                last_number,
                ..
            } = self;
            let mut close = |batch: SpooledBatch| ready.push_back(batch);
            let from = self.next;
            self.next = log.read(from, &mut self.window, |at, _, frame| {
                if at.segment != *segment {
                    // An older header may name another epoch.
                    *header = None;
                    *segment = at.segment;
                }
                match frame.head.kind {
                    FrameKind::Header => {
                        *header = Header::of(frame);
                        core::mem::take(&mut groups)
                            .into_values()
                            .for_each(&mut close);
                    }
                    FrameKind::Names => {
                        if let Some(header) = header {
                            // Records of names that no release wrote are unreadable.
                            let _ = header.add_names(frame);
                        }
                    }
                    FrameKind::Mark => {
                        core::mem::take(&mut groups)
                            .into_values()
                            .for_each(&mut close);
                        let clock = take_clock(&mut WireReader::new(frame.payload));
                        if let (Some(header), Ok(clock)) = (header.as_mut(), clock) {
                            header.clock = clock;
                        }
                    }
                    FrameKind::Record if at >= cursor => {
                        let stream = frame.head.stream;
                        let record =
                            payload_of(frame).and_then(|p| single_object::split(p.record).ok());
                        let named = header.as_ref().and_then(|header| {
                            let state = header.streams.get(usize::from(stream))?;
                            Some((header, state, Seq::new(frame.head.seq).ok()?))
                        });
                        let Some(((header, state, first_seq), (schema, datum))) = named.zip(record)
                        else {
                            *unreadable += 1;
                            return ControlFlow::Continue(());
                        };
                        let fits = |b: &SpooledBatch| {
                            b.schema == schema
                                && b.first_seq.get() + b.ends.len() as u64 == frame.head.seq
                                && b.fits(datum, max_bytes, max_records)
                        };
                        if groups.get(&stream).is_some_and(|b| !fits(b)) {
                            groups.remove(&stream).into_iter().for_each(&mut close);
                        }
                        if let Some(batch) = groups.get_mut(&stream) {
                            batch.push(datum);
                        } else {
                            *last_number += 1;
                            let made = Made {
                                from: at,
                                count: 0,
                                dropped: false,
                            };
                            open.insert(*last_number, made);
                            let mut batch = SpooledBatch {
                                device: header.device,
                                epoch: header.epoch,
                                stream: state.name.clone(),
                                first_seq,
                                schema,
                                clock: header.clock,
                                id: BatchId::new(*opening, *last_number),
                                body: Body::Open(BatchBuilder::new(Fingerprint(0))),
                                ends: Vec::new(),
                                from: at,
                            };
                            batch.push(datum);
                            groups.insert(stream, batch);
                        }
                    }
                    _ => {}
                }
                ControlFlow::Continue(())
            })?;
            groups.into_values().for_each(&mut close);
            ready.make_contiguous().sort_by_key(|batch| batch.from);
            for batch in ready.iter() {
                if let Some(made) = open.get_mut(&batch.id.number) {
                    made.count = batch.count();
                }
            }
            if self.next == from {
                break;
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Whether this opening handed the batch out, confirmed or not.
    pub(super) fn handed_out_batch(&self, id: BatchId) -> bool {
        id.opening == self.opening && (1..=self.last_number).contains(&id.number)
    }

    /// Takes the confirmation of a batch that was handed out.
    pub(super) fn confirm(&mut self, id: BatchId) -> Open {
        assert!(
            self.handed_out_batch(id),
            "batch {id} is of another opening"
        );
        match self.open.remove(&id.number) {
            None => Open::No,
            Some(Made { dropped: true, .. }) => Open::Dropped,
            Some(_) => Open::Kept,
        }
    }

    /// Takes a batch back that was handed out, and hands its records out in smaller ones: a record that
    /// is larger stays alone. Nothing happens to one that is confirmed or dropped.
    pub(super) fn split(&mut self, batch: &SpooledBatch, max_bytes: usize) {
        let number = batch.id.number;
        if self.open.get(&number).is_none_or(|made| made.dropped) {
            return;
        }
        self.open.remove(&number);
        let mut seq = batch.first_seq;
        let mut pieces: Vec<SpooledBatch> = Vec::new();
        for datum in batch.datums() {
            if pieces
                .last()
                .is_none_or(|piece| !piece.fits(datum, max_bytes, u32::MAX))
            {
                // Names grow in the order in which batches are handed out, so these come last.
                self.last_number += 1;
                pieces.push(SpooledBatch {
                    first_seq: seq,
                    id: BatchId::new(self.opening, self.last_number),
                    stream: batch.stream.clone(),
                    body: Body::Open(BatchBuilder::new(Fingerprint(0))),
                    ends: Vec::new(),
                    ..*batch
                });
            }
            if let Some(piece) = pieces.last_mut() {
                piece.push(datum);
            }
            // Numbers of a batch follow each other, and the last one is in range.
            seq = Seq::new(seq.get() + 1).unwrap_or(seq);
        }
        for piece in pieces {
            let made = Made {
                from: batch.from,
                count: piece.count(),
                dropped: false,
            };
            self.open.insert(piece.id.number, made);
            self.ready.push_back(piece);
        }
    }

    /// Goes past what lies before `boundary`, and returns how many records nobody confirmed.
    pub(super) fn drop_before<S: Storage>(
        &mut self,
        log: &mut Segments<S>,
        cursor: Position,
        boundary: Position,
    ) -> Result<u64, StorageError> {
        let (mut dropped, mut at) = (0, self.next);
        while at < boundary {
            let from = at;
            at = log.read(from, &mut self.window, |at, _, frame| {
                if at >= boundary {
                    return ControlFlow::Break(());
                }
                let is_record = frame.head.kind == FrameKind::Record;
                dropped += u64::from(is_record && at >= cursor);
                ControlFlow::Continue(())
            })?;
            if at == from {
                break;
            }
        }
        let open = &mut self.open;
        self.ready.retain(|batch| {
            let keep = batch.from >= boundary;
            if !keep {
                dropped += u64::from(batch.count());
                open.remove(&batch.id.number);
            }
            keep
        });
        // What is left was handed out, and may still be confirmed.
        for made in open.values_mut().filter(|made| !made.dropped) {
            if made.from < boundary {
                made.dropped = true;
                dropped += u64::from(made.count);
            }
        }
        self.next = self.next.max(boundary);
        Ok(dropped)
    }

    /// End of what was handed out.
    pub(super) fn handed_out(&self) -> Position {
        // Pieces of a batch that was split are at the end.
        let first = self.ready.iter().map(|batch| batch.from).min();
        first.unwrap_or(self.next)
    }

    /// End of the confirmed prefix.
    pub(super) fn confirmed(&self) -> Position {
        let kept = self.open.values().filter(|made| !made.dropped);
        kept.map(|made| made.from).min().unwrap_or(self.next)
    }

    /// Whether no batch waits for its confirmation.
    pub(super) fn all_confirmed(&self) -> bool {
        self.open.values().all(|made| made.dropped)
    }
}
