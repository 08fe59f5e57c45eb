//! The model of a broker with one queue, and of the consumer at its end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use telemetry_transport::SpooledBatch;

use super::Bug;
use super::device::{Name, records};

#[derive(Default)]
pub(super) struct Broker {
    /// Counts starts: what an earlier process did not sync is gone.
    pub(super) start: u64,
    pub(super) down: bool,
    /// The queue exists.
    pub(super) no_queue: bool,
    /// Batches to refuse.
    pub(super) refuse: u64,
    /// Batches that are too large.
    pub(super) too_large: u64,
    pub(super) no_majority: bool,
    /// Confirmations to lose.
    pub(super) lose_confirms: u64,
    pub(super) blocked: bool,
    pub(super) wrong_password: bool,
    /// What is on its disk, by its own number.
    pub(super) queue: BTreeMap<u64, Rc<SpooledBatch>>,
    /// Batches that reached a queue: a publisher that sends one again is seen.
    pub(super) known: HashSet<(u64, u8, u64)>,
}

#[derive(Default)]
pub(super) struct Consumer {
    /// What was taken in, committed together with its effect.
    seen: HashSet<Name>,
    pub(super) effects: HashMap<Name, u32>,
    pub(super) stalled: bool,
    /// Ends before its next commit.
    pub(super) dies: bool,
    /// Acknowledgements to lose.
    pub(super) lose_acks: u64,
}

impl Consumer {
    /// Takes a batch in; `given` says what each name stands for.
    pub(super) fn take(
        &mut self,
        batch: &SpooledBatch,
        given: &HashMap<Name, u64>,
        bug: Bug,
    ) -> Result<(), String> {
        for (name, number) in records(batch) {
            if given.get(&name) != Some(&number) {
                return Err(format!("{name:?} came with {number}"));
            }
            let key = match bug {
                Bug::DedupWithoutEpoch => (0, name.1, name.2),
                _ => name,
            };
            if self.seen.insert(key) {
                *self.effects.entry(name).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Ends and starts again.
    pub(super) fn restart(&mut self, bug: Bug) {
        if bug == Bug::DedupForgotten {
            self.seen.clear();
        }
    }
}
