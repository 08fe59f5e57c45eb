//! What the embedded log promises step by step.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{
    ConsumeAction, ConsumeError, Deliveries as _, EmbeddedLog, FileId, FileKind, Storage as _,
};

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
    disk.damage(FileId::segment(1), at[1] as usize + 40, 1);
    let mut seen = vec![];
    while let Some(d) = consumer.next().unwrap() {
        seen.push(d.batch.envelope.first_seq.get());
    }
    assert_eq!(seen, [1, 3]);
    assert_eq!(log.stats().damaged_bytes, at[2] - at[1]);
}

/// Two handles of one consumer: each letter has a place of its own.
#[test]
fn handles_of_a_consumer_share_its_letters() {
    let disk = SimulatedDisk::default();
    let log = EmbeddedLog::open(disk.clone(), LIMITS).unwrap().0;
    let (mut one, mut two) = (log.subscribe("etl").unwrap(), log.subscribe("etl").unwrap());
    for n in 1..=2 {
        log.append(&batch(n)).unwrap();
    }
    log.commit().unwrap();
    let mine = one.next().unwrap().unwrap();
    one.reject(&mine, "first").unwrap();
    two.next().unwrap().unwrap();
    let theirs = two.next().unwrap().unwrap();
    two.reject(&theirs, "second").unwrap();
    let reasons = |letters: Vec<telemetry_transport::DeadLetter>| {
        letters.into_iter().map(|l| l.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(one.dead_letters().unwrap()), ["first", "second"]);
    // They stay when the consumer goes, and are there when it comes back.
    log.unsubscribe("etl").unwrap();
    drop((one, two, log));
    let log = EmbeddedLog::open(disk, LIMITS).unwrap().0;
    log.subscribe("other").unwrap();
    let again = log.subscribe("etl").unwrap();
    assert_eq!(reasons(again.dead_letters().unwrap()), ["first", "second"]);
}

#[test]
fn damaged_letters_are_counted_and_a_replay_keeps_them() {
    let mut disk = SimulatedDisk::default();
    let log = EmbeddedLog::open(disk.clone(), LIMITS).unwrap().0;
    let mut consumer = log.subscribe("etl").unwrap();
    for n in 1..=3 {
        log.append(&batch(n)).unwrap();
    }
    log.commit().unwrap();
    for delivery in consumer.take_group(3).unwrap() {
        consumer.reject(&delivery, "odd").unwrap();
    }
    let letters = FileId {
        kind: FileKind::Letters,
        number: 1,
    };
    let len = disk.len(letters).unwrap();
    disk.damage(letters, len as usize / 2, 4);
    let kept = consumer.dead_letters().unwrap();
    assert_eq!(kept.len(), 2);
    assert!(log.stats().damaged_letter_bytes > 100);
    assert_eq!(consumer.replay_dead_letters().unwrap(), 2);
    assert_eq!(log.stats().damaged_letter_bytes, 0);
    let files = disk.list().unwrap().into_iter();
    let aside: Vec<FileId> = files.filter(|f| f.kind == FileKind::Quarantine).collect();
    assert_eq!(disk.len(aside[0]).unwrap(), len);
    // The next letter begins a file of its own.
    let delivery = consumer.next().unwrap().unwrap();
    consumer.reject(&delivery, "again").unwrap();
    assert_eq!(consumer.dead_letters().unwrap()[0].reason, "again");
}

/// What is read once is delivered from memory, in any number of calls.
#[test]
fn each_byte_is_read_about_once() {
    let disk = SimulatedDisk::default();
    let mut limits = LIMITS;
    limits.segment_bytes = 1 << 20;
    limits.window_bytes = 1 << 16;
    let log = EmbeddedLog::open(disk.clone(), limits).unwrap().0;
    let mut consumer = log.subscribe("etl").unwrap();
    for n in 1..=1_000 {
        log.append(&batch(n)).unwrap();
    }
    log.commit().unwrap();
    let before = disk.read_bytes();
    let mut seen = 0;
    while consumer.next().unwrap().is_some() {
        seen += 1;
    }
    let read = disk.read_bytes() - before;
    assert_eq!(seen, 1_000);
    assert!(read < log.bytes() * 5 / 4, "{read} of {}", log.bytes());
}

#[test]
fn a_cursor_that_could_not_be_synced_is_not_tried_again() {
    let disk = SimulatedDisk::default();
    let log = EmbeddedLog::open(disk.clone(), LIMITS).unwrap().0;
    let mut consumer = log.subscribe("etl").unwrap();
    log.append(&batch(1)).unwrap();
    log.commit().unwrap();
    let delivery = consumer.next().unwrap().unwrap();
    disk.fail_sync(0);
    let failed = consumer.acknowledge(&[delivery.token]).unwrap_err();
    assert_eq!(failed.action(), ConsumeAction::BackOff);
    let again = consumer.acknowledge(&[delivery.token]).unwrap_err();
    assert_eq!(again.action(), ConsumeAction::Reopen);
    let log = EmbeddedLog::open(disk, LIMITS).unwrap().0;
    let again = log.subscribe("etl").unwrap().next().unwrap();
    // It may have been durable, or not.
    assert!(again.is_none_or(|delivery| delivery.batch == batch(1)));
}
