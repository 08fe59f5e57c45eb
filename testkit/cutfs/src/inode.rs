//! A file or a directory: what programs see of it, and what is durable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::{Duration, SystemTime};

pub(crate) type InodeId = u64;

/// The directory that is mounted.
pub(crate) const ROOT: InodeId = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Socket,
    Pipe,
    /// A symbolic link, with what it leads to.
    Link(Vec<u8>),
}

/// What `stat` tells beside the length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metadata {
    pub(crate) mode: u16,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) links: u32,
    pub(crate) accessed: SystemTime,
    pub(crate) modified: SystemTime,
}

impl Metadata {
    pub(crate) const fn directory(mode: u16) -> Self {
        Self {
            mode,
            user: 0,
            group: 0,
            links: 1,
            accessed: SystemTime::UNIX_EPOCH,
            modified: SystemTime::UNIX_EPOCH,
        }
    }
}

/// A change of a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn put(data: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if data.len() < end {
        data.resize(end, 0);
    }
    data[at..end].copy_from_slice(bytes);
}

impl Change {
    /// Bytes that the change itself takes until it is durable.
    pub(crate) const fn bytes(&self) -> u64 {
        match self {
            Self::Write(_, bytes) => bytes.len() as u64,
            Self::Length(_) => 0,
        }
    }

    /// By how much a file of this length grows.
    pub(crate) const fn growth(&self, len: u64) -> u64 {
        match self {
            Self::Write(at, bytes) => at.saturating_add(bytes.len() as u64).saturating_sub(len),
            Self::Length(new) => new.saturating_sub(len),
        }
    }

    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => put(data, to_usize(*at), bytes),
            Self::Length(len) => data.resize(to_usize(*len), 0),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) kind: Kind,
    pub(crate) metadata: Metadata,
    pub(crate) parent: InodeId,
    pub(crate) live: Vec<u8>,
    durable: Vec<u8>,
    /// What `live` has and `durable` has not, in order.
    pending: Vec<(Duration, Change)>,
    pub(crate) names: BTreeMap<OsString, InodeId>,
    pub(crate) durable_names: BTreeMap<OsString, InodeId>,
}

fn set(names: &mut BTreeMap<OsString, InodeId>, name: &OsStr, id: Option<InodeId>) {
    match id {
        Some(id) => names.insert(name.to_owned(), id),
        None => names.remove(name),
    };
}

impl Inode {
    pub(crate) const fn new(kind: Kind, metadata: Metadata, parent: InodeId) -> Self {
        Self {
            kind,
            metadata,
            parent,
            live: Vec::new(),
            durable: Vec::new(),
            pending: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
        }
    }

    pub(crate) fn set_name(&mut self, name: &OsStr, id: Option<InodeId>) {
        set(&mut self.names, name, id);
    }

    pub(crate) fn set_durable_name(&mut self, name: &OsStr, id: Option<InodeId>) {
        set(&mut self.durable_names, name, id);
    }

    pub(crate) fn change(&mut self, now: Duration, change: Change) {
        change.apply(&mut self.live);
        self.pending.push((now, change));
    }

    /// Makes changes durable, in their order, up to the first that is not chosen by its time. Returns
    /// the bytes that they took.
    pub(crate) fn settle(&mut self, chosen: impl Fn(Duration) -> bool) -> u64 {
        let end = self.pending.iter().position(|(at, _)| !chosen(*at));
        let end = end.unwrap_or(self.pending.len());
        let mut bytes = 0;
        for (_, change) in self.pending.drain(..end) {
            bytes += change.bytes();
            change.apply(&mut self.durable);
        }
        bytes
    }

    /// Forgets what is not durable, which programs still see. Returns the bytes that it took.
    pub(crate) fn forget(&mut self) -> u64 {
        let changes = self.pending.drain(..);
        changes.map(|(_, change)| change.bytes()).sum()
    }

    /// Of what is not durable, each sector and each length survives where `survives` says so.
    pub(crate) fn keep_sectors(&mut self, sector: usize, mut survives: impl FnMut() -> bool) {
        for (_, change) in std::mem::take(&mut self.pending) {
            match change {
                Change::Length(_) if survives() => change.apply(&mut self.durable),
                Change::Length(_) => {}
                Change::Write(at, bytes) => {
                    let (mut at, mut rest) = (to_usize(at), bytes.as_slice());
                    while !rest.is_empty() {
                        let room = sector - at % sector;
                        let (now, later) = rest.split_at(rest.len().min(room));
                        if survives() {
                            put(&mut self.durable, at, now);
                        }
                        at += now.len();
                        rest = later;
                    }
                }
            }
        }
    }

    /// Goes on with what is durable, under so many names.
    pub(crate) fn restart(&mut self, links: u32) {
        self.pending.clear();
        self.live.clone_from(&self.durable);
        self.names.clone_from(&self.durable_names);
        self.metadata.links = links;
    }
}
