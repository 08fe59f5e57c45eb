//! Clients' shared memory, read with `pread`: a file that was cut short is an error, not a signal.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::fstat;
use rustix::io::{Errno, pread};

use crate::{Handle, PoolError, Pools};

/// File descriptors by handle.
#[derive(Debug, Default)]
pub(super) struct FdPools {
    files: BTreeMap<Handle, OwnedFd>,
    last: u32,
}

impl FdPools {
    /// Names a file descriptor.
    pub(super) fn adopt(&mut self, file: OwnedFd) -> Handle {
        // A number is free again after four thousand million others.
        loop {
            self.last = self.last.wrapping_add(1);
            let handle = Handle(self.last);
            if let Entry::Vacant(free) = self.files.entry(handle) {
                free.insert(file);
                return handle;
            }
        }
    }

    pub(super) fn get(&self, handle: Handle) -> Option<BorrowedFd<'_>> {
        Some(self.files.get(&handle)?.as_fd())
    }

    fn file(&self, handle: Handle) -> Result<BorrowedFd<'_>, PoolError> {
        self.get(handle).ok_or(PoolError::Unreadable {
            os_error: Errno::BADF.raw_os_error(),
        })
    }
}

fn unreadable(error: Errno) -> PoolError {
    PoolError::Unreadable {
        os_error: error.raw_os_error(),
    }
}

impl Pools for FdPools {
    fn open(&mut self, handle: Handle, size: u32) -> Result<(), PoolError> {
        let stat = fstat(self.file(handle)?).map_err(unreadable)?;
        let available = u64::try_from(stat.st_size).unwrap_or(0);
        let needed = u64::from(size);
        if available < needed {
            return Err(PoolError::Truncated { needed, available });
        }
        Ok(())
    }

    fn resize(&mut self, handle: Handle, size: u32) -> Result<(), PoolError> {
        self.open(handle, size)
    }

    fn read(&mut self, handle: Handle, offset: u32, out: &mut [u8]) -> Result<(), PoolError> {
        let file = self.file(handle)?;
        let needed = u64::from(offset) + out.len() as u64;
        let mut filled = 0;
        while filled < out.len() {
            let available = u64::from(offset) + filled as u64;
            match pread(file, &mut out[filled..], available) {
                Ok(0) => return Err(PoolError::Truncated { needed, available }),
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(())
    }

    fn close(&mut self, handle: Handle) {
        self.files.remove(&handle);
    }
}
