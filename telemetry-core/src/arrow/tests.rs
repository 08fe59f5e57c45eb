//! Columns beside values, and back.

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type};

use super::*;

const OLD: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"gone","type":"double"},
    {"name":"n","type":["null","int"]},
    {"name":"list","type":{"type":"array","items":{"type":"record","name":"P","fields":[
        {"name":"x","type":"int"},{"name":"y","type":["string","null"]}]}}},
    {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B","C"]}},
    {"name":"u","type":["int","string","P"]},
    {"name":"m","type":{"type":"map","values":{"type":"array","items":"double"}}}]}"#;

const NEW: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"u","type":["null","P0","string","double"]},
    {"name":"m","type":{"type":"map","values":{"type":"array","items":"double"}}},
    {"name":"e","type":{"type":"enum","name":"E","symbols":["Z","B","A"],"default":"Z"}},
    {"name":"list","type":{"type":"array","items":{"type":"record","name":"P","fields":[
        {"name":"y","type":["null","string"]},{"name":"x","type":"long"},
        {"name":"z","type":"boolean","default":true}]}}},
    {"name":"n","type":["null","double"]},
    {"name":"text","type":"string","default":"same"},
    {"name":"lists","type":{"type":"array","items":"int"},"default":[1,2]}]}"#;

fn schemas() -> (Schema, Schema) {
    let new = NEW.replace("\"P0\"", "\"boolean\"");
    (Schema::parse(OLD).unwrap(), Schema::parse(&new).unwrap())
}

/// Rows by number: every branch, empty and full collections.
fn datum(i: u8) -> Vec<u8> {
    let mut out = alloc::vec![0u8; 8];
    match i % 2 {
        0 => out.push(0),
        _ => out.extend([2, i * 2]),
    }
    match i % 3 {
        0 => out.push(0),
        // Two blocks, one of which says its size: {1, "é"}, then {2, null}.
        _ => out.extend([1, 10, 2, 0, 4, 0xc3, 0xa9, 2, 4, 2, 0]),
    }
    out.push(i % 3 * 2);
    match i % 2 {
        0 => out.extend([0, i * 2]),
        _ => out.extend([2, 2, b'a' + i]),
    }
    out.extend([2, 2, b'k', 2]);
    out.extend(f64::from(i).to_le_bytes());
    out.extend([0, 0]);
    out
}

#[test]
fn columns_say_what_values_say() {
    let (old, new) = schemas();
    let plan = Plan::compile(&old, &new).unwrap();
    let mut columns = Columns::new(&plan, &new).unwrap();
    let mut expected = Vec::new();
    for i in 0..20 {
        let datum = datum(i);
        let mut out = Vec::new();
        plan.value(&mut Reader::new(&datum)).unwrap().put(&mut out);
        expected.push(out);
        columns.push(&mut Reader::new(&datum)).unwrap();
        // Wherever a datum breaks, the rows before it stay whole.
        let cut = datum.len() - 1 - usize::from(i) % datum.len().min(15);
        assert!(columns.push(&mut Reader::new(&datum[..cut])).is_err());
    }
    assert_eq!(columns.rows(), 20);
    let batch = columns.finish().unwrap();
    assert_eq!(columns.rows(), 0);
    assert_eq!(batch.num_rows(), 20);
    let n = batch.column(4).as_primitive::<Float64Type>();
    assert_eq!((n.value(1), n.is_null(2)), (1.0, true));
    let e = batch.column(2).as_dictionary::<Int32Type>();
    assert_eq!(e.keys().values()[..3], [2, 1, 0]);
    let text = batch.column(5).as_string::<i32>();
    assert_eq!(text.value(19), "same");

    let mut found = Vec::new();
    encode(&new, &batch, |_, datum| found.push(datum.to_vec())).unwrap();
    assert_eq!(found, expected);

    // The columns start again.
    columns.push(&mut Reader::new(&datum(1))).unwrap();
    assert_eq!(columns.finish().unwrap().num_rows(), 1);
    assert_eq!(columns.finish().unwrap().num_rows(), 0);
}

#[test]
fn says_what_arrow_cannot_hold() {
    let list = Schema::parse(
        r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#,
    )
    .unwrap();
    let error = schema(&list).unwrap_err();
    assert_eq!(error.to_string(), "L.next: no type of Arrow holds itself");
    let int = Schema::parse("\"int\"").unwrap();
    assert!(matches!(schema(&int), Err(ArrowError::NoRecord)));
    let (old, new) = schemas();
    let plan = Plan::compile(&old, &new).unwrap();
    assert!(matches!(
        Columns::new(&plan, &old),
        Err(ArrowError::OtherReader)
    ));
}

#[test]
fn says_which_column_does_not_fit() {
    let (old, new) = schemas();
    let plan = Plan::compile(&old, &old).unwrap();
    let mut columns = Columns::new(&plan, &old).unwrap();
    columns.push(&mut Reader::new(&datum(1))).unwrap();
    let batch = columns.finish().unwrap();
    let error = encode(&new, &batch, |_, _| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "R.u: the schema has Union of 4, the batch Union(Dense, 0: (\"int\": non-null Int32), \
         1: (\"string\": non-null Utf8), 2: (\"P\": non-null Struct(\"x\": non-null Int32, \"y\": Utf8)))"
    );
}
