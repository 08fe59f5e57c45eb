//! Inputs that went wrong somewhere, with the right value: see `testdata/avro/found/README.md`.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use telemetry_avro::arrow::{ArrowError, Columns, encode};
use telemetry_avro::codegen::{CodegenError, generate};
use telemetry_avro::ocf::{OcfError, OcfLimits, OcfReader};
use telemetry_avro::wire::Reader;
use telemetry_avro::{Compatibility, Plan, Scalar, Schema, SchemaError, SchemaLimits, Value};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/avro/found")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path(name)).unwrap();
    file.take(1 << 20).read_to_end(&mut bytes).unwrap();
    bytes
}

fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap()
}

fn schema(name: &str) -> Schema {
    Schema::parse(&text(name)).unwrap()
}

/// The datum of one reader field after another, read with defaults alone.
fn defaults(reader: &str) -> Vec<Value> {
    let writer = schema("01-writer-empty.avsc");
    let plan = Plan::compile(&writer, &Schema::parse(reader).unwrap()).unwrap();
    assert_eq!(plan.problems(), []);
    match plan.value(&mut Reader::new(&[])).unwrap() {
        Value::Record(fields) => fields,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_are_rounded_exactly() {
    let read = defaults(&text("01-float-default.avsc"));
    let bits = |value: &Value| match value {
        Value::Double(v) => v.to_bits(),
        other => panic!("{other:?}"),
    };
    let expected = [
        1.602176634e-19f64,
        0.999_999_999_999_999_9,
        98.879_818_288_074_83,
    ];
    for (value, expected) in read.iter().zip(expected) {
        assert_eq!(bits(value), expected.to_bits());
    }
}

#[test]
fn minus_zero_is_a_whole_number() {
    assert_eq!(defaults(&text("06-neg0-int.avsc")), [Value::Int(0)]);
    let read = defaults(
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":["long","double"],"default":-0}]}"#,
    );
    assert_eq!(read, [Value::Union(0, Box::new(Value::Long(0)))]);
}

#[test]
fn union_defaults_take_the_first_branch_that_fits() {
    let read = defaults(&text("11-ok-union-defaults.avsc"));
    let union = |branch, value| Value::Union(branch, Box::new(value));
    assert_eq!(
        read,
        [
            union(1, Value::Long(3_000_000_000)),
            union(1, Value::Double(1.5))
        ]
    );
}

#[test]
fn decimals_of_another_scale_do_not_resolve() {
    let (writer, reader) = (
        schema("03-writer-decimal2.avsc"),
        schema("03-reader-decimal4.avsc"),
    );
    let plan = Plan::compile(&writer, &reader).unwrap();
    assert_eq!(plan.problems()[0].path, "R.a");
    let datum = bytes("03-datum.bin");
    assert!(plan.value(&mut Reader::new(&datum)).is_err());
    let mut columns = Columns::new(&plan, &reader).unwrap();
    assert!(columns.push(&mut Reader::new(&datum)).is_err());
    let mut out = Vec::new();
    assert!(plan.transcode(&mut Reader::new(&datum), &mut out).is_err());
    struct Nothing;
    impl<'a> telemetry_avro::FieldSink<'a> for Nothing {
        fn set(&mut self, field: usize, _: Scalar<'a>) {
            assert_ne!(field, 0);
        }
    }
    assert!(plan.decode(&mut Reader::new(&datum), &mut Nothing).is_err());
}

#[test]
fn a_changed_unit_is_said_and_refused_by_registries() {
    let (writer, reader) = (
        schema("03-writer-millis.avsc"),
        schema("03-reader-micros.avsc"),
    );
    let plan = Plan::compile(&writer, &reader).unwrap();
    assert_eq!(plan.problems()[0].path, "R.a");
    let conflict = Compatibility::Backward.check(&[&writer], &reader).unwrap();
    assert!(conflict.is_some());
}

#[test]
fn a_decimal_that_its_fixed_cannot_hold_is_none() {
    let schema = schema("07-decimal-fixed2.avsc");
    assert_eq!(schema.root().decimal, None);
    assert_eq!(schema.root().logical, None);
}

/// A container file's values, read with its own schema.
fn values(name: &str) -> Result<(Schema, Vec<Value>), OcfError> {
    let mut reader = OcfReader::new(fs::File::open(path(name)).unwrap())?;
    let schema = reader.schema().clone();
    let plan = Plan::compile(&schema, &schema).unwrap();
    let mut values = Vec::new();
    while let Some(mut block) = reader.block()? {
        while let Some(value) = block.next(|input| plan.value(input)) {
            values.push(value?);
        }
    }
    Ok((schema, values))
}

fn record(value: Value) -> Value {
    Value::Record(vec![value])
}

#[test]
fn what_was_written_is_read_leniently() {
    let app = Value::Array(vec![record(Value::String("a".into()))]);
    for (file, expected) in [
        (
            "04-bad-default-null.avro",
            record(Value::String("hi".into())),
        ),
        ("04-bad-default-int.avro", record(Value::Int(7))),
        ("04-hyphen-field.avro", record(Value::Long(7))),
        ("04-hyphen-namespace.avro", record(Value::Long(7))),
        ("04-spark-dot-namespace.avro", record(app)),
        ("04-enum-default-null.avro", Value::Enum(0)),
        ("04-comment.avro", Value::Long(7)),
        // A block without a datum stands before the one with it.
        ("11-ok-zero-block.avro", Value::Long(1)),
    ] {
        match values(file) {
            Ok((schema, values)) => {
                assert_eq!(values[0], expected, "{file}");
                // A new schema is held to the rules.
                if file.starts_with("04") && file != "04-comment.avro" {
                    assert!(Schema::parse(schema.json()).is_err(), "{file}");
                }
            }
            Err(error) => panic!("{file}: {error}"),
        }
    }
    // A byte behind the last block is no block.
    let error = values("11-ok-trailing-00.avro").unwrap_err();
    assert!(matches!(error, OcfError::End { .. }), "{error}");
}

#[test]
fn an_alias_leads_back_to_a_name_that_is_none() {
    let writer = Schema::parse_written(&text("04-alias-writer.avsc")).unwrap();
    let plan = Plan::compile(&writer, &schema("04-alias-reader.avsc")).unwrap();
    assert_eq!(plan.problems(), []);
    let datum = bytes("04-alias-datum.bin");
    let value = plan.value(&mut Reader::new(&datum)).unwrap();
    assert_eq!(value, record(Value::Long(7)));
}

#[test]
fn large_schemas_are_read_and_limits_are_true() {
    let (schema, _) = values("05-4100-columns.avro").unwrap();
    assert_eq!(schema.record().unwrap().fields.len(), 4_100);
    let limits = OcfLimits {
        schema: SchemaLimits {
            nodes_max: 4_000,
            ..SchemaLimits::default()
        },
        ..OcfLimits::default()
    };
    let file = fs::File::open(path("05-4100-columns.avro")).unwrap();
    let error = OcfReader::with_limits(file, limits).unwrap_err();
    assert!(
        matches!(
            error,
            OcfError::Schema(SchemaError::Limit { max: 4_000, .. })
        ),
        "{error}"
    );
    Schema::parse(&text("05-70k-doc.avsc")).unwrap();
    Schema::parse(&text("05-nested-43-records.avsc")).unwrap();
}

/// So many records inside each other.
fn nested(levels: usize) -> String {
    (0..levels).rev().fold(r#""int""#.to_owned(), |inner, i| {
        format!(
            r#"{{"type":"record","name":"R{i}","fields":[{{"name":"f","type":["null",{inner}]}}]}}"#
        )
    })
}

#[test]
fn sixty_four_levels_are_sixty_four() {
    Schema::parse(&nested(64)).unwrap();
    let error = Schema::parse(&nested(65)).unwrap_err();
    assert!(
        matches!(error, SchemaError::Limit { max: 64, .. }),
        "{error}"
    );
    let limits = SchemaLimits {
        depth_max: 128,
        ..SchemaLimits::default()
    };
    Schema::parse_with(&nested(128), limits).unwrap();
    let others = r#"{"type":"record","name":"Other","fields":[]}"#;
    let rules = telemetry_avro::SchemaRules::Strict;
    Schema::parse_with_references_as(&nested(128), &[others], rules, limits).unwrap();
}

#[test]
fn references_follow_the_rules_of_names() {
    let main = text("09-ref-main.avsc");
    let schema = Schema::parse_with_references(&main, &[&text("09-ref-other.avsc")]).unwrap();
    assert!(schema.canonical().contains("a.error"));
    let error = Schema::parse_with_references(
        &text("09-refconflict-main.avsc"),
        &[
            &text("09-refconflict-y.avsc"),
            &text("09-refconflict-z.avsc"),
        ],
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`Y`"), "{error}");
    // A type without a namespace, inside one with another.
    let plain = r#"{"type":"record","name":"Plain","fields":[{"name":"f","type":"double","default":1.602176634e-19}]}"#;
    let main = r#"{"type":"record","name":"a.R","fields":[{"name":"p","type":"Plain"},{"name":"q","type":"Plain"}]}"#;
    let schema = Schema::parse_with_references(main, &[plain]).unwrap();
    assert!(schema.canonical().contains(r#""name":"Plain""#));
    assert!(
        schema.json().contains("1.602176634e-19"),
        "{}",
        schema.json()
    );
    assert_eq!(Schema::parse(schema.json()).unwrap(), schema);
}

#[test]
fn errors_name_what_is_wrong() {
    let says = |name: &str| Schema::parse(&text(name)).unwrap_err().to_string();
    assert!(says("10-bom.avsc").contains("byte order mark"));
    assert!(says("10-protocol.avpr").contains("protocol"));
    assert!(says("10-capital.avsc").contains("`string`"));
    let error = values("10-concatenated.avro").unwrap_err().to_string();
    assert!(error.contains("another container file"), "{error}");
    let error = Schema::parse("[").unwrap_err().to_string();
    assert_eq!(error.matches("line 1").count(), 1, "{error}");
    let long = "x".repeat(50_000);
    let error = Schema::parse(&format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"n","type":"int","default":"{long}"}}]}}"#
    ));
    let error = error.unwrap_err().to_string();
    assert!(
        error.len() < 300 && error.contains("R.n") && error.contains("`int`"),
        "{error}"
    );
    let error =
        Schema::parse(r#"{"type":"record","name":"R","fields":[{"name":"n","type":"Integer"}]}"#);
    assert_eq!(
        error.unwrap_err().to_string(),
        "$.fields[0].type: unknown type `Integer`: write `int` (field `n` of `R`)"
    );
}

#[test]
fn what_no_types_can_be_made_of_is_said_with_advice() {
    let says = |names: &[&str]| {
        let texts: Vec<String> = names.iter().map(|name| text(name)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        generate(&texts).unwrap_err().to_string()
    };
    assert_eq!(
        says(&["08-gen-empty-enum.avsc"]),
        "E: an enum without a symbol has no value: give it one, or leave it out"
    );
    assert!(says(&["08-gen-null-default-2nd.avsc"]).contains(r#"["string", "null"]"#));
    let two = says(&["08-gen-two-versions-1.avsc", "08-gen-two-versions-2.avsc"]);
    assert!(two.contains("`x.T`") && two.contains("take one"), "{two}");
    // Every other one gives code, which the package `generated` compiles and runs.
    let mut made = 0;
    for entry in fs::read_dir(path("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("08-gen") && name.ends_with(".avsc") {
            made += usize::from(generate(&[&text(&name)]).is_ok());
        }
    }
    assert_eq!(made, 29);
    // A schema that no derived type has room for.
    let fields: Vec<String> = (0..3_000)
        .map(|i| format!(r#"{{"name":"field_{i}","type":["null","long"]}}"#))
        .collect();
    let wide = format!(
        r#"{{"type":"record","name":"Wide","fields":[{}]}}"#,
        fields.join(",")
    );
    let error = generate(&[&wide]).unwrap_err();
    assert!(matches!(error, CodegenError::Large { .. }), "{error}");
}

/// Encodes one column as the field of a record.
fn encoded(ty: &str, column: ArrayRef) -> Result<Vec<u8>, ArrowError> {
    let json = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#);
    let batch = RecordBatch::try_from_iter([("f", column)]).unwrap();
    let mut datums = Vec::new();
    encode(&Schema::parse(&json).unwrap(), &batch, |_, datum| {
        datums.extend_from_slice(datum);
    })?;
    Ok(datums)
}

#[test]
fn columns_of_another_unit_are_converted_or_refused() {
    use arrow_array::{
        Date32Array, Int64Array, Time32SecondArray, Time64NanosecondArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampSecondArray,
    };
    let logical = |base: &str, name: &str| format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#);
    let long = |v: i64| {
        let mut out = Vec::new();
        telemetry_avro::wire::put_long(&mut out, v);
        out
    };
    let micros = logical("long", "timestamp-micros");
    let millis = || TimestampMillisecondArray::from(vec![5]).with_timezone("+00:00");
    assert_eq!(encoded(&micros, Arc::new(millis())).unwrap(), long(5_000));
    let micro = TimestampMicrosecondArray::from(vec![5_000]).with_timezone("Europe/Berlin");
    let to_millis = logical("long", "timestamp-millis");
    assert_eq!(encoded(&to_millis, Arc::new(micro)).unwrap(), long(5));
    let between = TimestampMicrosecondArray::from(vec![5_001]).with_timezone("+00:00");
    assert!(encoded(&to_millis, Arc::new(between)).is_err());
    let late = TimestampSecondArray::from(vec![i64::MAX]).with_timezone("+00:00");
    assert!(encoded(&micros, Arc::new(late)).is_err());
    // A wall's clock is no instant, a date no time, and a bare number none of them.
    let local = TimestampMillisecondArray::from(vec![5]);
    assert!(encoded(&micros, Arc::new(local.clone())).is_err());
    let to_local = logical("long", "local-timestamp-micros");
    assert_eq!(encoded(&to_local, Arc::new(local)).unwrap(), long(5_000));
    assert!(encoded("\"long\"", Arc::new(millis())).is_err());
    assert!(encoded(&micros, Arc::new(Int64Array::from(vec![5]))).is_err());
    let time = logical("int", "time-millis");
    assert!(encoded(&time, Arc::new(Date32Array::from(vec![5]))).is_err());
    assert_eq!(
        encoded(&time, Arc::new(Time32SecondArray::from(vec![5]))).unwrap(),
        long(5_000)
    );
    let nanos = Time64NanosecondArray::from(vec![5_000_000]);
    assert_eq!(encoded(&time, Arc::new(nanos)).unwrap(), long(5));
    assert!(encoded("\"int\"", Arc::new(Date32Array::from(vec![5]))).is_err());
}
