//! The disk, as a journal sees it: numbered files, and what a sync makes durable.

#[cfg(feature = "std")]
mod directory;
#[cfg(any(test, feature = "test-util"))]
mod simulated;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

#[cfg(feature = "std")]
pub use directory::Directory;
#[cfg(any(test, feature = "test-util"))]
pub use simulated::{Effect, SimulatedDisk};

/// What a file of a journal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// Frames of the journal; its number grows by the order of writing.
    Segment,
    /// A segment that waits to be used again.
    Spare,
    /// Damaged bytes, kept aside.
    Quarantine,
    /// The place of a reader.
    Cursor,
    /// What a consumer refused.
    Letters,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Segment,
        Self::Spare,
        Self::Quarantine,
        Self::Cursor,
        Self::Letters,
    ];

    /// What the names of its files end with, in a directory.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Spare => "spare",
            Self::Quarantine => "quarantine",
            Self::Cursor => "cursor",
            Self::Letters => "letters",
        }
    }
}

/// A file of a journal. Its text is its name in a directory, e.g. `0000002a.segment`: digits alone, so
/// that no file system takes two for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// What it is for.
    pub kind: FileKind,
    /// Its number among those of its kind.
    pub number: u64,
}

impl FileId {
    /// The file of a segment.
    pub const fn segment(number: u32) -> Self {
        Self::new(FileKind::Segment, number as u64)
    }

    pub(crate) const fn new(kind: FileKind, number: u64) -> Self {
        Self { kind, number }
    }

    /// The file that has this name in a directory; `None` for a file of somebody else.
    pub fn from_name(name: &str) -> Option<Self> {
        let (digits, extension) = name.split_once('.')?;
        let kind = FileKind::ALL
            .into_iter()
            .find(|kind| kind.extension() == extension)?;
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let number = u64::from_str_radix(digits, 16).ok()?;
        let shortest = digits.len() == 8 || (digits.len() > 8 && !digits.starts_with('0'));
        (shortest && digits.bytes().all(lower)).then_some(Self { kind, number })
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}.{}", self.number, self.kind.extension())
    }
}

/// What kind of refusal a disk gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// There is no such file.
    NotFound,
    /// There is a file already where one was to be made.
    AlreadyExists,
    /// No space is left.
    Full,
    /// The files are not those any more that were opened: somebody removed or replaced them.
    Stranger,
    /// A sync failed before, and nobody knows what is on the disk: open the journal again.
    Poisoned,
    /// Anything else; the number says what.
    Other,
}

/// Why a disk refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageError {
    /// The kind.
    pub kind: StorageErrorKind,
    /// The number that the system gave it, 0 for none.
    pub number: i32,
}

impl StorageError {
    /// An error that no system numbered.
    pub const fn new(kind: StorageErrorKind) -> Self {
        Self { kind, number: 0 }
    }
}

impl From<StorageErrorKind> for StorageError {
    fn from(kind: StorageErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "std")]
        if self.number != 0 {
            return std::io::Error::from_raw_os_error(self.number).fmt(f);
        }
        f.write_str(match self.kind {
            StorageErrorKind::NotFound => "a file is missing",
            StorageErrorKind::AlreadyExists => "a file is there already that was to be made",
            StorageErrorKind::Full => "no space is left",
            StorageErrorKind::Stranger => "somebody removed or replaced the files",
            StorageErrorKind::Poisoned => "an earlier sync failed; open the journal again",
            StorageErrorKind::Other => "the disk failed",
        })?;
        match self.number {
            0 => Ok(()),
            number => write!(f, " (error {number})"),
        }
    }
}

impl core::error::Error for StorageError {}

telemetry_core::error_codes!(StorageError => 3910);

#[cfg(feature = "std")]
impl From<std::io::Error> for StorageError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        if let Some(Ok(inner)) = error.get_ref().map(|e| e.downcast_ref().copied().ok_or(())) {
            return inner;
        }
        let kind = match error.kind() {
            ErrorKind::NotFound => StorageErrorKind::NotFound,
            ErrorKind::AlreadyExists => StorageErrorKind::AlreadyExists,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageErrorKind::Full,
            _ => StorageErrorKind::Other,
        };
        Self {
            kind,
            number: error.raw_os_error().unwrap_or(0),
        }
    }
}

#[cfg(feature = "std")]
impl From<StorageError> for std::io::Error {
    fn from(error: StorageError) -> Self {
        use std::io::ErrorKind;
        let kind = match error.kind {
            _ if error.number != 0 => return Self::from_raw_os_error(error.number),
            StorageErrorKind::NotFound => ErrorKind::NotFound,
            StorageErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            StorageErrorKind::Full => ErrorKind::StorageFull,
            StorageErrorKind::Stranger | StorageErrorKind::Poisoned | StorageErrorKind::Other => {
                ErrorKind::Other
            }
        };
        Self::new(kind, error)
    }
}

/// Reads one file, also after it was renamed or removed: then the bytes may be those of another use of
/// the file, which the keys of the frames tell.
pub trait FileReader: fmt::Debug + Send {
    /// Replaces `out` by up to `len` bytes from `offset`: fewer only at the end of the file.
    fn read(&mut self, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), StorageError>;
}

/// Files that one process owns.
///
/// Bytes are durable after [`sync`](Self::sync), names after [`sync_names`](Self::sync_names). A call
/// that fails may have happened all the same. So names are idempotent: to rename what is renamed, and
/// to remove what is gone, succeeds. No call ever puts a file in the place of another.
pub trait Storage {
    /// All files of the journal.
    fn list(&mut self) -> Result<Vec<FileId>, StorageError>;
    /// Makes a file of `len` zeros, which are durable as soon as the name is.
    ///
    /// Fails with [`StorageErrorKind::AlreadyExists`] where there is one.
    fn create(&mut self, file: FileId, len: u64) -> Result<(), StorageError>;
    /// Length of a file in bytes.
    fn len(&mut self, file: FileId) -> Result<u64, StorageError>;
    /// Cuts a file; durable after [`sync`](Self::sync).
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), StorageError>;
    /// Replaces `out` by up to `len` bytes from `offset`: fewer only at the end of the file.
    fn read(
        &mut self,
        file: FileId,
        offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), StorageError>;
    /// A handle that reads a file while somebody else has the storage; `None` where the disk has none,
    /// and then [`read`](Self::read) is used.
    fn reader(&mut self, _file: FileId) -> Result<Option<Box<dyn FileReader>>, StorageError> {
        Ok(None)
    }
    /// Writes bytes, not durable yet.
    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), StorageError>;
    /// Makes everything written to a file durable, and its length. After an error nothing is known.
    fn sync(&mut self, file: FileId) -> Result<(), StorageError>;
    /// Renames a file.
    ///
    /// Fails with [`StorageErrorKind::AlreadyExists`] where `to` is another one.
    fn rename(&mut self, from: FileId, to: FileId) -> Result<(), StorageError>;
    /// Removes a file.
    fn remove(&mut self, file: FileId) -> Result<(), StorageError>;
    /// Makes every change of names durable: what was made, renamed or removed.
    ///
    /// After an error it may be called again.
    fn sync_names(&mut self) -> Result<(), StorageError>;
}

/// A disk that remembers whether names may have changed since they were durable.
#[derive(Debug)]
pub(crate) struct Disk<S> {
    storage: S,
    stale: bool,
}

impl<S> Disk<S> {
    /// A disk as an opening finds it: the process before may not have come to its sync of names.
    pub(crate) const fn new(storage: S) -> Self {
        Self {
            storage,
            stale: true,
        }
    }
}

impl<S: Storage> Storage for Disk<S> {
    fn list(&mut self) -> Result<Vec<FileId>, StorageError> {
        self.storage.list()
    }

    fn create(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        self.stale = true;
        self.storage.create(file, len)
    }

    fn len(&mut self, file: FileId) -> Result<u64, StorageError> {
        self.storage.len(file)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        self.storage.truncate(file, len)
    }

    fn read(
        &mut self,
        file: FileId,
        offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        self.storage.read(file, offset, len, out)
    }

    fn reader(&mut self, file: FileId) -> Result<Option<Box<dyn FileReader>>, StorageError> {
        self.storage.reader(file)
    }

    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.storage.write(file, offset, bytes)
    }

    fn sync(&mut self, file: FileId) -> Result<(), StorageError> {
        self.storage.sync(file)
    }

    fn rename(&mut self, from: FileId, to: FileId) -> Result<(), StorageError> {
        self.stale = true;
        self.storage.rename(from, to)
    }

    fn remove(&mut self, file: FileId) -> Result<(), StorageError> {
        self.stale = true;
        self.storage.remove(file)
    }

    /// Costs nothing where no name changed.
    fn sync_names(&mut self) -> Result<(), StorageError> {
        if self.stale {
            self.storage.sync_names()?;
            self.stale = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn names_come_back_and_strangers_have_none() {
        for kind in FileKind::ALL {
            for number in [0, 42, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
                let file = FileId::new(kind, number);
                assert_eq!(FileId::from_name(&file.to_string()), Some(file));
            }
        }
        let strangers = [
            "lock",
            "lost+found",
            "1.segment",
            "0000000A.segment",
            "0000000a.SEGMENT",
            "000000001.segment",
            "+0000001.segment",
            "00000001.segment.gz",
            ".segment",
            "cursor",
        ];
        for name in strangers {
            assert_eq!(FileId::from_name(name), None, "{name}");
        }
    }
}
