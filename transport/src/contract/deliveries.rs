//! The suite for [`Deliveries`]: what a service may rest on, whatever its consumer talks to.

use alloc::string::String;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use telemetry_core::Batch;

use super::{Failure, batch, batches};
use crate::{Deliveries, Delivery, Token};

/// A log or a broker with one consumer, as the suite drives it.
pub trait Source {
    /// Its consumer.
    type Deliveries: Deliveries;

    /// Publishes batches; they are confirmed when it returns.
    fn publish(&mut self, batches: &[Batch]) -> impl Future<Output = Result<(), Failure>>;
    /// Opens the consumer; the same one each time.
    fn open(&mut self) -> impl Future<Output = Result<Self::Deliveries, Failure>>;
    /// Ends the log or broker without warning and starts it again. The suite has dropped the
    /// consumer before.
    fn crash(&mut self) -> impl Future<Output = Result<(), Failure>>;
    /// What the consumer rejected: reason and batch, oldest first.
    fn dead_letters(&mut self) -> impl Future<Output = Result<Vec<(String, Batch)>, Failure>>;
}

/// Runs every case against a source of its own.
pub async fn check_deliveries<S: Source>(
    mut empty: impl AsyncFnMut() -> Result<S, Failure>,
) -> Result<(), Failure> {
    a_group_waits_for_its_first_delivery(&mut empty().await?).await?;
    a_group_is_what_is_there(&mut empty().await?).await?;
    an_answer_stands_for_one_delivery(&mut empty().await?).await?;
    what_is_put_back_comes_again(&mut empty().await?).await?;
    an_old_token_answers_nothing(&mut empty().await?).await?;
    what_is_rejected_is_kept_with_its_reason(&mut empty().await?).await
}

/// Whether a future is ready at once.
async fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

/// As many deliveries as are expected, in as many groups as it takes.
async fn take(deliveries: &mut impl Deliveries, count: usize) -> Result<Vec<Delivery>, Failure> {
    let mut all = Vec::new();
    while all.len() < count {
        let left = count - all.len();
        let group = deliveries.next_group(left).await?;
        assert!(
            (1..=left).contains(&group.len()),
            "a group has 1 to max deliveries"
        );
        all.extend(group);
    }
    Ok(all)
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    let numbers = deliveries.iter();
    numbers.map(|d| d.batch.envelope.first_seq.get()).collect()
}

fn tokens(deliveries: &[Delivery]) -> Vec<Token> {
    deliveries.iter().map(|d| d.token).collect()
}

async fn a_group_waits_for_its_first_delivery(source: &mut impl Source) -> Result<(), Failure> {
    let mut deliveries = source.open().await?;
    assert!(
        once(deliveries.next_group(8)).await.is_none(),
        "without a delivery it waits"
    );
    source.publish(&batches(1, 1..3)?).await?;
    let all = take(&mut deliveries, 2).await?;
    assert_eq!(numbers(&all), [1, 2], "a dropped future took nothing");
    assert!(all.iter().all(|d| d.failures == 0), "nothing failed yet");
    Ok(())
}

async fn a_group_is_what_is_there(source: &mut impl Source) -> Result<(), Failure> {
    let mut deliveries = source.open().await?;
    source.publish(&batches(1, 1..8)?).await?;
    let all = take(&mut deliveries, 7).await?;
    assert_eq!(numbers(&all), [1, 2, 3, 4, 5, 6, 7], "in order, each once");
    deliveries.acknowledge(&tokens(&all)).await?;
    source.publish(&[batch(1, 8)?]).await?;
    let next = take(&mut deliveries, 1).await?;
    assert_eq!(numbers(&next), [8], "what is done does not come again");
    Ok(())
}

async fn an_answer_stands_for_one_delivery(source: &mut impl Source) -> Result<(), Failure> {
    let mut deliveries = source.open().await?;
    source.publish(&batches(1, 1..6)?).await?;
    let all = take(&mut deliveries, 5).await?;
    deliveries
        .acknowledge(&[all[3].token, all[1].token])
        .await?;
    drop(deliveries);
    source.crash().await?;

    // What is done behind an open one may come again or not; what is open must.
    source.publish(&[batch(1, 6)?]).await?;
    let mut deliveries = source.open().await?;
    let mut again = Vec::new();
    while numbers(&again).last() != Some(&6) {
        again.extend(take(&mut deliveries, 1).await?);
    }
    let open: Vec<u64> = numbers(&again)
        .into_iter()
        .filter(|n| ![2, 4].contains(n))
        .collect();
    assert_eq!(open, [1, 3, 5, 6], "each one not acknowledged comes again");
    let seen = again
        .iter()
        .filter(|d| d.batch.envelope.first_seq.get() < 6);
    assert!(
        seen.into_iter().all(|d| d.redelivered),
        "what comes again says so"
    );
    deliveries.acknowledge(&tokens(&again)).await?;
    drop(deliveries);
    source.crash().await?;

    source.publish(&[batch(1, 7)?]).await?;
    let mut deliveries = source.open().await?;
    let next = take(&mut deliveries, 1).await?;
    assert_eq!(numbers(&next), [7], "acknowledged means never again");
    Ok(())
}

async fn what_is_put_back_comes_again(source: &mut impl Source) -> Result<(), Failure> {
    let mut deliveries = source.open().await?;
    source.publish(&batches(1, 1..4)?).await?;
    let all = take(&mut deliveries, 3).await?;
    let after = Duration::from_millis(20);
    deliveries.retry(&all[0], after).await?;
    deliveries
        .acknowledge(&[all[1].token, all[2].token])
        .await?;
    source.publish(&[batch(1, 4)?]).await?;
    let mut failures = 1;
    let mut open = take(&mut deliveries, 2).await?;
    open.sort_by_key(|d| d.batch.envelope.first_seq);
    assert_eq!(numbers(&open), [1, 4], "what follows does not wait for it");
    assert_eq!(open[0].batch, all[0].batch, "it comes again as it was");
    deliveries.acknowledge(&[open[1].token]).await?;
    let mut last = open.remove(0);
    while failures < 3 {
        assert_eq!(last.failures, failures, "failures are counted");
        deliveries.retry(&last, after).await?;
        last = take(&mut deliveries, 1).await?.remove(0);
        failures += 1;
    }
    deliveries.acknowledge(&[last.token]).await?;
    source.publish(&[batch(1, 5)?]).await?;
    let next = take(&mut deliveries, 1).await?;
    assert_eq!(numbers(&next), [5], "once it is done it is done");
    Ok(())
}

async fn an_old_token_answers_nothing(source: &mut impl Source) -> Result<(), Failure> {
    let mut deliveries = source.open().await?;
    source.publish(&batches(1, 1..3)?).await?;
    let all = take(&mut deliveries, 2).await?;
    deliveries.retry(&all[0], Duration::ZERO).await?;
    deliveries.acknowledge(&[all[0].token]).await?;
    deliveries.reject(&all[0], "too late").await?;
    let again = take(&mut deliveries, 1).await?;
    assert_eq!(
        numbers(&again),
        [1],
        "it was put back, and only that counts"
    );
    assert_ne!(again[0].token, all[0].token, "each time with its own token");
    drop(deliveries);

    let mut deliveries = source.open().await?;
    let all = take(&mut deliveries, 2).await?;
    deliveries.acknowledge(&tokens(&again)).await?;
    deliveries.retry(&again[0], Duration::ZERO).await?;
    drop(deliveries);
    let mut deliveries = source.open().await?;
    let after = take(&mut deliveries, 2).await?;
    assert_eq!(
        numbers(&after),
        numbers(&all),
        "a token of another session answers nothing"
    );
    let letters = source.dead_letters().await?;
    assert!(letters.is_empty(), "nothing was rejected: {letters:?}");
    Ok(())
}

async fn what_is_rejected_is_kept_with_its_reason(source: &mut impl Source) -> Result<(), Failure> {
    let mut deliveries = source.open().await?;
    let sent = batches(1, 1..5)?;
    source.publish(&sent).await?;
    let all = take(&mut deliveries, 4).await?;
    deliveries.reject(&all[1], "unknown schema").await?;
    deliveries
        .acknowledge(&[all[0].token, all[2].token, all[3].token])
        .await?;
    source.publish(&[batch(1, 5)?]).await?;
    let next = take(&mut deliveries, 1).await?;
    assert_eq!(numbers(&next), [5], "the rest flows on");
    deliveries.acknowledge(&tokens(&next)).await?;
    drop(deliveries);
    source.crash().await?;
    let letters = source.dead_letters().await?;
    let expected = [("unknown schema".into(), sent[1].clone())];
    assert_eq!(letters, expected, "a dead letter keeps reason and batch");
    source.publish(&[batch(1, 6)?]).await?;
    let mut deliveries = source.open().await?;
    let next = take(&mut deliveries, 1).await?;
    assert_eq!(numbers(&next), [6], "what was rejected is done");
    Ok(())
}
