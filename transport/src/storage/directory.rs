//! A directory of the file system, locked for one process.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use telemetry_core::owner_only;

use super::Storage;

/// Name of the file whose lock owns the directory.
const LOCK: &str = "lock";

/// A directory of the file system.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    open: HashMap<String, File>,
    _lock: File,
}

impl Directory {
    /// Makes the directory where it is missing, and locks it until the value is dropped.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] while another process owns it.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        owner_only::create_dir_all(&path)?;
        let lock = owner_only::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path.join(LOCK))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::Error(e) => e,
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
        })?;
        let directory = Self {
            path,
            open: HashMap::new(),
            _lock: lock,
        };
        directory.sync_names()?;
        Ok(directory)
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        if !self.open.contains_key(name) {
            let path = self.path.join(name);
            let file = File::options().read(true).write(true).open(path)?;
            self.open.insert(name.to_owned(), file);
        }
        self.open
            .get_mut(name)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Names are durable only once their directory is synced; Windows journals them itself.
    fn sync_names(&self) -> io::Result<()> {
        #[cfg(unix)]
        File::open(&self.path)?.sync_all()?;
        Ok(())
    }
}

impl Storage for Directory {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string()
                && name != LOCK
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        let path = self.path.join(name);
        let mut file = owner_only::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        // Written, not only sized: overwriting allocated blocks keeps later syncs cheap.
        io::copy(&mut io::repeat(0).take(len), &mut file)?;
        file.sync_all()?;
        self.open.insert(name.to_owned(), file);
        self.sync_names()
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        Ok(self.file(name)?.metadata()?.len())
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let file = self.file(name)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn read(&mut self, name: &str, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        let file = self.file(name)?;
        // A caller may ask for more than there is.
        let left = file.metadata()?.len().saturating_sub(offset);
        out.reserve(len.min(usize::try_from(left).unwrap_or(usize::MAX)));
        file.seek(SeekFrom::Start(offset))?;
        file.take(len as u64).read_to_end(out)?;
        Ok(())
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(name)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.open.remove(from);
        fs::rename(self.path.join(from), self.path.join(to))?;
        if let Some(file) = file {
            self.open.insert(to.to_owned(), file);
        }
        self.sync_names()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        fs::remove_file(self.path.join(name))?;
        self.sync_names()
    }
}
