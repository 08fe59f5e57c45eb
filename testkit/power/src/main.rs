//! Cuts the power under every program of the family that writes files, and counts what was lost.
//!
//! # Ideas
//! A *program* does what one layer does for its users, and says of each thing, as soon as the layer
//! promised to keep it, which one it is and what its bytes add up to. The rig mounts a disk that forgets
//! ([`cutfs`]), starts the program there, cuts the power instead of one of its operations, mounts the disk
//! again, and has the program read everything that is there. What was promised must be there with the
//! same bytes.
//!
//! # Data flow
//! ```text
//! rig ── starts ──▶ power write PROGRAM ──▶ cutfs ── cut ──▶ power read PROGRAM
//!  ▲                        │ "record 7 5a1e…": promised          │ "record 7 5a1e…": found
//!  └────────────────────────┴──────────── compared ◀──────────────┘
//! ```
//! Both halves of a program run in a process of their own, as after a start of the machine.

#![allow(
    clippy::print_stdout,
    reason = "programs and rig talk by standard output"
)]

mod programs;
mod rig;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use programs::peers;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(
    version,
    about = "Cuts the power under every program of the family that writes files."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Cut the power, and print what was lost. Needs root.
    Run {
        /// How often, over all programs.
        #[arg(long, default_value_t = 200)]
        cuts: u64,
        /// Names the moments of the cuts, and what survives.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only these programs.
        #[arg(long)]
        program: Vec<String>,
        /// Other programs that promise to keep something, instead of those of the family.
        #[arg(long)]
        peers: bool,
    },
    /// Be a program until the power is cut: the rig calls it.
    #[command(hide = true)]
    Write {
        program: String,
        folder: PathBuf,
        /// Number of the first thing to write.
        first: u64,
    },
    /// Say what is there: the rig calls it.
    #[command(hide = true)]
    Read { program: String, folder: PathBuf },
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Run {
            cuts,
            seed,
            program,
            peers,
        } => match peers {
            true => peers::TREE
                .install(|what| println!("{what}"))
                .map_err(Into::into)
                .and_then(|_| rig::run(&peers::ALL, false, (cuts, seed), &program)),
            false => rig::run(&programs::ALL, true, (cuts, seed), &program),
        },
        Verb::Write {
            program,
            folder,
            first,
        } => match (programs::named(&program)?.write)(&folder, first)? {},
        Verb::Read { program, folder } => (programs::named(&program)?.read)(&folder),
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // On one line, which the rig reads.
            println!("error: {}", error.to_string().replace('\n', "; "));
            ExitCode::FAILURE
        }
    }
}
