//! This crate reads and writes Avro, and resolves schemas that evolve by compiled plans.
//!
//! # Ideas
//! Schemas change; a [`Plan`] is compiled once for a writer's and a reader's schema and then reads old
//! datums as new ones: into a struct, which may borrow from the datum, into Arrow columns, into a
//! [`Value`] or into the reader's bytes. This crate makes the same decisions as Apache Avro's Java
//! library. It opens no file and no socket, and it can be used without the standard library.
//!
//! # Data flow
//! ```text
//! struct ──derive──▶ message C3 01 | fingerprint | datum
//!  schema JSON ──▶ Schema ──┐                      │
//!  schema JSON ──▶ Schema ──┴▶ Plan ◀──────────────┘
//!                               │ decode
//!                               ▼
//!            a struct, a view, columns, a Value or bytes, as the reader's schema wants them
//! ```
//!
//! # Evolve
#![cfg_attr(feature = "derive", doc = "```")]
#![cfg_attr(not(feature = "derive"), doc = "```text")]
//! use telemetry_avro::{AvroRecord, Plan, Schema, single_object, wire::Reader};
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
//! Start with [`AvroRecord`], [`Schema`] and [`Plan`]. [`codegen`] makes types from schemas, [`ocf`]
//! reads and writes container files, and [`arrow`] makes record batches.
//!
//! # Not here
//! Clients of registries are in `telemetry-core`; [`prefix`] has the prefixes with which their messages
//! begin.
//!
//! # Features
//! - `std` is a default feature.
//! - `derive` adds the derive macros.
//! - `arrow` converts datums to record batches and back.
//! - `ocf` reads and writes object container files.
//! - `serde` makes values from types of that crate, and the other way round.
//! - `apache-avro` converts to and from the types of that crate.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

#[cfg(feature = "apache-avro")]
mod apache;
#[cfg(feature = "arrow")]
pub mod arrow;
#[cfg(feature = "std")]
pub mod codegen;
#[cfg(feature = "ocf")]
pub mod ocf;
pub mod prefix;
pub mod record;
#[cfg(feature = "serde")]
pub mod serde;
pub mod single_object;
pub mod typed;
pub mod wire;

mod fingerprint;
mod plan;
mod registry;
mod schema;

#[cfg(feature = "apache-avro")]
pub use apache_avro;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use plan::{
    Cursor, Datum, DecodeError, DecodeLimits, FieldSink, Incompatibility, Incompatible, OpId,
    Origin, Plan, PlanError, PlanLimits, Scalar, Source, TreeSink, Value, ValueError,
};
pub use record::{AvroRecord, MessageError};
pub use registry::{
    Compatibility, CompatibilityError, Conflict, Direction, Entry, PlanCache, Quarantine,
    Registered, decide,
};
pub use schema::{
    Decimal, EnumType, Field, FixedType, FlatType, Kind, Node, NodeId, Primitive, RecordType,
    Schema, SchemaError, SchemaLimits, SchemaRules,
};
#[cfg(feature = "derive")]
pub use telemetry_avro_derive::{AvroRecord, AvroType};
pub use telemetry_base::{Timestamp, error_codes};
pub use typed::{AvroType, Decode, Encode, Entries, Items};
pub use uuid::Uuid;
