//! The examples, as they are.

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
        let reason = SendError::Unauthorized;
        assert_eq!(link.unwrap(), LinkState::Halted { reason });
    });
}
