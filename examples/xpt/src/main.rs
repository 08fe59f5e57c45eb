//! This program examines stores, queues, incident logs, schemas and frames of earphones.
//!
//! Almost every command only reads: it opens nothing for writing, takes no lock, and may be used on the
//! files of a running program. There are two exceptions. `queue replay` publishes dead letters again, and
//! `queue bench` writes into its own folder and queues, which it removes at the end. `main` parses the
//! arguments and prints; there is one module per subject, which does the work.

mod activity;
mod answer;
mod avro;
mod bench;
mod broker;
mod datums;
mod doctor;
mod explain;
mod itil;
mod numbers;
mod pods;
mod queue;
mod store;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use terminal::Terminal;

/// Looks into stores, queues, incident logs, schemas and pods' frames.
///
/// Exit status: 0 all is well; 1 what was looked at has a fault (records missing, bytes damaged,
/// schemas incompatible); 2 wrong words on the command line; 3 it could not be looked at; 4 standard
/// output was closed or full.
#[derive(Parser)]
#[command(name = "xpt", version)]
struct Cli {
    /// Print one JSON value for programs: {"found": …, "fault": null or a sentence}, or {"error": …}.
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
    /// What activity files hold, and what is wrong with them.
    Activity(activity::Files),
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

fn main() -> ExitCode {
    let mut terminal = Terminal::new();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return terminal.words(&error),
    };
    let answer = match cli.command {
        Command::Store(command) => command.run(),
        Command::Queue(command) => command.run(),
        Command::Itil(command) => command.run(),
        Command::Pods(command) => command.run(),
        Command::Activity(files) => files.run(),
        Command::Avro(command) => command.run(),
        Command::Why(why) => why.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "xpt", &mut script);
            terminal.say(String::from_utf8_lossy(&script).trim_end());
            return terminal.exit(0);
        }
    };
    match answer {
        Ok(answer) if cli.json => {
            terminal.say(answer.json());
            terminal.exit(u8::from(answer.fault.is_some()))
        }
        Ok(answer) => {
            terminal.say(answer.text());
            if let Some(fault) = &answer.fault {
                terminal.warn(fault);
            }
            terminal.exit(u8::from(answer.fault.is_some()))
        }
        Err(error) => {
            if cli.json {
                terminal.say(format_args!("{:#}", serde_json::json!({ "error": error })));
            }
            terminal.warn(format_args!("error: {error}"));
            terminal.exit(3)
        }
    }
}
