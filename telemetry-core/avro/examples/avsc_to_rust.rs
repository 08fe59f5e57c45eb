//! Makes Rust types of `.avsc` files: `cargo run --example avsc_to_rust -- ride.avsc place.avsc`.

use std::fs::File;
use std::io::{Read as _, Write as _};

/// Most bytes of a schema: what `SchemaLimits` allows.
const BYTES_MAX: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut texts = Vec::new();
    for path in std::env::args().skip(1) {
        let mut text = String::new();
        File::open(path)?
            .take(BYTES_MAX)
            .read_to_string(&mut text)?;
        texts.push(text);
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let code = telemetry_avro::codegen::generate(&texts)?;
    Ok(std::io::stdout().write_all(code.as_bytes())?)
}
