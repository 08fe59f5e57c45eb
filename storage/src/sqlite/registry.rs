//! The registry in the same file: which schema a fingerprint means, and which may be stored.

use telemetry_core::{
    Compatibility, Entry, Fingerprint, Plan, Quarantine, Registered, Registry, Schema, StreamName,
};

use super::SqliteStore;
use crate::StoreError;

/// What becomes of a schema: tables keep old records, so every version must be readable, and their
/// columns hold flat records alone.
pub(super) fn decide(known: &[Entry], offered: &Schema) -> Registered {
    let answer = telemetry_core::decide(known, offered, Compatibility::BackwardTransitive);
    let flat = || Plan::compile(offered, offered).and_then(|plan| plan.flat());
    match answer {
        Registered::New { .. } => match flat() {
            Ok(()) => answer,
            Err(reason) => Registered::Quarantined(Quarantine::Unsupported {
                reason: reason.to_string(),
            }),
        },
        answer => answer,
    }
}

impl Registry for SqliteStore {
    type Error = StoreError;

    async fn register(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, StoreError> {
        let mut inner = self.lock();
        let known = inner.catalogue.entries(subject);
        let answer = decide(known, schema);
        let fingerprint = schema.fingerprint();
        match &answer {
            Registered::Known { .. } => {}
            Registered::New { version } => {
                inner.put_schema(subject, schema, *version, None)?;
            }
            Registered::Revision { version } => {
                inner.put_schema(subject, schema, *version, None)?;
            }
            // A text that collides with a known meaning is not kept beside it: whoever sent it is
            // told, and its (device, epoch, stream) is set aside by the caller.
            Registered::Quarantined(Quarantine::OtherMeaning { .. }) => {}
            Registered::Quarantined(reason) => {
                if !known.iter().any(|e| e.schema.fingerprint() == fingerprint) {
                    let version = known.last().map_or(1, |e| e.version + 1);
                    let reason = reason.clone();
                    inner.put_schema(subject, schema, version, Some(reason))?;
                }
            }
        }
        Ok(answer)
    }

    async fn lookup(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, StoreError> {
        let inner = self.lock();
        Ok(inner.catalogue.entry(subject, fingerprint).cloned())
    }

    async fn versions(&self, subject: &StreamName) -> Result<Vec<Entry>, StoreError> {
        Ok(self.lock().catalogue.entries(subject).to_vec())
    }
}
