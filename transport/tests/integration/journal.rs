//! Any bytes: what fuzzing found, and what tests made.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use telemetry_transport::contract;

#[test]
fn every_seed_holds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/journal");
    let mut read = 0;
    for entry in fs::read_dir(seeds).unwrap() {
        let mut bytes = Vec::new();
        let seed = File::open(entry.unwrap().path()).unwrap();
        seed.take(1 << 16).read_to_end(&mut bytes).unwrap();
        for cut in 0..=bytes.len() {
            contract::journal(&bytes[..cut]);
        }
        read += 1;
    }
    assert!(read >= 2, "{read} seeds");
}
