//! What clients may leave on a device for good: names of sources, and schemas.
//!
//! Each name of a source and each schema is kept in the spool and beside it, over restarts, and every
//! schema goes downstream and becomes columns there. So one client that invents them must not fill a
//! device, nor take from others what a device has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use telemetry_core::{Fingerprint, Schema, StreamName};
use xp_wayland_shim::ClientId;

/// Sources that a device knows. A console runs a handful of applications.
const SOURCES_MAX: usize = 128;

/// Sources that are new to the device and that one connection may open.
const CLIENT_SOURCES_MAX: u32 = 16;

/// Schemas that a device has announced, of all firmwares that it ever had.
const SCHEMAS_MAX: usize = 512;

/// Streams of an epoch, the agent's own among them.
const STREAMS_MAX: usize = 128;

/// Schemas that are new to the device and that one connection may announce.
const CLIENT_SCHEMAS_MAX: u32 = 32;

/// A client's schema: one of records whose name is that of a stream.
pub(super) struct ClientSchema {
    pub(super) text: Schema,
    pub(super) stream: StreamName,
}

/// Reads what a client says is a schema.
pub(super) fn schema(text: &str) -> Result<ClientSchema, String> {
    let schema = Schema::parse(text).map_err(|error| error.to_string())?;
    let record = schema.record().ok_or("it is no schema of records")?;
    let stream = StreamName::new(&record.name).map_err(|error| error.to_string())?;
    Ok(ClientSchema {
        stream,
        text: schema,
    })
}

/// What a client has used up since it connected.
#[derive(Debug, Default)]
struct Used {
    sources: u32,
    schemas: u32,
}

/// Counts what is new.
#[derive(Debug)]
pub(super) struct Admission {
    clients: BTreeMap<ClientId, Used>,
    /// Schemas that the device has announced, in any epoch.
    schemas: BTreeSet<String>,
}

impl Admission {
    /// Looks at what the device in `dir` knows.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let mut schemas = BTreeSet::new();
        for entry in fs::read_dir(dir.join("schemas"))? {
            if let Some(name) = entry?.path().file_stem() {
                schemas.insert(name.to_string_lossy().into_owned());
            }
        }
        Ok(Self {
            clients: BTreeMap::new(),
            schemas,
        })
    }

    /// Forgets clients that are gone.
    pub(super) fn keep(&mut self, is_connected: impl Fn(ClientId) -> bool) {
        self.clients.retain(|client, _| is_connected(*client));
    }

    /// Whether a client may open a source, given the sources that the device knows.
    pub(super) fn source<'a>(
        &mut self,
        client: ClientId,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Result<(), &'static str> {
        let mut count = 0;
        for known in known {
            if known == name {
                return Ok(());
            }
            count += 1;
        }
        let used = self.clients.entry(client).or_default();
        if count >= SOURCES_MAX {
            return Err("the device knows 128 sources: use the name of one of them");
        }
        if used.sources >= CLIENT_SOURCES_MAX {
            return Err("one connection opened 16 new sources: a source keeps its name");
        }
        used.sources += 1;
        Ok(())
    }

    /// Whether a client may announce a schema, given the streams of this epoch.
    pub(super) fn schema<'a>(
        &mut self,
        client: ClientId,
        schema: &ClientSchema,
        streams: impl Iterator<Item = &'a StreamName>,
    ) -> Result<(), &'static str> {
        let mut count = 0;
        let mut is_new = true;
        for stream in streams {
            count += 1;
            is_new &= *stream != schema.stream;
        }
        if is_new && count >= STREAMS_MAX {
            return Err("the device has 128 streams: use one of them");
        }
        let fingerprint: Fingerprint = schema.text.fingerprint();
        let name = fingerprint.to_string();
        if self.schemas.contains(&name) {
            return Ok(());
        }
        let used = self.clients.entry(client).or_default();
        if self.schemas.len() >= SCHEMAS_MAX {
            return Err("the device knows 512 schemas: use one of them");
        }
        if used.schemas >= CLIENT_SCHEMAS_MAX {
            return Err("one connection announced 32 new schemas");
        }
        used.schemas += 1;
        self.schemas.insert(name);
        Ok(())
    }
}
