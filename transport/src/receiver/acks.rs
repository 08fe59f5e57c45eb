//! Which deliveries are done, in as few acknowledgements as possible.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// Handed out.
    Out,
    /// To be acknowledged.
    Done,
    /// To be acknowledged once the broker has what takes its place.
    PutOff,
}

/// Deliveries of one channel by their tags, which count from 1 without a gap.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Each with its queue.
    open: BTreeMap<u64, (Open, usize)>,
    done: usize,
    /// All deliveries up to this tag are known. Those of another queue may still be on their way
    /// from lapin when a later one is known: an acknowledgement of several must not take them along.
    known: u64,
    /// Known beyond that.
    ahead: BTreeSet<u64>,
}

impl Acks {
    pub(super) fn delivered(&mut self, tag: u64, queue: usize) {
        self.open.insert(tag, (Open::Out, queue));
        self.ahead.insert(tag);
        while self.ahead.remove(&(self.known + 1)) {
            self.known += 1;
        }
    }

    fn change(&mut self, tag: u64, to: Open) -> bool {
        match self.open.get_mut(&tag) {
            Some((open, _)) if *open == Open::Out => {
                *open = to;
                true
            }
            _ => false,
        }
    }

    /// Notes a delivery as done; `false` where it was settled before.
    pub(super) fn done(&mut self, tag: u64) -> bool {
        let changed = self.change(tag, Open::Done);
        self.done += usize::from(changed);
        changed
    }

    /// Notes a delivery as put off; `false` where it was settled before.
    pub(super) fn put_off(&mut self, tag: u64) -> bool {
        self.change(tag, Open::PutOff)
    }

    /// The broker has for good what takes the place of a delivery that was put off: it is done.
    /// `false` where it was not put off.
    pub(super) fn replaced(&mut self, tag: u64) -> bool {
        match self.open.get_mut(&tag) {
            Some((open, _)) if *open == Open::PutOff => {
                *open = Open::Done;
                self.done += 1;
                true
            }
            _ => false,
        }
    }

    /// Deliveries of a queue that are not acknowledged.
    pub(super) fn open_of(&self, queue: usize) -> usize {
        let queues = self.open.values();
        queues.filter(|(_, of)| *of == queue).count()
    }

    /// Deliveries that are done and not acknowledged.
    pub(super) fn waiting(&self) -> usize {
        self.done
    }

    /// The acknowledgements to send: tag, and whether it takes all before it along.
    pub(super) fn flush(&mut self) -> Vec<(u64, bool)> {
        let mut acks = Vec::new();
        let mut prefix = None;
        while let Some(first) = self.open.first_entry()
            && first.get().0 == Open::Done
            && *first.key() <= self.known
        {
            prefix = Some(first.remove_entry().0);
        }
        acks.extend(prefix.map(|tag| (tag, true)));
        self.open.retain(|&tag, (open, _)| {
            let done = *open == Open::Done;
            if done {
                acks.push((tag, false));
            }
            !done
        });
        self.done = 0;
        acks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_one_acknowledgement() {
        let mut acks = Acks::default();
        (1..=6).for_each(|tag| acks.delivered(tag, tag as usize % 2));
        assert_eq!(
            (acks.open_of(0), acks.open_of(1), acks.open_of(2)),
            (3, 3, 0)
        );
        let first: Vec<bool> = [3, 1, 2, 5, 5].map(|tag| acks.done(tag)).into();
        assert_eq!(first, [true, true, true, true, false]);
        assert_eq!(acks.waiting(), 4);
        assert_eq!(acks.flush(), [(3, true), (5, false)]);
        assert_eq!(acks.flush(), []);
        assert!(!acks.done(3));
        assert!(acks.put_off(4) && !acks.put_off(4) && !acks.done(4));
        acks.done(6);
        assert_eq!(
            acks.flush(),
            [(6, false)],
            "nothing has taken the place of 4"
        );
        assert!(acks.replaced(4) && !acks.replaced(4));
        assert_eq!(acks.waiting(), 1);
        assert!(!acks.done(9));
        acks.delivered(7, 0);
        acks.done(7);
        assert_eq!(acks.flush(), [(7, true)]);
    }

    #[test]
    fn what_another_queue_has_on_its_way_is_not_taken_along() {
        let mut acks = Acks::default();
        [1, 3].into_iter().for_each(|tag| acks.delivered(tag, 0));
        assert!(acks.done(1) && acks.done(3));
        assert_eq!(acks.flush(), [(1, true), (3, false)]);
        acks.delivered(2, 0);
        acks.delivered(4, 0);
        assert!(acks.done(2) && acks.done(4));
        assert_eq!(acks.flush(), [(4, true)]);
    }
}
