//! The machine by itself, with a log in memory that answers, fails or belongs to another.

use std::time::Duration;

use telemetry_core::{DeviceId, LogHead};
use telemetry_itil::{Impact, IncidentUrgency, Notice, RuleRef};
use telemetry_storage::contract::batch;
use telemetry_transport::Delivery;

use super::*;

fn at(ms: u64) -> Now {
    Now {
        instant: Instant::from_nanos(ms * 1_000_000),
        wall: Timestamp::from_micros(1_700_000_000_000_000 + ms as i64 * 1_000),
    }
}

fn rule(signature: &str) -> Rule {
    Rule {
        rule: RuleRef {
            id: signature.to_owned(),
            version: 1,
        },
        service: "telemetry".to_owned(),
        signature: signature.to_owned(),
        threshold: 1.0,
        lasts: Duration::ZERO,
        clear: Duration::from_secs(10),
        impact: Impact::High,
        urgency: IncidentUrgency::High,
    }
}

fn config() -> IncidentsConfig {
    IncidentsConfig {
        itil: Config {
            rules: ["lag", "loss", "heat"].map(rule).into(),
            ..Config::default()
        },
        detectors: BTreeMap::from([("range-break".to_owned(), "heat".to_owned())]),
        ..IncidentsConfig::default()
    }
}

fn score(rule: &str, n: u64, excess: f64) -> ScoreOf {
    ScoreOf {
        rule: rule.to_owned(),
        ci: "pipeline".to_owned(),
        score: Score {
            excess,
            fresh: true,
        },
        cause: Cause {
            record: format!("{rule}:{n}"),
            detector: "range-break".to_owned(),
        },
    }
}

#[derive(Default)]
struct MemoryLog(Vec<LogGroup>);

impl LogStore for MemoryLog {
    type Error = std::convert::Infallible;

    async fn append(&mut self, group: &LogGroup) -> Result<Appended, Self::Error> {
        self.0.push(group.clone());
        Ok(Appended::Won)
    }

    async fn read(&mut self, seq: u64, max: usize) -> Result<Vec<LogGroup>, Self::Error> {
        let groups = self.0.iter().filter(|group| group.seq >= seq);
        Ok(groups.take(max).cloned().collect())
    }

    async fn head(&mut self) -> Result<Option<LogHead>, Self::Error> {
        Ok(self.0.last().map(LogHead::from))
    }
}

struct Rig {
    incidents: Incidents,
    log: MemoryLog,
    ms: u64,
    /// The log answers.
    answers: bool,
    /// The registry knows the schema, does not, or does not answer.
    registry: Result<bool, Unavailable>,
    put_back: Vec<Duration>,
    attempts: Vec<u64>,
    effects: Vec<Effect>,
    events: Vec<IncidentsEvent>,
    acknowledged: usize,
}

impl Rig {
    fn new(config: IncidentsConfig) -> Self {
        Self::on(config, MemoryLog::default())
    }

    fn on(config: IncidentsConfig, mut log: MemoryLog) -> Self {
        let opening = Incidents::open(config, &mut log, at(0), 7);
        let mut rig = Self {
            incidents: pollster::block_on(opening).unwrap(),
            log,
            ms: 0,
            answers: true,
            registry: Ok(true),
            put_back: Vec::new(),
            attempts: Vec::new(),
            effects: Vec::new(),
            events: Vec::new(),
            acknowledged: 0,
        };
        rig.turn();
        rig
    }

    fn give(&mut self, input: Input) {
        self.incidents.handle_input(at(self.ms), input).unwrap();
        self.turn();
    }

    fn turn(&mut self) {
        while let Some(output) = self.incidents.poll_output() {
            match output {
                Output::Append(group) => {
                    let seq = group.seq;
                    self.attempts.push(seq);
                    let answer = match self.answers {
                        true => Ok(pollster::block_on(self.log.append(&group)).unwrap()),
                        false => Err(Unavailable {
                            cause: "away".to_owned(),
                        }),
                    };
                    let input = Input::Appended { seq, answer };
                    self.incidents.handle_input(at(self.ms), input).unwrap();
                }
                Output::Event(IncidentsEvent::Effect(effect)) => self.effects.push(effect),
                Output::Event(event) => self.events.push(event),
                Output::Acknowledge(tokens) => self.acknowledged += tokens.len(),
                Output::LookUp {
                    subject,
                    fingerprint,
                } => {
                    use telemetry_core::{AvroRecord as _, Schema};
                    let schema = Schema::parse(DeviceEvent::SCHEMA).unwrap();
                    let entry = Entry {
                        schema: schema.into(),
                        version: 1,
                        quarantine: None,
                    };
                    let input = Input::LookedUp {
                        subject,
                        fingerprint,
                        answer: self.registry.clone().map(|known| known.then_some(entry)),
                    };
                    self.incidents.handle_input(at(self.ms), input).unwrap();
                }
                Output::Retry { after, .. } => self.put_back.push(after),
                other => panic!("{other:?}"),
            }
        }
    }

    fn score(&mut self, score: ScoreOf) -> Result<(), ScoreError> {
        let taken = self.incidents.score(at(self.ms), score);
        self.turn();
        taken
    }

    fn end(&mut self, effect: &Effect) {
        let (id, delivered) = (effect.id, EffectOutcome::Delivered);
        self.incidents.effect_ended(at(self.ms), id, delivered);
        self.turn();
    }
}

#[test]
fn a_log_that_does_not_answer_is_asked_again_and_no_effect_starts_before() {
    let mut rig = Rig::new(config());
    rig.answers = false;
    rig.score(score("lag", 1, 5.0)).unwrap();
    rig.score(score("loss", 1, 5.0)).unwrap();
    let seq = rig.attempts[1];
    assert_eq!(rig.attempts.len(), 2, "the second group waits behind it");
    rig.ms += 100;
    rig.give(Input::Tick);
    assert!(rig.effects.is_empty());
    rig.answers = true;
    rig.ms += 200;
    rig.give(Input::Tick);
    assert_eq!(rig.attempts[1..], [seq, seq, seq, seq + 1]);
    let notices: Vec<_> = rig.effects.iter().map(|e| &e.notice).collect();
    assert_eq!(notices, [&Notice::Opened, &Notice::Opened]);
    assert_eq!(rig.incidents.incidents().count(), 2);
}

#[test]
fn what_finds_no_room_waits_and_is_taken_later() {
    let mut config = config();
    config.itil.limits.outbox_max = 1;
    config.pending_max = 2;
    let mut rig = Rig::new(config);
    rig.score(score("lag", 1, 5.0)).unwrap();
    rig.score(score("loss", 1, 5.0)).unwrap();
    rig.score(score("heat", 1, 5.0)).unwrap();
    let refused = rig.score(score("heat", 2, 0.0));
    assert_eq!(refused, Err(ScoreError::Busy { waiting: 2 }));
    assert_eq!(rig.incidents.room(), 0, "no deliveries while events wait");
    for done in 1..=3 {
        assert_eq!(rig.effects.len(), done);
        let effect = rig.effects[done - 1].clone();
        rig.end(&effect);
    }
    assert_eq!(rig.incidents.incidents().count(), 3);
    assert!(rig.incidents.room() > 0);
    rig.score(score("heat", 2, 0.0)).unwrap();
}

#[test]
fn a_log_of_another_writer_ends_it_once() {
    let mut rig = Rig::new(config());
    rig.answers = false;
    rig.score(score("lag", 1, 5.0)).unwrap();
    let seq = rig.attempts[1];
    let answer = Ok(Appended::Lost { head: None });
    rig.give(Input::Appended { seq, answer });
    let lost = rig.events.iter();
    let lost = lost
        .filter(|e| matches!(e, IncidentsEvent::NotLeading))
        .count();
    assert_eq!(lost, 1);
    assert_eq!(rig.score(score("lag", 2, 0.0)), Err(ScoreError::NotLeading));
    rig.ms += 60_000;
    rig.give(Input::Tick);
    assert_eq!(rig.attempts.len(), 2, "it writes nothing any more");
    assert_eq!(
        (rig.incidents.room(), rig.incidents.poll_timeout()),
        (0, None)
    );
}

#[test]
fn a_restart_goes_on_with_open_incidents() {
    let mut rig = Rig::new(config());
    rig.score(score("lag", 1, 5.0)).unwrap();
    let mut again = Rig::on(config(), rig.log);
    // The condition is known to be there: no second incident, and it can clear.
    again.ms = 1_000;
    again.score(score("lag", 2, 5.0)).unwrap();
    again.score(score("lag", 3, 0.0)).unwrap();
    assert_eq!(again.incidents.incidents().count(), 1);
    let due = again.incidents.poll_timeout().unwrap();
    again.ms += due.saturating_since(at(again.ms).instant).as_millis() as u64;
    again.give(Input::Tick);
    let notices = again.effects.iter().map(|e| e.notice.as_str());
    // Effects that nobody ended come out again after a takeover.
    assert_eq!(notices.collect::<Vec<_>>(), ["opened", "resolved"]);
}

/// A delivery with one score, which was put back so often before.
fn device_event(failures: u32) -> Delivery {
    let event = DeviceEvent {
        kind: "score".to_owned(),
        detector: Some("range-break".to_owned()),
        cause: Some("d:1:s:9".to_owned()),
        score: Some(4.0),
        ..DeviceEvent::default()
    };
    Delivery {
        token: Token {
            session: 1,
            number: 1,
        },
        batch: batch(7, 1, 1, &[event]),
        redelivered: failures > 0,
        failures,
    }
}

#[test]
fn scores_wait_for_their_schema_and_not_for_ever() {
    let mut rig = Rig::new(config());
    rig.registry = Ok(false);
    let AnnouncementWait { tries, wait } = AnnouncementWait::default();
    for failures in 0..tries {
        rig.give(Input::Delivered(vec![device_event(failures)]));
    }
    assert_eq!(rig.put_back, vec![wait; tries as usize]);
    assert_eq!((rig.incidents.unread(), rig.acknowledged), (0, 0));
    rig.give(Input::Delivered(vec![device_event(tries)]));
    assert_eq!((rig.incidents.unread(), rig.acknowledged), (1, 1));
}

#[test]
fn a_registry_that_does_not_answer_is_asked_again_and_no_score_is_lost() {
    let mut rig = Rig::new(config());
    rig.registry = Err(Unavailable {
        cause: "away".to_owned(),
    });
    rig.give(Input::Delivered(vec![device_event(0)]));
    assert!(
        matches!(&rig.events[..], [IncidentsEvent::NoSchema { .. }]),
        "{:?}",
        rig.events
    );
    let groups = rig.attempts.len();
    rig.registry = Ok(true);
    rig.ms += 100;
    rig.give(Input::Tick);
    assert_eq!(
        rig.attempts.len(),
        groups + 1,
        "the log was not asked twice"
    );
    assert_eq!(rig.acknowledged, 1);
}

#[test]
fn a_device_event_is_acknowledged_once_its_incident_is_won() {
    let mut rig = Rig::new(config());
    rig.answers = false;
    rig.give(Input::Delivered(vec![device_event(0)]));
    assert_eq!(rig.acknowledged, 0);
    rig.answers = true;
    rig.ms += 100;
    rig.give(Input::Tick);
    assert_eq!(rig.acknowledged, 1);
    let ci = DeviceId::from_u128(7).to_string();
    let incident = rig.incidents.incidents().next().unwrap();
    assert!(incident.present.contains(&ci));
}
