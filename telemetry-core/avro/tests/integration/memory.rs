//! What stays in memory while hostile datums are read.

use counting::{Counting, measure};
use telemetry_avro::arrow::Columns;
use telemetry_avro::wire::{Reader, put_bytes, put_long};
use telemetry_avro::{AvroRecord, Entries, Items, Plan, Schema};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes beyond the share of the input: what the plan's reader costs whatever it reads.
const FIXED: usize = 4096;

fn plan(item: &str) -> (Schema, Plan) {
    let text =
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"list","type":{item}}}]}}"#);
    let schema = Schema::parse(&text).unwrap();
    let plan = Plan::compile(&schema, &schema).unwrap();
    (schema, plan)
}

/// Blocks with `item` so many times.
fn blocks(blocks: usize, count: usize, item: &[u8]) -> Vec<u8> {
    let mut datum = Vec::new();
    for _ in 0..blocks {
        put_long(&mut datum, count as i64);
        (0..count).for_each(|_| datum.extend_from_slice(item));
    }
    datum.push(0);
    datum
}

/// Reads in every way; nothing holds more than its share of the input.
fn check(item: &str, datum: &[u8]) {
    let (schema, plan) = plan(item);
    let bound = |times: usize| times * datum.len() + FIXED;

    let (value, usage) = measure(|| plan.value(&mut Reader::new(datum)).is_ok());
    assert!(usage.peak_bytes <= bound(64), "{item}: value {usage:?}");

    let mut out = Vec::new();
    let (bytes, usage) = measure(|| plan.transcode(&mut Reader::new(datum), &mut out).is_ok());
    assert!(
        usage.peak_bytes <= bound(16),
        "{item}: transcoder {usage:?}"
    );

    let mut columns = Columns::new(&plan, &schema).unwrap();
    let (row, usage) = measure(|| columns.push(&mut Reader::new(datum)).is_ok());
    assert!(usage.peak_bytes <= bound(16), "{item}: columns {usage:?}");
    assert_eq!((bytes, row), (value, value));
}

#[test]
fn memory_is_bounded_by_what_is_read() {
    let int = r#"{"type":"array","items":"int"}"#;
    let long = r#"{"type":"array","items":"long"}"#;
    let texts = r#"{"type":"array","items":"string"}"#;
    let lists = r#"{"type":"array","items":{"type":"array","items":"int"}}"#;
    let map = r#"{"type":"map","values":"int"}"#;
    let records = r#"{"type":"array","items":{"type":"record","name":"P","fields":[
        {"name":"a","type":"int"},{"name":"b","type":"double"}]}}"#;
    for n in [1, 15, 16, 17, 1000, 1025, 40_000] {
        for (kind, item) in [
            (int, &[2][..]),
            (long, &[2]),
            (texts, &[0]),
            (lists, &[0]),
            (map, &[0, 2]),
            (records, &[2, 0, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            check(kind, &blocks(1, n, item));
            check(kind, &blocks(n, 1, item));
            // A block and one more.
            let mut datum = blocks(1, n, item);
            datum.pop();
            datum.extend(blocks(1, 1, item));
            check(kind, &datum);
        }
    }
}

#[test]
fn claims_cost_nothing() {
    let kinds = [
        r#"{"type":"array","items":"int"}"#,
        r#"{"type":"map","values":"long"}"#,
        "\"string\"",
        "\"bytes\"",
        r#"{"type":"array","items":{"type":"array","items":{"type":"array","items":"string"}}}"#,
    ];
    for kind in kinds {
        for claim in [1, 1000, 1 << 20, 500_000_000, i64::MAX, i64::MIN] {
            let mut datum = Vec::new();
            for _ in 0..4 {
                put_long(&mut datum, claim);
            }
            check(kind, &datum);
            // With something behind it, of which the claim is not quite true.
            datum.resize(1000, 0x7f);
            check(kind, &datum);
        }
    }
}

#[derive(AvroRecord)]
struct View<'a> {
    text: &'a str,
    numbers: Items<'a, f64>,
    tags: Entries<'a, &'a str>,
    lists: Items<'a, Items<'a, i32>>,
}

#[test]
fn encoding_and_views_allocate_nothing() {
    let mut datum = Vec::new();
    put_bytes(&mut datum, b"text");
    datum.extend(blocks(2, 3, &[0; 8]));
    datum.extend(blocks(1, 2, &[2, b'k', 2, b'v']));
    datum.extend(blocks(1, 2, &[2, 8, 0]));
    let schema = Schema::parse(View::SCHEMA).unwrap();
    let same = Plan::compile(&schema, &schema).unwrap();
    let other = Schema::parse(&View::SCHEMA.replace("\"double\"", "\"float\"")).unwrap();
    let mut floats = Vec::new();
    put_bytes(&mut floats, b"text");
    floats.extend(blocks(2, 3, &[0; 4]));
    floats.extend(blocks(1, 2, &[2, b'k', 2, b'v']));
    floats.extend(blocks(1, 2, &[2, 8, 0]));
    let resolved = Plan::compile(&other, &schema).unwrap();

    let mut out = Vec::with_capacity(4096);
    let (sum, usage) = measure(|| {
        let mut sum = 0;
        for (plan, datum) in [(&same, &datum), (&resolved, &floats)] {
            let view = View::decode(plan, &mut Reader::new(datum)).unwrap();
            sum += view.text.len() + view.numbers.iter().count();
            sum += view
                .tags
                .iter()
                .map(|(k, v)| k.len() + v.len())
                .sum::<usize>();
            let lists = view.lists.iter().flat_map(|list| list.iter());
            sum += lists.map(|n| n as usize).sum::<usize>();
            view.encode(&mut out);
        }
        sum
    });
    assert_eq!((sum, usage.allocations), (2 * (4 + 6 + 4 + 8), 0));
}
