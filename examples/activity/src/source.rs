//! Where the bytes of an activity come from: a file, a pipe, the program itself; packed or not.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use flate2::bufread::MultiGzDecoder;

use crate::{BYTES_MAX, Fault};

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// Bytes that can be read again and again.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Bytes(&'static [u8]),
    Path {
        path: PathBuf,
        /// What a pipe gave: it gives it once, and a replay reads several times.
        copy: Arc<OnceLock<Result<File, Fault>>>,
    },
}

/// Unpacked bytes.
pub(crate) struct Bytes {
    pub(crate) reader: Box<dyn Read + Send>,
    /// Whether they were packed: then a fault of the reader is one of the file.
    pub(crate) packed: bool,
}

impl Source {
    pub(crate) fn path(path: PathBuf) -> Self {
        Self::Path {
            path,
            copy: Arc::default(),
        }
    }

    /// The bytes as they are.
    pub(crate) fn open_raw(&self) -> Result<Box<dyn Read + Send>, Fault> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(*bytes)),
            Self::Path { path, copy } => match regular(path)? {
                Some(file) => Ok(Box::new(file)),
                None => match copy.get_or_init(|| copied(path)) {
                    Ok(file) => Ok(Box::new(At {
                        file: file.try_clone()?,
                        position: 0,
                    })),
                    Err(fault) => Err(fault.clone()),
                },
            },
        }
    }

    /// The bytes, unpacked if they begin as gzip does.
    pub(crate) fn open(&self) -> Result<Bytes, Fault> {
        let mut raw = BufReader::new(self.open_raw()?);
        let packed = raw.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read + Send> = if packed {
            Box::new(MultiGzDecoder::new(raw))
        } else {
            Box::new(raw)
        };
        Ok(Bytes { reader, packed })
    }
}

/// The file if it can be read more than once; `None` for standard input and pipes.
fn regular(path: &Path) -> Result<Option<File>, Fault> {
    if path.as_os_str() == STANDARD_INPUT {
        return Ok(None);
    }
    // A named pipe is not opened here: that would take its writer away from the copy.
    let kind = std::fs::metadata(path)?;
    if kind.is_dir() {
        return Err(Fault::Folder);
    }
    Ok(if kind.is_file() {
        Some(File::open(path)?)
    } else {
        None
    })
}

/// Copies what can be read only once into a file without a name, which ends with the program.
fn copied(path: &Path) -> Result<File, Fault> {
    let from: Box<dyn Read> = if path.as_os_str() == STANDARD_INPUT {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    let mut file = tempfile::tempfile()?;
    if io::copy(&mut from.take(BYTES_MAX + 1), &mut file)? > BYTES_MAX {
        return Err(Fault::TooLong);
    }
    file.flush()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// A place of its own in a file that several readers share.
struct At {
    file: File,
    position: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
