//! A disk in memory that loses what was not synced, sector by sector and name by name.

use alloc::boxed::Box;
use alloc::vec::Vec;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{FileId, FileReader, Storage, StorageError, StorageErrorKind};

/// Bytes that a real disk writes as one.
const SECTOR: usize = 512;

/// A file, whatever its name is.
type Inode = u64;

#[derive(Clone, Debug, Default)]
struct Names(BTreeMap<FileId, Inode>);

/// Something that was done and is not durable.
#[derive(Clone, Debug)]
enum Change {
    /// Bytes of one sector.
    Write(Inode, usize, Vec<u8>),
    Length(Inode, usize),
    Create(FileId, Inode),
    Rename(FileId, FileId),
    Remove(FileId),
}

impl Change {
    const fn inode(&self) -> Option<Inode> {
        match self {
            Self::Write(inode, ..) | Self::Length(inode, _) => Some(*inode),
            _ => None,
        }
    }
}

/// Bytes and names, as a reader sees them or as a power cut leaves them.
#[derive(Clone, Debug, Default)]
struct Files {
    names: Names,
    bytes: BTreeMap<Inode, Vec<u8>>,
}

impl Files {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write(inode, at, bytes) => {
                let file = self.bytes.entry(*inode).or_default();
                if file.len() < at + bytes.len() {
                    file.resize(at + bytes.len(), 0);
                }
                file[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Change::Length(inode, len) => self.bytes.entry(*inode).or_default().resize(*len, 0),
            Change::Create(name, inode) => {
                self.names.0.insert(*name, *inode);
            }
            Change::Rename(from, to) => {
                // Nothing to rename where the change that made it was lost.
                if let Some(inode) = self.names.0.remove(from) {
                    self.names.0.insert(*to, inode);
                }
            }
            Change::Remove(name) => {
                self.names.0.remove(name);
            }
        }
    }

    fn inode(&self, file: FileId) -> Result<Inode, StorageError> {
        let inode = self.names.0.get(&file).copied();
        inode.ok_or_else(|| StorageErrorKind::NotFound.into())
    }

    fn file(&self, file: FileId) -> Result<&Vec<u8>, StorageError> {
        let bytes = self.bytes.get(&self.inode(file)?);
        bytes.ok_or_else(|| StorageErrorKind::NotFound.into())
    }

    /// Forgets the files that no name leads to.
    fn sweep(&mut self) {
        let names = &self.names.0;
        let named = |inode: &Inode| names.values().any(|i| i == inode);
        self.bytes.retain(|inode, _| named(inode));
    }
}

/// What becomes of a call that a test lets fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was done.
    None,
    /// It was done, and the caller is told that it failed.
    Done,
}

#[derive(Debug, Default)]
struct State {
    seen: Files,
    durable: Files,
    /// What `seen` has and `durable` has not, in order.
    pending: Vec<Change>,
    last_inode: Inode,
    fail_in: Option<u64>,
    fails_once_in: Option<(u64, Effect)>,
    sync_fails_in: Option<u64>,
    capacity: Option<u64>,
    read_bytes: u64,
}

/// A simulated disk. Clones share it, so a test can crash what a spool writes to.
///
/// It can fail, and lose at a crash, every call that changes something: writes and lengths, each
/// sector on its own, and the making, renaming and removing of names.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power: `survives` decides for each change that was not synced, in their order: a
    /// sector, a length, a name.
    pub fn crash(&self, survives: impl FnMut() -> bool) {
        let mut state = self.state();
        state.fail_in = None;
        state.fails_once_in = None;
        state.cut(survives);
    }

    /// How many changes the next crash could lose.
    pub fn pending(&self) -> usize {
        self.state().pending.len()
    }

    /// Another disk as a crash here would leave it, with the changes that survive.
    #[must_use]
    pub fn crashed(&self, survives: impl FnMut() -> bool) -> Self {
        let state = self.state();
        let mut copy = State {
            durable: state.durable.clone(),
            pending: state.pending.clone(),
            last_inode: state.last_inode,
            ..State::default()
        };
        drop(state);
        copy.cut(survives);
        Self(Arc::new(Mutex::new(copy)))
    }

    /// Another disk with what is durable on this one: a restored image.
    #[must_use]
    pub fn image(&self) -> Self {
        self.crashed(|| false)
    }

    /// A number for what a reader of this disk sees: equal for equal files.
    pub fn digest(&self) -> u64 {
        let state = self.state();
        let mut hasher = DefaultHasher::new();
        for (name, inode) in &state.seen.names.0 {
            (name, state.seen.bytes.get(inode)).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Lets the `n`-th change or sync from now fail, and all after it until the next crash.
    pub fn fail_after(&self, n: u64) {
        self.state().fail_in = Some(n);
    }

    /// Lets only the `n`-th change or sync from now fail, counted from 0.
    pub fn fail_once(&self, n: u64, effect: Effect) {
        self.state().fails_once_in = Some((n, effect));
    }

    /// Lets only the `n`-th sync of a file from now fail, counted from 0.
    pub fn fail_sync(&self, n: u64) {
        self.state().sync_fails_in = Some(n);
    }

    /// Gives the disk this many bytes for all files; what needs more fails as on a full disk.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = Some(bytes);
    }

    /// Bytes that were read so far.
    pub fn read_bytes(&self) -> u64 {
        self.state().read_bytes
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Flips bits of a stored byte.
    pub fn damage(&self, file: FileId, offset: usize, mask: u8) {
        let mut state = self.state();
        let State { seen, durable, .. } = &mut *state;
        if let Ok(inode) = seen.inode(file) {
            for files in [seen, durable] {
                if let Some(byte) = files.bytes.get_mut(&inode).and_then(|f| f.get_mut(offset)) {
                    *byte ^= mask;
                }
            }
        }
    }

    /// Replaces stored bytes by zeros.
    pub fn zero(&self, file: FileId, from: usize, len: usize) {
        let mut state = self.state();
        let State { seen, durable, .. } = &mut *state;
        if let Ok(inode) = seen.inode(file) {
            for files in [seen, durable] {
                let bytes = files.bytes.get_mut(&inode).into_iter().flatten();
                bytes.skip(from).take(len).for_each(|byte| *byte = 0);
            }
        }
    }
}

impl State {
    fn cut(&mut self, mut survives: impl FnMut() -> bool) {
        for change in std::mem::take(&mut self.pending) {
            if survives() {
                self.durable.apply(&change);
            }
        }
        self.durable.sweep();
        self.seen = self.durable.clone();
    }

    fn used(&self) -> u64 {
        let files = self.seen.names.0.values();
        let files = files.filter_map(|inode| self.seen.bytes.get(inode));
        files.map(|file| file.len() as u64).sum()
    }

    fn grow(&self, by: u64) -> Result<(), StorageError> {
        match self.capacity.is_some_and(|all| self.used() + by > all) {
            true => Err(StorageErrorKind::Full.into()),
            false => Ok(()),
        }
    }

    /// Does something that may fail by order of a test.
    fn step(
        &mut self,
        what: impl FnOnce(&mut Self) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        match &mut self.fail_in {
            Some(0) => return Err(fault()),
            Some(n) => *n -= 1,
            None => {}
        }
        match &mut self.fails_once_in {
            Some((0, effect)) => {
                let effect = *effect;
                self.fails_once_in = None;
                if effect == Effect::Done {
                    what(self)?;
                }
                return Err(fault());
            }
            Some((n, _)) => *n -= 1,
            None => {}
        }
        what(self)
    }

    fn change(&mut self, change: Change) {
        self.seen.apply(&change);
        self.pending.push(change);
    }

    /// Makes the chosen changes durable.
    fn keep(&mut self, chosen: impl Fn(&Change) -> bool) {
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let kept = chosen(change);
            if kept {
                durable.apply(change);
            }
            !kept
        });
    }
}

fn fault() -> StorageError {
    StorageErrorKind::Other.into()
}

fn to_usize(n: u64) -> Result<usize, StorageError> {
    usize::try_from(n).map_err(|_| StorageErrorKind::Full.into())
}

/// An open file of the disk, whatever its name is now.
#[derive(Debug)]
struct Handle(SimulatedDisk, Inode);

impl FileReader for Handle {
    fn read(&mut self, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), StorageError> {
        out.clear();
        let mut state = self.0.state();
        let seen = state.seen.bytes.get(&self.1);
        let seen = seen.ok_or(StorageErrorKind::NotFound)?;
        let from = usize::try_from(offset).map_or(seen.len(), |o| o.min(seen.len()));
        out.extend(seen[from..].iter().take(len));
        state.read_bytes += out.len() as u64;
        Ok(())
    }
}

impl Storage for SimulatedDisk {
    fn list(&mut self) -> Result<Vec<FileId>, StorageError> {
        Ok(self.state().seen.names.0.keys().copied().collect())
    }

    fn create(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        let zeros = to_usize(len)?;
        self.state().step(|state| {
            if state.seen.names.0.contains_key(&file) {
                return Err(StorageErrorKind::AlreadyExists.into());
            }
            state.grow(len)?;
            state.last_inode += 1;
            let inode = state.last_inode;
            for files in [&mut state.seen, &mut state.durable] {
                files.bytes.insert(inode, vec![0; zeros]);
            }
            state.change(Change::Create(file, inode));
            Ok(())
        })
    }

    fn len(&mut self, file: FileId) -> Result<u64, StorageError> {
        Ok(self.state().seen.file(file)?.len() as u64)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        let len = to_usize(len)?;
        self.state().step(|state| {
            let inode = state.seen.inode(file)?;
            state.change(Change::Length(inode, len));
            Ok(())
        })
    }

    fn read(
        &mut self,
        file: FileId,
        offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        let inode = self.state().seen.inode(file)?;
        Handle(self.clone(), inode).read(offset, len, out)
    }

    fn reader(&mut self, file: FileId) -> Result<Option<Box<dyn FileReader>>, StorageError> {
        let inode = self.state().seen.inode(file)?;
        Ok(Some(Box::new(Handle(self.clone(), inode))))
    }

    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut at = to_usize(offset)?;
        self.state().step(|state| {
            let inode = state.seen.inode(file)?;
            let len = state.seen.file(file)?.len();
            state.grow((at + bytes.len()).saturating_sub(len) as u64)?;
            let mut rest = bytes;
            while !rest.is_empty() {
                let room = SECTOR - at % SECTOR;
                let (now, later) = rest.split_at(rest.len().min(room));
                state.change(Change::Write(inode, at, now.to_vec()));
                at += now.len();
                rest = later;
            }
            Ok(())
        })
    }

    fn sync(&mut self, file: FileId) -> Result<(), StorageError> {
        self.state().step(|state| {
            let inode = state.seen.inode(file)?;
            match &mut state.sync_fails_in {
                Some(0) => {
                    state.sync_fails_in = None;
                    return Err(fault());
                }
                Some(n) => *n -= 1,
                None => {}
            }
            state.keep(|change| change.inode() == Some(inode));
            Ok(())
        })
    }

    fn rename(&mut self, from: FileId, to: FileId) -> Result<(), StorageError> {
        self.state().step(|state| {
            let names = &state.seen.names.0;
            match (names.contains_key(&from), names.contains_key(&to)) {
                (true, false) => state.change(Change::Rename(from, to)),
                (true, true) => return Err(StorageErrorKind::AlreadyExists.into()),
                // It was renamed before.
                (false, true) => {}
                (false, false) => return Err(StorageErrorKind::NotFound.into()),
            }
            Ok(())
        })
    }

    fn remove(&mut self, file: FileId) -> Result<(), StorageError> {
        self.state().step(|state| {
            if state.seen.names.0.contains_key(&file) {
                state.change(Change::Remove(file));
            }
            Ok(())
        })
    }

    fn sync_names(&mut self) -> Result<(), StorageError> {
        self.state().step(|state| {
            state.keep(|change| change.inode().is_none());
            state.durable.sweep();
            state.seen.sweep();
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FileId = FileId::segment(1);
    const B: FileId = FileId::segment(2);

    #[test]
    fn what_is_not_synced_may_be_lost_names_too() {
        let mut disk = SimulatedDisk::default();
        disk.create(A, 4).unwrap();
        assert_eq!(disk.image().list().unwrap(), []);
        disk.sync_names().unwrap();
        disk.rename(A, B).unwrap();
        disk.write(B, 0, b"beat").unwrap();
        assert_eq!(disk.pending(), 2);
        assert_eq!(disk.image().list().unwrap(), [A]);
        let mut renamed = true;
        let mut image = disk.crashed(|| std::mem::take(&mut renamed));
        let mut bytes = Vec::new();
        image.read(B, 0, 9, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 4]);
        disk.remove(B).unwrap();
        disk.sync_names().unwrap();
        assert_eq!(disk.image().list().unwrap(), []);
    }

    #[test]
    fn a_file_never_takes_the_place_of_another() {
        let mut disk = SimulatedDisk::default();
        disk.create(A, 1).unwrap();
        disk.create(B, 1).unwrap();
        for refused in [disk.create(A, 1), disk.rename(A, B)] {
            let kind = refused.unwrap_err().kind;
            assert_eq!(kind, StorageErrorKind::AlreadyExists);
        }
    }

    #[test]
    fn a_call_that_fails_may_have_happened() {
        let mut disk = SimulatedDisk::default();
        disk.create(A, 1).unwrap();
        disk.fail_once(0, Effect::Done);
        disk.rename(A, B).unwrap_err();
        disk.rename(A, B).unwrap();
        disk.fail_once(0, Effect::None);
        disk.remove(B).unwrap_err();
        assert_eq!(disk.list().unwrap(), [B]);
    }
}
