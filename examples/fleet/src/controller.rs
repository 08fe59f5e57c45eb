//! The incident service as a run has it: the pipeline's own pulse in, incidents out, in a log.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use services::incidents::{IncidentsConfig, IncidentsEvent, OpenError, ScoreError, ScoreOf};
use services::{Absent, Driver, Incidents};
use telemetry_core::Timestamp;
use telemetry_itil::detect::{RangeBreak, RangeBreakConfig};
use telemetry_itil::{
    Cause, Config, EffectOutcome, FileLog, FileLogError, Impact, Incident, IncidentUrgency, Rule,
    RuleRef,
};

use crate::clock::Now;
use crate::ring::Ring;
use crate::words;

/// What the controller told people, kept for the report.
const TOLD_MAX: usize = 1_000;

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
    driver: Driver<Incidents, Absent, FileLog>,
    lag: RangeBreak,
    told: Ring<Told>,
}

/// What the controller cannot go on from.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    #[error("incident log: {0}")]
    Log(#[from] FileLogError),
    /// The log's content, or the rules.
    #[error(transparent)]
    Open(#[from] OpenError<FileLogError>),
    /// The machine takes no score.
    #[error("incidents: {0}")]
    Score(#[from] ScoreError),
    /// Another writer took the log over.
    #[error("another process writes this incident log: one run at a time in a folder")]
    NotLeading,
}

/// The configuration item that shows the lag.
const CI: &str = "pipeline";

/// The rule that the lag goes by.
const LAG: &str = "ingest-lag";

fn rule() -> Rule {
    Rule {
        rule: RuleRef {
            id: LAG.to_owned(),
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
    pub fn open(
        path: &Path,
        writer: u128,
        usual: Duration,
        now: Now,
    ) -> Result<Self, ControllerError> {
        let config = IncidentsConfig {
            itil: Config {
                rules: vec![rule()],
                // Days in a real house; a run is over in minutes.
                close_after: Duration::from_secs(15),
                ..Config::default()
            },
            detectors: BTreeMap::new(),
            ..IncidentsConfig::default()
        };
        let mut log = FileLog::open(path)?;
        let opening = Incidents::open(config, &mut log, now.at(), writer);
        let incidents = pollster::block_on(opening)?;
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
        let mut controller = Self {
            driver: Driver::new(incidents, Absent, log),
            lag,
            told: Ring::new(TOLD_MAX),
        };
        controller.carry_out(now)?;
        Ok(controller)
    }

    /// Takes the lag of this moment: the age of the newest stored row.
    pub fn step(&mut self, now: Now, lag: Duration) -> Result<(), ControllerError> {
        let score = ScoreOf {
            rule: LAG.to_owned(),
            ci: CI.to_owned(),
            score: self.lag.update(lag.as_secs_f64()),
            cause: Cause {
                record: format!("lag@{}", now.wall().as_micros()),
                detector: "range-break".to_owned(),
            },
        };
        match self.driver.machine.score(now.at(), score) {
            // While the log does not answer, the lag of a later second says the same.
            Ok(()) | Err(ScoreError::Busy { .. } | ScoreError::TooMany { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.carry_out(now)
    }

    fn carry_out(&mut self, now: Now) -> Result<(), ControllerError> {
        loop {
            let done = pollster::block_on(self.driver.carry_out(now.at(), &Absent));
            // Nothing is consumed here.
            done.unwrap_or_else(|stopped| match stopped.error {});
            let mut said = false;
            while let Some(event) = self.driver.poll_event() {
                said = true;
                self.event(now, event)?;
            }
            if !said {
                return Ok(());
            }
        }
    }

    fn event(&mut self, now: Now, event: IncidentsEvent) -> Result<(), ControllerError> {
        let text = match event {
            IncidentsEvent::Effect(effect) => {
                let incidents = &mut self.driver.machine;
                incidents.effect_ended(now.at(), effect.id, EffectOutcome::Delivered);
                words::notice(&effect)
            }
            IncidentsEvent::NotLeading => return Err(ControllerError::NotLeading),
            IncidentsEvent::Waiting { error } => format!("The incident log waits: {error}"),
            // No scores are read from a log here.
            IncidentsEvent::NoSchema { error } => format!("The registry waits: {error}"),
            IncidentsEvent::Dropped { reason } => format!("An event was dropped: {reason}"),
        };
        let at = now.wall();
        self.told.push(Told { at, text });
        Ok(())
    }

    /// Every incident, oldest first.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.driver.machine.incidents()
    }

    /// Groups in the log.
    pub fn groups(&self) -> u64 {
        self.driver.log.head_now().map_or(0, |head| head.seq)
    }

    /// What was told since the program started.
    pub const fn told(&self) -> &Ring<Told> {
        &self.told
    }
}
