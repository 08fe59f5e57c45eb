//! The examples, as they are, and the metrics of what they do.

#[path = "../../examples/consumer.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own, too")]
mod consumer;
#[path = "../../examples/publisher.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own, too")]
mod publisher;
#[path = "../../examples/tls.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own, too")]
mod tls;

use telemetry_transport::SendError;
use telemetry_transport::amqp::{AmqpConfig, LinkState};
use testkit::rabbitmq::{Cluster, Options};

use crate::rig::{runtime, within};

#[test]
fn examples_run() {
    let runtime = runtime();
    let cluster = Cluster::start(Options {
        tls: true,
        ..Options::default()
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let config = AmqpConfig::new([cluster.url(1)]);
        let published = publisher::run(config.clone(), dir.path());
        assert_eq!(within("confirmations", published).await.unwrap(), 10);
        within("records", consumer::run(config, 10)).await.unwrap();
        let authority = dir.path().join("authority.pem");
        std::fs::write(&authority, &cluster.certificates().unwrap().authority).unwrap();
        let url = |user| format!("amqps://{user}@{}/%2f", cluster.tls_address(1));
        let link = within("a link", tls::run(&url("guest:guest"), &authority)).await;
        assert_eq!(link.unwrap(), LinkState::Up);
        let link = within("a refusal", tls::run(&url("guest:wrong"), &authority)).await;
        let LinkState::Alarm { reason } = link.unwrap() else {
            panic!("a link with a wrong password");
        };
        assert_eq!(reason.error, SendError::Credentials);
    });
}

#[test]
fn metrics_count_what_happened() {
    use prometheus_client::registry::Registry;
    use telemetry_transport::amqp::{SubscribeConfig, Subscription};
    use telemetry_transport::metrics::{register_publisher, register_subscription};

    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::single().unwrap();
    let config = crate::rig::config(&[cluster.url(1)], "metrics");
    let mut registry = Registry::default();
    runtime.block_on(async {
        let mut device = crate::rig::Device::start(config.clone(), 7);
        register_publisher(&mut registry, &device.publisher);
        let mut subscription = Subscription::start(config, SubscribeConfig::default()).unwrap();
        register_subscription(&mut registry, &subscription);
        device.append(3, 200);
        device.drain(1).await;
        for number in 0..3 {
            let delivery = within("a delivery", subscription.next()).await.unwrap();
            match number {
                0 => subscription.reject(&delivery, "test").await.unwrap(),
                _ => subscription.ack(&delivery).await.unwrap(),
            }
        }
        let mut stats = subscription.watch_stats();
        let settled = stats.wait_for(|stats| stats.acknowledged == 3);
        within("acknowledgements", settled).await.unwrap();
    });
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "xpt_transport_published_messages_total 3",
        "xpt_transport_confirmed_batches_total 3",
        "xpt_transport_inflight_batches 0",
        "xpt_transport_delivered_batches_total 3",
        "xpt_transport_acknowledged_batches_total 3",
        "xpt_transport_rejected_batches_total 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}
