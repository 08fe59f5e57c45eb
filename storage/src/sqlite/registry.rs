//! The registry in the same file: which schema a fingerprint means, and which may be stored.

use std::sync::Arc;

use rusqlite::{Transaction, TransactionBehavior};
use telemetry_core::{
    Compatibility, Entry, Fingerprint, Quarantine, Registered, Registry, Schema, StreamName,
};

use super::catalogue::{self, Catalogue};
use super::{Inner, SqliteStore, data_version, view};
use crate::StoreError;
use crate::evolve::Shape;

/// What becomes of a schema.
///
/// A schema is accepted if each one before it could have come before or after it. So old firmware
/// that is announced late is accepted as it would have been in time, and the order of arrival
/// decides nothing.
pub(super) fn decide(known: &[Entry], offered: &Schema, mode: Compatibility) -> Registered {
    let answer = telemetry_core::decide(known, offered, mode);
    let in_order = |entry: &Entry| {
        let follows = |old: &Schema, new: &Schema| matches!(mode.check(&[old], new), Ok(None));
        entry.quarantine.is_some()
            || follows(&entry.schema, offered)
            || follows(offered, &entry.schema)
    };
    let answer = match answer {
        Registered::Quarantined(Quarantine::Incompatible { .. })
            if known.iter().all(in_order)
                && known
                    .iter()
                    .all(|e| e.schema.fingerprint() != offered.fingerprint()) =>
        {
            Registered::New {
                version: known.last().map_or(1, |e| e.version + 1),
            }
        }
        answer => answer,
    };
    match (&answer, Shape::of(offered)) {
        (Registered::New { .. }, Err(reason)) => unsupported(reason.to_string()),
        _ => answer,
    }
}

fn unsupported(reason: String) -> Registered {
    Registered::Quarantined(Quarantine::Unsupported { reason })
}

impl Inner {
    fn register(
        &mut self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, StoreError> {
        let max = self.options.limits.schemas_max;
        self.change(subject, |tx, catalogue| {
            let known = catalogue.entries(subject);
            let mode = catalogue.compatibility(subject);
            let answer = decide(known, schema, mode);
            let fingerprint = schema.fingerprint();
            let is_known = known.iter().any(|e| e.schema.fingerprint() == fingerprint);
            if !is_known && known.len() >= max {
                return Ok(unsupported(format!("{subject} has {max} schemas already")));
            }
            let (version, quarantine) = match &answer {
                Registered::New { version } | Registered::Revision { version } => (*version, None),
                Registered::Quarantined(reason) if !is_known => {
                    let version = known.last().map_or(1, |e| e.version + 1);
                    (version, Some(reason.clone()))
                }
                // A text that collides with a known meaning is not kept beside it: whoever sent it
                // is told, and its (device, epoch, stream) is set aside by the caller.
                Registered::Known { .. } | Registered::Quarantined(_) => return Ok(answer),
            };
            let entry = Entry {
                schema: Arc::new(schema.clone()),
                version,
                quarantine,
            };
            catalogue.put(tx, subject, entry)?;
            Ok(answer)
        })
    }

    pub(super) fn accept(
        &mut self,
        subject: &StreamName,
        schema: Fingerprint,
    ) -> Result<bool, StoreError> {
        self.change(subject, |tx, catalogue| {
            let Some(entry) = catalogue.entry(subject, schema) else {
                return Ok(false);
            };
            if entry.quarantine.is_none() || Shape::of(&entry.schema).is_err() {
                return Ok(false);
            }
            let entry = Entry {
                quarantine: None,
                ..entry.clone()
            };
            catalogue.put(tx, subject, entry)?;
            Ok(true)
        })
    }

    pub(super) fn set_compatibility(
        &mut self,
        subject: &StreamName,
        mode: Compatibility,
    ) -> Result<(), StoreError> {
        self.change(subject, |tx, catalogue| {
            catalogue.set_compatibility(tx, subject, mode)
        })
    }

    /// Changes what is known of a subject, in a transaction of its own, and its view with it. What was
    /// known when the transaction began is decided upon; who else changes it waits.
    fn change<T>(
        &mut self,
        subject: &StreamName,
        change: impl FnOnce(&Transaction<'_>, &mut Catalogue) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.opened.writing()?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = data_version(&tx)?;
        if self.seen != Some(now) {
            self.catalogue = catalogue::read(&tx)?;
            self.writers.clear();
        }
        // Until it is committed, what the catalogue has may not be there.
        self.seen = None;
        let before = self.catalogue.today(subject).cloned();
        let answer = change(&tx, &mut self.catalogue)?;
        if self.catalogue.today(subject) != before.as_ref() {
            view::renew(&tx, &self.catalogue, subject)?;
        }
        tx.commit()?;
        self.seen = Some(now);
        Ok(answer)
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
        inner.look()?;
        // Most announcements are known: they need no transaction that others wait for.
        let mode = inner.catalogue.compatibility(subject);
        let answer = decide(inner.catalogue.entries(subject), schema, mode);
        match answer {
            Registered::Known { .. } => Ok(answer),
            _ => inner.register(subject, schema),
        }
    }

    async fn lookup(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, StoreError> {
        let mut inner = self.lock();
        inner.look()?;
        Ok(inner.catalogue.entry(subject, fingerprint).cloned())
    }

    async fn versions(&self, subject: &StreamName) -> Result<Vec<Entry>, StoreError> {
        let mut inner = self.lock();
        inner.look()?;
        Ok(inner.catalogue.entries(subject).to_vec())
    }
}
