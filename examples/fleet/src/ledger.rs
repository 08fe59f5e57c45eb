//! What the report reads back from the store: the loss ledger, samples, schemas.

use std::collections::{BTreeMap, BTreeSet};

use telemetry_core::records::ActivitySample;
use telemetry_core::{DeviceId, Registry, StreamName, stream_of};
use telemetry_storage::{Accounting as _, SqliteStore, StoreError};

/// A schema in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionLine {
    pub stream: StreamName,
    /// Version, from 1.
    pub version: u32,
    pub schema: String,
}

/// Samples stored of each device.
pub(crate) fn samples_stored(store: &SqliteStore) -> Result<BTreeMap<DeviceId, u64>, StoreError> {
    let mut out = BTreeMap::new();
    for presence in pollster::block_on(store.presence())? {
        if presence.stream == stream_of::<ActivitySample>() {
            *out.entry(presence.device).or_default() += presence.stored;
        }
    }
    Ok(out)
}

/// Every version of every stream that is stored.
pub(crate) fn versions(store: &SqliteStore) -> Result<Vec<VersionLine>, StoreError> {
    let streams = pollster::block_on(store.presence())?.into_iter();
    let streams: BTreeSet<StreamName> = streams.map(|p| p.stream).collect();
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
