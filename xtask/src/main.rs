//! This program has the commands for work on the project: see `cargo xtask --help`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to the person who gave it"
)]

mod bench;
mod chaos;
mod check;
mod conform;
mod doctor;
mod floors;
mod fuzz;
mod r#gen;
mod lean;
mod no_std;
mod run;
mod setup;
mod test;
mod timings;
mod xp;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sets up, checks, tests and measures the telemetry family.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what the tests need into the user's cache folder; does nothing when done.
    Setup,
    /// Format, lints, documentation, licences, floors, no_std proof, generated files.
    Check,
    /// Everything a change must not break, and a table of it at the end.
    Test {
        /// Leave out what takes minutes or needs servers.
        #[arg(long, conflicts_with = "all")]
        fast: bool,
        /// Add what takes hours: minutes of faults, a thousand kills, fuzzing.
        #[arg(long)]
        all: bool,
    },
    /// Measure and print a table.
    Bench {
        /// What to measure.
        #[arg(value_enum)]
        what: bench::What,
    },
    /// Break the way to a real broker, kill processes, cut the power; nothing may be lost.
    Chaos(chaos::Chaos),
    /// Write the generated files anew: interface tables, error numbers.
    Gen,
    /// Run conformance cases from a folder or file and print cases, agreed, disagreed.
    Conform {
        #[command(subcommand)]
        suite: conform::Suite,
    },
    /// Fuzz what reads the bytes of strangers.
    Fuzz(fuzz::Options),
    /// Windows XP, as far as this machine can say something about it.
    Xp {
        /// Build the bare cores for its oldest processor, one of 1993, and look at each
        /// instruction and symbol that came out: nothing newer, no floating-point unit's
        /// extensions, nothing of an operating system.
        #[arg(long, required = true)]
        check: bool,
    },
    /// Look at this machine: what is there, what is missing, what to do.
    Doctor,
}

/// What went wrong, in a sentence that says what to do next.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{what} failed: see above")]
    Command { what: String },
    #[error("{what}: {error}")]
    Io { what: String, error: std::io::Error },
    #[error("{0}")]
    Said(String),
    #[error(transparent)]
    Setup(#[from] testkit::Failure),
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Setup => setup::tools().and_then(|()| setup::servers()),
        Verb::Check => setup::tools().and_then(|()| check::check()),
        Verb::Test { fast: true, .. } => test::test(test::Extent::Fast),
        Verb::Test { all: true, .. } => test::test(test::Extent::All),
        Verb::Test { .. } => test::test(test::Extent::Plain),
        Verb::Bench { what } => bench::bench(what),
        Verb::Chaos(chaos) => setup::servers().and_then(|()| chaos::chaos(&chaos)),
        Verb::Gen => setup::tools().and_then(|()| r#gen::generate()),
        Verb::Conform { suite } => conform::conform(&suite),
        Verb::Fuzz(options) => fuzz::fuzz(&options),
        Verb::Xp { check: _ } => xp::check(),
        Verb::Doctor => doctor::doctor(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the checkout.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}
