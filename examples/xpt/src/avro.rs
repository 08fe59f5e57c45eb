//! `xpt avro`: schemas, their names and whether one can follow another.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use telemetry_core::{Compatibility, Direction, Schema, codegen};

use crate::answer::{Answer, Failure, Found, Table, read};
use crate::datums;
use crate::explain::explain;

/// What to do with schemas.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the fingerprints of a schema and of its batches.
    Fingerprint {
        /// The schema, an .avsc file.
        schema: PathBuf,
    },
    /// Say whether a new schema may follow an old one, and what to do if not.
    Check {
        /// The schema that records were written with.
        old: PathBuf,
        /// The schema that is to follow.
        new: PathBuf,
        /// What the new schema must be able to do: BACKWARD (read old records), FORWARD (be read by old
        /// readers) or FULL (both).
        #[arg(long, default_value = "BACKWARD")]
        mode: Compatibility,
    },
    /// Say where each field of a reader comes from.
    Explain {
        /// The schema that records were written with.
        writer: PathBuf,
        /// The schema that they are read with.
        reader: PathBuf,
    },
    /// Print records as JSON, one in each line; bytes are in hex, and a union is the value that it holds.
    Decode(datums::Decode),
    /// Print the Rust types of schemas, which may refer to each other.
    Gen {
        /// The schemas: .avsc files, in any order.
        #[arg(required = true)]
        schemas: Vec<PathBuf>,
    },
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        match self {
            Self::Fingerprint { schema } => fingerprint(&parse(&schema)?),
            Self::Check { old, new, mode } => check(&parse(&old)?, &parse_new(&new)?, mode),
            Self::Explain { writer, reader } => explain(&parse(&writer)?, &parse(&reader)?),
            Self::Decode(decode) => decode.run(),
            Self::Gen { schemas } => generate(&schemas),
        }
    }
}

/// A schema given on the command line, which data may have been written with.
pub(crate) fn parse(path: &Path) -> Result<Schema, Failure> {
    Schema::parse_written(&read(path)?).map_err(|e| format!("{}: {e}", path.display()))
}

/// A new schema given on the command line: held to the rules.
fn parse_new(path: &Path) -> Result<Schema, Failure> {
    Schema::parse(&read(path)?).map_err(|e| format!("{}: {e}", path.display()))
}

fn fingerprint(schema: &Schema) -> Result<Answer, Failure> {
    let mut table = Table::new(["of", "fingerprint"]);
    table.row([json!("record"), json!(schema.fingerprint().to_string())]);
    let array = schema.array_fingerprint().to_string();
    table.row([json!("batch"), json!(array)]);
    Ok(table.fine())
}

fn check(old: &Schema, new: &Schema, mode: Compatibility) -> Result<Answer, Failure> {
    let mut table = Table::new(["where", "rule", "what to do"]);
    if old.fingerprint() == new.fingerprint() && old.meaning() != new.meaning() {
        table.row([
            json!("schema"),
            json!("one fingerprint has one meaning"),
            json!("give the field whose logical type or property changed a new name"),
        ]);
    }
    let mut fault = "the new schema cannot follow the old one".to_owned();
    let conflict = mode.check(&[old], new).map_err(|e| e.to_string())?;
    if let Some(conflict) = &conflict {
        fault += match conflict.direction {
            Direction::Backward => ": it cannot read what was written",
            Direction::Forward => ": readers of the old one cannot read what it writes",
        };
    }
    for problem in conflict.iter().flat_map(|c| &c.problems) {
        table.row([
            json!(problem.path),
            json!(problem.rule),
            json!(problem.hint),
        ]);
    }
    let bad = !table.is_empty();
    Ok(table.with(bad.then_some(fault)))
}

fn generate(paths: &[PathBuf]) -> Result<Answer, Failure> {
    let texts: Vec<String> = paths.iter().map(|p| read(p)).collect::<Result<_, _>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let code = codegen::generate(&texts).map_err(|e| e.to_string())?;
    Ok(Answer {
        found: Found::Text(code),
        fault: None,
    })
}
