//! Against Apache Avro's Java library, the reference: defaults, canonical forms and container files
//! that nobody wrote by hand.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

#[path = "../generated/src/random.rs"]
mod random;
#[path = "../generated/src/schemas.rs"]
mod schemas;
#[path = "../generated/src/values.rs"]
mod values;

mod defaults;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value as Json, json};
use telemetry_avro::ocf::{Codec, OcfReader, OcfWriter};
use telemetry_avro::wire::Reader;
use telemetry_avro::{Plan, Schema};
use testkit::java;

use random::Random;
use schemas::Arbitrary;

/// What the Java library answers to each of `asked`.
fn ask(asked: &[Json]) -> Vec<Json> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/java/Differential.java");
    let java = java::AVRO.install().unwrap();
    let mut child = java
        .source(Path::new(program))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = asked.iter().map(|case| format!("{case}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said: Vec<Json> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.len(), asked.len());
    said
}

/// Fails with the first answers that differ, and says how many there are.
fn agree(asked: &[Json], ours: &[Json]) {
    let theirs = ask(asked);
    let cases = asked.iter().zip(ours).zip(&theirs);
    let differ: Vec<String> = cases
        .filter(|((_, ours), theirs)| ours != theirs)
        .map(|((asked, ours), theirs)| format!("{asked}\n  here {ours}\n  Java {theirs}"))
        .collect();
    let (count, first) = (differ.len(), &differ[..differ.len().min(5)]);
    assert!(
        count == 0,
        "{count} of {}:\n{}",
        asked.len(),
        first.join("\n")
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn ten_thousand_defaults_are_the_same_values() {
    let writer = Schema::parse(r#"{"type":"record","name":"R","fields":[]}"#).unwrap();
    let (mut asked, mut ours) = (Vec::new(), Vec::new());
    for seed in 0..10_000 {
        let text = defaults::record(&mut Random(seed));
        let reader = Schema::parse(&text).unwrap();
        let plan = Plan::compile(&writer, &reader).unwrap();
        let mut datum = Vec::new();
        plan.transcode(&mut Reader::new(&[]), &mut datum).unwrap();
        asked.push(json!({ "do": "default", "reader": text }));
        ours.push(json!({ "datum": hex(&datum) }));
    }
    agree(&asked, &ours);
}

#[test]
fn two_thousand_schemas_have_the_same_canonical_form_and_fingerprint() {
    let (mut asked, mut ours) = (Vec::new(), Vec::new());
    for seed in 0..2_000 {
        let text = Arbitrary::new(seed).schema();
        let Ok(schema) = Schema::parse(&text) else {
            continue;
        };
        asked.push(json!({ "do": "schema", "schema": text }));
        ours.push(json!({
            "canonical": schema.canonical(),
            "fingerprint": schema.fingerprint().to_string(),
        }));
    }
    assert!(asked.len() > 1_500, "only {} are schemas", asked.len());
    agree(&asked, &ours);
}

#[test]
fn five_hundred_container_files_are_read_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let (mut asked, mut ours, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..250 {
        let Ok(schema) = Schema::parse(&Arbitrary::new(seed).schema()) else {
            continue;
        };
        let mut random = Random(seed);
        let datums: Vec<Vec<u8>> = (0..random.below(20))
            .map(|_| {
                let mut datum = Vec::new();
                values::value(&mut random, &schema, schema.root_id(), 6).put(&mut datum);
                datum
            })
            .collect();
        let (codec, name) = Codec::ALL[seed as usize % Codec::ALL.len()];
        let path = |side: &str| folder.path().join(format!("{seed}.{side}"));
        let hexes: Vec<String> = datums.iter().map(|d| hex(d)).collect();

        let file = File::create(path("ours")).unwrap();
        let mut writer = OcfWriter::create(file, &schema, codec).unwrap();
        for (i, datum) in datums.iter().enumerate() {
            writer.push(datum).unwrap();
            if i % 3 == 0 {
                writer.flush().unwrap();
            }
        }
        writer.finish().unwrap();
        asked.push(json!({ "do": "read", "file": path("ours") }));
        ours.push(json!({ "datums": hexes }));

        asked.push(json!({
            "do": "write",
            "schema": schema.json(),
            "datums": hexes,
            "codec": name,
            "file": path("theirs"),
        }));
        ours.push(json!({}));
        written.push((path("theirs"), schema, datums));
    }
    assert!(asked.len() > 300, "only {} files", asked.len());
    agree(&asked, &ours);

    for (path, schema, datums) in written {
        let mut reader = OcfReader::new(File::open(path).unwrap()).unwrap();
        assert_eq!(reader.schema().canonical(), schema.canonical());
        let plan = Plan::compile(reader.schema(), &schema).unwrap();
        let mut found = Vec::new();
        while let Some(mut block) = reader.block().unwrap() {
            while let Some(datum) = block.next(|input| {
                let mut out = Vec::new();
                plan.transcode(input, &mut out).map(|()| out)
            }) {
                found.push(datum.unwrap());
            }
        }
        assert_eq!(found, datums, "{}", schema.json());
    }
}
