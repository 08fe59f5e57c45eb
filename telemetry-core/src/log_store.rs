//! The log that a controller decides by: groups of entries, appended only where expected.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::future::Future;

/// Entries that are won or lost together, sealed to the group before them.
///
/// Who builds a group computes `hash` over everything else in it; a store compares hashes and
/// computes none, so it serves any chain.
#[derive(Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// Place in the log: 1, 2, 3, … without gaps.
    pub seq: u64,
    /// Who wrote it: random per process, so two runs of one service are two writers.
    pub writer: u128,
    /// `hash` of group `seq - 1`, zeros for the first group.
    pub previous: [u8; 32],
    /// Seal over `seq`, `writer`, `previous` and `entries`.
    pub hash: [u8; 32],
    /// The entries in order, opaque to the store.
    pub entries: Vec<Vec<u8>>,
}

impl fmt::Debug for LogGroup {
    /// Leaves the entries out: a log line about a log must not copy it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogGroup")
            .field("seq", &self.seq)
            .field("writer", &format_args!("{:032x}", self.writer))
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// The last group of a log, without its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// Its place.
    pub seq: u64,
    /// Who wrote it.
    pub writer: u128,
    /// Its seal: the `previous` of the next group.
    pub hash: [u8; 32],
}

impl From<&LogGroup> for LogHead {
    fn from(group: &LogGroup) -> Self {
        Self {
            seq: group.seq,
            writer: group.writer,
            hash: group.hash,
        }
    }
}

/// How a conditional append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an effect may start only after its group is won"]
pub enum Appended {
    /// The group is durable at its place; its effects may start.
    Won,
    /// The place belongs to another writer: stop acting, replay, or step down.
    Lost {
        /// The head that was found, `None` if the log is empty and `seq` was not 1.
        head: Option<LogHead>,
    },
}

/// An append-only log with one conditional write.
///
/// Methods return futures and need no runtime: a store on files answers at once, one on a cluster
/// awaits its session. Dropping a future leaves an append *unknown*; append the same group again
/// to settle it.
///
/// ```
/// # use telemetry_core::{Appended, LogGroup, LogStore};
/// async fn write<S: LogStore>(log: &mut S, group: &LogGroup) -> Result<bool, S::Error> {
///     Ok(matches!(log.append(group).await?, Appended::Won))
/// }
/// ```
pub trait LogStore {
    /// Why the store could not answer. Nothing is known about the append then: retry it.
    type Error: Error + Send + Sync + 'static;

    /// Appends `group` if the log's head is `group.seq - 1` with hash `group.previous`.
    ///
    /// Idempotent: a group that is already there with the same writer and hash is
    /// [`Appended::Won`] again, which is how an unknown answer is settled. `Won` is said only once
    /// the group is durable.
    fn append(
        &mut self,
        group: &LogGroup,
    ) -> impl Future<Output = Result<Appended, Self::Error>> + Send;

    /// Up to `groups_max` groups in order, beginning at `seq`; empty at the end of the log.
    fn read(
        &mut self,
        seq: u64,
        groups_max: usize,
    ) -> impl Future<Output = Result<Vec<LogGroup>, Self::Error>> + Send;

    /// The last group, `None` for an empty log. Linearizable with [`append`](Self::append).
    fn head(&mut self) -> impl Future<Output = Result<Option<LogHead>, Self::Error>> + Send;
}
