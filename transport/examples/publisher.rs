//! Appends records to a spool and publishes them to RabbitMQ until each is confirmed.
//!
//! `cargo run -p telemetry-transport --features amqp --example publisher URL DIRECTORY`

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use telemetry_core::wire::put_long;
use telemetry_core::{Schema, StreamName, Timestamp, single_object};
use telemetry_transport::amqp::{AmqpConfig, Publisher};
use telemetry_transport::shared::SharedLimits;
use telemetry_transport::{Directory, Opening, Spool};

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
    let (mut spool, _) = Spool::open(Directory::open(directory)?, Opening::new()?)?;
    let stream = spool.stream(&StreamName::new("vendor.Beat")?)?;
    // From here on any number of tasks and threads may append.
    let (appender, batches) = spool.share(SharedLimits::default())?;
    let publisher = Publisher::start(config)?;
    let publishing = batches.publish(
        &publisher,
        |batch| batch.to_batch(schema.array_fingerprint(), Timestamp::from_micros(0)),
        // A device stores it in a file of its own and goes on.
        |_, refused| Err(std::io::Error::other(refused.to_string())),
    );
    let appending = async {
        let mut kept = Vec::new();
        for bpm in 60..70 {
            let mut record = single_object::header(schema.fingerprint()).to_vec();
            put_long(&mut record, bpm);
            kept.push(appender.try_append(stream, record, None)?);
        }
        for pending in kept {
            pending.await?; // from here on the record survives
        }
        let deadline = tokio::time::sleep(Duration::from_secs(60));
        let drained = appender.drain(deadline).await?;
        if drained.left > 0 {
            return Err(format!("{} records wait for the next opening", drained.left).into());
        }
        Ok::<_, Box<dyn Error>>(drained.stats.spool.confirmed)
    };
    let (published, confirmed) = tokio::join!(publishing, appending);
    published?;
    confirmed
}
