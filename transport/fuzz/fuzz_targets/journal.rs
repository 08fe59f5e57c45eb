//! Fuzzes [`telemetry_transport::contract::journal`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| telemetry_transport::contract::journal(data));
