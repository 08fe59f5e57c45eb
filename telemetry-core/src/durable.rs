//! Names that survive a power cut, and how a write looks that did not.
//!
//! A file that is synced may still be gone after a power cut: its name is in its folder, and the folder
//! has a sync of its own. Every adapter of the family that makes or replaces a file does it through these.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::owner_only;

/// Bytes that a disk writes as a whole or not at all, at least.
const SECTOR: u64 = 512;

/// Makes a folder and those above it that are missing, for the owner alone, and their names durable.
///
/// # Errors
///
/// Those of [`std::fs::create_dir_all`], and a sync that failed.
pub fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    owner_only::create_dir_all(&path)?;
    sync_above(&fs::canonicalize(path)?)
}

/// Makes the names of the folders above a path durable.
///
/// All of them: who made the missing ones may have been killed before it could. One that this user
/// cannot sync, or that never changes, was not made by this user.
///
/// # Errors
///
/// A sync that failed.
#[cfg(unix)]
pub fn sync_above(path: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
    for above in path.ancestors().skip(1) {
        let synced = File::open(above).and_then(|dir| dir.sync_all());
        match synced.as_ref().map_err(io::Error::kind) {
            Ok(()) | Err(PermissionDenied | InvalidInput | ReadOnlyFilesystem) => {}
            Err(_) => return synced,
        }
    }
    Ok(())
}

/// Windows has no such call; NTFS journals its names.
///
/// # Errors
///
/// None.
#[cfg(not(unix))]
pub const fn sync_above(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the name of a file durable, or that it has none any more.
///
/// Call it at each opening, and not only where the file was made: who made it may have been killed
/// before it could, or its sync may have failed.
///
/// # Errors
///
/// A sync that failed.
#[cfg(unix)]
pub fn sync_name(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Windows has no such call; NTFS journals its names.
///
/// # Errors
///
/// None.
#[cfg(not(unix))]
pub const fn sync_name(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Replaces a file, or makes it, for the owner alone: after a crash it holds the old bytes or the new
/// ones. The bytes are first in a file beside it, with the extension `new`.
///
/// # Errors
///
/// After one, the file holds the old bytes or the new ones, and it can be tried again.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = owner_only::options();
    let mut file = options.write(true).create(true).truncate(true).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_name(path)
}

/// Whether bytes at the end of a file, from `offset` on, have a sector of zeros: one that a power cut
/// kept from being written, after the file had already grown.
///
/// Only who never writes so many zeros can tell a write that did not end in this way.
pub fn has_lost_sector(bytes: &[u8], offset: u64) -> bool {
    // Less than a sector.
    let first = ((SECTOR - offset % SECTOR) as usize).min(bytes.len());
    let (first, rest) = bytes.split_at(first);
    let mut sectors = std::iter::once(first).chain(rest.chunks(SECTOR as usize));
    sectors.any(|sector| !sector.is_empty() && sector.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_half_a_new_one_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.json");
        fs::write(
            path.with_extension("new"),
            "half a long file that was never rena",
        )
        .unwrap();
        for bytes in [b"first".as_slice(), b"2nd"] {
            replace(&path, bytes).unwrap();
            let found = io::read_to_string(File::open(&path).unwrap()).unwrap();
            assert_eq!(found.as_bytes(), bytes);
        }
        assert!(!path.with_extension("new").exists());
        replace(&path.join("no/folder"), b"").unwrap_err();
    }

    #[test]
    fn folders_above_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        create_dir_all(&inner).unwrap();
        create_dir_all(&inner).unwrap();
        assert!(inner.is_dir());
    }

    #[test]
    fn a_lost_sector_is_zeros_between_its_edges() {
        let (text, zeros) = ([7; 512], [0; 512]);
        assert!(has_lost_sector(&[text, zeros, text].concat(), 1024));
        assert!(!has_lost_sector(&[text, zeros, text].concat(), 1000));
        // The first sector began before, the last one ends with the file.
        assert!(has_lost_sector(&[&zeros[..12], &text[..]].concat(), 500));
        assert!(has_lost_sector(&[&text[..], &zeros[..9]].concat(), 512));
        assert!(!has_lost_sector(
            &[&text[..511], &[0], &text[..]].concat(),
            512
        ));
        assert!(!has_lost_sector(&[], 512));
    }
}
