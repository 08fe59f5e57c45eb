//! The embedded log: batches, the place of a consumer, and its dead letters.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use telemetry_core::{
    Batch, CONTENT_TYPE_AVRO, ClockMark, DeviceId, Envelope, Epoch, Seq, StreamName, Timestamp,
};
use telemetry_transport::{Consumer, Directory, EmbeddedLog};

use super::{LIMITS, payload, say};
use crate::Result;

type Log = EmbeddedLog<Directory>;

fn batch(number: u64) -> Result<Batch> {
    Ok(Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(1)?,
            subject: StreamName::new("rig.Record")?,
            first_seq: Seq::new(number)?,
            count: 1,
            published: Timestamp::from_micros(0),
            clock: ClockMark::default(),
            schema: None,
            content_type: CONTENT_TYPE_AVRO.to_owned(),
            traceparent: None,
        },
        body: Bytes::from(payload(number)),
    })
}

const fn number(batch: &Batch) -> u64 {
    batch.envelope.first_seq.get()
}

/// A log with a consumer that acknowledges nothing, so that everything is kept, and one that goes on.
fn open(folder: &Path) -> Result<(Log, Consumer<Directory>)> {
    let (log, _) = EmbeddedLog::open(Directory::open(folder.join("log"))?, LIMITS)?;
    log.subscribe("keep")?;
    let consumer = log.subscribe("etl")?;
    Ok((log, consumer))
}

/// Says what is there, and what the consumer is done with: all before the first that it gets.
fn say_all(log: &Log, consumer: &mut Consumer<Directory>) -> Result<()> {
    let open: Vec<u64> = consumer
        .take_group(usize::MAX)?
        .iter()
        .map(|delivery| number(&delivery.batch))
        .collect();
    let mut keep = log.subscribe("keep")?;
    loop {
        let group = keep.take_group(100)?;
        if group.is_empty() {
            break;
        }
        for delivery in &group {
            let number = number(&delivery.batch);
            say(format_args!("batch {number}"), &delivery.batch.body)?;
            if !open.contains(&number) {
                say(format_args!("done {number}"), &[])?;
            }
        }
        if keep.open() == LIMITS.deliveries_open_max {
            return Err("the rig wrote more than its reader holds".into());
        }
    }
    for letter in consumer.dead_letters()? {
        let number = number(&letter.batch);
        say(format_args!("letter {number}"), letter.reason.as_bytes())?;
    }
    Ok(())
}

pub(super) fn write(folder: &Path, first: u64) -> Result<Infallible> {
    let (log, mut consumer) = open(folder)?;
    say_all(&log, &mut consumer)?;
    // Those that were just handed out come again to another handle.
    let mut consumer = log.subscribe("etl")?;
    for n in first.. {
        let batch = batch(n)?;
        log.append(&batch)?;
        log.commit()?;
        say(format_args!("batch {n}"), &batch.body)?;
        if !n.is_multiple_of(3) {
            continue;
        }
        for delivery in consumer.take_group(usize::MAX)? {
            let number = number(&delivery.batch);
            if number.is_multiple_of(5) {
                let reason = format!("five divides {number}");
                consumer.reject(&delivery, &reason)?;
                say(format_args!("letter {number}"), reason.as_bytes())?;
            } else {
                consumer.acknowledge(&[delivery.token])?;
            }
            say(format_args!("done {number}"), &[])?;
        }
    }
    Err("there are no more numbers".into())
}

pub(super) fn read(folder: &Path) -> Result<()> {
    let (log, mut consumer) = open(folder)?;
    say_all(&log, &mut consumer)
}
