//! The suites that every broker, and the adapter to it, must pass.
//!
//! An adapter implements [`Broker`] in its tests and calls [`check`] with a way to make an empty
//! one, and [`Source`] and [`check_deliveries`] for its consumer. A broken promise panics with the
//! promise's name.

mod deliveries;
mod journal;

pub use deliveries::{Source, check_deliveries};
pub use journal::journal;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use telemetry_core::{
    Batch, CONTENT_TYPE_AVRO, ClockMark, DeviceId, Envelope, Epoch, Fingerprint, Seq, StreamName,
    Timestamp,
};

/// What an adapter reports when it cannot do its part.
pub type Failure = Box<dyn core::error::Error>;

/// A broker as the suite drives it. Consumers have names.
pub trait Broker {
    /// Publishes a batch.
    fn append(&mut self, batch: &Batch) -> Result<(), Failure>;
    /// Returns when every batch published so far is confirmed.
    fn commit(&mut self) -> Result<(), Failure>;
    /// Makes a consumer known: from here on the broker keeps batches for it.
    fn subscribe(&mut self, consumer: &str) -> Result<(), Failure>;
    /// The next confirmed batch for a consumer, `None` where it has seen all.
    fn next(&mut self, consumer: &str) -> Result<Option<Batch>, Failure>;
    /// Takes everything delivered to a consumer so far as done.
    fn ack(&mut self, consumer: &str) -> Result<(), Failure>;
    /// Puts the batch delivered last aside, and takes everything delivered before it as done.
    fn reject(&mut self, consumer: &str, reason: &str) -> Result<(), Failure>;
    /// What a consumer rejected: reason and batch, oldest first.
    fn dead_letters(&mut self, consumer: &str) -> Result<Vec<(String, Batch)>, Failure>;
    /// Publishes a consumer's dead letters again and forgets them.
    fn replay(&mut self, consumer: &str) -> Result<(), Failure>;
    /// Ends broker and consumers without warning and starts them again.
    fn crash(&mut self) -> Result<(), Failure>;
    /// Bytes kept for consumers.
    fn bytes(&mut self) -> Result<u64, Failure>;
}

/// Runs every case against a broker of its own.
pub fn check<B: Broker>(mut empty: impl FnMut() -> B) -> Result<(), Failure> {
    confirmed_batches_survive(&mut empty())?;
    envelopes_travel_whole(&mut empty())?;
    a_device_is_seen_in_order(&mut empty())?;
    what_is_not_acknowledged_comes_again(&mut empty())?;
    a_rejected_batch_can_be_replayed(&mut empty())?;
    consumers_are_independent(&mut empty())?;
    acknowledged_batches_are_freed(&mut empty())
}

/// A batch of one record, named by device and number.
fn batch(device: u128, number: u64) -> Result<Batch, Failure> {
    Ok(Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(device),
            epoch: Epoch::new(1)?,
            subject: StreamName::new("contract.Sample")?,
            first_seq: Seq::new(number)?,
            count: 1,
            published: Timestamp::from_micros(0),
            clock: ClockMark::default(),
            schema: None,
            content_type: CONTENT_TYPE_AVRO.into(),
            traceparent: None,
        },
        body: Bytes::from(number.to_le_bytes().repeat(16)),
    })
}

fn publish(broker: &mut impl Broker, batches: &[Batch]) -> Result<(), Failure> {
    for batch in batches {
        broker.append(batch)?;
    }
    broker.commit()
}

/// Everything a consumer has not seen.
fn drain(broker: &mut impl Broker, consumer: &str) -> Result<Vec<Batch>, Failure> {
    let mut all = Vec::new();
    while let Some(batch) = broker.next(consumer)? {
        all.push(batch);
    }
    Ok(all)
}

fn batches(device: u128, numbers: core::ops::Range<u64>) -> Result<Vec<Batch>, Failure> {
    numbers.map(|n| batch(device, n)).collect()
}

fn confirmed_batches_survive(broker: &mut impl Broker) -> Result<(), Failure> {
    broker.subscribe("etl")?;
    let sent = batches(1, 1..20)?;
    publish(broker, &sent)?;
    broker.crash()?;
    assert_eq!(drain(broker, "etl")?, sent, "a confirmed batch survives");
    Ok(())
}

fn envelopes_travel_whole(broker: &mut impl Broker) -> Result<(), Failure> {
    broker.subscribe("etl")?;
    let mut records = batch(1, 1)?;
    records.envelope.count = 3;
    records.envelope.schema = Some(Fingerprint(0xfedc_ba98_7654_3210));
    records.envelope.published = Timestamp::from_micros(-1);
    let traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    records.envelope.traceparent = Some(traced.into());
    let mut opaque = batch(2, 1)?;
    opaque.envelope.content_type = "image/png".into();
    opaque.body = Bytes::from_static(&[0, 0xff, 0xce, 0]);
    publish(broker, &[records.clone(), opaque.clone()])?;
    let seen = drain(broker, "etl")?;
    assert_eq!(seen.len(), 2, "each batch comes once");
    for sent in [records, opaque] {
        let message = "envelope and body arrive as they were sent";
        assert!(seen.contains(&sent), "{message}: {:?}", sent.envelope);
    }
    Ok(())
}

fn a_device_is_seen_in_order(broker: &mut impl Broker) -> Result<(), Failure> {
    broker.subscribe("etl")?;
    for n in 1..40 {
        publish(broker, &[batch(1, n)?, batch(2, n)?])?;
    }
    let seen = drain(broker, "etl")?;
    for device in [1, 2].map(DeviceId::from_u128) {
        let numbers = seen.iter().map(|b| &b.envelope);
        let numbers = numbers.filter(|e| e.device == device);
        let ordered = numbers.map(|e| e.first_seq.get()).eq(1..40);
        assert!(ordered, "one device's batches come in their order");
    }
    Ok(())
}

fn what_is_not_acknowledged_comes_again(broker: &mut impl Broker) -> Result<(), Failure> {
    broker.subscribe("etl")?;
    let sent = batches(1, 1..11)?;
    publish(broker, &sent)?;
    for _ in 0..4 {
        broker.next("etl")?;
    }
    broker.ack("etl")?;
    broker.next("etl")?;
    broker.crash()?;
    let again = drain(broker, "etl")?;
    assert_eq!(again, sent[4..], "not acknowledged means delivered again");
    let names: BTreeSet<_> = again.iter().map(|b| b.envelope.message_id()).collect();
    assert_eq!(names.len(), again.len(), "a name is one batch's alone");
    broker.ack("etl")?;
    broker.crash()?;
    let none = drain(broker, "etl")?;
    assert!(none.is_empty(), "acknowledged means never again");
    Ok(())
}

fn a_rejected_batch_can_be_replayed(broker: &mut impl Broker) -> Result<(), Failure> {
    broker.subscribe("etl")?;
    let sent = batches(1, 1..4)?;
    publish(broker, &sent)?;
    broker.next("etl")?;
    broker.reject("etl", "unknown schema")?;
    broker.crash()?;
    let letters = broker.dead_letters("etl")?;
    let expected = [("unknown schema".into(), sent[0].clone())];
    assert_eq!(letters, expected, "a dead letter keeps reason and batch");
    assert_eq!(drain(broker, "etl")?, sent[1..], "the rest flows on");
    broker.ack("etl")?;
    broker.replay("etl")?;
    assert_eq!(drain(broker, "etl")?, sent[..1], "a replay delivers again");
    let letters = broker.dead_letters("etl")?;
    assert!(letters.is_empty(), "a replay empties the dead letters");
    Ok(())
}

fn consumers_are_independent(broker: &mut impl Broker) -> Result<(), Failure> {
    broker.subscribe("fast")?;
    broker.subscribe("slow")?;
    let sent = batches(1, 1..30)?;
    publish(broker, &sent)?;
    assert_eq!(drain(broker, "fast")?, sent, "each consumer sees all");
    broker.ack("fast")?;
    broker.crash()?;
    assert!(drain(broker, "fast")?.is_empty(), "each has its own place");
    assert_eq!(drain(broker, "slow")?, sent, "nothing is freed too early");
    Ok(())
}

fn acknowledged_batches_are_freed(broker: &mut impl Broker) -> Result<(), Failure> {
    broker.subscribe("etl")?;
    publish(broker, &batches(1, 1..200)?)?;
    let full = broker.bytes()?;
    drain(broker, "etl")?;
    broker.ack("etl")?;
    let left = broker.bytes()?;
    assert!(
        left < full / 2,
        "what all have is freed: {left} of {full} bytes"
    );
    Ok(())
}
