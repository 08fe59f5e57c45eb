//! Random lineages of schemas: a row written by any version reads back under any reader as Avro
//! resolution says, whatever the order in which the versions arrive.

use proptest::prelude::*;
use telemetry_core::wire::Reader;
use telemetry_core::{Plan, Registered, Registry, Schema, Value};
use telemetry_storage::{Limits, SqliteOptions, SqliteStore};

use crate::faults::{batch, is_new, read, stream, write};

/// What a field may be in some version.
const TYPES: &[&str] = &[
    r#""int""#,
    r#""long""#,
    r#""float""#,
    r#""double""#,
    r#""string""#,
    r#""bytes""#,
    r#"["null","int"]"#,
    r#"["null","long","string"]"#,
    r#"{"type":"long","logicalType":"timestamp-millis"}"#,
    r#"{"type":"array","items":"int"}"#,
    r#"["null",{"type":"record","name":"N","fields":[{"name":"x","type":"double"},{"name":"y","type":["null","int"]}]}]"#,
    r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}"#,
];

/// A field: its name, perhaps a former name, and its type.
type FieldOf = (usize, Option<usize>, usize);

fn schema(fields: &[FieldOf]) -> Option<Schema> {
    let names = ["a", "b", "c", "d"];
    let mut seen = Vec::new();
    let mut text = Vec::new();
    for &(name, alias, of) in fields {
        // A name and a named type may stand once.
        if seen.contains(&name)
            || text
                .iter()
                .any(|t: &String| of >= 10 && t.contains(TYPES[of]))
        {
            continue;
        }
        seen.push(name);
        let alias = alias.map_or_else(String::new, |a| format!(r#","aliases":["{}"]"#, names[a]));
        let default = match of {
            0..=3 | 8 => ",\"default\":0",
            4 | 5 => ",\"default\":\"\"",
            9 => ",\"default\":[]",
            11 => ",\"default\":\"B\"",
            _ => ",\"default\":null",
        };
        text.push(format!(
            r#"{{"name":"{}","type":{}{alias}{default}}}"#,
            names[name], TYPES[of]
        ));
    }
    let json = format!(
        r#"{{"type":"record","name":"R","fields":[{}]}}"#,
        text.join(",")
    );
    Schema::parse(&json).ok()
}

fn value(schema: &Schema, of: telemetry_core::NodeId, seed: i64) -> Value {
    use telemetry_core::{Kind, Primitive};
    match &schema.node(of).kind {
        Kind::Primitive(p) => match p {
            Primitive::Int => Value::Int(seed as i32),
            Primitive::Long => Value::Long(seed * 1_000),
            Primitive::Float => Value::Float(if seed % 3 == 0 { f32::NAN } else { seed as f32 }),
            Primitive::Double => Value::Double(if seed % 3 == 0 { -0.0 } else { seed as f64 }),
            Primitive::String => Value::String(format!("t{seed}")),
            Primitive::Bytes => Value::Bytes(vec![seed as u8, 0xff]),
            Primitive::Boolean => Value::Boolean(seed % 2 == 0),
            Primitive::Null => Value::Null,
        },
        Kind::Array(item) => Value::Array(vec![value(schema, *item, seed); (seed % 3) as usize]),
        Kind::Union(branches) => {
            let at = (seed as usize) % branches.len();
            Value::Union(at as u32, Box::new(value(schema, branches[at], seed)))
        }
        Kind::Record(record) => {
            let fields = record.fields.iter().enumerate();
            Value::Record(
                fields
                    .map(|(i, f)| value(schema, f.node, seed + i as i64))
                    .collect(),
            )
        }
        Kind::Enum(_) => Value::Enum((seed % 2) as u32),
        Kind::Map(_) | Kind::Fixed(_) => Value::Null,
    }
}

fn fields() -> impl Strategy<Value = Vec<FieldOf>> {
    let field = (
        0..4usize,
        proptest::option::weighted(0.3, 0..4usize),
        0..TYPES.len(),
    );
    proptest::collection::vec(field, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_version_reads_back_under_every_reader_as_avro_says(
        versions in proptest::collection::vec(fields(), 1..6),
        columns_max in 8usize..16,
        rows in 1i64..4,
    ) {
        let schemas: Vec<Schema> = versions.iter().filter_map(|fields| schema(fields)).collect();
        pollster::block_on(async {
            let limits = Limits { columns_max, ..Limits::default() };
            let options = SqliteOptions { limits, ..SqliteOptions::default() };
            let store = SqliteStore::in_memory(options).unwrap();
            let mut written: Vec<(&Schema, Vec<u8>)> = Vec::new();
            for schema in &schemas {
                match store.register(&stream("s"), schema).await.unwrap() {
                    Registered::New { .. } | Registered::Known { .. } | Registered::Revision { .. } => {}
                    Registered::Quarantined(_) => {
                        // A person may accept it all the same.
                        store.accept(&stream("s"), schema.fingerprint()).unwrap();
                    }
                }
                let datums: Vec<Vec<u8>> = (0..rows)
                    .map(|seed| {
                        let mut out = Vec::new();
                        value(schema, schema.root_id(), seed + written.len() as i64).put(&mut out);
                        out
                    })
                    .collect();
                let first = written.len() as u64 + 1;
                let outcome = write(&store, &[batch("s", schema, first, &datums)]).await.remove(0);
                // Another meaning of one fingerprint is the only schema that nobody can accept.
                if is_new(&outcome, rows as u32) {
                    written.extend(datums.into_iter().map(|datum| (schema, datum)));
                } else {
                    return Ok(());
                }
            }
            for reader in &schemas {
                let page = read(&store, "s", reader).await;
                let mut records = page.records.iter();
                let mut unreadable = page.unreadable.iter();
                for (i, (writer, datum)) in written.iter().enumerate() {
                    let plan = Plan::compile(writer, reader);
                    let mut expected = Vec::new();
                    let right = plan.is_ok_and(|plan| {
                        plan.transcode(&mut Reader::new(datum), &mut expected).is_ok()
                    });
                    let seq = i as u64 + 1;
                    if right {
                        let record = records.next();
                        let record = record.map(|r| (r.seq.get(), &r.datum));
                        prop_assert_eq!(record, Some((seq, &expected)), "{}\n{}", writer.json(), reader.json());
                    } else {
                        prop_assert_eq!(unreadable.next().map(|u| u.seq.get()), Some(seq));
                    }
                }
                prop_assert!(records.next().is_none() && unreadable.next().is_none());
            }
            Ok(())
        })?;
    }
}
