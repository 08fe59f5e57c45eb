//! Faults of a cluster of three: a majority confirms, a minority confirms nothing.

use telemetry_transport::amqp::{Endpoint, LinkState, QueueType};
use testkit::firewall::Firewall;
use testkit::rabbitmq::{Cluster, Options};

use crate::rig::{Counter, Device, config, runtime};

/// Bytes of a batch.
const BATCH: usize = 2_000;

async fn check(row: &str, mut devices: Vec<&mut Device>, counter: &mut Counter) {
    for device in &mut devices {
        device.append(100, 200);
        device.drain(BATCH).await;
    }
    let devices: Vec<&Device> = devices.iter().map(|device| &**device).collect();
    counter.expect(&devices).await;
    let records: usize = devices.iter().map(|device| device.durable.len()).sum();
    let duplicates = counter.duplicates();
    println!("{row}: {records} durable, 0 lost, {duplicates} batches came again so far");
}

/// The node that leads the queue of the device.
fn leader(cluster: &Cluster, family: &str, asked: u8) -> u8 {
    let queues = cluster.ctl(
        asked,
        &["-q", "list_queues", "--no-table-headers", "name", "leader"],
    );
    let queues = queues.unwrap();
    let queue = format!("{family}.raw.0\t");
    let line = queues
        .lines()
        .find(|line| line.starts_with(&queue))
        .unwrap();
    let name = line.split_once("mq").unwrap().1;
    name.split_once('@').unwrap().0.parse().unwrap()
}

#[test]
fn faults_of_a_cluster() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let options = Options {
        nodes: 3,
        ..Options::default()
    };
    let mut cluster = Cluster::start(options).unwrap();
    let urls: Vec<_> = (1..=3).map(|node| cluster.url(node)).collect();
    let mut config = config(&urls, "cluster");
    config.topology.queues = 1;
    assert_eq!(config.topology.queue_type, QueueType::Quorum);
    runtime.block_on(async {
        let mut device = Device::start(config.clone(), 7);
        let mut counter = Counter::start(config.clone());
        check("no fault", vec![&mut device], &mut counter).await;

        // Row 3: the leader is killed in the middle of it, then the next one.
        let first = leader(&cluster, "cluster", 1);
        device.append(1_000, 200);
        device.publish(BATCH).await;
        cluster.kill(first).unwrap();
        check("3 leader killed", vec![&mut device], &mut counter).await;
        cluster.restart(first).unwrap();

        // Row 4: two of three are killed; nothing is confirmed until there is a majority again.
        let asked = first % 3 + 1;
        let next = leader(&cluster, "cluster", asked);
        let other = (1..=3).find(|n| ![first, next].contains(n)).unwrap();
        cluster.kill(next).unwrap();
        cluster.kill(other).unwrap();
        device.append(500, 200);
        device.publish(BATCH).await;
        let is_down = |state: &LinkState| matches!(state, LinkState::Down { .. });
        device.wait_link("a majority that is lost", is_down).await;
        cluster.spawn(next).unwrap();
        cluster.spawn(other).unwrap();
        for node in [next, other, first] {
            cluster.wait_ready(node).unwrap();
        }
        check("4 majority lost", vec![&mut device], &mut counter).await;

        // Row 5: the device is connected to the leader, which no other node reaches. It confirms
        // nothing; the majority does, once the device asks there.
        let alone = leader(&cluster, "cluster", 1);
        let order = (0..3).map(|n| urls[usize::from((alone - 1 + n) % 3)].clone());
        config.endpoint = Endpoint::Urls(order.collect());
        let mut caught = Device::start(config.clone(), 8);
        check(
            "before the cut",
            vec![&mut device, &mut caught],
            &mut counter,
        )
        .await;
        let cut = cluster.isolate(alone).unwrap();
        caught.append(200, 200);
        caught.publish(BATCH).await;
        check("5 partition", vec![&mut device, &mut caught], &mut counter).await;
        drop(cut);
        cluster.wait_ready(alone).unwrap();
        check(
            "5 partition healed",
            vec![&mut device, &mut caught],
            &mut counter,
        )
        .await;

        // Row 6: nobody reaches the node.
        let address = cluster.address(alone).ip();
        let cut = ["saddr", "daddr"].map(|end| format!("ip {end} {address} drop"));
        let cut = Firewall::new(&cut).unwrap();
        caught.append(200, 200);
        caught.publish(BATCH).await;
        check(
            "6 node cut off",
            vec![&mut device, &mut caught],
            &mut counter,
        )
        .await;
        drop(cut);
    });
}
