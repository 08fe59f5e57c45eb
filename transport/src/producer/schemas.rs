//! The schemas a producer has announced, kept so that an older epoch's records can still be sent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use telemetry_core::records::{
    ActivitySample, Crash, DeviceEvent, FeedbackGiven, FeedbackRequest, FrameTiming, InputLatency,
    SchemaAnnouncement, SurfaceEvent, SystemState,
};
use telemetry_core::{AvroRecord as _, Fingerprint, Schema, SchemaLimits, durable};

/// A folder of `.avsc` files, one a fingerprint.
#[derive(Debug)]
pub(super) struct Schemas {
    dir: PathBuf,
    /// Fingerprint of the records to that of their batches.
    arrays: BTreeMap<Fingerprint, Fingerprint>,
    /// The same for schemas that need no file.
    built_in: BTreeMap<Fingerprint, Fingerprint>,
}

impl Schemas {
    /// Reads what is kept. A file that holds no schema is put aside: the schema is announced and kept
    /// again, before the next record that is written with it.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut arrays = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "avsc") {
                continue;
            }
            match read(&path)? {
                Some(schema) => {
                    arrays.insert(schema.fingerprint(), schema.array_fingerprint());
                }
                None => fs::rename(&path, path.with_extension("damaged"))?,
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            arrays,
            built_in: built_in(),
        })
    }

    /// Keeps a schema, durably, before its first record is.
    pub(super) fn keep(&mut self, schema: &Schema) -> io::Result<()> {
        let fingerprint = schema.fingerprint();
        if self.arrays.contains_key(&fingerprint) {
            return Ok(());
        }
        let path = self.dir.join(format!("{fingerprint}.avsc"));
        durable::replace(&path, schema.json().as_bytes())?;
        self.arrays.insert(fingerprint, schema.array_fingerprint());
        Ok(())
    }

    /// Fingerprint of a batch of records with this schema.
    pub(super) fn array(&self, fingerprint: Fingerprint) -> Option<Fingerprint> {
        let known = self.arrays.get(&fingerprint);
        known.or_else(|| self.built_in.get(&fingerprint)).copied()
    }
}

/// The streams of devices that this release writes: their records can be sent also where the files are
/// damaged.
fn built_in() -> BTreeMap<Fingerprint, Fingerprint> {
    let texts = [
        ActivitySample::SCHEMA,
        Crash::SCHEMA,
        DeviceEvent::SCHEMA,
        FeedbackGiven::SCHEMA,
        FeedbackRequest::SCHEMA,
        FrameTiming::SCHEMA,
        InputLatency::SCHEMA,
        SchemaAnnouncement::SCHEMA,
        SurfaceEvent::SCHEMA,
        SystemState::SCHEMA,
    ];
    let schemas = texts.iter().filter_map(|text| Schema::parse(text).ok());
    schemas
        .map(|schema| (schema.fingerprint(), schema.array_fingerprint()))
        .collect()
}

/// The schema in a file; `None` if it holds none.
fn read(path: &Path) -> io::Result<Option<Schema>> {
    let limit = SchemaLimits::default().json_bytes_max as u64;
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).ok();
    Ok(text.and_then(|text| Schema::parse(&text).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_schema_is_put_aside_and_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let schema = Schema::parse(r#"{"type":"record","name":"a.B","fields":[]}"#).unwrap();
        Schemas::open(dir.path()).unwrap().keep(&schema).unwrap();
        let path = dir.path().join(format!("{}.avsc", schema.fingerprint()));
        for damage in [&b""[..], b"{", b"\xff\xfe"] {
            fs::write(&path, damage).unwrap();
            let mut schemas = Schemas::open(dir.path()).unwrap();
            assert_eq!(schemas.array(schema.fingerprint()), None);
            assert!(path.with_extension("damaged").exists() && !path.exists());
            schemas.keep(&schema).unwrap();
            let again = Schemas::open(dir.path()).unwrap();
            let array = Some(schema.array_fingerprint());
            assert_eq!(again.array(schema.fingerprint()), array);
        }
    }
}
