//! Against fastavro, which resolves schemas with aliases as well.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;
use serde_json::{Value as Json, json};
use telemetry_avro::wire::Reader;
use telemetry_avro::{Kind, NodeId, Plan, Primitive, Schema};
use testkit::python::python;

/// Schemas and datums of the conformance set that can be compared.
///
/// Left out is what the two are known to see differently. fastavro refuses records whose names
/// differ, which the reference reads and a plan's problems name; and it gives a value of a union to
/// the first branch that takes it, by promotion or by the look of the value.
fn cases() -> Vec<(Json, Option<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/avro/decode.jsonl.gz");
    let mut text = String::new();
    let file = GzDecoder::new(File::open(path).unwrap());
    file.take(64 << 20).read_to_string(&mut text).unwrap();
    let mut cases = Vec::new();
    for line in text.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let field = |name: &str| case[name].as_str().unwrap().to_owned();
        let (writer, reader) = (field("writer"), field("reader"));
        let [from, to] = [&writer, &reader].map(|text| Schema::parse(text).unwrap());
        let plan = Plan::compile(&from, &to).unwrap();
        if !plan.problems().is_empty() || chooses(&to, to.root_id(), 0) {
            continue;
        }
        let bytes = unhex(&field("bytes"));
        let mut input = Reader::new(&bytes);
        let ours = plan.value(&mut input).ok().filter(|_| input.is_empty());
        let ours = ours.map(|value| {
            let mut out = Vec::new();
            value.put(&mut out);
            out.iter().map(|b| format!("{b:02x}")).collect()
        });
        let case = json!({ "writer": writer, "reader": reader, "bytes": field("bytes") });
        cases.push((case, ours));
    }
    cases
}

/// Whether a schema has a union in which a value may have more than one place.
fn chooses(schema: &Schema, id: NodeId, depth: usize) -> bool {
    let within = |id| depth < 8 && chooses(schema, id, depth + 1);
    match &schema.node(id).kind {
        Kind::Primitive(_) | Kind::Enum(_) | Kind::Fixed(_) => false,
        Kind::Array(id) | Kind::Map(id) => within(*id),
        Kind::Record(record) => record.fields.iter().any(|field| within(field.node)),
        Kind::Union(branches) => {
            let is_null =
                |id: &&NodeId| matches!(schema.node(**id).kind, Kind::Primitive(Primitive::Null));
            branches.len() - branches.iter().filter(is_null).count() > 1
                || branches.iter().any(|id| within(*id))
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |i| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[test]
fn fastavro_resolves_to_the_same_bytes() {
    let cases = cases();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/resolve.py");
    let mut child = Command::new(python().unwrap())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = cases.iter().map(|(case, _)| format!("{case}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said: Vec<Option<String>> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.len(), cases.len());
    let differ: Vec<String> = cases
        .iter()
        .zip(&said)
        .filter(|((_, ours), theirs)| ours != *theirs)
        .map(|((case, ours), theirs)| format!("{case}: {ours:?}, fastavro {theirs:?}"))
        .collect();
    assert!(
        differ.is_empty(),
        "{} of {}: {differ:#?}",
        differ.len(),
        cases.len()
    );
    assert!(cases.len() > 150, "only {} cases", cases.len());
}
