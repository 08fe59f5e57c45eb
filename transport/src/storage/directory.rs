//! A directory of the file system, locked for one process.

use alloc::boxed::Box;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use telemetry_core::{durable, owner_only};

use super::{FileId, FileReader, Storage, StorageError, StorageErrorKind};

/// Files held open at a time, beside the one that was written last.
const OPEN_MAX: usize = 16;

/// A directory of the file system.
///
/// The directory itself is locked, so no file can be removed that would let a second owner in. Whoever
/// replaces the directory or its open files from outside is noticed when the next name changes
/// ([`StorageErrorKind::Stranger`]).
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Holds the lock. It stays open, so that names can be made durable when descriptors have run out.
    lock: File,
    /// The ones used last at the end.
    open: Vec<OpenFile>,
    /// The file that commits go to. It stays open, so that no commit fails for want of a descriptor.
    written: Option<FileId>,
}

#[derive(Debug)]
struct OpenFile {
    id: FileId,
    file: File,
    /// Bytes may not be on the disk yet.
    dirty: bool,
}

impl Directory {
    /// Makes the directory where it is missing, durably with those above it, and locks it until the
    /// value is dropped.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] while another process owns it.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        durable::create_dir_all(&path)?;
        let path = fs::canonicalize(path)?;
        let lock = lock(&path)?;
        let mut directory = Self {
            path,
            lock,
            open: Vec::new(),
            written: None,
        };
        directory.sync_names()?;
        Ok(directory)
    }

    /// An open file, and whether it may be closed again without a sync.
    fn file(&mut self, id: FileId) -> Result<&mut OpenFile, StorageError> {
        if let Some(at) = self.open.iter().position(|open| open.id == id) {
            // Moved to the end, where those are that were used last.
            self.open[at..].rotate_left(1);
        } else {
            self.same_directory()?;
            let path = self.path.join(id.to_string());
            let file = File::options().read(true).write(true).open(path)?;
            self.keep(id, file);
        }
        let last = self.open.last_mut();
        last.ok_or_else(|| StorageErrorKind::NotFound.into())
    }

    fn keep(&mut self, id: FileId, file: File) {
        let written = self.written;
        let idle = |open: &OpenFile| !open.dirty && Some(open.id) != written;
        if self.open.len() >= OPEN_MAX
            && let Some(oldest) = self.open.iter().position(idle)
        {
            self.open.remove(oldest);
        }
        self.open.push(OpenFile {
            id,
            file,
            dirty: false,
        });
    }

    /// Fails where the path leads to another directory than the one that is locked.
    fn same_directory(&self) -> Result<(), StorageError> {
        match identity(&self.lock)? == identity_at(&self.path)? {
            true => Ok(()),
            false => Err(StorageErrorKind::Stranger.into()),
        }
    }

    /// Fails where directory or open files are not those any more that were opened: what is written
    /// to them would be lost.
    fn check(&self) -> Result<(), StorageError> {
        self.same_directory()?;
        for open in &self.open {
            let found = identity_at(&self.path.join(open.id.to_string()))?;
            if found != identity(&open.file)? {
                return Err(StorageErrorKind::Stranger.into());
            }
        }
        Ok(())
    }

    fn forget(&mut self, id: FileId) -> Option<File> {
        let at = self.open.iter().position(|open| open.id == id)?;
        Some(self.open.remove(at).file)
    }
}

/// What tells a file from every other; `None` for none, and where a system cannot say.
type Identity = Option<(u64, u64)>;

#[cfg(unix)]
fn identity(file: &File) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let found = file.metadata()?;
    Ok(Some((found.dev(), found.ino())))
}

#[cfg(unix)]
fn identity_at(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(|found| Some((found.dev(), found.ino()))),
    }
}

/// An open file can be neither removed nor replaced here, nor can its directory.
#[cfg(not(unix))]
const fn identity(_: &File) -> io::Result<Identity> {
    Ok(None)
}

#[cfg(not(unix))]
const fn identity_at(_: &Path) -> io::Result<Identity> {
    Ok(None)
}

/// Locks the directory itself.
#[cfg(unix)]
fn lock(path: &Path) -> io::Result<File> {
    owned(File::open(path)?)
}

/// Locks a file in it, which nobody can remove while it is open.
#[cfg(not(unix))]
fn lock(path: &Path) -> io::Result<File> {
    let mut options = owner_only::options();
    options.write(true).create(true).truncate(true);
    owned(options.open(path.join("lock"))?)
}

fn owned(lock: File) -> io::Result<File> {
    lock.try_lock().map_err(|error| match error {
        fs::TryLockError::Error(error) => error,
        fs::TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
    })?;
    Ok(lock)
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn read(file: &mut File, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), StorageError> {
    out.clear();
    // A caller may ask for more than there is.
    let left = file.metadata()?.len().saturating_sub(offset);
    out.reserve(len.min(usize::try_from(left).unwrap_or(usize::MAX)));
    file.seek(SeekFrom::Start(offset))?;
    file.take(len as u64).read_to_end(out)?;
    Ok(())
}

/// A file that is only read.
#[derive(Debug)]
struct Handle(File);

impl FileReader for Handle {
    fn read(&mut self, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), StorageError> {
        read(&mut self.0, offset, len, out)
    }
}

impl Storage for Directory {
    fn list(&mut self) -> Result<Vec<FileId>, StorageError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            files.extend(name.to_str().and_then(FileId::from_name));
        }
        Ok(files)
    }

    fn create(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        self.check()?;
        let path = self.path.join(file.to_string());
        let mut made = owner_only::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        // Written, not only sized: overwriting allocated blocks keeps later syncs cheap.
        let written = io::copy(&mut io::repeat(0).take(len), &mut made);
        if let Err(error) = written.and_then(|_| made.sync_all()) {
            // Half a file would keep the space that a full disk needs. What failed is the making;
            // that the half cannot be removed either adds nothing.
            let _ = fs::remove_file(path);
            return Err(error.into());
        }
        self.keep(file, made);
        Ok(())
    }

    fn len(&mut self, file: FileId) -> Result<u64, StorageError> {
        Ok(self.file(file)?.file.metadata()?.len())
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        let open = self.file(file)?;
        open.dirty = true;
        Ok(open.file.set_len(len)?)
    }

    fn read(
        &mut self,
        file: FileId,
        offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        read(&mut self.file(file)?.file, offset, len, out)
    }

    /// A file of its own: a cloned handle would share the place in the file with the writer.
    fn reader(&mut self, file: FileId) -> Result<Option<Box<dyn FileReader>>, StorageError> {
        self.same_directory()?;
        let file = File::open(self.path.join(file.to_string()))?;
        Ok(Some(Box::new(Handle(file))))
    }

    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let open = self.file(file)?;
        open.dirty = true;
        open.file.seek(SeekFrom::Start(offset))?;
        open.file.write_all(bytes)?;
        if file.kind == super::FileKind::Segment {
            self.written = Some(file);
        }
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> Result<(), StorageError> {
        let open = self.file(file)?;
        open.file.sync_data()?;
        open.dirty = false;
        Ok(())
    }

    fn rename(&mut self, from: FileId, to: FileId) -> Result<(), StorageError> {
        let [old, new] = [from, to].map(|file| self.path.join(file.to_string()));
        match (exists(&old), exists(&new)) {
            (true, true) => return Err(StorageErrorKind::AlreadyExists.into()),
            // It was renamed before.
            (false, true) => {}
            _ => {
                self.check()?;
                fs::rename(old, new)?;
            }
        }
        if let Some(file) = self.forget(from) {
            self.keep(to, file);
        }
        Ok(())
    }

    fn remove(&mut self, file: FileId) -> Result<(), StorageError> {
        self.same_directory()?;
        self.forget(file);
        match fs::remove_file(self.path.join(file.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Windows journals names itself.
    fn sync_names(&mut self) -> Result<(), StorageError> {
        #[cfg(unix)]
        self.lock.sync_all()?;
        Ok(())
    }
}
