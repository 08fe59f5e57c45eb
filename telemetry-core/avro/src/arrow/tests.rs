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

const LOGICAL: &str = r#"{"type":"record","name":"L","fields":[
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}},
    {"name":"wide","type":["null",{"type":"fixed","name":"W","size":20,"logicalType":"decimal",
        "precision":40,"scale":0}]},
    {"name":"span","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}},
    {"name":"id","type":{"type":"string","logicalType":"uuid"}},
    {"name":"raw","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}}]}"#;

const ID: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

/// A price and a span; the rest is the same.
fn logical(price: &[u8], span: [u32; 3]) -> Vec<u8> {
    let mut out = alloc::vec![price.len() as u8 * 2];
    out.extend(price);
    out.push(2);
    out.extend([0xff; 19]);
    out.push(0xfe);
    out.extend(span.into_iter().flat_map(u32::to_le_bytes));
    out.push(36 * 2);
    out.extend(ID.as_bytes());
    out.extend(1..=16);
    out
}

#[test]
fn logical_types_have_arrows_form() {
    use arrow_array::types::{Decimal128Type, Decimal256Type, IntervalMonthDayNanoType};
    use arrow_schema::{DataType, IntervalUnit};

    let schema = Schema::parse(LOGICAL).unwrap();
    let plan = Plan::compile(&schema, &schema).unwrap();
    let mut columns = Columns::new(&plan, &schema).unwrap();
    let rows = [
        logical(&[0xff, 0x85], [1, 2, 3]),
        logical(&[0x7b], [0, 0, u32::MAX]),
    ];
    for row in &rows {
        columns.push(&mut Reader::new(row)).unwrap();
    }
    // What does not fit leaves no row, and says where and by how much.
    let offset = |message: &str, row: Vec<u8>| {
        let error = columns.push(&mut Reader::new(&row)).unwrap_err();
        assert_eq!(error.to_string(), message);
    };
    let mut offset = offset;
    offset(
        "at byte 0: the decimal has more than 5 digits",
        logical(&[0x01, 0x86, 0xa0], [0; 3]),
    );
    offset(
        "at byte 23: the duration has more than 2^31 months or days",
        logical(&[0x7b], [1 << 31, 0, 0]),
    );
    let batch = columns.finish().unwrap();
    let types: Vec<_> = batch
        .columns()
        .iter()
        .map(|c| c.data_type().clone())
        .collect();
    assert_eq!(
        types,
        [
            DataType::Decimal128(5, 2),
            DataType::Decimal256(40, 0),
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::FixedSizeBinary(16),
            DataType::FixedSizeBinary(16),
        ]
    );
    let price = batch.column(0).as_primitive::<Decimal128Type>();
    assert_eq!(
        (price.value_as_string(0), price.value_as_string(1)),
        ("-1.23".into(), "1.23".into())
    );
    let wide = batch.column(1).as_primitive::<Decimal256Type>();
    assert_eq!(wide.value_as_string(0), "-2");
    let span = batch.column(2).as_primitive::<IntervalMonthDayNanoType>();
    let (first, second) = (span.value(0), span.value(1));
    assert_eq!(
        (first.months, first.days, first.nanoseconds),
        (1, 2, 3_000_000)
    );
    assert_eq!(second.nanoseconds, 4_294_967_295_000_000);
    let id = batch.column(3).as_fixed_size_binary();
    assert_eq!(id.value(0), uuid::Uuid::parse_str(ID).unwrap().as_bytes());

    let mut found = Vec::new();
    encode(&schema, &batch, |_, datum| found.push(datum.to_vec())).unwrap();
    // As few bytes as hold the decimal.
    assert_eq!(found, [logical(&[0x85], [1, 2, 3]), rows[1].clone()]);
}

#[test]
fn columns_that_no_datum_holds_are_refused() {
    use arrow_array::types::IntervalMonthDayNano;
    use arrow_array::{ArrayRef, Decimal128Array, IntervalMonthDayNanoArray};

    let check = |ty: &str, array: ArrayRef, message: &str| {
        let text = alloc::format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#
        );
        let batch = RecordBatch::try_from_iter([("f", array)]).unwrap();
        let error = encode(&Schema::parse(&text).unwrap(), &batch, |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), message);
    };
    let fixed = r#"{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":4}"#;
    let decimal = |value| {
        let array = Decimal128Array::from_iter_values([value]);
        Arc::new(array.with_data_type(arrow_schema::DataType::Decimal128(4, 0)))
    };
    check(
        fixed,
        decimal(10_000),
        "row 0: the decimal has more digits than its precision says",
    );
    let short = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}"#;
    check(
        short,
        decimal(1),
        "R.f: the schema has Decimal128(4, 1), the batch Decimal128(4, 0)",
    );
    let duration = r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#;
    let interval = |months, nanos| {
        let value = IntervalMonthDayNano::new(months, 0, nanos);
        Arc::new(IntervalMonthDayNanoArray::from_iter_values([value]))
    };
    let reason = "row 0: a part of the interval is negative, or over 2^32 ms";
    check(duration, interval(-1, 0), reason);
    check(duration, interval(0, 1 << 53), reason);
    check(
        duration,
        interval(0, 1),
        "row 0: the interval has a part of a millisecond",
    );
}

#[test]
fn a_default_that_is_no_value_of_its_logical_type_is_said_at_once() {
    let empty = Schema::parse(r#"{"type":"record","name":"R","fields":[]}"#).unwrap();
    let reader = Schema::parse(
        r#"{"type":"record","name":"R","fields":[
            {"name":"id","type":{"type":"string","logicalType":"uuid"},"default":"none"}]}"#,
    )
    .unwrap();
    let plan = Plan::compile(&empty, &reader).unwrap();
    let error = Columns::new(&plan, &reader).unwrap_err();
    assert_eq!(error.to_string(), "at byte 0: the text is no UUID");
}
