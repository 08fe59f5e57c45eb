//! Delays between attempts: exponential, with full jitter.

use core::time::Duration;

/// A small generator (SplitMix64): it spreads senders in time and guards nothing.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// How often something failed in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next delay: evenly from zero to `first` doubled per failure, `longest` at most.
    ///
    /// Full jitter: a fleet whose broker comes back does not come back as one.
    pub(crate) fn next(
        &mut self,
        first: Duration,
        longest: Duration,
        random: &mut Random,
    ) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let most = first.saturating_mul(factor).min(longest);
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        // The high half of the product is even over `0..=nanos` as far as 64 bits can be.
        let wide = u128::from(random.next()) * (u128::from(nanos) + 1);
        Duration::from_nanos((wide >> 64) as u64)
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}
