//! The file `clock`: how far a run is, in numbers that only grow.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use telemetry_core::owner_only;
use uuid::Uuid;

use crate::identity::RunId;
use crate::run_file::open_file;

/// Name and format of the file: the first word of it.
const FORMAT: &str = "clock-3";

/// Bytes of the file: a line of fixed length, so that it is written over in place at each step, also
/// on a full disk.
const LEN: usize = 142;

/// How far a run is. What it counts was durable before it was written here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The run's clock.
    pub reached: Duration,
    /// How many trackers were ever switched on: those with the lowest numbers.
    pub trackers: usize,
    /// Rows in the store.
    pub rows: u64,
    /// Groups in the incident log.
    pub groups: u64,
}

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It was cut, overwritten, or written by another release.
    #[error("it does not hold what a run writes there")]
    Damaged,
}

/// The file, open for writing.
#[derive(Debug)]
pub(crate) struct ClockFile {
    file: File,
    run: RunId,
}

impl ClockFile {
    /// Makes the file of a run; nothing is reached.
    pub(crate) fn create(path: &Path, run: RunId) -> io::Result<Self> {
        let file = owner_only::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let clock = Self { file, run };
        clock.write(&Progress::default())?;
        clock.file.sync_all()?;
        Ok(clock)
    }

    pub(crate) fn open(path: &Path, run: RunId) -> io::Result<Self> {
        let file = File::options().write(true).open(path)?;
        Ok(Self { file, run })
    }

    /// Writes over what is there. A power cut may leave the older line: the parts have more then, and
    /// never less.
    pub(crate) fn write(&self, progress: &Progress) -> io::Result<()> {
        self.file
            .write_all_at(line(self.run, progress).as_bytes(), 0)
    }
}

/// What the file says: of which run it is, and how far that is.
pub(crate) fn read(path: &Path) -> Result<(RunId, Progress), ClockError> {
    let mut text = String::new();
    let file = open_file(path)?.take(LEN as u64 + 1);
    match { file }.read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(ClockError::Damaged);
        }
        read => read?,
    };
    parse(&text)
        .filter(|(run, progress)| line(*run, progress) == text)
        .ok_or(ClockError::Damaged)
}

fn parse(text: &str) -> Option<(RunId, Progress)> {
    let mut words = text.split_ascii_whitespace().skip(1);
    let run = RunId(Uuid::try_parse(words.next()?).ok()?);
    let progress = Progress {
        reached: Duration::from_micros(words.next()?.parse().ok()?),
        trackers: words.next()?.parse().ok()?,
        rows: words.next()?.parse().ok()?,
        groups: words.next()?.parse().ok()?,
    };
    Some((run, progress))
}

/// The line of the file: the run, the numbers, and a checksum of them.
fn line(run: RunId, progress: &Progress) -> String {
    let Progress {
        reached,
        trackers,
        rows,
        groups,
    } = progress;
    let reached = reached.as_micros() as u64;
    let run = run.0.simple();
    let numbers = format!("{FORMAT} {run} {reached:020} {trackers:020} {rows:020} {groups:020} ");
    let hash = Sha256::digest(numbers.as_bytes());
    let check: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{numbers}{check}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_whatever_else_stands_there_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clock");
        let run = RunId(Uuid::new_v4());
        let clock = ClockFile::create(&path, run).unwrap();
        assert_eq!(read(&path).unwrap(), (run, Progress::default()));
        let progress = Progress {
            reached: Duration::from_secs(3_600),
            trackers: 6,
            rows: u64::MAX,
            groups: 7,
        };
        clock.write(&progress).unwrap();
        assert_eq!(read(&path).unwrap(), (run, progress));
        let whole = line(run, &progress).into_bytes();
        assert_eq!(whole.len(), LEN);
        for at in 0..LEN {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x81;
            std::fs::write(&path, &damaged).unwrap();
            assert!(matches!(read(&path), Err(ClockError::Damaged)), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(
                matches!(read(&path), Err(ClockError::Damaged)),
                "cut at {at}"
            );
        }
        std::fs::write(&path, "hello").unwrap();
        assert!(matches!(read(&path), Err(ClockError::Damaged)));
        std::fs::write(&path, [whole, vec![b'x']].concat()).unwrap();
        assert!(matches!(read(&path), Err(ClockError::Damaged)));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read(&path), Err(ClockError::Io(_))));
    }
}
