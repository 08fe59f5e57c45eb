//! What every consumer offers, whatever it talks to: deliveries out, an answer to each back in.

use alloc::vec::Vec;
use core::future::Future;
use core::time::Duration;

use telemetry_core::Batch;

/// Names a delivery until it is answered.
///
/// It is good for the session it came from: a consumer that was opened again, or whose link was made
/// anew, hands out other tokens for what comes again, and an answer to an old one does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The opening of the consumer, or its link.
    pub session: u64,
    /// Number of the delivery in the session.
    pub number: u64,
}

/// A batch that a log or a broker hands to a consumer, to be acknowledged, retried or rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Names it in the answer.
    pub token: Token,
    /// The batch.
    pub batch: Batch,
    /// It may have been delivered before.
    pub redelivered: bool,
    /// How often it was put back by [`Deliveries::retry`] before.
    pub failures: u32,
}

/// What to do about an error of [`Deliveries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumeAction {
    /// Call again after a while, for as long as it takes: nothing was answered.
    BackOff,
    /// Replay or remove dead letters, then reject again; until then put the delivery back.
    MakeRoom,
    /// Open the consumer again: everything that was not acknowledged comes again.
    Reopen,
    /// Nothing helps but another configuration.
    Fatal,
}

/// A consumer of batches.
///
/// Everything comes at least once. Each delivery is answered by its own token, in any order: an
/// answer never stands for another delivery. What is not answered holds its place, and only so many
/// deliveries may be open at a time; beyond, [`next_group`](Self::next_group) waits for answers.
///
/// An acknowledgement is durable as far as the consumer's place can say it. A broker notes each; a
/// log notes up to where everything is done. So after a crash a delivery that was acknowledged may
/// come again if an earlier one was still open. The names in its envelope tell that it was there.
///
/// Every implementation passes the suite in `contract` (feature `test-util`).
pub trait Deliveries {
    /// Why a call failed.
    type Error: core::error::Error + Send + Sync + 'static;

    /// What to do about an error.
    fn action(error: &Self::Error) -> ConsumeAction;

    /// Waits until there is a delivery, and takes what is there, between one and `max`.
    ///
    /// Cancel safe: a future that is dropped before it is ready took nothing. Who does not want to
    /// wait polls it once.
    fn next_group(
        &mut self,
        max: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, Self::Error>> + Send;

    /// Takes these deliveries, and no other, as done. Call it when what was made of them is
    /// durable.
    ///
    /// After an error the same tokens may be acknowledged again.
    fn acknowledge(
        &mut self,
        tokens: &[Token],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Puts a delivery back: it comes again after a while, with one failure more and another token.
    ///
    /// What comes after it does not wait for it.
    fn retry(
        &mut self,
        delivery: &Delivery,
        after: Duration,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Puts a delivery aside as a dead letter, durably, with a reason of which 1 KiB is kept; then
    /// it is done.
    ///
    /// Where it fails, the delivery is still open: see [`action`](Self::action).
    fn reject(
        &mut self,
        delivery: &Delivery,
        reason: &str,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
