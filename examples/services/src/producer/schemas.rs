//! The schemas a producer has announced, kept so that an older epoch's records can still be sent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use telemetry_core::{Fingerprint, Schema, SchemaLimits};

/// A folder of `.avsc` files, one a fingerprint.
pub(crate) struct Schemas {
    dir: PathBuf,
    /// Fingerprint of the records to that of their batches.
    arrays: BTreeMap<Fingerprint, Fingerprint>,
}

impl Schemas {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut arrays = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "avsc") {
                continue;
            }
            let limit = SchemaLimits::default().json_bytes_max as u64;
            let mut text = String::new();
            File::open(&path)?.take(limit).read_to_string(&mut text)?;
            let schema = Schema::parse(&text)
                .map_err(|e| io::Error::other(format!("{}: {e}", path.display())))?;
            arrays.insert(schema.fingerprint(), schema.array_fingerprint());
        }
        Ok(Self {
            dir: dir.to_owned(),
            arrays,
        })
    }

    /// Keeps a schema, durably, before its first record is.
    pub(crate) fn keep(&mut self, schema: &Schema) -> io::Result<()> {
        let fingerprint = schema.fingerprint();
        if self.arrays.contains_key(&fingerprint) {
            return Ok(());
        }
        let path = self.dir.join(format!("{fingerprint}.avsc"));
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(schema.json().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.dir)?.sync_all()?;
        self.arrays.insert(fingerprint, schema.array_fingerprint());
        Ok(())
    }

    /// Fingerprint of a batch of records with this schema.
    pub(crate) fn array(&self, fingerprint: Fingerprint) -> Option<Fingerprint> {
        self.arrays.get(&fingerprint).copied()
    }
}
