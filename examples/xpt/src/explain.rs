//! `xpt avro explain`: where each field of a reader comes from.

use serde_json::json;
use telemetry_core::{Field, Kind, NodeId, Plan, Schema, Source};

use crate::answer::{Answer, Failure, Table};

/// Says it for the fields of two records.
pub(crate) fn explain(writer: &Schema, reader: &Schema) -> Result<Answer, Failure> {
    let plan = Plan::compile(writer, reader).map_err(|e| e.to_string())?;
    let fields = |schema: &Schema, which: &str| {
        let record = schema.record().map(|record| record.fields.clone());
        record
            .ok_or_else(|| format!("the {which}'s schema is no record: `xpt avro check` takes any"))
    };
    let (written, read) = (fields(writer, "writer")?, fields(reader, "reader")?);
    let mut table = Table::new(["field", "type", "comes from", "how"]);
    let mut taken = vec![false; written.len()];
    for (index, field) in read.iter().enumerate() {
        let (from, how) = match source(&plan, &written, index, field) {
            Some(found) => {
                taken[found] = true;
                let its = &written[found];
                let was = type_of(writer, its.node);
                let mut how = Vec::new();
                if its.name != field.name {
                    how.push("renamed by alias".to_owned());
                }
                if was != type_of(reader, field.node) {
                    how.push(format!("written as {was}"));
                }
                (format!("the writer's {}", its.name), how.join(", "))
            }
            None => match &field.default {
                Some(default) => (format!("its default, {default}"), "not written".to_owned()),
                None => (
                    "nowhere".to_owned(),
                    "not written, and no default".to_owned(),
                ),
            },
        };
        let of = type_of(reader, field.node);
        table.row([json!(field.name), json!(of), json!(from), json!(how)]);
    }
    for (field, _) in written.iter().zip(taken).filter(|(_, taken)| !taken) {
        let from = format!("the writer's {}", field.name);
        let of = type_of(writer, field.node);
        table.row([json!(null), json!(of), json!(from), json!("not read")]);
    }
    let problems = plan.problems().iter();
    let problems = problems.map(|p| format!("{}: {}: {}", p.path, p.rule, p.hint));
    let problems: Vec<String> = problems.collect();
    Ok(table.with((!problems.is_empty()).then(|| problems.join("\n"))))
}

/// The writer's field that a field of the reader is read from.
fn source(plan: &Plan, written: &[Field], index: usize, field: &Field) -> Option<usize> {
    if plan.flat().is_ok() {
        let mut sources = plan.sources();
        let found = sources.find_map(|(of, source)| (of == index).then_some(source));
        return match found {
            Some(Source::Writer(found)) => Some(found),
            _ => None,
        };
    }
    // Avro's rule: by the name, else by an alias of the reader.
    let by_name = written.iter().position(|w| w.name == field.name);
    by_name.or_else(|| written.iter().position(|w| field.aliases.contains(&w.name)))
}

/// A type in words.
fn type_of(schema: &Schema, node: NodeId) -> String {
    let node = schema.node(node);
    let words = match &node.kind {
        Kind::Primitive(primitive) => primitive.as_str().to_owned(),
        Kind::Array(of) => format!("array of {}", type_of(schema, *of)),
        Kind::Map(of) => format!("map of {}", type_of(schema, *of)),
        Kind::Union(branches) => {
            let branches: Vec<String> = branches.iter().map(|b| type_of(schema, *b)).collect();
            branches.join(" or ")
        }
        Kind::Record(record) => record.name.clone(),
        Kind::Enum(of) => of.name.clone(),
        Kind::Fixed(of) => of.name.clone(),
    };
    match &node.logical {
        Some(logical) => format!("{words} ({logical})"),
        None => words,
    }
}
