//! What must hold for any bytes that a stranger sends.
//!
//! Each function is one fuzz target, run by `cargo xtask fuzz`; the tests run them over the seeds in
//! `telemetry-core/fuzz/seeds`, which hold what fuzzing has found. A check that fails panics.
//!
//! Memory is measured where [`Counting`] is the program's allocator. The bound is so many times the
//! input, plus what the reader's schema alone costs, plus 4 KiB; unpacked bytes of a container file
//! count as input.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a failed check panics"
)]

mod columns;
mod framing;
mod pairs;
mod schema;

pub use counting::Counting;
use counting::measure;

pub use columns::columns;
pub use framing::{container, framing};
pub use pairs::{datum, resolve};
pub use schema::{schema, written};

/// A check of any bytes.
pub type Check = fn(&[u8]);

/// Every check with the name of its target and of its folder of seeds.
pub const ALL: &[(&str, Check)] = &[
    ("schema", schema),
    ("written", written),
    ("datum", datum),
    ("columns", columns),
    ("resolve", resolve),
    ("framing", framing),
    ("container", container),
];

/// Runs `code`, which must not have more than `factor` × `input` + `fixed` + 4 KiB in use at once.
fn bounded<T>(
    what: &str,
    input: usize,
    factor: usize,
    fixed: usize,
    code: impl FnOnce() -> T,
) -> T {
    let (result, usage) = measure(code);
    let most = factor * input + fixed + 4096;
    assert!(
        usage.peak_bytes <= most,
        "{what}: {} bytes in use for an input of {input}, at most {most} allowed",
        usage.peak_bytes
    );
    result
}
