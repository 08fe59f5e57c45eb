//! The newest values of a curve: a window that moves with the clock and never grows.

use std::collections::VecDeque;
use std::time::Duration;

/// Seconds of virtual time that a point stands for.
pub(super) const WIDTH_S: u64 = 5;

/// Points of a window: ten minutes.
pub(super) const POINTS: usize = 120;

/// The means of the newest ten minutes.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// Place of the first point, counted from the start of the run.
    first: u64,
    points: VecDeque<(f64, u32)>,
}

impl Window {
    /// Adds a value; one that is older than the window is left out.
    pub(super) fn push(&mut self, at: Duration, value: f64) {
        let place = at.as_secs() / WIDTH_S;
        if self.points.is_empty() {
            self.first = place;
        }
        let Some(mut offset) = place.checked_sub(self.first) else {
            return;
        };
        while offset >= POINTS as u64 && !self.points.is_empty() {
            self.points.pop_front();
            self.first += 1;
            offset -= 1;
        }
        if offset >= POINTS as u64 {
            (self.first, offset) = (place, 0);
        }
        // Below `POINTS`.
        let offset = offset as usize;
        if self.points.len() <= offset {
            self.points.resize(offset + 1, (0.0, 0));
        }
        let (sum, count) = &mut self.points[offset];
        *sum += value;
        *count += 1;
    }

    /// Whether there never was a value.
    pub(super) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The means of the ten minutes up to `now`, oldest first; `None` where there is no value.
    pub(super) fn means(&self, now: Duration) -> Vec<Option<f64>> {
        let start = Self::start(now);
        let mean = |place: u64| {
            let offset = usize::try_from(place.checked_sub(self.first)?).ok()?;
            let (sum, count) = *self.points.get(offset)?;
            (count > 0).then(|| (sum / f64::from(count) * 100.0).round() / 100.0)
        };
        (start..start + POINTS as u64).map(mean).collect()
    }

    /// The place of the first point that is shown at `now`.
    pub(super) fn start(now: Duration) -> u64 {
        (now.as_secs() / WIDTH_S + 1).saturating_sub(POINTS as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_and_keeps_its_size() {
        let mut window = Window::default();
        let at = Duration::from_secs;
        assert!(window.means(at(7)).iter().all(Option::is_none));
        for second in 0..100_000 {
            window.push(at(second), second as f64);
        }
        assert_eq!(window.points.len(), POINTS);
        let means = window.means(at(99_999));
        assert_eq!(means.len(), POINTS);
        assert_eq!(means.last(), Some(&Some(99_997.0)));
        // Nothing came for a while.
        let means = window.means(at(100_099));
        assert_eq!(means.last(), Some(&None));
        assert_eq!(means[POINTS - 21], Some(99_997.0));
        // After a long silence, and what comes late.
        window.push(at(900_000), 1.0);
        window.push(at(1), 1.0);
        assert_eq!(window.means(at(900_000)).iter().flatten().count(), 1);
    }

    #[test]
    fn late_values_fill_the_gap_they_left() {
        let mut window = Window::default();
        let at = Duration::from_secs;
        window.push(at(0), 1.0);
        window.push(at(60), 2.0);
        window.push(at(30), 3.0);
        let found: Vec<f64> = window.means(at(60)).into_iter().flatten().collect();
        assert_eq!(found, [1.0, 3.0, 2.0]);
    }
}
