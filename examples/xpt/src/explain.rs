//! `xpt avro explain`: where each part of a reader's schema comes from.

use serde_json::json;
use telemetry_core::{Plan, Schema};

use crate::answer::{Answer, Failure, Table};
use crate::avro::Limits;

/// Says it, outermost first.
pub(crate) fn explain(
    writer: &Schema,
    reader: &Schema,
    limits: &Limits,
) -> Result<Answer, Failure> {
    let said = Plan::explain_with(writer, reader, limits.plan).map_err(|e| e.to_string())?;
    let mut table = Table::new(["read", "written", "how"]);
    for origin in said {
        let how = match (&origin.reader, &origin.writer) {
            (None, _) => "not read".to_owned(),
            (_, None) => format!("not written: {}", origin.how),
            _ => origin.how,
        };
        table.row([json!(origin.reader), json!(origin.writer), json!(how)]);
    }
    let plan = Plan::compile_with(writer, reader, limits.plan).map_err(|e| e.to_string())?;
    let problems = plan.problems().iter();
    let problems = problems.map(|p| format!("{}: {}: {}", p.path, p.rule, p.hint));
    let problems: Vec<String> = problems.collect();
    Ok(table.with((!problems.is_empty()).then(|| problems.join("\n"))))
}
