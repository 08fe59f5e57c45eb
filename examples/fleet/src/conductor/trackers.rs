//! The trackers' threads, and what can be done to a tracker between two steps.

use telemetry_core::Batch;

use super::RunError;
use crate::latency::Histogram;
use crate::tracker::{Answer, Fault, FinalState, Handle, State, Step, TrackerError, TrackerSpec};

/// Every tracker of the run.
pub(super) struct Trackers(Vec<Tracker>);

/// One of them.
pub(super) struct Tracker {
    pub spec: TrackerSpec,
    /// `None` while it is unplugged.
    handle: Option<Handle>,
    /// Its last state.
    pub state: State,
    /// What goes wrong with it in the next step.
    pub fault: Option<Fault>,
    /// Its screen, when it changed in the last step.
    pub screen: Option<Vec<u32>>,
    /// What it did before its plug was pulled or its firmware replaced.
    pub past: Past,
}

/// What a tracker did in earlier openings of this process.
#[derive(Default)]
pub(super) struct Past {
    pub records: u64,
    pub frames: u64,
    pub ring_drops: u64,
    pub durable: Histogram,
}

impl Tracker {
    /// Whether its plug is in.
    pub(super) const fn is_plugged(&self) -> bool {
        self.handle.is_some()
    }

    /// Puts the plug in: it opens its spool under a new epoch and goes on.
    pub(super) fn plug(&mut self, random: u64) -> Result<(), TrackerError> {
        if self.handle.is_none() {
            let spec = TrackerSpec {
                random,
                ..self.spec.clone()
            };
            let index = spec.index;
            let handle = Handle::start(spec);
            self.handle = Some(handle.map_err(|error| TrackerError::Io { index, error })?);
        }
        Ok(())
    }

    /// Ends its thread well, as a firmware does that is about to be replaced.
    pub(super) fn shut_down(&mut self) -> Option<FinalState> {
        let last = self.handle.take()?.end();
        let counts = std::mem::take(&mut self.state.counts);
        self.past.records += counts.records;
        self.past.frames += counts.frames;
        self.past.ring_drops += counts.ring_drops;
        if let Some(last) = &last {
            self.past.durable.merge(&last.durable_latency);
        }
        last
    }
}

impl Trackers {
    pub(super) fn start(plans: impl Iterator<Item = TrackerSpec>) -> Result<Self, RunError> {
        let mut trackers = Vec::new();
        for spec in plans {
            let random = spec.random;
            let mut tracker = Tracker {
                spec,
                handle: None,
                state: State::default(),
                fault: None,
                screen: None,
                past: Past::default(),
            };
            tracker.plug(random)?;
            trackers.push(tracker);
        }
        Ok(Self(trackers))
    }

    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Tracker> {
        self.0.iter()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Tracker> {
        self.0.get_mut(index)
    }

    pub(super) fn states(&self) -> impl Iterator<Item = &State> + Clone {
        self.0.iter().map(|t| &t.state)
    }

    /// Whether each of them is plugged in, and has handed over all it has.
    pub(super) fn are_done(&self) -> bool {
        self.0.iter().all(|t| t.is_plugged() && t.state.done)
    }

    /// Whether somebody has to put a plug in before the run can end.
    pub(super) fn wait_for_a_plug(&self) -> bool {
        self.0.iter().any(|t| !t.is_plugged())
    }

    /// Gives each a step.
    pub(super) fn step(&mut self, step: Step) {
        for tracker in &self.0 {
            if let Some(handle) = &tracker.handle {
                handle.step(Step {
                    fault: tracker.fault,
                    ..step
                });
            }
        }
    }

    /// Waits for the answer of each.
    pub(super) fn answers(&mut self, batches: &mut Vec<Batch>) -> Result<(), RunError> {
        for (index, tracker) in self.0.iter_mut().enumerate() {
            let Some(handle) = &tracker.handle else {
                continue;
            };
            let answer = handle.answer().ok_or(RunError::Gone { index })?;
            let Answer {
                batches: new,
                state,
                screen,
            } = answer?;
            batches.extend(new);
            tracker.state = state;
            tracker.screen = screen;
            if tracker.fault.take() == Some(Fault::PowerCut) {
                tracker.shut_down();
            }
        }
        Ok(())
    }

    /// Screens that changed in the last step.
    pub(super) fn take_screens(&mut self) -> Vec<(usize, Vec<u32>)> {
        let screens = self.0.iter_mut().map(|t| (t.spec.index, t.screen.take()));
        screens
            .filter_map(|(index, screen)| Some((index, screen?)))
            .collect()
    }

    /// Ends every thread well; what each was then, in order.
    pub(super) fn end(&mut self) -> Vec<Option<FinalState>> {
        self.0.iter_mut().map(Tracker::shut_down).collect()
    }
}
