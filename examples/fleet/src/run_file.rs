//! What makes a run the same run after a restart: its start, its random bits, what it replays.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use activity::Survey;
use sha2::{Digest as _, Sha256};
use telemetry_core::{DeviceId, Timestamp};
use terminal::escaped;
use uuid::Uuid;

/// Name of the file in the run's folder.
const NAME: &str = "run.json";

/// Format of the file.
const VERSION: u64 = 2;

/// Longest file believed.
const BYTES_MAX: u64 = 1 << 20;

/// Name of the file that says how far the clock is.
const CLOCK: &str = "clock";

/// The run's own file.
#[derive(Debug)]
pub struct RunFile {
    run: Uuid,
    start: Timestamp,
    /// What each workout was called when the run began: part of its sources' names.
    names: Vec<String>,
    clock: File,
    reached: Duration,
}

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    /// The file system.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is no run file of this release.
    #[error("{}: {reason}; use another --data", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The folder belongs to another run.
    #[error("{} holds a run of {theirs}; this is {ours}: use another --data", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// What the folder's run replays.
        theirs: String,
        /// What this run replays.
        ours: String,
    },
}

/// Some of many names.
fn said(names: &[&str]) -> String {
    const SAID_MAX: usize = 5;
    let some = &names[..names.len().min(SAID_MAX)];
    let some = escaped(some.join(", "));
    match names.len().saturating_sub(SAID_MAX) {
        0 => some.to_string(),
        more => format!("{some} and {more} more"),
    }
}

impl RunFile {
    /// Opens the run in `data`, or starts one. It is the same run if its files have the same bytes,
    /// whatever they are called and wherever they lie.
    pub fn open(
        data: &Path,
        workouts: &[&Survey],
        devices: usize,
        outage: Duration,
    ) -> Result<Self, RunFileError> {
        let path = data.join(NAME);
        let content = workouts.iter().map(|survey| match survey.content {
            Some(content) => content.to_string(),
            None => "unknown".to_owned(),
        });
        let identity = format!(
            "{devices} {} {}",
            content.collect::<Vec<_>>().join(" "),
            outage.as_micros()
        );
        let names = workouts.iter().map(|survey| survey.activity.name());
        let names: Vec<&str> = names.collect();
        let ours = format!(
            "{devices} trackers with {}, outage {} s",
            said(&names),
            outage.as_secs_f64()
        );
        let io = |error| RunFileError::Io {
            path: path.clone(),
            error,
        };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(data, &path, &identity, &ours, &names).map_err(io)?;
                File::open(&path)
            }
            opened => opened,
        };
        let file = file.map_err(io)?;
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(io)?;
        let format = |reason: &str| RunFileError::Format {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| format(&e.to_string()))?;
        if value["version"] != VERSION {
            return Err(format("a run file of another release"));
        }
        let theirs = value["plan"].as_str().ok_or_else(|| format("no plan"))?;
        if value["identity"] != identity {
            // Two files of one name are told apart by what is in them.
            let other = match theirs == ours {
                true => " whose files have other bytes",
                false => "",
            };
            return Err(RunFileError::Other {
                path: data.to_owned(),
                theirs: format!("{theirs}{other}"),
                ours,
            });
        }
        let names = value["names"].as_array().into_iter().flatten();
        let names = names.map(|name| name.as_str().unwrap_or_default().to_owned());
        let run = value["run"].as_str().and_then(|s| Uuid::try_parse(s).ok());
        let (clock, reached) = open_clock(data).map_err(io)?;
        Ok(Self {
            clock,
            reached,
            names: names.collect(),
            run: run.ok_or_else(|| format("no run id"))?,
            start: Timestamp::from_micros(
                value["start_us"]
                    .as_i64()
                    .ok_or_else(|| format("no start"))?,
            ),
        })
    }

    /// What the workout at this place was called when the run began.
    pub fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", String::as_str)
    }

    /// How far the clock was when the last process of this run ended.
    pub const fn reached(&self) -> Duration {
        self.reached
    }

    /// Notes how far the clock is: it goes on from there after a kill, and never back.
    pub fn reach(&self, since_start: Duration) -> io::Result<()> {
        let bytes = (since_start.as_micros() as u64).to_le_bytes();
        self.clock.write_all_at(&bytes, 0)
    }

    /// Wall time of the start.
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// Identity of the device at this position.
    pub fn device(&self, index: usize) -> DeviceId {
        let name = format!("device {index}");
        DeviceId::from_u128(Uuid::from_bytes(self.keyed(&name)).as_u128())
    }

    /// The wearer's name in data: it leads back to nobody without the run's key.
    pub fn pseudonym(&self, index: usize) -> String {
        let hash = self.keyed(&format!("wearer {index}"));
        let hex: String = hash[..8].iter().map(|b| format!("{b:02x}")).collect();
        format!("w-{hex}")
    }

    fn keyed(&self, name: &str) -> [u8; 16] {
        let mut hasher = Sha256::new();
        hasher.update(self.run.as_bytes());
        hasher.update(name.as_bytes());
        let hash = hasher.finalize();
        let mut out = [0; 16];
        out.copy_from_slice(&hash[..16]);
        out
    }

    /// Random bits, others at every call.
    pub fn random(&self) -> u64 {
        Uuid::new_v4().as_u64_pair().1
    }

    /// Who writes the incident log in this process.
    pub fn writer(&self) -> u128 {
        Uuid::new_v4().as_u128()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the start of a run is the one wall time it reads"
)]
fn create(data: &Path, path: &Path, identity: &str, plan: &str, names: &[&str]) -> io::Result<()> {
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.unwrap_or_default().as_secs();
    let text = serde_json::json!({
        "version": VERSION,
        "run": Uuid::new_v4().to_string(),
        "start_us": seconds * 1_000_000,
        "identity": identity,
        "plan": plan,
        "names": names,
    });
    let new = path.with_extension("new");
    let mut out = File::create(&new)?;
    writeln!(out, "{text:#}")?;
    out.sync_all()?;
    fs::rename(&new, path)?;
    File::open(data)?.sync_all()
}

fn open_clock(data: &Path) -> io::Result<(File, Duration)> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(data.join(CLOCK))?;
    let mut bytes = [0; 8];
    let reached = match file.read_at(&mut bytes, 0)? {
        8 => Duration::from_micros(u64::from_le_bytes(bytes)),
        _ => Duration::ZERO,
    };
    Ok((file, reached))
}
