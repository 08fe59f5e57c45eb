//! Many tasks append to one spool while its way to the broker breaks: each receipt takes effect once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use telemetry_core::{Fingerprint, RecordId, StreamName, Timestamp, single_object};
use telemetry_transport::amqp::{LinkState, Publisher};
use telemetry_transport::shared::{Appender, SharedLimits};
use telemetry_transport::{BatchLimits, Directory, Receipt, SpooledBatch, StreamNo};
use testkit::proxy::Proxy;
use testkit::rabbitmq::Cluster;
use tokio::sync::watch;

use crate::rig::{Counter, config, runtime, spool, within};

const TASKS: u64 = 16;

/// Appends until told to stop; returns the receipts of what is durable.
async fn append(
    appender: Appender<Directory>,
    stream: StreamNo,
    stop: Arc<AtomicBool>,
) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut record = single_object::header(Fingerprint(1)).to_vec();
        record.resize(200, 7);
        receipts.push(appender.append(stream, record, None).await.unwrap());
        // A sensor's pace: the rest of the machine has work, too.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    receipts
}

async fn wait(link: &mut watch::Receiver<LinkState>, what: &str, is: fn(&LinkState) -> bool) {
    within(what, link.wait_for(is)).await.unwrap();
}

const fn is_up(state: &LinkState) -> bool {
    matches!(state, LinkState::Up)
}

const fn is_down(state: &LinkState) -> bool {
    matches!(state, LinkState::Down { .. })
}

#[test]
fn a_shared_spool_loses_nothing() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut cluster = Cluster::single().unwrap();
    let proxy = Proxy::new(cluster.address(1)).unwrap();
    let mut counter = Counter::start(config(&[cluster.url(1)], "shared"));
    let dir = tempfile::tempdir().unwrap();
    let mut spool = spool(dir.path(), 7, 7);
    let name = StreamName::new("test.Sample").unwrap();
    let stream = spool.stream(&name).unwrap();
    let device = spool.device();
    let limits = SharedLimits {
        // Small, so that many are in flight.
        batch: BatchLimits {
            bytes: 2_000,
            ..BatchLimits::default()
        },
        ..SharedLimits::default()
    };
    let (appender, batches) = spool.share(limits).unwrap();
    let through = [format!("amqp://guest:guest@{}/%2f", proxy.address())];
    runtime.block_on(async {
        let publisher = Publisher::start(config(&through, "shared")).unwrap();
        let mut link = publisher.link();
        let publishing = tokio::spawn(async move {
            let encode = |batch: &mut SpooledBatch| {
                batch.to_batch(Fingerprint(2), Timestamp::from_micros(0))
            };
            batches
                .publish(&publisher, encode, |_, _| unreachable!())
                .await
        });
        let stop = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| tokio::spawn(append(appender.clone(), stream, Arc::clone(&stop))))
            .collect();
        wait(&mut link, "a link", is_up).await;

        for _ in 0..3 {
            proxy.reset();
            wait(&mut link, "a link that is reset", is_down).await;
            wait(&mut link, "a link after a reset", is_up).await;
        }
        proxy.set_silent(true);
        wait(&mut link, "a black hole is noticed", is_down).await;
        proxy.heal();
        wait(&mut link, "a link after a black hole", is_up).await;
        cluster.kill(1).unwrap();
        wait(&mut link, "a broker that is killed", is_down).await;
        cluster.restart(1).unwrap();
        wait(&mut link, "a link to the next broker", is_up).await;
        let alarm = "{resource_limit, memory, node()}";
        let set = format!("rabbit_alarm:set_alarm({{{alarm}, []}}).");
        cluster.eval(1, &set).unwrap();
        let is_blocked = |state: &LinkState| matches!(state, LinkState::Blocked { .. });
        wait(&mut link, "a broker that takes nothing", is_blocked).await;
        let clear = format!("rabbit_alarm:clear_alarm({alarm}).");
        cluster.eval(1, &clear).unwrap();
        wait(&mut link, "a broker that takes again", is_up).await;

        stop.store(true, Ordering::Relaxed);
        let mut durable = Vec::new();
        for task in tasks {
            durable.extend(task.await.unwrap().into_iter().map(|receipt| RecordId {
                device,
                epoch: receipt.epoch,
                stream: name.clone(),
                seq: receipt.seq,
            }));
        }
        let deadline = tokio::time::sleep(Duration::from_secs(60));
        let drained = within("a drained spool", appender.drain(deadline))
            .await
            .unwrap();
        assert_eq!(drained.left, 0, "all of it is confirmed");
        within("the end of publishing", publishing)
            .await
            .unwrap()
            .unwrap();
        let count = durable.len();
        counter.expect_records(durable).await;
        println!(
            "1, 7, 11, 13 shared by {TASKS} tasks: {count} durable, 0 lost, {} batches came again",
            counter.duplicates()
        );
    });
}
