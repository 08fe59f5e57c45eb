//! Reading container files.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read};
use std::marker::PhantomData;

use super::{CODEC_KEY, Codec, MAGIC, MARKER_LEN, OcfError, OcfLimits, SCHEMA_KEY};
use crate::wire::{Reader, VARINT_LEN_MAX};
use crate::{AvroRecord, Decode, DecodeError, Plan, Schema, SchemaRules};

/// What the first byte of another container file says as a number of datums.
const JOINED: i64 = -40;

/// Reads a container file block by block.
#[derive(Debug)]
pub struct OcfReader<R> {
    input: Counted<BufReader<R>>,
    limits: OcfLimits,
    schema: Schema,
    codec: Codec,
    metadata: BTreeMap<String, Vec<u8>>,
    marker: [u8; MARKER_LEN],
    packed: Vec<u8>,
    plain: Vec<u8>,
}

impl<R: Read> OcfReader<R> {
    /// Reads the header, within the default limits.
    pub fn new(input: R) -> Result<Self, OcfError> {
        Self::with_limits(input, OcfLimits::default())
    }

    /// Reads the header, within `limits`.
    pub fn with_limits(input: R, limits: OcfLimits) -> Result<Self, OcfError> {
        let mut input = Counted {
            inner: BufReader::new(input),
            offset: 0,
        };
        let magic = input.array("its first bytes")?;
        if magic != *MAGIC {
            return Err(OcfError::Magic { found: magic });
        }
        let mut metadata = metadata(&mut input, limits.header_bytes_max)?;
        let marker = input.array("its header")?;
        let missing = |reason: &str| OcfError::Format {
            offset: 0,
            reason: reason.to_owned(),
        };
        let json = metadata
            .remove(SCHEMA_KEY)
            .ok_or_else(|| missing("the header has no schema"))?;
        // Bytes that are no text stand in names and comments, as the reference implementation has it.
        let json = String::from_utf8_lossy(&json);
        let schema = Schema::parse_as(&json, SchemaRules::AsWritten, limits.schema)?;
        let codec = match metadata.remove(CODEC_KEY) {
            None => Codec::Null,
            Some(name) => {
                let name = String::from_utf8_lossy(&name).into_owned();
                Codec::from_name(&name).ok_or(OcfError::Codec { name })?
            }
        };
        Ok(Self {
            input,
            limits,
            schema,
            codec,
            metadata,
            marker,
            packed: Vec::new(),
            plain: Vec::new(),
        })
    }

    /// The schema of the datums.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How blocks are packed.
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// What else its writer put into the header, by key.
    pub const fn metadata(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.metadata
    }

    /// The next block; `None` at the end of the file.
    ///
    /// A file that was cut ends in [`OcfError::End`]: all blocks before it are good.
    pub fn block(&mut self) -> Result<Option<Block<'_>>, OcfError> {
        let offset = self.input.offset;
        let Some(count) = self.input.long_or_end()? else {
            return Ok(None);
        };
        if count == JOINED && self.input.joined()? {
            return Err(OcfError::Format {
                offset,
                reason: "another container file is joined on here: read each one by itself"
                    .to_owned(),
            });
        }
        let len = self.input.long("a block")?;
        let max = self.limits.block_bytes_max;
        let over = |what, max| OcfError::Limit { offset, what, max };
        let wrong = |reason: String| OcfError::Format { offset, reason };
        let count =
            usize::try_from(count).map_err(|_| wrong(format!("a block of {count} datums")))?;
        let len = usize::try_from(len).map_err(|_| wrong(format!("a block of {len} bytes")))?;
        if len > max {
            return Err(over("bytes of a block", max));
        }
        self.input.bytes(&mut self.packed, len, "a block")?;
        if self.input.array("the marker of a block")? != self.marker {
            return Err(wrong(
                "the block does not end with the file's marker".to_owned(),
            ));
        }
        self.codec
            .unpack(&self.packed, &mut self.plain, max)
            .map_err(|error| OcfError::Unpack { offset, error })?
            .ok_or_else(|| over("bytes of an unpacked block", max))?;
        let most = self.plain.len().saturating_add(self.limits.zero_width_max);
        if count > most {
            return Err(over("datums of a block", most));
        }
        Ok(Some(Block {
            offset,
            input: Reader::new(&self.plain),
            left: count,
        }))
    }
}

impl<I: Read> OcfReader<I> {
    /// The file's datums as records of type `R`, one after another.
    ///
    /// Refused if `R`'s schema does not read everything that the file's allows: then use
    /// [`block`](Self::block) with a [`Plan`] of one's own.
    ///
    /// ```
    /// # #[cfg(feature = "derive")] {
    /// use telemetry_avro::AvroRecord;
    /// use telemetry_avro::ocf::{Codec, OcfReader, OcfWriter};
    ///
    /// #[derive(AvroRecord, Debug, PartialEq)]
    /// struct Beat {
    ///     bpm: i32,
    /// }
    ///
    /// let mut writer = OcfWriter::create(Vec::new(), &Beat::schema()?, Codec::Null)?;
    /// writer.push_record(&Beat { bpm: 65 })?;
    /// let file = writer.finish()?;
    /// let beats: Result<Vec<Beat>, _> = OcfReader::new(&file[..])?.records()?.collect();
    /// assert_eq!(beats?, [Beat { bpm: 65 }]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn records<R>(self) -> Result<Records<I, R>, OcfError>
    where
        R: AvroRecord + for<'a> Decode<'a>,
    {
        let plan = Plan::compile(&self.schema, &R::schema()?)?.check()?;
        Ok(Records {
            datums: Datums::new(self, plan),
            record: PhantomData,
        })
    }

    /// The file's datums as any type of `serde`, one after another, by the names of the file's schema.
    ///
    /// To read them by another schema, use [`block`](Self::block) with a [`Plan`] and
    /// [`from_value`](crate::serde::from_value).
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use telemetry_avro::Schema;
    /// use telemetry_avro::ocf::{Codec, OcfReader, OcfWriter};
    ///
    /// #[derive(Serialize, Deserialize, Debug, PartialEq)]
    /// struct Beat {
    ///     bpm: i32,
    /// }
    ///
    /// let schema = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
    ///     {"name":"bpm","type":"int"}]}"#)?;
    /// let mut writer = OcfWriter::create(Vec::new(), &schema, Codec::Null)?;
    /// writer.serialize(&Beat { bpm: 65 })?;
    /// let file = writer.finish()?;
    /// let beats: Result<Vec<Beat>, _> = OcfReader::new(&file[..])?.deserialize()?.collect();
    /// assert_eq!(beats?, [Beat { bpm: 65 }]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "serde")]
    pub fn deserialize<T>(self) -> Result<Deserialized<I, T>, OcfError>
    where
        T: serde_core::de::DeserializeOwned,
    {
        let plan = Plan::compile(&self.schema, &self.schema)?;
        Ok(Deserialized {
            datums: Datums::new(self, plan),
            record: PhantomData,
        })
    }
}

/// A walk over all datums of a file. An error is the last item.
#[derive(Debug)]
struct Datums<I> {
    reader: OcfReader<I>,
    plan: Plan,
    /// Where the block begins in the file.
    block: u64,
    /// How far the unpacked block is read.
    at: usize,
    left: usize,
    is_over: bool,
}

impl<I: Read> Datums<I> {
    const fn new(reader: OcfReader<I>, plan: Plan) -> Self {
        Self {
            reader,
            plan,
            block: 0,
            at: 0,
            left: 0,
            is_over: false,
        }
    }

    fn next<T>(
        &mut self,
        decode: impl for<'d> FnOnce(&'d Plan, &mut Reader<'d>) -> Result<T, DecodeError>,
    ) -> Option<Result<T, OcfError>> {
        if self.is_over {
            return None;
        }
        let next = self.read(decode).transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }

    fn read<T>(
        &mut self,
        decode: impl for<'d> FnOnce(&'d Plan, &mut Reader<'d>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, OcfError> {
        while self.left == 0 {
            let rest = self.reader.plain.len() - self.at;
            if rest > 0 {
                return Err(behind(self.block, rest));
            }
            let Some(block) = self.reader.block()? else {
                return Ok(None);
            };
            (self.block, self.left) = (block.offset, block.left);
            self.at = 0;
        }
        let mut input = Reader::new(&self.reader.plain);
        let offset = self.block;
        let datum = |error| OcfError::Datum { offset, error };
        input.take(self.at).map_err(|error| datum(error.into()))?;
        let record = decode(&self.plan, &mut input).map_err(datum)?;
        self.at = input.offset();
        self.left -= 1;
        Ok(Some(record))
    }
}

/// The records of a container file: see [`OcfReader::records`]. An error is the last item.
#[derive(Debug)]
pub struct Records<I, R> {
    datums: Datums<I>,
    record: PhantomData<fn() -> R>,
}

impl<I: Read, R> Iterator for Records<I, R>
where
    R: AvroRecord + for<'a> Decode<'a>,
{
    type Item = Result<R, OcfError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.datums.next(|plan, input| R::decode(plan, input))
    }
}

/// The datums of a container file as types of `serde`: see [`OcfReader::deserialize`].
///
/// A datum that does not fit the type is an error, after which the next one follows; any other error is
/// the last item.
#[cfg(feature = "serde")]
#[derive(Debug)]
pub struct Deserialized<I, T> {
    datums: Datums<I>,
    record: PhantomData<fn() -> T>,
}

#[cfg(feature = "serde")]
impl<I: Read, T: serde_core::de::DeserializeOwned> Iterator for Deserialized<I, T> {
    type Item = Result<T, OcfError>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.datums.next(|plan, input| plan.value(input))?;
        let schema = &self.datums.reader.schema;
        Some(value.and_then(|value| Ok(crate::serde::from_value(&value, schema)?)))
    }
}

#[cold]
fn behind(offset: u64, rest: usize) -> OcfError {
    OcfError::Format {
        offset,
        reason: format!("{rest} bytes behind the last datum of the block"),
    }
}

/// The datums of one block.
#[derive(Debug)]
pub struct Block<'b> {
    offset: u64,
    input: Reader<'b>,
    left: usize,
}

impl<'b> Block<'b> {
    /// Datums that are left.
    pub const fn len(&self) -> usize {
        self.left
    }

    /// Whether no datum is left.
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Decodes the next datum: with [`Plan::value`](crate::Plan::value),
    /// [`AvroRecord::decode`](crate::AvroRecord::decode) or what else reads one.
    ///
    /// `None` behind the last. A datum that fails ends the block, since nobody knows where the
    /// next one begins; so do bytes behind the last.
    pub fn next<T>(
        &mut self,
        decode: impl FnOnce(&mut Reader<'b>) -> Result<T, DecodeError>,
    ) -> Option<Result<T, OcfError>> {
        if self.left == 0 {
            let rest = self.input.rest().len();
            self.input = Reader::new(&[]);
            return (rest > 0).then(|| Err(behind(self.offset, rest)));
        }
        self.left -= 1;
        Some(decode(&mut self.input).map_err(|error| {
            self.left = 0;
            self.input = Reader::new(&[]);
            OcfError::Datum {
                offset: self.offset,
                error,
            }
        }))
    }
}

/// Key and value pairs, in blocks.
fn metadata<R: Read>(
    input: &mut Counted<R>,
    max: usize,
) -> Result<BTreeMap<String, Vec<u8>>, OcfError> {
    const HEADER: &str = "its header";
    let mut pairs = BTreeMap::new();
    let start = input.offset;
    let wrong = |offset, reason: &str| OcfError::Format {
        offset,
        reason: reason.to_owned(),
    };
    loop {
        let count = input.long(HEADER)?;
        if count == 0 {
            return Ok(pairs);
        }
        if count < 0 {
            // The size of the block, which its pairs have anyway.
            input.long(HEADER)?;
        }
        for _ in 0..count.unsigned_abs() {
            let mut part = || {
                let offset = input.offset;
                let len = input.long(HEADER)?;
                let len = usize::try_from(len).map_err(|_| wrong(offset, "a negative length"))?;
                let read = (input.offset - start) as usize;
                if read.saturating_add(len) > max {
                    return Err(OcfError::Limit {
                        offset,
                        what: "bytes of the header",
                        max,
                    });
                }
                let mut bytes = Vec::new();
                input.bytes(&mut bytes, len, HEADER)?;
                Ok(bytes)
            };
            let key = String::from_utf8(part()?);
            let key = key.map_err(|_| wrong(start, "a key of the header is not UTF-8"))?;
            let value = part()?;
            pairs.insert(key, value);
        }
    }
}

/// A source that knows how far it is.
#[derive(Debug)]
struct Counted<R> {
    inner: R,
    offset: u64,
}

impl<R: Read> Counted<BufReader<R>> {
    /// Whether a container file begins with the byte before.
    fn joined(&mut self) -> io::Result<bool> {
        Ok(self.inner.fill_buf()?.starts_with(&MAGIC[1..]))
    }
}

impl<R: Read> Counted<R> {
    /// Reads what is there, up to the whole slice; 0 at the end.
    fn some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.offset += *read.as_ref().unwrap_or(&0) as u64;
                    return read;
                }
            }
        }
    }

    fn array<const N: usize>(&mut self, within: &'static str) -> Result<[u8; N], OcfError> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while filled < N {
            match self.some(&mut bytes[filled..])? {
                0 => {
                    let offset = self.offset;
                    return Err(OcfError::End { offset, within });
                }
                read => filled += read,
            }
        }
        Ok(bytes)
    }

    /// Fills `out`, which grows with what comes.
    fn bytes(
        &mut self,
        out: &mut Vec<u8>,
        len: usize,
        within: &'static str,
    ) -> Result<(), OcfError> {
        out.clear();
        let read = (&mut self.inner).take(len as u64).read_to_end(out)?;
        self.offset += read as u64;
        if read < len {
            return Err(OcfError::End {
                offset: self.offset,
                within,
            });
        }
        Ok(())
    }

    fn long(&mut self, within: &'static str) -> Result<i64, OcfError> {
        let first = self.array::<1>(within)?[0];
        self.long_from(first, within)
    }

    /// A `long`, or `None` if the source ends before it.
    fn long_or_end(&mut self) -> Result<Option<i64>, OcfError> {
        let mut first = [0];
        if self.some(&mut first)? == 0 {
            return Ok(None);
        }
        self.long_from(first[0], "a block").map(Some)
    }

    fn long_from(&mut self, first: u8, within: &'static str) -> Result<i64, OcfError> {
        let mut bytes = [first; VARINT_LEN_MAX];
        let mut len = 1;
        while bytes[len - 1] >= 0x80 && len < VARINT_LEN_MAX {
            bytes[len] = self.array::<1>(within)?[0];
            len += 1;
        }
        Reader::new(&bytes[..len])
            .long()
            .map_err(|error| OcfError::Format {
                offset: self.offset - len as u64,
                reason: error.to_string(),
            })
    }
}
