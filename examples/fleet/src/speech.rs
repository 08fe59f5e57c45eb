//! Voice, where the machine has one: `espeak-ng` on the path.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A speech synthesizer, if one is installed.
#[derive(Clone, Copy, Debug)]
pub struct Voice(());

impl Voice {
    /// The installed voice.
    pub fn find() -> Option<Self> {
        let found = Command::new("espeak-ng")
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        found.is_ok_and(|s| s.success()).then_some(Self(()))
    }

    /// Speaks `text` into a WAV file; `false` if the synthesizer failed, and then there is no file.
    pub fn speak(self, text: &str, wav: &Path) -> bool {
        let spoken = Self::synthesize(text, wav);
        if !spoken {
            let _ = std::fs::remove_file(wav);
        }
        spoken
    }

    fn synthesize(text: &str, wav: &Path) -> bool {
        let child = Command::new("espeak-ng")
            .args(["--stdin", "-w"])
            .arg(wav)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            return false;
        };
        // Through a pipe: other users of the machine can read a command line.
        let said = child
            .stdin
            .take()
            .map(|mut pipe| pipe.write_all(text.as_bytes()));
        child.wait().is_ok_and(|s| s.success()) && matches!(said, Some(Ok(())))
    }
}
