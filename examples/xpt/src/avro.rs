//! `xpt avro`: schemas, their names and whether one can follow another.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use telemetry_core::{
    Compatibility, DecodeLimits, Direction, PlanLimits, Schema, SchemaError, SchemaLimits,
    SchemaRules, codegen,
};

use crate::answer::{Answer, Failure, Found, Table, read};
use crate::datums;
use crate::explain::explain;

/// What to do with schemas, and how large they may be.
#[derive(Args)]
pub(crate) struct Avro {
    #[command(subcommand)]
    command: Command,
    /// Multiply every limit on schemas and records by N, for a schema of more than 1 MiB, 65,536 types,
    /// 256 bytes in a name, or 64 levels.
    #[arg(
        long,
        value_name = "N",
        global = true,
        default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=64)
    )]
    raise_limits: u8,
}

/// The limits that a person has chosen.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) schema: SchemaLimits,
    pub(crate) plan: PlanLimits,
    pub(crate) decode: DecodeLimits,
}

impl Limits {
    fn raised(by: u8) -> Self {
        let mut limits = Self::default();
        let Self {
            schema,
            plan,
            decode,
        } = &mut limits;
        for limit in [
            &mut schema.json_bytes_max,
            &mut schema.nodes_max,
            &mut schema.name_bytes_max,
            &mut schema.depth_max,
            &mut plan.ops_max,
            &mut plan.default_bytes_max,
            &mut decode.depth_max,
            &mut decode.zero_width_max,
            &mut decode.default_bytes_max,
        ] {
            *limit *= usize::from(by);
        }
        limits
    }
}

#[derive(Subcommand)]
enum Command {
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

impl Avro {
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        let limits = Limits::raised(self.raise_limits);
        let parse = |path: &Path| parse(path, &limits);
        match self.command {
            Command::Fingerprint { schema } => fingerprint(&parse(&schema)?),
            Command::Check { old, new, mode } => {
                let new = parse_as(&new, SchemaRules::Strict, &limits)?;
                check(&parse(&old)?, &new, mode, &limits)
            }
            Command::Explain { writer, reader } => {
                explain(&parse(&writer)?, &parse(&reader)?, &limits)
            }
            Command::Decode(decode) => decode.run(&limits),
            Command::Gen { schemas } => generate(&schemas, &limits),
        }
    }
}

/// A schema given on the command line, which data may have been written with.
pub(crate) fn parse(path: &Path, limits: &Limits) -> Result<Schema, Failure> {
    parse_as(path, SchemaRules::AsWritten, limits)
}

fn parse_as(path: &Path, rules: SchemaRules, limits: &Limits) -> Result<Schema, Failure> {
    let parsed = Schema::parse_as(&read(path)?, rules, limits.schema);
    parsed.map_err(|error| {
        let raise = match error {
            SchemaError::Limit { .. } => "; `--raise-limits 8` allows eight times as much",
            _ => "",
        };
        format!("{}: {error}{raise}", path.display())
    })
}

fn fingerprint(schema: &Schema) -> Result<Answer, Failure> {
    let mut table = Table::new(["of", "fingerprint"]);
    table.row([json!("record"), json!(schema.fingerprint().to_string())]);
    let array = schema.array_fingerprint().to_string();
    table.row([json!("batch"), json!(array)]);
    Ok(table.fine())
}

fn check(
    old: &Schema,
    new: &Schema,
    mode: Compatibility,
    limits: &Limits,
) -> Result<Answer, Failure> {
    let mut table = Table::new(["where", "rule", "what to do"]);
    if old.fingerprint() == new.fingerprint() && old.meaning() != new.meaning() {
        table.row([
            json!("schema"),
            json!("one fingerprint has one meaning"),
            json!("give the field whose logical type or property changed a new name"),
        ]);
    }
    let mut fault = "the new schema cannot follow the old one".to_owned();
    let conflict = mode.check_with(&[old], new, limits.plan);
    let conflict = conflict.map_err(|e| e.to_string())?;
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

fn generate(paths: &[PathBuf], limits: &Limits) -> Result<Answer, Failure> {
    let texts: Vec<String> = paths.iter().map(|p| read(p)).collect::<Result<_, _>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let code = codegen::generate_for("telemetry_avro", &texts, limits.schema);
    let code = code.map_err(|e| e.to_string())?;
    Ok(Answer {
        found: Found::Text(code),
        fault: None,
    })
}
