//! Voice, where the machine has one: `espeak-ng` on the path.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the synthesizer may take for a sentence. It takes a fraction of a second.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// A speech synthesizer, if one is installed.
#[derive(Clone, Copy, Debug)]
pub struct Voice(());

/// What became of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// There is a sound.
    Whole,
    /// The synthesizer failed, and there is no sound.
    Failed,
    /// It took longer than [`PATIENCE`] and was ended: it is not to be asked again.
    Late,
}

impl Voice {
    /// The installed voice.
    pub fn find() -> Option<Self> {
        let asked = ended(Command::new("espeak-ng").arg("--version"), "");
        matches!(asked, Ok(Some(status)) if status.success()).then_some(Self(()))
    }

    /// Speaks `text` into a WAV file.
    pub fn speak(self, text: &str, wav: &Path) -> Spoken {
        let said = ended(
            Command::new("espeak-ng").args(["--stdin", "-w"]).arg(wav),
            text,
        );
        // One that ends well and writes nothing has not spoken.
        let is_there = || wav.metadata().is_ok_and(|file| file.len() > 0);
        let spoken = match said {
            Ok(Some(status)) if status.success() && is_there() => Spoken::Whole,
            Ok(None) => Spoken::Late,
            Ok(Some(_)) | Err(_) => Spoken::Failed,
        };
        if spoken != Spoken::Whole {
            // Half a sound is none.
            let _ = std::fs::remove_file(wav);
        }
        spoken
    }
}

/// Runs a program with `text` as its input; `None` if it did not end in time.
///
/// The text goes through a pipe, since other users of the machine can read a command line, and a
/// sentence fits a pipe that nobody reads.
#[expect(
    clippy::disallowed_methods,
    reason = "the standard library waits for a program without end only, so it is looked at"
)]
fn ended(command: &mut Command, text: &str) -> std::io::Result<Option<ExitStatus>> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let said = match child.stdin.take() {
        Some(mut pipe) => pipe.write_all(text.as_bytes()),
        None => Ok(()),
    };
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return said.map(|()| Some(status));
        }
        thread::sleep(LOOK);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}
