//! This program replays real activities as a small fleet of trackers through the whole system.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use activity::{Activity, Survey};
use clap::{Args, Parser, Subcommand};
use fleet::clock::hms;
use fleet::conductor::{Ended, Options, new_folder, run};
use fleet::live::server;
use fleet::workout::describe;
use terminal::{Terminal, escaped};
use uuid::Uuid;

/// Replays real activities as a small fleet of trackers through the whole system.
///
/// Each tracker has a screen: a Wayland client draws the workout into the shim's framebuffer and
/// sends each sample through it. An agent puts samples into a durable spool, a sender hands them to
/// a log, a consumer stores them in SQLite while their schema changes, a controller opens an
/// incident when the link goes down, and wearers get cues. At the end stands a report.
///
/// Half of the trackers run firmware 1 and half firmware 2, one schema version apart; with --serve
/// all run firmware 1 until a visitor rolls out the other.
///
/// Kill it anywhere and run it again with the same --data: nothing is lost, nothing is stored
/// twice.
///
/// With --serve there is a page to look at while it runs, with buttons that break things: cut the
/// link, unplug a tracker, send a record nobody can read. Ctrl-C ends it well.
///
/// Exit status: 0 everything is stored, or somebody stopped a run with --serve; 1 the run failed or
/// records are missing; 2 wrong words on the command line; 3 nothing is missing, but a file could
/// not be read to its end, or a record was refused and set aside; 4 everything is stored and the
/// report is written, but standard output was closed or full.
#[derive(Parser)]
#[command(name = "fleet", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Replay activity files (.fit, .fit.gz) instead of the built-in ones, and say first what each
    /// workout was.
    Run {
        /// Files to replay, one tracker each, - for standard input; `--devices` loops them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        run: Arguments,
    },
    /// Measure each stage from the agent's append to the stored row, and the screen apart.
    Bench {
        /// Records to carry.
        #[arg(long, default_value_t = 400_000)]
        records: u64,
    },
}

#[derive(Args)]
#[group(skip)]
struct Arguments {
    /// Trackers; files are looped with new device ids [default: 6, or one a file].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    devices: Option<u16>,
    /// Show a live page, at 127.0.0.1:4370 if no address is given; with one like
    /// --serve=0.0.0.0:4370 other machines see it, too, if they have the token that is printed.
    #[arg(long, value_name = "IP:PORT", num_args = 0..=1, require_equals = true,
          default_missing_value = server::ADDRESS, value_parser = address)]
    serve: Option<SocketAddr>,
    /// Virtual seconds per real second [default: as fast as it goes, 10 with --serve].
    #[arg(long, value_name = "X", value_parser = speed)]
    speed: Option<f64>,
    /// Folder of the run; give the same one again to go on [default: a new one in fleet-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How long the link is down, at two fifths of the run: 90s, 10m, or 0s for not at all
    /// [default: 60s, not at all with files].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    outage: Option<Duration>,
    /// Lines of progress where standard error is no terminal.
    #[arg(long, value_name = "N", default_value_t = 20)]
    progress_lines: u32,
}

/// How long the link is down where nobody says so and no file is named.
const OUTAGE: Duration = Duration::from_secs(60);

/// Virtual seconds per real second where somebody watches.
const SPEED_TO_WATCH: f64 = 10.0;

fn address(text: &str) -> Result<SocketAddr, String> {
    let hint = "an address is IP:PORT, e.g. --serve=127.0.0.1:8080";
    text.parse().map_err(|_| hint.to_owned())
}

/// The address behind a `--serve` that does not have it joined.
fn address_apart(words: impl Iterator<Item = String>) -> Option<SocketAddr> {
    let mut words = words.skip_while(|word| word != "--serve").skip(1);
    words.next()?.parse().ok()
}

/// A file that is named without the word that replays files.
fn file_apart(mut words: impl Iterator<Item = String>) -> Option<String> {
    let first = words.next()?;
    let is_activity = first.ends_with(".fit") || first.ends_with(".fit.gz");
    (is_activity || (!first.starts_with('-') && Path::new(&first).is_file())).then_some(first)
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed > 0.0 && speed.is_finite() => Ok(speed),
        _ => Err("a speed is a number above 0, e.g. 60".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("a time is a whole number and a unit: 90s, 10m, 1h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "too long".to_owned())?;
    let seconds = number.checked_mul(factor).filter(|s| *s <= 7 * 24 * 3600);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "at most a week".to_owned())
}

fn main() -> ExitCode {
    // A run's folder has what bodies did: reports, pictures and sounds are the owner's alone, as the
    // layers' own files are.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    more_descriptors();
    let mut terminal = Terminal::new();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if let Some(address) = address_apart(std::env::args()) {
                terminal.warn(format_args!(
                    "tip: join the address to its flag: --serve={address}\n"
                ));
            }
            if let Some(file) = file_apart(std::env::args().skip(1)) {
                terminal.warn(format_args!("tip: fleet run {}\n", escaped(file)));
            }
            return terminal.words(&error);
        }
    };
    let code = match command(cli, &mut terminal) {
        Ok(code) => code,
        Err(error) => {
            terminal.warn(format_args!("error: {error}"));
            1
        }
    };
    terminal.exit(code)
}

/// Takes as many descriptors as the system allows: each tracker at work has a dozen.
fn more_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    // Where that is refused, what there is may still do.
    let _ = setrlimit(Resource::Nofile, all);
}

/// Does what was asked, and gives the exit status.
fn command(cli: Cli, terminal: &mut Terminal) -> Result<u8, Box<dyn Error>> {
    let (files, arguments) = match cli.command {
        Some(Command::Bench { records }) => {
            terminal.say(fleet::bench::run(records)?);
            return Ok(0);
        }
        Some(Command::Run { files, run }) => (files, run),
        None => (Vec::new(), cli.run),
    };
    let speed = arguments
        .speed
        .or_else(|| arguments.serve.map(|_| SPEED_TO_WATCH));
    // Six trackers with what the program carries, one with each file that is named.
    let (surveys, devices) = match files.is_empty() {
        true => (Survey::of_all(&Activity::built_in()), Some(6)),
        false => (Survey::of_all(&Activity::files(files)), None),
    };
    let of_files = devices.is_none();
    let workouts = describe(&surveys);
    if of_files {
        terminal.say(workouts);
    }
    let options = Options {
        surveys,
        devices: arguments.devices.map(usize::from).or(devices),
        speed,
        data: arguments
            .data
            .unwrap_or_else(|| new_folder(&PathBuf::from("fleet-data"))),
        // Whoever names files wants to see them arrive, and an outage only if they ask for one.
        outage: arguments.outage.unwrap_or(match of_files {
            true => Duration::ZERO,
            false => OUTAGE,
        }),
        progress_lines: arguments.progress_lines,
    };
    let served = arguments.serve.map(|address| {
        let token = Uuid::new_v4().simple().to_string();
        let served = server::start(address, &token, &options.data);
        served.map_err(|error| format!("{address}: {error}; another one: --serve=127.0.0.1:0"))
    });
    let (server, live) = served.transpose()?.unzip();
    if let Some(server) = &server {
        terminal.say(format_args!("Look at it live: {}", server.url()));
        if arguments.serve.is_some_and(|a| a.ip().is_unspecified()) {
            terminal.say("From another machine, put this one's name in place of localhost.");
        }
        terminal.say("Ctrl-C ends it.");
    }
    let (report, page) = match run(&options, live)? {
        Ended::Reported { report, page } => (report, page),
        Ended::Stopped { at } => {
            let data = options.data.display();
            terminal.say(format_args!(
                "Stopped at {}: --data {data} goes on from there.",
                hms(at)
            ));
            return Ok(0);
        }
    };
    // The files first: whoever reads the output may have gone.
    let text = report.to_string();
    std::fs::write(options.data.join("report.txt"), &text)
        .map_err(|error| format!("report.txt: {error}"))?;
    let path = options.data.join("report.html");
    fleet::report::html::write(&report, &path).map_err(|error| format!("report.html: {error}"))?;
    terminal.say(text);
    terminal.say(format_args!("Look at it: {}", path.display()));
    if let (Some(server), Some(page)) = (server, page) {
        page.end();
        terminal.say(format_args!(
            "The live page stays until Ctrl-C: {}",
            server.url()
        ));
        server
            .join()
            .map_err(|error| format!("live page: {error}"))?;
    }
    Ok(match (report.is_whole(), report.faults.is_empty()) {
        (false, _) => 1,
        (true, true) if report.set_aside() == 0 => 0,
        (true, _) => 3,
    })
}
