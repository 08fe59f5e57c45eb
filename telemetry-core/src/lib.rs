//! What every layer of the telemetry family shares: records, schemas that evolve, identity.
//!
//! # Ideas
//! A *record* is Avro in single-object encoding: it names its schema by fingerprint. Schemas
//! change; a [`Plan`] is compiled once for a writer's and a reader's schema and then reads old
//! records as new ones. Records travel in *batches* under an [`Envelope`], and a [`RecordId`]
//! names each for ever. Nothing here does I/O, reads a clock or needs the standard library.
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
//! Files and networks (`telemetry-transport`), tables (`telemetry-storage`). Plans resolve every
//! Avro schema: into a derived struct, which may borrow from the datum ([`AvroType`] says what it may
//! hold), into a [`Value`], or into the reader's bytes ([`Plan::transcode`]). Field sinks and stores
//! take flat records: fields that are primitives or nullable primitives.
//!
//! # Features
//! `std` (default), `derive`: the derive macros and the built-in streams in `records`; `arrow`: record
//! batches from datums and back; `ocf`: object container files; `confluent`: a client of registries
//! that speak Confluent's HTTP interface; `apache-avro`: to and from the types of that crate.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "apache-avro")]
mod apache;
mod error;
mod id;
mod time;

#[cfg(feature = "arrow")]
pub mod arrow;
#[cfg(feature = "std")]
pub mod codegen;
pub mod journal;
#[cfg(feature = "ocf")]
pub mod ocf;
pub mod prefix;
pub mod single_object;
pub mod wire;

mod fingerprint;
mod plan;
mod record;
#[cfg(feature = "derive")]
pub mod records;
mod schema;
pub mod typed;

mod batch;
mod envelope;
mod log_store;
mod registry;

#[cfg(feature = "apache-avro")]
pub use apache::ValueError;
pub use batch::{Batch, BatchBuilder, BatchError, BatchReader};
pub use envelope::{CONTENT_TYPE_AVRO, Envelope, EnvelopeError};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use id::{BootId, DeviceId, Epoch, IdError, RecordId, Seq, StreamName};
pub use log_store::{Appended, LogGroup, LogHead, LogStore};
pub use plan::{
    Cursor, Datum, DecodeError, DecodeLimits, FieldSink, Incompatibility, OpId, Origin, Plan,
    PlanError, PlanLimits, Scalar, Source, Value,
};
pub use record::{AvroRecord, stream_of};
pub use registry::{
    Compatibility, CompatibilityError, Conflict, Direction, Entry, PlanCache, Quarantine,
    Registered, Registry, decide,
};
#[cfg(feature = "confluent")]
pub use registry::{ConfluentError, ConfluentOptions, ConfluentRegistry, Credentials};
#[cfg(feature = "std")]
pub use registry::{FileRegistry, FileRegistryError, MemoryRegistry, RegistryFull, RegistryLimits};
pub use schema::{
    Decimal, EnumType, Field, FixedType, FlatType, Kind, Node, NodeId, Primitive, RecordType,
    Schema, SchemaError, SchemaLimits,
};
#[cfg(feature = "derive")]
pub use telemetry_core_derive::{AvroRecord, AvroType};
pub use time::{ClockMark, ClockQuality, Instant, Timestamp};
pub use typed::{AvroType, Decode, Encode, Entries, Items};
pub use uuid::Uuid;
