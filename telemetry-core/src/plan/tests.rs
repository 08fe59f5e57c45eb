use super::*;
use crate::wire::{Reader, put_bytes, put_long};
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
    assert_eq!(
        decode(&plan, &[0]),
        Err(DecodeError::Incompatible { problems: 3 })
    );
}

#[test]
fn null_for_a_reader_without_null_fails_where_it_stands() {
    let writer = schema(r#"{"name":"a","type":["null","int"]}"#);
    let plan = Plan::compile(&writer, &schema(r#"{"name":"a","type":"int"}"#)).unwrap();
    assert_eq!(decode(&plan, &[2, 8]).unwrap(), [(0, "Int(4)".to_string())]);
    assert_eq!(
        decode(&plan, &[0]),
        Err(DecodeError::Unresolved {
            field: 0,
            offset: 0,
            found: "null"
        })
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

proptest! {
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
