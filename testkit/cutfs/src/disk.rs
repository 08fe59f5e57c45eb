//! What a disk holds: what programs see, what is durable, and what lies between.
//!
//! No I/O and no clock: the time is an argument, and a seed decides what survives.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::fault::{Errno, Fault, Operation};
use crate::inode::{Change, Inode, InodeId, Kind, Metadata, ROOT};
use crate::random::Random;

/// What a sync promises of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// What POSIX promises and nothing more: a name is durable when its directory is synced.
    Posix,
    /// As ext4 does it: each sync commits a journal with all changes of names before it, and a rename
    /// over a file takes the data of the new file along.
    Ext4,
}

/// What becomes of what was not synced when the power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it is lost.
    Dropped,
    /// Each sector of so many bytes survives or not, and of the changes of names a beginning does.
    Sectors(usize),
    /// What is this old was written back; everything younger is lost.
    Aged {
        /// Age at which a change of names is in the journal; 5 s by ext4's default.
        names: Duration,
        /// Age at which data is written back; 30 s by Linux's default.
        data: Duration,
    },
    /// Nothing is lost: the control of an experiment.
    Kept,
    /// Only the processes end. Everything is there, and as little durable as before, so that a program
    /// that goes on may take for durable what no sync reached.
    Killed,
}

/// A change of names, which happens as a whole or not at all.
#[derive(Clone, Debug)]
struct NameChange {
    at: Duration,
    /// Directory, name, and the file that has it afterwards.
    sets: Vec<(InodeId, OsString, Option<InodeId>)>,
    /// The file whose data is durable with it.
    takes_data_of: Option<InodeId>,
}

impl NameChange {
    fn directories(&self) -> impl Iterator<Item = InodeId> {
        self.sets.iter().map(|(directory, ..)| *directory)
    }
}

/// Counts since the disk was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Writes of data.
    pub writes: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Syncs of directories.
    pub name_syncs: u64,
    /// Changes of names.
    pub names: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// Cuts of the power.
    pub cuts: u64,
}

/// The disk.
#[derive(Debug)]
pub(crate) struct Disk {
    model: Model,
    inodes: BTreeMap<InodeId, Inode>,
    last: InodeId,
    names: Vec<NameChange>,
    faults: Vec<Fault>,
    ignores_syncs: bool,
    /// Bytes of all files and of all changes that are not durable.
    used: u64,
    limit: u64,
    armed: Option<(u64, Cut, u64)>,
    stats: Stats,
}

impl Disk {
    /// An empty disk that holds at most so many bytes, with those that are not durable yet.
    pub(crate) fn new(model: Model, limit: u64) -> Self {
        let root = Inode::new(Kind::Directory, Metadata::directory(0o755), ROOT);
        Self {
            model,
            inodes: BTreeMap::from([(ROOT, root)]),
            last: ROOT,
            names: Vec::new(),
            faults: Vec::new(),
            ignores_syncs: false,
            used: 0,
            limit,
            armed: None,
            stats: Stats::default(),
        }
    }

    pub(crate) const fn stats(&self) -> Stats {
        self.stats
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    /// Lets operations fail; `None` ends all faults.
    pub(crate) fn set_fault(&mut self, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.faults.push(fault),
            None => self.faults.clear(),
        }
    }

    /// Lets syncs succeed without an effect: a control that shows whether an experiment sees a loss.
    pub(crate) const fn ignore_syncs(&mut self, ignored: bool) {
        self.ignores_syncs = ignored;
    }

    /// The power is cut instead of the operation after so many others.
    pub(crate) const fn arm(&mut self, after: u64, cut: Cut, seed: u64) {
        self.armed = Some((after, cut, seed));
    }

    /// Counts an operation that changes or syncs something; how the power is cut instead, if it is.
    pub(crate) fn count(&mut self) -> Option<(Cut, u64)> {
        let (left, cut, seed) = self.armed.as_mut()?;
        match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                None
            }
            None => {
                let cut = (*cut, *seed);
                self.armed = None;
                Some(cut)
            }
        }
    }

    /// Whether an operation may go on.
    pub(crate) fn admit(&mut self, operation: Operation) -> Result<(), Errno> {
        for fault in &mut self.faults {
            if let Some(errno) = fault.meets(operation) {
                self.stats.faults += 1;
                return Err(errno);
            }
        }
        Ok(())
    }

    pub(crate) fn inode(&self, id: InodeId) -> Result<&Inode, Errno> {
        self.inodes.get(&id).ok_or(Errno::ENOENT)
    }

    pub(crate) fn metadata_mut(&mut self, id: InodeId) -> Result<&mut Metadata, Errno> {
        let inode = self.inodes.get_mut(&id).ok_or(Errno::ENOENT)?;
        Ok(&mut inode.metadata)
    }

    pub(crate) fn child(&self, directory: InodeId, name: &OsStr) -> Result<InodeId, Errno> {
        let names = &self.inode(directory)?.names;
        names.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Makes a file, a directory or a link under a name that is free.
    pub(crate) fn make(
        &mut self,
        now: Duration,
        (directory, name): (InodeId, &OsStr),
        kind: Kind,
        metadata: Metadata,
    ) -> Result<InodeId, Errno> {
        if self.child(directory, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.last += 1;
        let id = self.last;
        self.inodes
            .insert(id, Inode::new(kind, metadata, directory));
        self.rename_all(now, vec![(directory, name.to_owned(), Some(id))], None);
        Ok(id)
    }

    fn rename_all(
        &mut self,
        at: Duration,
        sets: Vec<(InodeId, OsString, Option<InodeId>)>,
        takes_data_of: Option<InodeId>,
    ) {
        self.stats.names += 1;
        for (directory, name, id) in &sets {
            if let Some(directory) = self.inodes.get_mut(directory) {
                directory.set_name(name, *id);
            }
        }
        self.names.push(NameChange {
            at,
            sets,
            takes_data_of,
        });
    }

    /// Gives a file one more name.
    pub(crate) fn link(
        &mut self,
        now: Duration,
        id: InodeId,
        (directory, name): (InodeId, &OsStr),
    ) -> Result<(), Errno> {
        if self.child(directory, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.metadata_mut(id)?.links += 1;
        self.rename_all(now, vec![(directory, name.to_owned(), Some(id))], None);
        Ok(())
    }

    /// Takes a name from a file, or from a directory that is empty.
    pub(crate) fn unlink(
        &mut self,
        now: Duration,
        (directory, name): (InodeId, &OsStr),
    ) -> Result<(), Errno> {
        let id = self.child(directory, name)?;
        if !self.inode(id)?.names.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        let metadata = self.metadata_mut(id)?;
        metadata.links = metadata.links.saturating_sub(1);
        self.rename_all(now, vec![(directory, name.to_owned(), None)], None);
        Ok(())
    }

    /// Moves a name, over another one where that is allowed.
    pub(crate) fn rename(
        &mut self,
        now: Duration,
        (from, name): (InodeId, &OsStr),
        (to, new): (InodeId, &OsStr),
        may_replace: bool,
    ) -> Result<(), Errno> {
        let id = self.child(from, name)?;
        let replaced = self.child(to, new).ok();
        if let Some(replaced) = replaced {
            if !may_replace {
                return Err(Errno::EEXIST);
            }
            if replaced == id {
                return Ok(());
            }
            if !self.inode(replaced)?.names.is_empty() {
                return Err(Errno::ENOTEMPTY);
            }
            let metadata = self.metadata_mut(replaced)?;
            metadata.links = metadata.links.saturating_sub(1);
        }
        // ext4's auto_da_alloc: such a rename is committed after the data of the new file.
        let takes_data = self.model == Model::Ext4 && replaced.is_some();
        let sets = vec![
            (from, name.to_owned(), None),
            (to, new.to_owned(), Some(id)),
        ];
        self.rename_all(now, sets, takes_data.then_some(id));
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.parent = to;
        }
        Ok(())
    }

    /// Exchanges two names.
    pub(crate) fn exchange(
        &mut self,
        now: Duration,
        (from, name): (InodeId, &OsStr),
        (to, new): (InodeId, &OsStr),
    ) -> Result<(), Errno> {
        let (one, other) = (self.child(from, name)?, self.child(to, new)?);
        let sets = vec![
            (from, name.to_owned(), Some(other)),
            (to, new.to_owned(), Some(one)),
        ];
        self.rename_all(now, sets, None);
        Ok(())
    }

    /// Writes to a file or changes its length; not durable yet.
    pub(crate) fn change(
        &mut self,
        now: Duration,
        id: InodeId,
        change: Change,
    ) -> Result<(), Errno> {
        let inode = self.inodes.get_mut(&id).ok_or(Errno::ENOENT)?;
        let more = change.bytes() + change.growth(inode.live.len() as u64);
        if self.used + more > self.limit {
            return Err(Errno::ENOSPC);
        }
        if let Change::Write(_, bytes) = &change {
            self.stats.writes += 1;
            self.stats.bytes += bytes.len() as u64;
        }
        self.used += more;
        inode.change(now, change);
        Ok(())
    }

    /// Makes a file's bytes and length durable.
    pub(crate) fn sync(&mut self, id: InodeId) -> Result<(), Errno> {
        self.stats.syncs += 1;
        if let Err(errno) = self.admit(Operation::Sync) {
            // As Linux does it: the pages count as clean, and no later sync writes them.
            if let Some(inode) = self.inodes.get_mut(&id) {
                self.used -= inode.forget();
            }
            return Err(errno);
        }
        if self.ignores_syncs {
            return Ok(());
        }
        self.settle_data(id);
        if self.model == Model::Ext4 {
            self.settle_names(|_| true);
        }
        Ok(())
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_names(&mut self, directory: InodeId) -> Result<(), Errno> {
        self.stats.name_syncs += 1;
        self.admit(Operation::SyncNames)?;
        if self.ignores_syncs {
            return Ok(());
        }
        match self.model {
            Model::Ext4 => self.settle_names(|_| true),
            Model::Posix => {
                self.settle_names(|change| change.directories().any(|d| d == directory))
            }
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(crate) fn settle(&mut self) {
        self.settle_names(|_| true);
        let ids: Vec<InodeId> = self.inodes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.settle_data(id));
    }

    fn settle_data(&mut self, id: InodeId) {
        if let Some(inode) = self.inodes.get_mut(&id) {
            self.used -= inode.settle(|_| true);
        }
    }

    /// Makes chosen changes of names durable, in their order.
    fn settle_names(&mut self, chosen: impl FnMut(&NameChange) -> bool) {
        let mut chosen = chosen;
        let mut rest = Vec::new();
        for change in std::mem::take(&mut self.names) {
            if !chosen(&change) {
                rest.push(change);
                continue;
            }
            for (directory, name, id) in &change.sets {
                if let Some(directory) = self.inodes.get_mut(directory) {
                    directory.set_durable_name(name, *id);
                }
            }
            if let Some(id) = change.takes_data_of {
                self.settle_data(id);
            }
        }
        self.names = rest;
    }

    /// Cuts the power. Faults end with it.
    pub(crate) fn cut(&mut self, now: Duration, cut: Cut, seed: u64) {
        self.stats.cuts += 1;
        self.armed = None;
        self.faults.clear();
        match cut {
            Cut::Dropped => {}
            Cut::Kept => self.settle(),
            Cut::Killed => return,
            Cut::Aged { names, data } => {
                let mut all = true;
                self.settle_names(|change| {
                    // The journal is written in order.
                    all &= now.saturating_sub(change.at) >= names;
                    all
                });
                for inode in self.inodes.values_mut() {
                    inode.settle(|at| now.saturating_sub(at) >= data);
                }
            }
            Cut::Sectors(sector) => self.keep_some(sector.max(1), &mut Random(seed)),
        }
        self.names.clear();
        self.restart();
    }

    /// Keeps a beginning of the changes of names (of each directory on its own, where nothing promises
    /// more), and sectors at random.
    fn keep_some(&mut self, sector: usize, random: &mut Random) {
        let mut left: BTreeMap<InodeId, u64> = BTreeMap::new();
        let journal = |change: &NameChange, model| match model {
            Model::Ext4 => vec![ROOT],
            Model::Posix => change.directories().collect(),
        };
        let model = self.model;
        for change in &self.names {
            for directory in journal(change, model) {
                *left.entry(directory).or_default() += 1;
            }
        }
        for count in left.values_mut() {
            *count = random.below(*count + 1);
        }
        self.settle_names(|change| {
            let directories = journal(change, model);
            let kept = directories.iter().all(|d| left.get(d) > Some(&0));
            for directory in directories {
                // What comes after a change that is lost is lost, too.
                let count = left.entry(directory).or_default();
                *count = if kept { *count - 1 } else { 0 };
            }
            kept
        });
        for inode in self.inodes.values_mut() {
            inode.keep_sectors(sector, || random.below(2) == 0);
        }
    }

    /// Only what is durable exists, and of that only what a durable name leads to.
    fn restart(&mut self) {
        let mut links: BTreeMap<InodeId, u32> = BTreeMap::new();
        let (mut seen, mut todo) = (BTreeSet::new(), vec![ROOT]);
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            let children = self.inodes.get(&id).into_iter();
            for &child in children.flat_map(|inode| inode.durable_names.values()) {
                *links.entry(child).or_default() += 1;
                todo.push(child);
            }
        }
        self.inodes.retain(|id, _| seen.contains(id));
        self.used = 0;
        for (id, inode) in &mut self.inodes {
            inode.restart(links.get(id).copied().unwrap_or(0));
            self.used += inode.live.len() as u64;
        }
    }
}
