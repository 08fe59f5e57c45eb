//! Datums, read through plans.

use std::sync::OnceLock;

use telemetry_core::wire::Reader;
use telemetry_core::{
    AvroRecord, AvroType, DecodeLimits, Items, Plan, PlanLimits, Schema, Timestamp, Value,
};

use crate::bounded;

/// Small enough that what they allow besides the input does not hide a fault.
const LIMITS: DecodeLimits = DecodeLimits {
    depth_max: 32,
    zero_width_max: 64,
    default_bytes_max: 256,
};

/// What the limits allow besides the input: values of 64 bytes for each item without bytes, and
/// for each byte of a default.
const ALLOWED: usize = 64 * (LIMITS.zero_width_max + LIMITS.default_bytes_max);

/// Writer and reader, chosen so that every rule of resolution has a pair.
const PAIRS: &[(&str, &str)] = &[
    (r#""long""#, r#""double""#),
    (r#""string""#, r#""bytes""#),
    (
        r#"["null","int","string"]"#,
        r#"["string","null","double"]"#,
    ),
    (
        r#"{"type":"array","items":"null"}"#,
        r#"{"type":"array","items":"null"}"#,
    ),
    (
        r#"{"type":"map","values":{"type":"array","items":"float"}}"#,
        r#"{"type":"map","values":{"type":"array","items":"double"}}"#,
    ),
    (
        r#"{"type":"enum","name":"E","symbols":["A","B","C"]}"#,
        r#"{"type":"enum","name":"E","symbols":["C","A","X"],"default":"X"}"#,
    ),
    (
        r#"{"type":"record","name":"List","fields":[{"name":"v","type":"int"},
            {"name":"next","type":["null","List"]}]}"#,
        r#"{"type":"record","name":"List","fields":[{"name":"next","type":["null","List"]},
            {"name":"v","type":"long"},{"name":"w","type":"string","default":"none"}]}"#,
    ),
    (
        r#"{"type":"array","items":{"type":"record","name":"R","fields":[
            {"name":"gone","type":{"type":"fixed","name":"F","size":3}},
            {"name":"old","type":"boolean"},{"name":"skip","type":{"type":"map","values":"bytes"}}]}}"#,
        r#"{"type":"array","items":{"type":"record","name":"R","fields":[
            {"name":"new","type":"boolean","aliases":["old"]},
            {"name":"more","type":["null","R"],"default":null}]}}"#,
    ),
    (Deep::SCHEMA, Deep::SCHEMA),
    (Deep::SCHEMA, Newer::SCHEMA),
];

#[derive(AvroType, Clone, Debug, PartialEq)]
#[avro(namespace = "fuzz")]
enum Kind {
    Run,
    Ride,
}

#[derive(AvroRecord, Clone, Debug, PartialEq)]
#[avro(namespace = "fuzz")]
struct Point {
    lat: f64,
    name: Option<String>,
}

#[derive(AvroRecord, Clone, Debug, PartialEq)]
#[avro(namespace = "fuzz")]
struct Deep {
    time: Timestamp,
    kind: Kind,
    points: Vec<Point>,
    raw: [u8; 2],
    power: Option<i32>,
}

/// The same record later.
#[derive(AvroRecord, Clone, Debug, PartialEq)]
#[avro(name = "Deep", namespace = "fuzz")]
struct Newer {
    #[avro(alias = "power")]
    watts: Option<f64>,
    points: Vec<Point>,
    #[avro(default = "none")]
    site: String,
}

/// The later record without an allocation.
#[derive(AvroRecord, Debug)]
#[avro(name = "Deep", namespace = "fuzz")]
struct View<'a> {
    #[avro(alias = "power")]
    watts: Option<f64>,
    points: Items<'a, Point>,
    #[avro(default = "none")]
    site: &'a str,
}

/// A plan, and the one that reads what the reader itself writes.
struct Way {
    plan: Plan,
    own: Plan,
}

impl Way {
    fn new(writer: &Schema, reader: &Schema) -> Option<Self> {
        let limits = PlanLimits {
            ops_max: 4_096,
            default_bytes_max: 4_096,
        };
        Some(Self {
            plan: Plan::compile_with(writer, reader, limits).ok()?,
            own: Plan::compile_with(reader, reader, limits).ok()?,
        })
    }
}

fn ways() -> &'static [Way] {
    static WAYS: OnceLock<Vec<Way>> = OnceLock::new();
    WAYS.get_or_init(|| {
        let parse = |text: &str| Schema::parse(text).unwrap();
        let way = |(writer, reader): &(&str, &str)| Way::new(&parse(writer), &parse(reader));
        PAIRS.iter().map(|pair| way(pair).unwrap()).collect()
    })
}

/// The first byte chooses a pair of schemas, the others are a datum: every executor gives the same,
/// or refuses it.
pub fn datum(bytes: &[u8]) {
    let Some((&choice, datum)) = bytes.split_first() else {
        return;
    };
    let ways = ways();
    let index = usize::from(choice) % ways.len();
    let plan = &ways[index].plan;
    let value = agree(&ways[index], datum, 0);
    if index == ways.len() - 2 {
        typed::<Deep>(plan, datum, value.as_ref());
        let mut input = Reader::new(datum);
        let read = bounded("same schema", datum.len(), 16, 0, || {
            Deep::read_datum(&mut input)
        });
        if let Some(value) = &value {
            assert_eq!(put(&read.unwrap()), encoded(value));
        }
    }
    if index == ways.len() - 1 {
        typed::<Newer>(plan, datum, value.as_ref());
        let view = bounded("view", 0, 0, 0, || {
            View::decode(plan, &mut Reader::new(datum))
        });
        if let (Ok(view), Some(Value::Record(fields))) = (view, &value) {
            let newer = Newer {
                watts: view.watts,
                points: view.points.iter().collect(),
                site: view.site.to_owned(),
            };
            assert_eq!(put(&newer), encoded(&Value::Record(fields.clone())));
        }
    }
}

/// Two schemas and a datum, each on a line: what a plan for them does with it.
pub fn resolve(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let (Some(writer), Some(reader), Some(datum)) = (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let parse = |text: &[u8]| Schema::parse(core::str::from_utf8(text).ok()?).ok();
    let (Some(writer), Some(reader)) = (parse(writer), parse(reader)) else {
        return;
    };
    let Some(way) = Way::new(&writer, &reader) else {
        return;
    };
    let plan = &way.plan;
    let value = agree(&way, datum, 64 * reader.json().len());
    // What a compatible reader refuses, the writer's own refuses as well: but for the limits, which
    // defaults and wider items meet earlier.
    let Some(own) = Way::new(&writer, &writer) else {
        return;
    };
    let written = own.plan.value_with(&mut Reader::new(datum), LIMITS);
    if plan.problems().is_empty() && written.is_ok() && value.is_none() {
        let error = plan
            .value_with(&mut Reader::new(datum), LIMITS)
            .unwrap_err();
        let is_limit = matches!(error, telemetry_core::DecodeError::Limit { .. });
        let is_text = matches!(
            error,
            telemetry_core::DecodeError::Wire(telemetry_core::wire::WireError::Utf8 { .. })
        );
        assert!(is_limit || is_text, "{error}");
    }
}

/// The value of a datum, if it is one; the transcoder must say the same.
fn agree(way: &Way, datum: &[u8], fixed: usize) -> Option<Value> {
    let plan = &way.plan;
    let (mut one, mut two) = (Reader::new(datum), Reader::new(datum));
    let value = bounded("value", datum.len(), 64, ALLOWED + fixed, || {
        plan.value_with(&mut one, LIMITS)
    });
    let mut out = Vec::new();
    let coded = bounded("transcode", datum.len(), 16, ALLOWED + fixed, || {
        plan.transcode_with(&mut two, &mut out, LIMITS)
    });
    match (value, coded) {
        (Ok(value), Ok(())) => {
            assert_eq!(one.offset(), two.offset());
            // The transcoder keeps blocks as they came, so what it wrote is read once more.
            let read = way
                .own
                .value_with(&mut Reader::new(&out), DecodeLimits::default());
            assert_eq!(encoded(&read.unwrap()), encoded(&value));
            Some(value)
        }
        (Err(one), Err(two)) => {
            let _ = (one.to_string(), two.to_string());
            None
        }
        (value, coded) => panic!("value {value:?}, transcoder {coded:?}"),
    }
}

fn typed<R>(plan: &Plan, datum: &[u8], value: Option<&Value>)
where
    R: AvroRecord + for<'a> telemetry_core::Decode<'a>,
{
    let mut input = Reader::new(datum);
    // A point has 40 bytes in memory for each of its 9 on the wire, and a vector doubles.
    let record = bounded("struct", datum.len(), 16, 0, || {
        R::decode_with(plan, &mut input, LIMITS)
    });
    match (record, value) {
        (Ok(record), Some(value)) => assert_eq!(put(&record), encoded(value)),
        (Err(_), None) => {}
        (record, value) => panic!(
            "struct {:?}, value {value:?}",
            record.map(|record| put(&record))
        ),
    }
}

fn put<R: AvroRecord>(record: &R) -> Vec<u8> {
    let mut out = Vec::new();
    record.put_datum(&mut out);
    out
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.put(&mut out);
    out
}
