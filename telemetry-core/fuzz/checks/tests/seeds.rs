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
