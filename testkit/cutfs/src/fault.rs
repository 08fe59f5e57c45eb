//! Operations that fail on demand.

/// What a program asks of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// To make a file, a directory or a link.
    Create,
    /// To open a file or a directory.
    Open,
    /// To read a file.
    Read,
    /// To read the names in a directory.
    ReadNames,
    /// To write to a file.
    Write,
    /// To change a file's length, or to give it room.
    Length,
    /// To make a file durable.
    Sync,
    /// To make the names in a directory durable.
    SyncNames,
    /// To rename or to exchange.
    Rename,
    /// To remove a file or a directory.
    Remove,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 10] = [
        Self::Create,
        Self::Open,
        Self::Read,
        Self::ReadNames,
        Self::Write,
        Self::Length,
        Self::Sync,
        Self::SyncNames,
        Self::Rename,
        Self::Remove,
    ];
}

pub(crate) use fuser::Errno;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// `EIO`: the disk is broken.
    Broken,
    /// `ENOSPC`: the disk is full.
    Full,
}

/// An order to fail; the operation has no effect.
///
/// A sync that fails forgets what it was to write, as on Linux: programs still see it, and no later sync
/// makes it durable.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What fails.
    pub operation: Operation,
    /// How.
    pub kind: FaultKind,
    /// So many of these operations succeed first.
    pub after: u64,
    /// So many fail then.
    pub times: u64,
}

impl Fault {
    /// What this operation meets.
    pub(crate) fn meets(&mut self, operation: Operation) -> Option<Errno> {
        if operation != self.operation {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times = self.times.checked_sub(1)?;
        Some(match self.kind {
            FaultKind::Broken => Errno::EIO,
            FaultKind::Full => Errno::ENOSPC,
        })
    }
}
