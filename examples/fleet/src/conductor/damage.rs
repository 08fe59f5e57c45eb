//! Damage to a spool on the disk, as a power cut in the middle of a write leaves it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use telemetry_transport::journal::{Link, Scanner};
use telemetry_transport::{FileId, FileKind};

/// Bytes of a segment that are looked at.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Torn {
    /// Name of the file.
    pub file: String,
    /// Where in it.
    pub at: u64,
    /// How many bytes.
    pub len: u64,
}

/// Writes half of a frame behind the last whole one of the newest segment in `dir`.
///
/// The spool must have no owner. What was durable stays as it is.
pub(super) fn tear_tail(dir: &Path) -> io::Result<Torn> {
    let mut newest = None;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let file = name.to_str().and_then(FileId::from_name);
        newest = newest.max(file.filter(|file| file.kind == FileKind::Segment));
    }
    let newest = newest.ok_or_else(|| io::Error::other("the spool has no segment"))?;
    let name = newest.to_string();
    let file = File::options()
        .read(true)
        .write(true)
        .open(dir.join(&name))?;
    let mut bytes = Vec::new();
    (&file).take(SEGMENT_BYTES_MAX).read_to_end(&mut bytes)?;
    let (key, _) = Link::of(&bytes).ok_or_else(|| io::Error::other("no header"))?;
    let mut scan = Scanner::new(&bytes, key);
    let mut last = 0;
    for frame in scan.by_ref() {
        last = frame.offset;
    }
    let end = scan.offset();
    let half = &bytes[last..last + (end - last) / 2];
    file.write_all_at(half, end as u64)?;
    file.sync_all()?;
    Ok(Torn {
        file: name,
        at: end as u64,
        len: half.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry_core::StreamName;
    use telemetry_transport::{Directory, Opening, Spool};

    #[test]
    fn a_torn_tail_is_dropped_and_nothing_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let storage = Directory::open(dir.path()).unwrap();
            Spool::open(storage, Opening::new().unwrap()).unwrap()
        };
        let (mut spool, _) = open();
        let stream = spool.stream(&StreamName::new("a.B").unwrap()).unwrap();
        for _ in 0..3 {
            let record = [0xc3, 1, 0, 1, 2, 3, 4, 5, 6, 7, 9, 9];
            spool.append(stream, &record, None).unwrap();
        }
        spool.commit().unwrap();
        drop(spool);
        let torn = tear_tail(dir.path()).unwrap();
        assert!(torn.at > 0 && torn.len > 16, "{torn:?}");
        let (spool, recovery) = open();
        assert_eq!((recovery.torn_tails, recovery.corrupt_bytes), (1, 0));
        assert_eq!(spool.stats().depth_records, 3);
    }
}
