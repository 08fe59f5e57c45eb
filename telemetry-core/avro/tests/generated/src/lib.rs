//! The code that is generated for every schema in `testdata/` and for 200 arbitrary ones: it compiles, its
//! types have the schemas that they were made of, and values of those go in and out.
//!
//! Lints have nothing to say about some thousand lines that nobody reads, and would take as long as the
//! compiler.

#![cfg(all(test, not(clippy)))]
#![deny(
    nonstandard_style,
    reason = "what is made compiles in a crate that denies warnings"
)]
#![allow(clippy::unwrap_used, reason = "a failed check of a test panics")]

mod random;
mod values;

include!(concat!(env!("OUT_DIR"), "/schemas.rs"));

/// Checks one record's type.
fn check<R>(text: &str)
where
    R: telemetry_avro::AvroRecord
        + for<'a> telemetry_avro::Decode<'a>
        + PartialEq
        + std::fmt::Debug,
{
    use telemetry_avro::wire::Reader;
    use telemetry_avro::{Plan, Schema};

    let schema = Schema::parse(text).unwrap();
    let made = Schema::parse(R::SCHEMA).unwrap();
    assert_eq!(made.canonical(), schema.canonical(), "{text}");
    assert_eq!(made.meaning(), schema.meaning(), "{text}");
    let plan = Plan::compile(&schema, &made).unwrap().check().unwrap();
    let mut random = random::Random(text.len() as u64);
    for _ in 0..8 {
        let mut datum = Vec::new();
        values::value(&mut random, &schema, schema.root_id(), 6).put(&mut datum);
        let read = R::decode(&plan, &mut Reader::new(&datum)).unwrap();
        let mut again = Vec::new();
        read.put_datum(&mut again);
        // Maps may be in another order, and so are compared as values.
        let value = |bytes: &[u8]| R::read_datum(&mut Reader::new(bytes)).unwrap();
        assert_eq!(value(&again), value(&datum), "{text}");
    }
}

#[test]
fn every_schema_is_its_type() {
    all();
}
