//! Object container files: many datums with their schema, in packed blocks.
//!
//! Source: Avro 1.12 specification, "Object Container Files".
//!
//! ```
//! use telemetry_avro::ocf::{Codec, OcfReader, OcfWriter};
//! use telemetry_avro::{Plan, Schema, Value};
//!
//! let schema = Schema::parse(r#""long""#)?;
//! let mut writer = OcfWriter::create(Vec::new(), &schema, Codec::Deflate)?;
//! for value in [1, 2] {
//!     writer.push_value(&Value::Long(value))?;
//! }
//! let file = writer.finish()?;
//!
//! let mut reader = OcfReader::new(&file[..])?;
//! let plan = Plan::compile(reader.schema(), &schema)?;
//! let mut values = Vec::new();
//! while let Some(mut block) = reader.block()? {
//!     while let Some(value) = block.next(|input| plan.value(input)) {
//!         values.push(value?);
//!     }
//! }
//! assert_eq!(values, [Value::Long(1), Value::Long(2)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codec;
mod read;
mod write;

use std::io;
use std::string::String;

pub use codec::Codec;
#[cfg(feature = "serde")]
pub use read::Deserialized;
pub use read::{Block, OcfReader, Records};
pub use write::OcfWriter;

use crate::{
    DecodeError, Fingerprint, Incompatible, PlanError, SchemaError, SchemaLimits, ValueError,
};

const MAGIC: &[u8; 4] = b"Obj\x01";

/// Bytes of the marker that ends every block.
pub const MARKER_LEN: usize = 16;

const SCHEMA_KEY: &str = "avro.schema";
const CODEC_KEY: &str = "avro.codec";

/// A marker of random bytes, which no datum holds.
pub fn marker() -> [u8; MARKER_LEN] {
    use std::hash::{BuildHasher as _, RandomState};
    // The standard library seeds its hashes with random bits of the system.
    let half = || RandomState::new().hash_one(0u8).to_le_bytes();
    let (a, b) = (half(), half());
    std::array::from_fn(|i| if i < 8 { a[i] } else { b[i - 8] })
}

/// Bounds on container files, for files that strangers send.
#[derive(Clone, Copy, Debug)]
pub struct OcfLimits {
    /// Bytes of the header: schema and metadata. 2 MiB: the longest schema, and as much again.
    pub header_bytes_max: usize,
    /// Bytes of a block, packed or not. 64 MiB: a thousand times what writers make by default.
    pub block_bytes_max: usize,
    /// Datums of a block beyond one a byte, which take no bytes at all. A million.
    pub zero_width_max: usize,
    /// Bytes of datums after which a block is written. 64 KiB.
    pub block_bytes: usize,
    /// Bounds on the schema in the header.
    pub schema: SchemaLimits,
}

impl Default for OcfLimits {
    fn default() -> Self {
        Self {
            header_bytes_max: 2 << 20,
            block_bytes_max: 64 << 20,
            zero_width_max: 1_000_000,
            block_bytes: 64 << 10,
            schema: SchemaLimits::default(),
        }
    }
}

/// What is wrong with a container file. Offsets count from its start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OcfError {
    /// The file could not be read or written.
    #[error("the container file: {0}")]
    Io(#[from] io::Error),
    /// The first bytes are others.
    #[error("no container file: it starts with {found:02X?}, not with `Obj` and 01")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The file ends where more must come. What was read before is good.
    #[error("at byte {offset}: the file ends within {within}")]
    End {
        /// Where it ends.
        offset: u64,
        /// Within what.
        within: &'static str,
    },
    /// Header or block break the format.
    #[error("at byte {offset}: {reason}")]
    Format {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The schema in the header is none.
    #[error("the file's schema: {0}")]
    Schema(#[from] SchemaError),
    /// A codec that this release does not know.
    #[error(
        "the file is packed with `{name}`: pack it anew with one of {}",
        names()
    )]
    Codec {
        /// Its name.
        name: String,
    },
    /// A block that cannot be unpacked.
    #[error("at byte {offset}: the block cannot be unpacked: {error}")]
    Unpack {
        /// Where the block begins.
        offset: u64,
        /// What the codec says.
        error: io::Error,
    },
    /// Over a bound of [`OcfLimits`].
    #[error("at byte {offset}: {what} over the limit of {max}")]
    Limit {
        /// Where.
        offset: u64,
        /// Which bound.
        what: &'static str,
        /// What is allowed.
        max: usize,
    },
    /// A value that does not fit the file's schema, or the type that it is read as.
    #[error("the value and the file's schema: {0}")]
    Value(#[from] ValueError),
    /// The file's schema is not the record's.
    #[error("the file has schema {file}, the record {record}")]
    OtherRecord {
        /// The schema of the file.
        file: Fingerprint,
        /// The schema of the record.
        record: Fingerprint,
    },
    /// No plan leads from the file's schema to the reader's.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The reader's schema does not read everything that the file's allows.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// A datum that is none of the schema. Its offset counts within the unpacked block.
    #[error("in the block at byte {offset}: {error}")]
    Datum {
        /// Where the block begins.
        offset: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
}

crate::error_codes!(OcfError {
    Io(_) => 1130,
    Magic { .. } => 1131,
    End { .. } => 1132,
    Format { .. } => 1133,
    Schema(_) => 1134,
    Codec { .. } => 1135,
    Unpack { .. } => 1136,
    Limit { .. } => 1137,
    Datum { .. } => 1138,
    Value(_) => 1139,
    OtherRecord { .. } => 1161,
    Plan(_) => 1162,
    Incompatible(_) => 1163,
});

fn names() -> String {
    let names: std::vec::Vec<&str> = Codec::ALL.iter().map(|(_, name)| *name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
