//! Row 12: faults in a random mix, while devices go on appending.
//!
//! `cargo xtask chaos --minutes N --seed S` runs it as long as one likes. A seed names the faults,
//! their order and their lengths.

#![expect(clippy::disallowed_methods, reason = "the mix lasts for a time")]

use std::env;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use testkit::firewall::Firewall;
use testkit::proxy::Proxy;
use testkit::rabbitmq::Cluster;

use crate::rig::{Counter, Device, config, runtime};

/// Seconds of the mix, at least as long as each fault takes once; default 0.
const SECONDS: &str = "XPT_CHAOS_SECONDS";

/// Names the mix; default 1.
const SEED: &str = "XPT_CHAOS_SEED";

const BATCH: usize = 2_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

const FAULTS: [&str; 10] = [
    "reset",
    "silence",
    "latency",
    "bandwidth",
    "refused connections",
    "loss",
    "broker kill",
    "broker restart",
    "memory alarm",
    "consumer kill",
];

struct Mix {
    random: Random,
    cluster: Cluster,
    proxy: Proxy,
    devices: Vec<Device>,
    counter: Counter,
    counts: [u32; FAULTS.len()],
}

impl Mix {
    /// Goes on for a while: devices append and publish what there is room for.
    async fn go_on(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            for device in &mut self.devices {
                // Appending does not wait for the link; the spool's limit is far away.
                device.append(
                    1 + self.random.below(20),
                    100 + self.random.below(400) as usize,
                );
                device.publish(BATCH).await;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Duration::from_millis(20))).await;
        }
    }

    fn progress(&self) -> (usize, usize) {
        let durable = self.devices.iter().map(|device| device.durable.len());
        let took = self.counter.sink.lock().unwrap().effects.len();
        (durable.sum(), took)
    }

    async fn fault(&mut self, fault: usize) {
        self.counts[fault] += 1;
        let short = self.random.millis(50, 1_500);
        match FAULTS[fault] {
            "reset" => self.proxy.reset(),
            "silence" => {
                self.proxy.set_silent(true);
                let time = self.random.millis(200, 8_000);
                self.go_on(time).await;
                self.proxy.set_silent(false);
            }
            "latency" => {
                self.proxy.set_latency(self.random.millis(5, 300));
                self.go_on(short).await;
            }
            "bandwidth" => {
                self.proxy.set_rate(20_000 + self.random.below(500_000));
                self.go_on(short).await;
            }
            "refused connections" => {
                self.proxy.set_refusing(true);
                self.proxy.reset();
                self.go_on(short).await;
                self.proxy.set_refusing(false);
            }
            "loss" => {
                let port = self.proxy.address().port();
                let percent = 1 + self.random.below(20);
                let rules = ["dport", "sport"]
                    .map(|end| format!("tcp {end} {port} numgen random mod 100 < {percent} drop"));
                let firewall = Firewall::new(&rules).unwrap();
                self.go_on(short).await;
                drop(firewall);
            }
            "broker kill" => {
                self.cluster.kill(1).unwrap();
                self.go_on(short).await;
                self.cluster.restart(1).unwrap();
            }
            "broker restart" => {
                self.cluster.stop(1).unwrap();
                self.cluster.restart(1).unwrap();
            }
            "memory alarm" => {
                let alarm = "{resource_limit, memory, node()}";
                let set = format!("rabbit_alarm:set_alarm({{{alarm}, []}}).");
                self.cluster.eval(1, &set).unwrap();
                self.go_on(short).await;
                let clear = format!("rabbit_alarm:clear_alarm({alarm}).");
                self.cluster.eval(1, &clear).unwrap();
            }
            _ => self.counter.restart(),
        }
        self.proxy.set_latency(Duration::ZERO);
        self.proxy.set_rate(0);
    }
}

#[test]
fn a_random_mix() {
    let number = |name, default| env::var(name).map_or(default, |n| n.parse::<u64>().unwrap());
    let (seconds, seed) = (number(SECONDS, 0), number(SEED, 1));
    println!("12 chaos: seed {seed}, at least {seconds} s");
    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::single().unwrap();
    let proxy = Proxy::new(cluster.address(1)).unwrap();
    let through = config(
        &[format!("amqp://guest:guest@{}/%2f", proxy.address())],
        "chaos",
    );
    let mut mix = Mix {
        random: Random(seed),
        devices: (1..4).map(|n| Device::start(through.clone(), n)).collect(),
        counter: Counter::start(config(&[cluster.url(1)], "chaos")),
        cluster,
        proxy,
        counts: [0; FAULTS.len()],
    };
    runtime.block_on(async {
        let start = Instant::now();
        let mut minute = 1;
        // Each once, in an order of the seed's; then as they come.
        let mut deck: Vec<usize> = (0..FAULTS.len()).collect();
        while !deck.is_empty() || start.elapsed() < Duration::from_secs(seconds) {
            let calm = mix.random.millis(50, 600);
            mix.go_on(calm).await;
            let fault = match deck.len() {
                // What stops the broker takes seconds: one in eight.
                0 => match mix.random.below(8) {
                    0 => 6 + mix.random.below(3) as usize,
                    1 => 9,
                    _ => mix.random.below(6) as usize,
                },
                left => deck.swap_remove(mix.random.below(left as u64) as usize),
            };
            mix.fault(fault).await;
            if start.elapsed().as_secs() / 60 >= minute {
                minute += 1;
                let (durable, took) = mix.progress();
                println!(
                    "{:?}: {durable} durable, {took} took effect",
                    start.elapsed()
                );
            }
        }
        mix.proxy.heal();
        for device in &mut mix.devices {
            device.drain(BATCH).await;
        }
        let devices: Vec<&Device> = mix.devices.iter().collect();
        mix.counter.expect(&devices).await;
        let mut faults = String::new();
        for (name, count) in FAULTS.iter().zip(mix.counts) {
            // Writing to a string cannot fail.
            let _ = write!(faults, ", {count} × {name}");
        }
        println!(
            "12 chaos: {:?}, {} durable, 0 lost, {} batches came again{faults}",
            start.elapsed(),
            mix.progress().0,
            mix.counter.duplicates()
        );
    });
}
