//! A machine with a log in memory that agrees to everything.

use std::time::Duration;

use telemetry_core::{LogGroup, Timestamp};
use telemetry_itil::*;

pub(crate) const SERVICE: &str = "telemetry";
pub(crate) const SIGNATURE: &str = "backlog outside its history";

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

pub(crate) fn rule(impact: Impact, urgency: IncidentUrgency) -> Rule {
    Rule {
        rule: RuleRef {
            id: "backlog".into(),
            version: 3,
        },
        service: SERVICE.into(),
        signature: SIGNATURE.into(),
        threshold: 1.0,
        lasts: Duration::from_secs(5),
        clear: Duration::from_secs(60),
        impact,
        urgency,
    }
}

pub(crate) fn config() -> Config {
    Config {
        rules: vec![rule(Impact::High, IncidentUrgency::High)],
        ..Config::default()
    }
}

pub(crate) fn event(second: i64, significance: Significance, ci: &str) -> Event {
    Event {
        significance,
        condition: Condition::Present,
        service: SERVICE.into(),
        ci: ci.into(),
        signature: SIGNATURE.into(),
        rule: rule(Impact::High, IncidentUrgency::High).rule,
        score: 2.5,
        cause: Cause {
            record: format!("{ci}:{second}"),
            detector: "range-break".into(),
        },
        occurred_at: at(second - 5),
        detected_at: at(second),
    }
}

pub(crate) fn exception(second: i64, ci: &str) -> Input {
    Input::Event(event(second, Significance::Exception, ci))
}

pub(crate) fn cleared(second: i64, ci: &str) -> Input {
    Input::Event(Event {
        condition: Condition::Cleared,
        ..event(second, Significance::Informational, ci)
    })
}

pub(crate) fn command(id: u64, action: Action) -> Input {
    Input::Command {
        by: "ada".into(),
        incident: IncidentId(id),
        action,
    }
}

pub(crate) fn assign() -> Action {
    Action::Assign {
        group: "platform".into(),
        person: None,
    }
}

pub(crate) fn resolve() -> Action {
    Action::Resolve {
        code: ClosureCode::Fixed,
        text: "restarted".into(),
        caused_by_change: None,
    }
}

pub(crate) struct Rig {
    pub(crate) itil: Itil,
    pub(crate) log: Vec<LogGroup>,
    pub(crate) told: Vec<(IncidentId, u32, Notice)>,
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let mut rig = Self {
            itil: Itil::new(config).unwrap(),
            log: Vec::new(),
            told: Vec::new(),
        };
        rig.itil.take_over(at(0), 7);
        rig.drain(at(0));
        rig
    }

    pub(crate) fn give(&mut self, second: i64, input: Input) -> Result<(), InputError> {
        let result = self.itil.handle_input(at(second), input);
        self.drain(at(second));
        result.map_err(|refusal| refusal.reason)
    }

    pub(crate) fn drain(&mut self, now: Timestamp) {
        while let Some(output) = self.itil.poll_output() {
            let answer = match output {
                Output::Append(group) => {
                    let seq = group.seq;
                    self.log.push(group);
                    Input::LogWon { seq }
                }
                Output::Effect(effect) => {
                    self.told
                        .push((effect.incident, effect.generation, effect.notice));
                    Input::EffectEnded {
                        id: effect.id,
                        outcome: EffectOutcome::Delivered,
                    }
                }
            };
            self.itil.handle_input(now, answer).unwrap();
        }
    }

    pub(crate) fn incident(&self, id: u64) -> &Incident {
        self.itil.incident(IncidentId(id)).unwrap()
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.told.iter().map(|(.., n)| n.clone()).collect()
    }
}
