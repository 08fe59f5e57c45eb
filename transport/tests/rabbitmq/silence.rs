//! A queue that has messages and delivers none: a single active consumer that gives messages back,
//! and another one of a higher priority (rabbitmq-server #14141).

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use telemetry_transport::amqp::{AmqpConfig, LinkState, SubscribeConfig, Subscription};
use testkit::rabbitmq::Cluster;

use crate::rig::{Device, config, runtime, within};

const BATCHES: u64 = 20;

fn one_queue(cluster: &Cluster, family: &str) -> AmqpConfig {
    let mut config = config(&[cluster.url(1)], family);
    config.topology.queues = 1;
    // Batches that fail go on failing for a while.
    config.topology.deliveries = 1_000;
    config
}

fn worker(name: &str, watchdog: Duration) -> SubscribeConfig {
    SubscribeConfig {
        worker: name.to_owned(),
        prefetch: 1,
        watchdog,
        ..SubscribeConfig::default()
    }
}

async fn up(subscription: &Subscription) {
    let mut link = subscription.link();
    let up = link.wait_for(|state| *state == LinkState::Up);
    within("a link", up).await.unwrap();
}

/// Workers that put batches back may come and go, whichever of them has the higher priority.
#[test]
fn what_is_put_back_silences_no_queue() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::single().unwrap();
    runtime.block_on(async {
        for (family, first, second) in [("ab", "a", "b"), ("ba", "b", "a")] {
            let config = one_queue(&cluster, family);
            let mut device = Device::start(config.clone(), 7);
            device.append(BATCHES, 200);
            device.drain(1).await;
            let hour = Duration::from_secs(3_600);
            let mut a = Subscription::start(config.clone(), worker(first, hour)).unwrap();
            for _ in 0..5 {
                let delivery = within("a delivery", a.next()).await.unwrap();
                a.retry(&delivery, Duration::ZERO).await.unwrap();
            }
            let mut b = Subscription::start(config, worker(second, hour)).unwrap();
            up(&b).await;
            // Whoever is the active one now: the other one waits.
            let mut failed = 0;
            let mut taken = BTreeSet::new();
            while (taken.len() as u64) < BATCHES {
                let (of, delivery) = within("a delivery", async {
                    tokio::select! {
                        delivery = a.next() => (&a, delivery.unwrap()),
                        delivery = b.next() => (&b, delivery.unwrap()),
                    }
                })
                .await;
                failed += 1;
                if failed < 10 {
                    of.retry(&delivery, Duration::ZERO).await.unwrap();
                } else {
                    taken.insert(delivery.batch.envelope.message_id());
                    of.ack(&delivery).await.unwrap();
                }
            }
            let reconnects = [a.stats(), b.stats()].map(|stats| stats.reconnects.queue_silent);
            assert_eq!(reconnects, [0, 0], "nobody had to help");
        }
    });
    println!("#14141: put back without requeue, no queue was silent");
}

async fn channel(cluster: &Cluster) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let url = cluster.url(1);
    let connection = Connection::connect(&url, properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

/// Another program on the same queue requeues for a while. Then the queue is silent for both of
/// them, and nobody says so.
#[test]
fn a_silent_queue_is_noticed_and_healed() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::single().unwrap();
    runtime.block_on(async {
        let config = one_queue(&cluster, "silent");
        let mut device = Device::start(config.clone(), 7);
        device.append(BATCHES, 200);
        device.drain(1).await;
        let (_connection, other) = channel(&cluster).await;
        let mut consumer = low(&other, &config.topology.queue(0)).await;
        let requeue = BasicNackOptions {
            requeue: true,
            multiple: false,
        };
        for _ in 0..5 {
            let delivery = within("a delivery", next(&mut consumer)).await;
            delivery.acker.nack(requeue).await.unwrap();
        }
        let held = within("a delivery", next(&mut consumer)).await;
        let watchdog = Duration::from_secs(2);
        let mut subscription = Subscription::start(config, worker("a", watchdog)).unwrap();
        up(&subscription).await;
        held.acker.nack(requeue).await.unwrap();
        // From here on both do what they should.
        let mut taken = BTreeSet::new();
        while (taken.len() as u64) < BATCHES {
            let id = within("a delivery", async {
                tokio::select! {
                    delivery = subscription.next() => {
                        let delivery = delivery.unwrap();
                        subscription.ack(&delivery).await.unwrap();
                        delivery.batch.envelope.message_id()
                    }
                    delivery = next(&mut consumer) => {
                        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
                        let id = delivery.properties.message_id().as_ref();
                        id.unwrap().as_str().to_owned()
                    }
                }
            });
            taken.insert(id.await);
        }
        let silent = subscription.stats().reconnects.queue_silent;
        assert!(silent >= 1, "the broker has changed: was the queue silent?");
        println!("#14141: requeued by another program, silent {silent} times, all of it taken");
    });
}

/// A consumer of the lowest priority, which gets one message at a time.
async fn low(channel: &Channel, queue: &str) -> lapin::Consumer {
    let qos = channel.basic_qos(1, BasicQosOptions::default());
    qos.await.unwrap();
    let mut low = FieldTable::default();
    low.insert("x-priority".into(), (-1_i32).into());
    let options = BasicConsumeOptions::default();
    let consumed = channel.basic_consume(queue.into(), "".into(), options, low);
    consumed.await.unwrap()
}

async fn next(consumer: &mut lapin::Consumer) -> lapin::message::Delivery {
    let next = poll_fn(|cx| Stream::poll_next(Pin::new(consumer), cx));
    next.await.unwrap().unwrap()
}
