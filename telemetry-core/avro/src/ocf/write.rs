//! Writing container files.

use std::io::Write;

use super::{CODEC_KEY, Codec, MAGIC, MARKER_LEN, OcfError, OcfLimits, SCHEMA_KEY};
use crate::wire::{put_bytes, put_long};
use crate::{AvroRecord, Schema, SchemaRules, Value};

/// Writes a container file.
///
/// Datums are gathered into blocks. [`flush`](Self::flush) ends a block early;
/// [`finish`](Self::finish) must be called at the end, since dropping a writer loses the last block.
#[derive(Debug)]
#[must_use = "the last block is written by `finish`"]
pub struct OcfWriter<W> {
    output: W,
    codec: Codec,
    marker: [u8; MARKER_LEN],
    limits: OcfLimits,
    schema: Schema,
    block: Vec<u8>,
    count: usize,
    /// Bytes written so far.
    offset: u64,
}

impl<W: Write> OcfWriter<W> {
    /// Writes the header, with a marker of random bytes.
    pub fn create(output: W, schema: &Schema, codec: Codec) -> Result<Self, OcfError> {
        Self::new(output, schema, codec, super::marker())
    }

    /// Writes the header. `marker` ends every block: random bytes, so that no datum holds them.
    pub fn new(
        output: W,
        schema: &Schema,
        codec: Codec,
        marker: [u8; MARKER_LEN],
    ) -> Result<Self, OcfError> {
        Self::with_metadata(output, schema, codec, marker, [])
    }

    /// Writes the header with pairs of the caller's. Keys that begin with `avro.` belong to Avro.
    pub fn with_metadata<'m>(
        output: W,
        schema: &Schema,
        codec: Codec,
        marker: [u8; MARKER_LEN],
        metadata: impl IntoIterator<Item = (&'m str, &'m [u8])>,
    ) -> Result<Self, OcfError> {
        Self::with_limits(
            output,
            schema,
            codec,
            marker,
            metadata,
            OcfLimits::default(),
        )
    }

    /// The same within `limits`: what is written is what a reader with these limits reads.
    pub fn with_limits<'m>(
        mut output: W,
        schema: &Schema,
        codec: Codec,
        marker: [u8; MARKER_LEN],
        metadata: impl IntoIterator<Item = (&'m str, &'m [u8])>,
        limits: OcfLimits,
    ) -> Result<Self, OcfError> {
        let mut pairs = vec![
            (SCHEMA_KEY, schema.json().as_bytes()),
            (CODEC_KEY, codec.as_str().as_bytes()),
        ];
        for (key, value) in metadata {
            if key.starts_with("avro.") {
                return Err(OcfError::Format {
                    offset: 0,
                    reason: format!("the key `{key}` belongs to Avro: take another"),
                });
            }
            pairs.push((key, value));
        }
        let mut header = MAGIC.to_vec();
        put_long(&mut header, pairs.len() as i64);
        for (key, value) in pairs {
            put_bytes(&mut header, key.as_bytes());
            put_bytes(&mut header, value);
        }
        header.push(0);
        if header.len() - MAGIC.len() > limits.header_bytes_max {
            return Err(OcfError::Limit {
                offset: 0,
                what: "bytes of the header",
                max: limits.header_bytes_max,
            });
        }
        // What the limits let through is read again; a schema that was parsed within wider ones is not.
        Schema::parse_as(schema.json(), SchemaRules::AsWritten, limits.schema)?;
        header.extend_from_slice(&marker);
        output.write_all(&header)?;
        Ok(Self {
            output,
            codec,
            marker,
            limits,
            schema: schema.clone(),
            block: Vec::new(),
            count: 0,
            offset: header.len() as u64,
        })
    }

    /// Adds a record, whose schema must be the file's.
    pub fn push_record<R: AvroRecord>(&mut self, record: &R) -> Result<(), OcfError> {
        if R::FINGERPRINT != self.schema.fingerprint() {
            return Err(OcfError::OtherRecord {
                file: self.schema.fingerprint(),
                record: R::FINGERPRINT,
            });
        }
        self.push_with(|block| record.put_datum(block))
    }

    /// Adds a value, which must be one of the file's schema.
    pub fn push_value(&mut self, value: &Value) -> Result<(), OcfError> {
        value.check(&self.schema)?;
        self.push_with(|block| value.put(block))
    }

    /// Adds a value of any type of `serde`, by the names of the file's schema.
    #[cfg(feature = "serde")]
    pub fn serialize<T>(&mut self, value: &T) -> Result<(), OcfError>
    where
        T: serde_core::Serialize + ?Sized,
    {
        let value = crate::serde::to_value(value, &self.schema)?;
        self.push_with(|block| value.put(block))
    }

    /// Adds a datum of the schema, which is not looked at.
    pub fn push(&mut self, datum: &[u8]) -> Result<(), OcfError> {
        self.push_with(|block| block.extend_from_slice(datum))
    }

    /// Adds the datum that `put` appends: with [`AvroRecord::put_datum`](crate::AvroRecord) or
    /// [`Value::put`](crate::Value::put) it is not copied.
    pub fn push_with(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), OcfError> {
        let before = self.block.len();
        put(&mut self.block);
        let max = self.limits.block_bytes_max;
        if self.block.len() > max {
            // No reader within the same limits takes a longer block; this datum goes into one of its own.
            let datum = self.block.split_off(before);
            self.flush()?;
            if datum.len() > max {
                return Err(OcfError::Limit {
                    offset: self.offset,
                    what: "bytes of a datum",
                    max,
                });
            }
            self.block = datum;
        }
        self.count += 1;
        if self.block.len() >= self.limits.block_bytes || self.count >= self.limits.zero_width_max {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is gathered as a block, and flushes the output.
    pub fn flush(&mut self) -> Result<(), OcfError> {
        if self.count > 0 {
            let packed = self.codec.pack(&self.block)?;
            // Packed bytes that do not pack well are longer than plain ones.
            let max = self.limits.block_bytes_max;
            if packed.len() > max {
                let (offset, what) = (self.offset, "bytes of a packed block");
                return Err(OcfError::Limit { offset, what, max });
            }
            let mut head = Vec::new();
            put_long(&mut head, self.count as i64);
            put_long(&mut head, packed.len() as i64);
            self.output.write_all(&head)?;
            self.output.write_all(&packed)?;
            self.output.write_all(&self.marker)?;
            self.offset += (head.len() + packed.len() + MARKER_LEN) as u64;
            self.block.clear();
            self.count = 0;
        }
        Ok(self.output.flush()?)
    }

    /// Writes the last block and gives the output back.
    pub fn finish(mut self) -> Result<W, OcfError> {
        self.flush()?;
        Ok(self.output)
    }
}
