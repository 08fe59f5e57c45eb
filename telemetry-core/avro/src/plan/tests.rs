use super::*;
use crate::wire::{Reader, put_bytes, put_long};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

struct Fields(Vec<(usize, String)>);

impl<'a> FieldSink<'a> for Fields {
    fn set(&mut self, field: usize, value: Scalar<'a>) {
        self.0.push((field, format!("{value:?}")));
    }
}

fn schema(fields: &str) -> Schema {
    Schema::parse(&format!(
        r#"{{"type":"record","name":"a.R","fields":[{fields}]}}"#
    ))
    .unwrap()
}

fn decode(plan: &Plan, bytes: &[u8]) -> Result<Vec<(usize, String)>, DecodeError> {
    let mut fields = Fields(vec![]);
    let mut reader = Reader::new(bytes);
    plan.decode(&mut reader, &mut fields)?;
    assert!(reader.is_empty(), "{} bytes left", reader.rest().len());
    fields.0.sort_by_key(|(i, _)| *i);
    Ok(fields.0)
}

#[test]
fn renames_widens_defaults_removes_and_reorders() {
    let writer = schema(
        r#"{"name":"gone","type":"string"},
           {"name":"power","type":["null","int"]},
           {"name":"speed","type":"float"}"#,
    );
    let reader = schema(
        r#"{"name":"speed","type":"double"},
           {"name":"site","type":"string","default":"home"},
           {"name":"watts","type":["null","long"],"aliases":["power"]}"#,
    );
    let plan = Plan::compile(&writer, &reader).unwrap();
    assert_eq!(plan.problems(), []);

    let mut bytes = vec![];
    put_bytes(&mut bytes, b"x");
    put_long(&mut bytes, 1);
    put_long(&mut bytes, 250);
    bytes.extend(1.5f32.to_le_bytes());
    let fields = decode(&plan, &bytes).unwrap();
    let expected = ["Double(1.5)", r#"String("home")"#, "Long(250)"];
    assert_eq!(
        fields,
        expected
            .iter()
            .enumerate()
            .map(|(i, s)| (i, s.to_string()))
            .collect::<Vec<_>>()
    );

    let mut sources: Vec<_> = plan.sources().collect();
    sources.sort_by_key(|(field, _)| *field);
    assert_eq!(
        sources,
        [
            (0, Source::Writer(2)),
            (1, Source::Default(Scalar::String("home"))),
            (2, Source::Writer(1))
        ]
    );
}

#[test]
fn problems_name_path_rule_and_hint() {
    let writer = schema(r#"{"name":"a","type":["null","string"]},{"name":"b","type":"double"}"#);
    let reader = schema(
        r#"{"name":"a","type":"string"},{"name":"b","type":"int"},{"name":"c","type":"int"}"#,
    );
    let plan = Plan::compile(&writer, &reader).unwrap();
    let paths: Vec<_> = plan.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["a.R.c", "a.R.b", "a.R.a"]);
    let error = decode(&plan, &[0]).unwrap_err();
    assert!(
        matches!(&error, DecodeError::Incompatible { problem } if problem.path == "a.R.c"),
        "{error}"
    );
}

#[test]
fn null_for_a_reader_without_null_fails_where_it_stands() {
    let writer = schema(r#"{"name":"a","type":["null","int"]}"#);
    let plan = Plan::compile(&writer, &schema(r#"{"name":"a","type":"int"}"#)).unwrap();
    assert_eq!(decode(&plan, &[2, 8]).unwrap(), [(0, "Int(4)".to_string())]);
    assert_eq!(
        decode(&plan, &[0]).unwrap_err().to_string(),
        "at byte 1: a.R.a: null needs a reader that takes null; make the reader's field nullable"
    );
}

#[test]
fn names_resolve_unqualified_or_by_alias() {
    let named = |name: &str, aliases: &str| {
        Schema::parse(&format!(
            r#"{{"type":"record","name":"{name}","aliases":[{aliases}],"fields":[]}}"#
        ))
        .unwrap()
    };
    let problems = |w: &Schema, r: &Schema| Plan::compile(w, r).unwrap().problems().len();
    assert_eq!(problems(&named("a.R", ""), &named("b.R", "")), 0);
    assert_eq!(problems(&named("a.R", ""), &named("a.S", r#""a.R""#)), 0);
    assert_eq!(problems(&named("a.R", ""), &named("a.S", "")), 1);
}

#[test]
fn two_fields_may_not_claim_one() {
    let writer = schema(r#"{"name":"a","type":"int"}"#);
    let reader = schema(
        r#"{"name":"a","type":"int"},{"name":"b","type":"int","aliases":["a"],"default":0}"#,
    );
    assert_eq!(Plan::compile(&writer, &reader).unwrap().problems().len(), 1);
}

#[test]
fn nested_types_are_refused_by_path() {
    let nested = schema(r#"{"name":"list","type":{"type":"array","items":"int"}}"#);
    assert_eq!(
        Plan::compile(&nested, &nested).unwrap().flat().unwrap_err(),
        PlanError::NotFlat {
            path: "a.R.list".into()
        }
    );
}

#[test]
fn nested_problems_name_their_path() {
    let item = |ty: &str| {
        schema(&format!(
            r#"{{"name":"list","type":{{"type":"array","items":{{"type":"map","values":
               ["null",{{"type":"record","name":"Item","fields":[{{"name":"x","type":"{ty}"}}]}}]}}}}}}"#
        ))
    };
    let plan = Plan::compile(&item("string"), &item("int")).unwrap();
    let [problem] = plan.problems() else {
        panic!("{:?}", plan.problems());
    };
    assert_eq!(problem.path, "a.R.list[]{}.x");
    // One pair "k" whose value is the record.
    let datum = [2, 2, 2, b'k', 2, 2, b'v', 0, 0];
    assert_eq!(
        plan.value(&mut Reader::new(&datum)),
        Err(DecodeError::Problem {
            offset: 5,
            problem: problem.clone().into()
        })
    );
    // Without an item the problem is never met.
    assert!(plan.value(&mut Reader::new(&[0])).is_ok());
}

const LIST: &str = r#"{"type":"record","name":"L","fields":[
    {"name":"v","type":"int"},{"name":"next","type":["null","L"]}]}"#;
const LIST_LATER: &str = r#"{"type":"record","name":"L","fields":[
    {"name":"next","type":["L","null"]},{"name":"tag","type":"string","default":"t"},
    {"name":"v","type":["null","double"]}]}"#;

fn list_plan() -> Plan {
    let [writer, reader] = [LIST, LIST_LATER].map(|s| Schema::parse(s).unwrap());
    Plan::compile(&writer, &reader).unwrap()
}

#[test]
fn recursive_records_are_reordered_at_each_level() {
    let plan = list_plan();
    assert_eq!(plan.problems(), []);
    let node = |v: f64, next| {
        let v = Value::Union(1, Box::new(Value::Double(v)));
        Value::Record(vec![next, Value::String("t".into()), v])
    };
    let end = Value::Union(1, Box::new(Value::Null));
    let expected = node(1.0, Value::Union(0, Box::new(node(2.0, end))));
    let datum = [2, 2, 4, 0];
    assert_eq!(plan.value(&mut Reader::new(&datum)), Ok(expected.clone()));
    let (mut bytes, mut again) = (vec![], vec![]);
    plan.transcode(&mut Reader::new(&datum), &mut bytes)
        .unwrap();
    expected.put(&mut again);
    assert_eq!(bytes, again);
}

#[test]
fn depth_defaults_and_items_without_bytes_are_limited() {
    let plan = list_plan();
    let deep = [2].repeat(1_000);
    let over = |what, limits| {
        let found = plan.value_with(&mut Reader::new(&deep), limits);
        assert!(
            matches!(&found, Err(DecodeError::Limit { what: w, .. }) if *w == what),
            "{found:?}"
        );
        let mut out = vec![7];
        let error = plan.transcode_with(&mut Reader::new(&deep), &mut out, limits);
        assert_eq!(error, found.map(|_| ()));
        assert_eq!(out, [7]);
    };
    let limits = DecodeLimits::default();
    over("nesting", limits);
    over(
        "bytes of defaults",
        DecodeLimits {
            default_bytes_max: 9,
            ..limits
        },
    );

    let nulls = Schema::parse(r#"{"type":"array","items":"null"}"#).unwrap();
    let plan = Plan::compile(&nulls, &nulls).unwrap();
    let mut datum = vec![];
    put_long(&mut datum, 65_536);
    assert!(matches!(
        plan.value(&mut Reader::new(&[&datum[..], &[0]].concat())),
        Ok(Value::Array(items)) if items.len() == 65_536
    ));
    assert!(matches!(
        plan.value(&mut Reader::new(&[&datum[..], &[2, 0]].concat())),
        Err(DecodeError::Limit { .. })
    ));
}

#[test]
fn counts_are_checked_by_the_writers_items() {
    let array =
        |items: &str| Schema::parse(&format!(r#"{{"type":"array","items":"{items}"}}"#)).unwrap();
    // The reader's doubles need 24 bytes, the writer's ints only the 3 that are there.
    let plan = Plan::compile(&array("int"), &array("double")).unwrap();
    assert!(plan.value(&mut Reader::new(&[6, 2, 4, 6, 0])).is_ok());
    let plan = Plan::compile(&array("double"), &array("double")).unwrap();
    assert_eq!(
        plan.value(&mut Reader::new(&[6, 2, 4, 6, 0])),
        Err(DecodeError::Count {
            offset: 0,
            count: 3,
            left: 4
        })
    );
    // A block of a size that its items do not have.
    let plan = Plan::compile(&array("int"), &array("int")).unwrap();
    assert_eq!(
        plan.value(&mut Reader::new(&[1, 4, 2, 4, 0])),
        Err(DecodeError::Block {
            offset: 3,
            expected: 4
        })
    );
}

#[test]
fn defaults_that_fill_in_each_other_are_limited() {
    let endless = r#"{"name":"r","type":{"type":"record","name":"E","fields":[
        {"name":"e","type":["E"],"default":{}}]},"default":{}}"#;
    let reader = schema(endless);
    assert!(matches!(
        Plan::compile(&schema(""), &reader),
        Err(PlanError::Limit { .. })
    ));
    let limits = PlanLimits {
        ops_max: 3,
        ..PlanLimits::default()
    };
    let error = Plan::compile_with(&reader, &reader, limits).unwrap_err();
    assert_eq!(
        error,
        PlanError::Limit {
            what: "number of operations",
            max: 3
        }
    );
}

/// Every kind of type, on a way that promotes, reorders, fills in and skips.
const WIDE: [&str; 2] = [
    r#"{"name":"gone","type":{"type":"map","values":{"type":"array","items":["null","string"]}}},
       {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B","C"]}},
       {"name":"f","type":{"type":"fixed","name":"F","size":3}},
       {"name":"l","type":{"type":"array","items":{"type":"record","name":"I","fields":[
           {"name":"n","type":"int"},{"name":"empty","type":{"type":"array","items":"null"}},
           {"name":"self","type":["null","I"]}]}}},
       {"name":"u","type":["int","string","bytes"]},{"name":"m","type":{"type":"map","values":"long"}}"#,
    r#"{"name":"m","type":{"type":"map","values":["null","float"]}},
       {"name":"u","type":["bytes","string","long"]},
       {"name":"l","type":{"type":"array","items":{"type":"record","name":"I","fields":[
           {"name":"self","type":["I","null"]},{"name":"d","type":"string","default":"x"},
           {"name":"empty","type":{"type":"array","items":"null"}},{"name":"n","type":"double"}]}}},
       {"name":"f","type":["null",{"type":"fixed","name":"F","size":3}]},
       {"name":"e","type":{"type":"enum","name":"E","symbols":["C","A"],"default":"A"}}"#,
];

proptest! {
    #[test]
    fn value_and_transcoder_agree_on_any_bytes(
        bytes in proptest::collection::vec(prop_oneof![3 => 0u8..8, 1 => any::<u8>()], 0..64)
    ) {
        let [writer, reader] = WIDE.map(schema);
        let plan = Plan::compile(&writer, &reader).unwrap();
        prop_assert_eq!(plan.problems(), []);
        let mut out = vec![];
        let mut input = Reader::new(&bytes);
        let transcoded = plan.transcode(&mut input, &mut out);
        match plan.value(&mut Reader::new(&bytes)) {
            Ok(value) => {
                prop_assert_eq!(transcoded, Ok(()));
                // Blocks may differ, what they say may not.
                let same = Plan::compile(&reader, &reader).unwrap();
                let mut again = Reader::new(&out);
                prop_assert_eq!(same.value(&mut again), Ok(value.clone()));
                prop_assert!(again.is_empty());
                let mut put = vec![];
                value.put(&mut put);
                prop_assert_eq!(same.value(&mut Reader::new(&put)), Ok(value));
            }
            Err(error) => {
                prop_assert_eq!(transcoded, Err(error));
                prop_assert!(out.is_empty());
            }
        }
    }

    #[test]
    fn hostile_datums_never_panic(bytes: Vec<u8>) {
        let writer = schema(
            r#"{"name":"a","type":"string"},{"name":"b","type":["null","bytes"]},
               {"name":"c","type":["double","null"]},{"name":"d","type":"boolean"}"#,
        );
        let plan = Plan::compile(&writer, &writer).unwrap();
        let mut reader = Reader::new(&bytes);
        while plan.decode(&mut reader, &mut Fields(vec![])).is_ok() {}
    }
}
