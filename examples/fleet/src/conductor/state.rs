//! What a run is, apart from the parts that do the work: plain values that page and report read.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use activity::Survey;
use telemetry_core::DeviceId;
use telemetry_core::records::ActivitySample;

use super::{STAGGER, TAIL};
use crate::clock::Now;
use crate::firmware::Firmware;
use crate::latency::Histogram;
use crate::live::Refused;
use crate::progress::Phase;
use crate::report::Pulse;
use crate::storing::Rejected;
use crate::tracker::{Step, TrackerSpec};

/// Where a run is.
pub(super) struct RunState {
    /// When everything is to be over.
    pub end: Duration,
    /// Virtual times at which the link is down, in the order in which they were decided.
    pub outages: Vec<Range<Duration>>,
    /// When trackers that come with firmware 2 are switched on.
    pub rollout: Range<Duration>,
    /// What commands have begun and steps go on with.
    pub begun: Begun,
    /// When the newest stored batch was published.
    pub newest: Duration,
    /// How far the rows are behind the clock.
    pub lag: Duration,
    /// Records that the log took.
    pub logged: u64,
    /// From handing over to the log's commit.
    pub published: Histogram,
    /// The pipeline over virtual time.
    pub pulse: Pulse,
}

/// What takes more than one step.
#[derive(Default)]
pub(super) struct Begun {
    /// Trackers that wait for firmware 2, and when the next one gets it.
    pub rollout: VecDeque<usize>,
    pub rollout_at: Duration,
    /// Trackers whose spool is torn once their power is gone.
    pub torn: Vec<usize>,
    /// Trackers that get their power back by themselves, and when.
    pub dark: Vec<(usize, Duration)>,
}

/// What happened in a step.
pub(super) struct StepReport {
    pub now: Now,
    /// What became of each command, in order.
    pub answers: Vec<Result<String, Refused>>,
    /// What the system did in answer to earlier ones.
    pub notes: Vec<String>,
    /// What was not accepted, and why.
    pub set_aside: Vec<Rejected>,
    /// Samples that came out of the log.
    pub samples: Vec<(DeviceId, Vec<ActivitySample>)>,
    /// Screens that changed: XRGB8888 rows, by tracker.
    pub screens: Vec<(usize, Vec<u32>)>,
    /// There will be no further step.
    pub last: bool,
    /// Something outside is waited for: the run is not late.
    pub waits: bool,
    /// What is waited for, in the step in which that changes.
    pub waits_for: Option<String>,
}

impl StepReport {
    pub(super) const fn at(now: Now) -> Self {
        Self {
            now,
            answers: Vec::new(),
            notes: Vec::new(),
            set_aside: Vec::new(),
            samples: Vec::new(),
            screens: Vec::new(),
            last: false,
            waits: false,
            waits_for: None,
        }
    }
}

impl RunState {
    /// A run of these trackers that goes on at `now`. How far the rows are behind is counted from
    /// there, by the run's clock: rows carry the times of workouts.
    pub(super) fn new(
        now: Now,
        outage: Duration,
        specs: &[(TrackerSpec, &Survey)],
        has_page: bool,
    ) -> Self {
        let ends = specs
            .iter()
            .map(|(spec, survey)| spec.starts + survey.summary.duration);
        let end = ends.max().unwrap_or_default();
        let down = end.mul_f64(0.4);
        let outage = down..down + outage;
        let of_2 = specs.iter().filter(|(s, _)| s.firmware == Firmware::V2);
        let of_2 = of_2.map(|(s, _)| s.starts).filter(|_| !has_page);
        let first = of_2.clone().min().unwrap_or(end);
        let last = of_2.max().map_or(end, |last| last + STAGGER);
        Self {
            end: end.max(outage.end) + TAIL,
            outages: Some(outage).into_iter().filter(|o| !o.is_empty()).collect(),
            rollout: first..last,
            begun: Begun::default(),
            newest: now.since_start,
            lag: Duration::ZERO,
            logged: 0,
            published: Histogram::default(),
            pulse: Pulse::default(),
        }
    }

    /// The step at `now`; `confirmed` if the log has what was handed over in the one before.
    pub(super) fn step(&self, now: Now, confirmed: bool, show: bool) -> Step {
        Step {
            now,
            link_up: self.link_up(now.since_start),
            confirmed,
            show,
            fault: None,
        }
    }

    pub(super) fn link_up(&self, at: Duration) -> bool {
        !self.outages.iter().any(|outage| outage.contains(&at))
    }

    pub(super) fn phase(&self, at: Duration) -> Phase {
        if !self.link_up(at) {
            Phase::Outage
        } else if !self.begun.rollout.is_empty() || self.rollout.contains(&at) {
            Phase::Rollout
        } else {
            Phase::Steady
        }
    }
}
