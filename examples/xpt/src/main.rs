//! This program examines stores, queues, incident logs, schemas and frames of earphones.
//!
//! Almost every command only reads: it opens nothing for writing, takes no lock, and may be used on the
//! files of a running program. There are five exceptions. `queue replay` publishes dead letters again,
//! `queue declare` and `queue enrol` set up a broker, `queue verify --repair` puts damage aside, and
//! `queue bench` writes into its own folder and queues, which it removes at the end. `main` parses the arguments and prints; there is one module per
//! subject, which does the work.

mod activity;
mod answer;
mod avro;
mod bench;
mod broker;
mod datums;
mod doctor;
mod enrol;
mod explain;
mod itil;
mod name;
mod numbers;
mod pods;
mod queue;
mod store;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use terminal::Terminal;

/// Examines stores, queues, incident logs, schemas, activity files and the frames of earphones.
///
/// Exit status: 0 all is well; 1 what was examined has a fault (records are missing, bytes are damaged,
/// schemas are incompatible); 2 the command line was not understood; 3 it could not be examined;
/// 4 standard output was closed or full.
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
    /// Examine the rows in a SQLite store.
    #[command(subcommand)]
    Store(store::Command),
    /// Examine a spool or an embedded log, which a running program may own, or a broker's dead letters.
    #[command(subcommand)]
    Queue(queue::Command),
    /// Examine an incident log.
    #[command(subcommand)]
    Itil(itil::Command),
    /// Decode frames that AirPods advertise.
    #[command(subcommand)]
    Pods(pods::Command),
    /// Show what activity files hold, and what is wrong with them.
    Activity(activity::Files),
    /// Compare, explain and use Avro schemas.
    Avro(avro::Avro),
    /// Tell where a record of a fleet run is, or each record of a range.
    Why(why::Why),
    /// Tell what is in order, what is not, and what to do next.
    Doctor(doctor::Doctor),
    /// Print the completions for a shell.
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
        Command::Avro(avro) => avro.run(),
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
