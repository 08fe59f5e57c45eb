//! What every registry that this crate brings must do.

use std::io::{Read as _, Write as _};

use pollster::block_on;

use super::*;
use crate::{Compatibility, Direction, Quarantine};

fn schema(fields: &str) -> Schema {
    Schema::parse(&format!(
        r#"{{"type":"record","name":"R","fields":[{fields}]}}"#
    ))
    .unwrap()
}

fn subject(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

fn contract<R: Registry>(registry: &R, full: impl Fn(&StreamName)) {
    let register =
        |s: &StreamName, schema: &Schema| block_on(registry.register(s, schema)).unwrap();
    let (a, b) = (subject("test.A"), subject("test.B"));
    let int = schema(r#"{"name":"a","type":"int"}"#);
    let long = schema(r#"{"name":"a","type":"long"}"#);
    let text = schema(r#"{"name":"a","type":"string"}"#);

    assert_eq!(register(&a, &int), Registered::New { version: 1 });
    assert_eq!(register(&a, &int), Registered::Known { version: 1 });
    assert_eq!(register(&a, &long), Registered::New { version: 2 });
    let refused = register(&a, &text);
    assert!(matches!(
        &refused,
        Registered::Quarantined(Quarantine::Incompatible {
            version: 1,
            direction: Direction::Backward,
            ..
        })
    ));
    assert_eq!(register(&a, &text), refused, "it stays quarantined");

    let revision = schema(r#"{"name":"a","type":"int","doc":"beats a minute"}"#);
    assert_eq!(register(&a, &revision), Registered::Revision { version: 1 });
    let found = block_on(registry.lookup(&a, int.fingerprint())).unwrap();
    assert_eq!(
        *found.unwrap().schema,
        revision,
        "readers use the newest text"
    );

    full(&b);
    assert_eq!(register(&b, &int), Registered::New { version: 1 });
    assert!(matches!(
        register(&b, &long),
        Registered::Quarantined(Quarantine::Incompatible {
            direction: Direction::Forward,
            ..
        })
    ));
    check(registry);
}

/// What must be there afterwards, also in a registry that was opened again.
fn check<R: Registry>(registry: &R) {
    let versions = |s: &str| block_on(registry.versions(&subject(s))).unwrap();
    let a = versions("test.A");
    assert_eq!(a.iter().map(|e| e.version).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        a.iter().map(|e| e.quarantine.is_some()).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert!(a[0].schema.json().contains("beats a minute"));
    assert_eq!(versions("test.B").len(), 2);
    assert_eq!(versions("test.C").len(), 0);
}

#[test]
fn in_memory() {
    let registry = MemoryRegistry::default();
    contract(&registry, |s| {
        registry.set_compatibility(s, Compatibility::Full).unwrap();
    });
}

#[test]
fn in_a_file_that_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.jsonl");
    let registry = FileRegistry::open(&path).unwrap();
    assert!(matches!(
        FileRegistry::open(&path),
        Err(FileRegistryError::Locked)
    ));
    contract(&registry, |s| {
        registry.set_compatibility(s, Compatibility::Full).unwrap();
    });
    drop(registry);

    // What a crash leaves of a line that was not answered.
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(br#"{"schema":"\"int\""#).unwrap();
    drop(file);
    let registry = FileRegistry::open(&path).unwrap();
    check(&registry);
    let full = schema(r#"{"name":"a","type":"double"}"#);
    let answer = block_on(registry.register(&subject("test.B"), &full)).unwrap();
    assert!(
        matches!(answer, Registered::Quarantined(_)),
        "the mode is kept"
    );
}

/// A power cut keeps sectors from being written while the file has grown already. That happens to the
/// last line alone: zeros anywhere else are damage.
#[test]
fn a_last_line_of_which_sectors_are_missing_was_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.jsonl");
    let long = |name: &str| {
        let doc = "what it is for ".repeat(100);
        schema(&format!(
            r#"{{"name":"{name}","type":"int","default":0,"doc":"{doc}"}}"#
        ))
    };
    let (mut ends, registry) = (Vec::new(), FileRegistry::open(&path).unwrap());
    for name in ["A", "B"] {
        ends.push(path.metadata().unwrap().len() as usize);
        block_on(registry.register(&subject("test.A"), &long(name))).unwrap();
    }
    drop(registry);
    let mut whole = Vec::new();
    let file = std::fs::File::open(&path).unwrap().take(1 << 20);
    { file }.read_to_end(&mut whole).unwrap();
    ends.push(whole.len());
    for sector in 0..whole.len().div_ceil(512) {
        for line in 0..2 {
            let lost = ends[line].max(sector * 512)..ends[line + 1].min((sector + 1) * 512);
            if lost.is_empty() {
                continue;
            }
            let mut left = whole.clone();
            left[lost].fill(0);
            std::fs::write(&path, &left).unwrap();
            match (FileRegistry::open(&path), line) {
                (Ok(registry), 1) => {
                    let versions = block_on(registry.versions(&subject("test.A"))).unwrap();
                    assert_eq!(versions.len(), 1, "sector {sector}");
                    assert_eq!(path.metadata().unwrap().len() as usize, ends[1]);
                }
                (Err(FileRegistryError::Damaged { line: 2, .. }), 0) => {}
                (other, _) => panic!("sector {sector} of line {line}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_file_that_is_no_registry_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        FileRegistry::open(&path).unwrap_err()
    };
    assert!(matches!(
        open("newer", "{\"xpt-registry\":2}\n"),
        FileRegistryError::Version { found: 2 }
    ));
    assert!(matches!(
        open("other", "{}\n"),
        FileRegistryError::Damaged { line: 1, .. }
    ));
    assert!(matches!(
        open("damaged", "{\"xpt-registry\":1}\n{\"subject\":\"a\"}\n"),
        FileRegistryError::Damaged { line: 2, .. }
    ));
}

#[test]
fn a_full_registry_says_so() {
    let registry = MemoryRegistry::new(RegistryLimits {
        subjects_max: 1,
        versions_max: 2,
        ..RegistryLimits::default()
    });
    let a = subject("a");
    for i in 0..2 {
        let schema = schema(&format!(r#"{{"name":"f{i}","type":"int","default":0}}"#));
        block_on(registry.register(&a, &schema)).unwrap();
    }
    let third = schema(r#"{"name":"f2","type":"int","default":0}"#);
    let full = |s| block_on(registry.register(s, &third)).unwrap_err().what;
    assert_eq!(full(&a), "versions of a subject");
    assert_eq!(full(&subject("b")), "subjects");
}
