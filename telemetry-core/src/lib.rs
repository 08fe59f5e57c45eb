//! This crate has what all layers of the project share: records, schemas that evolve, and identity.
//!
//! # Ideas
//! A *record* is Avro in single-object encoding: it names its schema by fingerprint. Schemas
//! change; a [`Plan`] is compiled once for a writer's and a reader's schema and then reads old
//! records as new ones. Records travel in *batches* under an [`Envelope`], and a [`RecordId`]
//! names each record permanently. Nothing in this crate reads a clock. Without features the crate does
//! no I/O and does not need the standard library. Features add I/O: `std` a registry in a file
//! (`FileRegistry`) and the functions that create private files (`owner_only`), and `confluent` a client
//! of registries.
//!
//! Avro itself is the crate [`telemetry_avro`], which is re-exported completely. Without the feature
//! `avro` only identity, time and numbers for errors are left.
//!
//! # Data flow
//! ```text
//! struct ──derive──▶ record C3 01 | fingerprint | datum
//!                       │ journal frame            (spool, on disk)
//!                       ▼
//!                    batch: Envelope + array of datums   (on the wire)
//!                       │ fingerprint ──▶ Registry ──▶ Schema ──▶ Plan
//!                       ▼
//!                    a struct, a view, columns, a Value or bytes, as the reader's schema wants them
//! ```
//!
//! # Evolve
#![cfg_attr(feature = "derive", doc = "```")]
#![cfg_attr(not(feature = "derive"), doc = "```text")]
//! use telemetry_core::{AvroRecord, Plan, Schema, single_object, wire::Reader};
//!
//! /// What firmware 1 writes.
//! #[derive(AvroRecord)]
//! #[avro(name = "Beat", namespace = "vendor")]
//! struct BeatV1 {
//!     hr: i32,
//! }
//!
//! /// What the reader of today wants: renamed, widened, one field more.
//! #[derive(AvroRecord, Debug, PartialEq)]
//! #[avro(name = "Beat", namespace = "vendor")]
//! struct Beat {
//!     #[avro(alias = "hr")]
//!     bpm: f64,
//!     #[avro(default = "strap")]
//!     source: String,
//! }
//!
//! let message = BeatV1 { hr: 65 }.to_message();
//!
//! let writer = Schema::parse(BeatV1::SCHEMA)?;
//! let reader = Schema::parse(Beat::SCHEMA)?;
//! let plan = Plan::compile(&writer, &reader)?;
//! assert!(plan.problems().is_empty());
//!
//! let (fingerprint, datum) = single_object::split(&message)?;
//! assert_eq!(fingerprint, writer.fingerprint());
//! let beat = Beat::decode(&plan, &mut Reader::new(datum))?;
//! assert_eq!(beat, Beat { bpm: 65.0, source: "strap".into() });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Start with
//! [`AvroRecord`], [`Schema`], [`Plan`], [`BatchBuilder`] and [`BatchReader`].
//!
//! # Not here
//! The spool and the links to brokers are in `telemetry-transport`, and tables are in
//! `telemetry-storage`. Plans resolve every Avro schema: into a derived struct, which may borrow from
//! the datum ([`AvroType`] says what it may contain), into a [`Value`], or into the reader's bytes
//! ([`Plan::transcode`]). Field sinks and stores accept only flat records: each field is a primitive or
//! a nullable primitive.
//!
//! # Features
//! - `std` and `avro` are default features.
//! - `derive` adds the derive macros and the built-in streams in `records`.
//! - `arrow` converts datums to record batches and back.
//! - `ocf` reads and writes object container files.
//! - `confluent` adds a client of registries that offer Confluent's HTTP interface.
//! - `apache-avro` converts to and from the types of that crate.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

#[cfg(feature = "std")]
pub mod durable;
mod id;
mod log_store;
#[cfg(feature = "std")]
pub mod owner_only;
mod time;

#[cfg(feature = "avro")]
mod batch;
#[cfg(feature = "avro")]
mod envelope;
#[cfg(feature = "derive")]
pub mod records;
#[cfg(feature = "avro")]
mod registry;

pub use id::{BootId, DeviceId, Epoch, IdError, RecordId, Seq, StreamName};
pub use log_store::{Appended, LogGroup, LogHead, LogStore};
pub use telemetry_base::error_codes;
pub use time::{ClockMark, ClockQuality, Instant, Timestamp};
pub use uuid::Uuid;

#[cfg(feature = "avro")]
pub use avro::*;

/// What stands on `telemetry-avro`.
#[cfg(feature = "avro")]
mod avro {
    pub use bytes;
    #[cfg(feature = "confluent")]
    pub use rustls;

    pub use crate::batch::{Batch, BatchBuilder, BatchError, BatchReader};
    pub use crate::envelope::{CONTENT_TYPE_AVRO, Envelope, EnvelopeError};
    pub use crate::id::stream_of;
    pub use crate::registry::Registry;
    #[cfg(feature = "confluent")]
    pub use crate::registry::{ConfluentError, ConfluentOptions, ConfluentRegistry, Credentials};
    #[cfg(feature = "std")]
    pub use crate::registry::{
        FileRegistry, FileRegistryError, MemoryRegistry, RegistryFull, RegistryLimits,
    };
    #[cfg(feature = "apache-avro")]
    pub use telemetry_avro::apache_avro;
    #[cfg(feature = "arrow")]
    pub use telemetry_avro::arrow;
    #[cfg(feature = "ocf")]
    pub use telemetry_avro::ocf;
    // The traits alone: the macros of the same names are this crate's own.
    pub use telemetry_avro::record::{AvroRecord, MessageError};
    pub use telemetry_avro::typed::{AvroType, Decode, Encode, Entries, Items};
    pub use telemetry_avro::{
        Compatibility, CompatibilityError, Conflict, Cursor, Datum, Decimal, DecodeError,
        DecodeLimits, Direction, Entry, EnumType, Field, FieldSink, Fingerprint, FingerprintError,
        FixedType, FlatType, Incompatibility, Incompatible, Kind, Node, NodeId, OpId, Origin, Plan,
        PlanCache, PlanError, PlanLimits, Primitive, Quarantine, RecordType, Registered, Scalar,
        Schema, SchemaError, SchemaLimits, SchemaRules, Source, TreeSink, Value, ValueError,
        decide, prefix, single_object, typed, wire,
    };
    #[cfg(feature = "derive")]
    pub use telemetry_avro_derive::{CoreAvroRecord as AvroRecord, CoreAvroType as AvroType};

    /// Types from schemas, whose code names this crate: see [`telemetry_avro::codegen`].
    ///
    /// ```
    /// use telemetry_core::codegen::generate;
    ///
    /// let beat = r#"{"type":"record","name":"Beat","fields":[{"name":"bpm","type":"int"}]}"#;
    /// let code = generate(&[beat])?;
    /// assert!(code.contains("#[derive(telemetry_core::AvroRecord"));
    /// # Ok::<(), telemetry_core::codegen::CodegenError>(())
    /// ```
    #[cfg(feature = "std")]
    pub mod codegen {
        use alloc::string::String;

        use crate::SchemaLimits;

        pub use telemetry_avro::codegen::{CodegenError, generate_for};

        /// Makes Rust types of schemas, which may refer to each other's types in any order.
        ///
        /// A type that several of them hold is made once.
        pub fn generate(schemas: &[&str]) -> Result<String, CodegenError> {
            generate_for("telemetry_core", schemas, SchemaLimits::default())
        }
    }
}
