//! A publisher that outlives its spool: what one opening names must not be taken for what the next
//! one names.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use scripted_broker::{Script, ScriptedBroker};
use telemetry_core::{Fingerprint, StreamName, Timestamp};
use telemetry_transport::amqp::{AmqpConfig, OfferError, Publisher};
use telemetry_transport::shared::{PublishError, SharedLimits};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{Spool, SpooledBatch};

use crate::spool::{opening, record};

/// Longest wait for anything: a test that needs it has failed.
const WITHIN: Duration = Duration::from_secs(60);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(WITHIN, future).await;
    assert!(result.is_ok(), "not within {WITHIN:?}: {what}");
    result.unwrap()
}

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

fn open(disk: &SimulatedDisk, random: u64, records: u64) -> Spool<SimulatedDisk> {
    let mut spool = Spool::open(disk.clone(), opening(random)).unwrap().0;
    let stream = spool.stream(&StreamName::new("a.A").unwrap()).unwrap();
    for n in 0..records {
        spool.append(stream, &record(n), None).unwrap();
    }
    spool.commit().unwrap();
    spool
}

fn encode(batch: &mut SpooledBatch) -> Option<telemetry_core::Batch> {
    batch.to_batch(Fingerprint(2), Timestamp::from_micros(0))
}

/// Publishes what is durable and confirms it; returns how many of its records the broker lacks.
async fn carry(
    spool: &mut Spool<SimulatedDisk>,
    records: u32,
    publisher: &Publisher,
    broker: &ScriptedBroker,
) -> u32 {
    let mut confirmed = publisher.confirmed();
    let mut open = VecDeque::new();
    while let Some(batch) = spool.next_batch(10_000, records).unwrap() {
        publisher
            .offer(batch.id, &encode(&mut batch.clone()).unwrap())
            .await
            .unwrap();
        open.push_back(batch);
    }
    let mut missing = 0;
    while !open.is_empty() {
        let done = *confirmed.borrow_and_update();
        while let Some(batch) = open.pop_front_if(|batch| Some(batch.id) <= done) {
            let id = encode(&mut batch.clone()).unwrap().envelope.message_id();
            missing += u32::from(!broker.has_taken(&id)) * batch.count();
            spool.confirm(&batch).unwrap();
        }
        if !open.is_empty() {
            within("a confirmation", confirmed.changed()).await.unwrap();
        }
    }
    missing
}

#[test]
fn what_is_confirmed_is_on_the_broker_whichever_opening_handed_it_out() {
    run(async {
        let broker = ScriptedBroker::start(Script::default()).await.unwrap();
        let publisher = Publisher::start(AmqpConfig::new([broker.url()])).unwrap();
        let disk = SimulatedDisk::default();
        let mut spool = open(&disk, 2, 10);
        assert_eq!(carry(&mut spool, 1, &publisher, &broker).await, 0);
        assert_eq!(spool.stats().confirmed, 10);
        drop(spool);
        // A power cut: the cursor was not synced, so all 60 are handed out, in batches of five, numbered
        // from 1 again; the epoch is a smaller one.
        disk.crash(|| false);
        let mut spool = open(&disk, 1, 50);
        let missing = carry(&mut spool, 5, &publisher, &broker).await;
        assert_eq!(spool.stats().confirmed, 60);
        assert_eq!(missing, 0, "of 60 records that are confirmed");
    });
}

#[test]
fn a_name_that_does_not_grow_is_told_to_who_offers_it() {
    run(async {
        let broker = ScriptedBroker::start(Script::default()).await.unwrap();
        let publisher = Publisher::start(AmqpConfig::new([broker.url()])).unwrap();
        let disk = SimulatedDisk::default();
        let mut spool = open(&disk, 2, 2);
        let first = spool.next_batch(10_000, 1).unwrap().unwrap();
        let second = spool.next_batch(10_000, 1).unwrap().unwrap();
        let (first, second) = [first, second]
            .map(|b| (b.id, encode(&mut b.clone()).unwrap()))
            .into();
        publisher.offer(second.0, &second.1).await.unwrap();
        let (id, last) = (first.0, second.0);
        let refused = publisher.offer(id, &first.1).await;
        assert_eq!(refused, Err(OfferError::Name { id, last }));
        let refused = publisher.try_offer(last, &second.1);
        assert_eq!(refused, Err(OfferError::Name { id: last, last }));
        within("a confirmation", publisher.wait_confirmed(last))
            .await
            .unwrap();
        assert_eq!(publisher.stats().published, 1);
    });
}

#[test]
fn who_waits_for_an_opening_that_is_over_is_told() {
    run(async {
        // Nobody listens there: nothing is ever confirmed.
        let publisher = Publisher::start(AmqpConfig::new(["amqp://127.0.0.1:1/%2f"])).unwrap();
        let disk = SimulatedDisk::default();
        let former = open(&disk, 2, 1).next_batch(10_000, 1).unwrap().unwrap();
        publisher
            .offer(former.id, &encode(&mut former.clone()).unwrap())
            .await
            .unwrap();
        let shared = open(&SimulatedDisk::default(), 3, 1);
        let opening = shared.epoch();
        let (appender, batches) = shared.share(SharedLimits::default()).unwrap();
        let next = open(&disk, 1, 0).next_batch(10_000, 1).unwrap().unwrap();
        let mut publishing = pin!(batches.publish(&publisher, encode, |_, _| unreachable!()));
        let waited = within("the end of an opening", async {
            tokio::select! {
                ended = &mut publishing => panic!("{ended:?}"),
                waited = publisher.wait_confirmed(former.id) => waited,
            }
        });
        let over = |opening| OfferError::OpeningOver { opening };
        assert_eq!(waited.await, Err(over(former.id.opening)));
        publisher
            .offer(next.id, &encode(&mut next.clone()).unwrap())
            .await
            .unwrap();
        let published = within("the end of publishing", publishing)
            .await
            .unwrap_err();
        let PublishError::Offer(error) = published else {
            panic!("{published}");
        };
        assert_eq!(error, over(opening));
        let deadline = std::future::ready(());
        let stats = appender.drain(deadline).await.unwrap().stats;
        assert_eq!(stats.spool.depth_records, 1, "it is still there");
    });
}
