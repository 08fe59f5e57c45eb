//! The machine by itself: what it asks for, in which order, and what becomes of each answer.

use telemetry_core::records::SurfaceEvent;
use telemetry_storage::contract::batch;
use telemetry_transport::Token;

use super::*;

const STREAM: &str = SurfaceEvent::NAME;

fn at(ms: u64) -> Now {
    Now {
        instant: Instant::from_nanos(ms * 1_000_000),
        wall: Timestamp::from_micros(0),
    }
}

fn delivery(number: u64) -> Delivery {
    Delivery {
        token: Token { session: 1, number },
        batch: batch(7, 1, number, &[SurfaceEvent::default()]),
        redelivered: false,
        failures: 0,
    }
}

fn announcement(number: u64) -> Delivery {
    let said = SchemaAnnouncement {
        subject: STREAM.to_owned(),
        schema: SurfaceEvent::SCHEMA.to_owned(),
    };
    Delivery {
        batch: batch(7, 1, number, &[said]),
        ..delivery(number)
    }
}

/// The machine, and what it asked for that is not answered.
struct Rig {
    ingest: Ingest,
    now: u64,
    written: Vec<Enriched>,
    acknowledged: Vec<u64>,
    put_back: Vec<(u64, Duration)>,
    rejected: Vec<Delivery>,
    registered: Vec<String>,
    events: Vec<IngestEvent>,
    /// The registry answers.
    registry: bool,
}

impl Rig {
    fn new() -> Self {
        Self::with(IngestConfig::default())
    }

    fn with(config: IngestConfig) -> Self {
        let mut rig = Self {
            ingest: Ingest::new(config).unwrap(),
            now: 0,
            written: Vec::new(),
            acknowledged: Vec::new(),
            put_back: Vec::new(),
            rejected: Vec::new(),
            registered: Vec::new(),
            events: Vec::new(),
            registry: true,
        };
        rig.turn();
        assert_eq!(rig.registered, [SchemaAnnouncement::NAME]);
        rig.registered.clear();
        rig
    }

    fn give(&mut self, input: Input) {
        self.ingest.handle_input(at(self.now), input).unwrap();
        self.turn();
    }

    /// Carries outputs out; writes and rejections are answered by the test.
    fn turn(&mut self) {
        while let Some(output) = self.ingest.poll_output() {
            let answer = match output {
                Output::Event(event) => {
                    self.events.push(event);
                    continue;
                }
                Output::Acknowledge(tokens) => {
                    self.acknowledged.extend(tokens.iter().map(|t| t.number));
                    continue;
                }
                Output::Retry { delivery, after } => {
                    self.put_back.push((delivery.token.number, after));
                    continue;
                }
                Output::Reject { delivery, .. } => {
                    self.rejected.push(delivery);
                    continue;
                }
                Output::Write(group) => {
                    self.written = group;
                    continue;
                }
                Output::Append(_) => panic!("it has no log"),
                Output::Register { subject, schema } => {
                    self.registered.push(subject.to_string());
                    Input::Registered {
                        answer: self.answer(Registered::Known { version: 1 }),
                        fingerprint: schema.fingerprint(),
                        subject,
                    }
                }
                Output::LookUp {
                    subject,
                    fingerprint,
                } => Input::LookedUp {
                    answer: self.answer(None),
                    subject,
                    fingerprint,
                },
            };
            self.ingest.handle_input(at(self.now), answer).unwrap();
        }
    }

    fn answer<T>(&self, answer: T) -> Result<T, Unavailable> {
        match self.registry {
            true => Ok(answer),
            false => Err(Unavailable {
                cause: "away".to_owned(),
            }),
        }
    }

    /// Answers what was written, by the number of the delivery.
    fn answer_writes(&mut self, outcome: impl Fn(u64) -> Outcome) {
        let group = std::mem::take(&mut self.written).into_iter();
        let outcomes = group.map(|enriched| {
            let outcome = outcome(enriched.delivery.token.number);
            (enriched, outcome)
        });
        let outcomes = outcomes.collect();
        self.give(Input::Written(outcomes));
    }
}

fn stored(_: u64) -> Outcome {
    Outcome::Stored {
        new: 1,
        duplicates: 0,
        conflicts: 0,
    }
}

fn busy() -> StoreError {
    StoreError::Busy {
        reason: "locked".to_owned(),
    }
}

fn unknown_schema() -> Outcome {
    Outcome::Refused(Refusal::UnknownSchema {
        stream: StreamName::new(STREAM).unwrap(),
        fingerprint: SurfaceEvent::FINGERPRINT,
    })
}

#[test]
fn announced_schemas_are_registered_before_anything_is_written() {
    let mut rig = Rig::new();
    let known = Enrichment {
        wearer: Some("w-1".to_owned()),
        ..Enrichment::default()
    };
    rig.ingest.enrol(DeviceId::from_u128(7), known).unwrap();
    rig.give(Input::Delivered(vec![announcement(1), delivery(2)]));
    assert_eq!(rig.registered, [STREAM]);
    let wearers: Vec<_> = rig.written.iter().map(|w| &w.enrichment.wearer).collect();
    assert_eq!(wearers, [&Some("w-1".to_owned()), &Some("w-1".to_owned())]);
    assert_eq!(rig.ingest.room(), 0, "one group at a time");
    rig.answer_writes(stored);
    assert_eq!(rig.acknowledged, [1, 2]);
    assert_eq!(rig.ingest.room(), 256);
}

#[test]
fn deliveries_without_room_come_back() {
    let mut rig = Rig::new();
    rig.give(Input::Delivered(vec![delivery(1)]));
    let more = Input::Delivered(vec![delivery(2)]);
    let busy = rig.ingest.handle_input(at(0), more).unwrap_err();
    assert_eq!(busy.deliveries, [delivery(2)]);
    rig.answer_writes(stored);
    rig.give(Input::Delivered(busy.deliveries));
    rig.answer_writes(stored);
    assert_eq!(rig.acknowledged, [1, 2]);
}

#[test]
fn each_delivery_is_answered_by_its_own_outcome() {
    let mut rig = Rig::new();
    rig.give(Input::Delivered((1..=4).map(delivery).collect()));
    rig.answer_writes(|number| match number {
        2 => Outcome::Unknown(busy()),
        3 => Outcome::Refused(Refusal::Count {
            expected: 1,
            found: 0,
        }),
        _ => stored(number),
    });
    assert_eq!(rig.acknowledged, [1, 4]);
    assert_eq!(rig.put_back, [(2, Duration::from_millis(100))]);
    assert_eq!(rig.rejected, [delivery(3)]);
    assert_eq!(rig.ingest.room(), 256, "the others go on");
    let cause = rig.events.iter().find_map(|event| match event {
        IngestEvent::PutBack { cause } => Some(cause),
        _ => None,
    });
    assert_eq!(cause, Some(&PutBack::Unknown(busy())));
}

#[test]
fn while_the_store_is_away_nothing_more_is_taken() {
    let mut rig = Rig::new();
    let mut waits = Vec::new();
    for _ in 0..12 {
        rig.give(Input::Delivered(vec![delivery(1)]));
        rig.answer_writes(|_| Outcome::Unknown(busy()));
        assert_eq!(rig.ingest.room(), 0);
        let due = rig.ingest.poll_timeout().unwrap();
        waits.push(due.saturating_since(at(rig.now).instant).as_millis());
        rig.now += waits[waits.len() - 1] as u64;
        rig.give(Input::Tick);
        assert_eq!(rig.ingest.room(), 256);
    }
    assert_eq!(waits[..4], [100, 200, 400, 800]);
    assert_eq!(waits[11], 30_000);
    rig.give(Input::Delivered(vec![delivery(1)]));
    rig.answer_writes(stored);
    assert_eq!(rig.acknowledged, [1]);
    assert_eq!(rig.put_back.len(), 12, "each attempt put it back");
}

#[test]
fn while_the_registry_is_away_the_group_waits() {
    let mut rig = Rig::new();
    rig.registry = false;
    rig.give(Input::Delivered(vec![announcement(1), delivery(2)]));
    assert!(rig.written.is_empty(), "no record before its schema");
    assert_eq!((rig.registered.len(), rig.ingest.room()), (1, 0));
    rig.registry = true;
    rig.give(Input::Tick);
    assert_eq!(rig.registered.len(), 1, "not before its time");
    rig.now += 100;
    rig.give(Input::Tick);
    assert_eq!(rig.registered.len(), 2);
    rig.answer_writes(stored);
    assert_eq!(rig.acknowledged, [1, 2]);
}

#[test]
fn full_dead_letters_end_nobody() {
    let mut rig = Rig::new();
    rig.give(Input::Delivered(vec![delivery(1)]));
    let refuse = |_| {
        Outcome::Refused(Refusal::Opaque {
            content_type: "image/png".to_owned(),
        })
    };
    rig.answer_writes(refuse);
    let reject = |rig: &mut Rig, answer| {
        let delivery = rig.rejected.remove(0);
        let reason = "why".to_owned();
        rig.give(Input::Rejected {
            delivery,
            reason,
            answer,
        });
    };
    reject(&mut rig, Err(ConsumeAction::MakeRoom));
    assert_eq!(rig.put_back, [(1, Duration::from_secs(30))]);
    assert_eq!(rig.ingest.room(), 256, "the others go on");
    // It comes again, and there is room by then.
    rig.give(Input::Delivered(vec![delivery(1)]));
    rig.answer_writes(refuse);
    reject(&mut rig, Ok(()));
    let last = rig.events.last().unwrap();
    assert!(matches!(last, IngestEvent::SetAside { .. }), "{last:?}");
    assert!(rig.acknowledged.is_empty(), "the rejection answered it");
}

#[test]
fn a_batch_waits_for_its_announcement_and_not_for_ever() {
    let mut rig = Rig::with(IngestConfig {
        announcements: AnnouncementWait {
            tries: 2,
            ..AnnouncementWait::default()
        },
        ..IngestConfig::default()
    });
    for failures in 0..3 {
        rig.give(Input::Delivered(vec![Delivery {
            failures,
            ..delivery(1)
        }]));
        rig.answer_writes(|_| unknown_schema());
    }
    let wait = Duration::from_secs(1);
    assert_eq!(rig.put_back, [(1, wait), (1, wait)]);
    assert_eq!(rig.rejected.len(), 1);
}
