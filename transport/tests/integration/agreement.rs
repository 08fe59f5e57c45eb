//! What publishers, subscriptions and dead letters have to agree on; the broker is a mock, and
//! `tests/rabbitmq` asks the real one.

use std::time::Duration;

use scripted_broker::{Script, ScriptedBroker};
use telemetry_transport::SendError;
use telemetry_transport::amqp::{
    AmqpConfig, DeadLetters, LinkFailure, LinkState, Publisher, SubscribeConfig, Subscription,
};
use tokio::sync::watch;

use crate::scripted::{batch, batch_id};

/// Longest wait for anything: a test that needs it has failed.
const WITHIN: Duration = Duration::from_secs(60);

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(async { tokio::time::timeout(WITHIN, test).await });
    assert!(result.is_ok(), "not within {WITHIN:?}");
}

fn config(broker: &ScriptedBroker, queues: u16) -> AmqpConfig {
    let mut config = AmqpConfig::new([broker.url()]);
    config.topology.queues = queues;
    config
}

async fn alarm(mut link: watch::Receiver<LinkState>) -> LinkFailure {
    let alarm = |state: &LinkState| matches!(state, LinkState::Alarm { .. });
    match link.wait_for(alarm).await.unwrap().clone() {
        LinkState::Alarm { reason } => reason,
        _ => unreachable!(),
    }
}

async fn up(mut link: watch::Receiver<LinkState>) {
    link.wait_for(|state| *state == LinkState::Up)
        .await
        .unwrap();
}

/// Half of all devices would be confirmed and never heard.
#[test]
fn another_number_of_queues_is_refused() {
    run(async {
        let broker = ScriptedBroker::start(Script::default()).await.unwrap();
        let publisher = Publisher::start(config(&broker, 8)).unwrap();
        up(publisher.link()).await;
        for queues in [4, 16] {
            let fewer = config(&broker, queues);
            let subscribe = SubscribeConfig::default();
            let subscription = Subscription::start(fewer.clone(), subscribe).unwrap();
            let reason = alarm(subscription.link()).await;
            assert_eq!(reason.error, SendError::TopologyMismatch);
            let publisher = Publisher::start(fewer).unwrap();
            let reason = alarm(publisher.link()).await;
            assert_eq!(reason.error, SendError::TopologyMismatch);
        }
        let same = Subscription::start(config(&broker, 8), SubscribeConfig::default()).unwrap();
        up(same.link()).await;
        // Another group has a number of its own.
        let mut group = config(&broker, 4);
        group.topology.group = Some("audit".to_owned());
        let group = Subscription::start(group, SubscribeConfig::default()).unwrap();
        up(group.link()).await;
    });
}

/// Rejects everything that comes.
async fn reject_all(subscription: &mut Subscription) {
    loop {
        let delivery = subscription.next().await.unwrap();
        subscription.reject(&delivery, "no").await.unwrap();
    }
}

async fn letters(broker: &ScriptedBroker, count: usize) {
    while broker
        .queue("telemetry.dlq")
        .is_none_or(|(ready, _)| ready < count)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_replay_ends_although_what_is_replayed_comes_back() {
    run(async {
        let broker = ScriptedBroker::start(Script::default()).await.unwrap();
        let publisher = Publisher::start(config(&broker, 4)).unwrap();
        let subscribe = SubscribeConfig::default();
        let mut subscription = Subscription::start(config(&broker, 4), subscribe).unwrap();
        let replayed = async {
            for id in 1..=2 {
                publisher.offer(batch_id(id), &batch(id)).await.unwrap();
            }
            letters(&broker, 2).await;
            let dead = DeadLetters::new(config(&broker, 4)).unwrap();
            dead.replay(500).await.unwrap()
        };
        tokio::select! {
            replayed = replayed => assert_eq!(replayed, 2),
            () = reject_all(&mut subscription) => {}
        }
    });
}

#[test]
fn dead_letters_are_bounded_and_raise_an_alarm() {
    run(async {
        let broker = ScriptedBroker::start(Script::default()).await.unwrap();
        let mut small = config(&broker, 4);
        small.topology.dead_letter_bytes = 1;
        small.limits.backoff_max = Duration::from_millis(200);
        let publisher = Publisher::start(small.clone()).unwrap();
        let subscribe = SubscribeConfig::default();
        let mut subscription = Subscription::start(small.clone(), subscribe).unwrap();
        let link = subscription.link();
        let scene = async {
            for id in 1..=3 {
                publisher.offer(batch_id(id), &batch(id)).await.unwrap();
            }
            let reason = alarm(link.clone()).await;
            assert_eq!(reason.error, SendError::DeadLettersFull);
            assert_eq!(broker.queue("telemetry.dlq"), Some((1, 0)), "one fits");
            // The one that fitted is acknowledged; the others hold their places.
            let held = || -> usize {
                let queues = (0..4).filter_map(|n| broker.queue(&small.topology.queue(n)));
                queues.map(|(_, delivered)| delivered).sum()
            };
            while held() != 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = scene => {}
            () = reject_all(&mut subscription) => {}
        }
        // Somebody makes room: whoever consumes takes them now.
        let dead = DeadLetters::new(small).unwrap();
        for _ in 0..3 {
            letters(&broker, 1).await;
            assert_eq!(dead.replay(1).await.unwrap(), 1);
            let delivery = subscription.next().await.unwrap();
            subscription.ack(&delivery).await.unwrap();
        }
        up(link).await;
    });
}
