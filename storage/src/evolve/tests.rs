use super::*;
use proptest::prelude::*;

fn schema(fields: &str) -> Schema {
    Schema::parse(&format!(
        r#"{{"type":"record","name":"R","fields":[{fields}]}}"#
    ))
    .unwrap()
}

/// Applies schemas in order and returns the columns each one writes to.
fn run(schemas: &[&str]) -> (Table, Vec<Vec<String>>) {
    let mut table = Table::new(&["ts"], "");
    let columns = schemas
        .iter()
        .map(|fields| {
            let evolution = table.evolve(&schema(fields)).unwrap();
            table.apply(&evolution);
            evolution.columns
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
fn widening_keeps_the_column_and_another_type_gets_its_own() {
    let (table, columns) = run(&[
        r#"{"name":"a","type":"int"}"#,
        r#"{"name":"a","type":"long"}"#,
        r#"{"name":"a","type":"double"}"#,
        r#"{"name":"a","type":"int"}"#,
    ]);
    assert_eq!(columns, [["a"], ["a"], ["a__f64"], ["a"]]);
    assert_eq!(table.columns().len(), 2);
}

#[test]
fn names_are_plain_and_never_collide() {
    let (_, columns) = run(&[
        r#"{"name":"ts","type":"int"},{"name":"Ab","type":"int"},{"name":"aB","type":"int"},
           {"name":"AB","type":"int"},{"name":"_x","type":"int"}"#,
    ]);
    assert_eq!(columns[0], ["ts__i64", "ab", "ab__i64", "ab_2", "f_x"]);
    let long = "a".repeat(60);
    let (_, columns) = run(&[&format!(
        r#"{{"name":"{long}1","type":"int"}},{{"name":"{long}2","type":"int"}}"#
    )]);
    assert_eq!(columns[0][0].len(), 48);
    assert_ne!(columns[0][0], columns[0][1]);
}

#[test]
fn an_evolution_is_only_a_proposal() {
    let table = Table::new(&[], "meta_");
    let evolution = table
        .evolve(&schema(r#"{"name":"site","type":"string"}"#))
        .unwrap();
    assert_eq!(evolution.columns, ["meta_site"]);
    assert!(table.columns().is_empty());
}

#[test]
fn nested_fields_are_refused() {
    let nested = schema(r#"{"name":"m","type":{"type":"map","values":"int"}}"#);
    assert_eq!(
        Table::default().evolve(&nested).unwrap_err(),
        EvolveError::NotFlat(PlanError::NotFlat { path: "R.m".into() })
    );
}

#[test]
fn fields_of_one_schema_never_share_a_column() {
    let both = r#"{"name":"a","type":"int","aliases":["b"]},{"name":"b","type":"int"}"#;
    assert_eq!(run(&[both]).1, [["a", "b"]]);
    let (table, _) = run(&[r#"{"name":"a","type":"int","aliases":["b"]}"#]);
    assert!(matches!(
        table.evolve(&schema(
            r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#
        )),
        Err(EvolveError::Ambiguous { .. })
    ));
}

#[test]
fn words_of_the_databases_are_no_columns() {
    assert_eq!(
        run(&[r#"{"name":"Order","type":"int"}"#]).1,
        [["order__i64"]]
    );
}

proptest! {
    /// Whatever schemas come, in whatever order: fields of one schema never share a column unless
    /// the catalogue says that they are one field, a column never changes its type, and applying
    /// the same schema again adds nothing.
    #[test]
    fn the_catalogue_is_stable(
        rounds in proptest::collection::vec(
            proptest::collection::btree_map("[a-dA-D]{1,2}", 0usize..5, 1..6), 1..8)
    ) {
        let mut table = Table::new(&["ts"], "");
        for fields in &rounds {
            let text: Vec<String> = fields
                .iter()
                .map(|(name, kind)| {
                    let kind = ["boolean", "int", "double", "string", "bytes"][*kind];
                    format!(r#"{{"name":"{name}","type":"{kind}"}}"#)
                })
                .collect();
            let schema = schema(&text.join(","));
            let before = table.columns().to_vec();
            let evolution = table.evolve(&schema).unwrap();
            table.apply(&evolution);
            prop_assert_eq!(&table.columns()[..before.len()], &before[..]);
            let mut names = evolution.columns.clone();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), fields.len());
            let again = table.evolve(&schema).unwrap();
            prop_assert_eq!(again.columns, evolution.columns);
            prop_assert!(again.added.is_empty() && again.mappings.is_empty());
        }
    }
}
