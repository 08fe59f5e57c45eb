//! telemetry-transport beside its peers: one run, one disk, one broker, a table of ratios.
//!
//! `cargo xtask bench transport` runs it. What loses stays in the table.

mod blocked;
mod broker;
mod deliveries;
mod latency;
mod perftest;
mod records;
mod stores;

use std::error::Error;
use std::time::{Duration, Instant};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of a record, header included.
pub(crate) const RECORD: usize = 200;

/// Processor time that this process used.
pub(crate) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Value below which a part of sorted values lies.
pub(crate) fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let at = (sorted.len() as f64 * part) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

pub(crate) fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn main() -> Result<()> {
    let parts = std::env::args().skip(1).collect::<Vec<_>>();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    // Here, since a temporary folder may be no disk.
    let dir = tempfile::tempdir_in(".")?;
    let start = Instant::now();
    if wanted("stores") {
        stores::run(dir.path())?;
    }
    if wanted("recovery") {
        stores::recovery(dir.path())?;
    }
    if wanted("deliveries") {
        deliveries::run(dir.path())?;
    }
    if wanted("broker") || wanted("latency") || wanted("blocked") {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let cluster = testkit::rabbitmq::Cluster::single()?;
        let capacity = match wanted("broker") {
            true => broker::run(&runtime, &cluster, dir.path())?,
            false => broker::Capacity {
                ours: 200_000.0,
                perftest: Some(15_000.0),
            },
        };
        if wanted("latency") {
            latency::run(&runtime, &cluster, dir.path(), &capacity)?;
        }
        if wanted("blocked") {
            blocked::run(&runtime, &cluster, dir.path())?;
        }
    }
    println!("\n{:.0?} in all", start.elapsed());
    Ok(())
}
