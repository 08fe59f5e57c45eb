//! Dead letters of a real broker, looked at and published again.

#![allow(clippy::unwrap_used, reason = "a failed check of a test panics")]

use std::process::Command;

use bytes::Bytes;
use telemetry_core::{Batch, ClockMark, DeviceId, Envelope, Epoch, Seq, StreamName, Timestamp};
use telemetry_transport::amqp::{AmqpConfig, LinkState, Publisher, SubscribeConfig, Subscription};
use telemetry_transport::{BatchId, SendError};
use testkit::rabbitmq::Cluster;

fn xpt(url: &str, verb: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_xpt"))
        .args(["--json", "queue", verb])
        .env("XPT_BROKER", url)
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

fn batch() -> Batch {
    Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(1).unwrap(),
            subject: StreamName::new("vendor.Beat").unwrap(),
            first_seq: Seq::FIRST,
            count: 1,
            published: Timestamp::from_micros(0),
            clock: ClockMark::default(),
            schema: None,
            content_type: "text/plain".to_owned(),
            traceparent: None,
        },
        body: Bytes::from_static(b"beat"),
    }
}

#[test]
fn the_bench_publishes_and_leaves_nothing_on_the_broker() {
    let cluster = Cluster::single().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xpt"))
        .args(["queue", "bench", "--seconds", "0.05", "--records", "2000"])
        .args(["--amqp", &cluster.url(1)])
        .arg(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("append to confirmed by the broker"), "{text}");
    let queues = cluster.ctl(1, &["list_queues", "name"]).unwrap();
    assert!(!queues.contains("xpt-bench"), "{queues}");
    let exchanges = cluster.ctl(1, &["list_exchanges", "name"]).unwrap();
    assert!(!exchanges.contains("xpt-bench"), "{exchanges}");
}

#[test]
fn dead_letters_are_shown_and_published_again() {
    let cluster = Cluster::single().unwrap();
    let url = cluster.url(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = AmqpConfig::new([&url]);
    let mut subscription = runtime.block_on(async {
        let publisher = Publisher::start(config.clone()).unwrap();
        let id = BatchId::new(Epoch::default(), 1);
        publisher.offer(id, &batch()).await.unwrap();
        let mut subscription = Subscription::start(config, SubscribeConfig::default()).unwrap();
        let delivery = subscription.next().await.unwrap();
        subscription
            .reject(&delivery, "unknown schema")
            .await
            .unwrap();
        let mut stats = subscription.watch_stats();
        stats
            .wait_for(|stats| stats.acknowledged == 1)
            .await
            .unwrap();
        subscription
    });
    let dead = xpt(&url, "dead");
    assert!(dead.contains("unknown schema"), "{dead}");
    assert!(dead.contains("vendor.Beat"), "{dead}");
    assert!(xpt(&url, "dead").contains("unknown schema"), "they stay");
    assert!(xpt(&url, "replay").contains('1'));
    let again = runtime.block_on(subscription.next()).unwrap();
    assert_eq!(again.batch, batch());
    assert!(!xpt(&url, "dead").contains("unknown schema"));
}

#[test]
fn an_enrolled_user_speaks_for_itself_alone() {
    let cluster = Cluster::single().unwrap();
    let enrol = |user: &str| {
        let ctl = cluster.ctl_program(1).unwrap();
        let mut xpt = Command::new(env!("CARGO_BIN_EXE_xpt"));
        let output = xpt
            .args(["queue", "enrol", user, "--ctl"])
            .arg(ctl)
            .output();
        let output = output.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    let (enrolled, text) = enrol("nobody");
    assert!(!enrolled && text.contains("nobody"), "{text}");
    cluster.ctl(1, &["add_user", "d.7", "secret"]).unwrap();
    let (enrolled, text) = enrol("d.7");
    assert!(enrolled && text.contains("xpt.raw.d.7"), "{text}");
    // Whoever declares the topology is another user.
    let declared = xpt(&cluster.url(1), "declare");
    assert!(declared.contains("telemetry.feedback"), "{declared}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let url = cluster.url(1).replace("guest:guest", "d.7:secret");
        let mut config = AmqpConfig::new([url]);
        config.declare = false;
        let id = BatchId::new(Epoch::default(), 1);
        let own = Publisher::start(config.clone()).unwrap();
        own.offer(id, &batch()).await.unwrap();
        own.wait_confirmed(id).await.unwrap();
        // Not a pattern: the point in its name is a point.
        for forged in ["xpt.raw.d8", "xpt.raw.dx7", "xpt.raw.d.7.x"] {
            config.routing_key = Some(forged.to_owned());
            let forger = Publisher::start(config.clone()).unwrap();
            forger.offer(id, &batch()).await.unwrap();
            let mut link = forger.link();
            let alarm = |state: &LinkState| matches!(state, LinkState::Alarm { .. });
            let state = link.wait_for(alarm).await.unwrap().clone();
            let LinkState::Alarm { reason } = state else {
                unreachable!()
            };
            assert_eq!(reason.error, SendError::NotAllowed, "{}", reason.text);
            assert!(reason.text.contains(forged), "{}", reason.text);
        }
    });
}
