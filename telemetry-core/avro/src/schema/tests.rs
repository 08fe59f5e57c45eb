use super::*;
use alloc::string::ToString;
use proptest::prelude::*;

/// The 34 rows of Apache Avro's `share/test/data/schema-tests.txt`.
const REFERENCE: &str = include_str!("../../../../testdata/avro/share/data/schema-tests.txt");

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
        })
    ));
    let long = alloc::format!("\"{}\"", "a".repeat(2 << 20));
    assert!(matches!(
        Schema::parse(&long),
        Err(SchemaError::Limit { .. })
    ));
}

#[test]
fn a_default_that_fits_nothing_is_refused_soon() {
    // Each level may be either record and the innermost is neither: twice the work a level.
    let default = alloc::format!("{}5{}", r#"{"a":"#.repeat(60), "}".repeat(60));
    let text = alloc::format!(
        r#"{{"type":"record","name":"T","fields":[{{"name":"x","type":
            {{"type":"record","name":"R","fields":[{{"name":"a","type":["R",
            {{"type":"record","name":"S","fields":[{{"name":"a","type":["R","S"]}}]}}]}}]}},
            "default":{default}}}]}}"#
    );
    assert!(matches!(
        Schema::parse(&text),
        Err(SchemaError::Limit {
            what: "bytes looked at to check defaults",
            ..
        })
    ));
}

#[test]
fn what_is_ignored_is_still_json() {
    for bad in [r#""\ud800""#, "1e999", "01", "[1,]", "\"\t\""] {
        let text = alloc::format!(r#"{{"type":"int","vendor.note":{bad}}}"#);
        assert!(
            matches!(Schema::parse(&text), Err(SchemaError::Json { .. })),
            "{bad}"
        );
    }
}

#[test]
fn aliases_are_in_the_namespace_of_their_type() {
    let schema =
        Schema::parse(r#"{"type":"fixed","name":"a.b.F","size":1,"aliases":["G","c.H",".I"]}"#)
            .unwrap();
    let aliases: Vec<_> = schema.root().kind.full_aliases().collect();
    assert_eq!(aliases, ["a.b.G", "c.H", "I"]);
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
fn a_decimal_of_another_scale_means_something_else() {
    let schema = |scale: &str| {
        Schema::parse(&alloc::format!(
            r#"{{"type":"bytes","logicalType":"decimal","precision":9{scale}}}"#
        ))
        .unwrap()
    };
    let cents = schema(r#","scale":2"#);
    let (precision, scale) = (9, 2);
    assert_eq!(cents.root().decimal, Some(Decimal { precision, scale }));
    assert_ne!(cents.meaning(), schema(r#","scale":3"#).meaning());
    assert_eq!(schema("").root().decimal.unwrap().scale, 0);
    assert_eq!(schema(r#","scale":10"#).root().decimal, None);
}

#[test]
fn references_bring_their_own_references() {
    let a = r#"{"type":"record","name":"A","namespace":"x","fields":[
        {"name":"b","type":"y.B"},{"name":"again","type":["null","A"]}]}"#;
    let b = r#"{"type":"record","name":"y.B","fields":[
        {"name":"inner","type":{"type":"enum","name":"E","symbols":["S"]}}]}"#;
    let main = r#"{"type":"record","name":"M","fields":[
        {"name":"e","type":"y.E"},{"name":"a","type":"x.A"},{"name":"b","type":"y.B"}]}"#;
    let schema = Schema::parse_with_references(main, &[a, b]).unwrap();
    assert_eq!(
        schema.canonical(),
        concat!(
            r#"{"name":"M","type":"record","fields":[{"name":"e","type":"#,
            r#"{"name":"y.E","type":"enum","symbols":["S"]}},{"name":"a","type":"#,
            r#"{"name":"x.A","type":"record","fields":[{"name":"b","type":"#,
            r#"{"name":"y.B","type":"record","fields":[{"name":"inner","type":"y.E"}]}},"#,
            r#"{"name":"again","type":["null","x.A"]}]}},{"name":"b","type":"y.B"}]}"#
        )
    );
    assert!(matches!(
        Schema::parse_with_references(main, &[a]),
        Err(SchemaError::Rule { .. })
    ));
}

#[test]
fn references_that_multiply_meet_a_limit() {
    // Each is used once by name; definitions never repeat, so texts add up and no more.
    let many: Vec<String> = (0..40)
        .map(|i| {
            alloc::format!(
                r#"{{"type":"record","name":"R{i}","doc":"{}","fields":[{{"name":"next","type":"R{}"}}]}}"#,
                "x".repeat(40_000),
                i + 1
            )
        })
        .collect();
    let others: Vec<&str> = many[1..].iter().map(String::as_str).collect();
    assert!(matches!(
        Schema::parse_with_references(&many[0], &others),
        Err(SchemaError::Limit { .. })
    ));
}

#[cfg(feature = "std")]
#[test]
fn other_fingerprints_are_of_the_canonical_form() {
    let schema = Schema::parse(r#"{"type":"int","doc":"not in the form"}"#).unwrap();
    let hex =
        |bytes: &[u8]| -> String { bytes.iter().map(|b| alloc::format!("{b:02x}")).collect() };
    // md5sum and sha256sum of the text "int" with its quotes.
    assert_eq!(hex(&schema.md5()), "ef524ea1b91e73173d938ade36c1db32");
    assert_eq!(
        hex(&schema.sha256()),
        "3f2b87a9fe7cc9b13835598c3981cd45e3e355309e5090aa0933d7becb6fba45"
    );
}

#[test]
fn recursive_types_are_plain_data() {
    let schema = Schema::parse(
        r#"{"type":"record","name":"List","fields":[{"name":"next","type":["null","List"]}]}"#,
    )
    .unwrap();
    assert_eq!(
        Schema::parse(&schema.canonical()).unwrap().canonical(),
        schema.canonical()
    );
}

proptest! {
    #[test]
    fn any_text_is_refused_or_has_a_stable_form(text in r#"[\[\]{}:,"a-z0-9. ]{0,80}"#) {
        if let Ok(schema) = Schema::parse(&text) {
            let again = Schema::parse(&schema.canonical()).unwrap();
            prop_assert_eq!(again.canonical(), schema.canonical());
        }
    }
}
