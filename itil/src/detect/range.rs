//! A detector for values that leave the range of their own history.

use super::Score;

/// Settings of a [`RangeBreak`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeBreakConfig {
    /// Values that only teach, before the first score. Default 30.
    pub warm_up: u32,
    /// The narrowest history that counts, in the unit of the series: what is too small to matter.
    /// Default 1.
    pub width_min: f64,
    /// How fast a bound follows values outside of it, per value. Small, so that an outage does not
    /// become normal while it lasts. Default 1/64.
    pub learn: f64,
    /// How fast a bound closes in on values inside of it, per value. Default 1/2048.
    pub forget: f64,
    /// Values for which a score stays [`fresh`](Score::fresh) only by being worse. Default 120.
    pub refractory: u32,
}

impl Default for RangeBreakConfig {
    fn default() -> Self {
        Self {
            warm_up: 30,
            width_min: 1.0,
            learn: 1.0 / 64.0,
            forget: 1.0 / 2048.0,
            refractory: 120,
        }
    }
}

/// Scores a value by how far it lies outside of the range seen so far.
///
/// Fits series whose normal is a band: spool depth, lag, queue age. An absent heartbeat is the
/// series "seconds since the last one", sampled by a timer. On the Numenta Anomaly Benchmark the
/// one-line form of this idea outscores far heavier detectors; the decay is what production adds.
///
/// Time and memory per value are constant; a value that is not finite scores nothing and teaches
/// nothing.
#[derive(Clone, Debug)]
pub struct RangeBreak {
    config: RangeBreakConfig,
    /// Lowest and highest of the remembered range, once there was a value.
    range: Option<(f64, f64)>,
    seen: u32,
    /// Worst recent excess, and how many values ago.
    spoken: Option<(f64, u32)>,
}

impl RangeBreak {
    /// A detector without history.
    pub const fn new(config: RangeBreakConfig) -> Self {
        Self {
            config,
            range: None,
            seen: 0,
            spoken: None,
        }
    }

    /// Scores `x`, then learns from it.
    pub fn update(&mut self, x: f64) -> Score {
        if !x.is_finite() {
            return Score::default();
        }
        let Some((low, high)) = self.range else {
            self.range = Some((x, x));
            self.seen = 1;
            return Score::default();
        };
        if self.seen < self.config.warm_up {
            self.seen += 1;
            self.range = Some((low.min(x), high.max(x)));
            return Score::default();
        }
        let width = (high - low).max(self.config.width_min);
        let outside = (x - high).max(low - x).max(0.0);
        let excess = if outside > 0.0 { outside / width } else { 0.0 };
        let pull = |bound: f64, is_outside: bool| {
            let rate = if is_outside {
                self.config.learn
            } else {
                self.config.forget
            };
            bound + (x - bound) * rate
        };
        self.range = Some((pull(low, x < low), pull(high, x > high)));
        Score {
            excess,
            fresh: self.is_fresh(excess),
        }
    }

    fn is_fresh(&mut self, excess: f64) -> bool {
        if let Some((_, age)) = &mut self.spoken {
            *age += 1;
            if *age > self.config.refractory {
                self.spoken = None;
            }
        }
        let fresh = excess > self.spoken.map_or(0.0, |(worst, _)| worst);
        if fresh {
            self.spoken = Some((excess, 0));
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn warm(values: impl Iterator<Item = f64>) -> RangeBreak {
        let mut detector = RangeBreak::new(RangeBreakConfig::default());
        for x in values {
            assert!(detector.update(x).excess < 0.1);
        }
        detector
    }

    #[test]
    fn a_growing_backlog_stays_outside_while_it_lasts() {
        let mut depth = warm((0..100).map(|i| f64::from(i % 5)));
        for second in 1..=60 {
            let score = depth.update(4.0 + 50.0 * f64::from(second));
            assert!(score.excess > 1.0, "second {second}: {score:?}");
        }
        assert!(depth.update(2.0).excess < 1.0);
    }

    #[test]
    fn an_absent_heartbeat_is_a_growing_age() {
        let mut age = warm((0..60).map(|i| 1.0 + f64::from(i % 3) / 10.0));
        let scores: Vec<f64> = (2..12).map(|s| age.update(f64::from(s)).excess).collect();
        assert!(scores[1] < 2.0 && scores[9] > 5.0, "{scores:?}");
    }

    #[test]
    fn speaks_once_until_it_gets_worse_or_time_has_passed() {
        let mut d = warm((0..100).map(|i| f64::from(i % 5)));
        assert!(d.update(100.0).fresh);
        assert!(!d.update(90.0).fresh);
        assert!(d.update(400.0).fresh);
        for _ in 0..120 {
            assert!(!d.update(2.0).fresh);
        }
        assert!(d.update(100.0).fresh);
    }

    proptest! {
        /// No number makes it panic, and a score is never negative or NaN.
        #[test]
        fn survives_any_series(values in prop::collection::vec(any::<f64>(), 0..200)) {
            let mut d = RangeBreak::new(RangeBreakConfig { warm_up: 3, ..Default::default() });
            for x in values {
                prop_assert!(d.update(x).excess >= 0.0);
            }
        }

        /// A constant series is never outside of itself.
        #[test]
        fn constant_is_normal(x in -1e12f64..1e12, n in 1usize..500) {
            warm(std::iter::repeat_n(x, n));
        }
    }
}
