//! Layers that take identity and time from `telemetry-core` take no Avro along.

use crate::Failure;
use crate::run::{cargo, output};

/// Who knows no schema.
const LAYERS: &[&str] = &["telemetry-airpods", "xp-wayland-shim"];

/// What Avro brings along.
const AVRO: &[&str] = &["telemetry-avro", "serde_json", "sha2"];

pub(crate) fn check() -> Result<(), Failure> {
    for layer in LAYERS {
        let tree = output(
            "cargo tree",
            &mut cargo(&[
                "tree",
                "--locked",
                "--edges=normal",
                "--prefix=none",
                "--format={lib}",
                "--all-features",
                "-p",
                layer,
            ]),
        )?;
        let brought = brought(&tree);
        if !brought.is_empty() {
            return Err(Failure::Said(format!(
                "{layer} builds {}: take telemetry-core without its feature `avro`",
                brought.join(", ")
            )));
        }
    }
    Ok(())
}

/// Which of [`AVRO`] is in a tree, one library a line.
fn brought(tree: &str) -> Vec<&'static str> {
    let is_in = |name: &&str| tree.lines().any(|line| line == name.replace('-', "_"));
    AVRO.iter().copied().filter(is_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avro_is_noticed() {
        assert!(brought("telemetry_airpods\ntelemetry_core\nuuid\n").is_empty());
        assert_eq!(
            brought("telemetry_core\ntelemetry_avro\nserde_json\n"),
            ["telemetry-avro", "serde_json"]
        );
    }
}
