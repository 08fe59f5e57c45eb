//! This crate stores each record of a batch exactly once in tables that evolve with their Avro schemas.
//!
//! # Ideas
//! Every schema that wrote rows keeps its own way back to them. The [`evolve`] engine says, without any
//! I/O, which parts of a record are cells and which column each of them gets; the *catalogue* keeps that
//! for each schema. A renamed field (alias) keeps its column, and so does a field with a wider type. A
//! new field gets a column. No row is ever rewritten: when a row is read, its cells lead back to the
//! bytes that were written, and Avro's schema resolution leads from there to the *reader's* schema.
//!
//! A row's key is a pure function of the record and its identity. So writing a batch again changes only
//! the `meta_*` columns, where the last write wins.
//!
//! # Data flow
//! ```text
//! Write (batch + enrichment) ─▶ Store::write ─▶ Registry: which schema? ─▶ evolve: which columns?
//!                                   │                                          │ ADD COLUMN
//!                                   ▼                                          ▼
//!                           one transaction: new columns and rows ─▶ an Outcome for each write
//!
//! Store::read ─▶ rows of a bucket ─▶ evolve: the datum as written ─▶ Plan ─▶ a Page for the reader
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
//! Start with [`Store`], [`Selection`] and [`Page`], [`Accounting`], `SqliteStore`, `AnyStore` for a store
//! that a URL names, and [`evolve`].
//!
//! # Not here
//! Batches come from `telemetry-transport`, and the meaning of schemas is in `telemetry-core`.
//!
//! # Features
//! - `sqlite` (default) adds the store in one SQLite file.
//! - `test-util` adds the contract, a test suite for stores.

pub mod evolve;
mod limits;
mod page;
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
pub use page::{Page, Position, Selection, StoredRecord, Unreadable, read_all};
pub use row::{BucketWidth, NO_TIME};
#[cfg(feature = "sqlite")]
pub use sqlite::{Migration, SqliteOptions, SqliteStore};
pub use store::{
    Accounting, Action, Gap, Outcome, Presence, ReadError, Refusal, Store, StoreError, Write,
};
#[cfg(feature = "sqlite")]
pub use url::{AnyStore, OpenError, SCHEMES};
