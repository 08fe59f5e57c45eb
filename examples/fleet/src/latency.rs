//! Latencies in a histogram of fixed size: 16 steps per power of two, so 6 % at worst.

use std::time::Duration;

const STEPS: usize = 16;

/// Counts of durations, in microseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: [u64; 40 * STEPS],
    total: u64,
    sum: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: [0; 40 * STEPS],
            total: 0,
            sum: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn record(&mut self, duration: Duration) {
        let us = duration.as_micros().max(1) as u64;
        let power = us.ilog2() as usize;
        let step = if power >= 4 {
            (us >> (power - 4)) as usize & (STEPS - 1)
        } else {
            0
        };
        let at = (power * STEPS + step).min(self.counts.len() - 1);
        self.counts[at] += 1;
        self.total += 1;
        self.sum += duration;
    }

    /// Adds the counts of another one.
    pub fn merge(&mut self, other: &Self) {
        for (a, b) in self.counts.iter_mut().zip(&other.counts) {
            *a += b;
        }
        self.total += other.total;
        self.sum += other.sum;
    }

    /// All durations together.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// The duration that `share` of all stay below, from 0 to 1; zero if there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                let (power, step) = (at / STEPS, at % STEPS);
                let us = (1u64 << power) + ((step as u64) << power) / STEPS as u64;
                return Duration::from_micros(us);
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let mut h = Histogram::default();
        for us in 1..=10_000 {
            h.record(Duration::from_micros(us));
        }
        for (share, expected) in [(0.5, 5_000.0), (0.99, 9_900.0)] {
            let found = h.quantile(share).as_micros() as f64;
            assert!((found / expected - 1.0).abs() < 0.07, "{found}");
        }
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}
