//! Fuzzes [`telemetry_core_checks::columns`].

#![no_main]
#[global_allocator]
static ALLOCATOR: telemetry_core_checks::Counting = telemetry_core_checks::Counting;
libfuzzer_sys::fuzz_target!(|data: &[u8]| telemetry_core_checks::columns(data));
