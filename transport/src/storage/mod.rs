//! The disk, as a journal sees it: files of one directory, and what fsync makes durable.

mod directory;
#[cfg(any(test, feature = "test-util"))]
mod simulated;

use std::io;

pub use directory::Directory;
#[cfg(any(test, feature = "test-util"))]
pub use simulated::SimulatedDisk;

/// Files of one directory that one process owns.
///
/// Changes of names (`create`, `rename`, `remove`) are durable when they return; bytes are
/// durable after [`sync`](Self::sync).
pub trait Storage {
    /// Names of all files.
    fn list(&mut self) -> io::Result<Vec<String>>;
    /// Makes a file of `len` zeros, durable.
    fn create(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Length of a file in bytes.
    fn len(&mut self, name: &str) -> io::Result<u64>;
    /// Cuts a file, durably.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Replaces `out` by up to `len` bytes from `offset`: fewer only at the end of the file.
    fn read(&mut self, name: &str, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()>;
    /// Writes bytes, not durable yet.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written to a file durable. After an error nothing is known.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Renames a file.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}
