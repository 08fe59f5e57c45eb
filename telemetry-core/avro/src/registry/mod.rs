//! What registries have in common: their entries, and which schema may follow which.

mod compatibility;
mod plans;

pub use compatibility::{Compatibility, CompatibilityError, Conflict, Direction};
pub use plans::PlanCache;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::{Incompatibility, Schema};

/// A registered schema.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The newest revision of its text.
    pub schema: Arc<Schema>,
    /// 1, 2, 3, … within the subject; the same for all revisions.
    pub version: u32,
    /// Why its records are set aside; `None` for an accepted schema.
    pub quarantine: Option<Quarantine>,
}

/// What became of a schema offered to a registry.
#[derive(Clone, Debug, PartialEq)]
pub enum Registered {
    /// A new version.
    New {
        /// Its number.
        version: u32,
    },
    /// Known before, in the same words.
    Known {
        /// Its number.
        version: u32,
    },
    /// A known fingerprint whose text differs in doc, aliases or defaults: readers use this text.
    Revision {
        /// Its number.
        version: u32,
    },
    /// Not accepted: its records are set aside until a person decides.
    Quarantined(Quarantine),
}

/// Why a schema is not accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Quarantine {
    /// It and an earlier version do not read each other as they must.
    Incompatible {
        /// The earlier version.
        version: u32,
        /// Who could not read whom.
        direction: Direction,
        /// What stands against it.
        problems: Vec<Incompatibility>,
    },
    /// The same fingerprint already means something else: a logical type or an `xpt.*` property
    /// differs.
    OtherMeaning {
        /// The version it collides with.
        version: u32,
    },
    /// This release cannot resolve schemas of this form.
    Unsupported {
        /// Which form.
        reason: String,
    },
}

/// Decides what becomes of `offered` beside the `known` entries of its subject, oldest first.
///
/// Registries store what this returns; deciding is here, once. What is quarantined does not count
/// as an earlier version.
pub fn decide(known: &[Entry], offered: &Schema, compatibility: Compatibility) -> Registered {
    let fingerprint = offered.fingerprint();
    if let Some(same) = known.iter().find(|e| e.schema.fingerprint() == fingerprint) {
        let version = same.version;
        return if same.schema.meaning() != offered.meaning() {
            Registered::Quarantined(Quarantine::OtherMeaning { version })
        } else if let Some(quarantine) = &same.quarantine {
            Registered::Quarantined(quarantine.clone())
        } else if same_json(same.schema.json(), offered.json()) {
            Registered::Known { version }
        } else {
            Registered::Revision { version }
        };
    }
    let accepted: Vec<&Entry> = known.iter().filter(|e| e.quarantine.is_none()).collect();
    let earlier: Vec<&Schema> = accepted.iter().map(|e| &*e.schema).collect();
    match compatibility.check(&earlier, offered) {
        Ok(None) => Registered::New {
            version: known.last().map_or(1, |e| e.version + 1),
        },
        Ok(Some(conflict)) => Registered::Quarantined(Quarantine::Incompatible {
            version: accepted[conflict.earlier].version,
            direction: conflict.direction,
            problems: conflict.problems,
        }),
        Err(error) => Registered::Quarantined(Quarantine::Unsupported {
            reason: alloc::format!("{error}"),
        }),
    }
}

/// Whether two texts say the same: a registry may write them in another way than they came.
fn same_json(a: &str, b: &str) -> bool {
    let value = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    a == b || value(a) == value(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    fn decide(known: &[Entry], offered: &Schema) -> Registered {
        super::decide(known, offered, Compatibility::default())
    }

    fn schema(fields: &str) -> Schema {
        Schema::parse(&format!(
            r#"{{"type":"record","name":"R","fields":[{fields}]}}"#
        ))
        .unwrap()
    }

    fn entry(version: u32, schema: Schema) -> Entry {
        Entry {
            schema: Arc::new(schema),
            version,
            quarantine: None,
        }
    }

    #[test]
    fn versions_revisions_and_quarantine() {
        let v1 = r#"{"name":"a","type":"int"}"#;
        let known = vec![entry(1, schema(v1))];
        assert_eq!(decide(&[], &schema(v1)), Registered::New { version: 1 });
        assert_eq!(
            decide(&known, &schema(v1)),
            Registered::Known { version: 1 }
        );
        assert_eq!(
            decide(&known, &schema(r#"{"name":"a","type":"int","doc":"x"}"#)),
            Registered::Revision { version: 1 }
        );
        assert_eq!(
            decide(
                &known,
                &schema(r#"{"name":"a","type":"long"},{"name":"b","type":"int","default":0}"#)
            ),
            Registered::New { version: 2 }
        );
        assert!(matches!(
            decide(&known, &schema(r#"{"name":"a","type":"string"}"#)),
            Registered::Quarantined(Quarantine::Incompatible { version: 1, .. })
        ));
        assert_eq!(
            decide(
                &known,
                &schema(r#"{"name":"a","type":{"type":"int","logicalType":"date"}}"#)
            ),
            Registered::Quarantined(Quarantine::OtherMeaning { version: 1 })
        );
    }

    #[test]
    fn every_accepted_version_counts() {
        let known = vec![
            entry(1, schema(r#"{"name":"a","type":"string"}"#)),
            entry(2, schema(r#"{"name":"b","type":"int","default":0}"#)),
        ];
        let offered = schema(r#"{"name":"a","type":"int","default":0}"#);
        assert!(matches!(
            decide(&known, &offered),
            Registered::Quarantined(Quarantine::Incompatible { version: 1, .. })
        ));
    }
}
