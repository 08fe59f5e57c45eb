//! A struct that is an Avro record: schema, fingerprint, encoder and decoder.

use alloc::vec::Vec;

use crate::single_object::HeaderError;
use crate::typed::{self, Decode, Encode};
use crate::wire::{Out, Reader};
use crate::{
    Cursor, Datum, DecodeError, DecodeLimits, Fingerprint, Plan, Schema, SchemaError, Timestamp,
    single_object,
};

/// A message that is no record of the one asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// No single-object header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Another schema than the plan is for: look that one up.
    #[error("the message was written with schema {found}, the plan is for {expected}")]
    OtherWriter {
        /// The schema of the message.
        found: Fingerprint,
        /// The writer's schema of the plan.
        expected: Fingerprint,
    },
    /// The datum cannot be read.
    #[error(transparent)]
    Record(#[from] DecodeError),
    /// More than one record.
    #[error("{bytes} bytes behind the record")]
    Rest {
        /// How many.
        bytes: usize,
    },
}

crate::error_codes!(MessageError {
    Header(_) => 1170,
    OtherWriter { .. } => 1171,
    Record(_) => 1172,
    Rest { .. } => 1173,
});

/// A struct that is an Avro record. Made by `#[derive(AvroRecord)]` (feature `derive`).
///
/// Texts, fingerprint and header are made at compile time, whatever the record holds.
pub trait AvroRecord: Encode + Sized {
    /// Full name of the record.
    const NAME: &'static str;
    /// The schema as JSON, with doc, aliases, defaults and `xpt.*` properties.
    const SCHEMA: &'static str = typed::schema::<Self>();
    /// The Parsing Canonical Form of the schema.
    const CANONICAL: &'static str = typed::canonical::<Self>();
    /// CRC-64-AVRO of the canonical form.
    const FINGERPRINT: Fingerprint = Fingerprint::of(Self::CANONICAL);
    /// What single-object encoding puts before the datum.
    const HEADER: [u8; single_object::HEADER_LEN] = single_object::header(Self::FINGERPRINT);

    /// The event time, if the record has one.
    fn event_time(&self) -> Option<Timestamp>;

    /// An upper bound of the datum's length in bytes.
    #[inline]
    fn datum_len_bound(&self) -> usize {
        self.bound()
    }

    /// Appends the datum.
    #[inline]
    fn put_datum(&self, out: &mut Vec<u8>) {
        self.put(&mut Out::new(out, self.bound()));
    }

    /// Appends the record in single-object encoding.
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        let mut out = Out::new(out, single_object::HEADER_LEN + self.bound());
        out.array(Self::HEADER);
        self.put(&mut out);
    }

    /// The record in single-object encoding.
    fn to_message(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// The schema, parsed.
    ///
    /// It is one, unless a name in it is over the default limits.
    fn schema() -> Result<Schema, SchemaError> {
        Schema::parse(Self::SCHEMA)
    }

    /// Reads a record in single-object encoding that `plan` resolves to this record's schema.
    ///
    /// The plan must be the one of the message's writer: [`single_object::split`] says which schema that
    /// is, and a [`PlanCache`](crate::PlanCache) keeps the plans of many.
    ///
    /// ```
    /// # #[cfg(feature = "derive")] {
    /// use telemetry_avro::{AvroRecord, Plan};
    ///
    /// #[derive(AvroRecord, Debug, PartialEq)]
    /// struct Beat {
    ///     bpm: i32,
    /// }
    ///
    /// let plan = Plan::compile(&Beat::schema()?, &Beat::schema()?)?;
    /// let message = Beat { bpm: 65 }.to_message();
    /// assert_eq!(Beat::from_message(&message, &plan)?, Beat { bpm: 65 });
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn from_message<'a>(message: &'a [u8], plan: &'a Plan) -> Result<Self, MessageError>
    where
        Self: Decode<'a>,
    {
        let (found, datum) = single_object::split(message)?;
        if found != plan.writer() {
            let expected = plan.writer();
            return Err(MessageError::OtherWriter { found, expected });
        }
        let mut input = Reader::new(datum);
        let record = Self::decode(plan, &mut input)?;
        match input.rest().len() {
            0 => Ok(record),
            bytes => Err(MessageError::Rest { bytes }),
        }
    }

    /// Reads a datum that was written as this record.
    #[inline]
    fn read_datum<'a>(input: &mut Reader<'a>) -> Result<Self, DecodeError>
    where
        Self: Decode<'a>,
    {
        let mut datum = Datum::new(input.clone(), DecodeLimits::default());
        let record = Decode::read(&mut datum);
        *input = datum.input;
        record
    }

    /// Reads a datum that `plan` resolves to this record's schema.
    #[inline]
    fn decode<'a>(plan: &'a Plan, input: &mut Reader<'a>) -> Result<Self, DecodeError>
    where
        Self: Decode<'a>,
    {
        Self::decode_with(plan, input, DecodeLimits::default())
    }

    /// Reads a datum within `limits`.
    #[inline]
    fn decode_with<'a>(
        plan: &'a Plan,
        input: &mut Reader<'a>,
        limits: DecodeLimits,
    ) -> Result<Self, DecodeError>
    where
        Self: Decode<'a>,
    {
        if plan.reader() != Self::FINGERPRINT {
            return Err(DecodeError::OtherReader {
                expected: Self::NAME,
            });
        }
        Cursor::run(plan, input, limits, |cursor| cursor.take(plan.root()))
    }
}
