//! The log, and with it the outbox, in one append-only file.
//!
//! A text that people can read and `diff`: the line `telemetry-itil log 1`, then for each group
//! `group SEQ WRITER PREVIOUS HASH COUNT BYTES CHECK` (counts in decimal, all else in hex) and
//! COUNT lines `LENGTH ENTRY`, BYTES bytes together. Lengths make any entry safe, even one with line
//! ends. CHECK covers its line, so a changed length is never taken for a file that was cut: cutting
//! throws bytes away, and must not follow a flipped bit. A last group that lacks its end, or a whole sector,
//! is an append that a power cut ended.

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use telemetry_core::{Appended, LogGroup, LogHead, LogStore, durable, owner_only};

use crate::hash_chain::{self, ChainError};

const HEADER: &str = "telemetry-itil log 1\n";
/// Bytes of a group's entries: far above what [`Itil`](crate::Itil) writes, far below memory.
const GROUP_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a head line: `group`, seven fields, separators.
const LINE_BYTES_MAX: usize = 300;

/// Bytes at the end of the file that were cut off at opening: a group whose append never ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where the file ends now.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
}

/// A log in one file, locked while open. Appends are durable (fsync) when they return.
///
/// The blocking methods are the log; the [`LogStore`] methods are the same and are ready at once.
#[derive(Debug)]
pub struct FileLog {
    path: PathBuf,
    file: File,
    head: Option<LogHead>,
    /// Where the next group goes.
    end: u64,
    /// Where the group after the last one read begins: reading on does not start over.
    cursor: (u64, u64),
    torn: Option<TornTail>,
    failed: bool,
}

impl FileLog {
    /// Opens or makes the log at `path`, checks every group, and cuts off a torn tail.
    ///
    /// # Errors
    /// The file is in use, of another format, changed, or cannot be read. Nothing is written then.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileLogError> {
        let path = path.into();
        let io = |e| FileLogError::io(&path, e);
        let file = owner_only::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FileLogError::InUse { path }),
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        let mut log = Self {
            path,
            file,
            head: None,
            end: HEADER.len() as u64,
            cursor: (1, HEADER.len() as u64),
            torn: None,
            failed: false,
        };
        log.recover()?;
        Ok(log)
    }

    /// Reads the log at `path` group by group and checks its chain, without owning it: nothing is
    /// locked, cut or written, and a process that writes it is not disturbed.
    ///
    /// Returns whether the file ends within a group, whose append never ended or goes on just now.
    ///
    /// # Errors
    /// The file is of another format, changed, or cannot be read.
    pub fn inspect(path: &Path, mut visit: impl FnMut(LogGroup)) -> Result<bool, FileLogError> {
        let file = File::open(path).map_err(|e| FileLogError::io(path, e))?;
        walk(path, &file, |group, _| visit(group))
    }

    /// What was cut off at opening.
    pub const fn torn_tail(&self) -> Option<TornTail> {
        self.torn
    }

    /// The last group.
    pub const fn head_now(&self) -> Option<LogHead> {
        self.head
    }

    /// As [`LogStore::append`], blocking.
    ///
    /// # Errors
    /// The group is too large, not sealed, or the disk failed; after the last, open the log again.
    pub fn append_now(&mut self, group: &LogGroup) -> Result<Appended, FileLogError> {
        if self.failed {
            return Err(FileLogError::Failed {
                path: self.path.clone(),
            });
        }
        let head_seq = self.head.map_or(0, |h| h.seq);
        if group.seq <= head_seq {
            let there = self.read_now(group.seq, 1)?;
            let same = there
                .first()
                .is_some_and(|g| g.writer == group.writer && g.hash == group.hash);
            return Ok(if same {
                Appended::Won
            } else {
                Appended::Lost { head: self.head }
            });
        }
        match hash_chain::verify(self.head, group) {
            Ok(()) => {}
            Err(ChainError::Changed { seq }) => return Err(FileLogError::NotSealed { seq }),
            Err(_) => return Ok(Appended::Lost { head: self.head }),
        }
        let text = encode(group)?;
        let written = self
            .file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(&text))
            .and_then(|()| self.file.sync_data());
        if let Err(e) = written {
            // How much reached the disk is unknown: opening again finds out.
            self.failed = true;
            return Err(FileLogError::io(&self.path, e));
        }
        self.end += text.len() as u64;
        self.head = Some(LogHead::from(group));
        Ok(Appended::Won)
    }

    /// As [`LogStore::read`], blocking.
    ///
    /// # Errors
    /// The file was changed since it was opened, or cannot be read.
    pub fn read_now(&mut self, seq: u64, groups_max: usize) -> Result<Vec<LogGroup>, FileLogError> {
        let (mut at, mut offset) = match self.cursor {
            cursor if cursor.0 <= seq => cursor,
            _ => (1, HEADER.len() as u64),
        };
        let mut groups = Vec::new();
        let io = |e| FileLogError::io(&self.path, e);
        let mut reader = BufReader::new(&self.file);
        reader.seek(SeekFrom::Start(offset)).map_err(io)?;
        while offset < self.end && groups.len() < groups_max {
            let Parsed::Group(group, len) = parse(&mut reader).map_err(io)? else {
                return Err(self.corrupt(offset, "not a group"));
            };
            offset += len;
            at += 1;
            if group.seq >= seq {
                groups.push(group);
            }
        }
        self.cursor = (at, offset);
        Ok(groups)
    }

    fn recover(&mut self) -> Result<(), FileLogError> {
        let io = |e| FileLogError::io(&self.path, e);
        let len = self.file.metadata().map_err(io)?.len();
        if len < HEADER.len() as u64 && self.is_begun().map_err(io)? {
            // New, or cut while it was made.
            return self.start();
        }
        let (mut head, mut end) = (None, HEADER.len() as u64);
        let torn = walk(&self.path, &self.file, |group, after| {
            (head, end) = (Some(LogHead::from(&group)), after);
        })?;
        (self.head, self.end) = (head, end);
        if torn {
            self.torn = Some(TornTail {
                offset: self.end,
                bytes: len - self.end,
            });
            self.file.set_len(self.end).map_err(io)?;
        }
        self.keep()
    }

    /// Whether the file holds a part of the header, or nothing.
    fn is_begun(&self) -> io::Result<bool> {
        let mut file = &self.file;
        let mut header = Vec::new();
        file.take(HEADER.len() as u64).read_to_end(&mut header)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(HEADER.as_bytes().starts_with(&header))
    }

    fn start(&mut self) -> Result<(), FileLogError> {
        let io = |e| FileLogError::io(&self.path, e);
        self.file.set_len(0).map_err(io)?;
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        self.file.write_all(HEADER.as_bytes()).map_err(io)?;
        self.keep()
    }

    /// Makes durable what is there. A process before may have been killed between a write and its sync:
    /// what it left is read, answered for, and built on from now on.
    fn keep(&self) -> Result<(), FileLogError> {
        let synced = self.file.sync_all();
        let synced = synced.and_then(|()| durable::sync_name(&self.path));
        synced.map_err(|e| FileLogError::io(&self.path, e))
    }

    fn corrupt(&self, offset: u64, what: &str) -> FileLogError {
        corrupt(&self.path, offset, what)
    }
}

impl LogStore for FileLog {
    type Error = FileLogError;

    async fn append(&mut self, group: &LogGroup) -> Result<Appended, FileLogError> {
        self.append_now(group)
    }

    async fn read(&mut self, seq: u64, groups_max: usize) -> Result<Vec<LogGroup>, FileLogError> {
        self.read_now(seq, groups_max)
    }

    async fn head(&mut self) -> Result<Option<LogHead>, FileLogError> {
        Ok(self.head)
    }
}

fn corrupt(path: &Path, offset: u64, what: &str) -> FileLogError {
    FileLogError::Corrupt {
        path: path.to_owned(),
        offset,
        what: what.into(),
    }
}

/// Hands out each group and where the next one begins; returns whether the last one is cut.
fn walk(
    path: &Path,
    file: &File,
    mut visit: impl FnMut(LogGroup, u64),
) -> Result<bool, FileLogError> {
    let io = |e| FileLogError::io(path, e);
    let mut reader = BufReader::new(file);
    let mut header = Vec::new();
    (&mut reader)
        .take(HEADER.len() as u64)
        .read_to_end(&mut header)
        .map_err(io)?;
    if header != HEADER.as_bytes() {
        return Err(FileLogError::Format {
            path: path.to_owned(),
        });
    }
    let (mut head, mut end) = (None, HEADER.len() as u64);
    loop {
        let bad = match parse(&mut reader).map_err(io)? {
            Parsed::Group(group, bytes) => match hash_chain::verify(head, &group) {
                Ok(()) => {
                    head = Some(LogHead::from(&group));
                    end += bytes;
                    visit(group, end);
                    continue;
                }
                Err(error) => error.to_string(),
            },
            Parsed::End => return Ok(false),
            Parsed::Torn => return Ok(true),
            Parsed::Bad(what) => what.to_owned(),
        };
        reader.seek(SeekFrom::Start(end)).map_err(io)?;
        return match is_torn(&mut reader, end).map_err(io)? {
            true => Ok(true),
            false => Err(corrupt(path, end, &bad)),
        };
    }
}

/// Whether a group that cannot be read is the last append, of which a power cut kept sectors from being
/// written while the file had grown already.
///
/// Its entries are texts, so zeros of the length of a sector are none of its own; and no group follows
/// one that was not synced.
fn is_torn(reader: &mut impl Read, offset: u64) -> io::Result<bool> {
    let longest = GROUP_BYTES_MAX + LINE_BYTES_MAX as u64;
    let mut tail = Vec::new();
    reader.take(longest + 1).read_to_end(&mut tail)?;
    let mut lines = tail.split(|byte| *byte == b'\n').skip(1);
    let is_last = tail.len() as u64 <= longest && !lines.any(|line| head_line(line).is_some());
    Ok(is_last && durable::has_lost_sector(&tail, offset))
}

fn encode(group: &LogGroup) -> Result<Vec<u8>, FileLogError> {
    let entries = group.entries.len();
    // 21: the longest length, a space and a line end.
    let bytes: u64 = group.entries.iter().map(|e| e.len() as u64 + 21).sum();
    if bytes > GROUP_BYTES_MAX {
        return Err(FileLogError::TooLarge {
            bytes,
            max: GROUP_BYTES_MAX,
        });
    }
    let mut body = Vec::new();
    for entry in &group.entries {
        body.extend_from_slice(format!("{} ", entry.len()).as_bytes());
        body.extend_from_slice(entry);
        body.push(b'\n');
    }
    let head = format!(
        "group {:x} {:032x} {} {} {entries} {}",
        group.seq,
        group.writer,
        hex(&group.previous),
        hex(&group.hash),
        body.len(),
    );
    let mut text = format!("{head} {}\n", check(&head)).into_bytes();
    text.append(&mut body);
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The first four bytes of the SHA-256 of a head line.
fn check(head: &str) -> String {
    hex(&Sha256::digest(head.as_bytes())[..4])
}

enum Parsed {
    /// A whole group and its length in the file.
    Group(LogGroup, u64),
    /// The file ends here.
    End,
    /// The file ends within this group.
    Torn,
    /// Not written by this code.
    Bad(&'static str),
}

fn parse(reader: &mut impl BufRead) -> io::Result<Parsed> {
    let mut line = Vec::new();
    let head_len = reader
        .take(LINE_BYTES_MAX as u64)
        .read_until(b'\n', &mut line)?;
    if head_len == 0 {
        return Ok(Parsed::End);
    }
    let Some(text) = line.strip_suffix(b"\n") else {
        return Ok(if head_len < LINE_BYTES_MAX {
            Parsed::Torn
        } else {
            Parsed::Bad("not a head line")
        });
    };
    let Some((mut group, entries, bytes)) = head_line(text) else {
        return Ok(Parsed::Bad("not a head line"));
    };
    let mut body = Vec::new();
    if reader.take(bytes).read_to_end(&mut body)? as u64 != bytes {
        return Ok(Parsed::Torn);
    }
    let mut rest = body.as_slice();
    for _ in 0..entries {
        let Some((entry, after)) = split_entry(rest) else {
            return Ok(Parsed::Bad("entries do not fill their group"));
        };
        group.entries.push(entry.to_vec());
        rest = after;
    }
    if !rest.is_empty() {
        return Ok(Parsed::Bad("entries do not fill their group"));
    }
    Ok(Parsed::Group(group, head_len as u64 + bytes))
}

/// The entry of the line `LENGTH ENTRY` that `bytes` begin with, and what follows the line.
fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    let len = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (entry, after) = bytes[space + 1..].split_at_checked(len)?;
    Some((entry, after.strip_prefix(b"\n")?))
}

fn head_line(line: &[u8]) -> Option<(LogGroup, usize, u64)> {
    let (head, found) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
    if found != check(head) {
        return None;
    }
    let mut words = head.split(' ');
    let mut next = || words.next();
    if next()? != "group" {
        return None;
    }
    let group = LogGroup {
        seq: u64::from_str_radix(next()?, 16).ok()?,
        writer: u128::from_str_radix(next()?, 16).ok()?,
        previous: unhex(next()?)?,
        hash: unhex(next()?)?,
        entries: Vec::new(),
    };
    let entries = next()?.parse().ok()?;
    let bytes = next()?.parse().ok().filter(|n| *n <= GROUP_BYTES_MAX)?;
    next().is_none().then_some((group, entries, bytes))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Why the file cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileLogError {
    /// Another process has it open: end that one.
    #[error("{}: in use by another process", path.display())]
    InUse {
        /// Path of the log file.
        path: PathBuf,
    },
    /// Another format or a newer release: choose another file, or use that release.
    #[error("{}: not a log this release reads (it begins otherwise than \"telemetry-itil log 1\")", path.display())]
    Format {
        /// Path of the log file.
        path: PathBuf,
    },
    /// Something changed what was written: restore from a copy, keep this file as evidence.
    #[error("{}: changed at offset {offset}: {what}", path.display())]
    Corrupt {
        /// Path of the log file.
        path: PathBuf,
        /// Where the first bad group begins.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Write smaller groups.
    #[error("a group of {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// Bytes of the group.
        bytes: u64,
        /// Largest size in bytes.
        max: u64,
    },
    /// The caller did not seal the group: see [`hash_chain::seal`].
    #[error("group {seq} is not sealed: its hash does not cover it")]
    NotSealed {
        /// Place of the group.
        seq: u64,
    },
    /// An append failed before: open the log again, which finds out what the disk holds.
    #[error("{}: an append failed, open the log again", path.display())]
    Failed {
        /// Path of the log file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the log file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

telemetry_core::error_codes!(FileLogError {
    InUse { .. } => 5071,
    Format { .. } => 5072,
    Corrupt { .. } => 5073,
    TooLarge { .. } => 5074,
    NotSealed { .. } => 5075,
    Failed { .. } => 5076,
    Io { .. } => 5077,
});

impl FileLogError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
