//! Answers the kernel from the disk; decides nothing.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use crate::disk::{Cut, Disk};
use crate::fault::Operation;
use crate::inode::{Change, InodeId, Kind, Metadata};

/// How long the kernel may remember an answer.
const REMEMBERED: Duration = Duration::from_secs(1);

const BLOCK: u32 = 4096;

/// A disk, and which mount of it is the one that counts.
#[derive(Debug)]
pub(crate) struct Shared {
    disk: Mutex<Disk>,
    /// Cuts so far; a mount of before the last one answers with errors.
    cuts: AtomicU64,
    was_cut: Condvar,
    /// Done when the power is cut instead of an operation.
    end: Mutex<Option<End>>,
    start: Instant,
}

/// What ends the programs.
struct End(Box<dyn FnOnce() + Send>);

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("End")
    }
}

impl Shared {
    #[expect(
        clippy::disallowed_methods,
        reason = "what is not synced ages on the real clock"
    )]
    pub(crate) fn new(disk: Disk) -> Self {
        Self {
            disk: Mutex::new(disk),
            cuts: AtomicU64::new(0),
            was_cut: Condvar::new(),
            end: Mutex::new(None),
            start: Instant::now(),
        }
    }

    /// A thread that panicked changed nothing by halves that the next cut would not drop.
    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Shuts every mount off that there is, and cuts the power.
    pub(crate) fn cut(&self, cut: Cut, seed: u64) {
        self.cut_locked(&mut self.disk(), cut, seed);
    }

    pub(crate) fn arm(&self, (after, cut, seed): (u64, Cut, u64), end: Box<dyn FnOnce() + Send>) {
        let mut disk = self.disk();
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(End(end));
        disk.arm(after, cut, seed);
    }

    fn cut_locked(&self, disk: &mut Disk, cut: Cut, seed: u64) {
        let end = self
            .end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(End(end)) = end {
            end();
        }
        self.cuts.fetch_add(1, Ordering::SeqCst);
        disk.cut(self.now(), cut, seed);
        self.was_cut.notify_all();
    }

    /// Waits until the power was cut so many times; `false` after this time.
    pub(crate) fn wait_for_cut(&self, cuts: u64, within: Duration) -> bool {
        let less = |disk: &mut Disk| disk.stats().cuts < cuts;
        let waited = self.was_cut.wait_timeout_while(self.disk(), within, less);
        let (_disk, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }
}

/// One mount of a disk.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    cuts: u64,
}

#[expect(
    clippy::disallowed_methods,
    reason = "files carry the time of their last change"
)]
fn clock() -> SystemTime {
    SystemTime::now()
}

fn attributes(id: InodeId, disk: &Disk) -> Result<FileAttr, Errno> {
    let inode = disk.inode(id)?;
    let kind = match &inode.kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Socket => FileType::Socket,
        Kind::Pipe => FileType::NamedPipe,
        Kind::Link(_) => FileType::Symlink,
    };
    let size = match &inode.kind {
        Kind::Link(target) => target.len() as u64,
        _ => inode.live.len() as u64,
    };
    let metadata = inode.metadata;
    Ok(FileAttr {
        ino: INodeNo(id),
        size,
        blocks: size.div_ceil(512),
        atime: metadata.accessed,
        mtime: metadata.modified,
        ctime: metadata.modified,
        crtime: metadata.modified,
        kind,
        perm: metadata.mode,
        nlink: match kind {
            FileType::Directory => 2,
            _ => metadata.links,
        },
        uid: metadata.user,
        gid: metadata.group,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

impl Server {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let cuts = shared.cuts.load(Ordering::SeqCst);
        Self { shared, cuts }
    }

    /// The disk, unless the power was cut since this mount was made.
    fn disk(&self) -> Result<MutexGuard<'_, Disk>, Errno> {
        let disk = self.shared.disk();
        match self.shared.cuts.load(Ordering::SeqCst) == self.cuts {
            true => Ok(disk),
            false => Err(Errno::EIO),
        }
    }

    /// The disk, for an operation that may be one that is to fail.
    fn begin(&self, operation: Operation) -> Result<MutexGuard<'_, Disk>, Errno> {
        let mut disk = self.counted(operation)?;
        disk.admit(operation)?;
        Ok(disk)
    }

    /// The disk, unless the power is cut just now.
    fn counted(&self, operation: Operation) -> Result<MutexGuard<'_, Disk>, Errno> {
        use Operation::{Open, Read, ReadNames};
        let mut disk = self.disk()?;
        if !matches!(operation, Open | Read | ReadNames)
            && let Some((cut, seed)) = disk.count()
        {
            self.shared.cut_locked(&mut disk, cut, seed);
            return Err(Errno::EIO);
        }
        Ok(disk)
    }

    fn make(
        &self,
        req: &Request,
        at: (INodeNo, &OsStr),
        kind: Kind,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        let now = clock();
        let metadata = Metadata {
            // Twelve bits.
            mode: (mode & 0o7777) as u16,
            user: req.uid(),
            group: req.gid(),
            links: 1,
            accessed: now,
            modified: now,
        };
        let mut disk = self.begin(Operation::Create)?;
        let id = disk.make(self.shared.now(), (at.0.0, at.1), kind, metadata)?;
        attributes(id, &disk)
    }

    fn change(&self, disk: &mut Disk, id: InodeId, change: Change) -> Result<(), Errno> {
        disk.change(self.shared.now(), id, change)?;
        disk.metadata_mut(id)?.modified = clock();
        Ok(())
    }

    fn set(
        &self,
        id: InodeId,
        (mode, user, group): (Option<u32>, Option<u32>, Option<u32>),
        size: Option<u64>,
        (accessed, modified): (Option<TimeOrNow>, Option<TimeOrNow>),
    ) -> Result<FileAttr, Errno> {
        let time = |time| match time {
            TimeOrNow::SpecificTime(time) => time,
            TimeOrNow::Now => clock(),
        };
        let mut disk = self.disk()?;
        if let Some(size) = size {
            drop(disk);
            disk = self.begin(Operation::Length)?;
            self.change(&mut disk, id, Change::Length(size))?;
        }
        let metadata = disk.metadata_mut(id)?;
        metadata.mode = mode.map_or(metadata.mode, |mode| (mode & 0o7777) as u16);
        metadata.user = user.unwrap_or(metadata.user);
        metadata.group = group.unwrap_or(metadata.group);
        metadata.accessed = accessed.map_or(metadata.accessed, time);
        metadata.modified = modified.map_or(metadata.modified, time);
        attributes(id, &disk)
    }

    fn move_name(
        &self,
        (from, name): (INodeNo, &OsStr),
        (to, new): (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let now = self.shared.now();
        let mut disk = self.begin(Operation::Rename)?;
        match flags.contains(RenameFlags::RENAME_EXCHANGE) {
            true => disk.exchange(now, (from.0, name), (to.0, new)),
            false => {
                let may_replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
                disk.rename(now, (from.0, name), (to.0, new), may_replace)
            }
        }
    }

    fn remove(&self, directory: INodeNo, name: &OsStr) -> Result<(), Errno> {
        let mut disk = self.begin(Operation::Remove)?;
        disk.unlink(self.shared.now(), (directory.0, name))
    }

    fn give_room(&self, id: InodeId, (at, len): (u64, u64), mode: i32) -> Result<(), Errno> {
        let (keep_size, zeros) = (
            mode & libc::FALLOC_FL_KEEP_SIZE != 0,
            libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE,
        );
        if mode & !(libc::FALLOC_FL_KEEP_SIZE | zeros) != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut disk = self.begin(Operation::Length)?;
        let size = disk.inode(id)?.live.len() as u64;
        let end = at.saturating_add(len);
        if mode & zeros != 0 {
            let end = if keep_size { end.min(size) } else { end };
            let len = usize::try_from(end.saturating_sub(at)).map_err(|_| Errno::ENOSPC)?;
            return self.change(&mut disk, id, Change::Write(at, vec![0; len]));
        }
        match keep_size || end <= size {
            true => Ok(()),
            false => self.change(&mut disk, id, Change::Length(end)),
        }
    }

    fn list(&self, id: InodeId) -> Result<Vec<(INodeNo, FileType, OsString)>, Errno> {
        let disk = self.begin(Operation::ReadNames)?;
        let inode = disk.inode(id)?;
        let dots = [
            (OsString::from("."), id),
            (OsString::from(".."), inode.parent),
        ];
        let names = inode.names.iter().map(|(name, id)| (name.clone(), *id));
        let all = dots.into_iter().chain(names).map(|(name, id)| {
            let kind = attributes(id, &disk).map_or(FileType::Directory, |found| found.kind);
            (INodeNo(id), kind, name)
        });
        Ok(all.collect())
    }
}

/// One `write(2)` is one request, which is what tears; and syncs of the kernel's own come never.
const OPEN: FopenFlags = FopenFlags::FOPEN_DIRECT_IO;

impl Filesystem for Server {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Where the kernel is older than 6.6, files cannot be mapped for writing.
        let _ = config.add_capabilities(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.disk().and_then(|disk| {
            let id = disk.child(parent.0, name)?;
            attributes(id, &disk)
        });
        match found {
            Ok(found) => reply.entry(&REMEMBERED, &found, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.disk().and_then(|disk| attributes(ino.0, &disk)) {
            Ok(found) => reply.attr(&REMEMBERED, &found),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match self.set(ino.0, (mode, uid, gid), size, (atime, mtime)) {
            Ok(found) => reply.attr(&REMEMBERED, &found),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let disk = self.disk();
        match disk.as_ref().map(|disk| disk.inode(ino.0)) {
            Ok(Ok(inode)) => match &inode.kind {
                Kind::Link(target) => reply.data(target),
                _ => reply.error(Errno::EINVAL),
            },
            _ => reply.error(Errno::EIO),
        }
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let kind = match mode & libc::S_IFMT {
            libc::S_IFSOCK => Kind::Socket,
            libc::S_IFIFO => Kind::Pipe,
            _ => Kind::File,
        };
        entry(self.make(req, (parent, name), kind, mode & !umask), reply);
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.make(req, (parent, name), Kind::Directory, mode & !umask);
        entry(made, reply);
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let target = target.as_os_str().as_bytes().to_vec();
        entry(
            self.make(req, (parent, name), Kind::Link(target), 0o777),
            reply,
        );
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.remove(parent, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.remove(parent, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        empty(
            self.move_name((parent, name), (newparent, newname), flags),
            reply,
        );
    }

    fn link(
        &self,
        _: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        let linked = self.begin(Operation::Create).and_then(|mut disk| {
            disk.link(self.shared.now(), ino.0, (newparent.0, newname))?;
            attributes(ino.0, &disk)
        });
        entry(linked, reply);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.begin(Operation::Open) {
            Ok(_) => reply.opened(FileHandle(0), OPEN),
            Err(errno) => reply.error(errno),
        }
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.make(req, (parent, name), Kind::File, mode & !umask) {
            Ok(made) => reply.created(&REMEMBERED, &made, Generation(0), FileHandle(0), OPEN),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let disk = match self.begin(Operation::Read) {
            Ok(disk) => disk,
            Err(errno) => return reply.error(errno),
        };
        match disk.inode(ino.0) {
            Ok(inode) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = inode.live.get(from..).unwrap_or_default();
                reply.data(&rest[..rest.len().min(size as usize)]);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // With direct I/O the kernel sends no sync for O_DSYNC and O_SYNC: the write itself is durable,
        // but not that of a mapped page.
        let mapped = write_flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        let synced = flags.0 & libc::O_DSYNC != 0 && !mapped;
        let written = self.begin(Operation::Write).and_then(|mut disk| {
            self.change(&mut disk, ino.0, Change::Write(offset, data.to_vec()))?;
            if synced { disk.sync(ino.0) } else { Ok(()) }
        });
        match (written, u32::try_from(data.len())) {
            (Ok(()), Ok(len)) => reply.written(len),
            (Ok(()), Err(_)) => reply.error(Errno::EINVAL),
            (Err(errno), _) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self.counted(Operation::Sync);
        empty(synced.and_then(|mut disk| disk.sync(ino.0)), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self.counted(Operation::SyncNames);
        empty(synced.and_then(|mut disk| disk.sync_names(ino.0)), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = match self.list(ino.0) {
            Ok(names) => names,
            Err(errno) => return reply.error(errno),
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for ((id, kind, name), next) in names.into_iter().zip(1..).skip(from) {
            if reply.add(id, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (limit, used) = {
            let disk = self.shared.disk();
            (disk.limit(), disk.used())
        };
        let [all, free] = [limit, limit.saturating_sub(used)].map(|n| n / u64::from(BLOCK));
        let files = 1 << 20;
        reply.statfs(all, free, free, files, files, BLOCK, 255, BLOCK);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        empty(self.give_room(ino.0, (offset, length), mode), reply);
    }
}

fn entry(made: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match made {
        Ok(made) => reply.entry(&REMEMBERED, &made, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn empty(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}
