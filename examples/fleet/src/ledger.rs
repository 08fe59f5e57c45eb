//! The loss ledger: what was numbered against what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use telemetry_core::records::{ActivitySample, SystemState};
use telemetry_core::{AvroRecord, DeviceId, Registry, Schema, StreamName, Timestamp, stream_of};
use telemetry_storage::{Accounting as _, Cell, Selection, SqliteStore, Store, StoreError};

use crate::conductor::RunError;
use crate::intervals::Intervals;

/// Event time read at once.
const SLICE: Duration = Duration::from_secs(3600);

/// One device, stream and all of its epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLine {
    /// Device.
    pub device: DeviceId,
    /// Stream.
    pub stream: StreamName,
    /// Records that were given a number and made durable.
    pub numbered: u64,
    /// Records that are stored.
    pub stored: u64,
    /// Records that were refused and stand among the dead letters.
    pub set_aside: u64,
}

impl StreamLine {
    /// Records that are neither stored nor set aside.
    pub const fn missing(&self) -> u64 {
        self.numbered.saturating_sub(self.stored + self.set_aside)
    }
}

/// A schema in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionLine {
    /// Stream.
    pub stream: StreamName,
    /// Version, from 1.
    pub version: u32,
    /// Its fingerprint.
    pub schema: String,
}

type Key = (DeviceId, StreamName, u64);

/// Compares every number given with every row stored.
///
/// `now` has the next numbers of the epochs of this run; how earlier epochs ended is in the first
/// `SystemState` of the epoch after them.
pub(crate) fn reckon(
    store: &SqliteStore,
    now: &BTreeMap<(DeviceId, u64), Vec<(StreamName, u64)>>,
    set_aside: &BTreeMap<(DeviceId, StreamName), Intervals>,
    run: Range<Timestamp>,
) -> Result<Vec<StreamLine>, RunError> {
    let mut ends: BTreeMap<Key, u64> = BTreeMap::new();
    for ((device, epoch), seqs) in now {
        for (stream, next) in seqs {
            ends.insert((*device, stream.clone(), *epoch), next - 1);
        }
    }
    for (device, epoch, listed) in previous_ends(store, run)? {
        for part in listed.split(' ') {
            let Some((stream, next)) = part.rsplit_once(':') else {
                continue;
            };
            if let (Ok(stream), Ok(next)) = (StreamName::new(stream), next.parse::<u64>()) {
                ends.insert((device, stream, epoch), next.saturating_sub(1));
            }
        }
    }
    let mut lines: BTreeMap<(DeviceId, StreamName), (u64, u64)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for presence in pollster::block_on(store.presence())? {
        let epoch = presence.epoch.get();
        let key = (presence.device, presence.stream.clone(), epoch);
        // An epoch whose end nobody reported went at least as far as what is stored of it.
        let numbered = ends.get(&key).copied().unwrap_or(0).max(presence.last_seq);
        let line = lines.entry((presence.device, presence.stream)).or_default();
        line.0 += numbered;
        line.1 += presence.stored;
        seen.insert(key);
    }
    for ((device, stream, epoch), numbered) in ends {
        if !seen.contains(&(device, stream.clone(), epoch)) {
            lines.entry((device, stream)).or_default().0 += numbered;
        }
    }
    Ok(lines
        .into_iter()
        .filter(|(_, (numbered, stored))| numbered + stored > 0)
        .map(|(key, (numbered, stored))| StreamLine {
            set_aside: set_aside.get(&key).map_or(0, Intervals::count),
            device: key.0,
            stream: key.1,
            numbered,
            stored,
        })
        .collect())
}

/// Device, epoch and final next numbers, as the epoch after it reported them.
fn previous_ends(
    store: &SqliteStore,
    run: Range<Timestamp>,
) -> Result<Vec<(DeviceId, u64, String)>, RunError> {
    let schema = Schema::parse(SystemState::SCHEMA).map_err(StoreError::from)?;
    let field = |name: &str| {
        let fields = schema.record().map_or(&[][..], |r| &r.fields);
        fields.iter().position(|f| f.name == name)
    };
    let (epoch, seqs) = (field("previous_epoch"), field("previous_next_seqs"));
    let stream = stream_of::<SystemState>();
    let mut out = Vec::new();
    let mut from = run.start;
    // A slice at a time: a run may have more states than fit in memory.
    while from < run.end {
        let until = from + SLICE;
        let selection = Selection {
            device: None,
            from: Some(from),
            until: Some(until),
        };
        let rows = pollster::block_on(store.read(&stream, &selection, &schema))?;
        from = until;
        for row in rows {
            let cell = |i: Option<usize>| i.and_then(|i| row.values.get(i));
            if let (Some(Cell::Integer(epoch)), Some(Cell::Text(seqs))) = (cell(epoch), cell(seqs))
                && let Ok(epoch) = u64::try_from(*epoch)
            {
                out.push((row.device, epoch, seqs.clone()));
            }
        }
    }
    Ok(out)
}

/// Samples stored of each device.
pub(crate) fn samples_stored(store: &SqliteStore) -> Result<BTreeMap<DeviceId, u64>, RunError> {
    let mut out = BTreeMap::new();
    for presence in pollster::block_on(store.presence())? {
        if presence.stream == stream_of::<ActivitySample>() {
            *out.entry(presence.device).or_default() += presence.stored;
        }
    }
    Ok(out)
}

/// Every version of every stream that is stored.
pub(crate) fn versions(store: &SqliteStore) -> Result<Vec<VersionLine>, RunError> {
    let streams: BTreeSet<StreamName> = pollster::block_on(store.presence())?
        .into_iter()
        .map(|p| p.stream)
        .collect();
    let mut out = Vec::new();
    for stream in streams {
        for entry in pollster::block_on(store.versions(&stream))? {
            out.push(VersionLine {
                stream: stream.clone(),
                version: entry.version,
                schema: entry.schema.fingerprint().to_string(),
            });
        }
    }
    Ok(out)
}
