//! Plans that were compiled before.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use crate::{Fingerprint, Plan, PlanError, Schema};

/// Keeps plans by writer and reader: compiling one costs more than decoding many records with it.
///
/// The last plan used is found without a search, since telemetry nearly always has the schema of
/// the record before. The plan used longest ago makes room for a new one.
///
/// ```
/// use telemetry_avro::{PlanCache, Schema};
///
/// let (writer, reader) = (Schema::parse(r#""int""#)?, Schema::parse(r#""long""#)?);
/// let mut plans = PlanCache::default();
/// let plan = plans.get(&writer, &reader)?;
/// assert!(std::sync::Arc::ptr_eq(&plan, &plans.get(&writer, &reader)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PlanCache {
    plans_max: usize,
    plans: BTreeMap<Key, (u64, Arc<Plan>)>,
    last: Option<(Key, Arc<Plan>)>,
    /// Counts uses, to know which plan was used longest ago.
    clock: u64,
}

/// What a plan depends on: of the writer only what is on the wire, of the reader also aliases and
/// defaults, which are in its text alone.
type Key = (Fingerprint, Fingerprint);

impl PlanCache {
    /// Keeps up to `plans_max` plans, at least 1.
    pub const fn new(plans_max: usize) -> Self {
        Self {
            plans_max: if plans_max == 0 { 1 } else { plans_max },
            plans: BTreeMap::new(),
            last: None,
            clock: 0,
        }
    }

    /// The plan from `writer` to `reader`, compiled if it is not there.
    pub fn get(&mut self, writer: &Schema, reader: &Schema) -> Result<Arc<Plan>, PlanError> {
        let key = (writer.fingerprint(), reader.text_fingerprint());
        if let Some((last, plan)) = &self.last
            && *last == key
        {
            return Ok(plan.clone());
        }
        self.clock += 1;
        let plan = match self.plans.get_mut(&key) {
            Some((used, plan)) => {
                *used = self.clock;
                plan.clone()
            }
            None => {
                let plan = Arc::new(Plan::compile(writer, reader)?);
                if self.plans.len() >= self.plans_max {
                    let oldest = self.plans.iter().min_by_key(|(_, (used, _))| *used);
                    if let Some(oldest) = oldest.map(|(key, _)| *key) {
                        self.plans.remove(&oldest);
                    }
                }
                self.plans.insert(key, (self.clock, plan.clone()));
                plan
            }
        };
        self.last = Some((key, plan.clone()));
        Ok(plan)
    }

    /// How many plans it keeps now.
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }
}

impl Default for PlanCache {
    /// 256 plans: some megabytes, and more pairs than a fleet has firmwares.
    fn default() -> Self {
        Self::new(256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;

    #[test]
    fn keeps_what_was_used_last() {
        let schemas: Vec<Schema> = (0..4)
            .map(|size| {
                Schema::parse(&format!(r#"{{"type":"fixed","name":"F","size":{size}}}"#)).unwrap()
            })
            .collect();
        let mut cache = PlanCache::new(2);
        let mut get = |i: usize| cache.get(&schemas[i], &schemas[i]).unwrap();
        let (zero, one) = (get(0), get(1));
        assert!(Arc::ptr_eq(&zero, &get(0)));
        get(2);
        assert!(Arc::ptr_eq(&zero, &get(0)), "used after 1");
        assert!(!Arc::ptr_eq(&one, &get(1)), "made room for 2");
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_revision_of_the_reader_is_another_reader() {
        let record = |field: &str| {
            Schema::parse(&format!(
                r#"{{"type":"record","name":"R","fields":[{field}]}}"#
            ))
            .unwrap()
        };
        let writer = record(r#"{"name":"a","type":"int"}"#);
        let mut cache = PlanCache::default();
        let reader = record(r#"{"name":"b","type":"int"}"#);
        assert!(!cache.get(&writer, &reader).unwrap().problems().is_empty());
        let reader = record(r#"{"name":"b","type":"int","aliases":["a"]}"#);
        assert!(cache.get(&writer, &reader).unwrap().problems().is_empty());
    }
}
