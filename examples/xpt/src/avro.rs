//! `xpt avro`: schemas, their names and whether one can follow another.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use telemetry_core::{Plan, Schema};

use crate::answer::{Answer, Failure, Table, read};
use crate::datums;
use crate::explain::explain;

/// What to do with schemas.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// The fingerprints of a schema and of its batches.
    Fingerprint {
        /// The schema, an .avsc file.
        schema: PathBuf,
    },
    /// Whether records of an old schema can be read with a new one.
    Check {
        /// The schema that records were written with.
        old: PathBuf,
        /// The schema that is to follow.
        new: PathBuf,
    },
    /// Where each field of a reader comes from, in words.
    Explain {
        /// The schema that records were written with.
        writer: PathBuf,
        /// The schema that they are read with.
        reader: PathBuf,
    },
    /// Records as JSON, one a line: bytes as hex, a union as the value it holds.
    Decode(datums::Decode),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        match self {
            Self::Fingerprint { schema } => fingerprint(&parse(&schema)?),
            Self::Check { old, new } => check(&parse(&old)?, &parse(&new)?),
            Self::Explain { writer, reader } => explain(&parse(&writer)?, &parse(&reader)?),
            Self::Decode(decode) => decode.run(),
        }
    }
}

/// A schema given on the command line.
pub(crate) fn parse(path: &Path) -> Result<Schema, Failure> {
    Schema::parse(&read(path)?).map_err(|e| format!("{}: {e}", path.display()))
}

fn fingerprint(schema: &Schema) -> Result<Answer, Failure> {
    let mut table = Table::new(["of", "fingerprint"]);
    table.row([json!("record"), json!(schema.fingerprint().to_string())]);
    let array = schema.array_fingerprint().to_string();
    table.row([json!("batch"), json!(array)]);
    Ok(table.fine())
}

fn check(old: &Schema, new: &Schema) -> Result<Answer, Failure> {
    let mut table = Table::new(["where", "rule", "what to do"]);
    if old.fingerprint() == new.fingerprint() && old.meaning() != new.meaning() {
        table.row([
            json!("schema"),
            json!("one fingerprint has one meaning"),
            json!("give the field whose logical type or property changed a new name"),
        ]);
    }
    let plan = Plan::compile(old, new).map_err(|e| e.to_string())?;
    for problem in plan.problems() {
        table.row([
            json!(problem.path),
            json!(problem.rule),
            json!(problem.hint),
        ]);
    }
    let bad = !table.is_empty();
    let fault = "the new schema cannot follow the old one";
    Ok(table.with(bad.then(|| fault.to_owned())))
}
