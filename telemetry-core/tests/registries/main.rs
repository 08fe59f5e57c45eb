//! Against a real registry, and against the client that others use with it.
//!
//! The registry is Apicurio: Confluent's own is not to be had from a package registry.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

use std::process::Command;
use std::sync::Arc;

use pollster::block_on;
use serde_json::Value as Json;
use telemetry_core::prefix::{Expect, SchemaId, VALUE_HEADER};
use telemetry_core::wire::Reader;
use telemetry_core::{
    AvroRecord, Compatibility, ConfluentOptions, ConfluentRegistry, Direction, Plan, PlanCache,
    Quarantine, Registered, Registry, Schema, StreamName,
};
use testkit::apicurio::Apicurio;
use testkit::python::python;

#[derive(AvroRecord, Debug, PartialEq)]
#[avro(name = "Beat", namespace = "exchange")]
struct Beat {
    bpm: i32,
    source: Option<String>,
}

fn subject(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

fn open(server: &Apicurio) -> ConfluentRegistry {
    ConfluentRegistry::new(&server.url(), ConfluentOptions::default()).unwrap()
}

fn exchange(arguments: &[&str]) -> Json {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/registries/exchange.py");
    let mut command = Command::new(python().unwrap());
    let out = command.arg(script).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{errors}");
    serde_json::from_slice(&out.stdout).unwrap()
}

fn unhex(text: &Json) -> Vec<u8> {
    let text = text.as_str().unwrap();
    let byte = |i| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[test]
fn registers_as_any_registry_does_and_exchanges_bytes_with_confluents_client() {
    let server = Apicurio::start().unwrap();
    registers(&open(&server));
    follows_references(&server);
    reads_what_the_client_wrote(&server);
    the_client_reads_what_was_written(&server);
}

fn registers(registry: &ConfluentRegistry) {
    let schema = |field: &str| {
        Schema::parse(&format!(
            r#"{{"type":"record","name":"R","fields":[{field}]}}"#
        ))
        .unwrap()
    };
    let register =
        |s: &StreamName, schema: &Schema| block_on(registry.register(s, schema)).unwrap();
    let int = schema(r#"{"name":"a","type":"int"}"#);
    let long = schema(r#"{"name":"a","type":"long"}"#);

    let a = subject("core.A");
    assert!(block_on(registry.versions(&a)).unwrap().is_empty());
    assert_eq!(registry.number(&a, &int).unwrap(), None);
    assert_eq!(register(&a, &int), Registered::New { version: 1 });
    assert_eq!(register(&a, &int), Registered::Known { version: 1 });
    registry
        .set_compatibility(&a, Compatibility::FullTransitive)
        .unwrap();
    assert_eq!(
        registry.compatibility(&a).unwrap(),
        Compatibility::FullTransitive
    );
    assert!(matches!(
        register(&a, &long),
        Registered::Quarantined(Quarantine::Incompatible {
            version: 1,
            direction: Direction::Forward,
            ..
        })
    ));
    registry
        .set_compatibility(&a, Compatibility::Backward)
        .unwrap();
    assert_eq!(register(&a, &long), Registered::New { version: 2 });

    let versions = block_on(registry.versions(&a)).unwrap();
    assert_eq!(
        versions.iter().map(|e| e.version).collect::<Vec<_>>(),
        [1, 2]
    );
    let found = block_on(registry.lookup(&a, long.fingerprint())).unwrap();
    assert_eq!(*found.unwrap().schema, long);
    let number = registry.number(&a, &long).unwrap().unwrap();
    let by_number = registry.by_number(number).unwrap().unwrap();
    assert_eq!(*by_number, long);
    assert!(Arc::ptr_eq(
        &by_number,
        &registry.by_number(number).unwrap().unwrap()
    ));
    assert_eq!(registry.by_number(1 << 20).unwrap(), None);
    assert!(registry.subjects().unwrap().contains(&"core.A".to_owned()));
}

/// The client registers what refers to something: ours registers whole schemas.
fn follows_references(server: &Apicurio) {
    let place = r#"{"type":"record","name":"geo.Place","fields":[{"name":"lat","type":"double"}]}"#;
    let ride = r#"{"type":"record","name":"Ride","fields":[{"name":"from","type":"geo.Place"}]}"#;
    exchange(&["register", &server.url(), "geo.Place", place]);
    exchange(&["register", &server.url(), "core.Ride", ride, "geo.Place"]);
    let versions = block_on(open(server).versions(&subject("core.Ride"))).unwrap();
    let whole = Schema::parse_with_references(ride, &[place]).unwrap();
    assert_eq!(versions[0].schema.canonical(), whole.canonical());
    assert_eq!(
        Schema::parse(versions[0].schema.json())
            .unwrap()
            .canonical(),
        whole.canonical()
    );
}

fn reads_what_the_client_wrote(server: &Apicurio) {
    let registry = open(server);
    let mut plans = PlanCache::default();
    let reader = Schema::parse(Beat::SCHEMA).unwrap();
    let expected = Beat {
        bpm: 65,
        source: Some("strap".to_owned()),
    };

    let message = unhex(&exchange(&["write", &server.url()])["message"]);
    let (id, datum) = SchemaId::split(&message, Expect::Number).unwrap();
    let SchemaId::Number(number) = id else {
        panic!("{id:?}");
    };
    let writer = registry.by_number(number).unwrap().unwrap();
    let plan: Arc<Plan> = plans.get(&writer, &reader).unwrap();
    let mut input = Reader::new(datum);
    assert_eq!(Beat::decode(&plan, &mut input).unwrap(), expected);
    assert!(input.is_empty());

    // Only a registry of Confluent's gives GUIDs; the client's own stand-in does, too.
    let said = exchange(&["write-header", "mock://core"]);
    let header = unhex(&said["headers"][VALUE_HEADER]);
    let id = SchemaId::from_header(&header, Expect::Number).unwrap();
    assert!(matches!(id, SchemaId::Guid(_)), "{id:?}");
    let mut again = Vec::new();
    id.put(&mut again);
    assert_eq!(again, header);
    let datum = unhex(&said["message"]);
    let plan = plans.get(&writer, &reader).unwrap();
    assert_eq!(
        Beat::decode(&plan, &mut Reader::new(&datum)).unwrap(),
        expected
    );
}

fn the_client_reads_what_was_written(server: &Apicurio) {
    let registry = open(server);
    let stream = subject("core.Beat");
    let schema = Schema::parse(Beat::SCHEMA).unwrap();
    let registered = block_on(registry.register(&stream, &schema)).unwrap();
    assert_eq!(registered, Registered::New { version: 1 });
    let number = registry.number(&stream, &schema).unwrap().unwrap();

    let beat = Beat {
        bpm: -3,
        source: None,
    };
    let mut message = Vec::new();
    SchemaId::Number(number).put(&mut message);
    beat.put_datum(&mut message);
    let hex: String = message.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        exchange(&["read", &server.url(), &hex]),
        serde_json::json!({ "bpm": -3, "source": null })
    );
}
