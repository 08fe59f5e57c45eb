//! Records per second until durable, on the disk of the current directory.
//!
//! `cargo bench -p telemetry-transport`

use std::error::Error;
use std::fs::File;
use std::io::{Seek, Write};
use std::time::Instant;

use bytes::Bytes;
use telemetry_core::{ClockMark, DeviceId, Fingerprint, StreamName, Timestamp, single_object};
use telemetry_transport::{Directory, EmbeddedLog, Limits, Opening, Spool};

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "its output is a table")]
fn row(name: &str, count: u64, since: Instant) {
    let rate = count as f64 / since.elapsed().as_secs_f64();
    println!("{name:<44} {rate:>12.0} /s");
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir_in(".")?;
    let mut record = single_object::header(Fingerprint(1)).to_vec();
    record.resize(200, 7);

    let mut file = File::create(dir.path().join("raw"))?;
    file.write_all(&vec![1; 1 << 20])?;
    file.sync_all()?;
    let start = now();
    for _ in 0..1_000 {
        file.rewind()?;
        file.write_all(&record)?;
        file.sync_data()?;
    }
    row("raw fdatasync, 200 B over written blocks", 1_000, start);

    let opening = Opening {
        new_device: DeviceId::from_u128(7),
        hardware_token: None,
        clock: ClockMark::default(),
        random: 1,
        limits: Limits::default(),
    };
    let mut spool = Spool::open(Directory::open(dir.path().join("spool"))?, opening)?.0;
    let stream = spool.stream(&StreamName::new("bench.Record")?)?;
    for (group, commits) in [(1, 1_000), (128, 1_000), (1_024, 1_000)] {
        let start = now();
        for _ in 0..commits {
            for _ in 0..group {
                spool.append(stream, &record, None)?;
            }
            spool.commit()?;
        }
        row(
            &format!("spool, 200 B, {group} per commit"),
            group * commits,
            start,
        );
    }

    let start = now();
    let (mut records, mut sample) = (0, None);
    while let Some(batch) = spool.next_batch(16 << 10, 1_000)? {
        records += u64::from(batch.count());
        spool.confirm(&batch)?;
        sample = Some(batch);
    }
    row("spool, read and confirm", records, start);

    let sample = sample.ok_or("the spool handed out nothing")?;
    let mut batch = sample
        .to_batch(Fingerprint(2), Timestamp::from_micros(0))
        .ok_or("an empty batch")?;
    batch.body = Bytes::from(vec![7; 16 << 10]);
    let log = EmbeddedLog::open(Directory::open(dir.path().join("log"))?, Limits::default())?.0;
    let start = now();
    for _ in 0..100 {
        for _ in 0..16 {
            log.append(&batch)?;
        }
        log.commit()?;
    }
    row("embedded log, 16 KiB batches, 16 per commit", 1_600, start);
    Ok(())
}
