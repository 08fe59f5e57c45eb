//! Links that are slow from their first byte on, with the limits that a user gets: everything
//! arrives, by one connection each, and connecting takes few round trips.

#![expect(clippy::disallowed_methods, reason = "it says how long it took")]

use std::time::{Duration, Instant};

use telemetry_core::{Batch, ClockMark, DeviceId, Envelope, Epoch, Seq, StreamName, Timestamp};
use telemetry_transport::amqp::{AmqpConfig, LinkState, Publisher, SubscribeConfig, Subscription};
use telemetry_transport::{BatchId, SenderLimits};
use testkit::proxy::Proxy;
use testkit::rabbitmq::Cluster;

use crate::rig::{config, runtime};

/// Longest time for everything: 3 MiB take 25 s at 1 Mbit/s, 20 KiB take 17 s at 9,600 bit/s.
const WITHIN: Duration = Duration::from_secs(240);

/// Round trips until a link is up that nobody has opened before, the one of TCP included.
const ROUND_TRIPS: u64 = 8;

struct Scene {
    name: &'static str,
    /// There and back.
    round_trip: Duration,
    bytes_per_second: u64,
    /// Sizes of the batches.
    batches: Vec<usize>,
}

fn scenes() -> Vec<Scene> {
    let millis = Duration::from_millis;
    let scene = |name, round_trip, bytes_per_second, batches| Scene {
        name,
        round_trip,
        bytes_per_second,
        batches,
    };
    vec![
        scene("slow-250", millis(250), 0, vec![2_000; 40]),
        scene("slow-600", millis(600), 0, vec![2_000; 40]),
        scene("slow-2000", millis(2_000), 0, vec![2_000; 40]),
        // One of them takes longer than a link may be silent.
        scene("slow-9600", millis(250), 1_200, vec![100, 20 << 10, 100]),
        scene("slow-mbit", millis(100), 125_000, vec![3 << 20, 100]),
    ]
}

fn batch(number: usize, bytes: usize) -> Batch {
    Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(1).unwrap(),
            subject: StreamName::new("test.Sample").unwrap(),
            first_seq: Seq::new(number as u64).unwrap(),
            count: 1,
            published: Timestamp::from_micros(0),
            clock: ClockMark::default(),
            schema: None,
            content_type: "application/octet-stream".to_owned(),
            traceparent: None,
        },
        body: vec![7; bytes].into(),
    }
}

/// With the limits and the heartbeat of a user who set nothing.
fn defaults(url: String, family: &str) -> AmqpConfig {
    let mut config = config(&[url], family);
    let user = AmqpConfig::new(["amqp://127.0.0.1"]);
    config.heartbeat = user.heartbeat;
    config.limits = SenderLimits::default();
    config.topology.queues = user.topology.queues;
    config
}

async fn carry(cluster: &Cluster, scene: Scene) {
    let proxy = Proxy::new(cluster.address(1)).unwrap();
    proxy.set_latency(scene.round_trip / 2);
    proxy.set_rate(scene.bytes_per_second);
    let url = format!("amqp://guest:guest@{}/%2f", proxy.address());
    let config = defaults(url, scene.name);
    let start = Instant::now();
    let publisher = Publisher::start(config.clone()).unwrap();
    for (at, bytes) in scene.batches.iter().enumerate() {
        let id = BatchId::new(Epoch::default(), at as u64 + 1);
        publisher.offer(id, &batch(at + 1, *bytes)).await.unwrap();
    }
    let last = BatchId::new(Epoch::default(), scene.batches.len() as u64);
    publisher.wait_confirmed(last).await.unwrap();
    let confirmed = start.elapsed();
    // A broker drops a consumer that takes nothing for 15 s (`send_timeout`): at 9,600 bit/s it is
    // the devices that have to get along.
    let config = match scene.bytes_per_second < 10_000 && scene.bytes_per_second > 0 {
        true => defaults(cluster.url(1), scene.name),
        false => config,
    };
    let mut subscription = Subscription::start(config, SubscribeConfig::default()).unwrap();
    for (at, bytes) in scene.batches.iter().enumerate() {
        let delivery = subscription.next().await.unwrap();
        assert_eq!(delivery.batch, batch(at + 1, *bytes));
        assert!(!delivery.redelivered);
        subscription.ack(&delivery).await.unwrap();
    }
    let mut stats = subscription.watch_stats();
    let all = scene.batches.len() as u64;
    stats
        .wait_for(|stats| stats.acknowledged == all)
        .await
        .unwrap();
    println!(
        "{}: {all} batches confirmed after {confirmed:?}, taken after {:?}",
        scene.name,
        start.elapsed()
    );
    assert_eq!(publisher.stats().connects, 1, "{}", scene.name);
    assert_eq!(publisher.stats().resent, 0, "{}", scene.name);
    assert_eq!(subscription.stats().connects, 1, "{}", scene.name);
}

#[test]
fn what_is_slow_from_the_first_byte_arrives() {
    let runtime = runtime();
    let cluster = Cluster::single().unwrap();
    runtime.block_on(async {
        let [a, b, c, d, e] = scenes()
            .try_into()
            .map(|scenes: [Scene; 5]| scenes.map(|scene| carry(&cluster, scene)))
            .unwrap_or_else(|_| unreachable!());
        let all = async { tokio::join!(a, b, c, d, e) };
        let arrived = tokio::time::timeout(WITHIN, all).await;
        assert!(arrived.is_ok(), "not within {WITHIN:?}");
    });
}

#[test]
fn connecting_takes_few_round_trips() {
    let runtime = runtime();
    let cluster = Cluster::single().unwrap();
    let proxy = Proxy::new(cluster.address(1)).unwrap();
    proxy.set_latency(Duration::from_millis(125));
    let url = format!("amqp://guest:guest@{}/%2f", proxy.address());
    let config = defaults(url, "trips");
    let mut seen = 0;
    // What is said on a connection, and TCP's own round trip before.
    let mut trips = || 1 + proxy.turns() - std::mem::replace(&mut seen, proxy.turns());
    let is_up = |state: &LinkState| *state == LinkState::Up;
    let is_down = |state: &LinkState| matches!(state, LinkState::Down { .. });
    runtime.block_on(async {
        let connected = async {
            let publisher = Publisher::start(config.clone()).unwrap();
            let mut link = publisher.link();
            link.wait_for(is_up).await.unwrap();
            let first = trips();
            proxy.reset();
            link.wait_for(is_down).await.unwrap();
            link.wait_for(is_up).await.unwrap();
            let again = trips();
            drop((publisher, link));
            let subscription =
                Subscription::start(config.clone(), SubscribeConfig::default()).unwrap();
            subscription.link().wait_for(is_up).await.unwrap();
            (first, again, trips())
        };
        let (first, again, consuming) = tokio::time::timeout(WITHIN, connected).await.unwrap();
        println!("round trips: {first} to publish, {again} again, {consuming} to consume");
        for trips in [first, again, consuming] {
            assert!(trips <= ROUND_TRIPS, "{trips}");
        }
        assert!(
            again < first,
            "what is known to be there is not declared again"
        );
    });
}
