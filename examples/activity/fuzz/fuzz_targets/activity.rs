//! Fuzzes the reader of activity files. `testdata/fit` and `testdata/fit-bad` are good seeds.

#![no_main]

#[path = "../../tests/integration/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
