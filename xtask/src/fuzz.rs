//! Fuzzing, with an address sanitizer, for as long as it is told.

#![expect(
    clippy::disallowed_methods,
    reason = "fuzzing lasts for as long as a person says"
)]

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use crate::run::{cargo, run, target_dir};
use crate::{Failure, root, setup};

/// What to type.
pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask fuzz journal              ten minutes of one target
  cargo xtask fuzz datum resolve --minutes 60
  cargo xtask fuzz --minutes 1          a minute of every target

What was found is in target/fuzz/found, and what was learned in target/fuzz/corpus: another run goes on
from there. Seeds are in telemetry-core/fuzz/seeds, transport/fuzz/seeds and testdata/fit.";

/// What is fuzzed, by the name of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Schema texts.
    Schema,
    /// Schema texts that data was written with.
    Written,
    /// Datums of chosen schemas, on every executor.
    Datum,
    /// Datums to columns and back.
    Columns,
    /// Two schemas and a datum.
    Resolve,
    /// Messages, prefixes, batches and envelopes.
    Framing,
    /// Container files.
    Container,
    /// The journal.
    Journal,
    /// Activity files.
    Activity,
    /// Code made of arbitrary schemas: 200 others each time, compiled and run.
    Codegen,
}

impl Target {
    /// Its fuzzing crate, and inputs to begin with, from the checkout's root.
    const fn place(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Activity => ("examples/activity/fuzz", Some("testdata/fit")),
            Self::Journal => ("transport/fuzz", None),
            _ => ("telemetry-core/fuzz", None),
        }
    }
}

/// Compiles and runs the code of schemas that no test has seen, until the time is over.
///
/// The compiler takes far longer than the generator, so no fuzzer steers it; a number names what failed.
fn codegen(minutes: u64) -> Result<(), Failure> {
    let seconds = minutes * 60;
    let since = SystemTime::now();
    let start = since.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut rounds = 0;
    while since.elapsed().unwrap_or_default().as_secs() < seconds {
        let seed = start.as_secs() * 1_000_000 + rounds * 200;
        run(
            &format!(
                "the code of 200 schemas (XP_TELEMETRY_SCHEMAS={seed} cargo test -p generated)"
            ),
            cargo(&["test", "--locked", "-q", "-p", "generated"])
                .env("XP_TELEMETRY_SCHEMAS", seed.to_string())
                .env("CARGO_TARGET_DIR", target_dir().join("fuzz")),
        )?;
        rounds += 1;
    }
    println!(
        "fuzz: codegen made, compiled and ran the types of {} schemas",
        rounds * 200
    );
    Ok(())
}

/// What to fuzz, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// What to fuzz; all, one after another, if none is named.
    #[arg(value_enum)]
    targets: Vec<Target>,
    /// Minutes for each of them.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Longest input in bytes.
    #[arg(long, default_value_t = 4_096)]
    len: usize,
}

impl Options {
    /// Every target, each for so many minutes.
    pub(crate) fn every_target(minutes: u64) -> Self {
        Self {
            targets: Vec::new(),
            minutes,
            len: 4_096,
        }
    }
}

pub(crate) fn fuzz(options: &Options) -> Result<(), Failure> {
    setup::fuzzer()?;
    let targets = match options.targets.as_slice() {
        [] => Target::value_variants(),
        chosen => chosen,
    };
    for target in targets {
        let Some(name) = target.to_possible_value().map(|v| v.get_name().to_owned()) else {
            continue;
        };
        if *target == Target::Codegen {
            println!("fuzz: {name} for {} minutes", options.minutes);
            codegen(options.minutes)?;
            continue;
        }
        let (dir, seeds) = target.place();
        let dir = root().join(dir);
        // What a test reads as well is a seed where it lies.
        let seeds = seeds.map_or_else(|| dir.join("seeds").join(&name), |seeds| root().join(seeds));
        let found = target_dir().join("fuzz/found").join(&name);
        let corpus = target_dir().join("fuzz/corpus").join(&name);
        for folder in [&found, &corpus] {
            fs::create_dir_all(folder).map_err(|error| Failure::Io {
                what: format!("making {}", folder.display()),
                error,
            })?;
        }
        println!("fuzz: {name} for {} minutes", options.minutes);
        run(
            &format!(
                "fuzzing {name} (what it found is in {}: fix it, and keep it in {})",
                found.display(),
                seeds.display()
            ),
            cargo(&["fuzz", "run", "--fuzz-dir"])
                .arg(&dir)
                .args(["--sanitizer", "address", &name])
                .arg(&corpus)
                .arg(&seeds)
                .arg("--")
                .arg(format!("-artifact_prefix={}/", found.display()))
                .arg(format!("-max_total_time={}", options.minutes * 60))
                .arg(format!("-max_len={}", options.len))
                .args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"])
                .env("CARGO_TARGET_DIR", target_dir().join("fuzz"))
                // Coverage and the sanitizer are not stable yet; their run-time is installed.
                .env("RUSTC_BOOTSTRAP", "1"),
        )?;
    }
    Ok(())
}
