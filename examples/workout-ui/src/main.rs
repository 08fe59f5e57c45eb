//! Replays a made-up ride on the compositor of `$WAYLAND_DISPLAY`.

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use workout_ui::{Demo, Options, run};

/// Shows a made-up ride on a Wayland compositor that speaks xp_telemetry_v1, and delivers one
/// record a second to it.
///
/// The compositor is found as any Wayland client finds it: WAYLAND_DISPLAY names its socket, in
/// XDG_RUNTIME_DIR unless it is a whole path. A second start goes on after the last record that the
/// compositor made durable.
#[derive(Parser)]
struct Arguments {
    /// Length of the ride in minutes.
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

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let path = socket()?;
    let stream = UnixStream::connect(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let ride = Demo::new(
        Duration::from_secs(arguments.minutes.saturating_mul(60)),
        arguments.speed,
    );
    let options = Options {
        title: arguments.title,
    };
    let summary = run(stream, ride, options)?;
    #[expect(clippy::print_stdout, reason = "a command tells what it did")]
    {
        println!(
            "{} records delivered after {}, {} frames shown",
            summary.sent, summary.resumed, summary.frames
        );
    }
    Ok(())
}
