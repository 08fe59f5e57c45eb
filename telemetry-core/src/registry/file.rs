//! A registry in one file.

use std::fs::{File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::Registry;
use super::memory::{Catalogue, RegistryFull, RegistryLimits};
use crate::{
    Compatibility, Entry, Fingerprint, Registered, Schema, SchemaRules, StreamName, durable,
    owner_only,
};

/// The form of the file, named in its first line.
const VERSION: u64 = 1;

/// A line holds one schema of at most 64 KiB, whose quotes are escaped.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Keeps schemas in one file, for one process at a time.
///
/// The file is a list of lines in JSON, one for each thing that was registered, added at the end
/// and synced before [`register`](Registry::register) answers. A last line that lacks its end, or a whole
/// sector, was not answered before a crash; it is dropped at the next opening.
#[derive(Debug)]
pub struct FileRegistry {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    catalogue: Catalogue,
    /// A write or sync failed: what is on disk is not known before the next opening.
    is_poisoned: bool,
}

/// Why a registry's file could not be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileRegistryError {
    /// The disk refused. After a failed write, open the registry again.
    #[error("the registry's file: {0}")]
    Io(#[from] io::Error),
    /// Another process has it open.
    #[error("the registry's file is open in another process: close it there first")]
    Locked,
    /// A later release wrote it.
    #[error("the registry's file has form {found}, this release reads {VERSION}: take a newer one")]
    Version {
        /// The form that its first line names.
        found: u64,
    },
    /// A line that is not what was written.
    #[error("line {line} of the registry's file is damaged: {reason}")]
    Damaged {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Over a bound of [`RegistryLimits`].
    #[error(transparent)]
    Full(#[from] RegistryFull),
    /// An earlier write failed.
    #[error("an earlier write to the registry's file failed: open it again")]
    Poisoned,
}

crate::error_codes!(FileRegistryError {
    Io(_) => 1122,
    Locked => 1123,
    Version { .. } => 1124,
    Damaged { .. } => 1125,
    Full(_) => 1126,
    Poisoned => 1127,
});

impl FileRegistry {
    /// Opens the registry in `path`, and makes it if it is not there, within the default limits.
    pub fn open(path: &Path) -> Result<Self, FileRegistryError> {
        Self::open_with(path, RegistryLimits::default())
    }

    /// Opens the registry in `path` within `limits`.
    pub fn open_with(path: &Path, limits: RegistryLimits) -> Result<Self, FileRegistryError> {
        let mut file = owner_only::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => FileRegistryError::Locked,
            TryLockError::Error(error) => FileRegistryError::Io(error),
        })?;
        let mut catalogue = Catalogue::new(limits);
        let whole = load(&file, &mut catalogue)?;
        file.set_len(whole)?;
        file.seek(SeekFrom::Start(whole))?;
        if whole == 0 {
            file.write_all(line(&json!({ "xpt-registry": VERSION })).as_bytes())?;
        }
        // A process before may have been killed between a write and its sync: what it left is answered
        // for from now on.
        file.sync_all()?;
        durable::sync_name(path)?;
        Ok(Self {
            inner: Mutex::new(Inner {
                file,
                catalogue,
                is_poisoned: false,
            }),
        })
    }

    /// What new schemas of a subject must be able to do from now on.
    pub fn set_compatibility(
        &self,
        subject: &StreamName,
        compatibility: Compatibility,
    ) -> Result<(), FileRegistryError> {
        let mut inner = self.lock();
        inner.catalogue.set_compatibility(subject, compatibility)?;
        inner.write(&json!({
            "subject": subject.as_str(), "compatibility": compatibility.as_str(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, value: &Value) -> Result<(), FileRegistryError> {
        if self.is_poisoned {
            return Err(FileRegistryError::Poisoned);
        }
        let written = self
            .file
            .write_all(line(value).as_bytes())
            .and_then(|()| self.file.sync_data());
        self.is_poisoned = written.is_err();
        Ok(written?)
    }
}

impl FileRegistry {
    /// Registers a schema under a subject, on the calling thread.
    pub fn register_blocking(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, FileRegistryError> {
        let mut inner = self.lock();
        let answer = inner.catalogue.decide(subject, schema)?;
        if inner.catalogue.changes(subject, schema, &answer) {
            inner.write(&json!({ "subject": subject.as_str(), "schema": schema.json() }))?;
            inner.catalogue.apply(subject, schema, &answer);
        }
        Ok(answer)
    }

    /// The schema of a subject with this fingerprint, on the calling thread.
    pub fn lookup_blocking(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, FileRegistryError> {
        let inner = self.lock();
        Ok(inner.catalogue.lookup(subject, fingerprint).cloned())
    }

    /// Every version of a subject, oldest first, on the calling thread.
    pub fn versions_blocking(&self, subject: &StreamName) -> Result<Vec<Entry>, FileRegistryError> {
        Ok(self.lock().catalogue.versions(subject).to_vec())
    }
}

impl Registry for FileRegistry {
    type Error = FileRegistryError;

    async fn register(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, FileRegistryError> {
        self.register_blocking(subject, schema)
    }

    async fn lookup(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, FileRegistryError> {
        self.lookup_blocking(subject, fingerprint)
    }

    async fn versions(&self, subject: &StreamName) -> Result<Vec<Entry>, FileRegistryError> {
        self.versions_blocking(subject)
    }
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// Decides again what every line decided, and gives the length of the whole lines.
fn load(file: &File, catalogue: &mut Catalogue) -> Result<u64, FileRegistryError> {
    let mut lines = BufReader::new(file);
    let mut whole = 0;
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        let read = lines
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut text)? as u64;
        let damaged = |reason: String| FileRegistryError::Damaged {
            line: number,
            reason,
        };
        // No line holds a zero, so such zeros were never written.
        if durable::has_lost_sector(&text, whole) && lines.fill_buf()?.is_empty() {
            break;
        }
        if text.last() != Some(&b'\n') {
            if read == LINE_BYTES_MAX {
                return Err(damaged("it does not end".to_owned()));
            }
            break;
        }
        let value: Value = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if number == 1 {
            match value["xpt-registry"].as_u64() {
                Some(VERSION) => {}
                Some(found) => return Err(FileRegistryError::Version { found }),
                None => return Err(damaged("this is no registry's file".to_owned())),
            }
        } else {
            again(&value, catalogue).map_err(|error| match error {
                Fault::Full(full) => full.into(),
                Fault::Damaged(reason) => damaged(reason),
            })?;
        }
        whole += read;
    }
    Ok(whole)
}

enum Fault {
    Full(RegistryFull),
    Damaged(String),
}

fn again(value: &Value, catalogue: &mut Catalogue) -> Result<(), Fault> {
    let text = |key: &str| value[key].as_str();
    let damaged = |error: &dyn std::error::Error| Fault::Damaged(error.to_string());
    let subject = StreamName::new(text("subject").unwrap_or_default()).map_err(|e| damaged(&e))?;
    if let Some(name) = text("compatibility") {
        let compatibility = name.parse().map_err(|e| damaged(&e))?;
        return catalogue
            .set_compatibility(&subject, compatibility)
            .map_err(Fault::Full);
    }
    let json = text("schema").ok_or_else(|| Fault::Damaged("it says nothing".to_owned()))?;
    let limits = catalogue.limits().schema;
    let schema = Schema::parse_as(json, SchemaRules::AsWritten, limits).map_err(|e| damaged(&e))?;
    let answer = catalogue.decide(&subject, &schema).map_err(Fault::Full)?;
    catalogue.apply(&subject, &schema, &answer);
    Ok(())
}
