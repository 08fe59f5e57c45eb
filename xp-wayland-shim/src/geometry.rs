//! Rectangles, damage and regions, in whole pixels.

use alloc::vec::Vec;

/// A rectangle; empty if a side is not positive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    /// Left edge in pixels.
    pub x: i32,
    /// Upper edge in pixels.
    pub y: i32,
    /// Width in pixels.
    pub width: i32,
    /// Height in pixels.
    pub height: i32,
}

impl Rect {
    /// A rectangle from its upper left corner and size.
    pub const fn new(x: i32, y: i32, width: i32, height: i32) -> Self {
        Self {
            x,
            y,
            width,
            height,
        }
    }

    /// Whether it has no pixel.
    pub const fn is_empty(&self) -> bool {
        self.width <= 0 || self.height <= 0
    }

    /// Number of pixels.
    pub const fn area(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        self.width as u64 * self.height as u64
    }

    const fn right(&self) -> i32 {
        self.x.saturating_add(self.width)
    }

    const fn bottom(&self) -> i32 {
        self.y.saturating_add(self.height)
    }

    /// Whether the pixel at (`x`, `y`) lies inside.
    pub const fn contains(&self, x: i32, y: i32) -> bool {
        x >= self.x && y >= self.y && x < self.right() && y < self.bottom()
    }

    /// The part that both have, empty if there is none.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        Self {
            x,
            y,
            width: self.right().min(other.right()).saturating_sub(x).max(0),
            height: self.bottom().min(other.bottom()).saturating_sub(y).max(0),
        }
    }

    /// The smallest rectangle around both.
    #[must_use]
    pub fn bounding(&self, other: &Self) -> Self {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        Self {
            x,
            y,
            width: self.right().max(other.right()).saturating_sub(x),
            height: self.bottom().max(other.bottom()).saturating_sub(y),
        }
    }

    /// The same rectangle elsewhere.
    #[must_use]
    pub const fn translated(&self, dx: i32, dy: i32) -> Self {
        Self::new(
            self.x.saturating_add(dx),
            self.y.saturating_add(dy),
            self.width,
            self.height,
        )
    }
}

/// What changed: a few rectangles, merged once there are too many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Damage {
    rects: [Rect; Self::MAX],
    len: usize,
}

impl Damage {
    /// A clock's digits, a chart and some labels stay apart; more is cheaper to copy as one.
    const MAX: usize = 8;

    pub(crate) fn add(&mut self, rect: Rect) {
        if rect.is_empty() {
            return;
        }
        if self.len == Self::MAX {
            self.rects[0] = self.rects().iter().fold(rect, |all, one| all.bounding(one));
            self.len = 1;
            return;
        }
        self.rects[self.len] = rect;
        self.len += 1;
    }

    pub(crate) fn rects(&self) -> &[Rect] {
        &self.rects[..self.len]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Damage moved by (`dx`, `dy`) and cut to `clip`.
    pub(crate) fn mapped(&self, dx: i32, dy: i32, clip: &Rect) -> Self {
        let mut out = Self::default();
        for rect in self.rects() {
            out.add(rect.translated(dx, dy).intersection(clip));
        }
        out
    }
}

/// A region: rectangles added and subtracted in order, so the last one that covers a point decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Region {
    steps: Vec<(bool, Rect)>,
}

impl Region {
    /// Adds (`true`) or subtracts a rectangle.
    pub(crate) fn push(&mut self, add: bool, rect: Rect) {
        self.steps.push((add, rect));
    }

    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(crate) fn contains(&self, x: i32, y: i32) -> bool {
        self.steps
            .iter()
            .rev()
            .find(|(_, rect)| rect.contains(x, y))
            .is_some_and(|(add, _)| *add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_rectangle_decides() {
        let mut region = Region::default();
        region.push(true, Rect::new(0, 0, 10, 10));
        region.push(false, Rect::new(2, 2, 4, 4));
        assert!(region.contains(1, 1) && !region.contains(3, 3) && !region.contains(10, 0));
    }

    proptest! {
        #[test]
        fn damage_covers_all_it_was_given(
            rects in proptest::collection::vec((-50..50i32, -50..50i32, 1..30i32, 1..30i32), 0..40)
        ) {
            let mut damage = Damage::default();
            for &(x, y, w, h) in &rects {
                damage.add(Rect::new(x, y, w, h));
            }
            for &(x, y, w, h) in &rects {
                let whole = Rect::new(x, y, w, h);
                prop_assert!(damage.rects().iter().any(|r| r.intersection(&whole) == whole));
            }
        }

        #[test]
        fn extreme_rectangles_never_panic(a: [i32; 4], b: [i32; 4], dx: i32) {
            let (a, b) = (Rect::new(a[0], a[1], a[2], a[3]), Rect::new(b[0], b[1], b[2], b[3]));
            let _ = a.intersection(&b).area() + a.bounding(&b).area() + a.translated(dx, dx).area();
            prop_assert!(a.intersection(&b).area() <= a.area());
        }
    }
}
