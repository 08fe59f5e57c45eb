//! Arbitrary schemas, values and damage: every way to run a plan says the same.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use telemetry_avro::arrow::{ArrowError, Columns, encode};
use telemetry_avro::wire::Reader;
use telemetry_avro::{AvroRecord, DecodeError, Kind, NodeId, Plan, Primitive, Schema, Value};

use crate::derive::{Everything, Later, View, everything};

/// SplitMix64: a case is one number, which proptest prints.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

const PRIMITIVES: [&str; 8] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];

/// Makes a type; named types get numbers.
pub(crate) fn arbitrary_type(
    r: &mut Random,
    depth: usize,
    names: &mut usize,
    in_union: bool,
) -> Json {
    let kinds = if depth == 0 { 1 } else { 7 };
    let mut name = |kind: &str| {
        *names += 1;
        format!("{kind}{names}")
    };
    match r.below(kinds) {
        1 => json!({"type": "enum", "name": name("E"), "symbols": ["A", "B", "C"]}),
        2 => json!({"type": "fixed", "name": name("F"), "size": r.below(4)}),
        3 => json!({"type": "array", "items": arbitrary_type(r, depth - 1, names, false)}),
        4 => json!({"type": "map", "values": arbitrary_type(r, depth - 1, names, false)}),
        5 => arbitrary_record(r, depth - 1, names),
        6 if !in_union => {
            let mut branches: Vec<Json> = Vec::new();
            for _ in 0..=r.below(3) {
                let branch = arbitrary_type(r, depth - 1, names, true);
                let kind = |j: &Json| j.get("type").unwrap_or(j).clone();
                let named = branch.get("name").is_some();
                if named || branches.iter().all(|b| kind(b) != kind(&branch)) {
                    branches.push(branch);
                }
            }
            Json::Array(branches)
        }
        _ => json!(PRIMITIVES[r.below(PRIMITIVES.len())]),
    }
}

pub(crate) fn arbitrary_record(r: &mut Random, depth: usize, names: &mut usize) -> Json {
    *names += 1;
    let name = format!("R{names}");
    let fields: Vec<Json> = (0..r.below(5))
        .map(|i| json!({"name": format!("f{i}"), "type": arbitrary_type(r, depth, names, false)}))
        .collect();
    json!({"type": "record", "name": name, "fields": fields})
}

/// A later version of a schema, which may or may not read the earlier one.
pub(crate) fn evolve(r: &mut Random, json: &Json) -> Json {
    match json {
        Json::String(name) if r.one_in(4) => match name.as_str() {
            "int" => json!(["long", "float", "double"][r.below(3)]),
            "long" => json!(["float", "double"][r.below(2)]),
            "float" => json!("double"),
            "string" => json!("bytes"),
            "bytes" => json!("string"),
            other => json!(other),
        },
        Json::Array(branches) => {
            let mut branches: Vec<Json> = branches.iter().map(|b| evolve(r, b)).collect();
            branches.reverse();
            let kinds: Vec<&Json> = branches
                .iter()
                .map(|b| b.get("type").unwrap_or(b))
                .collect();
            let twice =
                (1..kinds.len()).any(|i| kinds[..i].contains(&kinds[i]) && kinds[i].is_string());
            if twice {
                json.clone()
            } else {
                Json::Array(branches)
            }
        }
        Json::Object(map) => {
            let mut map = map.clone();
            match map["type"].as_str() {
                Some("record") => {
                    let fields = map["fields"].as_array().cloned().unwrap_or_default();
                    let mut fields: Vec<Json> = fields
                        .into_iter()
                        .filter_map(|mut field| {
                            if r.one_in(6) {
                                return None;
                            }
                            field["type"] = evolve(r, &field["type"].clone());
                            Some(field)
                        })
                        .collect();
                    if r.one_in(2) {
                        fields.reverse();
                    }
                    if r.one_in(2) {
                        fields.push(
                            json!({"name": "added", "type": ["string", "null"], "default": "x"}),
                        );
                    }
                    map.insert("fields".to_owned(), fields.into());
                }
                Some("enum") if r.one_in(3) => {
                    map.insert("symbols".to_owned(), json!(["C", "A"]));
                    if r.one_in(2) {
                        map.insert("default".to_owned(), json!("A"));
                    }
                }
                Some("array") => {
                    map.insert("items".to_owned(), evolve(r, &map["items"].clone()));
                }
                Some("map") => {
                    map.insert("values".to_owned(), evolve(r, &map["values"].clone()));
                }
                _ => {}
            }
            Json::Object(map)
        }
        other => other.clone(),
    }
}

pub(crate) fn arbitrary_value(r: &mut Random, schema: &Schema, node: NodeId) -> Value {
    match &schema.node(node).kind {
        Kind::Primitive(p) => match p {
            Primitive::Null => Value::Null,
            Primitive::Boolean => Value::Boolean(r.one_in(2)),
            Primitive::Int => Value::Int((r.next() as i32) >> r.below(32)),
            Primitive::Long => Value::Long((r.next() as i64) >> r.below(64)),
            Primitive::Float => Value::Float(r.below(1000) as f32 / 8.0),
            Primitive::Double => Value::Double(r.below(1000) as f64 / 8.0),
            // Text, so that it is read as text too.
            Primitive::Bytes => Value::Bytes("ü".repeat(r.below(4)).into_bytes()),
            Primitive::String => Value::String("né".repeat(r.below(40))),
        },
        Kind::Array(items) => {
            let items = (0..r.below(4)).map(|_| arbitrary_value(r, schema, *items));
            Value::Array(items.collect())
        }
        Kind::Map(values) => {
            let pairs =
                (0..r.below(4)).map(|i| (format!("k{i}"), arbitrary_value(r, schema, *values)));
            Value::Map(pairs.collect())
        }
        Kind::Union(branches) => {
            let i = r.below(branches.len());
            Value::Union(i as u32, Box::new(arbitrary_value(r, schema, branches[i])))
        }
        Kind::Record(record) => {
            let fields = record.fields.iter();
            Value::Record(fields.map(|f| arbitrary_value(r, schema, f.node)).collect())
        }
        Kind::Enum(e) => Value::Enum(r.below(e.symbols.len()) as u32),
        Kind::Fixed(fixed) => Value::Fixed((0..fixed.size).map(|_| r.next() as u8).collect()),
    }
}

/// What a plan makes of a datum, and how much of it is read: by value, transcoder and columns.
fn run(plan: &Plan, reader: &Schema, datum: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let mut input = Reader::new(datum);
    let value = plan.value(&mut input).map(|value| {
        let mut out = Vec::new();
        value.put(&mut out);
        (out, input.offset())
    });

    let mut input = Reader::new(datum);
    let mut out = vec![0xee];
    match plan.transcode(&mut input, &mut out) {
        Ok(()) => {
            let (bytes, read) = value.as_ref().expect("the value reads it too");
            // Blocks stay as they were, so values are compared.
            let same = Plan::compile(reader, reader).expect("a plan");
            let again = same.value(&mut Reader::new(&out[1..])).expect("a datum");
            let mut plain = Vec::new();
            again.put(&mut plain);
            assert_eq!((&plain, input.offset()), (bytes, *read));
        }
        Err(error) => {
            assert_eq!(out, [0xee]);
            assert_eq!(value, Err(error));
        }
    }

    if let Ok(mut columns) = Columns::new(plan, reader) {
        let mut input = Reader::new(datum);
        match columns.push(&mut input) {
            Ok(()) => {
                let (bytes, read) = value.as_ref().expect("the value reads it too");
                let batch = columns.finish().expect("a batch");
                let mut rows = Vec::new();
                encode(reader, &batch, |_, row| rows.push(row.to_vec())).expect("rows");
                assert_eq!((&rows[0], input.offset()), (bytes, *read));
            }
            Err(ArrowError::Decode(error)) => assert_eq!(value, Err(error)),
            Err(other) => panic!("{other}"),
        }
    }
    value.map_err(|error| error.to_string())
}

/// Some bytes changed, or the end cut off.
fn damage(r: &mut Random, datum: &mut Vec<u8>) {
    if r.one_in(3) {
        datum.truncate(r.below(datum.len() + 1));
    }
    for _ in 0..r.below(3) {
        if let Some(last) = datum.len().checked_sub(1) {
            let at = r.below(last + 1);
            datum[at] = match r.below(3) {
                0 => r.next() as u8,
                1 => datum[at] ^ (1 << r.below(8)),
                _ => [0, 1, 2, 0x7f, 0x80, 0xff][r.below(6)],
            };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn executors_agree_on_arbitrary_schemas_and_datums(seed: u64) {
        let r = &mut Random(seed);
        let mut names = 0;
        let text = if r.one_in(3) {
            arbitrary_type(r, 3, &mut names, false)
        } else {
            arbitrary_record(r, 3, &mut names)
        };
        let later = evolve(r, &text);
        let writer = Schema::parse(&text.to_string()).expect("an arbitrary schema");
        let reader = Schema::parse(&later.to_string()).expect("an arbitrary schema");
        let value = arbitrary_value(r, &writer, writer.root_id());
        let mut datum = Vec::new();
        value.put(&mut datum);

        // As it is.
        let same = Plan::compile(&writer, &writer).expect("a plan");
        prop_assert_eq!(same.problems(), []);
        prop_assert_eq!(run(&same, &writer, &datum), Ok((datum.clone(), datum.len())));

        // By a later reader: compatible means that it reads.
        let plan = Plan::compile(&writer, &reader).expect("a plan");
        let found = run(&plan, &reader, &datum);
        if plan.problems().is_empty() {
            let (bytes, read) = found.expect("a compatible datum");
            prop_assert_eq!(read, datum.len());
            // What it gives is a datum of the reader.
            let same = Plan::compile(&reader, &reader).expect("a plan");
            prop_assert_eq!(run(&same, &reader, &bytes), Ok((bytes.clone(), bytes.len())));
        }

        // Damaged.
        for _ in 0..8 {
            let mut damaged = datum.clone();
            damage(r, &mut damaged);
            let _ = run(&same, &writer, &damaged);
            let _ = run(&plan, &reader, &damaged);
        }
    }

    #[test]
    fn derived_types_agree_with_values(seed: u64) {
        let r = &mut Random(seed);
        let mut datum = Vec::new();
        everything().put_datum(&mut datum);
        damage(r, &mut datum);
        let schema = |text| Schema::parse(text).expect("a derived schema");
        let writer = schema(Everything::SCHEMA);
        agree::<Everything>(&Plan::compile(&writer, &writer).expect("a plan"), &datum);
        let plan = Plan::compile(&writer, &schema(Later::SCHEMA)).expect("a plan");
        agree::<Later<'_>>(&plan, &datum);
        let plan = Plan::compile(&writer, &schema(View::SCHEMA)).expect("a plan");
        agree::<View<'_>>(&plan, &datum);
    }
}

/// A derived type reads what the value reads, and then is the same datum.
fn agree<'a, R>(plan: &'a Plan, datum: &'a [u8])
where
    R: AvroRecord + telemetry_avro::Decode<'a>,
{
    let mut input = Reader::new(datum);
    let record = R::decode(plan, &mut input);
    let mut rest = Reader::new(datum);
    let value = plan.value(&mut rest);
    match (record, value) {
        (Ok(record), Ok(value)) => {
            assert_eq!(input.offset(), rest.offset());
            let mut bytes = Vec::new();
            record.put_datum(&mut bytes);
            let schema = Schema::parse(R::SCHEMA).expect("a derived schema");
            let same = Plan::compile(&schema, &schema).expect("a plan");
            let again = same.value(&mut Reader::new(&bytes)).expect("a datum");
            assert_eq!(normal(again), normal(value));
        }
        // To a value it is text, whatever text.
        (Err(DecodeError::Uuid { .. }), _) => {}
        (Err(ours), Err(theirs)) => assert_eq!(ours, theirs),
        (ours, theirs) => panic!("{:?} beside {theirs:?}", ours.map(|_| "a record")),
    }
}

/// As derived types have it: the pairs of maps in order, the last of each key.
fn normal(value: Value) -> Vec<u8> {
    fn sort(value: &mut Value) {
        match value {
            Value::Array(items) | Value::Record(items) => items.iter_mut().for_each(sort),
            Value::Union(_, value) => sort(value),
            Value::Map(pairs) => {
                pairs.iter_mut().for_each(|(_, value)| sort(value));
                let sorted: std::collections::BTreeMap<_, _> = pairs.drain(..).collect();
                pairs.extend(sorted);
            }
            // A UUID is read in capitals and written without.
            Value::String(text) if text.len() == 36 => text.make_ascii_lowercase(),
            _ => {}
        }
    }
    let mut value = value;
    sort(&mut value);
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    bytes
}
