//! This program replays real activities as a small fleet of trackers through the whole system.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use activity::{Activity, Survey};
use clap::{Args, Parser, Subcommand};
use fleet::clock::hms;
use fleet::conductor::{Ended, Options, RunError, descriptors, file_faults, new_folder, run};
use fleet::live::{Live, server};
use fleet::report::Report;
use fleet::signals::Stop;
use fleet::workout::describe;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit};
use telemetry_storage::StoreError;
use telemetry_transport::StorageError;
use terminal::{Terminal, escaped};
use uuid::Uuid;

/// Replays real activities as a small fleet of trackers through the whole system.
///
/// Each tracker has a screen: a Wayland client draws the workout into the shim's framebuffer and
/// sends each sample through it. An agent puts samples into a durable spool, a sender hands them to
/// a log, a consumer stores them in SQLite while their schema changes, a controller opens an
/// incident when the link goes down, and wearers get cues. At the end there is a report.
///
/// Half of the trackers run firmware 1 and half run firmware 2, one schema version apart. With
/// --serve, all of them run firmware 1 until a visitor rolls out the other.
///
/// You can end the run at any moment, or kill it, and run it again with the same --data: it goes on,
/// and nothing is lost or stored twice. It refuses to go on if a part of its folder is missing.
///
/// With --serve, there is a page to look at while it runs, with buttons that break things: cut the
/// link, unplug a tracker, send a record that nobody can read.
///
/// Exit status: 0 everything is stored, or somebody ended a run with --serve; 1 the run failed or
/// could not begin, or records are missing; 2 the command line was not understood; 3 nothing is
/// missing, but a file could not be read to its end, or a record was refused and set aside;
/// 4 everything is stored and the report is written, but standard output was closed or full;
/// 129, 130 or 143 a hang-up, Ctrl-C or a termination signal ended a run without --serve.
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
    /// Replay activity files (.fit or .fit.gz) instead of the built-in ones, and say first what each
    /// workout was.
    Run {
        /// The files to replay, one tracker for each; - is standard input. With --devices, the files
        /// are repeated until every tracker has one. There may be thousands of files: at most 256
        /// trackers are at work at the same time.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        run: Arguments,
    },
    /// Measure each stage from the agent's append to the stored row, and the screen by itself.
    Bench {
        /// How many records to carry.
        #[arg(long, default_value_t = 400_000)]
        records: u64,
    },
}

#[derive(Args)]
#[group(skip)]
struct Arguments {
    /// How many trackers there are, 1 to 256 [default: 6, or one for each file].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    devices: Option<u16>,
    /// Show a live page, at 127.0.0.1:4370 if no address is given. With an address like
    /// --serve=0.0.0.0:4370, other machines can see it too, if they have the token that is printed.
    #[arg(long, value_name = "IP:PORT", num_args = 0..=1, require_equals = true,
          default_missing_value = server::ADDRESS, value_parser = address)]
    serve: Option<SocketAddr>,
    /// Virtual seconds per real second, 0.001 to 1000000 [default: as fast as possible, or 10 with
    /// --serve].
    #[arg(long, value_name = "X", value_parser = speed)]
    speed: Option<f64>,
    /// The folder of the run. Give the same one again to go on [default: a new one in fleet-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How long the link is down, from two fifths of the run on: 90s, 10m, 1h, at most a week (168h);
    /// 0s for never [default: 60s, or 0s with files].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    outage: Option<Duration>,
    /// How many lines of progress to print if standard error is not a terminal.
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

/// The address that a `--serve` does not have joined, taken for a file.
fn address_among_files(cli: &Cli) -> Option<SocketAddr> {
    let Some(Command::Run { files, .. }) = &cli.command else {
        return None;
    };
    let address = address_apart(std::env::args())?;
    let is_it = |file: &PathBuf| file.to_str() == Some(&address.to_string());
    let mut files = files.iter();
    files
        .any(|file| is_it(file) && !file.exists())
        .then_some(address)
}

/// Exit status of arguments that mean nothing.
const USAGE: u8 = 2;

/// A file that is named without the word that replays files.
fn file_apart(mut words: impl Iterator<Item = String>) -> Option<String> {
    let first = words.next()?;
    let is_activity = first.ends_with(".fit") || first.ends_with(".fit.gz");
    (is_activity || (!first.starts_with('-') && Path::new(&first).is_file())).then_some(first)
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (1e-3..=1e6).contains(&speed) => Ok(speed),
        _ => Err("a speed is a number from 0.001 to 1000000, e.g. 60".to_owned()),
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
    let shape = "a time is a whole number and a unit: 90s, 10m, 1h";
    let number = match number.is_empty() {
        true => return Err(shape.to_owned()),
        false => number.parse::<u64>().ok(),
    };
    let seconds = number.and_then(|number| number.checked_mul(factor));
    let seconds = seconds.filter(|seconds| *seconds <= 7 * 24 * 3600);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "an outage takes at most a week, 168h".to_owned())
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
    if let Some(address) = address_among_files(&cli) {
        terminal.warn(format_args!(
            "error: {address} is an address and no file: join it to its flag, --serve={address}"
        ));
        return terminal.exit(USAGE);
    }
    let code = match command(cli, &mut terminal) {
        Ok(code) => code,
        Err(error) => {
            terminal.warn(format_args!("error: {error}"));
            if let Some(hint) = hint(&*error) {
                terminal.warn(hint);
            }
            1
        }
    };
    terminal.exit(code)
}

/// Takes as many descriptors as the system allows: each tracker at work has a dozen.
fn more_descriptors() {
    use rustix::process::setrlimit;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    // Where that is refused, what there is may still do.
    let _ = setrlimit(Resource::Nofile, all);
}

/// A run that failed in its folder.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
struct Failed {
    data: PathBuf,
    #[source]
    error: RunError,
}

/// What a person can do about an error of the operating system.
fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    let data = error.downcast_ref::<Failed>().map(|failed| &failed.data);
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let number = |error: &(dyn Error + 'static)| match error.downcast_ref::<StorageError>() {
        Some(error) => Some(error.number).filter(|number| *number != 0),
        None => error.downcast_ref::<std::io::Error>()?.raw_os_error(),
    };
    let number = match { causes.clone() }.find_map(number) {
        Some(number) => number,
        // SQLite keeps the number for itself.
        None => {
            let of_disk = |error: &(dyn Error + 'static)| {
                let error = error.downcast_ref::<StoreError>();
                matches!(error, Some(StoreError::Disk { .. }))
            };
            let is_limited = getrlimit(Resource::Fsize).current.is_some();
            ({ causes }.any(of_disk) && is_limited).then_some(Errno::FBIG.raw_os_error())?
        }
    };
    match Errno::from_raw_os_error(number) {
        Errno::MFILE | Errno::NFILE => Some(format!(
            "The process may have {} files open at once. Allow more with `ulimit -n`.",
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
        )),
        Errno::AGAIN => Some(format!(
            "You may have {} processes and threads at once. Allow more with `ulimit -u`.",
            getrlimit(Resource::Nproc).current.unwrap_or(u64::MAX)
        )),
        Errno::FBIG => Some(format!(
            "A file of this process may have at most {} bytes. Allow more with `ulimit -f`.",
            getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX)
        )),
        Errno::NOSPC | Errno::DQUOT => Some(match data {
            Some(data) => format!(
                "{1} of {0}. Then the same command with --data {0} goes on.",
                data.display(),
                make_room(data)
            ),
            None => format!("{}.", make_room(Path::new("."))),
        }),
        _ => None,
    }
}

/// What to do about the disk below a path that need not exist: it has no room, or room and no number for
/// another file.
fn make_room(path: &Path) -> &'static str {
    /// More than a run writes at once, so that the last write did not fail for want of it.
    const ROOM: u64 = 16 << 20;
    /// Files that may have been removed again when the last one could not be made.
    const FILES: u64 = 16;
    let found = path
        .ancestors()
        .find_map(|path| rustix::fs::statvfs(path).ok());
    let files_ran_out = found.is_some_and(|found| {
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        // Some systems do not count files.
        found.f_files > 0 && found.f_favail < FILES && free >= ROOM
    });
    match files_ran_out {
        true => "The files ran out: remove some of the many small ones on the disk",
        false => "Make room on the disk",
    }
}

/// Refuses a run that would run out of descriptors in the middle.
fn enough_descriptors(needed: u64) -> Result<(), String> {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    match allowed >= needed {
        true => Ok(()),
        false => Err(format!(
            "this run needs up to {needed} open files at once, and the limit of this process is \
             {allowed}: raise it with `ulimit -n {needed}`, or give fewer files or --devices"
        )),
    }
}

/// Serves the page of a run, and says where it is.
fn serve(
    address: SocketAddr,
    options: &Options,
    stop: &Stop,
    terminal: &mut Terminal,
) -> Result<(server::Server, Live), String> {
    let token = Uuid::new_v4().simple().to_string();
    let served = server::start(address, &token, &options.data, stop.clone());
    let (server, live) = served.map_err(|error| {
        format!("{address}: {error}; use another one, e.g. --serve=127.0.0.1:0")
    })?;
    terminal.say(format_args!("Look at it live: {}", server.url()));
    if address.ip().is_unspecified() {
        terminal.say("From another machine, put this one's name in place of localhost.");
    }
    terminal.say("Ctrl-C ends it.");
    Ok((server, live))
}

/// What is to be run, after saying what the files are.
fn options(
    files: Vec<PathBuf>,
    arguments: Arguments,
    terminal: &mut Terminal,
) -> Result<Options, Box<dyn Error>> {
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
    file_faults(&surveys)?;
    let count = arguments.devices.map(usize::from).or(devices);
    // Whoever names files wants to see them arrive, and an outage only if they ask for one.
    let outage = arguments.outage.unwrap_or(match of_files {
        true => Duration::ZERO,
        false => OUTAGE,
    });
    let with_samples = surveys.iter().filter(|s| s.summary.samples > 0).count();
    if let Some(count) = count.filter(|count| of_files && *count < with_samples) {
        return Err(format!(
            "--devices {count} is too few for {with_samples} files that have samples: each needs a \
             tracker; give fewer files, or leave --devices out"
        )
        .into());
    }
    let waits = !outage.is_zero() || arguments.serve.is_some();
    enough_descriptors(descriptors(&surveys, count, waits))?;
    Ok(Options {
        surveys,
        devices: count,
        speed,
        data: match arguments.data {
            Some(data) => data,
            None => new_folder(&PathBuf::from("fleet-data"))?,
        },
        outage,
        progress_lines: arguments.progress_lines,
    })
}

/// Writes the report, and then prints it: whoever reads the output may have gone.
fn show(report: &Report, data: &Path, terminal: &mut Terminal) -> Result<(), RunError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| RunError::Folder { path, error }
    };
    let text = report.to_string();
    let path = data.join("report.txt");
    std::fs::write(&path, &text).map_err(failed(&path))?;
    let path = data.join("report.html");
    fleet::report::html::write(report, &path).map_err(failed(&path))?;
    terminal.say(text);
    terminal.say(format_args!("Look at it: {}", path.display()));
    Ok(())
}

/// Does what was asked, and gives the exit status.
fn command(cli: Cli, terminal: &mut Terminal) -> Result<u8, Box<dyn Error>> {
    fleet::signals::write_errors_for_files_too_large()?;
    let (files, arguments) = match cli.command {
        Some(Command::Bench { records }) => {
            terminal.say(fleet::bench::run(records)?);
            return Ok(0);
        }
        Some(Command::Run { files, run }) => (files, run),
        None => (Vec::new(), cli.run),
    };
    let serve_at = arguments.serve;
    let options = options(files, arguments, terminal)?;
    let stop = Stop::on_signals()?;
    let served = serve_at.map(|address| serve(address, &options, &stop, terminal));
    let (server, live) = served.transpose()?.unzip();
    let ended = run(&options, live, &stop).map_err(|error| Failed {
        data: options.data.clone(),
        error,
    })?;
    let (report, page) = match ended {
        Ended::Reported { report, page } => (report, page),
        Ended::Stopped { at } => {
            let data = options.data.display();
            terminal.say(format_args!(
                "Stopped at {}: --data {data} goes on from there.",
                hms(at)
            ));
            // A page has no other end; a run that nobody watches was to go to its own.
            return Ok(if server.is_some() { 0 } else { stop.status() });
        }
    };
    show(&report, &options.data, terminal)?;
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
