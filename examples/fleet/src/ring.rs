//! The newest of many things.

use std::collections::VecDeque;

/// The newest things of a list without end, each with its number, which counts from 0.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    things: VecDeque<T>,
    /// Number of the oldest one kept.
    first: u64,
    max: usize,
}

impl<T> Ring<T> {
    /// A ring that keeps `max` things.
    pub const fn new(max: usize) -> Self {
        Self {
            things: VecDeque::new(),
            first: 0,
            max,
        }
    }

    /// Adds a thing; the oldest one where there is no room for both.
    pub fn push(&mut self, thing: T) -> Option<T> {
        self.things.push_back(thing);
        let full = self.things.len() > self.max;
        let oldest = if full { self.things.pop_front() } else { None };
        self.first += u64::from(oldest.is_some());
        oldest
    }

    /// The thing with a number, if it is still there.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let at = number.checked_sub(self.first)?;
        self.things.get_mut(usize::try_from(at).ok()?)
    }

    /// What is kept, oldest first.
    pub fn iter(&self) -> std::collections::vec_deque::Iter<'_, T> {
        self.things.iter()
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.first + self.things.len() as u64
    }

    /// How many there were that are not kept.
    pub const fn dropped(&self) -> u64 {
        self.first
    }

    /// Whether there was nothing.
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }
}

impl<'a, T> IntoIterator for &'a Ring<T> {
    type Item = &'a T;
    type IntoIter = std::collections::vec_deque::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_found_by_their_numbers() {
        let mut ring = Ring::new(3);
        let dropped: Vec<_> = (0..5).filter_map(|n| ring.push(n * 10)).collect();
        assert_eq!(dropped, [0, 10]);
        assert_eq!(ring.iter().collect::<Vec<_>>(), [&20, &30, &40]);
        assert_eq!(ring.get_mut(1), None);
        assert_eq!(ring.get_mut(2), Some(&mut 20));
        assert_eq!(ring.get_mut(5), None);
        assert_eq!((ring.count(), ring.dropped()), (5, 2));
    }
}
