//! From append to durable and to confirmed, at a constant rate that does not wait for answers.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use telemetry_core::{Fingerprint, StreamName, Timestamp};
use telemetry_transport::amqp::Publisher;
use telemetry_transport::{Directory, Spool, SpooledBatch};
use testkit::rabbitmq::Cluster;
use tokio::runtime::Runtime;

use crate::broker::{Capacity, WINDOW, config};
use crate::stores::{opening, record};
use crate::{RECORD, Result, perftest, quantile};

const SECONDS: f64 = 5.0;

pub(crate) fn run(
    runtime: &Runtime,
    cluster: &Cluster,
    dir: &Path,
    capacity: &Capacity,
) -> Result<()> {
    println!(
        "\nlatency at a constant rate of one's own capacity: ours from when a record was due,"
    );
    println!("PerfTest's from when it published, as it says at its end\n");
    println!("| who | rate | to | p50 | p95 | p99 | p99.9 |\n|---|---|---|---:|---:|---:|---:|");
    for part in [0.5, 0.8] {
        let dir = dir.join(format!("latency-{part}"));
        let rate = capacity.ours * part;
        let percent = part * 100.0;
        let (mut durable, mut confirmed) = runtime.block_on(open_loop(cluster, &dir, rate))?;
        for (to, latencies) in [("durable", &mut durable), ("confirmed", &mut confirmed)] {
            latencies.sort_unstable();
            let [p50, p95, p99, p999] = [0.5, 0.95, 0.99, 0.999].map(|p| quantile(latencies, p));
            println!(
                "| **ours** | {percent:.0} % = {rate:.0}/s | {to} | {p50:.1?} | {p95:.1?} | {p99:.1?} | \
                 {p999:.1?} |"
            );
        }
        let Some(rate) = capacity.perftest.map(|rate| rate * part) else {
            continue;
        };
        let url = cluster.url(1);
        if let Some([p50, p95, p99]) = perftest::latency(&url, RECORD, WINDOW, rate)? {
            println!(
                "| PerfTest | {percent:.0} % = {rate:.0}/s | confirmed | {p50:.1?} | {p95:.1?} | \
                 {p99:.1?} | – |"
            );
        }
    }
    Ok(())
}

struct Open {
    batch: SpooledBatch,
    first: usize,
}

/// Appends what is due, commits when the commit before has ended, publishes what is durable.
async fn open_loop(
    cluster: &Cluster,
    dir: &Path,
    rate: f64,
) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let mut spool = Spool::open(Directory::open(dir)?, opening(1))?.0;
    let stream = spool.stream(&StreamName::new("xp.telemetry.ActivitySample")?)?;
    let publisher = Publisher::start(config(cluster, "latency"))?;
    publisher
        .link()
        .wait_for(|s| *s == telemetry_transport::amqp::LinkState::Up)
        .await?;
    let mut news = publisher.confirmed();
    let all = (rate * SECONDS) as usize;
    let (mut durable, mut confirmed) = (Vec::with_capacity(all), Vec::with_capacity(all));
    let (record, mut open) = (record(), VecDeque::<Open>::new());
    let (mut appended, mut taken) = (0, 0);
    let mut waiting: Option<SpooledBatch> = None;
    let start = Instant::now();
    let due = |n: usize| start + Duration::from_secs_f64(n as f64 / rate);
    while confirmed.len() < all {
        let now = Instant::now();
        let group = appended;
        while appended < all && due(appended) <= now && appended - group < 4_096 {
            spool.append(stream, &record, None)?;
            appended += 1;
        }
        if appended > group {
            tokio::task::block_in_place(|| spool.commit())?;
            let now = Instant::now();
            durable.extend((group..appended).map(|n| now.saturating_duration_since(due(n))));
        }
        loop {
            let next = match waiting.take() {
                Some(batch) => Some(batch),
                None => spool.next_batch(64 << 10, 1_000)?,
            };
            let Some(mut batch) = next else { break };
            let body = batch
                .to_batch(Fingerprint(2), Timestamp::from_micros(0))
                .ok_or("empty")?;
            let offer = publisher.offer(batch.id, &body);
            match tokio::time::timeout(Duration::from_micros(200), offer).await {
                Ok(offered) => {
                    offered?;
                    let first = taken;
                    taken += batch.count() as usize;
                    open.push_back(Open { batch, first });
                }
                Err(_) => {
                    waiting = Some(batch);
                    break;
                }
            }
        }
        if appended == group {
            let next = tokio::time::Instant::from_std(due(appended.min(all - 1)));
            let soon = tokio::time::Instant::now() + Duration::from_millis(1);
            tokio::select! {
                changed = news.changed() => changed?,
                () = tokio::time::sleep_until(next.max(soon)) => {}
            }
        }
        let done = *news.borrow_and_update();
        let now = Instant::now();
        while let Some(open) = open.pop_front_if(|open| Some(open.batch.id) <= done) {
            let count = open.batch.count() as usize;
            let names = open.first..open.first + count;
            confirmed.extend(names.map(|n| now.saturating_duration_since(due(n))));
            spool.confirm(&open.batch)?;
        }
    }
    Ok((durable, confirmed))
}
