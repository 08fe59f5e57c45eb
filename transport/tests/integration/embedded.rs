//! What the embedded log promises step by step.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{ConsumeAction, ConsumeError, Deliveries as _, EmbeddedLog};

use crate::embedded_loss::{LIMITS, batch};

/// Publishers and a waiting consumer share a log; nobody is missed and nobody hangs.
#[test]
fn threads_share_a_log() {
    const EACH: u64 = 50;
    let log = EmbeddedLog::open(SimulatedDisk::default(), LIMITS)
        .unwrap()
        .0;
    let mut consumer = log.subscribe("etl").unwrap();
    let seen = thread::scope(|scope| {
        for publisher in 0..4 {
            let log = log.clone();
            scope.spawn(move || {
                for n in 1..=EACH {
                    log.append(&batch(publisher * 1_000 + n)).unwrap();
                    log.commit().unwrap();
                }
            });
        }
        let mut seen: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut count = 0;
        while count < 4 * EACH {
            let end = log.durable();
            match consumer.next().unwrap() {
                Some(d) => {
                    let n = d.batch.envelope.first_seq.get();
                    seen.entry(n / 1_000).or_default().push(n % 1_000);
                    consumer.acknowledge(&[d.token]).unwrap();
                    count += 1;
                }
                None => log.wait(end, Duration::from_secs(60)),
            }
        }
        seen
    });
    let all: Vec<u64> = (1..=EACH).collect();
    assert!(seen.len() == 4 && seen.values().all(|got| *got == all));
}

#[test]
fn dead_letters_and_reasons_are_bounded() {
    let mut limits = LIMITS;
    limits.dead_letter_bytes = 2_000;
    let log = EmbeddedLog::open(SimulatedDisk::default(), limits)
        .unwrap()
        .0;
    let mut consumer = log.subscribe("etl").unwrap();
    for n in 1..=2 {
        log.append(&batch(n)).unwrap();
    }
    log.commit().unwrap();
    let first = consumer.next().unwrap().unwrap();
    // 1,024 bytes would end inside a character of three.
    consumer.reject(&first, &"€".repeat(400)).unwrap();
    assert_eq!(consumer.dead_letters().unwrap()[0].reason.len(), 1_023);
    let second = consumer.next().unwrap().unwrap();
    let refused = consumer.reject(&second, &"€".repeat(400));
    let Err(ConsumeError::DeadLettersFull { limit: 2_000, .. }) = refused else {
        panic!("{refused:?}");
    };
    // The refused one is still to be done.
    let mut again = log.subscribe("etl").unwrap();
    assert_eq!(again.next().unwrap().unwrap().batch, batch(2));
}

#[test]
fn a_full_file_of_dead_letters_ends_nobody() {
    let mut limits = LIMITS;
    limits.dead_letter_bytes = 300;
    let log = EmbeddedLog::open(SimulatedDisk::default(), limits)
        .unwrap()
        .0;
    let mut consumer = log.subscribe("etl").unwrap();
    for n in 1..=3 {
        log.append(&batch(n)).unwrap();
    }
    log.commit().unwrap();
    let group = consumer.take_group(3).unwrap();
    let full = consumer.reject(&group[0], &"x".repeat(300)).unwrap_err();
    assert_eq!(full.action(), ConsumeAction::MakeRoom);
    consumer.retry(&group[0], Duration::ZERO).unwrap();
    consumer
        .acknowledge(&[group[1].token, group[2].token])
        .unwrap();
    let again = consumer.next().unwrap().unwrap();
    assert_eq!((&again.batch, again.failures), (&batch(1), 1));
    consumer.reject(&again, "short").unwrap();
    assert_eq!(consumer.dead_letters().unwrap()[0].batch, batch(1));
    assert_eq!(consumer.open(), 0);
}

#[test]
fn so_many_deliveries_are_open_and_no_more() {
    let mut limits = LIMITS;
    limits.deliveries_open_max = 3;
    let log = EmbeddedLog::open(SimulatedDisk::default(), limits)
        .unwrap()
        .0;
    let mut consumer = log.subscribe("etl").unwrap();
    for n in 1..=5 {
        log.append(&batch(n)).unwrap();
    }
    log.commit().unwrap();
    let group = consumer.take_group(9).unwrap();
    assert_eq!(group.len(), 3);
    // What is done behind an open one still takes its place.
    consumer
        .acknowledge(&[group[1].token, group[2].token])
        .unwrap();
    assert_eq!(consumer.next().unwrap(), None);
    consumer.acknowledge(&[group[0].token]).unwrap();
    assert_eq!(consumer.take_group(9).unwrap().len(), 2);
}

/// A task that waits is woken by a commit of another thread, and by the end of a delay.
#[test]
fn a_waiting_task_is_woken() {
    let log = EmbeddedLog::open(SimulatedDisk::default(), LIMITS)
        .unwrap()
        .0;
    let mut consumer = log.subscribe("etl").unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            pollster::block_on(async {
                let first = consumer.next_group(8).await.unwrap().remove(0);
                consumer.retry(&first, Duration::from_millis(5)).unwrap();
                consumer.next_group(8).await.unwrap().remove(0)
            })
        });
        log.append(&batch(1)).unwrap();
        log.commit().unwrap();
        assert_eq!(waiting.join().unwrap().failures, 1);
    });
}

#[test]
fn damage_is_gone_past_and_counted() {
    let disk = SimulatedDisk::default();
    let log = EmbeddedLog::open(disk.clone(), LIMITS).unwrap().0;
    let mut consumer = log.subscribe("etl").unwrap();
    let mut at = vec![];
    for n in 1..=3 {
        at.push(log.append(&batch(n)).unwrap().offset);
        log.commit().unwrap();
    }
    disk.damage("00000001.segment", at[1] as usize + 40, 1);
    let mut seen = vec![];
    while let Some(d) = consumer.next().unwrap() {
        seen.push(d.batch.envelope.first_seq.get());
    }
    assert_eq!(seen, [1, 3]);
    assert_eq!(log.stats().damaged_bytes, at[2] - at[1]);
}
