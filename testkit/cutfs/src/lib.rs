//! A file system that forgets what was not synced when its power is cut.
//!
//! # Ideas
//! A program writes to a real mount, with real system calls. What it synced is *durable*; what it did
//! not is in memory, as in the page cache of a machine. A cut of the power drops that, or keeps a part of
//! it by a [`Cut`], and the next mount shows what a machine would find after it started again.
//!
//! # Data flow
//! ```text
//! program ── write, fsync, rename ──▶ kernel ── FUSE ──▶ server ──▶ disk: live │ pending │ durable
//!                                                                        cut_power() ───┘
//! ```
//! The disk knows no clock and does no I/O; the server does what the kernel asks, in a thread of the
//! process that mounted it. From [`cut_power`](CutFs::cut_power) on, the old mount answers every call
//! with an error, so nothing reaches the disk late, also from a mapped file.
//!
//! # Two models
//! [`Model::Posix`] promises only what POSIX promises: a name is durable when its directory is synced.
//! [`Model::Ext4`] promises what ext4 does by default. A program that loses something under the first
//! alone works on ext4, and may lose it on another file system.
//!
//! # Not here
//! Extended attributes, `O_TMPFILE`, `FALLOC_FL_COLLAPSE_RANGE`. `sync(2)` and `syncfs(2)` reach
//! nothing: use [`settle`](CutFs::settle). The order in which a disk writes behind its own cache is not
//! modelled beyond [`Cut::Sectors`].
//!
//! It needs root, Linux 6.6 or newer for programs that map files, and `/dev/fuse`. Call
//! [`own_mounts`] first: then nothing has to be unmounted after a test that was killed.
#![cfg(target_os = "linux")]

mod disk;
mod fault;
mod inode;
mod random;
mod server;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};

use disk::Disk;
pub use disk::{Cut, Model, Stats};
pub use fault::{Fault, FaultKind, Operation};
use server::{Server, Shared};

/// Bytes that a disk holds, with those that are not durable yet.
const BYTES_MAX: u64 = 2 << 30;

/// Why there is no mount.
#[derive(Debug, thiserror::Error)]
#[error("cannot mount at {}: {error}; it needs root and /dev/fuse", at.display())]
pub struct MountError {
    /// Where it was to be.
    pub at: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

/// Gives the calling thread, and what it starts from now on, mounts of its own, which end with it.
#[expect(unsafe_code, reason = "the kernel's calls for mounts")]
pub fn own_mounts() -> io::Result<()> {
    let (none, root) = (c"none".as_ptr(), c"/".as_ptr());
    // SAFETY: the strings end with zeros and live as long as the program; the kernel reads nothing else.
    let failed = unsafe {
        libc::unshare(libc::CLONE_NEWNS) != 0
            || libc::mount(
                none,
                root,
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) != 0
    };
    match failed {
        true => Err(io::Error::last_os_error()),
        false => Ok(()),
    }
}

/// A mounted disk. It is unmounted when it is dropped.
#[derive(Debug)]
pub struct CutFs {
    shared: Arc<Shared>,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

impl CutFs {
    /// Mounts an empty disk on a directory.
    pub fn mount(at: impl Into<PathBuf>, model: Model) -> Result<Self, MountError> {
        let mut mounted = Self {
            shared: Arc::new(Shared::new(Disk::new(model, BYTES_MAX))),
            at: at.into(),
            session: None,
        };
        mounted.start()?;
        Ok(mounted)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }

    fn start(&mut self) -> Result<(), MountError> {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("cutfs".to_owned()),
            MountOption::Subtype("cutfs".to_owned()),
            MountOption::DefaultPermissions,
        ];
        config.acl = SessionACL::All;
        let server = Server::new(Arc::clone(&self.shared));
        let session = fuser::spawn_mount(server, &self.at, &config);
        self.session = Some(session.map_err(|error| MountError {
            at: self.at.clone(),
            error,
        })?);
        Ok(())
    }

    /// Makes everything durable that was written so far.
    pub fn settle(&self) {
        self.shared.disk().settle();
    }

    /// Cuts the power at this moment: the mount answers with errors, and the seed decides what survives
    /// where chance does. Afterwards end the programs, and [`restart`](Self::restart).
    pub fn cut_power(&self, cut: Cut, seed: u64) {
        self.shared.cut(cut, seed);
    }

    /// Cuts the power instead of the operation that comes after so many others that change or sync
    /// something, so that each moment of a program can be met. `end` runs at that moment, before anything
    /// is answered: end the programs there that would go on without a disk. It must not use this disk.
    pub fn cut_power_after(
        &self,
        operations: u64,
        cut: Cut,
        seed: u64,
        end: impl FnOnce() + Send + 'static,
    ) {
        self.shared.arm((operations, cut, seed), Box::new(end));
    }

    /// Waits until the power was cut so often in all; `false` if it was not within this time.
    pub fn wait_for_cut(&self, cuts: u64, within: Duration) -> bool {
        self.shared.wait_for_cut(cuts, within)
    }

    /// Mounts the disk again.
    pub fn restart(&mut self) -> Result<(), MountError> {
        self.stop();
        self.start()
    }

    /// Lets an operation fail, from now on and until the next cut.
    pub fn fail(&self, fault: Fault) {
        self.shared.disk().set_fault(Some(fault));
    }

    /// Ends all faults.
    pub fn mend(&self) {
        self.shared.disk().set_fault(None);
    }

    /// Lets syncs succeed without an effect. An experiment that finds no loss with it finds none at all.
    pub fn ignore_syncs(&self, ignored: bool) {
        self.shared.disk().ignore_syncs(ignored);
    }

    /// Counts since the disk was made.
    pub fn stats(&self) -> Stats {
        self.shared.disk().stats()
    }

    #[expect(unsafe_code, reason = "the kernel's call to unmount")]
    fn stop(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        if let Ok(path) = CString::new(self.at.as_os_str().as_bytes()) {
            // Detached, since a program that was killed may still be about to close its files. What fails
            // here the session tries again.
            // SAFETY: the string ends with a zero and outlives the call.
            let _ = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        }
        drop(session);
    }
}

impl Drop for CutFs {
    fn drop(&mut self) {
        self.stop();
    }
}
