//! Brokers start, die and come back; a cut between nodes is one.

use testkit::rabbitmq::{Cluster, Options};

#[test]
fn rabbitmq_dies_and_comes_back() {
    let mut broker = Cluster::single().unwrap();
    let version = broker.ctl(1, &["-q", "version"]).unwrap();
    assert!(version.starts_with("4."), "{version}");
    broker.kill(1).unwrap();
    assert!(std::net::TcpStream::connect(broker.address(1)).is_err());
    broker.restart(1).unwrap();
    broker.stop(1).unwrap();
    assert!(std::net::TcpStream::connect(broker.address(1)).is_err());
}

#[test]
fn rabbitmq_forms_a_cluster_that_can_be_cut() {
    let nodes = 3;
    let cluster = Cluster::start(Options {
        nodes,
        ..Options::default()
    })
    .unwrap();
    let running = |node| {
        let nodes = cluster.eval(node, "length(rabbit_nodes:list_running()).");
        nodes.unwrap().trim().to_owned()
    };
    assert_eq!(running(1), "3");
    let cut = cluster.isolate(1).unwrap();
    // A client still reaches the node; another node does not.
    assert!(std::net::TcpStream::connect(cluster.address(1)).is_ok());
    let ping = format!("net_adm:ping('mq2@{}').", cluster.address(2).ip());
    let answers = |n| cluster.eval(n, &ping).unwrap().trim().to_owned();
    let down = std::iter::repeat_with(|| answers(1)).find(|answer| answer == "pang");
    assert!(down.is_some());
    assert_eq!(answers(3), "pong");
    drop(cut);
    let up = std::iter::repeat_with(|| answers(1)).find(|answer| answer == "pong");
    assert!(up.is_some());
}
