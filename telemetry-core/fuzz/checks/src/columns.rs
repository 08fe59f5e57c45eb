//! Datums to columns and back.

use telemetry_core::arrow::{Columns, encode};
use telemetry_core::wire::Reader;
use telemetry_core::{Plan, Schema, Value};

/// Records whose columns give back the value that was read; of decimals only fixed ones do, since others
/// may be written with bytes to spare.
const SCHEMAS: &[&str] = &[
    r#"{"type":"record","name":"R","fields":[
        {"name":"a","type":"int"},{"name":"b","type":["null","string"]},{"name":"c","type":"double"}]}"#,
    r#"{"type":"record","name":"R","fields":[
        {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B","C"]}},
        {"name":"l","type":{"type":"array","items":["null","long"]}},
        {"name":"m","type":{"type":"map","values":"bytes"}}]}"#,
    r#"{"type":"record","name":"R","fields":[
        {"name":"u","type":["null","int","string",{"type":"array","items":"boolean"}]},
        {"name":"r","type":{"type":"record","name":"S","fields":[{"name":"x","type":["float","null"]}]}}]}"#,
    r#"{"type":"record","name":"R","fields":[
        {"name":"d","type":{"type":"fixed","name":"D","size":4,"logicalType":"decimal","precision":9,"scale":2}},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"o","type":{"type":"int","logicalType":"time-millis"}},
        {"name":"i","type":{"type":"fixed","name":"I","size":12,"logicalType":"duration"}}]}"#,
];

/// The first byte chooses a schema, the rest are its datums: what goes into columns comes out again.
pub fn columns(bytes: &[u8]) {
    let Some((&choice, rest)) = bytes.split_first() else {
        return;
    };
    let schema = Schema::parse(SCHEMAS[usize::from(choice) % SCHEMAS.len()]).unwrap();
    let plan = Plan::compile(&schema, &schema).unwrap();
    let mut columns = Columns::new(&plan, &schema).unwrap();
    let mut input = Reader::new(rest);
    let mut expected = Vec::new();
    while !input.is_empty() && expected.len() < 64 {
        let mut ahead = input.clone();
        if columns.push(&mut input).is_err() {
            break;
        }
        expected.push(written(&plan.value(&mut ahead).unwrap()));
    }
    assert_eq!(columns.rows(), expected.len());
    let batch = columns.finish().unwrap();
    let mut found = Vec::new();
    encode(&schema, &batch, |_, datum| {
        let mut input = Reader::new(datum);
        found.push(written(&plan.value(&mut input).unwrap()));
        assert!(input.is_empty());
    })
    .unwrap();
    assert_eq!(found, expected);
}

/// The value's bytes, which also tell one NaN from another.
fn written(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.put(&mut out);
    out
}
