//! Beside `arrow-avro`: columns of the same datums are the same.

use arrow_array::RecordBatch;
use arrow_avro::reader::{DecoderMode, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, SchemaStore};
use proptest::prelude::*;
use serde_json::Value as Json;
use telemetry_core::arrow::Columns;
use telemetry_core::wire::Reader;
use telemetry_core::{Plan, Schema};

use crate::agree::{Random, arbitrary_record, arbitrary_value, evolve};

/// Rows of a batch: as many as a debug print shows all of.
const ROWS: usize = 8;

fn ours(writer: &Schema, reader: &Schema, datums: &[Vec<u8>]) -> Result<RecordBatch, String> {
    let plan = Plan::compile(writer, reader).expect("a plan");
    let mut columns = Columns::new(&plan, reader).map_err(|error| error.to_string())?;
    for datum in datums {
        columns
            .push(&mut Reader::new(datum))
            .map_err(|error| error.to_string())?;
    }
    columns.finish().map_err(|error| error.to_string())
}

fn theirs(writer: &Schema, reader: &Schema, datums: &[Vec<u8>]) -> Result<RecordBatch, String> {
    let mut store = SchemaStore::new();
    let text = AvroSchema::new(writer.json().to_owned());
    let print = store.register(text).map_err(|error| error.to_string())?;
    let builder = ReaderBuilder::new()
        .with_writer_schema_store(store)
        .with_active_fingerprint(print)
        .with_batch_size(ROWS)
        .with_decoder_mode(DecoderMode::UnframedDatum)
        .with_reader_schema(AvroSchema::new(reader.json().to_owned()));
    let mut decoder = builder.build_decoder().map_err(|error| error.to_string())?;
    for datum in datums {
        decoder.decode(datum).map_err(|error| error.to_string())?;
    }
    match decoder.flush() {
        Ok(Some(batch)) => Ok(batch),
        Ok(None) => Err("no rows".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Values, nulls and types of all columns.
///
/// Without the metadata that arrow-avro gives fields, and without its saying that fields of nulls
/// cannot be null.
fn plain(batch: &RecordBatch) -> Vec<String> {
    let without = |mut text: String| {
        while let Some(start) = text.find(", metadata: {") {
            let len = text[start..].find('}').expect("the end of the metadata");
            text.replace_range(start..=start + len, "");
        }
        text.replace("data_type: Null, nullable: true", "data_type: Null")
    };
    let columns = batch.columns().iter();
    columns
        .map(|column| without(format!("{column:?}")))
        .collect()
}

/// What of a schema arrow-avro refuses, or only some datums of, against the specification.
fn refused(json: &Json, inside: bool) -> Option<&'static str> {
    let part = |json: &Json| refused(json, true);
    match json {
        Json::String(name) if name == "null" && inside => {
            Some("nulls within something: their field says that it has none")
        }
        Json::Array(branches) => {
            let mut branches = branches.iter().filter(|branch| *branch != "null");
            branches.find_map(part)
        }
        Json::Object(map) => match map["type"].as_str() {
            Some("fixed") if map["size"] == 0 => {
                Some("a fixed of no bytes: its rows are counted by their bytes")
            }
            Some("array") => part(&map["items"]),
            Some("map") => part(&map["values"]),
            Some("record") => {
                let fields = map["fields"].as_array().expect("fields");
                if fields.is_empty() && !inside {
                    return Some("a record without fields: its rows are not counted");
                }
                fields.iter().find_map(|field| part(&field["type"]))
            }
            _ => None,
        },
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arrow_avro_reads_the_same_columns(seed: u64) {
        let r = &mut Random(seed);
        let text = arbitrary_record(r, 2, &mut 0);
        let later = if r.one_in(2) { evolve(r, &text) } else { text.clone() };
        let schema = |json: &Json| Schema::parse(&json.to_string()).expect("an arbitrary schema");
        let (writer, reader) = (schema(&text), schema(&later));
        let datums: Vec<Vec<u8>> = (0..=r.below(ROWS - 1))
            .map(|_| {
                let mut datum = Vec::new();
                arbitrary_value(r, &writer, writer.root_id()).put(&mut datum);
                datum
            })
            .collect();
        match (ours(&writer, &reader, &datums), theirs(&writer, &reader, &datums)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(plain(&ours), plain(&theirs)),
            // No branch or symbol of the reader's for what was written.
            (Err(ours), Err(_)) => prop_assert!(ours.contains("problem"), "{}", ours),
            (Ok(_), Err(theirs)) => {
                let known = refused(&text, false).or(refused(&later, false));
                prop_assert!(known.is_some(), "{theirs}: {text} read as {later}");
            }
            (Err(ours), Ok(_)) => prop_assert!(false, "{ours}: {text} read as {later}"),
        }
    }
}
