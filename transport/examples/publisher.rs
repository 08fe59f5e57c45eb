//! Appends records to a spool and publishes them to RabbitMQ until each is confirmed.
//!
//! `cargo run -p telemetry-transport --features amqp --example publisher URL DIRECTORY`

use std::collections::VecDeque;
use std::env;
use std::error::Error;
use std::path::Path;

use telemetry_core::wire::put_long;
use telemetry_core::{ClockMark, DeviceId, Schema, StreamName, Timestamp, single_object};
use telemetry_transport::amqp::{AmqpConfig, Publisher};
use telemetry_transport::{Directory, Limits, Opening, Spool};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows what it did")]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: URL DIRECTORY";
    let url = env::args().nth(1).ok_or(usage)?;
    let directory = env::args_os().nth(2).ok_or(usage)?;
    let records = run(AmqpConfig::new([url]), Path::new(&directory)).await?;
    println!("{records} records are confirmed");
    Ok(())
}

/// Returns how many records are confirmed.
pub async fn run(config: AmqpConfig, directory: &Path) -> Result<u64, Box<dyn Error>> {
    let schema =
        Schema::parse(r#"{"type":"record","name":"Beat","fields":[{"name":"bpm","type":"int"}]}"#)?;
    let opening = Opening {
        new_device: DeviceId::from_u128(7),
        hardware_token: None,
        clock: ClockMark::default(),
        // For show: a device takes random bits, so that no name is given twice.
        random: u64::from(std::process::id()),
        limits: Limits::default(),
    };
    let (mut spool, _) = Spool::open(Directory::open(directory)?, opening)?;
    let stream = spool.stream(&StreamName::new("vendor.Beat")?)?;
    for bpm in 60..70 {
        let mut record = single_object::header(schema.fingerprint()).to_vec();
        put_long(&mut record, bpm);
        spool.append(stream, &record, None)?;
    }
    spool.commit()?; // from here on the records survive

    let publisher = Publisher::start(config)?;
    let mut sent = VecDeque::new();
    while let Some(batch) = spool.next_batch(64 << 10, 4)? {
        let published = Timestamp::from_micros(0);
        if let Some(body) = batch.to_batch(schema.array_fingerprint(), published) {
            publisher.offer(batch.id, &body).await?; // waits while the window is full
        }
        sent.push_back(batch);
    }
    let mut records = 0;
    for batch in sent {
        publisher.wait_confirmed(batch.id).await?;
        spool.confirm(&batch)?; // only now may the spool forget it
        records += u64::from(batch.count());
    }
    spool.save_cursor()?;
    Ok(records)
}
