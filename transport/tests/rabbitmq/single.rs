//! Faults around a single node, one after another: nothing durable is lost, nothing counts twice.

use std::time::Duration;

use telemetry_transport::SendError;
use telemetry_transport::amqp::LinkState;
use testkit::firewall::Firewall;
use testkit::proxy::Proxy;
use testkit::rabbitmq::Cluster;

use crate::rig::{Counter, Device, config, runtime};

/// Bytes of a batch: small, so that many are in flight.
const BATCH: usize = 2_000;

/// A device and a consumer, each with a network of its own to the broker.
struct Scene {
    cluster: Cluster,
    proxy: Proxy,
    device: Device,
    heartbeat: Duration,
    counter: Counter,
}

impl Scene {
    fn new() -> Self {
        let cluster = Cluster::single().unwrap();
        let proxy = Proxy::new(cluster.address(1)).unwrap();
        let urls = [format!("amqp://guest:guest@{}/%2f", proxy.address())];
        let through = config(&urls, "faults");
        let heartbeat = through.heartbeat;
        let device = Device::start(through, 7);
        let counter = Counter::start(config(&[cluster.url(1)], "faults"));
        Self {
            cluster,
            proxy,
            device,
            heartbeat,
            counter,
        }
    }

    /// Publishes enough that the fault meets batches in flight.
    async fn load(&mut self, records: u64) {
        self.device.append(records, 200);
        self.device.publish(BATCH).await;
    }

    /// After the fault: everything arrives, and takes effect once.
    async fn check(&mut self, row: &str) {
        self.load(100).await;
        self.device.drain(BATCH).await;
        self.counter.expect(&[&self.device]).await;
        let records = self.device.durable.len();
        let duplicates = self.counter.duplicates();
        println!("{row}: {records} durable, 0 lost, {duplicates} batches came again so far");
    }
}

#[test]
fn faults_around_a_node() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut scene = Scene::new();
    runtime.block_on(async {
        scene.check("no fault").await;

        // Rows 1 and 2: the broker is killed, and restarted.
        scene.load(2_000).await;
        scene.cluster.kill(1).unwrap();
        scene.load(1_000).await;
        let is_down = |state: &LinkState| matches!(state, LinkState::Down { .. });
        scene.device.wait_link("a link that is down", is_down).await;
        scene.cluster.restart(1).unwrap();
        scene.check("1 broker killed").await;
        scene.load(2_000).await;
        scene.cluster.stop(1).unwrap();
        scene.cluster.restart(1).unwrap();
        scene.check("2 broker restarted").await;

        // Row 11: connections are reset, also while connecting.
        for _ in 0..3 {
            scene.load(500).await;
            scene.proxy.reset();
        }
        scene.proxy.set_refusing(true);
        scene.proxy.reset();
        scene.load(100).await;
        scene.device.wait_link("a link that is down", is_down).await;
        scene.proxy.heal();
        scene.check("11 resets").await;

        // Row 7: a black hole, found by silence.
        scene.load(500).await;
        scene.proxy.set_silent(true);
        scene.load(500).await;
        let is_dead = |state: &LinkState| {
            matches!(state, LinkState::Down { reason: Some(found) }
                if matches!(found.error, SendError::Silent { .. } | SendError::LinkLost))
        };
        scene
            .device
            .wait_link("a dead link is noticed", is_dead)
            .await;
        scene.proxy.heal();
        scene.check("7 black hole").await;
        let before = scene.proxy.connections();
        scene.proxy.set_silent(true);
        let went = scene.device.wait_link("an idle link that is dead", is_down);
        let limit = scene.heartbeat * 2;
        let noticed = tokio::time::timeout(limit, went).await;
        assert!(noticed.is_ok(), "nothing is sent, and {limit:?} are over");
        scene.proxy.heal();
        let is_up = |state: &LinkState| *state == LinkState::Up;
        scene.device.wait_link("a link that is back", is_up).await;
        assert!(scene.proxy.connections() > before);
        scene.check("7 black hole while nothing is sent").await;

        // Rows 8 and 9: slow is not dead.
        scene.proxy.set_latency(Duration::from_millis(200));
        scene.check("8 latency").await;
        let before = scene.proxy.connections();
        scene.load(1_000).await;
        scene.check("8 latency, 400 ms there and back").await;
        scene.proxy.set_rate(125_000);
        scene.load(2_000).await;
        scene.check("9 bandwidth, 1 Mbit/s and 400 ms").await;
        assert_eq!(scene.proxy.connections(), before, "no false time-out");
        scene.proxy.heal();

        // Row 10: packets are lost on the way to the broker, and on the way back.
        let port = scene.proxy.address().port();
        let lossy = [
            format!("tcp dport {port} numgen random mod 100 < 5 drop"),
            format!("tcp sport {port} numgen random mod 100 < 5 drop"),
        ];
        let firewall = Firewall::new(&lossy).unwrap();
        scene.load(2_000).await;
        scene.check("10 5 % loss").await;
        // All three at once.
        scene.proxy.set_latency(Duration::from_millis(200));
        scene.proxy.set_rate(125_000);
        scene.load(1_000).await;
        scene
            .check("8, 9, 10 1 Mbit/s, 400 ms and 5 % loss at once")
            .await;
        assert_eq!(scene.proxy.connections(), before, "no false time-out");
        drop(firewall);
        scene.proxy.heal();

        // Rows 13 and 14: alarms hold publishers back, without a new connection.
        let alarm = |scene: &Scene, code: &str| scene.cluster.eval(1, code).map(drop).unwrap();
        let is_blocked = |state: &LinkState| matches!(state, LinkState::Blocked { .. });
        for (row, source) in [("13 memory alarm", "memory"), ("14 disk alarm", "disk")] {
            let resource = format!("{{resource_limit, {source}, node()}}");
            let set = format!("rabbit_alarm:set_alarm({{{resource}, []}}).");
            alarm(&scene, &set);
            scene.load(500).await;
            scene.device.wait_link(row, is_blocked).await;
            // Longer than the confirm timeout.
            scene.load(500).await;
            tokio::time::sleep(Duration::from_secs(6)).await;
            alarm(&scene, &format!("rabbit_alarm:clear_alarm({resource})."));
            scene.check(row).await;
        }
        assert_eq!(
            scene.proxy.connections(),
            before,
            "a blocked link is not dropped"
        );
    });
}
