//! The whole topology, declared, used and declared otherwise.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use telemetry_core::{Batch, Epoch};
use telemetry_transport::amqp::{
    DeadLetters, DeclareError, Flow, Publisher, SubscribeConfig, Subscription, declare,
};
use telemetry_transport::{BatchId, SendError};
use testkit::rabbitmq::Cluster;

use crate::refusals::envelope;
use crate::rig::{config, runtime, within};

fn batch(text: &str) -> Batch {
    let mut envelope = envelope();
    envelope.content_type = "text/plain".to_owned();
    let body = text.as_bytes().to_vec().into();
    Batch { envelope, body }
}

#[test]
fn the_whole_topology_is_declared_and_carries_every_flow() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::single().unwrap();
    runtime.block_on(async {
        let all = config(&[cluster.url(1)], "whole");
        // What is there stays as it is.
        declare(&all).await.unwrap();
        declare(&all).await.unwrap();
        let queues = cluster.ctl(1, &["list_queues", "name"]).unwrap();
        let mut queues: Vec<_> = queues.lines().filter(|l| l.starts_with("whole.")).collect();
        queues.sort_unstable();
        let expected = [
            "whole.dlq",
            "whole.enriched.0",
            "whole.enriched.1",
            "whole.enriched.2",
            "whole.enriched.3",
            "whole.events.0",
            "whole.feedback.0",
            "whole.raw.0",
            "whole.raw.1",
            "whole.status.0",
        ];
        assert_eq!(queues, expected);
        for flow in Flow::ALL {
            let mut of_flow = all.clone();
            of_flow.topology = all.topology.of_flow(flow);
            of_flow.declare = false;
            let publisher = Publisher::start(of_flow.clone()).unwrap();
            let mut subscription =
                Subscription::start(of_flow.clone(), SubscribeConfig::default()).unwrap();
            let id = BatchId::new(Epoch::default(), 1);
            publisher.offer(id, &batch(flow.name())).await.unwrap();
            let delivery = within(flow.name(), subscription.next()).await.unwrap();
            assert_eq!(delivery.batch.body, flow.name());
            // What is put aside goes back to its own flow, whoever publishes it again.
            subscription.reject(&delivery, "later").await.unwrap();
            let dead = DeadLetters::new(all.clone()).unwrap();
            let replay = async {
                while dead.replay(1).await.unwrap() == 0 {}
                subscription.next().await.unwrap()
            };
            let again = within(flow.name(), replay).await;
            assert_eq!(again.batch.body, flow.name());
            subscription.ack(&again).await.unwrap();
        }
        by_mqtt(&cluster).await;
        // Another number of queues, of any flow.
        for flow in [Flow::Raw, Flow::Events] {
            let mut other = all.clone();
            other.topology = all.topology.of_flow(flow);
            other.topology.queues += 1;
            let Err(DeclareError::Link(refused)) = declare(&other).await else {
                panic!("{} has another number of queues", flow.name());
            };
            assert_eq!(
                refused.error,
                SendError::TopologyMismatch,
                "{}",
                refused.text
            );
        }
    });
}

/// What devices publish by MQTT comes through `amq.topic`, also a last will, which has no headers.
async fn by_mqtt(cluster: &Cluster) {
    let properties = ConnectionProperties::default();
    let url = cluster.url(1);
    let connection = Connection::connect(&url, properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let confirm = channel.confirm_select(ConfirmSelectOptions::default());
    confirm.await.unwrap();
    for (key, arrives) in [
        ("xpt.status.d7", true),
        ("xpt.raw.d7", true),
        ("other", false),
    ] {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default();
        let sent =
            channel.basic_publish("amq.topic".into(), key.into(), options, b"born", properties);
        let answer = within(key, sent.await.unwrap()).await.unwrap();
        let routed = matches!(answer, Confirmation::Ack(None));
        assert_eq!(routed, arrives, "{key}: {answer:?}");
    }
}
