//! The spool: records, and what the serials of their source say.

use std::convert::Infallible;
use std::path::Path;

use telemetry_core::{Fingerprint, StreamName, single_object};
use telemetry_transport::{Directory, Origin, Spool};

use super::{opening, payload, say};
use crate::Result;

fn open(folder: &Path) -> Result<Spool<Directory>> {
    let directory = Directory::open(folder.join("device/spool"))?;
    Ok(Spool::open(directory, opening()?)?.0)
}

/// Says every record that the spool gives out: what it gives out, it promises to keep.
fn say_all(spool: &mut Spool<Directory>) -> Result<()> {
    while let Some(batch) = spool.next_batch(64 << 10, 1_000)? {
        let (epoch, first) = (batch.epoch.get(), batch.first_seq.get());
        for (datum, seq) in batch.datums().zip(first..) {
            say(format_args!("record {epoch}:{seq}"), datum)?;
        }
    }
    let source = spool.source("rig")?;
    for serial in 1..=spool.resume(source) {
        say(format_args!("serial {serial}"), &[])?;
    }
    Ok(())
}

pub(super) fn write(folder: &Path, first: u64, commit: u64) -> Result<Infallible> {
    let mut spool = open(folder)?;
    say_all(&mut spool)?;
    let stream = spool.stream(&StreamName::new("rig.Record")?)?;
    let source = spool.source("rig")?;
    let mut serial = spool.resume(source);
    let mut number = first;
    loop {
        let mut appended = Vec::new();
        for _ in 0..commit {
            let datum = payload(number);
            let mut record = single_object::header(Fingerprint(1)).to_vec();
            record.extend_from_slice(&datum);
            serial += 1;
            number += 1;
            let receipt = spool.append(stream, &record, Some(Origin { source, serial }))?;
            appended.push((receipt.seq, serial, datum));
        }
        spool.commit()?;
        let epoch = spool.epoch().get();
        for (seq, serial, datum) in appended {
            say(format_args!("record {epoch}:{}", seq.get()), &datum)?;
            say(format_args!("serial {serial}"), &[])?;
        }
    }
}

pub(super) fn read(folder: &Path) -> Result<()> {
    say_all(&mut open(folder)?)
}
