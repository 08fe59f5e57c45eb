//! `#[derive(AvroRecord)]` and `#[derive(AvroType)]`: Rust types that know their Avro schema.
//!
//! A struct with fields is a record and derives `AvroRecord`. An enum whose variants are empty is an
//! Avro enum, one whose variants hold a value (or nothing, for null) is a union, a newtype is what it
//! holds, and `struct Md5([u8; 16])` is a fixed: these derive `AvroType`. Schema, canonical form and
//! fingerprint are made at compile time. See `telemetry_avro::AvroType` for the types that fields may
//! have, and `telemetry_avro::AvroRecord` for what a record can do.
//!
//! # On a type
//! - `#[avro(name = "ActivitySample")]`: its Avro name, if it differs from the type's
//! - `#[avro(namespace = "xp.telemetry")]`
//! - `#[avro(alias = "old.FullName")]`, repeatable
//! - `#[avro(crate = "path")]`: where the traits are, if the crate was renamed
//! - `#[avro(logical = "duration")]`, on a fixed; `#[avro(logical = "date")]`, on a newtype of an `i32`, `i64`,
//!   `String`, `Vec<u8>` and so on
//! - a doc comment becomes the type's `doc`
//!
//! # On a field
//! - `#[avro(rename = "heart_rate")]`
//! - `#[avro(alias = "hr")]`, repeatable: names it had before
//! - `#[avro(default = 7)]`: what a reader takes when the writer has no such field: a literal, `null`,
//!   a list `[1, 2]`, a record or map `{"x": 1}`, a symbol `"RUN"`; an `Option` has the default null
//! - `#[avro(logical = "timestamp-millis")]`: what an `i32`, `i64`, `String` or `Vec<u8>` means; a
//!   `decimal` has `precision` and `scale` as well
//! - `#[avro(event_time)]`: on one `Timestamp` at most
//! - `#[avro(null_last)]`: an `Option` whose union names null last, `[T, "null"]`; its default is a T, or
//!   null
//! - `#[avro(recursive)]`: its type is defined further out, where that does not show: A holds B, whose
//!   field of type A says so
//!
//! # On a variant
//! - `#[avro(rename = "HEART_RATE")]`: the symbol
//! - `#[avro(default)]`: what a reader takes for a symbol it does not know

mod attributes;
mod choice;
mod default;
mod record;

use proc_macro::TokenStream;

/// Implements `AvroRecord` for a struct; see the crate's front page for the attributes.
#[proc_macro_derive(AvroRecord, attributes(avro))]
pub fn avro_record(input: TokenStream) -> TokenStream {
    record(input, syn::parse_quote!(::telemetry_avro))
}

/// Implements `AvroType`, `Encode` and `Decode` for an enum or a newtype; see the crate's front page.
#[proc_macro_derive(AvroType, attributes(avro))]
pub fn avro_type(input: TokenStream) -> TokenStream {
    choice(input, syn::parse_quote!(::telemetry_avro))
}

/// What `telemetry-core` re-exports as `AvroRecord`: the same, and names that crate.
#[proc_macro_derive(CoreAvroRecord, attributes(avro))]
pub fn core_avro_record(input: TokenStream) -> TokenStream {
    record(input, syn::parse_quote!(::telemetry_core))
}

/// What `telemetry-core` re-exports as `AvroType`: the same, and names that crate.
#[proc_macro_derive(CoreAvroType, attributes(avro))]
pub fn core_avro_type(input: TokenStream) -> TokenStream {
    choice(input, syn::parse_quote!(::telemetry_core))
}

fn record(input: TokenStream, krate: syn::Path) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    record::Record::parse(&input, krate)
        .and_then(|record| record.expand())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

fn choice(input: TokenStream, krate: syn::Path) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    choice::expand(&input, krate)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
