//! Public reports about other tools, tried here: see `FIELD.md`. Nothing of a report is copied; each test
//! builds an input of its kind.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Decimal128Array, RecordBatch};
use telemetry_avro::arrow::encode;
use telemetry_avro::ocf::{Codec, OcfLimits, OcfReader, OcfWriter};
use telemetry_avro::wire::{Reader, put_bytes, put_long};
use telemetry_avro::{DecodeError, Plan, Schema, Value};

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

fn plan(writer: &str, reader: &str) -> Plan {
    let writer = Schema::parse_written(writer).unwrap();
    Plan::compile(&writer, &Schema::parse(reader).unwrap()).unwrap()
}

fn read(writer: &str, reader: &str, datum: &[u8]) -> Result<Value, DecodeError> {
    plan(writer, reader).value(&mut Reader::new(datum))
}

/// apache/spark 31329: a decimal was read with the reader's scale.
#[test]
fn a_decimal_is_not_read_with_another_scale() {
    let of = |precision: u32, scale: u32| {
        record(&format!(
            r#"{{"name":"a","type":{{"type":"fixed","name":"D","size":4,"logicalType":"decimal","precision":{precision},"scale":{scale}}}}}"#
        ))
    };
    let error = read(&of(3, 2), &of(4, 3), &[0, 0, 1, 0x3a]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("(3, 2) is written, (4, 3) wanted"),
        "{error}"
    );
}

/// linkedin/goavro 193: every decimal had the scale of the first.
#[test]
fn each_decimal_has_its_own_scale() {
    let of = |name: &str, scale: u32| {
        format!(
            r#"{{"name":"{name}","type":{{"type":"bytes","logicalType":"decimal","precision":4,"scale":{scale}}}}}"#
        )
    };
    let schema = Schema::parse(&record(&format!("{},{}", of("a", 0), of("b", 2)))).unwrap();
    let scales = |schema: &Schema| -> Vec<u32> {
        let fields = &schema.record().unwrap().fields;
        fields
            .iter()
            .map(|f| schema.node(f.node).decimal.unwrap().scale)
            .collect()
    };
    assert_eq!(scales(&schema), [0, 2]);
    let arrow = telemetry_avro::arrow::schema(&schema).unwrap();
    let types: Vec<String> = arrow
        .fields()
        .iter()
        .map(|f| f.data_type().to_string())
        .collect();
    assert_eq!(types, ["Decimal128(4, 0)", "Decimal128(4, 2)"]);
}

/// databricks/spark-avro 176: a missing field was null instead of its default.
#[test]
fn a_missing_field_takes_its_default() {
    let old = record(r#"{"name":"a","type":"string"}"#);
    let new =
        record(r#"{"name":"a","type":"string"},{"name":"b","type":"string","default":"hello"}"#);
    let datum = [8, b't', b'e', b's', b't'];
    assert_eq!(
        read(&old, &new, &datum).unwrap(),
        Value::Record(vec![
            Value::String("test".into()),
            Value::String("hello".into())
        ])
    );
}

/// apache/arrow-rs 10235: nine trillion nulls in ten bytes kept a thread busy for good.
#[test]
fn items_without_bytes_end() {
    let list = r#"{"type":"array","items":"null"}"#;
    let mut datum = Vec::new();
    put_long(&mut datum, i64::MAX);
    datum.push(0);
    let (done, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let skipped = read(
            &record(&format!(r#"{{"name":"l","type":{list}}}"#)),
            &record(""),
            &datum,
        );
        let taken = read(list, list, &datum);
        done.send(skipped.is_err() && taken.is_err())
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok(true));
}

/// mercari/pipeline 122, duckdb/duckdb-avro 82: milliseconds taken for another unit.
#[test]
fn milliseconds_stay_milliseconds() {
    let of = |unit: &str| {
        record(&format!(
            r#"{{"name":"t","type":{{"type":"long","logicalType":"timestamp-{unit}"}}}}"#
        ))
    };
    assert!(plan(&of("millis"), &of("micros")).check().is_err());
    let arrow = telemetry_avro::arrow::schema(&Schema::parse(&of("millis")).unwrap()).unwrap();
    let ty = arrow.field(0).data_type().to_string();
    assert!(ty.contains("ms"), "{ty}");
}

/// apache/avro-rs 392: a long that became an int lost its upper half.
#[test]
fn a_long_never_becomes_an_int() {
    let mut datum = Vec::new();
    put_long(&mut datum, i64::from(i32::MAX) + 1);
    assert!(read(r#""long""#, r#""int""#, &datum).is_err());
    assert!(plan(r#""long""#, r#""int""#).check().is_err());
}

/// mtth/avsc 406: a long default lost its last digit on the way through a double.
#[test]
fn a_long_default_keeps_every_digit() {
    for number in [9_007_199_254_740_993, i64::MAX, i64::MIN] {
        let new = record(&format!(
            r#"{{"name":"n","type":"long","default":{number}}}"#
        ));
        let value = read(&record(""), &new, &[]).unwrap();
        assert_eq!(value, Value::Record(vec![Value::Long(number)]));
    }
}

/// apache/hudi 5539, apache/hive 1994, trinodb/trino 9243: files whose schema has a default of another type.
#[test]
fn a_default_of_another_type_does_not_hide_a_file() {
    for (ty, default, datum, expected) in [
        (
            r#"["null","string"]"#,
            r#""null""#,
            vec![0],
            Value::Union(0, Box::new(Value::Null)),
        ),
        (
            r#"{"type":"array","items":"string"}"#,
            "null",
            vec![0],
            Value::Array(vec![]),
        ),
        (
            r#""string""#,
            "null",
            vec![2, b'x'],
            Value::String("x".into()),
        ),
    ] {
        let field = |default: &str| record(&format!(r#"{{"name":"f","type":{ty}{default}}}"#));
        let old = field(&format!(r#","default":{default}"#));
        let value = read(&old, &field(""), &datum).unwrap();
        assert_eq!(value, Value::Record(vec![expected]), "{old}");
    }
}

/// mtth/avsc 323, ClickHouse/ClickHouse 12661, datahub-project/datahub 16310: names with hyphens in topics
/// that nobody can change any more.
#[test]
fn hyphens_in_old_names_are_read() {
    let old = r#"{"type":"record","name":"Blog","namespace":"my-team.bounded-context","fields":[
        {"name":"author-id","type":"int"}]}"#;
    let new = r#"{"type":"record","name":"Blog","fields":[
        {"name":"author_id","type":"int","aliases":["author-id"]}]}"#;
    assert!(Schema::parse(old).is_err());
    assert_eq!(
        read(old, new, &[2]).unwrap(),
        Value::Record(vec![Value::Int(1)])
    );
}

/// hamba/avro 565: a decimal too long for its fixed shifted everything behind it.
#[test]
fn a_decimal_that_does_not_fit_is_not_written() {
    let of = |precision: u32| {
        format!(
            r#"{{"type":"fixed","name":"D","size":3,"logicalType":"decimal","precision":{precision},"scale":2}}"#
        )
    };
    // Three bytes hold six digits whatever they are.
    assert!(Schema::parse(&of(6)).unwrap().root().decimal.is_some());
    assert!(Schema::parse(&of(7)).unwrap().root().decimal.is_none());
    let schema = Schema::parse(&record(&format!(r#"{{"name":"d","type":{}}}"#, of(6)))).unwrap();
    let batch = |value: i128| {
        let array = Decimal128Array::from(vec![value]).with_data_type(
            telemetry_avro::arrow::arrow_schema::DataType::Decimal128(6, 2),
        );
        RecordBatch::try_from_iter([("d", Arc::new(array) as _)]).unwrap()
    };
    let mut datums = Vec::new();
    encode(&schema, &batch(999_999), |_, d| datums.push(d.to_vec())).unwrap();
    assert_eq!(datums, [[0x0f, 0x42, 0x3f]]);
    assert!(encode(&schema, &batch(1_000_000), |_, _| {}).is_err());
}

/// commandprompt/pgcolumnar 633: small blocks that unpack to much filled the memory.
#[test]
fn a_block_that_unpacks_to_much_is_refused() {
    let limits = OcfLimits {
        block_bytes_max: 64 << 10,
        ..OcfLimits::default()
    };
    let wide = OcfLimits::default();
    let schema = Schema::parse(r#""bytes""#).unwrap();
    let mut writer =
        OcfWriter::with_limits(Vec::new(), &schema, Codec::Deflate, [7; 16], [], wide).unwrap();
    writer
        .push_with(|block| put_bytes(block, &vec![0; 1 << 20]))
        .unwrap();
    let file = writer.finish().unwrap();
    assert!(file.len() < 8 << 10);
    let mut reader = OcfReader::with_limits(&file[..], limits).unwrap();
    let error = reader.block().unwrap_err();
    assert!(error.to_string().contains("65536"), "{error}");
}

/// apache/avro 1970: a symbol that the reader lacks took the place of another.
#[test]
fn an_unknown_symbol_is_the_default_or_an_error() {
    let of = |symbols: &str, default: &str| {
        format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{default}}}"#)
    };
    let old = of(r#""A","B","C""#, "");
    let with = of(r#""X","A""#, r#","default":"X""#);
    assert_eq!(read(&old, &with, &[4]).unwrap(), Value::Enum(0));
    assert_eq!(read(&old, &with, &[0]).unwrap(), Value::Enum(1));
    assert!(read(&old, &of(r#""X","A""#, ""), &[4]).is_err());
    // A number that is no symbol of the writer's is damage, whatever the default.
    assert!(read(&old, &with, &[6]).is_err());
}
