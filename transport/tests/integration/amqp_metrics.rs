//! What Prometheus is told of a publisher and a subscription whose broker fails by script, a mock.

use std::time::Duration;

use prometheus_client::registry::Registry;
use scripted_broker::{Answer, Failure, Script, ScriptedBroker, When};
use telemetry_transport::SenderLimits;
use telemetry_transport::amqp::{AmqpConfig, LinkState, Publisher, SubscribeConfig, Subscription};
use telemetry_transport::metrics::{register_publisher, register_subscription};

use crate::scripted::{batch, batch_id};

/// Batches, one at a time: so the script's counts name them.
const BATCHES: u64 = 4;

const BLOCKED: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(1);
const WORK: Duration = Duration::from_millis(300);

fn script() -> Script {
    Script::default()
        .fail(When::Connect(1), Failure::CloseConnection(530))
        .answer(1, Answer::Nack)
        .answer(2, Answer::Late(LATE))
        .fail(When::Publish(3), Failure::Reset)
        .answer(5, Answer::Never)
        .fail(When::Publish(7), Failure::Block(BLOCKED))
        // The publisher has three links after the one that is refused.
        .fail(When::Connect(5), Failure::CloseConnection(320))
}

async fn publish(publisher: &Publisher) {
    let mut link = publisher.link();
    let alarm = link.wait_for(|state| matches!(state, LinkState::Alarm { .. }));
    alarm.await.unwrap();
    for id in 1..=BATCHES {
        publisher.offer(batch_id(id), &batch(id)).await.unwrap();
        publisher.wait_confirmed(batch_id(id)).await.unwrap();
    }
    // The state itself may have come and gone.
    let mut stats = publisher.watch_stats();
    let blocked = stats.wait_for(|stats| stats.blocked() > Duration::ZERO);
    blocked.await.unwrap();
    let unblocked = link.wait_for(|state| *state == LinkState::Up);
    unblocked.await.unwrap();
}

async fn consume(subscription: &mut Subscription) {
    for _ in 0..BATCHES {
        let delivery = subscription.next().await.unwrap();
        tokio::time::sleep(WORK).await;
        subscription.ack(&delivery).await.unwrap();
    }
    let mut stats = subscription.watch_stats();
    let settled = stats.wait_for(|stats| stats.acknowledged == BATCHES);
    settled.await.unwrap();
}

#[test]
fn what_became_of_messages_and_links_is_shown() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let mut registry = Registry::default();
    runtime.unwrap().block_on(async {
        let broker = ScriptedBroker::start(script()).await.unwrap();
        let time = broker.pause_time();
        let mut config = AmqpConfig::new([broker.url()]);
        config.limits = SenderLimits {
            // So long that a busy machine does not see it pass in the mock's clock by itself.
            silence_timeout: Duration::from_secs(60),
            confirm_timeout: Duration::from_secs(60),
            ..SenderLimits::default()
        };
        let publisher = Publisher::start(config.clone()).unwrap();
        register_publisher(&mut registry, &publisher);
        time.until(publish(&publisher)).await;
        let subscribe = SubscribeConfig::default();
        let mut subscription = Subscription::start(config, subscribe).unwrap();
        register_subscription(&mut registry, &subscription);
        time.until(consume(&mut subscription)).await;
    });
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "xpt_transport_published_messages_total 7",
        "xpt_transport_resent_messages_total 3",
        "xpt_transport_confirmed_batches_total 4",
        "xpt_transport_refused_messages_total 1",
        "xpt_transport_publisher_connects_total 4",
        "xpt_transport_publisher_reconnects_total{reason=\"confirm_timeout\"} 1",
        "xpt_transport_publisher_reconnects_total{reason=\"connect_timeout\"} 0",
        "xpt_transport_publisher_reconnects_total{reason=\"link_lost\"} 1",
        "xpt_transport_publisher_reconnects_total{reason=\"not_allowed\"} 1",
        "xpt_transport_publisher_reconnects_total{reason=\"topology_mismatch\"} 0",
        "# TYPE xpt_transport_blocked_seconds counter",
        "# TYPE xpt_transport_publisher_confirm_duration_seconds histogram",
        "xpt_transport_publisher_confirm_duration_seconds_count 4",
        "xpt_transport_subscription_connects_total 2",
        "xpt_transport_subscription_reconnects_total{reason=\"link_lost\"} 1",
        "# TYPE xpt_transport_process_duration_seconds histogram",
        "xpt_transport_process_duration_seconds_count 4",
        "xpt_transport_process_duration_seconds_bucket{le=\"0.25\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    for (name, least) in [
        ("xpt_transport_blocked_seconds_total ", BLOCKED),
        (
            "xpt_transport_publisher_confirm_duration_seconds_sum ",
            LATE,
        ),
        (
            "xpt_transport_process_duration_seconds_sum ",
            WORK * BATCHES as u32,
        ),
    ] {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let seconds: f64 = line.unwrap().parse().unwrap();
        let least = least.as_secs_f64();
        // What happens is seen when it has come through the socket, the mock's clock going on.
        assert!(
            seconds > 0.9 * least && seconds < 300.0 * least,
            "{name}{seconds}"
        );
    }
}
