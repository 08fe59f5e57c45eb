//! Memory while a broker takes nothing and appends go on.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use telemetry_core::{Fingerprint, StreamName, Timestamp};
use telemetry_transport::amqp::{LinkState, Publisher};
use telemetry_transport::shared::SharedLimits;
use telemetry_transport::{Directory, Spool};
use testkit::rabbitmq::Cluster;
use tokio::runtime::Runtime;

use crate::Result;
use crate::broker::config;
use crate::stores::{opening, record};

const MIB: u64 = 1 << 20;

/// Bytes that the spool keeps; it is full long before the alarm ends.
const SPOOL: u64 = 64 * MIB;

/// How long the alarm lasts once the spool is full.
const BLOCKED: Duration = Duration::from_secs(15);

/// Resident memory of this process in bytes.
fn resident() -> Result<u64> {
    let mut text = String::new();
    File::open("/proc/self/statm")?
        .take(256)
        .read_to_string(&mut text)?;
    let pages: u64 = text.split(' ').nth(1).ok_or("statm")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}

fn set_memory(cluster: &Cluster, mark: &[&str]) -> Result<()> {
    let words = [&["set_vm_memory_high_watermark"], mark].concat();
    cluster.ctl(1, &words)?;
    Ok(())
}

pub(crate) fn run(runtime: &Runtime, cluster: &Cluster, dir: &Path) -> Result<()> {
    runtime.block_on(blocked(cluster, &dir.join("blocked")))
}

async fn blocked(cluster: &Cluster, dir: &Path) -> Result<()> {
    let mut opening = opening(1);
    opening.limits.segment_bytes = 8 * MIB;
    opening.limits.total_bytes = SPOOL;
    let mut spool = Spool::open(Directory::open(dir)?, opening)?.0;
    let stream = spool.stream(&StreamName::new("xp.telemetry.ActivitySample")?)?;
    let (appender, batches) = spool.share(SharedLimits::default())?;
    let publisher = Publisher::start(config(cluster, "blocked"))?;
    let mut link = publisher.link();
    link.wait_for(|link| *link == LinkState::Up).await?;
    let publishing = tokio::spawn(async move {
        let encode = |batch: &mut telemetry_transport::SpooledBatch| {
            batch.to_batch(Fingerprint(2), Timestamp::from_micros(0))
        };
        batches.publish(&publisher, encode, |_, _| unreachable!()).await
    });
    let appending = appender.clone();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let appending = tokio::spawn(async move {
        let record = bytes::Bytes::from(record());
        let mut tasks = Vec::new();
        // As many at once as a busy device has.
        for _ in 0..64 {
            let (appender, record, stopped) = (appending.clone(), record.clone(), stopped.clone());
            tasks.push(tokio::spawn(async move {
                let mut receipts = 0_u64;
                while !*stopped.borrow() {
                    appender.append(stream, record.clone(), None).await?;
                    receipts += 1;
                }
                std::result::Result::<_, telemetry_transport::shared::SharedError>::Ok(receipts)
            }));
        }
        stopped.changed().await?;
        let mut receipts = 0;
        for task in tasks {
            receipts += task.await??;
        }
        Result::Ok(receipts)
    });
    let mut stats = appender.watch_stats();
    stats
        .wait_for(|stats| stats.spool.confirmed > 10_000)
        .await?;
    set_memory(cluster, &["0"])?;
    link.wait_for(|link| matches!(link, LinkState::Blocked { .. }))
        .await?;
    let at_alarm = resident()?;
    stats.wait_for(|stats| stats.spool.refused > 0).await?;
    let (full, start, mut most) = (resident()?, Instant::now(), 0);
    while start.elapsed() < BLOCKED {
        tokio::time::sleep(Duration::from_millis(250)).await;
        most = most.max(resident()?);
    }
    let end = resident()?;
    set_memory(cluster, &["absolute", "4GB"])?;
    stop.send_replace(true);
    let receipts = appending.await??;
    let deadline = tokio::time::sleep(Duration::from_secs(120));
    let left = appender.drain(deadline).await?.stats.spool;
    publishing.await??;
    println!(
        "\nmemory while the broker is blocked, 64 tasks appending to a spool of {} MiB\n",
        SPOOL / MIB
    );
    println!(
        "| at the alarm | spool full | most in {BLOCKED:.0?} after | at the end | receipts | confirmed |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / MIB as f64);
    println!(
        "| {} | {} | {} | {} | {receipts} | {} |",
        mib(at_alarm),
        mib(full),
        mib(most),
        mib(end),
        left.confirmed
    );
    Ok(())
}
