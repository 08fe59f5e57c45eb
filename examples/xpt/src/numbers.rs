//! The numbers that a run gave to records, and which of them are not stored: what the run itself
//! calls missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use run_folder::Folder;
use telemetry_core::{DeviceId, StreamName};
use telemetry_storage::{Accounting as _, Limits, SqliteStore};
use telemetry_transport::inspect::Content;
use terminal::counted;

use crate::answer::Failure;
use crate::name::{self, Who};
use crate::{queue, store};

/// A stream of a device in one epoch; the epoch stands before the stream, so that the newest of a
/// device is the last.
pub(crate) type Key = (DeviceId, u64, StreamName);

/// What a run's folder says about numbers.
#[derive(Default)]
pub(crate) struct Numbers {
    /// The highest number of each that is in a spool, in the log or in the store.
    ends: BTreeMap<Key, u64>,
    /// Numbers that are not stored, as ranges with both ends.
    unstored: Vec<(Key, u64, u64)>,
    /// Of these, how many stand among the dead letters.
    set_aside: u64,
    /// The device of each tracker's folder, by its number from 1.
    trackers: BTreeMap<u64, DeviceId>,
    gateway: Option<DeviceId>,
}

impl Numbers {
    /// Reads spools, log and store of the run in `data`.
    pub(crate) fn of(data: &Path) -> Result<Self, Failure> {
        let mut numbers = Self::default();
        for (owner, spool) in spools(data)? {
            queue::look(&spool, |_, content| match content {
                Content::Opening { device, .. } => match owner {
                    Owner::Tracker(number) => {
                        numbers.trackers.insert(number, device);
                    }
                    Owner::Gateway => numbers.gateway = Some(device),
                },
                Content::Record { id, .. } => {
                    let key = (id.device, id.epoch.get(), id.stream);
                    numbers.reaches(key, id.seq.get());
                }
                _ => {}
            })?;
        }
        let mut letters = Vec::new();
        let folder = Folder::new(data);
        let log = folder.log();
        if log.is_dir() {
            let found = queue::look(&log, |_, content| {
                if let Content::Batch(batch) = content {
                    let (key, _, last) = range(&batch.envelope);
                    numbers.reaches(key, last);
                }
            })?;
            let refused = found.dead_letters.iter();
            letters.extend(refused.map(|(_, letter)| range(&letter.batch.envelope)));
        }
        let stored = store::open(&folder.store(), Limits::default())?;
        numbers.compare(&stored)?;
        numbers.set_aside(&letters);
        Ok(numbers)
    }

    fn reaches(&mut self, key: Key, number: u64) {
        let end = self.ends.entry(key).or_default();
        *end = number.max(*end);
    }

    fn compare(&mut self, store: &SqliteStore) -> Result<(), Failure> {
        let mut last = BTreeMap::new();
        for presence in pollster::block_on(store.presence()).map_err(|e| e.to_string())? {
            let key = (presence.device, presence.epoch.get(), presence.stream);
            self.reaches(key.clone(), presence.last_seq);
            last.insert(key, presence.last_seq);
        }
        for gap in pollster::block_on(store.gaps()).map_err(|e| e.to_string())? {
            let key = (gap.device, gap.epoch.get(), gap.stream);
            self.unstored.push((key, gap.first.get(), gap.last.get()));
        }
        for (key, end) in &self.ends {
            let stored = last.get(key).copied().unwrap_or(0);
            if stored < *end {
                self.unstored.push((key.clone(), stored + 1, *end));
            }
        }
        Ok(())
    }

    /// Takes out what consumers refused: it is not missing, it has a reason.
    fn set_aside(&mut self, letters: &[(Key, u64, u64)]) {
        for (key, from, to) in letters {
            let mut rest = Vec::new();
            for (theirs, first, last) in std::mem::take(&mut self.unstored) {
                let (start, end) = (first.max(*from), last.min(*to));
                if theirs != *key || start > end {
                    rest.push((theirs, first, last));
                    continue;
                }
                self.set_aside += end - start + 1;
                if first < start {
                    rest.push((theirs.clone(), first, start - 1));
                }
                if end < last {
                    rest.push((theirs, end + 1, last));
                }
            }
            self.unstored = rest;
        }
    }

    /// How many records are neither stored nor set aside.
    pub(crate) fn missing(&self) -> u64 {
        let ranges = self.unstored.iter();
        ranges.map(|(_, first, last)| last - first + 1).sum()
    }

    /// The name of the first record that is missing.
    pub(crate) fn first_missing(&self) -> Option<String> {
        let ((device, epoch, stream), first, _) = self.unstored.first()?;
        Some(format!("{device}:{epoch}:{stream}:{first}"))
    }

    /// Each stream with its newest record: names to ask about.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (&Key, u64)> {
        self.ends.iter().map(|(key, end)| (key, *end))
    }

    /// The records that a person means; a stream goes by its whole or its last name.
    pub(crate) fn records(&self, text: &str) -> Result<Records, Failure> {
        let name = name::parse(text)?;
        let (device, epoch) = match name.who {
            Who::Device { device, epoch } => (device, Some(epoch)),
            Who::Tracker(number) => {
                let device = self.trackers.get(&number).copied();
                let count = counted(self.trackers.len() as u64, "tracker", "trackers");
                let unknown = || format!("the tracker {number}: this run has {count}");
                (device.ok_or_else(unknown)?, None)
            }
            Who::Gateway => {
                let unknown = "this run has no gateway with a record";
                (self.gateway.ok_or(unknown)?, None)
            }
        };
        let wanted = |key: &&Key| {
            let epoch_fits = epoch.is_none_or(|epoch| epoch == key.1);
            key.0 == device && epoch_fits && is_called(&key.2, name.stream)
        };
        let stream = self.ends.keys().rfind(wanted).ok_or_else(|| {
            format!("{text}: this run has no such stream; `xpt why --data DIR` lists names")
        })?;
        Ok(Records {
            stream: stream.clone(),
            first: name.first,
            last: name.last,
        })
    }
}

/// Consecutive records of a stream.
pub(crate) struct Records {
    pub stream: Key,
    pub first: u64,
    pub last: u64,
}

/// The spools of a run: those of its trackers in their order, and the gateway's.
pub(crate) fn spools(data: &Path) -> Result<Vec<(Owner, PathBuf)>, Failure> {
    let folder = Folder::new(data);
    let trackers = folder.trackers();
    let trackers = trackers.map_err(|error| format!("{}: {error}", data.display()))?;
    let trackers = trackers.into_iter().map(|index| {
        let owner = Owner::Tracker(index as u64 + 1);
        (owner, Folder::spool_of(&folder.tracker(index)))
    });
    let gateway = (Owner::Gateway, Folder::spool_of(&folder.gateway()));
    let spools = trackers.chain([gateway]);
    Ok(spools.filter(|(_, spool)| spool.is_dir()).collect())
}

/// Whose spool it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner {
    /// A tracker's, by its number from 1.
    Tracker(u64),
    Gateway,
}

/// The records of a batch: their stream, the first and the last number.
pub(crate) fn range(envelope: &telemetry_core::Envelope) -> (Key, u64, u64) {
    let first = envelope.first_seq.get();
    let last = first.saturating_add(u64::from(envelope.count).saturating_sub(1));
    let subject = envelope.subject.clone();
    (
        (envelope.device, envelope.epoch.get(), subject),
        first,
        last,
    )
}

/// Whether a stream has this name, or this last name.
pub(crate) fn is_called(stream: &StreamName, name: &str) -> bool {
    let whole = stream.as_str();
    whole == name || whole.rsplit_once('.').is_some_and(|(_, last)| last == name)
}

/// The one stream that is called so.
pub(crate) fn stream_called<'a>(
    name: &str,
    streams: impl Iterator<Item = &'a StreamName>,
) -> Result<StreamName, Failure> {
    let mut all: Vec<&StreamName> = streams.collect();
    all.sort();
    all.dedup();
    let exact = all.iter().find(|stream| stream.as_str() == name);
    let mut called = all.iter().filter(|stream| is_called(stream, name));
    match (exact, called.next(), called.next()) {
        (Some(stream), ..) | (None, Some(stream), None) => Ok((*stream).clone()),
        (None, Some(one), Some(other)) => Err(format!(
            "{name} could be {one} or {other}: give the whole name"
        )),
        (None, None, _) => {
            let names: Vec<&str> = all.iter().map(|stream| stream.as_str()).collect();
            Err(format!("no rows of {name}: there are {}", names.join(", ")))
        }
    }
}
