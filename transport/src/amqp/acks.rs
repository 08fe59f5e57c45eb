//! Which deliveries are done, in as few acknowledgements as possible.

use std::collections::BTreeMap;

/// Deliveries of one channel by their tags, which grow.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Whether each is done.
    open: BTreeMap<u64, bool>,
    done: usize,
}

impl Acks {
    pub(super) fn delivered(&mut self, tag: u64) {
        self.open.insert(tag, false);
    }

    /// Notes a delivery as done; `false` where it was settled before.
    pub(super) fn done(&mut self, tag: u64) -> bool {
        match self.open.get_mut(&tag) {
            Some(done) if !*done => {
                *done = true;
                self.done += 1;
                true
            }
            _ => false,
        }
    }

    /// Takes a delivery out that is settled in another way; `false` where it was settled before.
    pub(super) fn take(&mut self, tag: u64) -> bool {
        match self.open.get(&tag) {
            Some(false) => self.open.remove(&tag).is_some(),
            _ => false,
        }
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
            && *first.get()
        {
            prefix = Some(first.remove_entry().0);
        }
        acks.extend(prefix.map(|tag| (tag, true)));
        self.open.retain(|&tag, done| {
            if *done {
                acks.push((tag, false));
            }
            !*done
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
        (1..=6).for_each(|tag| acks.delivered(tag));
        let first: Vec<bool> = [3, 1, 2, 5, 5].map(|tag| acks.done(tag)).into();
        assert_eq!(first, [true, true, true, true, false]);
        assert_eq!(acks.waiting(), 4);
        assert_eq!(acks.flush(), [(3, true), (5, false)]);
        assert_eq!(acks.flush(), []);
        assert!(!acks.done(3));
        assert!(acks.take(4) && !acks.take(4));
        acks.done(6);
        assert_eq!(acks.flush(), [(6, true)]);
        assert!(!acks.done(9));
    }
}
