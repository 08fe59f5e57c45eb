//! From a device to rows, cues, incidents and the ledger.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use services::coaching::{CoachingConfig, CoachingEvent, Ending};
use services::incidents::{IncidentsConfig, IncidentsEvent, ScoreOf};
use services::ledger::StreamLine;
use services::{Absent, Coaching, Driver, Incidents};
use telemetry_airpods::{Cue, Input};
use telemetry_core::single_object;
use telemetry_itil::detect::Score;
use telemetry_itil::{
    Cause, Config, EffectOutcome, FileLog, Impact, IncidentUrgency, Rule, RuleRef,
};
use telemetry_transport::Limits;

use crate::rig::{House, at};

#[test]
fn what_a_device_numbers_is_stored_and_the_ledger_says_so() {
    let mut house = House::new(Limits::default());
    for second in 0..20 {
        let first = second as i64 * 10 + 1;
        house.samples(second, first..first + 10);
        house.drain(second);
    }
    assert_eq!(house.sample_line(), (200, 200, 0));
    assert!(house.ledger().iter().all(|line| line.missing() == 0));
}

#[test]
fn lost_answers_and_an_absent_registry_cost_no_record() {
    let mut house = House::new(Limits::default());
    house.store.registry_faults.store(5, Ordering::Relaxed);
    for second in 0..20 {
        let first = second as i64 * 10 + 1;
        house.samples(second, first..first + 10);
        house.store.lost_answers.store(3, Ordering::Relaxed);
        house.drain(second);
    }
    house.settle(100);
    assert_eq!(house.sample_line(), (200, 200, 0));
}

#[test]
fn a_restart_in_the_middle_stores_everything_once() {
    let mut house = House::new(Limits::default());
    house.samples(0, 1..101);
    // Everything is written, and no answer comes: all of it is open when the process dies.
    house.store.lost_answers.store(1_000, Ordering::Relaxed);
    house.drain(0);
    assert!(house.ingest.deliveries.open() > 0);
    house.store.lost_answers.store(0, Ordering::Relaxed);
    house.restart();
    house.samples(1, 101..151);
    house.settle(2);
    let (numbered, stored, _) = house.sample_line();
    assert_eq!((numbered, stored), (150, 150));
}

/// A record that says it is longer than it is.
fn poison(house: &mut House, second: u64) {
    let text = r#"{"type":"record","name":"Diagnostics","namespace":"demo.vendor",
        "fields":[{"name":"note","type":"string"}]}"#;
    let schema = telemetry_core::Schema::parse(text).unwrap();
    let stream = house.producer.announce(&schema).unwrap();
    let mut record = single_object::header(schema.fingerprint()).to_vec();
    record.extend([0x80, 0x89, 0x7a, b'o', b'h', b'!']);
    house.producer.pass_on(stream, &record, None).unwrap();
    house.publish(second);
}

#[test]
fn full_dead_letters_hold_what_they_must_and_nothing_else() {
    let mut house = House::new(Limits {
        // Room for one letter, not for two.
        dead_letter_bytes: 600,
        ..Limits::default()
    });
    for second in 0..4 {
        poison(&mut house, second);
        let first = second as i64 * 10 + 1;
        house.samples(second, first..first + 10);
        house.drain(second);
    }
    let set_aside = |house: &House| {
        let letters = house.ledger().into_iter();
        let letters = letters.filter(|l| l.stream.as_str() == "demo.vendor.Diagnostics");
        letters.map(|l: StreamLine| l.set_aside).sum::<u64>()
    };
    assert_eq!(house.sample_line(), (40, 40, 0), "samples flow on");
    assert_eq!(set_aside(&house), 1);
    assert!(house.ingest.deliveries.open() > 0, "the others wait");
    // Somebody makes room, and each finds its place in time.
    house.limits.dead_letter_bytes = 1 << 20;
    house.restart();
    house.settle(10);
    assert_eq!(set_aside(&house), 4);
    assert!(house.ledger().iter().all(|line| line.missing() == 0));
}

#[test]
fn wearers_are_told_from_the_same_log() {
    let mut house = House::new(Limits::default());
    let consumer = house.log.subscribe("coaching").unwrap();
    let coaching = Coaching::new(CoachingConfig::default()).unwrap();
    let mut coaching = Driver::new(coaching, consumer, Absent);
    let mut ended = BTreeMap::new();
    let mut raised = 0;
    for second in 0..60 {
        let first = second as i64 + 1;
        house.samples(second, first..first + 1);
        house.drain(second);
        while pollster::block_on(coaching.take_group(at(second), &house.store.store)).unwrap() > 0 {
        }
        while let Some(event) = coaching.poll_event() {
            match event {
                CoachingEvent::Raised { .. } => raised += 1,
                CoachingEvent::Cue {
                    device,
                    alert,
                    cue: Cue::Speak { .. },
                } => {
                    let done = Input::SpeechDone(alert);
                    coaching.machine.handle_wearer(at(second), device, done);
                }
                CoachingEvent::Ended {
                    alert,
                    ending,
                    record,
                    ..
                } => {
                    // What became of an alert is a record like any other.
                    house.producer.append(&record).unwrap();
                    ended.insert(alert, ending);
                }
                _ => {}
            }
        }
    }
    // Twelve goals and six warnings, and nobody wears anything that could tell.
    assert_eq!(raised, 18);
    assert_eq!(ended.len(), 18);
    assert!(ended.values().all(|e| matches!(e, Ending::NotGiven(_))));
    house.publish(60);
    house.drain(60);
    let feedback = house.ledger().into_iter();
    let feedback = feedback.filter(|l| l.stream.as_str() == "xp.telemetry.FeedbackGiven");
    assert_eq!(feedback.map(|l| l.stored).sum::<u64>(), 18);
}

#[test]
fn incidents_are_kept_in_a_file_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("incidents.log");
    let config = || IncidentsConfig {
        itil: Config {
            rules: vec![Rule {
                rule: RuleRef {
                    id: "lag".to_owned(),
                    version: 1,
                },
                service: "ingest".to_owned(),
                signature: "rows fall behind".to_owned(),
                threshold: 1.0,
                lasts: std::time::Duration::ZERO,
                clear: std::time::Duration::from_secs(5),
                impact: Impact::High,
                urgency: IncidentUrgency::Medium,
            }],
            ..Config::default()
        },
        ..IncidentsConfig::default()
    };
    let mut told = Vec::new();
    for (run, excess) in [(0, 3.0), (1, 0.0)] {
        let mut log = FileLog::open(&path).unwrap();
        let now = at(run * 100);
        let opening = Incidents::open(config(), &mut log, now, u128::from(run) + 1);
        let incidents = pollster::block_on(opening).unwrap();
        let mut driver = Driver::new(incidents, Absent, log);
        for second in 0..10 {
            let now = at(run * 100 + second);
            let score = ScoreOf {
                rule: "lag".to_owned(),
                ci: "pipeline".to_owned(),
                score: Score {
                    excess,
                    fresh: true,
                },
                cause: Cause {
                    record: format!("lag@{run}:{second}"),
                    detector: "range-break".to_owned(),
                },
            };
            driver.machine.score(now, score).unwrap();
            loop {
                pollster::block_on(driver.carry_out(now, &Absent)).unwrap();
                let Some(event) = driver.poll_event() else {
                    break;
                };
                if let IncidentsEvent::Effect(effect) = event {
                    told.push(effect.notice.as_str());
                    let delivered = EffectOutcome::Delivered;
                    driver.machine.effect_ended(now, effect.id, delivered);
                }
            }
        }
    }
    assert_eq!(told, ["opened", "resolved"]);
}
