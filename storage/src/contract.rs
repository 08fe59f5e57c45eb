//! The suite that every store must pass: `all(&store)` on an empty one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a failed check of a test suite panics"
)]

use std::future::Future;

use telemetry_core::records::Enrichment;
use telemetry_core::{
    AvroRecord, Batch, BatchBuilder, BootId, CONTENT_TYPE_AVRO, ClockMark, ClockQuality, DeviceId,
    Envelope, Epoch, Fingerprint, Instant, Registered, Registry, Schema, Seq, StreamName,
    Timestamp,
};

use crate::{
    Accounting, Action, Gap, Outcome, Presence, Refusal, Selection, Store, StoredRecord, Write,
    read_all,
};

/// Firmware 1 of the suite's stream.
#[derive(AvroRecord, Clone, Debug, PartialEq)]
#[avro(name = "Sample", namespace = "contract")]
struct V1 {
    #[avro(event_time)]
    time: Timestamp,
    power: Option<i32>,
    speed: f32,
}

/// Firmware 2: one field renamed, one widened, one added.
#[derive(AvroRecord, Clone, Debug, PartialEq)]
#[avro(name = "Sample", namespace = "contract")]
struct V2 {
    #[avro(event_time)]
    time: Timestamp,
    #[avro(alias = "power")]
    watts: Option<i64>,
    speed: f64,
    #[avro(default = 7)]
    resistance: i32,
}

fn stream() -> StreamName {
    StreamName::new("contract.Sample").unwrap()
}

/// A batch of `records`, the first of which has number `first`.
pub fn batch<R: AvroRecord>(device: u128, epoch: u64, first: u64, records: &[R]) -> Batch {
    let mut builder = BatchBuilder::new(Fingerprint::of_array(R::CANONICAL));
    for record in records {
        let mut datum = Vec::new();
        record.put_datum(&mut datum);
        builder.push(&datum);
    }
    Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(device),
            epoch: Epoch::new(epoch).unwrap(),
            subject: StreamName::new(R::NAME).unwrap(),
            first_seq: Seq::new(first).unwrap(),
            count: builder.count(),
            published: Timestamp::from_micros(1),
            clock: ClockMark {
                boot: BootId::from_u128(1),
                monotonic: Instant::from_nanos(0),
                wall: Timestamp::from_micros(0),
                quality: ClockQuality::Synchronised,
            },
            schema: Some(R::FINGERPRINT),
            content_type: CONTENT_TYPE_AVRO.to_owned(),
            traceparent: None,
        },
        body: builder.finish().unwrap(),
    }
}

async fn write(store: &impl Store, batch: &Batch, enrichment: &Enrichment) -> Outcome {
    let mut outcomes = store.write(&[Write { batch, enrichment }]).await;
    assert_eq!(outcomes.len(), 1, "an outcome for each write");
    outcomes.remove(0)
}

fn stored(outcome: Outcome) -> (u32, u32) {
    match outcome {
        Outcome::Stored {
            new,
            duplicates,
            conflicts: 0,
        } => (new, duplicates),
        Outcome::Stored { conflicts, .. } => panic!("{conflicts} conflicts"),
        Outcome::Refused(refusal) => panic!("refused: {refusal}"),
        Outcome::Unknown(error) => panic!("unknown: {error}"),
    }
}

fn refusal(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        stored => panic!("not refused: {stored:?}"),
    }
}

fn v1(second: i64) -> V1 {
    V1 {
        time: Timestamp::from_micros(second * 1_000_000),
        power: Some(100 + second as i32),
        speed: 1.5,
    }
}

fn v2(second: i64) -> V2 {
    V2 {
        time: Timestamp::from_micros(second * 1_000_000),
        watts: None,
        speed: 2.25,
        resistance: 3,
    }
}

/// Runs every check; the store must be empty.
pub async fn all<S>(store: &S)
where
    S: Store + Accounting + Registry,
{
    let run = async {
        unknown_schemas_wait(store).await;
        evolves_and_reads_as_a_schema_of_today(store).await;
        a_resend_changes_nothing_but_the_enrichment(store).await;
        one_bad_batch_does_not_spoil_its_group(store).await;
        incompatible_schemas_are_quarantined(store).await;
        selections_and_pages_agree(store).await;
        the_same_name_with_another_content_is_counted(store).await;
        what_is_there_is_accounted_for(store).await;
    };
    assert_send(run).await;
}

/// A service moves these futures between threads.
fn assert_send<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    future
}

async fn unknown_schemas_wait<S: Store + Registry>(store: &S) {
    let outcome = write(store, &batch(1, 1, 1, &[v1(0)]), &Enrichment::default()).await;
    let refusal = refusal(outcome);
    assert!(matches!(refusal, Refusal::UnknownSchema { .. }));
    assert_eq!(refusal.action(), Action::Announce);
    assert!(
        store
            .read(
                &stream(),
                &Selection::default(),
                &Schema::parse(V2::SCHEMA).unwrap()
            )
            .await
            .unwrap()
            .records
            .is_empty()
    );
}

async fn evolves_and_reads_as_a_schema_of_today<S: Store + Registry>(store: &S) {
    let first_schema = Schema::parse(V1::SCHEMA).unwrap();
    let new = Schema::parse(V2::SCHEMA).unwrap();
    let enrichment = Enrichment::default();
    let stream = stream();
    assert_eq!(
        store.register(&stream, &first_schema).await.unwrap(),
        Registered::New { version: 1 }
    );
    let first = batch(1, 1, 1, &[v1(0), v1(1)]);
    assert_eq!(stored(write(store, &first, &enrichment).await), (2, 0));
    assert_eq!(
        store.register(&stream, &new).await.unwrap(),
        Registered::New { version: 2 }
    );
    let second = batch(2, 1, 1, &[v2(0)]);
    assert_eq!(stored(write(store, &second, &enrichment).await), (1, 0));
    // Firmware 1 goes on beside firmware 2.
    let third = batch(1, 1, 3, &[v1(2)]);
    assert_eq!(stored(write(store, &third, &enrichment).await), (1, 0));

    let page = store
        .read(&stream, &Selection::default(), &new)
        .await
        .unwrap();
    assert_eq!((page.unreadable.len(), page.next), (0, None));
    let records: Vec<V2> = page.records.iter().map(|r| r.read_as().unwrap()).collect();
    let old = |s: i64| V2 {
        watts: Some(100 + s),
        speed: 1.5,
        resistance: 7,
        ..v2(s)
    };
    assert_eq!(records, [old(0), old(1), old(2), v2(0)]);
    let selection = Selection {
        device: Some(DeviceId::from_u128(1)),
        from: Some(Timestamp::from_micros(1_000_000)),
        until: Some(Timestamp::from_micros(2_000_000)),
        ..Selection::default()
    };
    assert_eq!(numbers(store, &stream, &selection, &new).await, [2]);
}

/// Numbers of the records that a selection gives, page after page.
async fn numbers(
    store: &impl Store,
    stream: &StreamName,
    selection: &Selection,
    reader: &Schema,
) -> Vec<u64> {
    let page = read_all(store, stream, selection, reader, 1_000)
        .await
        .unwrap();
    page.records.iter().map(|r| r.seq.get()).collect()
}

/// Every way to select gives the same records, in pages of any size.
async fn selections_and_pages_agree<S: Store + Registry>(store: &S) {
    let (stream, reader) = (stream(), Schema::parse(V2::SCHEMA).unwrap());
    let session = |name: &str| Enrichment {
        session: Some(name.to_owned()),
        ..Enrichment::default()
    };
    // Over two days, on two devices.
    let day = 86_400;
    let early = batch(20, 3, 1, &[v2(day - 2), v2(day - 1), v2(day), v2(day + 1)]);
    let late = batch(21, 3, 1, &[v1(day), v1(day + 2)]);
    assert_eq!(stored(write(store, &early, &session("a")).await), (4, 0));
    assert_eq!(stored(write(store, &late, &session("b")).await), (2, 0));
    let at = |second: i64| Some(Timestamp::from_micros(second * 1_000_000));
    let both = Selection {
        from: at(day - 2),
        until: at(day + 3),
        ..Selection::default()
    };
    let whole = numbers(store, &stream, &both, &reader).await;
    assert_eq!(whole, [1, 2, 3, 4, 1, 2], "by day, then by device");
    for limit in 1..7 {
        let pages = Selection {
            limit,
            ..both.clone()
        };
        assert_eq!(
            numbers(store, &stream, &pages, &reader).await,
            whole,
            "{limit} a page"
        );
    }
    let of_session = Selection {
        session: Some("b".to_owned()),
        ..both.clone()
    };
    assert_eq!(numbers(store, &stream, &of_session, &reader).await, [1, 2]);
    let of_schema = Selection {
        schema: Some(V1::FINGERPRINT),
        ..both
    };
    assert_eq!(numbers(store, &stream, &of_schema, &reader).await, [1, 2]);
    let latest = store.latest(&stream, &reader).await.unwrap();
    let of = |device: u128| -> Vec<&StoredRecord> {
        let device = DeviceId::from_u128(device);
        latest.iter().filter(|r| r.device == device).collect()
    };
    assert_eq!(of(20).iter().map(|r| r.seq.get()).collect::<Vec<_>>(), [4]);
    assert_eq!(
        of(21).iter().map(|r| r.time).collect::<Vec<_>>(),
        [at(day + 2)]
    );
}

/// A key that is there with another content stays as it is, and is counted.
async fn the_same_name_with_another_content_is_counted<S: Store + Registry>(store: &S) {
    let enrichment = Enrichment::default();
    let first = batch(30, 1, 1, &[v1(0), v1(1)]);
    assert_eq!(stored(write(store, &first, &enrichment).await), (2, 0));
    let mut other = v1(1);
    other.power = Some(-1);
    let second = batch(30, 1, 2, &[other]);
    let outcome = write(store, &second, &enrichment).await;
    let counted = matches!(
        outcome,
        Outcome::Stored {
            new: 0,
            duplicates: 0,
            conflicts: 1
        }
    );
    assert!(counted, "{outcome:?}");
    let selection = Selection {
        device: Some(DeviceId::from_u128(30)),
        ..Selection::default()
    };
    let reader = Schema::parse(V1::SCHEMA).unwrap();
    let page = store.read(&stream(), &selection, &reader).await.unwrap();
    let records: Vec<V1> = page.records.iter().map(|r| r.read_as().unwrap()).collect();
    assert_eq!(records, [v1(0), v1(1)]);
}

async fn a_resend_changes_nothing_but_the_enrichment<S: Store + Registry>(store: &S) {
    let enrichment = Enrichment {
        site: Some("north".to_owned()),
        ..Enrichment::default()
    };
    // Other batch borders than before: identity is the record's, not the batch's.
    let again = batch(1, 1, 2, &[v1(1), v1(2), v1(3)]);
    assert_eq!(stored(write(store, &again, &enrichment).await), (1, 2));
    assert_eq!(stored(write(store, &again, &enrichment).await), (0, 3));
    let reader = Schema::parse(V1::SCHEMA).unwrap();
    // Rows of firmware 2 cannot be read as firmware 1, which is said of each; the others can.
    let page = store
        .read(&stream(), &Selection::default(), &reader)
        .await
        .unwrap();
    assert_eq!((page.records.len(), page.unreadable.len()), (4, 1));
    assert!(
        page.unreadable[0].reason.contains("speed"),
        "{:?}",
        page.unreadable
    );
}

async fn one_bad_batch_does_not_spoil_its_group<S: Store + Registry>(store: &S) {
    let enrichment = Enrichment::default();
    let good = batch(3, 1, 1, &[v1(0)]);
    let mut short = batch(3, 1, 2, &[v1(1)]);
    short.body = short.body.slice(..short.body.len() - 3);
    let mut miscounted = batch(3, 1, 3, &[v1(2)]);
    miscounted.envelope.count = 2;
    let mut opaque = batch(3, 1, 4, &[v1(3)]);
    opaque.envelope.schema = None;
    let beyond = batch(3, 1, (1 << 63) - 1, &[v1(4), v1(5)]);
    let writes: Vec<_> = [&good, &short, &miscounted, &opaque, &beyond]
        .into_iter()
        .map(|batch| Write {
            batch,
            enrichment: &enrichment,
        })
        .collect();
    let mut outcomes = store.write(&writes).await.into_iter();
    let mut next = || outcomes.next().unwrap();
    assert_eq!(stored(next()), (1, 0));
    assert!(matches!(refusal(next()), Refusal::Body(_)));
    assert!(matches!(refusal(next()), Refusal::Count { .. }));
    assert!(matches!(refusal(next()), Refusal::Opaque { .. }));
    assert!(matches!(refusal(next()), Refusal::Numbers { .. }));
}

async fn incompatible_schemas_are_quarantined<S: Store + Registry>(store: &S) {
    #[derive(AvroRecord)]
    #[avro(name = "Sample", namespace = "contract")]
    struct Other {
        power: String,
    }
    let schema = Schema::parse(Other::SCHEMA).unwrap();
    for _ in 0..2 {
        let answer = store.register(&stream(), &schema).await.unwrap();
        assert!(matches!(answer, Registered::Quarantined(_)), "{answer:?}");
    }
    let entry = store.lookup(&stream(), Other::FINGERPRINT).await.unwrap();
    assert!(entry.unwrap().quarantine.is_some());
    let record = Other {
        power: "much".to_owned(),
    };
    let outcome = write(store, &batch(4, 1, 1, &[record]), &Enrichment::default()).await;
    assert!(matches!(refusal(outcome), Refusal::Quarantined { .. }));
}

/// Runs last: it accounts for what the checks before have written, too.
async fn what_is_there_is_accounted_for<S: Store + Accounting + Registry>(store: &S) {
    let enrichment = Enrichment::default();
    let device = DeviceId::from_u128(9);
    let lacks = batch(9, 5, 2, &[v2(900_001), v2(900_002)]);
    assert_eq!(stored(write(store, &lacks, &enrichment).await), (2, 0));
    let later = batch(9, 5, 7, &[v2(900_007)]);
    assert_eq!(stored(write(store, &later, &enrichment).await), (1, 0));
    let epoch = Epoch::new(5).unwrap();
    let presence = store.presence().await.unwrap();
    let lines: Vec<_> = presence.iter().filter(|p| p.device == device).collect();
    let expected = Presence {
        device,
        stream: stream(),
        epoch,
        stored: 3,
        last_seq: 7,
    };
    assert_eq!(lines, [&expected]);
    let gaps = store.gaps().await.unwrap();
    let gaps: Vec<_> = gaps.iter().filter(|g| g.device == device).collect();
    let gap = |first, last| Gap {
        device,
        stream: stream(),
        epoch,
        first: Seq::new(first).unwrap(),
        last: Seq::new(last).unwrap(),
    };
    assert_eq!(gaps, [&gap(1, 1), &gap(4, 6)]);
    let newest = store.newest(&stream()).await.unwrap();
    assert_eq!(newest, Some(Timestamp::from_micros(900_007_000_000)));
    let nothing = StreamName::new("contract.Nothing").unwrap();
    assert_eq!(store.newest(&nothing).await.unwrap(), None);
}
