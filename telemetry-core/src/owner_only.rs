//! Folders and files that only their owner may read: what a wearer's body did is in them.
//!
//! Every adapter of the family that makes a file or a folder makes it through these, so that no
//! program has to set its umask for it. What is there already keeps its permissions: whoever made
//! it decided.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder and those above it that are missing, with mode 0700 where there are modes.
///
/// # Errors
///
/// Those of [`std::fs::create_dir_all`].
pub fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// How to open files: one that is made gets mode 0600 where there are modes.
///
/// Say with its methods whether it is read, written, made, and so on.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_made_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        create_dir_all(&inner).unwrap();
        create_dir_all(&inner).unwrap();
        let file = inner.join("c");
        options().write(true).create(true).open(&file).unwrap();
        let modes = [dir.path().join("a"), inner, file]
            .map(|path| path.metadata().unwrap().permissions().mode() & 0o777);
        assert_eq!(modes, [0o700, 0o700, 0o600]);
    }
}
