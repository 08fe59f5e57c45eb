//! Keeps batches of records in tables that evolve with their Avro schemas, exactly once in effect.
//!
//! # Ideas
//! The *catalogue* says which column a field lives in. A new schema is compared with it by the
//! [`evolve`] engine, which decides without any I/O what to add: a renamed field (alias) keeps its
//! column, a widened one too, a new one gets a column, a removed one costs nothing. No row is ever
//! rewritten: what a row lacks is filled in by the *reader's* schema when it is read.
//!
//! A row's key is a pure function of the record and its identity, so writing a batch again changes
//! nothing but the `meta_*` columns, where the last write wins.
//!
//! # Data flow
//! ```text
//! Write (batch + enrichment) ─▶ Store::write ─▶ Registry: which schema? ─▶ evolve: which columns?
//!                                   │                                          │ ADD COLUMN
//!                                   ▼                                          ▼
//!                           one transaction: new columns and rows ─▶ an Outcome for each write
//! ```
//!
//! # Example
#![cfg_attr(feature = "sqlite", doc = "```")]
#![cfg_attr(not(feature = "sqlite"), doc = "```text")]
//! use telemetry_core::records::ActivitySample;
//! use telemetry_core::{AvroRecord, Registry, Schema, stream_of};
//! use telemetry_storage::{SqliteOptions, SqliteStore};
//!
//! # pollster::block_on(async {
//! let store = SqliteStore::in_memory(SqliteOptions::default())?;
//! let stream = stream_of::<ActivitySample>();
//! store.register(&stream, &Schema::parse(ActivitySample::SCHEMA)?).await?;
//! assert_eq!(store.versions(&stream).await?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Start with
//! [`Store`] and [`Accounting`], `SqliteStore`, `AnyStore` for a store that a URL names,
//! [`evolve::Table`].
//!
//! # Not here
//! Where batches come from (`telemetry-transport`), what schemas mean (`telemetry-core`).
//!
//! # Features
//! `sqlite` (default): one file. `test-util`: the contract suite for stores.

pub mod evolve;
mod limits;
mod row;
mod store;
#[cfg(feature = "sqlite")]
mod url;

#[cfg(any(test, feature = "test-util"))]
pub mod contract;
#[cfg(feature = "sqlite")]
mod sqlite;

/// What this crate's interface takes and gives.
pub use telemetry_core;

pub use limits::Limits;
pub use row::{Cell, bucket_of};
#[cfg(feature = "sqlite")]
pub use sqlite::{Migration, SqliteOptions, SqliteStore};
pub use store::{
    Accounting, Action, Gap, Outcome, Presence, ReadError, Refusal, Selection, Store, StoreError,
    StoredRecord, Write,
};
#[cfg(feature = "sqlite")]
pub use url::{AnyStore, OpenError, SCHEMES};
