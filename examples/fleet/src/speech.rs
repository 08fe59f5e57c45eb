//! Voice, where the machine has one: `espeak-ng` on the path.

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

    /// Speaks `text` into a WAV file; `false` if the synthesizer failed.
    pub fn speak(self, text: &str, wav: &Path) -> bool {
        let status = Command::new("espeak-ng")
            .arg("-w")
            .arg(wav)
            .arg("--")
            .arg(text)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|s| s.success())
    }
}
