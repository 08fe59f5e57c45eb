//! Derived types: schema, bytes and evolution.

use std::borrow::Cow;
use std::collections::BTreeMap;

use telemetry_avro::wire::Reader;
use telemetry_avro::{
    AvroRecord, AvroType, Decode, DecodeError, Entries, Items, Plan, Schema, Timestamp, Value,
    single_object,
};
use uuid::Uuid;

/// What the wearer does.
#[derive(AvroType, Clone, Copy, Debug, Default, PartialEq)]
#[avro(namespace = "vendor", alias = "vendor.Sport")]
enum Activity {
    #[default]
    #[avro(default, rename = "UNKNOWN")]
    Unknown,
    #[avro(rename = "RUN")]
    Run,
    #[avro(rename = "RIDE")]
    Ride,
}

/// 16 bytes.
#[derive(AvroType, Clone, Copy, Debug, Default, PartialEq)]
struct Digest([u8; 16]);

#[derive(AvroType, Clone, Copy, Debug, Default, PartialEq)]
#[avro(logical = "duration", namespace = "vendor")]
struct Gap([u8; 12]);

#[derive(AvroType, Clone, Copy, Debug, Default, PartialEq)]
struct Watts(i32);

#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(namespace = "vendor")]
struct Point {
    lat: f64,
    lon: f64,
    #[avro(default = -1)]
    floor: i32,
}

/// A reading, whatever it is.
#[derive(AvroType, Clone, Debug, Default, PartialEq)]
enum Reading {
    #[default]
    Missing,
    Number(f64),
    Text(String),
    At(Point),
    Many(Vec<i64>),
}

#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(namespace = "vendor", alias = "vendor.Old")]
pub(crate) struct Everything {
    #[avro(event_time)]
    time: Timestamp,
    yes: bool,
    small: i32,
    large: i64,
    single: f32,
    double: f64,
    text: String,
    bytes: Vec<u8>,
    digest: Digest,
    raw: [u8; 3],
    gap: Gap,
    activity: Activity,
    power: Option<Watts>,
    start: Point,
    end: Option<Box<Point>>,
    track: Vec<Point>,
    doubles: Vec<f64>,
    tags: BTreeMap<String, String>,
    marks: BTreeMap<String, Vec<Option<i32>>>,
    reading: Reading,
    readings: Vec<Reading>,
    id: Uuid,
    #[avro(logical = "date")]
    day: i32,
    #[avro(logical = "timestamp-millis")]
    seen: Option<i64>,
    #[avro(logical = "decimal", precision = 9, scale = 2)]
    price: Vec<u8>,
    /// Said "so" by the vendor.
    #[avro(rename = "_name", default = "x\"\\\n")]
    r#type: String,
}

pub(crate) fn everything() -> Everything {
    let point = |lat| Point {
        lat,
        lon: -lat,
        floor: 3,
    };
    Everything {
        time: Timestamp::from_micros(1_700_000_000_000_000),
        yes: true,
        small: -7,
        large: i64::MIN,
        single: 1.5,
        double: -0.0,
        text: "é".repeat(40),
        bytes: vec![0, 255],
        digest: Digest([9; 16]),
        raw: [1, 2, 3],
        gap: Gap([4; 12]),
        activity: Activity::Ride,
        power: Some(Watts(250)),
        start: point(1.0),
        end: Some(Box::new(point(2.0))),
        track: vec![point(3.0), point(4.0)],
        doubles: (0..100).map(f64::from).collect(),
        tags: [("a", "b"), ("c", "")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        marks: [("m".to_owned(), vec![None, Some(1)])].into(),
        reading: Reading::At(point(5.0)),
        readings: vec![
            Reading::Missing,
            Reading::Number(1.0),
            Reading::Text("t".to_owned()),
            Reading::Many(vec![1, 2]),
        ],
        id: Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0),
        day: 19_000,
        seen: Some(5),
        price: vec![1, 0],
        r#type: "T".to_owned(),
    }
}

/// The texts that are made at compile time are what the parser makes of the schema.
fn check<R: AvroRecord>() -> Schema {
    let schema = Schema::parse(R::SCHEMA).unwrap();
    assert_eq!(schema.canonical(), R::CANONICAL);
    assert_eq!(schema.fingerprint(), R::FINGERPRINT);
    assert_eq!(R::HEADER, single_object::header(R::FINGERPRINT));
    schema
}

fn plan(writer: &str, reader: &str) -> Plan {
    let plan = Plan::compile(
        &Schema::parse(writer).unwrap(),
        &Schema::parse(reader).unwrap(),
    )
    .unwrap();
    assert_eq!(plan.problems(), []);
    plan
}

fn datum<R: AvroRecord>(record: &R) -> Vec<u8> {
    let mut out = Vec::new();
    record.put_datum(&mut out);
    assert!(out.len() <= record.datum_len_bound());
    out
}

#[test]
fn the_schema_says_everything() {
    check::<Everything>();
    let expected = r#"{"type":"record","name":"vendor.Everything","aliases":["vendor.Old"],"fields":[
        {"name":"time","type":{"type":"long","logicalType":"timestamp-micros"},"xpt.eventTime":true},
        {"name":"yes","type":"boolean"},
        {"name":"small","type":"int"},
        {"name":"large","type":"long"},
        {"name":"single","type":"float"},
        {"name":"double","type":"double"},
        {"name":"text","type":"string"},
        {"name":"bytes","type":"bytes"},
        {"name":"digest","type":{"type":"fixed","name":"Digest","namespace":"","doc":"16 bytes.","size":16}},
        {"name":"raw","type":{"type":"fixed","name":"fixed_3","namespace":"","size":3}},
        {"name":"gap","type":{"type":"fixed","name":"vendor.Gap","size":12,"logicalType":"duration"}},
        {"name":"activity","type":{"type":"enum","name":"vendor.Activity","doc":"What the wearer does.",
            "aliases":["vendor.Sport"],"symbols":["UNKNOWN","RUN","RIDE"],"default":"UNKNOWN"}},
        {"name":"power","type":["null","int"],"default":null},
        {"name":"start","type":{"type":"record","name":"vendor.Point","fields":[
            {"name":"lat","type":"double"},{"name":"lon","type":"double"},
            {"name":"floor","type":"int","default":-1}]}},
        {"name":"end","type":["null","vendor.Point"],"default":null},
        {"name":"track","type":{"type":"array","items":"vendor.Point"}},
        {"name":"doubles","type":{"type":"array","items":"double"}},
        {"name":"tags","type":{"type":"map","values":"string"}},
        {"name":"marks","type":{"type":"map","values":{"type":"array","items":["null","int"]}}},
        {"name":"reading","type":["null","double","string","vendor.Point",{"type":"array","items":"long"}]},
        {"name":"readings","type":{"type":"array","items":
            ["null","double","string","vendor.Point",{"type":"array","items":"long"}]}},
        {"name":"id","type":{"type":"string","logicalType":"uuid"}},
        {"name":"day","type":{"type":"int","logicalType":"date"}},
        {"name":"seen","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
        {"name":"_name","type":"string","doc":"Said \"so\" by the vendor.","default":"x\"\\\u000a"}]}"#;
    let parse = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(parse(Everything::SCHEMA), parse(expected));
}

#[test]
fn everything_round_trips_as_it_was_written() {
    let record = everything();
    let bytes = datum(&record);
    let mut input = Reader::new(&bytes);
    assert_eq!(Everything::read_datum(&mut input).as_ref(), Ok(&record));
    assert!(input.is_empty());
    let plan = plan(Everything::SCHEMA, Everything::SCHEMA);
    assert_eq!(
        Everything::decode(&plan, &mut Reader::new(&bytes)),
        Ok(record.clone())
    );
    // The dynamic value is the same datum.
    let mut again = Vec::new();
    plan.value(&mut Reader::new(&bytes))
        .unwrap()
        .put(&mut again);
    assert_eq!(again, bytes);
    assert_eq!(record.event_time(), Some(record.time));
    for n in 0..bytes.len() {
        assert!(Everything::read_datum(&mut Reader::new(&bytes[..n])).is_err());
    }
}

pub(crate) use later::Later;

/// What a later reader makes of [`Everything`]: reordered, widened, renamed, added and removed.
mod later {
    use super::*;

    #[derive(AvroType, Clone, Copy, Debug, PartialEq)]
    #[avro(namespace = "vendor", alias = "vendor.Activity")]
    pub(super) enum Sport {
        #[avro(rename = "RIDE")]
        Ride,
        #[avro(rename = "SWIM")]
        Swim,
        #[avro(default, rename = "OTHER")]
        Other,
    }

    #[derive(AvroRecord, Clone, Debug, PartialEq)]
    #[avro(name = "Point", namespace = "vendor")]
    pub(super) struct Place<'a> {
        #[avro(default = b"\x00\xff")]
        pub(super) hash: Cow<'a, [u8]>,
        #[avro(rename = "lon")]
        pub(super) longitude: f64,
        #[avro(alias = "floor")]
        pub(super) level: i64,
    }

    #[derive(AvroType, Clone, Debug, PartialEq)]
    pub(super) enum Wide<'a> {
        Text(&'a str),
        Float(f32),
        Double(f64),
        At(Place<'a>),
        Null,
        Many(Vec<f64>),
    }

    #[derive(AvroRecord, Clone, Debug, PartialEq)]
    #[avro(name = "Everything", namespace = "vendor")]
    pub(crate) struct Later<'a> {
        pub(super) track: Vec<Place<'a>>,
        #[avro(alias = "activity")]
        pub(super) sport: Sport,
        pub(super) small: i64,
        pub(super) large: f64,
        pub(super) power: Option<f64>,
        pub(super) text: &'a str,
        pub(super) bytes: Cow<'a, str>,
        pub(super) tags: BTreeMap<&'a str, &'a str>,
        pub(super) readings: Vec<Wide<'a>>,
        #[avro(default = {"lon": 1.5, "level": 2})]
        pub(super) home: Place<'a>,
        #[avro(default = [1, 2])]
        pub(super) laps: Vec<f32>,
        #[avro(default = {"a": true})]
        pub(super) flags: BTreeMap<Cow<'a, str>, bool>,
        #[avro(default = "SWIM")]
        pub(super) last: Sport,
        pub(super) never: Option<String>,
        #[avro(default = "borrowed")]
        pub(super) source: &'a str,
        pub(super) end: Option<Box<Place<'a>>>,
    }

    pub(super) fn place(lat: f64) -> Place<'static> {
        Place {
            hash: Cow::Borrowed(b"\x00\xff"),
            longitude: -lat,
            level: 3,
        }
    }
}

#[test]
fn a_later_reader_resolves_everything() {
    use later::{Sport, Wide, place};

    check::<Later<'_>>();
    let mut record = everything();
    record.bytes = b"ok".to_vec();
    let bytes = datum(&record);
    let plan = plan(Everything::SCHEMA, Later::SCHEMA);
    let mut input = Reader::new(&bytes);
    let found = Later::decode(&plan, &mut input).unwrap();
    assert!(input.is_empty());
    let expected = Later {
        track: vec![place(3.0), place(4.0)],
        sport: Sport::Ride,
        small: -7,
        large: i64::MIN as f64,
        power: Some(250.0),
        text: &record.text,
        bytes: Cow::Borrowed("ok"),
        tags: [("a", "b"), ("c", "")].into(),
        readings: vec![
            Wide::Null,
            Wide::Double(1.0),
            Wide::Text("t"),
            Wide::Many(vec![1.0, 2.0]),
        ],
        home: later::Place {
            longitude: 1.5,
            level: 2,
            ..place(0.0)
        },
        laps: vec![1.0, 2.0],
        flags: [(Cow::Borrowed("a"), true)].into(),
        last: Sport::Swim,
        never: None,
        source: "borrowed",
        end: Some(Box::new(place(2.0))),
    };
    assert_eq!(found, expected);

    // A symbol the reader does not know becomes its default, and the other executors agree.
    record.activity = Activity::Run;
    let bytes = datum(&record);
    let found = Later::decode(&plan, &mut Reader::new(&bytes)).unwrap();
    assert_eq!(found.sport, Sport::Other);
    let mut by_value = Vec::new();
    plan.value(&mut Reader::new(&bytes))
        .unwrap()
        .put(&mut by_value);
    assert_eq!(datum(&found), by_value);
}

/// What a reader sees that copies nothing.
#[derive(AvroRecord, Clone, Debug, PartialEq)]
#[avro(name = "Everything", namespace = "vendor")]
pub(crate) struct View<'a> {
    track: Items<'a, Point>,
    doubles: Items<'a, f64>,
    small: i64,
    tags: Entries<'a, &'a str>,
    marks: Entries<'a, Items<'a, Option<i64>>>,
    #[avro(default = [1, 2])]
    laps: Items<'a, i64>,
}

#[test]
fn a_view_allocates_nothing_and_sees_the_same() {
    let record = everything();
    let bytes = datum(&record);
    let plan = plan(Everything::SCHEMA, View::SCHEMA);
    let view = View::decode(&plan, &mut Reader::new(&bytes)).unwrap();
    assert_eq!(view.track.iter().collect::<Vec<_>>(), record.track);
    assert_eq!(view.doubles.iter().collect::<Vec<_>>(), record.doubles);
    assert_eq!(view.doubles.len(), 100);
    assert_eq!(
        view.tags.iter().collect::<Vec<_>>(),
        [("a", "b"), ("c", "")]
    );
    let marks: Vec<_> = view.marks.iter().collect();
    assert_eq!(marks[0].0, "m");
    assert_eq!(marks[0].1.iter().collect::<Vec<_>>(), [None, Some(1)]);
    assert_eq!(view.laps.iter().collect::<Vec<_>>(), [1, 2]);

    // What it writes, it reads.
    let again = datum(&view);
    assert_eq!(
        View::read_datum(&mut Reader::new(&again)).as_ref(),
        Ok(&view)
    );
    for n in 0..again.len() {
        assert!(View::read_datum(&mut Reader::new(&again[..n])).is_err());
    }
}

#[derive(AvroRecord, Clone, Debug, PartialEq)]
struct Tree {
    value: i32,
    children: Vec<Tree>,
    next: Option<Box<Tree>>,
}

/// Two records that hold each other.
#[derive(AvroRecord, Clone, Debug, PartialEq)]
struct Folder {
    entries: Vec<Entry>,
}

#[derive(AvroType, Clone, Debug, PartialEq)]
enum Entry {
    File(String),
    Folder(Shelf),
}

#[derive(AvroRecord, Clone, Debug, PartialEq)]
struct Shelf {
    #[avro(recursive)]
    folder: Box<Folder>,
}

#[test]
fn recursive_types_are_written_once() {
    check::<Tree>();
    assert_eq!(
        Tree::CANONICAL,
        r#"{"name":"Tree","type":"record","fields":[{"name":"value","type":"int"},{"name":"children","type":{"type":"array","items":"Tree"}},{"name":"next","type":["null","Tree"]}]}"#
    );
    check::<Folder>();
    assert_eq!(
        Folder::CANONICAL,
        r#"{"name":"Folder","type":"record","fields":[{"name":"entries","type":{"type":"array","items":["string",{"name":"Shelf","type":"record","fields":[{"name":"folder","type":"Folder"}]}]}}]}"#
    );
    let leaf = |value| Tree {
        value,
        children: vec![],
        next: None,
    };
    let tree = Tree {
        value: 1,
        children: vec![leaf(2), leaf(3)],
        next: Some(Box::new(leaf(4))),
    };
    let bytes = datum(&tree);
    assert_eq!(Tree::read_datum(&mut Reader::new(&bytes)), Ok(tree.clone()));
    let plan = plan(
        &Tree::SCHEMA
            .replace("\"int\"", "\"long\"")
            .replace("value", "old"),
        &Tree::SCHEMA.replace("\"int\"", "\"double\"").replace(
            "\"name\":\"value\"",
            "\"name\":\"value\",\"aliases\":[\"old\"]",
        ),
    );
    assert!(matches!(
        Tree::decode(&plan, &mut Reader::new(&bytes)),
        Err(DecodeError::OtherReader { expected: "Tree" })
    ));

    // 100 levels are more than the limit of 64.
    let mut deep = leaf(0);
    for _ in 0..100 {
        deep = Tree {
            value: 0,
            children: vec![],
            next: Some(Box::new(deep)),
        };
    }
    let bytes = datum(&deep);
    assert!(matches!(
        Tree::read_datum(&mut Reader::new(&bytes)),
        Err(DecodeError::Limit {
            what: "nesting",
            ..
        })
    ));
}

#[derive(AvroRecord, Clone, Debug, PartialEq)]
struct Pair<T> {
    left: T,
    right: Vec<T>,
}

#[test]
fn generic_records_have_the_schema_of_what_they_hold() {
    check::<Pair<i32>>();
    assert_eq!(
        check::<Pair<Option<Watts>>>().canonical(),
        r#"{"name":"Pair","type":"record","fields":[{"name":"left","type":["null","int"]},{"name":"right","type":{"type":"array","items":["null","int"]}}]}"#
    );
    let pair = Pair {
        left: 1i32,
        right: vec![2, 3],
    };
    let bytes = datum(&pair);
    assert_eq!(bytes, [2, 4, 4, 6, 0]);
    let plan = plan(Pair::<i32>::SCHEMA, Pair::<f64>::SCHEMA);
    assert_eq!(
        Pair::<f64>::decode(&plan, &mut Reader::new(&bytes)),
        Ok(Pair {
            left: 1.0,
            right: vec![2.0, 3.0]
        })
    );
}

#[derive(AvroRecord, Debug, PartialEq)]
struct Empty {}

#[derive(AvroRecord, Debug, PartialEq)]
struct Empties {
    list: Vec<Empty>,
}

#[test]
fn items_without_bytes_are_bounded() {
    check::<Empties>();
    let mut bytes = Vec::new();
    telemetry_avro::wire::put_long(&mut bytes, 65_537);
    bytes.push(0);
    assert!(matches!(
        Empties::read_datum(&mut Reader::new(&bytes)),
        Err(DecodeError::Limit { .. })
    ));
    let few = [4, 0];
    let read = Empties::read_datum(&mut Reader::new(&few)).unwrap();
    assert_eq!(read.list, [Empty {}, Empty {}]);
    // Three items of at least one byte do not fit two.
    assert!(matches!(
        Pair::<i32>::read_datum(&mut Reader::new(&[2, 6, 2, 0])),
        Err(DecodeError::Count {
            count: 3,
            left: 2,
            ..
        })
    ));
}

#[test]
fn union_branches_keep_their_place() {
    let record = everything();
    let plan = plan(Everything::SCHEMA, Everything::SCHEMA);
    let bytes = datum(&record);
    let Value::Record(fields) = plan.value(&mut Reader::new(&bytes)).unwrap() else {
        panic!("a record");
    };
    assert!(matches!(&fields[19], Value::Union(3, _)));
    assert!(matches!(&fields[12], Value::Union(1, _)));
}

/// Borrowing readers are `Decode` for the lifetime of the datum.
#[test]
fn what_is_borrowed_points_into_the_datum() {
    #[derive(AvroRecord, Debug)]
    struct Borrowed<'a> {
        text: &'a str,
        bytes: &'a [u8],
    }

    fn read<'a, R: AvroRecord + Decode<'a>>(bytes: &'a [u8]) -> R {
        R::read_datum(&mut Reader::new(bytes)).unwrap()
    }

    let bytes = datum(&Borrowed {
        text: "abc",
        bytes: b"de",
    });
    let found: Borrowed<'_> = read(&bytes);
    assert_eq!(found.text.as_ptr(), bytes[1..].as_ptr());
    assert_eq!(found.bytes.as_ptr(), bytes[5..].as_ptr());
}
