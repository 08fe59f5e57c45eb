//! The floors of the house: a layer depends on `telemetry-core` and on no sibling.

use serde_json::Value;

use crate::Failure;
use crate::run::{cargo, output};

/// The layers. Only examples wire them together.
const LAYERS: &[&str] = &[
    "xp-wayland-shim",
    "telemetry-transport",
    "telemetry-storage",
    "telemetry-itil",
    "telemetry-airpods",
];

/// What is below the layers, and what each of it may use. A mock of a broker serves every service, and so
/// knows none of them. `telemetry-avro` knows no `telemetry-core`:
/// who wants Avro alone takes it alone.
const BELOW: &[(&str, &[&str])] = &[
    ("scripted-broker", &[]),
    ("telemetry-base", &[]),
    ("telemetry-avro-derive", &[]),
    (
        "telemetry-avro",
        &["telemetry-base", "telemetry-avro-derive"],
    ),
    (
        "telemetry-core",
        &["telemetry-base", "telemetry-avro", "telemetry-avro-derive"],
    ),
];

/// What tests alone may use: it is gone from what is shipped. The derive's own tests use the crate that
/// it makes code for.
const TESTS: &[&str] = &["counting", "scripted-broker", "testkit"];

pub(crate) fn check() -> Result<(), Failure> {
    let text = output(
        "cargo metadata",
        &mut cargo(&["metadata", "--format-version=1", "--no-deps", "--locked"]),
    )?;
    let metadata: Value = serde_json::from_str(&text)
        .map_err(|e| Failure::Said(format!("cargo metadata is no JSON: {e}")))?;
    let wrong = broken(&metadata);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::Said(format!(
        "the floors are broken:\n  {}\nA layer depends on telemetry-core alone; examples wire layers",
        wrong.join("\n  ")
    )))
}

/// Every edge between two packages of the family that should not be.
fn broken(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let name = |p: &Value| p["name"].as_str().unwrap_or_default().to_owned();
    let family: Vec<String> = packages.iter().map(name).collect();
    let mut out = Vec::new();
    for package in packages {
        let from = name(package);
        let dependencies = package["dependencies"].as_array();
        for dependency in dependencies.map_or(&[][..], Vec::as_slice) {
            let to = name(dependency);
            let is_own = from == to || !family.contains(&to);
            let in_tests = dependency["kind"] == "dev"
                && (TESTS.contains(&to.as_str()) || from == "telemetry-avro-derive");
            let below = BELOW.iter().find(|(name, _)| *name == from);
            let allowed = match below {
                Some((_, uses)) => uses.contains(&to.as_str()),
                None => !LAYERS.contains(&from.as_str()) || to == "telemetry-core",
            };
            if !is_own && !allowed && !in_tests {
                out.push(format!("{from} depends on {to}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floors_hold() {
        check().unwrap();
    }

    #[test]
    fn a_sibling_is_noticed() {
        let metadata = serde_json::json!({"packages": [
            {"name": "telemetry-storage", "dependencies": [
                {"name": "telemetry-core"}, {"name": "telemetry-itil"}, {"name": "bytes"},
                {"name": "testkit", "kind": "dev"}]},
            {"name": "testkit", "dependencies": []},
            {"name": "telemetry-airpods", "dependencies": [{"name": "testkit", "kind": null}]},
            {"name": "telemetry-itil", "dependencies": []},
            {"name": "telemetry-core", "dependencies": [
                {"name": "telemetry-itil"}, {"name": "telemetry-avro"}]},
            {"name": "telemetry-avro", "dependencies": [{"name": "telemetry-core"}]},
            {"name": "fleet", "dependencies": [{"name": "telemetry-itil"}]}
        ]});
        assert_eq!(
            broken(&metadata),
            [
                "telemetry-storage depends on telemetry-itil",
                "telemetry-airpods depends on testkit",
                "telemetry-core depends on telemetry-itil",
                "telemetry-avro depends on telemetry-core"
            ]
        );
    }
}
