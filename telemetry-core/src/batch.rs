//! Batches: consecutive records of one stream and schema, as one Avro array.
//!
//! Single-object encoding of the schema `{"type":"array","items":S}`: exactly one array block with
//! a positive count, then the empty block. Built by copying datums, never by re-encoding, so any
//! Avro library that knows `S` reads it.

use alloc::borrow::ToOwned as _;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::single_object::{HEADER_LEN, HeaderError};
use crate::wire::{self, Reader, VARINT_LEN_MAX, WireError};
use crate::{
    AvroRecord, CONTENT_TYPE_AVRO, ClockMark, Decode, DecodeError, Envelope, FieldSink,
    Fingerprint, Plan, RecordId, Timestamp, Value, single_object,
};

/// A batch on its way: what is known about it, and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Who, when, which records.
    pub envelope: Envelope,
    /// The array of datums, or an opaque payload where the envelope names no schema.
    pub body: Bytes,
}

impl Batch {
    /// A batch of records, of which `first` names the first; `None` without a record.
    ///
    /// What only the device knows is left at its default in the [`Envelope`], for the caller to fill in:
    /// `published`, `clock` and `traceparent`.
    ///
    /// ```
    /// # #[cfg(feature = "derive")] {
    /// use telemetry_core::records::ActivitySample;
    /// use telemetry_core::{Batch, DeviceId, Epoch, RecordId, Seq, stream_of};
    ///
    /// let first = RecordId {
    ///     device: DeviceId::from_u128(1),
    ///     epoch: Epoch::new(7)?,
    ///     stream: stream_of::<ActivitySample>(),
    ///     seq: Seq::FIRST,
    /// };
    /// let batch = Batch::of(&[ActivitySample::default()], first).ok_or("no record")?;
    /// assert_eq!(batch.envelope.count, 1);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of<R: AvroRecord>(records: &[R], first: RecordId) -> Option<Self> {
        let mut builder = BatchBuilder::new(Fingerprint::of_array(R::CANONICAL));
        for record in records {
            builder.push_record(record);
        }
        let count = builder.count();
        Some(Self {
            body: builder.finish()?,
            envelope: Envelope {
                device: first.device,
                epoch: first.epoch,
                subject: first.stream,
                first_seq: first.seq,
                count,
                published: Timestamp::default(),
                clock: ClockMark::default(),
                schema: Some(R::FINGERPRINT),
                content_type: CONTENT_TYPE_AVRO.to_owned(),
                traceparent: None,
            },
        })
    }
}

/// Room for header and count before the first datum, so that a batch is built in place.
const HEADROOM: usize = HEADER_LEN + VARINT_LEN_MAX;

/// Builds the body of a batch in place.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: [u8; HEADER_LEN],
    buffer: Vec<u8>,
    count: u32,
}

impl BatchBuilder {
    /// A batch of records whose *array* schema has this fingerprint
    /// ([`Fingerprint::of_array`] of the records' canonical form).
    pub fn new(array: Fingerprint) -> Self {
        let mut buffer = Vec::with_capacity(4096);
        buffer.resize(HEADROOM, 0);
        Self {
            header: single_object::header(array),
            buffer,
            count: 0,
        }
    }

    /// Names another array schema, e.g. once it is known.
    pub fn set_array(&mut self, array: Fingerprint) {
        self.header = single_object::header(array);
    }

    /// All datums so far, one after another.
    pub fn datums(&self) -> &[u8] {
        &self.buffer[HEADROOM..]
    }

    /// Copies a datum (a record without its single-object header).
    pub fn push(&mut self, datum: &[u8]) {
        self.buffer.extend_from_slice(datum);
        self.count += 1;
    }

    /// Adds a record.
    pub fn push_record<R: AvroRecord>(&mut self, record: &R) {
        record.put_datum(&mut self.buffer);
        self.count += 1;
    }

    /// Records so far.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Bytes the body has if it ends here.
    pub fn len(&self) -> usize {
        self.buffer.len() - HEADROOM + HEADER_LEN + varint_len(self.count) + 1
    }

    /// Whether nothing was pushed.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The body; `None` if there is no record, since a block of no items ends an array.
    pub fn finish(mut self) -> Option<Bytes> {
        if self.count == 0 {
            return None;
        }
        self.buffer.push(0);
        // It may wait long for a receiver.
        self.buffer.shrink_to_fit();
        let mut count = Vec::with_capacity(VARINT_LEN_MAX);
        wire::put_long(&mut count, i64::from(self.count));
        let start = HEADROOM - count.len() - HEADER_LEN;
        self.buffer[start..start + HEADER_LEN].copy_from_slice(&self.header);
        self.buffer[start + HEADER_LEN..HEADROOM].copy_from_slice(&count);
        Some(Bytes::from(self.buffer).slice(start..))
    }
}

fn varint_len(count: u32) -> usize {
    let zigzag = u64::from(count) << 1;
    (64 - zigzag.leading_zeros() as usize).div_ceil(7).max(1)
}

/// Reads the records of a batch one after another.
///
/// A datum carries no length, so records are read in order through a [`Plan`] of the *item*
/// schema; [`BatchReader::finish`] then checks that the array ends where it should.
#[derive(Debug)]
pub struct BatchReader<'a> {
    input: Reader<'a>,
    left: u32,
}

impl<'a> BatchReader<'a> {
    /// Opens a body whose *array* schema should have the fingerprint `array`.
    pub fn new(body: &'a [u8], array: Fingerprint) -> Result<Self, BatchError> {
        let (found, datum) = single_object::split(body)?;
        if found != array {
            return Err(BatchError::Schema {
                found,
                expected: array,
            });
        }
        let mut input = Reader::new(datum);
        let count = input.long()?;
        match u32::try_from(count) {
            Ok(left) if left > 0 => Ok(Self { input, left }),
            _ => Err(BatchError::Count { count }),
        }
    }

    /// Records not read yet.
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// Decodes the next record into `sink`; `false` if there is none.
    pub fn next(
        &mut self,
        plan: &'a Plan,
        sink: &mut impl FieldSink<'a>,
    ) -> Result<bool, BatchError> {
        if self.left == 0 {
            return Ok(false);
        }
        plan.decode(&mut self.input, sink)?;
        self.left -= 1;
        Ok(true)
    }

    /// The next record as a value of the reader's schema, whatever it holds; `None` if there is none.
    pub fn value(&mut self, plan: &Plan) -> Result<Option<Value>, BatchError> {
        if self.left == 0 {
            return Ok(None);
        }
        let value = plan.value(&mut self.input)?;
        self.left -= 1;
        Ok(Some(value))
    }

    /// The next record as a struct; `None` if there is none. The plan's reader is `R`'s schema.
    pub fn record<R>(&mut self, plan: &'a Plan) -> Result<Option<R>, BatchError>
    where
        R: AvroRecord + Decode<'a>,
    {
        if self.left == 0 {
            return Ok(None);
        }
        let record = R::decode(plan, &mut self.input)?;
        self.left -= 1;
        Ok(Some(record))
    }

    /// Reads the next record by hand; `None` if there is none.
    ///
    /// `read` leaves its input behind the record's last byte.
    pub fn datum<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, BatchError> {
        if self.left == 0 {
            return Ok(None);
        }
        let record = read(&mut self.input)?;
        self.left -= 1;
        Ok(Some(record))
    }

    /// Checks that every record was read and the array ends here.
    pub fn finish(mut self) -> Result<(), BatchError> {
        if self.left > 0 || self.input.long()? != 0 || !self.input.is_empty() {
            return Err(BatchError::End {
                offset: HEADER_LEN + self.input.offset(),
            });
        }
        Ok(())
    }
}

/// A body that is no batch. Offsets count from the first datum byte unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// No single-object header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Another schema than the envelope says.
    #[error("the body has schema {found}, its envelope says {expected}")]
    Schema {
        /// Array fingerprint in the body.
        found: Fingerprint,
        /// Array fingerprint that the envelope's schema leads to.
        expected: Fingerprint,
    },
    /// The block count is not positive.
    #[error("a batch holds one block with a positive count, this one says {count}")]
    Count {
        /// The count read.
        count: i64,
    },
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] DecodeError),
    /// The count or the end cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Something else than the end of the array.
    #[error("the array does not end at byte {offset} of the body")]
    End {
        /// Offset in the body.
        offset: usize,
    },
}

crate::error_codes!(BatchError {
    Header(_) => 1060,
    Schema { .. } => 1061,
    Count { .. } => 1062,
    Record(_) => 1063,
    Wire(_) => 1064,
    End { .. } => 1065,
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scalar, Schema};
    use alloc::vec;
    use proptest::prelude::*;

    struct Longs(Vec<i64>);

    impl<'a> FieldSink<'a> for Longs {
        fn set(&mut self, _: usize, value: Scalar<'a>) {
            if let Scalar::Long(v) = value {
                self.0.push(v);
            }
        }
    }

    fn schema() -> Schema {
        Schema::parse(r#"{"type":"record","name":"N","fields":[{"name":"n","type":"long"}]}"#)
            .unwrap()
    }

    fn build(values: &[i64]) -> Bytes {
        let mut builder = BatchBuilder::new(schema().array_fingerprint());
        for &v in values {
            let mut datum = vec![];
            wire::put_long(&mut datum, v);
            builder.push(&datum);
        }
        let len = builder.len();
        let body = builder.finish().unwrap();
        assert_eq!(body.len(), len);
        body
    }

    #[test]
    fn an_empty_batch_is_none() {
        assert!(BatchBuilder::new(Fingerprint(0)).finish().is_none());
    }

    #[test]
    fn refuses_other_schemas_and_loose_ends() {
        let plan = Plan::compile(&schema(), &schema()).unwrap();
        let body = build(&[1]);
        assert!(matches!(
            BatchReader::new(&body, Fingerprint(1)),
            Err(BatchError::Schema { .. })
        ));
        let reader = BatchReader::new(&body, schema().array_fingerprint()).unwrap();
        assert!(matches!(reader.finish(), Err(BatchError::End { .. })));
        let mut longer = body.to_vec();
        longer.push(0);
        let mut reader = BatchReader::new(&longer, schema().array_fingerprint()).unwrap();
        assert_eq!(reader.next(&plan, &mut Longs(vec![])), Ok(true));
        assert!(matches!(reader.finish(), Err(BatchError::End { .. })));
    }

    proptest! {
        #[test]
        fn round_trips(values in proptest::collection::vec(any::<i64>(), 1..300)) {
            let plan = Plan::compile(&schema(), &schema()).unwrap();
            let body = build(&values);
            let mut reader = BatchReader::new(&body, schema().array_fingerprint()).unwrap();
            let mut out = Longs(vec![]);
            while reader.next(&plan, &mut out).unwrap() {}
            prop_assert_eq!(reader.finish(), Ok(()));
            prop_assert_eq!(out.0, values);
        }
    }
}
