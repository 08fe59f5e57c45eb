//! Loss tests: nothing durable is lost, no name is given twice, whatever the disk forgets.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

#[cfg(feature = "amqp")]
mod agreement;
#[cfg(all(feature = "amqp", feature = "metrics"))]
mod amqp_metrics;
mod contract;
mod crash_states;
mod directory;
mod embedded;
mod embedded_loss;
mod embedded_reading;
mod journal;
#[cfg(unix)]
mod kill;
#[cfg(feature = "amqp")]
mod outliving;
#[cfg(feature = "amqp")]
mod scripted;
#[cfg(feature = "amqp")]
mod secrets;
#[cfg(feature = "shared")]
mod shared;
mod simulation;
mod splitting;
mod spool;
mod spool_damage;
mod spool_faults;
mod spool_gaps;
mod spool_loss;
mod spool_room;

/// A small generator of numbers (SplitMix64), so that a seed names a run for ever.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
