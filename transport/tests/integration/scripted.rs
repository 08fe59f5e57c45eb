//! The adapter to RabbitMQ as it runs in production, against a broker that fails by seed.
//!
//! The broker is a mock (`scripted-broker`); `tests/rabbitmq` meets the real one. Everything else is
//! real: publisher, subscription, dead letters, lapin with its threads, and sockets. A seed names
//! which message, delivery or connection fails and how. It does not name the interleaving: lapin's
//! threads run beside tokio's paused clock, and its heartbeats go by real time. So the oracle holds
//! for every interleaving, and asks for nothing that depends on one.

#![expect(clippy::disallowed_methods, reason = "it says how long it took")]
#![expect(
    clippy::print_stdout,
    reason = "each fault says how often it took place"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use scripted_broker::{PausedTime, Script, ScriptedBroker};
use telemetry_core::{Batch, ClockMark, DeviceId, Envelope, Epoch, Seq, StreamName, Timestamp};
use telemetry_transport::amqp::{AmqpConfig, Delivery, Publisher, SubscribeConfig, Subscription};
use telemetry_transport::{BatchId, Dedup, Fresh, SenderLimits};

use crate::Rng;

/// Seeds of a run; default 200.
const SEEDS: &str = "XPT_SCRIPTED_SEEDS";

/// The first of them; default 0.
const SEED: &str = "XPT_CHAOS_SEED";

/// Batches of a seed.
const BATCHES: u64 = 40;

/// Virtual time that a seed may take: a hang, not a slow broker, is what takes as long.
const WITHIN: Duration = Duration::from_secs(900);

fn config(broker: &ScriptedBroker) -> AmqpConfig {
    let mut config = AmqpConfig::new([broker.url()]);
    config.topology.queues = 2;
    config.limits = SenderLimits {
        silence_timeout: Duration::from_secs(3),
        confirm_timeout: Duration::from_secs(3),
        connect_timeout: Duration::from_secs(3),
        backoff_max: Duration::from_millis(500),
        backoff_alarm: Duration::from_millis(500),
        ..SenderLimits::default()
    };
    config
}

/// Batches of three devices; some take several frames.
pub(crate) fn batch(id: u64) -> Batch {
    Batch {
        envelope: Envelope {
            device: DeviceId::from_u128((id % 3).into()),
            epoch: Epoch::new(1).unwrap(),
            subject: StreamName::new("test.Sample").unwrap(),
            first_seq: Seq::new(1 + id / 3).unwrap(),
            count: 1,
            published: Timestamp::from_micros(0),
            clock: ClockMark::default(),
            schema: None,
            content_type: "application/octet-stream".to_owned(),
            traceparent: None,
        },
        body: vec![7; 10 + (id * 997 % 6_000) as usize].into(),
    }
}

/// Names of a publisher's own, without a spool.
pub(crate) fn batch_id(number: u64) -> BatchId {
    BatchId::new(Epoch::default(), number)
}

/// What the consumer made of the batches, by message id.
#[derive(Default)]
struct Sink {
    dedup: Dedup,
    effects: BTreeMap<String, u32>,
    rejected: BTreeSet<String>,
    duplicates: u64,
}

/// Offers all batches; whatever counts as confirmed has to be in a queue, or have been.
async fn publish(broker: &ScriptedBroker, publisher: &Publisher) {
    let offer = async {
        for id in 1..=BATCHES {
            publisher.offer(batch_id(id), &batch(id)).await.unwrap();
        }
    };
    let watch = async {
        let mut confirmed = publisher.confirmed();
        let mut next = 1;
        while next <= BATCHES {
            let done = *confirmed
                .wait_for(|done| *done >= Some(batch_id(next)))
                .await
                .unwrap();
            while Some(batch_id(next)) <= done {
                let id = batch(next).envelope.message_id();
                assert!(broker.has_taken(&id), "{id} is confirmed and nowhere");
                next += 1;
            }
        }
    };
    // Whatever was refused meanwhile, nobody has to help.
    tokio::join!(offer, watch);
}

/// A consumer that works on several batches at a time and is done with them in any order.
async fn consume(subscription: &mut Subscription, sink: &Mutex<Sink>, mut random: Rng) {
    let mut failed = BTreeSet::new();
    let mut held = Vec::new();
    loop {
        let idle = tokio::time::sleep(Duration::from_millis(random.below(40)));
        tokio::select! {
            delivery = subscription.next() => {
                held.push(delivery.unwrap());
                if random.below(4) > 0 {
                    continue;
                }
            }
            () = idle, if !held.is_empty() => {}
        }
        while !held.is_empty() && random.below(5) > 0 {
            let work = Duration::from_millis(random.below(10));
            tokio::time::sleep(work).await;
            let at = random.below(held.len() as u64) as usize;
            let delivery = held.swap_remove(at);
            settle(subscription, sink, &mut failed, &delivery).await;
        }
    }
}

/// Gives a seventh back once, puts a fifth aside, and keeps the rest.
async fn settle(
    subscription: &Subscription,
    sink: &Mutex<Sink>,
    failed: &mut BTreeSet<String>,
    delivery: &Delivery,
) {
    let envelope = &delivery.batch.envelope;
    let (id, number) = (envelope.message_id(), envelope.first_seq.get());
    if number % 7 == 0 && failed.insert(id.clone()) {
        let again = Duration::from_millis(20);
        subscription.retry(delivery, again).await.unwrap();
        return;
    }
    {
        let mut sink = sink.lock().unwrap();
        match sink.dedup.fresh(envelope) {
            Fresh::Nothing => sink.duplicates += 1,
            _ => *sink.effects.entry(id.clone()).or_default() += 1,
        }
        sink.dedup.take(envelope);
    }
    match number % 5 {
        0 => {
            sink.lock().unwrap().rejected.insert(id);
            subscription.reject(delivery, "a reason").await.unwrap();
        }
        _ => subscription.ack(delivery).await.unwrap(),
    }
}

/// Waits until every batch took effect, and the broker holds nothing but dead letters.
async fn settled(broker: &ScriptedBroker, sink: &Mutex<Sink>) {
    loop {
        let (effects, rejected) = {
            let sink = sink.lock().unwrap();
            (sink.effects.len() as u64, sink.rejected.len())
        };
        let is_empty = |name| broker.queue(name) == Some((0, 0));
        let letters = broker.queue("telemetry.dlq").map_or(0, |(ready, _)| ready);
        if effects == BATCHES
            && is_empty("telemetry.raw.0")
            && is_empty("telemetry.raw.1")
            && letters >= rejected
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns how often each fault took place, and how many batches came again.
async fn run(seed: u64) -> (BTreeMap<&'static str, u64>, u64) {
    let broker = ScriptedBroker::start(Script::random(seed)).await.unwrap();
    let time: PausedTime = broker.pause_time();
    let publisher = Publisher::start(config(&broker)).unwrap();
    let mut subscription =
        Subscription::start(config(&broker), SubscribeConfig::default()).unwrap();
    let sink = Mutex::new(Sink::default());
    let links = (publisher.link(), subscription.link());
    let scene = async {
        let all = async {
            publish(&broker, &publisher).await;
            settled(&broker, &sink).await;
        };
        tokio::select! {
            done = tokio::time::timeout(WITHIN, all) => done.is_ok(),
            () = consume(&mut subscription, &sink, Rng(seed)) => false,
        }
    };
    let is_done = time.until(scene).await;
    let sink = sink.into_inner().unwrap();
    let queues = ["telemetry.raw.0", "telemetry.raw.1", "telemetry.dlq"];
    assert!(
        is_done,
        "{} of {BATCHES} took effect; confirmed {:?}, links {:?} {:?}, {queues:?} {:?}",
        sink.effects.len(),
        *publisher.confirmed().borrow(),
        *links.0.borrow(),
        *links.1.borrow(),
        queues.map(|name| broker.queue(name)),
    );
    let twice = sink.effects.iter().find(|(_, effects)| **effects != 1);
    assert_eq!(twice, None, "took effect more than once");
    assert_eq!(sink.effects.len() as u64, BATCHES);
    (broker.injected(), sink.duplicates)
}

#[test]
fn the_adapter_loses_nothing_whatever_the_broker_does() {
    let number = |name, default| env::var(name).map_or(default, |n| n.parse::<u64>().unwrap());
    let (first, count) = (number(SEED, 0), number(SEEDS, 200));
    let (start, next) = (Instant::now(), AtomicU64::new(first));
    let totals = Mutex::new((BTreeMap::<&str, u64>::new(), 0));
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            let named = SeedOnPanic(seed);
            let (injected, again) = runtime.block_on(run(seed));
            drop(named);
            let mut totals = totals.lock().unwrap();
            for (name, times) in injected {
                *totals.0.entry(name).or_default() += times;
            }
            totals.1 += again;
        }
    };
    thread::scope(|scope| {
        scope.spawn(worker);
        scope.spawn(worker);
    });
    let (injected, again) = totals.into_inner().unwrap();
    println!(
        "{count} seeds from {first}, {:?}, {again} batches came again",
        start.elapsed()
    );
    for (name, times) in &injected {
        println!("{times:6} × {name}");
    }
    // One seed alone does not have them all.
    if count >= 200 {
        let never = injected.iter().find(|(_, times)| **times == 0);
        assert_eq!(never, None, "never took place");
    }
}

/// A broker on the same machine may confirm before the publisher looks.
#[test]
fn an_answer_at_once_is_not_missed() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let stats = runtime.block_on(async {
        let broker = ScriptedBroker::start(Script::default()).await.unwrap();
        let publisher = Publisher::start(config(&broker)).unwrap();
        for id in 1..=1_000 {
            publisher.offer(batch_id(id), &batch(id)).await.unwrap();
            publisher.wait_confirmed(batch_id(id)).await.unwrap();
        }
        publisher.stats()
    });
    assert_eq!((stats.reconnects.confirm_timeout, stats.connects), (0, 1));
    assert_eq!(stats.published, 1_000);
}

/// Says which seed failed.
struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("failed: {SEED}={} {SEEDS}=1", self.0);
        }
    }
}
