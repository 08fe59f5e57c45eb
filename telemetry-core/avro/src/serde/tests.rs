use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{from_value, to_value};
use crate::wire::Reader;
use crate::{Plan, Schema, Value};

/// Writes a value, reads its datum, and gives what was on the way.
fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(schema: &str, value: &T) -> Value {
    let schema = Schema::parse(schema).unwrap();
    let written = to_value(value, &schema).unwrap();
    written.check(&schema).unwrap();
    let mut datum = Vec::new();
    written.put(&mut datum);
    let plan = Plan::compile(&schema, &schema).unwrap();
    let read = plan.value(&mut Reader::new(&datum)).unwrap();
    assert_eq!(read, written);
    assert_eq!(&from_value::<T>(&read, &schema).unwrap(), value);
    written
}

fn refused<T: Serialize>(schema: &str, value: &T) -> String {
    let schema = Schema::parse(schema).unwrap();
    to_value(value, &schema).unwrap_err().to_string()
}

#[test]
fn a_struct_becomes_a_record_by_names_in_any_order() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Beat {
        source: Option<String>,
        bpm: u16,
        raw: Vec<u8>,
        marks: BTreeMap<String, f32>,
        at: (i64, i64),
        id: Uuid,
        key: [u8; 4],
    }
    let schema = r#"{"type":"record","name":"Beat","fields":[
        {"name":"bpm","type":"int"},
        {"name":"source","type":["null","string"]},
        {"name":"raw","type":"bytes"},
        {"name":"marks","type":{"type":"map","values":"float"}},
        {"name":"at","type":{"type":"array","items":"long"}},
        {"name":"id","type":{"type":"string","logicalType":"uuid"}},
        {"name":"key","type":{"type":"fixed","name":"Key","size":4}}]}"#;
    let beat = Beat {
        source: None,
        bpm: 65_000,
        raw: vec![0, 255],
        marks: BTreeMap::from([("a".into(), 0.5)]),
        at: (1, -1),
        id: Uuid::from_u128(7),
        key: [1, 2, 3, 4],
    };
    let value = round(schema, &beat);
    let Value::Record(fields) = &value else {
        panic!("{value:?}");
    };
    assert_eq!(fields[0], Value::Int(65_000));
    assert_eq!(fields[2], Value::Bytes(vec![0, 255]));
    assert_eq!(fields[5], Value::String(Uuid::from_u128(7).to_string()));
    assert_eq!(fields[6], Value::Fixed(vec![1, 2, 3, 4]));
}

#[test]
fn a_uuid_fills_a_fixed_of_sixteen_bytes() {
    let schema = r#"{"type":"fixed","name":"Id","size":16,"logicalType":"uuid"}"#;
    let value = round(schema, &Uuid::from_u128(7));
    assert_eq!(value, Value::Fixed(Uuid::from_u128(7).as_bytes().to_vec()));
}

#[test]
fn enums_are_symbols_and_branches() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Sport {
        Run,
        #[serde(rename = "SWIM")]
        Swim,
    }
    let sport = r#"{"type":"enum","name":"Sport","symbols":["SWIM","Run"]}"#;
    assert_eq!(round(sport, &Sport::Swim), Value::Enum(0));
    assert_eq!(round(sport, &Sport::Run), Value::Enum(1));
    assert_eq!(
        round(r#""string""#, &Sport::Swim),
        Value::String("SWIM".into())
    );

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Reading {
        Null,
        Double(f64),
        Beat { bpm: i32 },
        Pace(Pace),
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Pace {
        seconds: i64,
    }
    let reading = r#"["null","double",
        {"type":"record","name":"v.Beat","fields":[{"name":"bpm","type":"int"}]},
        {"type":"record","name":"v.Pace","fields":[{"name":"seconds","type":"long"}]}]"#;
    assert_eq!(
        round(reading, &Reading::Double(1.5)),
        Value::Union(1, Box::new(Value::Double(1.5)))
    );
    assert_eq!(
        round(reading, &Reading::Null),
        Value::Union(0, Box::new(Value::Null))
    );
    round(reading, &Reading::Beat { bpm: 65 });
    round(reading, &Reading::Pace(Pace { seconds: 300 }));
    assert_eq!(
        refused(r#"["null","string"]"#, &Reading::Double(1.5)),
        "$: the variant `Double` does not fit into union"
    );
}

#[test]
fn an_untagged_value_takes_the_branch_that_fits_best() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    #[serde(untagged)]
    enum Any {
        Whole(i64),
        Part(f64),
        Text(String),
        Many(Vec<Any>),
    }
    let schema =
        r#"["null","double","int","long","string",{"type":"array","items":["long","string"]}]"#;
    let branch = |any: &Any| match round(schema, any) {
        Value::Union(branch, _) => branch,
        other => panic!("{other:?}"),
    };
    assert_eq!(branch(&Any::Whole(1)), 3);
    assert_eq!(branch(&Any::Part(1.5)), 1);
    assert_eq!(branch(&Any::Text("a".into())), 4);
    assert_eq!(
        branch(&Any::Many(vec![Any::Whole(1), Any::Text("b".into())])),
        5
    );
}

#[test]
fn a_number_goes_only_where_it_stays_what_it_is() {
    assert_eq!(
        round(r#""double""#, &9_007_199_254_740_992_i64),
        Value::Double(9_007_199_254_740_992.0)
    );
    assert_eq!(
        refused(r#""double""#, &9_007_199_254_740_993_i64),
        "$: the number 9007199254740993 does not fit into double"
    );
    assert_eq!(
        refused(r#""int""#, &2_147_483_648_u32),
        "$: the number 2147483648 does not fit into int"
    );
    assert_eq!(
        refused(r#""long""#, &u64::MAX),
        format!("$: the number {} does not fit into long", u64::MAX)
    );
    assert_eq!(round(r#""float""#, &0.5_f64), Value::Float(0.5));
    assert_eq!(
        refused(r#""float""#, &0.1_f64),
        "$: the number 0.1 does not fit into float"
    );
    let schema = Schema::parse(r#""long""#).unwrap();
    let value = Value::Long(300);
    let error = from_value::<u8>(&value, &schema).unwrap_err();
    assert!(error.to_string().contains("300"), "{error}");
}

#[test]
fn a_field_that_is_left_out_takes_its_default_and_a_wrong_one_is_named_with_its_path() {
    #[derive(Serialize)]
    struct Part {
        #[serde(skip_serializing_if = "Option::is_none")]
        hr: Option<i32>,
    }
    let schema = r#"{"type":"record","name":"Beat","fields":[
        {"name":"parts","type":{"type":"array","items":
            {"type":"record","name":"Part","fields":[{"name":"hr","type":"int","default":60}]}}}]}"#;
    let parts = |part| BTreeMap::from([("parts", vec![part])]);
    let schema_of = Schema::parse(schema).unwrap();
    let value = to_value(&parts(Part { hr: None }), &schema_of).unwrap();
    let part = Value::Record(vec![Value::Int(60)]);
    assert_eq!(value, Value::Record(vec![Value::Array(vec![part])]));

    let wrong = BTreeMap::from([("parts", vec![BTreeMap::from([("hr", "fast")])])]);
    assert_eq!(
        refused(schema, &wrong),
        "$.parts[].hr: this text does not fit into int"
    );
    let strange = BTreeMap::from([("parts", vec![BTreeMap::from([("rh", 1)])])]);
    assert_eq!(
        refused(schema, &strange),
        "$.parts[]: `Part` has no field `rh`"
    );
    let missing = BTreeMap::<&str, i32>::new();
    assert_eq!(
        refused(schema, &missing),
        "$.parts: the field is missing, and has no default"
    );
}

#[test]
fn text_and_bytes_are_borrowed() {
    #[derive(Deserialize, PartialEq, Debug)]
    struct Beat<'a> {
        source: &'a str,
        raw: &'a [u8],
    }
    let schema = Schema::parse(
        r#"{"type":"record","name":"Beat","fields":[
        {"name":"source","type":["null","string"]},{"name":"raw","type":"bytes"}]}"#,
    )
    .unwrap();
    let source = Value::Union(1, Box::new(Value::String("strap".into())));
    let value = Value::Record(vec![source, Value::Bytes(vec![1])]);
    let beat: Beat<'_> = from_value(&value, &schema).unwrap();
    assert_eq!(
        beat,
        Beat {
            source: "strap",
            raw: &[1]
        }
    );
}

#[test]
fn json_goes_in_and_comes_out() {
    let schema = Schema::parse(
        r#"{"type":"record","name":"Beat","fields":[
        {"name":"bpm","type":"double"},
        {"name":"sport","type":{"type":"enum","name":"Sport","symbols":["RUN"]}},
        {"name":"next","type":["null","Beat"],"default":null}]}"#,
    )
    .unwrap();
    let json: serde_json::Value =
        serde_json::from_str(r#"{"bpm":65,"sport":"RUN","next":{"bpm":66.5,"sport":"RUN"}}"#)
            .unwrap();
    let value = to_value(&json, &schema).unwrap();
    value.check(&schema).unwrap();
    assert_eq!(
        serde_json::to_string(&value.named(&schema)).unwrap(),
        r#"{"bpm":65.0,"sport":"RUN","next":{"bpm":66.5,"sport":"RUN","next":null}}"#
    );
}

#[test]
fn a_value_of_another_schema_is_an_error() {
    let schema = Schema::parse(r#"{"type":"array","items":"int"}"#).unwrap();
    let value = Value::Record(vec![Value::Int(1)]);
    assert!(from_value::<Vec<i32>>(&value, &schema).is_err());
    assert!(serde_json::to_string(&value.named(&schema)).is_err());
    let value = Value::Enum(9);
    assert!(serde_json::to_string(&value.named(&schema)).is_err());
}
