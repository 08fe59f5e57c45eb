//! The incident controller: the pipeline's own pulse in, incidents out, all of it in a log.

use std::path::Path;
use std::time::Duration;

use telemetry_core::Timestamp;
use telemetry_itil::detect::{RangeBreak, RangeBreakConfig, Watch};
use telemetry_itil::{
    Cause, Config, ConfigError, EffectOutcome, FileLog, FileLogError, Impact, Incident,
    IncidentUrgency, Input, Itil, Output, Refusal, ReplayError, Rule, RuleRef,
};

use crate::clock::Now;

/// Something the controller told people.
#[derive(Clone, Debug)]
pub struct Told {
    /// When, on the run's clock.
    pub at: Timestamp,
    /// What, for people.
    pub text: String,
}

/// Watches how far the stored rows are behind the clock, and runs the incidents of it.
pub struct Controller {
    itil: Itil,
    log: FileLog,
    lag: RangeBreak,
    watch: Watch,
    told: Vec<Told>,
}

/// Sent once, the controller cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The log's file.
    #[error("incident log: {0}")]
    Log(#[from] FileLogError),
    /// The log's content.
    #[error("incident log: {0}")]
    Replay(#[from] ReplayError),
    /// The rules.
    #[error("incident rules: {0}")]
    Config(#[from] ConfigError),
    /// The machine refused an input.
    #[error("incident machine: {0}")]
    Input(#[from] Box<Refusal>),
    /// Another writer took the log over.
    #[error("another process writes this incident log: one run at a time in a folder")]
    NotLeading,
}

/// The configuration item that shows the lag.
const CI: &str = "pipeline";

fn rule() -> Rule {
    Rule {
        rule: RuleRef {
            id: "ingest-lag".to_owned(),
            version: 1,
        },
        service: "telemetry-ingest".to_owned(),
        signature: "stored rows fall behind the clock".to_owned(),
        threshold: 1.0,
        lasts: Duration::from_secs(3),
        clear: Duration::from_secs(10),
        impact: Impact::High,
        urgency: IncidentUrgency::Medium,
    }
}

impl Controller {
    /// Opens the log and goes on where it ends.
    ///
    /// The detector's history is rebuilt from stored rows, which are a step apart in normal times:
    /// a lag of up to `usual`.
    pub fn open(path: &Path, writer: u128, usual: Duration) -> Result<Self, ControllerError> {
        let rule = rule();
        let config = Config {
            rules: vec![rule.clone()],
            // Days in a real house; a run is over in minutes.
            close_after: Duration::from_secs(15),
            ..Config::default()
        };
        let mut log = FileLog::open(path)?;
        let mut itil = Itil::new(config)?;
        let mut next = 1;
        let mut last = Timestamp::from_micros(0);
        loop {
            let groups = log.read_now(next, 1_000)?;
            let Some(group) = groups.last() else { break };
            next = group.seq + 1;
            for group in &groups {
                itil.replay_group(group)?;
            }
        }
        let mut watch = Watch::new(rule.clone(), CI);
        for incident in itil.incidents() {
            last = last.max(incident.created_at);
            if incident.present.contains(CI) {
                watch = Watch::raised(rule.clone(), CI, incident.occurred_at);
            }
        }
        // A lag is never a new normal, however long it lasts, and none is never unusual.
        let detector = RangeBreakConfig {
            learn: 0.0,
            forget: 0.0,
            ..RangeBreakConfig::default()
        };
        let mut lag = RangeBreak::new(detector);
        for i in 0..detector.warm_up {
            lag.update(usual.as_secs_f64() * f64::from(i % 2));
        }
        itil.take_over(last, writer);
        let mut controller = Self {
            itil,
            log,
            lag,
            watch,
            told: Vec::new(),
        };
        controller.drain(last)?;
        Ok(controller)
    }

    /// Takes the lag of this moment: the age of the newest stored row.
    pub fn turn(&mut self, now: Now, lag: Duration) -> Result<(), ControllerError> {
        let at = now.wall();
        let cause = Cause {
            record: format!("lag@{}", at.as_micros()),
            detector: "range-break".to_owned(),
        };
        let score = self.lag.update(lag.as_secs_f64());
        if let Some(event) = self.watch.update(at, score, cause) {
            self.itil.handle_input(at, Input::Event(event))?;
            self.drain(at)?;
        }
        while self.itil.poll_timeout().is_some_and(|due| due <= at) {
            self.itil.handle_input(at, Input::Tick)?;
            self.drain(at)?;
        }
        Ok(())
    }

    fn drain(&mut self, at: Timestamp) -> Result<(), ControllerError> {
        while let Some(output) = self.itil.poll_output() {
            let answer = match output {
                Output::Append(group) => {
                    let seq = group.seq;
                    match self.log.append_now(&group)? {
                        telemetry_core::Appended::Won => Input::LogWon { seq },
                        telemetry_core::Appended::Lost { .. } => {
                            return Err(ControllerError::NotLeading);
                        }
                    }
                }
                Output::Effect(effect) => {
                    self.told.push(Told {
                        at,
                        text: format!(
                            "{} {:?} {}: {:?}",
                            effect.incident, effect.priority, effect.signature, effect.notice
                        ),
                    });
                    Input::EffectEnded {
                        id: effect.id,
                        outcome: EffectOutcome::Delivered,
                    }
                }
            };
            self.itil.handle_input(at, answer)?;
        }
        Ok(())
    }

    /// Every incident, oldest first.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.itil.incidents()
    }

    /// What was told since the program started.
    pub fn told(&self) -> &[Told] {
        &self.told
    }
}
