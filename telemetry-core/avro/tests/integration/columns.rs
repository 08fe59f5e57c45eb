//! Beside `arrow-avro`: columns of the same datums are the same.

use arrow_array::RecordBatch;
use arrow_avro::reader::{DecoderMode, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, SchemaStore};
use proptest::prelude::*;
use serde_json::Value as Json;
use telemetry_avro::arrow::{Columns, encode};
use telemetry_avro::wire::Reader;
use telemetry_avro::{Kind, NodeId, Plan, Primitive, Schema, Value};

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

/// Every logical type, also where it may be null and within something.
const LOGICAL: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"f0","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":10}},
    {"name":"f1","type":{"type":"bytes","logicalType":"decimal","precision":76,"scale":3}},
    {"name":"f2","type":{"type":"fixed","name":"A","size":16,"logicalType":"decimal",
        "precision":36,"scale":36}},
    {"name":"f3","type":{"type":"fixed","name":"B","size":30,"logicalType":"decimal",
        "precision":60}},
    {"name":"f4","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}},
    {"name":"f5","type":{"type":"string","logicalType":"uuid"}},
    {"name":"f6","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}},
    {"name":"f7","type":{"type":"int","logicalType":"date"}},
    {"name":"f8","type":{"type":"int","logicalType":"time-millis"}},
    {"name":"f9","type":{"type":"long","logicalType":"time-micros"}},
    {"name":"f10","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"f11","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"f12","type":{"type":"long","logicalType":"timestamp-nanos"}},
    {"name":"f13","type":{"type":"long","logicalType":"local-timestamp-millis"}},
    {"name":"f14","type":{"type":"long","logicalType":"local-timestamp-micros"}},
    {"name":"f15","type":{"type":"long","logicalType":"local-timestamp-nanos"}},
    {"name":"f16","type":["null",
        {"type":"bytes","logicalType":"decimal","precision":38,"scale":10}]},
    {"name":"f17","type":["D","null"]},
    {"name":"f18","type":{"type":"array","items":{"type":"string","logicalType":"uuid"}}},
    {"name":"f19","type":{"type":"map","values":["null",
        {"type":"string","logicalType":"uuid"}]}}]}"#;

/// A value that is one of its logical type.
fn logical_value(r: &mut Random, schema: &Schema, node: NodeId) -> Value {
    let text = |r: &mut Random| {
        let text: String = (0..32)
            .map(|_| char::from(b"0123456789abcdef"[r.below(16)]))
            .collect();
        [
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..],
        ]
        .join("-")
    };
    let ty = schema.node(node);
    match (&ty.kind, ty.logical.as_deref()) {
        (Kind::Primitive(_), Some("uuid")) => Value::String(text(r)),
        // At most 15 bytes have at most 37 digits.
        (Kind::Primitive(_), Some("decimal")) => {
            Value::Bytes((0..=r.below(15)).map(|_| r.below(256) as u8).collect())
        }
        (Kind::Fixed(fixed), Some("decimal")) => {
            let fill = if r.one_in(2) { 0xff } else { 0 };
            let mut bytes = vec![fill; fixed.size as usize];
            bytes[fixed.size as usize / 2..].fill_with(|| r.below(256) as u8);
            Value::Fixed(bytes)
        }
        (Kind::Fixed(_), Some("duration")) => {
            let parts = [r.below(1 << 31), r.below(1 << 31), r.below(1 << 32)];
            Value::Fixed(
                parts
                    .iter()
                    .flat_map(|p| (*p as u32).to_le_bytes())
                    .collect(),
            )
        }
        (Kind::Primitive(Primitive::Int), Some(_)) => Value::Int(r.below(86_400_000) as i32),
        (Kind::Primitive(_), Some(_)) => Value::Long(r.below(86_400_000_000) as i64),
        (Kind::Union(branches), _) => {
            let i = r.below(branches.len());
            Value::Union(i as u32, Box::new(logical_value(r, schema, branches[i])))
        }
        (Kind::Array(items), _) => Value::Array(
            (0..r.below(3))
                .map(|_| logical_value(r, schema, *items))
                .collect(),
        ),
        (Kind::Map(values), _) => Value::Map(
            (0..r.below(3))
                .map(|i| (i.to_string(), logical_value(r, schema, *values)))
                .collect(),
        ),
        (Kind::Record(record), _) => {
            let fields = record.fields.iter();
            Value::Record(fields.map(|f| logical_value(r, schema, f.node)).collect())
        }
        _ => arbitrary_value(r, schema, node),
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
            (Err(ours), Err(_)) => prop_assert!(ours.contains("reader"), "{}", ours),
            (Ok(_), Err(theirs)) => {
                let known = refused(&text, false).or(refused(&later, false));
                prop_assert!(known.is_some(), "{theirs}: {text} read as {later}");
            }
            (Err(ours), Ok(_)) => prop_assert!(false, "{ours}: {text} read as {later}"),
        }
    }

    #[test]
    fn arrow_avro_reads_the_same_logical_types(seed: u64) {
        let r = &mut Random(seed);
        let schema = Schema::parse(LOGICAL).expect("a schema");
        let datums: Vec<Vec<u8>> = (0..=r.below(ROWS - 1))
            .map(|_| {
                let mut datum = Vec::new();
                logical_value(r, &schema, schema.root_id()).put(&mut datum);
                datum
            })
            .collect();
        let ours = ours(&schema, &schema, &datums).expect("our columns");
        let theirs = theirs(&schema, &schema, &datums).expect("their columns");
        prop_assert_eq!(plain(&ours), plain(&theirs));
        let types = |batch: &RecordBatch| -> Vec<_> {
            let columns = batch.columns()[..18].iter();
            columns.map(|column| column.data_type().clone()).collect()
        };
        prop_assert_eq!(types(&ours), types(&theirs));

        // Written again, and read by them: decimals may be shorter.
        let mut again = Vec::new();
        encode(&schema, &ours, |_, datum| again.push(datum.to_vec())).expect("rows");
        let theirs = self::theirs(&schema, &schema, &again).expect("their columns");
        prop_assert_eq!(plain(&ours), plain(&theirs));
    }
}
