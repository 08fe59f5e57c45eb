//! Carries records from a spool to the embedded log, both on disk.
//!
//! `cargo run -p telemetry-transport --example spool_to_embedded DIRECTORY`

use std::env;
use std::error::Error;
use std::path::PathBuf;

use telemetry_core::wire::put_long;
use telemetry_core::{Schema, StreamName, Timestamp, single_object};
use telemetry_transport::{Directory, EmbeddedLog, Limits, Opening, Spool};

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(env::args_os().nth(1).ok_or("usage: DIRECTORY")?);
    let schema =
        Schema::parse(r#"{"type":"record","name":"Beat","fields":[{"name":"bpm","type":"int"}]}"#)?;
    let storage = Directory::open(directory.join("spool"))?;
    let (mut spool, recovery) = Spool::open(storage, Opening::new()?)?;
    println!("spool: {recovery:?}");
    let stream = spool.stream(&StreamName::new("vendor.Beat")?)?;
    for bpm in 60..70 {
        let mut record = single_object::header(schema.fingerprint()).to_vec();
        put_long(&mut record, bpm);
        spool.append(stream, &record, None)?;
    }
    spool.commit()?;

    let (log, _) = EmbeddedLog::open(Directory::open(directory.join("log"))?, Limits::default())?;
    let mut consumer = log.subscribe("example")?;
    while let Some(mut batch) = spool.next_batch(64 << 10, 4)? {
        let published = Timestamp::from_micros(0);
        if let Some(batch) = batch.to_batch(schema.array_fingerprint(), published) {
            log.append(&batch)?;
        }
        log.commit()?;
        spool.confirm(&batch)?;
    }
    spool.save_cursor()?;
    while let Some(delivery) = consumer.next()? {
        println!("{}", delivery.batch.envelope.message_id());
        consumer.acknowledge(&[delivery.token])?;
    }
    Ok(())
}
