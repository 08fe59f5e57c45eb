//! `#[derive(AvroRecord)]`: a struct that knows its Avro schema.
//!
//! The schema, its canonical form and the fingerprint are computed at compile time. See
//! `telemetry_core::AvroRecord` for what the derive implements.
//!
//! # On the struct
//! - `#[avro(name = "ActivitySample")]`: name of the record, if it differs from the struct's
//! - `#[avro(namespace = "xp.telemetry")]`
//! - `#[avro(alias = "old.FullName")]`, repeatable
//! - `#[avro(crate = "path")]`: where `telemetry-core` is, if it was renamed
//! - a doc comment becomes the record's `doc`
//!
//! # On a field
//! - `#[avro(rename = "heart_rate")]`
//! - `#[avro(alias = "hr")]`, repeatable: names it had before
//! - `#[avro(default = 7)]`: what a reader takes when the writer has no such field; an `Option` has
//!   the default null
//! - `#[avro(event_time)]`: on one `Timestamp` at most
//!
//! # Types
//! `bool`, `i32`, `i64`, `f32`, `f64`, `String`, `Vec<u8>`, `Timestamp` (`timestamp-micros`), and an
//! `Option` of any of them.

mod record;
mod schema;

use proc_macro::TokenStream;

/// Implements `AvroRecord`; see the crate's front page for the attributes.
#[proc_macro_derive(AvroRecord, attributes(avro))]
pub fn avro_record(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    record::Record::parse(&input)
        .map(|record| record.expand())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
