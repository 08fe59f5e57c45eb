//! The two texts of a schema: with everything, and canonical.

use serde_json::{Map, Value, json};

use crate::record::{Avro, Field, Record};

/// The schema with doc, aliases, defaults, logical types and `xpt.*` properties.
pub(crate) fn json(record: &Record) -> String {
    let mut out = Map::new();
    out.insert("type".into(), "record".into());
    out.insert("name".into(), record.name.as_str().into());
    if let Some(doc) = &record.doc {
        out.insert("doc".into(), doc.as_str().into());
    }
    if !record.aliases.is_empty() {
        out.insert("aliases".into(), record.aliases.clone().into());
    }
    let fields: Vec<Value> = record.fields.iter().map(field).collect();
    out.insert("fields".into(), fields.into());
    Value::Object(out).to_string()
}

fn field(field: &Field) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), field.name.as_str().into());
    out.insert("type".into(), type_of(field.avro));
    if let Some(doc) = &field.doc {
        out.insert("doc".into(), doc.as_str().into());
    }
    if !field.aliases.is_empty() {
        out.insert("aliases".into(), field.aliases.clone().into());
    }
    if let Some(default) = &field.default {
        out.insert("default".into(), default.clone());
    }
    if field.event_time {
        out.insert("xpt.eventTime".into(), true.into());
    }
    Value::Object(out)
}

fn type_of(avro: Avro) -> Value {
    let plain = match avro.logical {
        None => Value::from(avro.primitive),
        Some(logical) => json!({"type": avro.primitive, "logicalType": logical}),
    };
    if avro.nullable {
        json!(["null", plain])
    } else {
        plain
    }
}

/// The Parsing Canonical Form. Names need no escapes: their alphabet was checked.
pub(crate) fn canonical(record: &Record) -> String {
    let fields: Vec<String> = record
        .fields
        .iter()
        .map(|f| {
            let plain = f.avro.primitive;
            let ty = if f.avro.nullable {
                format!(r#"["null","{plain}"]"#)
            } else {
                format!(r#""{plain}""#)
            };
            format!(r#"{{"name":"{}","type":{ty}}}"#, f.name)
        })
        .collect();
    format!(
        r#"{{"name":"{}","type":"record","fields":[{}]}}"#,
        record.name,
        fields.join(",")
    )
}
