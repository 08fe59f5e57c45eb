//! Deliveries of the embedded log, one batch at a time, and what a publisher beside them costs.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use telemetry_core::{
    Batch, CONTENT_TYPE_AVRO, ClockMark, DeviceId, Envelope, Epoch, Seq, StreamName, Timestamp,
};
use telemetry_transport::{Directory, EmbeddedLog, Limits};

use crate::{Result, rate};

/// Bytes of a batch's body.
const BODY: usize = 100;

const BATCHES: u64 = 200_000;

/// Deliveries that one acknowledgement answers, which is one sync.
const GROUP: usize = 4_096;

fn batch(n: u64) -> Result<Batch> {
    let seq = Seq::new(n)?;
    Ok(Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(1)?,
            subject: StreamName::new("xp.telemetry.ActivitySample")?,
            first_seq: seq,
            count: 1,
            published: Timestamp::from_micros(0),
            clock: ClockMark::default(),
            schema: None,
            content_type: CONTENT_TYPE_AVRO.to_owned(),
            traceparent: None,
        },
        body: Bytes::from(vec![7; BODY]),
    })
}

/// Takes every batch that is there, one by one.
fn consume(log: &EmbeddedLog<Directory>, name: &str) -> Result<Duration> {
    let mut consumer = log.subscribe(name)?;
    let start = Instant::now();
    let mut tokens = Vec::with_capacity(GROUP);
    for _ in 0..BATCHES {
        let delivery = consumer.next()?.ok_or("a batch is missing")?;
        tokens.push(delivery.token);
        if tokens.len() == GROUP {
            consumer.acknowledge(&tokens)?;
            tokens.clear();
        }
    }
    consumer.acknowledge(&tokens)?;
    Ok(start.elapsed())
}

pub(crate) fn run(dir: &Path) -> Result<()> {
    let path = dir.join("deliveries");
    let (log, _) = EmbeddedLog::open(Directory::open(&path)?, Limits::default())?;
    // What is kept for this one is read twice.
    let kept = log.subscribe("kept")?;
    for n in 1..=BATCHES {
        log.append(&batch(n)?)?;
    }
    log.commit()?;
    let alone = consume(&log, "alone")?;
    let (end, published) = (AtomicBool::new(false), batch(BATCHES + 1)?);
    let (beside, commits) = thread::scope(|scope| {
        let publisher = scope.spawn(|| -> Result<u64> {
            let mut commits = 0;
            while !end.load(Ordering::Relaxed) {
                log.append(&published)?;
                log.commit()?;
                commits += 1;
            }
            Ok(commits)
        });
        let took = consume(&log, "beside");
        end.store(true, Ordering::Relaxed);
        let commits = publisher.join().unwrap_or_else(|_| Err("a panic".into()));
        Result::Ok((took?, commits?))
    })?;
    println!(
        "\n{BATCHES} deliveries of the embedded log, {BODY} B each, one at a time, an acknowledgement \
         for {GROUP}\n"
    );
    println!("| | deliveries/s |\n|---|---:|");
    println!("| alone | {:.0} |", rate(BATCHES, alone));
    println!(
        "| beside a publisher with {:.0} commits/s | {:.0} |",
        rate(commits, beside),
        rate(BATCHES, beside)
    );
    drop((kept, log));
    Ok(std::fs::remove_dir_all(path)?)
}
