//! `xpt avro decode`: messages, batches and plain datums as lines of JSON.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value as Json, json};
use telemetry_core::wire::Reader;
use telemetry_core::{Fingerprint, Kind, NodeId, Plan, Schema, SchemaRules, Value, single_object};

use crate::answer::{Answer, Failure, Found, read_bytes};
use crate::avro::{self, Limits};

/// What to decode, and with what.
#[derive(Args)]
pub(crate) struct Decode {
    /// A file of messages in single-object encoding (records or batches), one after the other.
    file: PathBuf,
    /// The schema to read with.
    #[arg(long, value_name = "SCHEMA")]
    reader: PathBuf,
    /// A schema that may have written them, again for each; the reader's own is known.
    #[arg(long, value_name = "SCHEMA")]
    writer: Vec<PathBuf>,
    /// The file has datums without any header, of the first writer or else of the reader.
    #[arg(long)]
    plain: bool,
}

/// A way to read one kind of message.
struct Way {
    fingerprint: Fingerprint,
    plan: Plan,
    is_batch: bool,
}

impl Decode {
    pub(crate) fn run(self, limits: &Limits) -> Result<Answer, Failure> {
        let bytes = read_bytes(&self.file)?;
        let reader = avro::parse(&self.reader, limits)?;
        let writers = self.writer.iter().map(|path| avro::parse(path, limits));
        let mut writers: Vec<Schema> = writers.collect::<Result<_, _>>()?;
        writers.push(reader.clone());
        let mut lines = Vec::new();
        let fault = if self.plain {
            let writer = writers.first().unwrap_or(&reader);
            let plan = Plan::compile_with(writer, &reader, limits.plan);
            let plan = plan.map_err(|e| e.to_string())?;
            datums(&plan, &reader, &bytes, limits, &mut lines)
        } else {
            let ways = ways(&writers, &reader, limits)?;
            messages(&ways, &reader, &bytes, limits, &mut lines)
        };
        Ok(Answer {
            found: Found::Lines(lines),
            fault: fault.err(),
        })
    }
}

fn ways(writers: &[Schema], reader: &Schema, limits: &Limits) -> Result<Vec<Way>, Failure> {
    let mut ways = Vec::new();
    let many = |schema: &Schema| {
        let text = format!(r#"{{"type":"array","items":{}}}"#, schema.json());
        // The array around it is a level more.
        let mut schema = limits.schema;
        schema.depth_max += 1;
        schema.json_bytes_max += text.len();
        Schema::parse_as(&text, SchemaRules::AsWritten, schema).map_err(|e| e.to_string())
    };
    for writer in writers {
        for (from, to, is_batch) in [
            (writer.clone(), reader.clone(), false),
            (many(writer)?, many(reader)?, true),
        ] {
            ways.push(Way {
                fingerprint: from.fingerprint(),
                plan: Plan::compile_with(&from, &to, limits.plan).map_err(|e| e.to_string())?,
                is_batch,
            });
        }
    }
    Ok(ways)
}

/// Reads one message after the other; says where and why it had to stop.
fn messages(
    ways: &[Way],
    schema: &Schema,
    bytes: &[u8],
    limits: &Limits,
    lines: &mut Vec<Json>,
) -> Result<(), String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (fingerprint, datum) = single_object::split(rest).map_err(|error| {
            format!("byte {at}: {error}; datums without a header need --plain and --writer")
        })?;
        let way = ways.iter().find(|way| way.fingerprint == fingerprint);
        let way = way.ok_or_else(|| {
            format!("byte {at}: written with schema #{fingerprint}: give it with --writer")
        })?;
        let mut input = Reader::new(datum);
        let value = way.plan.value_with(&mut input, limits.decode);
        let value = value.map_err(|e| format!("byte {at}: {e}"))?;
        rest = input.rest();
        match value {
            Value::Array(records) if way.is_batch => {
                lines.extend(records.iter().map(|r| shown(schema, schema.root_id(), r)));
            }
            value => lines.push(shown(schema, schema.root_id(), &value)),
        }
    }
    Ok(())
}

fn datums(
    plan: &Plan,
    schema: &Schema,
    bytes: &[u8],
    limits: &Limits,
    lines: &mut Vec<Json>,
) -> Result<(), String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let mut input = Reader::new(rest);
        let value = plan.value_with(&mut input, limits.decode);
        let value = value.map_err(|e| format!("byte {at}: {e}"))?;
        if input.rest().len() == rest.len() {
            return Err(format!(
                "byte {at}: such a datum has no bytes, yet bytes follow"
            ));
        }
        rest = input.rest();
        lines.push(shown(schema, schema.root_id(), &value));
    }
    Ok(())
}

/// A value with the names that its schema gives.
pub(crate) fn shown(schema: &Schema, node: NodeId, value: &Value) -> Json {
    match (value, &schema.node(node).kind) {
        (Value::Record(values), Kind::Record(record)) => {
            let pairs = record.fields.iter().zip(values);
            let pairs = pairs.map(|(f, v)| (f.name.clone(), shown(schema, f.node, v)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
        (Value::Array(items), Kind::Array(of)) => {
            items.iter().map(|item| shown(schema, *of, item)).collect()
        }
        (Value::Map(pairs), Kind::Map(of)) => {
            let pairs = pairs.iter();
            let pairs = pairs.map(|(k, v)| (k.clone(), shown(schema, *of, v)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
        (Value::Union(branch, value), Kind::Union(branches)) => branches
            .get(*branch as usize)
            .map_or(Json::Null, |of| shown(schema, *of, value)),
        (Value::Enum(symbol), Kind::Enum(of)) => json!(of.symbols.get(*symbol as usize)),
        (Value::Boolean(v), _) => json!(v),
        (Value::Int(v), _) => json!(v),
        (Value::Long(v), _) => json!(v),
        (Value::Float(v), _) => number(f64::from(*v), &v.to_string()),
        (Value::Double(v), _) => number(*v, &v.to_string()),
        (Value::String(v), _) => json!(v),
        (Value::Bytes(v) | Value::Fixed(v), _) => {
            json!(v.iter().map(|b| format!("{b:02x}")).collect::<String>())
        }
        _ => Json::Null,
    }
}

/// JSON has no name for what is no number.
fn number(value: f64, text: &str) -> Json {
    if !value.is_finite() {
        return json!(text);
    }
    // A float has fewer digits than the double of the same value.
    text.parse::<f64>().map_or(Json::Null, |v| json!(v))
}
