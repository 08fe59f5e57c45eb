//! What fuzzing found, and a few good inputs, on every run of the tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads its own small files"
)]

use std::fs;
use std::path::Path;

use telemetry_core_checks::{ALL, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn every_seed_passes_its_check() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    for (name, check) in ALL {
        let mut count = 0;
        for entry in fs::read_dir(seeds.join(name)).unwrap() {
            check(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no seed");
    }
}

#[test]
fn any_bytes_pass_every_check() {
    // A short walk without coverage: what a change breaks at once shows here, not in a night.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..2_000 {
        let len = next() % 200;
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                let byte = next() as u8;
                // Small numbers are counts and lengths that fit.
                if byte & 1 == 0 { byte & 0x1e } else { byte }
            })
            .collect();
        for (_, check) in ALL {
            check(&bytes);
        }
    }
}

#[test]
fn texts_that_cost_most_stay_within_the_bound() {
    let many = |count: usize, part: &dyn Fn(usize) -> String| {
        let parts: Vec<String> = (0..count).map(part).collect();
        parts.join(",")
    };
    // Names as short as many can be.
    let name = |mut i: usize| {
        let mut name = String::new();
        loop {
            name.push(char::from(b'a' + (i % 26) as u8));
            i /= 26;
            if i == 0 {
                return name;
            }
        }
    };
    let record = |fields: String| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let long = "n".repeat(250);
    let nested = |count: usize, open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(count), close.repeat(count))
    };
    // Just over a power of two, where what grows by doubling is emptiest.
    for count in [65, 129, 513, 1_025, 2_049] {
        let texts = [
            record(many(count, &|i| {
                format!(r#"{{"name":"{}","type":"int"}}"#, name(i))
            })),
            record(many(count, &|i| {
                format!(r#"{{"name":"{}","type":["int"]}}"#, name(i))
            })),
            record(many(count, &|i| {
                format!(r#"{{"name":"{}","type":["int"],"default":1}}"#, name(i))
            })),
            record(many(count, &|i| {
                format!(
                    r#"{{"name":"{}","type":{{"type":"int","logicalType":"d"}}}}"#,
                    name(i)
                )
            })),
            record(many(count, &|i| {
                let name = name(i);
                format!(r#"{{"name":"{name}","type":{{"type":"fixed","name":"{name}","size":1}}}}"#)
            })),
            format!(
                r#"{{"type":"record","name":"{long}.R","fields":[{}]}}"#,
                many(count, &|i| {
                    let name = name(i);
                    format!(
                        r#"{{"name":"{name}","type":{{"type":"fixed","name":"{name}","size":1}}}}"#
                    )
                })
            ),
            format!(
                r#"{{"type":"record","name":"{long}.R","fields":[{}]}}"#,
                many(count, &|i| format!(
                    r#"{{"name":"{}","type":["null","R"]}}"#,
                    name(i)
                ))
            ),
            format!(
                r#"[{}]"#,
                many(count, &|i| format!(
                    r#"{{"type":"fixed","name":"{}","size":1}}"#,
                    name(i)
                ))
            ),
            format!(
                r#"{{"type":"enum","name":"E","symbols":[{}]}}"#,
                many(4 * count, &|i| format!(r#""{}""#, name(i)))
            ),
            format!(
                r#"{{"type":"fixed","name":"{long}.F","size":1,"aliases":[{}]}}"#,
                many(4 * count, &|_| r#""a""#.to_owned())
            ),
            record(format!(
                r#"{{"name":"a","type":{{"type":"array","items":"int"}},"default":[{}]}}"#,
                many(8 * count, &|_| "1".to_owned())
            )),
            record(format!(
                r#"{{"name":"a","type":{{"type":"map","values":"int"}},"default":{{{}}}}}"#,
                many(4 * count, &|i| format!(r#""{}":1"#, name(i)))
            )),
            format!(
                r#"{{"type":"int","x":[{}],"y":{}}}"#,
                many(4 * count, &|_| "{}".to_owned(),),
                nested(60, "[", "1", "]")
            ),
        ];
        for text in texts {
            telemetry_core_checks::schema(text.as_bytes());
        }
    }
}
