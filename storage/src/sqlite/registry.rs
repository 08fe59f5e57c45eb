//! The registry in the same file: which schema a fingerprint means, and which may be stored.

use rusqlite::TransactionBehavior;
use telemetry_core::{
    Compatibility, Entry, Fingerprint, Quarantine, Registered, Registry, Schema, StreamName,
};

use super::catalogue::{self, Catalogue, put_schema};
use super::{Inner, SqliteStore, view};
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
        // What was known when the transaction began is decided upon; who else registers waits.
        let max = self.options.limits.schemas_max;
        self.change(|tx, catalogue| {
            let known = catalogue.entries(subject);
            let mode = catalogue.compatibility(subject);
            let answer = decide(known, schema, mode);
            let fingerprint = schema.fingerprint();
            let is_known = known.iter().any(|e| e.schema.fingerprint() == fingerprint);
            if !is_known && known.len() >= max {
                return Ok(unsupported(format!("{subject} has {max} schemas already")));
            }
            match &answer {
                Registered::New { version } | Registered::Revision { version } => {
                    put_schema(tx, subject, schema, *version, false)?;
                }
                // A text that collides with a known meaning is not kept beside it: whoever sent it
                // is told, and its (device, epoch, stream) is set aside by the caller.
                Registered::Quarantined(_) if !is_known => {
                    let version = known.last().map_or(1, |e| e.version + 1);
                    put_schema(tx, subject, schema, version, true)?;
                }
                Registered::Known { .. } | Registered::Quarantined(_) => {}
            }
            Ok(answer)
        })
    }

    pub(super) fn accept(
        &mut self,
        subject: &StreamName,
        schema: Fingerprint,
    ) -> Result<bool, StoreError> {
        self.change(|tx, catalogue| {
            let Some(entry) = catalogue.entry(subject, schema) else {
                return Ok(false);
            };
            if entry.quarantine.is_none() || Shape::of(&entry.schema).is_err() {
                return Ok(false);
            }
            put_schema(tx, subject, &entry.schema, entry.version, false)?;
            Ok(true)
        })
    }

    pub(super) fn set_compatibility(
        &mut self,
        subject: &StreamName,
        mode: Compatibility,
    ) -> Result<(), StoreError> {
        self.change(|tx, _| {
            tx.execute(
                "INSERT INTO xpt_subject(subject, compatibility) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET compatibility = excluded.compatibility",
                [subject.as_str(), mode.as_str()],
            )?;
            Ok(())
        })
    }

    /// Changes the schemas in a transaction of its own, and the views with them.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&rusqlite::Transaction<'_>, &Catalogue) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.opened.writing()?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = catalogue::read(&tx)?;
        let answer = change(&tx, &before)?;
        self.seen = None;
        let after = catalogue::read(&tx)?;
        for stream in after.tables.keys() {
            if after.today(stream) != before.today(stream) {
                view::renew(&tx, &after, stream)?;
            }
        }
        tx.commit()?;
        self.look()?;
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
