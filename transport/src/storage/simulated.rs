//! A disk in memory that loses what was not synced, sector by sector.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Storage;

/// Bytes that a real disk writes as one.
const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    /// What a reader sees: `durable` and everything written since.
    seen: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, File>,
    fail_in: Option<u64>,
    sync_fails_in: Option<u64>,
    capacity: Option<u64>,
}

/// A simulated disk. Clones share it, so a test can crash what a spool writes to.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power: `survives` decides for each sector that was written and not synced.
    pub fn crash(&self, mut survives: impl FnMut() -> bool) {
        let mut state = self.state();
        state.fail_in = None;
        for file in state.files.values_mut() {
            let sectors = file
                .seen
                .chunks(SECTOR)
                .zip(file.durable.chunks_mut(SECTOR));
            for (seen, durable) in sectors {
                if seen != &*durable && survives() {
                    durable.copy_from_slice(seen);
                }
            }
            file.seen.clone_from(&file.durable);
        }
    }

    /// Another disk with what is durable on this one: a restored image.
    #[must_use]
    pub fn image(&self) -> Self {
        let files = self.state().files.clone();
        let image = Self(Arc::new(Mutex::new(State {
            files,
            ..State::default()
        })));
        image.crash(|| false);
        image
    }

    /// Lets the `n`-th write or sync from now fail, and all after it until the next crash.
    pub fn fail_after(&self, n: u64) {
        self.state().fail_in = Some(n);
    }

    /// Lets only the `n`-th sync from now fail, counted from 0.
    pub fn fail_sync(&self, n: u64) {
        self.state().sync_fails_in = Some(n);
    }

    /// Gives the disk this many bytes for all files; what needs more fails as on a full disk.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = Some(bytes);
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Flips bits of a stored byte.
    pub fn damage(&self, name: &str, offset: usize, mask: u8) {
        if let Some(file) = self.state().files.get_mut(name) {
            file.seen[offset] ^= mask;
            file.durable[offset] ^= mask;
        }
    }
}

impl State {
    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        self.files
            .get_mut(name)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used(&self) -> u64 {
        self.files.values().map(|f| f.seen.len() as u64).sum()
    }

    fn grow(&self, by: u64) -> io::Result<()> {
        match self.capacity.is_some_and(|all| self.used() + by > all) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn step(&mut self) -> io::Result<()> {
        match &mut self.fail_in {
            Some(0) => Err(io::Error::other("simulated fault")),
            Some(n) => {
                *n -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Storage for SimulatedDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.state().files.keys().cloned().collect())
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let zeros = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        let file = File {
            durable: zeros.clone(),
            seen: zeros,
        };
        state.files.remove(name);
        state.grow(len)?;
        state.files.insert(name.to_owned(), file);
        Ok(())
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        Ok(self.state().file(name)?.seen.len() as u64)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut state = self.state();
        let file = state.file(name)?;
        file.seen.truncate(len);
        file.durable.truncate(len);
        Ok(())
    }

    fn read(&mut self, name: &str, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        let mut state = self.state();
        let seen = &state.file(name)?.seen;
        let from = usize::try_from(offset).map_or(seen.len(), |o| o.min(seen.len()));
        out.extend(seen[from..].iter().take(len));
        Ok(())
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let end = at + bytes.len();
        let len = state.file(name)?.seen.len();
        state.grow(end.saturating_sub(len) as u64)?;
        let file = state.file(name)?;
        if file.seen.len() < end {
            file.seen.resize(end, 0);
            file.durable.resize(end, 0);
        }
        file.seen[at..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        match &mut state.sync_fails_in {
            Some(0) => {
                state.sync_fails_in = None;
                return Err(io::Error::other("simulated sync failure"));
            }
            Some(n) => *n -= 1,
            None => {}
        }
        let file = state.file(name)?;
        file.durable.clone_from(&file.seen);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.state().files.remove(name);
        Ok(())
    }
}
