//! What is wrong with a file, where, and what its owner can do about it.

use std::fmt;
use std::io;

use rustyfit::profile::typedef::File;

/// Something in a file that could not be read. What stands around it was read.
#[derive(Clone, Debug)]
pub struct ActivityError {
    file: String,
    position: Option<u64>,
    fault: Fault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// There is no such file.
    Missing,
    /// The system does not let us read it.
    Denied,
    /// A folder is no file.
    Folder,
    /// The system failed to read it; its own words.
    Io(String),
    /// No byte in it.
    Empty,
    /// It is something else than a FIT file.
    Foreign(Format),
    /// The header has another length than the two that are defined.
    HeaderSize(u8),
    /// The header's own checksum is not that of its bytes.
    HeaderChecksum {
        /// What the header says.
        said: u16,
        /// What its bytes give.
        given: u16,
    },
    /// The bytes end before the length in the header is reached.
    Truncated,
    /// The recorder never wrote the length: it lost power or crashed.
    NotClosed,
    /// The bytes end where the checksum should stand.
    NoChecksum,
    /// The checksum is not that of the bytes.
    Checksum {
        /// What the file says.
        said: u16,
        /// What its bytes give.
        given: u16,
    },
    /// A message of a kind that was not defined: from here on, the bytes have no meaning.
    NoDefinition {
        /// Local number of the message.
        local: u8,
    },
    /// Bytes after the end that are no further FIT file.
    Trailing {
        /// How many.
        bytes: u64,
    },
    /// The packed bytes are damaged.
    Gzip(String),
    /// Longer than [`BYTES_MAX`](crate::BYTES_MAX).
    TooLong,
    /// More than [`FAULTS_MAX`](crate::FAULTS_MAX) parts are damaged.
    TooMany,
    /// A whole FIT file, but no sample in it.
    NoSamples {
        /// What kind of file it calls itself, by FIT's number.
        kind: Option<u8>,
    },
}

/// What a file is that is no FIT file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// GPS exchange format.
    Gpx,
    /// Garmin training center.
    Tcx,
    /// Some other markup.
    Xml,
    /// A zip archive.
    Zip,
    /// JSON.
    Json,
    /// Too short for any header.
    Short {
        /// Bytes in it.
        bytes: usize,
    },
    /// None of these.
    Unknown,
}

impl ActivityError {
    pub(crate) const fn new(file: String, position: Option<u64>, fault: Fault) -> Self {
        Self {
            file,
            position,
            fault,
        }
    }

    /// The file's name as the user gave it. It is foreign text: escape it before it is shown.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The byte of the unpacked file at which it was noticed.
    pub const fn position(&self) -> Option<u64> {
        self.position
    }

    /// What is wrong.
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::IsADirectory => Self::Folder,
            _ => Self::Io(error.to_string()),
        }
    }
}

impl fmt::Display for ActivityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(position) = self.position {
            write!(f, "byte {position}: ")?;
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::Denied => f.write_str("you may not read this file; look at its permissions"),
            Self::Folder => f.write_str("this is a folder; name the files in it"),
            Self::Io(error) => f.write_str(error),
            Self::Empty => f.write_str("the file is empty; copy it again"),
            Self::Foreign(format) => format.fmt(f),
            Self::HeaderSize(size) => write!(
                f,
                "the FIT header says that it has {size} bytes, but a header has 12 or 14"
            ),
            Self::HeaderChecksum { said, given } => write!(
                f,
                "the header's checksum is {said:04x}, its bytes give {given:04x}"
            ),
            Self::Truncated => f.write_str("the file ends here, inside a message; copy it again"),
            Self::NotClosed => f.write_str(
                "the recording was not closed: the recorder stopped without writing the length; \
                 what it had written is read",
            ),
            Self::NoChecksum => f.write_str("there is no checksum at the end"),
            Self::Checksum { said, given } => {
                write!(f, "the checksum is {said:04x}, the bytes give {given:04x}")
            }
            Self::NoDefinition { local } => write!(
                f,
                "a message of kind {local}, which the file does not define; the rest has no meaning"
            ),
            Self::Trailing { bytes } => {
                write!(f, "{bytes} bytes after the end that are no FIT file")
            }
            Self::Gzip(error) => write!(f, "the packed file is damaged here: {error}"),
            Self::TooLong => write!(f, "longer than {} MiB", crate::BYTES_MAX >> 20),
            Self::TooMany => write!(
                f,
                "{} faults are enough; the rest was not read",
                crate::FAULTS_MAX
            ),
            Self::NoSamples { kind } => match kind {
                Some(kind) => write!(
                    f,
                    "no samples: the file is of the kind {}",
                    kind_name(*kind)
                ),
                None => f.write_str("no samples: the file does not say what kind it is"),
            },
        }
    }
}

fn kind_name(kind: u8) -> String {
    File(kind).to_string().replace('_', " ")
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Gpx => "this is a GPX file",
            Self::Tcx => "this is a TCX file",
            Self::Xml => "this is an XML file",
            Self::Zip => return f.write_str("this is a zip archive; unpack it first"),
            Self::Json => "this is a JSON file",
            Self::Short { bytes: 1 } => return f.write_str("the file has 1 byte; copy it again"),
            Self::Short { bytes } => return write!(f, "the file has {bytes} bytes; copy it again"),
            Self::Unknown => "no FIT header",
        };
        write!(f, "{what}; export the activity as .fit")
    }
}

impl std::error::Error for ActivityError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_the_system_has_its_sentence() {
        let said = |kind| Fault::from(io::Error::from(kind)).to_string();
        assert_eq!(said(io::ErrorKind::NotFound), "there is no such file");
        assert!(said(io::ErrorKind::PermissionDenied).contains("may not read"));
        assert!(said(io::ErrorKind::IsADirectory).contains("folder"));
    }
}
