//! Writing container files.

use std::io::Write;

use super::{CODEC_KEY, Codec, MAGIC, MARKER_LEN, OcfError, OcfLimits, SCHEMA_KEY};
use crate::Schema;
use crate::wire::{put_bytes, put_long};

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
    block: Vec<u8>,
    count: usize,
}

impl<W: Write> OcfWriter<W> {
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
        mut output: W,
        schema: &Schema,
        codec: Codec,
        marker: [u8; MARKER_LEN],
        metadata: impl IntoIterator<Item = (&'m str, &'m [u8])>,
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
        header.extend_from_slice(&marker);
        output.write_all(&header)?;
        Ok(Self {
            output,
            codec,
            marker,
            limits: OcfLimits::default(),
            block: Vec::new(),
            count: 0,
        })
    }

    /// Other sizes of blocks than the default ones.
    pub const fn limits(mut self, limits: OcfLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a datum of the schema.
    pub fn push(&mut self, datum: &[u8]) -> Result<(), OcfError> {
        self.push_with(|block| block.extend_from_slice(datum))
    }

    /// Adds the datum that `put` appends: with [`AvroRecord::put_datum`](crate::AvroRecord) or
    /// [`Value::put`](crate::Value::put) it is not copied.
    pub fn push_with(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), OcfError> {
        put(&mut self.block);
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
            let mut head = Vec::new();
            put_long(&mut head, self.count as i64);
            put_long(&mut head, packed.len() as i64);
            self.output.write_all(&head)?;
            self.output.write_all(&packed)?;
            self.output.write_all(&self.marker)?;
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
