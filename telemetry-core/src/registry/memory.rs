//! A registry in this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Registry;
use crate::{
    Compatibility, Entry, Fingerprint, Quarantine, Registered, Schema, SchemaLimits, StreamName,
    decide,
};

/// Bounds on a registry that this process keeps.
#[derive(Clone, Copy, Debug)]
pub struct RegistryLimits {
    /// Subjects. 10,000: every stream of many vendors.
    pub subjects_max: usize,
    /// Versions of one subject. 1,000: each new one is compared with all of them.
    pub versions_max: usize,
    /// Bounds on schemas that a file holds.
    pub schema: SchemaLimits,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self {
            subjects_max: 10_000,
            versions_max: 1_000,
            schema: SchemaLimits::default(),
        }
    }
}

/// A registry is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} over the limit of {max}: raise it in `RegistryLimits`")]
pub struct RegistryFull {
    /// Which bound.
    pub what: &'static str,
    /// What is allowed.
    pub max: usize,
}

crate::error_codes!(RegistryFull => 1121);

/// Keeps schemas as long as it lives: for tests, and for a consumer that is told everything again.
///
/// ```
/// use telemetry_core::{Compatibility, MemoryRegistry, Registered, Registry, Schema, StreamName};
/// # pollster::block_on(async {
/// let registry = MemoryRegistry::default();
/// let beats = StreamName::new("vendor.Beat")?;
/// registry.set_compatibility(&beats, Compatibility::Full)?;
///
/// let schema = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
///     {"name":"bpm","type":"int"}]}"#)?;
/// assert_eq!(registry.register(&beats, &schema).await?, Registered::New { version: 1 });
/// let found = registry.lookup(&beats, schema.fingerprint()).await?.unwrap();
/// assert_eq!(*found.schema, schema);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    catalogue: Mutex<Catalogue>,
}

impl MemoryRegistry {
    /// An empty one within `limits`.
    pub fn new(limits: RegistryLimits) -> Self {
        Self {
            catalogue: Mutex::new(Catalogue::new(limits)),
        }
    }

    /// What new schemas of a subject must be able to do from now on.
    pub fn set_compatibility(
        &self,
        subject: &StreamName,
        compatibility: Compatibility,
    ) -> Result<(), RegistryFull> {
        self.lock().set_compatibility(subject, compatibility)
    }

    fn lock(&self) -> MutexGuard<'_, Catalogue> {
        // Nothing in here panics half-way through a change.
        self.catalogue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryRegistry {
    /// Registers a schema under a subject, on the calling thread.
    pub fn register_blocking(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, RegistryFull> {
        let mut catalogue = self.lock();
        let answer = catalogue.decide(subject, schema)?;
        catalogue.apply(subject, schema, &answer);
        Ok(answer)
    }

    /// The schema of a subject with this fingerprint, on the calling thread.
    pub fn lookup_blocking(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, RegistryFull> {
        Ok(self.lock().lookup(subject, fingerprint).cloned())
    }

    /// Every version of a subject, oldest first, on the calling thread.
    pub fn versions_blocking(&self, subject: &StreamName) -> Result<Vec<Entry>, RegistryFull> {
        Ok(self.lock().versions(subject).to_vec())
    }
}

impl Registry for MemoryRegistry {
    type Error = RegistryFull;

    async fn register(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, RegistryFull> {
        self.register_blocking(subject, schema)
    }

    async fn lookup(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, RegistryFull> {
        self.lookup_blocking(subject, fingerprint)
    }

    async fn versions(&self, subject: &StreamName) -> Result<Vec<Entry>, RegistryFull> {
        self.versions_blocking(subject)
    }
}

/// Subjects with their versions and modes.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    limits: RegistryLimits,
    subjects: BTreeMap<StreamName, Subject>,
}

#[derive(Debug, Default)]
struct Subject {
    compatibility: Compatibility,
    entries: Vec<Entry>,
}

impl Catalogue {
    pub(super) const fn limits(&self) -> RegistryLimits {
        self.limits
    }

    pub(super) fn new(limits: RegistryLimits) -> Self {
        Self {
            limits,
            subjects: BTreeMap::new(),
        }
    }

    /// What becomes of a schema, if there is room for it.
    pub(super) fn decide(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, RegistryFull> {
        let compatibility = self
            .subjects
            .get(subject)
            .map_or(Compatibility::default(), |s| s.compatibility);
        let known = self.versions(subject);
        let answer = decide(known, schema, compatibility);
        if self.is_new(subject, schema, &answer) {
            self.room(subject)?;
            let max = self.limits.versions_max;
            if known.len() >= max {
                let what = "versions of a subject";
                return Err(RegistryFull { what, max });
            }
        }
        Ok(answer)
    }

    /// Whether a decision adds a version. A text that collides with a known meaning is not kept
    /// beside it; a quarantined one is.
    fn is_new(&self, subject: &StreamName, schema: &Schema, answer: &Registered) -> bool {
        match answer {
            Registered::New { .. } => true,
            Registered::Quarantined(_) => self.lookup(subject, schema.fingerprint()).is_none(),
            Registered::Known { .. } | Registered::Revision { .. } => false,
        }
    }

    fn room(&self, subject: &StreamName) -> Result<(), RegistryFull> {
        let max = self.limits.subjects_max;
        if self.subjects.contains_key(subject) || self.subjects.len() < max {
            return Ok(());
        }
        let what = "subjects";
        Err(RegistryFull { what, max })
    }

    /// Whether a decision changes anything.
    pub(super) fn changes(
        &self,
        subject: &StreamName,
        schema: &Schema,
        answer: &Registered,
    ) -> bool {
        self.is_new(subject, schema, answer) || matches!(answer, Registered::Revision { .. })
    }

    /// Makes a decision true.
    pub(super) fn apply(&mut self, subject: &StreamName, schema: &Schema, answer: &Registered) {
        let is_new = self.is_new(subject, schema, answer);
        let subject = self.subjects.entry(subject.clone()).or_default();
        if is_new {
            let quarantine: Option<Quarantine> = match answer {
                Registered::Quarantined(reason) => Some(reason.clone()),
                _ => None,
            };
            subject.entries.push(Entry {
                schema: Arc::new(schema.clone()),
                version: subject.entries.last().map_or(1, |e| e.version + 1),
                quarantine,
            });
        } else if let Registered::Revision { version } = answer {
            for entry in subject.entries.iter_mut().filter(|e| e.version == *version) {
                entry.schema = Arc::new(schema.clone());
            }
        }
    }

    pub(super) fn set_compatibility(
        &mut self,
        subject: &StreamName,
        compatibility: Compatibility,
    ) -> Result<(), RegistryFull> {
        self.room(subject)?;
        let subject = self.subjects.entry(subject.clone()).or_default();
        subject.compatibility = compatibility;
        Ok(())
    }

    pub(super) fn lookup(&self, subject: &StreamName, fingerprint: Fingerprint) -> Option<&Entry> {
        let mut entries = self.versions(subject).iter();
        entries.find(|e| e.schema.fingerprint() == fingerprint)
    }

    pub(super) fn versions(&self, subject: &StreamName) -> &[Entry] {
        self.subjects
            .get(subject)
            .map_or(&[], |s| s.entries.as_slice())
    }
}
