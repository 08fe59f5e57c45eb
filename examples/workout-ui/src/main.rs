//! Replays an activity file, or a made-up ride, on the compositor of `$WAYLAND_DISPLAY`.

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use activity::{Activity, Survey};
use clap::Parser;
use terminal::Terminal;
use workout_ui::{Demo, Options, Ride, Summary, run};

/// Shows an activity, or a made-up ride, on a Wayland compositor that speaks xp_telemetry_v1, and
/// delivers each sample to it.
///
/// The compositor is found as any Wayland client finds it: WAYLAND_DISPLAY names its socket, in
/// XDG_RUNTIME_DIR unless it is a whole path. A second start goes on after the last record that the
/// compositor made durable.
#[derive(Parser)]
struct Arguments {
    /// An activity (.fit, .fit.gz, - for standard input) to show instead of the made-up ride.
    file: Option<PathBuf>,
    /// Length of the made-up ride in minutes.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// How many times as fast as it was ridden; 0 does not wait at all.
    #[arg(long, default_value_t = 10.0)]
    speed: f64,
    /// Heading of the screen.
    #[arg(long, default_value = "Evening ride")]
    title: String,
}

fn socket() -> Result<PathBuf, Box<dyn Error>> {
    let display = std::env::var_os("WAYLAND_DISPLAY")
        .ok_or("WAYLAND_DISPLAY is not set: start a compositor, or see --help")?;
    let path = PathBuf::from(display);
    if path.is_absolute() {
        return Ok(path);
    }
    let dir = std::env::var_os("XDG_RUNTIME_DIR")
        .ok_or("XDG_RUNTIME_DIR is not set: give WAYLAND_DISPLAY as a whole path")?;
    Ok(PathBuf::from(dir).join(path))
}

fn main() -> ExitCode {
    let mut terminal = Terminal::new();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return terminal.words(&error),
    };
    let code = match show(&arguments, &mut terminal) {
        Ok(summary) => {
            terminal.say(format_args!(
                "{} records delivered after {}, {} frames shown",
                summary.sent, summary.resumed, summary.frames
            ));
            0
        }
        Err(error) => {
            terminal.warn(format_args!("error: {error}"));
            1
        }
    };
    terminal.exit(code)
}

fn show(arguments: &Arguments, terminal: &mut Terminal) -> Result<Summary, Box<dyn Error>> {
    let path = socket()?;
    let stream = UnixStream::connect(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let options = Options {
        title: arguments.title.clone(),
    };
    let Some(file) = &arguments.file else {
        let length = Duration::from_secs(arguments.minutes.saturating_mul(60));
        let ride = Demo::new(length, arguments.speed);
        return Ok(run(stream, ride, options)?);
    };
    let activity = Activity::file(file.clone());
    let survey = Survey::of(&activity);
    for fault in &survey.faults {
        terminal.warn(fault);
    }
    if survey.summary.samples == 0 {
        return Err("nothing to show".into());
    }
    let started = survey.summary.started.unwrap_or_default();
    let ride = Ride::open(&activity, started, arguments.speed)?;
    Ok(run(stream, ride, options)?)
}
