//! Generates the types of every schema in `testdata/` and of 200 arbitrary ones, one module each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a build script that fails stops the build"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use telemetry_avro::codegen::generate;
use telemetry_avro::{Kind, Schema};

#[path = "src/random.rs"]
mod random;
#[path = "src/schemas.rs"]
mod schemas;

use schemas::Arbitrary;

/// The number of the first arbitrary schema.
const FIRST: &str = "XP_TELEMETRY_SCHEMAS";

/// Arbitrary schemas.
const ARBITRARY: u64 = 200;

fn main() {
    // Asked of cargo when it runs: a script that was built in one checkout may run for another one that
    // has the same target folder.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
    let data = Path::new(&here).join("../../../../testdata");
    println!("cargo::rerun-if-changed={}", data.display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    // `cargo xtask fuzz codegen` asks for others.
    println!("cargo::rerun-if-env-changed={FIRST}");
    let first = std::env::var(FIRST).map_or(0, |first| first.parse::<u64>().unwrap());
    let mut schemas = BTreeSet::new();
    gather(&data, &mut schemas);
    let schemas = schemas
        .into_iter()
        .chain((0..ARBITRARY).map(|seed| Arbitrary::new(first + seed).schema()));

    let mut modules = String::new();
    let mut records = String::new();
    for (i, text) in schemas.enumerate() {
        // What is no schema, and what no types can be made of, has tests of its own.
        let (Ok(schema), Ok(code)) = (Schema::parse(&text), generate(&[&text])) else {
            continue;
        };
        let _ = writeln!(modules, "/// A schema's types.\npub mod s{i} {{\n{code}}}");
        if let Kind::Record(record) = &schema.root().kind {
            // The root's own type is the last that is made.
            let rust = code.rsplit("pub struct ").next().unwrap();
            let rust = rust.split([' ', '(']).next().unwrap();
            assert!(
                code.contains(&format!("pub struct {rust} {{")),
                "{}: {code}",
                record.name
            );
            let _ = writeln!(records, "    check::<s{i}::{rust}>({text:?});");
        }
    }
    let all = format!("{modules}\nfn all() {{\n{records}}}\n");
    let out = std::env::var_os("OUT_DIR").unwrap();
    fs::write(Path::new(&out).join("schemas.rs"), all).unwrap();
}

/// Every `.avsc` file below a folder, and the inputs of Avro's own tests.
fn gather(folder: &Path, schemas: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let read = || {
            let mut text = String::new();
            let file = File::open(&path).unwrap();
            file.take(1 << 20).read_to_string(&mut text).map(|_| text)
        };
        if path.is_dir() {
            gather(&path, schemas);
        } else if path.extension().is_some_and(|e| e == "avsc") {
            schemas.extend(read());
        } else if path.ends_with("schema-tests.txt") {
            let text = read().unwrap();
            let inputs = text
                .lines()
                .filter_map(|line| line.strip_prefix("<<INPUT "));
            schemas.extend(inputs.map(str::to_owned));
        }
    }
}
