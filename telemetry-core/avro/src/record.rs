//! A struct that is an Avro record: schema, fingerprint, encoder and decoder.

use alloc::vec::Vec;

use crate::typed::{self, Decode, Encode};
use crate::wire::{Out, Reader};
use crate::{
    Cursor, Datum, DecodeError, DecodeLimits, Fingerprint, Plan, Timestamp, single_object,
};

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
