//! Schemas beyond the default limits.

#![allow(clippy::unwrap_used, reason = "a failed check of a test panics")]

use std::fs;
use std::process::Command;

/// Arrays inside each other.
fn nested(levels: usize) -> String {
    let open = r#"{"type":"array","items":"#;
    format!(r#"{}"int"{}"#, open.repeat(levels), "}".repeat(levels))
}

#[test]
fn a_schema_over_a_limit_is_read_with_raised_limits() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("deep.avsc");
    fs::write(&deep, nested(4_000)).unwrap();
    let xpt = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xpt"));
        let output = command.args(["avro"]).args(more).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let deep = deep.to_str().unwrap();

    let (code, said) = xpt(&["fingerprint", deep]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("over the limit of"), "{said}");
    assert!(said.contains("--raise-limits"), "{said}");

    for verb in ["check", "explain"] {
        let (code, said) = xpt(&[verb, deep, deep, "--raise-limits", "64"]);
        assert_eq!(code, Some(0), "{verb}: {said}");
    }
    let datum = folder.path().join("datum");
    fs::write(&datum, [vec![2; 4_000], vec![14], vec![0; 4_000]].concat()).unwrap();
    let datum = datum.to_str().unwrap();
    let plain = [
        "decode",
        datum,
        "--plain",
        "--reader",
        deep,
        "--raise-limits",
        "64",
    ];
    let (code, said) = xpt(&plain);
    assert_eq!(code, Some(0), "{said}");
}
