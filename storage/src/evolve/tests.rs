use super::random::{Random, datum, schema as random_schema, text};
use super::*;
use proptest::prelude::*;
use telemetry_core::Schema;
use telemetry_core::wire::{Reader, put_long};

fn schema(fields: &str) -> Schema {
    let json = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    Schema::parse(&json).unwrap()
}

/// Applies schemas in order and returns the columns each one writes to.
fn run(schemas: &[&str]) -> (Table, Vec<Vec<String>>) {
    let mut table = Table::new(&["ts"]);
    let columns = schemas
        .iter()
        .map(|fields| {
            let shape = Shape::of(&schema(fields)).unwrap();
            let evolution = table.evolve(Part::Record, &shape, 400);
            table.apply(&evolution);
            let name = |id: &Option<ColumnId>| table.column(id.unwrap()).unwrap().name.clone();
            evolution.layout.columns.iter().map(name).collect()
        })
        .collect();
    (table, columns)
}

#[test]
fn a_renamed_field_keeps_its_column_in_either_order() {
    let old = r#"{"name":"power","type":["null","int"]}"#;
    let new = r#"{"name":"watts","type":["null","long"],"aliases":["power"]}"#;
    assert_eq!(run(&[old, new]).1, [["power"], ["power"]]);
    assert_eq!(run(&[new, old]).1, [["watts"], ["watts"]]);
    assert_eq!(run(&[new, old]).0.columns().len(), 1);
}

#[test]
fn a_name_that_comes_back_gets_a_column_in_every_order_of_arrival() {
    let power = r#"{"name":"power","type":"int"}"#;
    let renamed = r#"{"name":"watts","type":"int","aliases":["power"]}"#;
    let both = r#"{"name":"watts","type":"int","aliases":["power"]},{"name":"power","type":"int"}"#;
    let orders = [
        [power, renamed, both],
        [power, both, renamed],
        [renamed, power, both],
        [renamed, both, power],
        [both, power, renamed],
        [both, renamed, power],
    ];
    for order in orders {
        for (fields, columns) in order.iter().zip(run(&order).1) {
            let mut distinct = columns.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), columns.len(), "{fields}: {columns:?}");
        }
    }
}

#[test]
fn widening_keeps_the_column_and_another_type_gets_its_own() {
    let (table, columns) = run(&[
        r#"{"name":"a","type":"int"}"#,
        r#"{"name":"a","type":"long"}"#,
        r#"{"name":"a","type":"double"}"#,
        r#"{"name":"a","type":"int"}"#,
        r#"{"name":"a","type":["null","int","string"]}"#,
    ]);
    let expected = [
        vec!["a"],
        vec!["a"],
        vec!["a__f64"],
        vec!["a"],
        vec!["a", "a__text"],
    ];
    assert_eq!(columns, expected);
    assert_eq!(table.columns().len(), 3);
}

#[test]
fn records_in_records_become_columns_and_what_repeats_becomes_avro() {
    let (_, columns) = run(&[
        r#"{"name":"position","type":["null",{"type":"record","name":"P","fields":[
            {"name":"lat","type":"double"},{"name":"lon","type":"double"}]}]},
        {"name":"zones","type":{"type":"array","items":"int"}},
        {"name":"tags","type":{"type":"map","values":"string"}},
        {"name":"either","type":["int","long"]}"#,
    ]);
    let expected = [
        "position",
        "position_lat",
        "position_lon",
        "zones__avro",
        "tags__avro",
        "either__avro",
    ];
    assert_eq!(columns[0], expected);
}

#[test]
fn a_record_within_itself_ends() {
    let node = r#"{"type":"record","name":"Node","fields":[
        {"name":"v","type":"int"},{"name":"next","type":["null","Node"]}]}"#;
    let shape = Shape::of(&Schema::parse(node).unwrap()).unwrap();
    let paths: Vec<_> = shape.leaves().iter().map(|l| l.path.as_str()).collect();
    assert_eq!(paths, ["v", "next"]);
}

#[test]
fn a_schema_that_names_millions_of_fields_gets_a_bounded_number_of_leaves() {
    let mut inner = r#""int""#.to_owned();
    for level in 0..4 {
        // The first use of a record defines it, the others name it.
        let again = match level {
            0 => inner.clone(),
            _ => format!("\"L{}\"", level - 1),
        };
        let of = std::iter::once(inner).chain(std::iter::repeat(again));
        let fields = of.enumerate().take(60);
        let fields = fields.map(|(i, of)| format!(r#"{{"name":"f{i}","type":{of}}}"#));
        let fields = fields.collect::<Vec<_>>().join(",");
        inner = format!(r#"{{"type":"record","name":"L{level}","fields":[{fields}]}}"#);
    }
    let shape = Shape::of(&Schema::parse(&inner).unwrap()).unwrap();
    assert!(shape.leaves().len() < 5_000, "{}", shape.leaves().len());
}

#[test]
fn names_are_plain_and_never_collide() {
    let (_, columns) = run(&[
        r#"{"name":"ts","type":"int"},{"name":"Ab","type":"int"},{"name":"aB","type":"int"},
           {"name":"AB","type":"int"},{"name":"_x","type":"int"},{"name":"current_time","type":"int"}"#,
    ]);
    let expected = [
        "ts__i64",
        "ab",
        "ab__i64",
        "ab_2",
        "f_x",
        "current_time__i64",
    ];
    assert_eq!(columns[0], expected);
    let long = "a".repeat(60);
    let (_, columns) = run(&[&format!(
        r#"{{"name":"{long}1","type":"int"}},{{"name":"{long}2","type":"int"}}"#
    )]);
    assert_eq!(columns[0][0].len(), 48);
    assert_ne!(columns[0][0], columns[0][1]);
}

#[test]
fn tables_are_never_the_databases_own() {
    for stream in [
        "Order",
        "Group",
        "Index",
        "sqlite.stat1",
        "xpt.schema",
        "SQLite_master",
    ] {
        let name = table_name(stream, 0);
        assert!(!names::is_reserved(&name), "{name}");
        assert!(
            !name.starts_with("sqlite_") && !name.starts_with("xpt_"),
            "{name}"
        );
    }
}

#[test]
fn enrichment_and_records_share_a_table_without_a_collision() {
    let mut table = Table::new(&[]);
    let site = Shape::of(&schema(r#"{"name":"site","type":"string"}"#)).unwrap();
    let own = Shape::of(&schema(r#"{"name":"meta_site","type":"string"}"#)).unwrap();
    let enrichment = table.evolve(Part::Enrichment, &site, 400);
    table.apply(&enrichment);
    let record = table.evolve(Part::Record, &own, 400);
    assert_eq!(enrichment.added[0].name, "meta_site");
    assert_eq!(record.added[0].name, "meta_site__text");
}

/// Reads a datum into cells and back, keeping only what columns and `extra` keep.
fn round_trip(shape: &Shape, layout: &Layout, datum: &[u8]) -> Vec<u8> {
    let mut row = Row::default();
    let mut input = Reader::new(datum);
    shape.read(layout, &mut input, &mut row).unwrap();
    assert!(input.is_empty());
    let kept = row.cells().iter().zip(&layout.columns);
    let kept: Vec<Cell<'_>> = kept
        .map(|(cell, column)| match cell {
            // What SQLite makes of them.
            Cell::Real(v) if v.is_nan() => Cell::Null,
            Cell::Real(v) => Cell::Real(v + 0.0),
            cell if column.is_some() => *cell,
            _ => Cell::Null,
        })
        .collect();
    let extra = row.extra(shape);
    let extra = Some(extra.as_slice()).filter(|e| !e.is_empty());
    let mut out = Vec::new();
    shape.write(&kept, extra, &mut out).unwrap();
    out
}

#[test]
fn what_a_column_does_not_hold_is_exact_in_extra() {
    let (one, uuid, decimal, millis) = (
        schema(r#"{"name":"v","type":"double"}"#),
        schema(r#"{"name":"v","type":{"type":"string","logicalType":"uuid"}}"#),
        schema(r#"{"name":"v","type":{"type":"bytes","logicalType":"decimal","precision":4}}"#),
        schema(r#"{"name":"v","type":{"type":"long","logicalType":"timestamp-millis"}}"#),
    );
    let mut far = Vec::new();
    put_long(&mut far, i64::MAX);
    let cases: Vec<(&Schema, Vec<u8>, bool)> = vec![
        (&one, 1.5f64.to_le_bytes().to_vec(), false),
        (&one, f64::NAN.to_le_bytes().to_vec(), true),
        (&one, 0x7ff0_0000_0000_0001u64.to_le_bytes().to_vec(), true),
        (&one, (-0.0f64).to_le_bytes().to_vec(), true),
        (&uuid, text("0f4a8f5e-0000-4000-8000-000000000001"), false),
        (&uuid, text("0F4A8F5E-0000-4000-8000-000000000001"), true),
        (&uuid, text("no uuid"), true),
        (&decimal, vec![2, 0x05], false),
        (&decimal, vec![4, 0x00, 0x05], true),
        (&decimal, vec![0], true),
        (&millis, vec![2], false),
        (&millis, far, true),
    ];
    for (schema, datum, inexact) in cases {
        let shape = Shape::of(schema).unwrap();
        let layout = Table::new(&[]).evolve(Part::Record, &shape, 400).layout;
        let mut row = Row::default();
        shape
            .read(&layout, &mut Reader::new(&datum), &mut row)
            .unwrap();
        assert_eq!(!row.extra(&shape).is_empty(), inexact, "{datum:?}");
        assert_eq!(round_trip(&shape, &layout, &datum), datum);
    }
}

#[test]
fn the_event_time_is_microseconds_whatever_it_counts() {
    let time = |of: &str, datum: &[u8]| {
        let fields = format!(r#"{{"name":"t","type":{of},"xpt.eventTime":true}}"#);
        let shape = Shape::of(&schema(&fields)).unwrap();
        let layout = Table::new(&[]).evolve(Part::Record, &shape, 400).layout;
        let mut row = Row::default();
        shape
            .read(&layout, &mut Reader::new(datum), &mut row)
            .unwrap();
        shape.time(row.cells())
    };
    let number = |n: i64| {
        let mut out = Vec::new();
        put_long(&mut out, n);
        out
    };
    let logical =
        |of: &str, logical: &str| format!(r#"{{"type":"{of}","logicalType":"{logical}"}}"#);
    let second = 1_700_000_000;
    let micros = Some(second * 1_000_000);
    let millis = number(second * 1_000);
    assert_eq!(time(&logical("long", "timestamp-millis"), &millis), micros);
    assert_eq!(
        time(
            &logical("long", "timestamp-micros"),
            &number(second * 1_000_000)
        ),
        micros
    );
    assert_eq!(
        time(
            &logical("long", "timestamp-nanos"),
            &number(second * 1_000_000_000)
        ),
        micros
    );
    assert_eq!(
        time(&logical("int", "date"), &number(2)),
        Some(2 * 86_400_000_000)
    );
    assert_eq!(time(r#""int""#, &number(second)), micros);
    assert_eq!(time(r#""long""#, &number(second * 1_000_000)), micros);
    assert_eq!(time(r#"["null","long"]"#, &number(0)), None);
    assert_eq!(time(r#""string""#, &text("2023-11-14T22:13:20Z")), micros);
    assert_eq!(time(r#""string""#, &text("yesterday")), None);
}

#[test]
fn a_plan_is_told_in_words() {
    let shape = Shape::of(&schema(
        r#"{"name":"a","type":"int"},{"name":"b","type":"string"}"#,
    ))
    .unwrap();
    let evolution = Table::new(&[]).evolve(Part::Record, &shape, 1);
    let words = evolution.to_string();
    assert!(words.contains("add column a (i64)"), "{words}");
    assert!(words.contains("keep b in extra"), "{words}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_record_comes_back_bit_by_bit(seed: u64, columns_max in 0usize..12) {
        let mut random = Random(seed);
        let schema = Schema::parse(&random_schema(&mut random)).unwrap();
        let shape = Shape::of(&schema).unwrap();
        let layout = Table::new(&["ts"]).evolve(Part::Record, &shape, columns_max).layout;
        for _ in 0..5 {
            let datum = datum(&mut random, &schema);
            prop_assert_eq!(round_trip(&shape, &layout, &datum), datum);
        }
    }

    #[test]
    fn damaged_records_are_refused_and_never_panic(seed: u64, cut: usize, flip: usize) {
        let mut random = Random(seed);
        let schema = Schema::parse(&random_schema(&mut random)).unwrap();
        let shape = Shape::of(&schema).unwrap();
        let layout = Table::new(&[]).evolve(Part::Record, &shape, 400).layout;
        let mut datum = datum(&mut random, &schema);
        if !datum.is_empty() {
            let at = flip % datum.len();
            datum[at] ^= 1 << (flip % 8);
            datum.truncate(cut % (datum.len() + 1));
        }
        let mut row = Row::default();
        if shape.read(&layout, &mut Reader::new(&datum), &mut row).is_ok() {
            let extra = row.extra(&shape);
            let mut out = Vec::new();
            let extra = Some(extra.as_slice()).filter(|e| !e.is_empty());
            prop_assert!(shape.write(row.cells(), extra, &mut out).is_ok());
        }
    }
}
