//! Looks into stores, queues, incident logs, schemas and pods' frames.
//!
//! Every command reads only: it opens nothing for writing, takes no lock, and may look at what a
//! running program owns. `main` parses words and prints; a module a subject does the work.

mod answer;
mod avro;
mod bench;
mod broker;
mod datums;
mod doctor;
mod explain;
mod itil;
mod pods;
mod queue;
mod store;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use answer::Answer;

/// Looks into stores, queues, incident logs, schemas and pods' frames.
///
/// Exit status: 0 all is well; 1 what was looked at has a fault (records missing, bytes damaged,
/// schemas incompatible); 2 wrong words on the command line; 3 it could not be looked at.
#[derive(Parser)]
#[command(name = "xpt", version)]
struct Cli {
    /// Print JSON for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rows in a SQLite store.
    #[command(subcommand)]
    Store(store::Command),
    /// A spool, or an embedded log; a running program may own it.
    #[command(subcommand)]
    Queue(queue::Command),
    /// An incident log.
    #[command(subcommand)]
    Itil(itil::Command),
    /// Frames that AirPods advertise.
    #[command(subcommand)]
    Pods(pods::Command),
    /// Schemas.
    #[command(subcommand)]
    Avro(avro::Command),
    /// The story of one record of a fleet run.
    Why(why::Why),
    /// What is in order here, and what to do next.
    Doctor(doctor::Doctor),
    /// Completions for a shell, on standard output.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to the person who gave it"
)]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let answer = match cli.command {
        Command::Store(command) => command.run(),
        Command::Queue(command) => command.run(),
        Command::Itil(command) => command.run(),
        Command::Pods(command) => command.run(),
        Command::Avro(command) => command.run(),
        Command::Why(why) => why.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "xpt", &mut std::io::stdout());
            return ExitCode::SUCCESS;
        }
    };
    match answer {
        Ok(answer) => {
            let Answer { found, fault } = answer;
            println!("{}", found.print(cli.json));
            match fault {
                Some(fault) => {
                    eprintln!("{fault}");
                    ExitCode::from(1)
                }
                None => ExitCode::SUCCESS,
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}
