//! Batches and records that are larger than a receiver takes.

use telemetry_core::{Fingerprint, StreamName, Timestamp, single_object};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{AppendError, ConfirmError, Opening, Spool, SpooledBatch, StreamNo};

fn record(number: u8, datum: usize) -> Vec<u8> {
    let mut record = single_object::header(Fingerprint(1)).to_vec();
    record.resize(10 + datum, number);
    record
}

fn open(disk: &SimulatedDisk) -> (Spool<SimulatedDisk>, StreamNo) {
    let (mut spool, _) = Spool::open(disk.clone(), Opening::new().unwrap()).unwrap();
    let stream = spool.stream(&StreamName::new("test.Sample").unwrap());
    let stream = stream.unwrap();
    (spool, stream)
}

fn next(spool: &mut Spool<SimulatedDisk>) -> Option<SpooledBatch> {
    spool.next_batch(64 << 10, 1_000).unwrap()
}

fn numbers(batch: &SpooledBatch) -> Vec<u8> {
    batch.datums().map(|datum| datum[0]).collect()
}

#[test]
fn a_batch_that_is_too_large_comes_again_in_smaller_ones() {
    let disk = SimulatedDisk::default();
    let (mut spool, stream) = open(&disk);
    for number in 1..=5 {
        // The third is larger than any batch may be.
        let datum = if number == 3 { 500 } else { 100 };
        spool.append(stream, &record(number, datum), None).unwrap();
    }
    spool.commit().unwrap();
    let mut large = next(&mut spool).unwrap();
    assert_eq!(numbers(&large), [1, 2, 3, 4, 5]);
    // Somebody has tried to send it.
    large
        .to_batch(Fingerprint(2), Timestamp::from_micros(0))
        .unwrap();
    spool.append(stream, &record(6, 100), None).unwrap();
    spool.commit().unwrap();
    let behind = next(&mut spool).unwrap();
    spool.confirm(&behind).unwrap();

    spool.split(&large, 250).unwrap();
    spool.split(&large, 250).unwrap();
    // The large one is over: its confirmation says nothing any more.
    spool.confirm(&large).unwrap();
    let nothing = spool.watermarks().confirmed;
    assert_eq!(spool.stats().confirmed, 1);
    let pieces: Vec<_> = std::iter::from_fn(|| next(&mut spool)).collect();
    let found: Vec<_> = pieces.iter().map(numbers).collect();
    assert_eq!(found, [vec![1, 2], vec![3], vec![4, 5]]);
    let seqs: Vec<_> = pieces.iter().map(|piece| piece.first_seq.get()).collect();
    assert_eq!(seqs, [1, 3, 4]);
    let names: Vec<_> = [&behind].into_iter().chain(&pieces).map(|b| b.id).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for piece in &pieces[1..] {
        spool.confirm(piece).unwrap();
    }
    assert_eq!(spool.watermarks().confirmed, nothing, "the first is open");
    spool.confirm(&pieces[0]).unwrap();
    assert_eq!(spool.stats().depth_records, 0);
    assert!(spool.watermarks().confirmed > nothing);

    // Another opening has other names.
    drop(spool);
    let (mut spool, _) = open(&disk);
    let refused = spool.split(&large, 250);
    assert!(matches!(refused, Err(ConfirmError::NotHandedOut { .. })));
}

#[test]
fn what_can_never_be_sent_is_refused_at_once() {
    let (mut spool, stream) = open(&SimulatedDisk::default());
    spool.limit_records(110);
    spool.append(stream, &record(1, 100), None).unwrap();
    let refused = spool.append(stream, &record(2, 101), None);
    let Err(AppendError::TooLarge { len: 111, max: 110 }) = refused else {
        panic!("{refused:?}");
    };
    spool.append(stream, &record(3, 100), None).unwrap();
    spool.commit().unwrap();
    assert_eq!(numbers(&next(&mut spool).unwrap()), [1, 3]);
}
