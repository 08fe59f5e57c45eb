//! RabbitMQ itself: the contract of a broker, and every fault that takes a real one.
//!
//! Every row has the same oracle: each record with a durable receipt takes effect at the consumer
//! exactly once. Batches that come again are counted, and dropped by their names.
//!
//! | # | fault | shown by |
//! |---|---|---|
//! | 1, 2 | broker killed, restarted | [`single`] |
//! | 1, 7, 11, 13 | the same, a black hole, resets, an alarm, for a spool of many tasks | [`shared`] |
//! | 3, 4 | leader killed, majority lost | [`cluster`] |
//! | 5, 6 | partition, node cut off | [`cluster`] |
//! | 7, 8, 9, 10, 11 | black hole, latency, bandwidth, loss, reset | [`single`] |
//! | 7 to 10 | a black hole while nothing is sent; slow, narrow and lossy at once | [`single`] |
//! | 12 | a mix of them | [`chaos`] |
//! | 13, 14 | memory and disk alarm | [`single`] |
//! | 15 | disk full | [`power`]; every call: `spool_faults` and the simulation |
//! | 16 | process killed at named points | [`kills`] |
//! | 17 | power cut | [`power`]; any subset of sectors: the simulation |
//! | 18 | torn and corrupt tails | `spool_damage`: every cut, every flipped bit |
//! | 19, 20 | unsynced bytes lost, EIO | `spool_loss`, `spool_faults` and the simulation |
//! | 21 | clock jumps | the simulation (`ClockForward`, `ClockBack`): time is an argument |
//! | 22 | duplicates, redelivery | every row here: a seventh of all batches is given back once |
//! | 23 | poison | [`refusals`] |
//! | 24, 25 | unroutable, queue full | [`refusals`] |
//! | 26 | consumer timeout | [`refusals`] |
//! | 27 | wrong password, limits, permissions, authority, expired certificate, other queues | [`refusals`] |
//!
//! Links that open slowly are in [`slow`], queues that go silent in [`silence`], and what a broker
//! has to have in [`topology`].
#![expect(clippy::unwrap_used, reason = "a failed test panics")]
#![expect(clippy::print_stdout, reason = "each fault says what it cost")]

mod chaos;
mod cluster;
mod contract;
mod examples;
mod kills;
mod power;
mod refusals;
mod rig;
mod shared;
mod silence;
mod single;
mod slow;
mod topology;
