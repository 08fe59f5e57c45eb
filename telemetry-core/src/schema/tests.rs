use super::*;
use alloc::string::ToString;
use proptest::prelude::*;

/// The 34 rows of Apache Avro's `share/test/data/schema-tests.txt`.
const REFERENCE: &str = include_str!("../../../testdata/avro/share/data/schema-tests.txt");

#[test]
fn canonical_forms_and_fingerprints_agree_with_the_reference() {
    // Rows are `<<INPUT text`, `<<canonical text`, `<<fingerprint number`; a text may also span
    // lines up to a line with its tag alone.
    let (mut rows, mut prints) = (0, 0);
    let mut input = String::new();
    let mut canonical = String::new();
    let mut lines = REFERENCE.lines();
    while let Some(line) = lines.next() {
        let Some((tag, rest)) = line
            .strip_prefix("<<")
            .map(|l| l.split_once(' ').unwrap_or((l, "")))
        else {
            continue;
        };
        let text = if rest.is_empty() {
            let body: Vec<&str> = lines.by_ref().take_while(|l| *l != tag).collect();
            body.join("\n")
        } else {
            rest.to_string()
        };
        match tag {
            "INPUT" => input = text,
            "canonical" => {
                canonical = text;
                let schema = Schema::parse(&input).unwrap();
                assert_eq!(schema.canonical(), canonical, "{input}");
                rows += 1;
            }
            "fingerprint" => {
                let expected: i64 = text.trim().parse().unwrap();
                assert_eq!(Fingerprint::of(&canonical).0 as i64, expected, "{input}");
                prints += 1;
            }
            _ => panic!("unknown tag {tag}"),
        }
    }
    assert_eq!((rows, prints), (34, 26));
}

fn refused(json: &str) -> (String, String) {
    match Schema::parse(json).unwrap_err() {
        SchemaError::Rule { path, reason } => (path, reason),
        other => panic!("{other}"),
    }
}

#[test]
fn errors_name_the_path() {
    let record =
        |fields: &str| alloc::format!(r#"{{"type":"record","name":"a.R","fields":[{fields}]}}"#);
    let path = |json: &str| refused(json).0;
    assert_eq!(path(r#"{"type":"nonsense"}"#), "$.type");
    assert_eq!(
        path(&record(r#"{"name":"x","type":"y"}"#)),
        "$.fields[0].type"
    );
    assert_eq!(
        path(&record(r#"{"name":"1","type":"int"}"#)),
        "$.fields[0].name"
    );
    assert_eq!(
        path(&record(r#"{"name":"x","type":["int","int"]}"#)),
        "$.fields[0].type[1]"
    );
    assert_eq!(
        path(&record(r#"{"name":"x","type":"int","default":"1"}"#)),
        "a.R.x"
    );
    assert_eq!(
        path(r#"{"type":"enum","name":"E","symbols":["A","A"]}"#),
        "$.symbols[1]"
    );
}

#[test]
fn limits_hold() {
    let deep = "[".repeat(70);
    assert!(matches!(
        Schema::parse(&deep),
        Err(SchemaError::Json { .. })
    ));
    let mut nested = "\"int\"".to_string();
    for _ in 0..70 {
        nested = alloc::format!(r#"{{"type":"array","items":{nested}}}"#);
    }
    assert!(matches!(
        Schema::parse(&nested),
        Err(SchemaError::Limit {
            what: "nesting",
            ..
        }) | Err(SchemaError::Json { .. })
    ));
    let long = alloc::format!("\"{}\"", "a".repeat(70_000));
    assert!(matches!(
        Schema::parse(&long),
        Err(SchemaError::Limit { .. })
    ));
}

#[test]
fn meaning_keeps_what_the_canonical_form_hides() {
    let schema = |logical: &str| {
        Schema::parse(&alloc::format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"t","xpt.eventTime":true,
                "type":{{"type":"long","logicalType":"{logical}"}}}}]}}"#
        ))
        .unwrap()
    };
    let (a, b) = (schema("timestamp-micros"), schema("timestamp-millis"));
    assert_eq!(a.fingerprint(), b.fingerprint());
    assert_ne!(a.meaning(), b.meaning());
    assert_eq!(a.event_time(), Some(0));
    assert_eq!(
        a.logical(&a.record().unwrap().fields[0]),
        Some("timestamp-micros")
    );
}

#[test]
fn recursive_types_are_plain_data() {
    let schema = Schema::parse(
        r#"{"type":"record","name":"List","fields":[{"name":"next","type":["null","List"]}]}"#,
    )
    .unwrap();
    assert_eq!(
        Schema::parse(schema.canonical()).unwrap().canonical(),
        schema.canonical()
    );
}

proptest! {
    #[test]
    fn any_text_is_refused_or_has_a_stable_form(text in r#"[\[\]{}:,"a-z0-9. ]{0,80}"#) {
        if let Ok(schema) = Schema::parse(&text) {
            let again = Schema::parse(schema.canonical()).unwrap();
            prop_assert_eq!(again.canonical(), schema.canonical());
        }
    }
}
