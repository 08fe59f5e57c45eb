//! Row 16: the process is killed at named points, again and again, with a broker at the other end.
//!
//! `cargo xtask chaos --kills N` runs it as often as one likes.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Signal, getpid, kill_process};
use telemetry_core::{RecordId, StreamName};
use testkit::rabbitmq::Cluster;

use crate::rig::{Counter, Device, config, runtime};

/// Where a process ends.
const POINTS: [&str; 6] = [
    "after append",
    "after commit",
    "after publish",
    "after confirm",
    "after cursor",
    "after recycling",
];

/// What the child is told: point, which time it gets there, turn, URL, directory.
const CHILD: &str = "TELEMETRY_TRANSPORT_KILLED_CHILD";

/// Kills in all; default: twice at each point.
const KILLS: &str = "XPT_KILLS";

/// Ends this process at the chosen point, the chosen time.
struct Point {
    name: String,
    left: u32,
}

impl Point {
    fn reach(&mut self, name: &str) {
        if self.name == name {
            self.left -= 1;
            if self.left == 0 {
                kill_process(getpid(), Signal::KILL).unwrap();
            }
        }
    }
}

fn child(told: &str) {
    let told: Vec<&str> = told.split('|').collect();
    assert_eq!(told.len(), 5);
    let (point, times, turn, url, dir) = (told[0], told[1], told[2], told[3], told[4]);
    let mut point = Point {
        name: point.to_owned(),
        left: times.parse().unwrap(),
    };
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut config = config(&[url.to_owned()], "kills");
    config.topology.queues = 1;
    let mut device = Device::open(config, Path::new(dir), 7, turn.parse().unwrap());
    let mut out = std::io::stdout();
    // On a line of its own: the test harness has begun one.
    writeln!(out).unwrap();
    let mut told = 0;
    runtime.block_on(async {
        loop {
            device.append_only(20, 400);
            point.reach("after append");
            device.commit();
            for id in &device.durable[told..] {
                writeln!(out, "durable {} {}", id.epoch.get(), id.seq.get()).unwrap();
            }
            told = device.durable.len();
            point.reach("after commit");
            device.publish(2_000).await;
            point.reach("after publish");
            device.wait_some_confirmed().await;
            point.reach("after confirm");
            let before = device.spool.stats().bytes;
            device.confirm();
            if device.spool.stats().bytes < before {
                point.reach("after recycling");
            }
            device.spool.save_cursor().unwrap();
            point.reach("after cursor");
        }
    });
}

#[test]
fn a_process_killed_anywhere_loses_nothing() {
    if let Ok(told) = env::var(CHILD) {
        return child(&told);
    }
    let kills = env::var(KILLS).map_or(2 * POINTS.len(), |kills| kills.parse().unwrap());
    let cluster = Cluster::single().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut durable = BTreeSet::new();
    for turn in 0..kills {
        let point = POINTS[turn % POINTS.len()];
        // A segment fills up after a while; the other points are reached each time.
        let times = if point == "after recycling" {
            1
        } else {
            1 + turn % 5
        };
        let told = format!(
            "{point}|{times}|{}|{}|{}",
            turn + 1,
            cluster.url(1),
            dir.path().display()
        );
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "kills::a_process_killed_anywhere_loses_nothing"])
            .arg("--nocapture")
            .env(CHILD, told)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        for line in lines {
            let line = line.unwrap();
            if let Some(numbers) = line.strip_prefix("durable ") {
                let (epoch, seq) = numbers.split_once(' ').unwrap();
                durable.insert((epoch.parse().unwrap(), seq.parse().unwrap()));
            }
        }
        let status = process.wait().unwrap();
        assert!(
            !status.success(),
            "turn {turn} {point}: the process ended by itself"
        );
        if kills > 100 && turn % 100 == 99 {
            println!("{} kills", turn + 1);
        }
    }
    // The last one publishes what the others left.
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut config = config(&[cluster.url(1)], "kills");
    config.topology.queues = 1;
    let mut last = Device::open(config.clone(), dir.path(), 7, u64::MAX);
    let device = last.spool.device();
    last.append(1, 100);
    last.durable
        .extend(durable.into_iter().map(|(epoch, seq)| RecordId {
            device,
            epoch: telemetry_core::Epoch::new(epoch).unwrap(),
            stream: StreamName::new("test.Sample").unwrap(),
            seq: telemetry_core::Seq::new(seq).unwrap(),
        }));
    runtime.block_on(async {
        let mut counter = Counter::start(config);
        last.drain(2_000).await;
        counter.expect(&[&last]).await;
        println!(
            "16 {kills} kills at {} points: {} durable, 0 lost, {} batches came again",
            POINTS.len(),
            last.durable.len(),
            counter.duplicates()
        );
    });
}
