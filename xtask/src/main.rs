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

/// Sets up, checks, tests and measures this project.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what the tests need into your cache folder; what is there already is not installed again.
    Setup,
    /// Check format, lints, documentation, licences, dependencies between layers, no_std, Windows XP
    /// and generated files.
    Check,
    /// Run the checks and all tests, and print a table of them at the end.
    Test {
        /// Leave out the tests that take minutes or need servers.
        #[arg(long, conflicts_with = "all")]
        fast: bool,
        /// Add what takes hours: minutes of faults, a thousand kills, and fuzzing.
        #[arg(long)]
        all: bool,
    },
    /// Measure a part of the project, and print a table.
    ///
    /// It builds with optimisation, which takes minutes the first time, and prints the table of the
    /// README on standard output. Ratios within one run can be compared; numbers of two machines, or of a
    /// machine that does something else meanwhile, cannot.
    #[command(after_help = bench::EXAMPLES)]
    Bench {
        /// What to measure.
        #[arg(value_enum)]
        what: bench::What,
    },
    /// Break the connection to a real broker, kill processes and cut the power. Nothing may be lost.
    Chaos(chaos::Chaos),
    /// Write the generated files again: tables of interfaces, numbers of errors.
    Gen,
    /// Run conformance cases from a folder, and print how many there are, and how many agree and
    /// disagree.
    ///
    /// The cases say what the reference implementation did with an input. Each that disagrees is printed,
    /// up to five of a suite, and the exit status is 1 then.
    #[command(after_help = conform::EXAMPLES)]
    Conform {
        #[command(subcommand)]
        suite: conform::Suite,
    },
    /// Fuzz the code that reads untrusted bytes.
    ///
    /// Each target runs with an address sanitizer until its time is over. An input that breaks a promise
    /// ends the command, which names the folder of the input. Fix the fault, and keep the input among the
    /// seeds, which every test run reads.
    #[command(after_help = fuzz::EXAMPLES)]
    Fuzz(fuzz::Options),
    /// Check what can be checked here about Windows XP.
    Xp {
        /// Build the cores for the oldest processor of Windows XP, one of 1993, and check each
        /// instruction and symbol of the result: none is newer than that processor, and none belongs
        /// to an operating system.
        #[arg(long, required = true)]
        check: bool,
    },
    /// Say what this machine has, what it lacks, and what to do.
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
        Verb::Chaos(chaos) if chaos.what.is_some() => chaos::chaos(&chaos),
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
