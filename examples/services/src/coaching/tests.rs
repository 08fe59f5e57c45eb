//! The machine by itself: every alert ends once, whatever happens on the way.

use std::collections::BTreeMap;
use std::sync::Arc;

use telemetry_airpods::proximity;
use telemetry_core::{AvroRecord as _, Schema, Timestamp};
use telemetry_storage::contract::batch;
use telemetry_transport::Delivery;

use super::*;

fn at(ms: u64) -> Now {
    Now {
        instant: Instant::from_nanos(ms * 1_000_000),
        wall: Timestamp::from_micros(0),
    }
}

/// Pro 2 in both ears.
fn worn() -> airpods::Input {
    let mut data = [
        0x07, 0x19, 0x01, 0x24, 0x20, 0x0b, 0x77, 0x8f, 0x11, 0x00, 0x05,
    ]
    .to_vec();
    data.resize(27, 0);
    airpods::Input::PodsSeen {
        frame: proximity::decode(&data).unwrap(),
        rssi: Some(-48),
    }
}

const DEVICE: DeviceId = DeviceId::from_u128(7);

struct Rig {
    coaching: Coaching,
    ms: u64,
    serial: i64,
    /// Answers speech as soon as it is heard, as the main job does.
    speaks: bool,
    raised: Vec<u64>,
    ended: BTreeMap<u64, Vec<Ending>>,
    stopped: usize,
    acknowledged: Vec<Token>,
    put_back: usize,
}

impl Rig {
    fn new(config: CoachingConfig) -> Self {
        Self {
            coaching: Coaching::new(config).unwrap(),
            ms: 0,
            serial: 0,
            speaks: true,
            raised: Vec::new(),
            ended: BTreeMap::new(),
            stopped: 0,
            acknowledged: Vec::new(),
            put_back: 0,
        }
    }

    /// A batch with a sample for each distance in metres and heart rate.
    fn samples(&mut self, samples: &[(f64, i32)]) {
        let samples: Vec<ActivitySample> = samples
            .iter()
            .map(|(distance, heart_rate)| {
                self.serial += 1;
                ActivitySample {
                    source: "ride".to_owned(),
                    serial: self.serial,
                    distance: Some(*distance),
                    heart_rate: Some(*heart_rate),
                    ..ActivitySample::default()
                }
            })
            .collect();
        let number = self.serial as u64;
        let delivery = Delivery {
            token: Token { session: 1, number },
            batch: batch(7, 1, number, &samples),
            redelivered: false,
            failures: 0,
        };
        self.give(Input::Delivered(vec![delivery]));
    }

    fn give(&mut self, input: Input) {
        self.coaching.handle_input(at(self.ms), input).unwrap();
        self.turn();
    }

    fn wearer(&mut self, input: airpods::Input) {
        self.coaching.handle_wearer(at(self.ms), DEVICE, input);
        self.turn();
    }

    fn turn(&mut self) {
        while let Some(output) = self.coaching.poll_output() {
            match output {
                Output::LookUp {
                    subject,
                    fingerprint,
                } => {
                    let schema = Schema::parse(ActivitySample::SCHEMA).unwrap();
                    let entry = Entry {
                        schema: Arc::new(schema),
                        version: 1,
                        quarantine: None,
                    };
                    let answer = Ok(Some(entry));
                    let input = Input::LookedUp {
                        subject,
                        fingerprint,
                        answer,
                    };
                    self.coaching.handle_input(at(self.ms), input).unwrap();
                }
                Output::Acknowledge(tokens) => self.acknowledged.extend(tokens),
                Output::Retry { .. } => self.put_back += 1,
                Output::Event(event) => self.event(event),
                other => panic!("{other:?}"),
            }
        }
    }

    fn event(&mut self, event: CoachingEvent) {
        match event {
            CoachingEvent::Raised { alert, .. } => self.raised.push(alert.id.0),
            CoachingEvent::Cue {
                alert,
                cue: Cue::Speak { .. },
                ..
            } if self.speaks => {
                let done = airpods::Input::SpeechDone(alert);
                self.coaching.handle_wearer(at(self.ms), DEVICE, done);
            }
            CoachingEvent::Stop { .. } => self.stopped += 1,
            CoachingEvent::Ended { alert, ending, .. } => {
                self.ended.entry(alert.0).or_default().push(ending);
            }
            _ => {}
        }
    }

    /// Lets time pass until nothing waits for it.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let Some(due) = self.coaching.poll_timeout() else {
                return;
            };
            let due = due.saturating_since(Instant::from_nanos(0)).as_millis();
            self.ms = self.ms.max(u64::try_from(due).unwrap());
            self.give(Input::Tick);
        }
        panic!("its timers never end");
    }

    #[track_caller]
    fn each_ended_once(&self) {
        assert!(!self.raised.is_empty());
        for id in &self.raised {
            let endings = self.ended.get(id).map_or(0, Vec::len);
            assert_eq!(endings, 1, "alert {id}: {:?}", self.ended.get(id));
        }
        assert_eq!(self.ended.len(), self.raised.len());
    }
}

#[test]
fn five_thousand_alerts_each_end_once() {
    for speaks in [true, false] {
        let mut config = CoachingConfig::default();
        config.policy.pods_fresh = Duration::from_secs(3_600);
        let mut rig = Rig::new(config);
        rig.speaks = speaks;
        rig.samples(&[(0.0, 120)]);
        for n in 1..=5_000u32 {
            rig.ms += if n % 3 == 0 { 90_000 } else { 700 };
            if n % 2 == 0 {
                rig.wearer(worn());
            }
            rig.give(Input::Tick);
            rig.samples(&[(f64::from(n) * 5_000.0, 120)]);
        }
        rig.settle();
        assert_eq!(rig.raised, (0..5_000).collect::<Vec<_>>());
        rig.each_ended_once();
        let given = rig.ended.values().flatten();
        let given = given.filter(|e| matches!(e, Ending::Given(_))).count();
        assert!(given > 1_000, "also the late ones are given: {given}");
        let last = rig.ended.range(4_900..).flat_map(|(_, e)| e);
        assert!(last.into_iter().any(|e| matches!(e, Ending::Given(_))));
    }
}

/// After an outage a goal and a warning come in one batch: the warning stops the goal's speech, whose
/// end is answered too late.
#[test]
fn a_stopped_cue_that_is_answered_ends_nobody() {
    let mut rig = Rig::new(CoachingConfig::default());
    rig.samples(&[(0.0, 120)]);
    rig.wearer(worn());
    rig.samples(&[(5_000.0, 120), (5_100.0, 180)]);
    assert!(rig.stopped > 0, "the warning takes the voice");
    rig.settle();
    rig.each_ended_once();
    let given = |e: &Vec<Ending>| matches!(e[..], [Ending::Given(_)]);
    assert!(rig.ended.values().all(given), "{:?}", rig.ended);
}

#[test]
fn what_the_router_has_no_room_for_waits_and_too_much_of_it_ends() {
    let mut policy = Policy::default();
    policy.limits.alerts_max = 1;
    let mut rig = Rig::new(CoachingConfig {
        policy,
        pending_max: 2,
        ..CoachingConfig::default()
    });
    rig.speaks = false;
    rig.samples(&[(0.0, 120)]);
    rig.wearer(worn());
    let goals: Vec<(f64, i32)> = (1..=5).map(|n| (f64::from(n) * 5_000.0, 120)).collect();
    rig.samples(&goals);
    let overload = |e: &&Ending| **e == Ending::Overload;
    assert_eq!(rig.ended.values().flatten().filter(overload).count(), 2);
    rig.settle();
    rig.each_ended_once();
}

#[test]
fn samples_wait_for_their_schema_and_acknowledgements_for_each_other() {
    let mut rig = Rig::new(CoachingConfig::default());
    rig.samples(&[(0.0, 120)]);
    rig.samples(&[(10.0, 120)]);
    assert!(rig.acknowledged.is_empty());
    rig.settle();
    assert_eq!(rig.acknowledged.len(), 2);

    let mut coaching = Coaching::new(CoachingConfig {
        announcements: AnnouncementWait {
            tries: 1,
            ..AnnouncementWait::default()
        },
        ..CoachingConfig::default()
    })
    .unwrap();
    for failures in 0..2 {
        let delivery = Delivery {
            token: Token {
                session: 1,
                number: 1,
            },
            batch: batch(7, 1, 1, &[ActivitySample::default()]),
            redelivered: failures > 0,
            failures,
        };
        let group = Input::Delivered(vec![delivery]);
        coaching.handle_input(at(0), group).unwrap();
        let Some(Output::LookUp {
            subject,
            fingerprint,
        }) = coaching.poll_output()
        else {
            panic!("it asks for the schema");
        };
        let answer = Input::LookedUp {
            subject,
            fingerprint,
            answer: Ok(None),
        };
        coaching.handle_input(at(0), answer).unwrap();
        let put_back = matches!(coaching.poll_output(), Some(Output::Retry { .. }));
        assert_eq!(put_back, failures == 0);
    }
    assert_eq!(coaching.unheard(), 1);
    // What passed is acknowledged like everything that was looked at, though nothing comes after it.
    let due = coaching.poll_timeout().unwrap();
    let then = Now {
        instant: due,
        ..at(0)
    };
    coaching.handle_input(then, Input::Tick).unwrap();
    let acknowledged = coaching.poll_output();
    assert!(
        matches!(&acknowledged, Some(Output::Acknowledge(tokens)) if tokens.len() == 1),
        "{acknowledged:?}"
    );
}
