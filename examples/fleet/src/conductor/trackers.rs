//! The trackers' threads, and what can be done to a tracker between two steps.

use telemetry_core::Batch;

use super::{ACTIVE_MAX, RunError};
use crate::clock::Now;
use crate::latency::Histogram;
use crate::tracker::{Answer, Fault, FinalState, Handle, State, Step, TrackerError, TrackerSpec};

/// Every tracker of the run.
///
/// A tracker has threads, sockets and files only from the moment it is switched on until it has
/// delivered everything: a run of thousands of files needs those of the trackers that are at work.
pub(super) struct Trackers {
    all: Vec<Tracker>,
    /// Visitors may do something to a tracker that is done, so it stays on.
    keep: bool,
}

/// One of them.
pub(super) struct Tracker {
    pub spec: TrackerSpec,
    plugged: bool,
    /// Its thread; `None` while it is unplugged, not switched on yet, or done.
    handle: Option<Handle>,
    /// What it was when it had delivered everything.
    last: Option<FinalState>,
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
        self.plugged
    }

    /// Whether it delivered everything and was switched off.
    pub(super) const fn is_off(&self) -> bool {
        self.last.is_some()
    }

    /// Puts the plug in: from its next step on, it opens its spool under a new epoch and goes on.
    pub(super) fn plug(&mut self, random: u64) {
        if !self.plugged {
            self.spec.random = random;
            self.plugged = true;
            self.last = None;
        }
    }

    /// Whether it is to be at work.
    fn is_due(&self, now: Now) -> bool {
        self.plugged && self.last.is_none() && now.since_start >= self.spec.starts
    }

    /// Its thread at a moment of the run, which starts when the tracker is to be switched on.
    fn thread(&mut self, now: Now) -> Result<Option<&Handle>, TrackerError> {
        if self.handle.is_none() && self.is_due(now) {
            let index = self.spec.index;
            let handle = Handle::start(self.spec.clone());
            self.handle = Some(handle.map_err(|error| TrackerError::Io { index, error })?);
        }
        Ok(self.handle.as_ref())
    }

    /// Ends its thread well, as a firmware does that is about to be replaced.
    pub(super) fn shut_down(&mut self) -> Option<FinalState> {
        self.plugged = false;
        self.last.take().or_else(|| self.end_thread())
    }

    fn end_thread(&mut self) -> Option<FinalState> {
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
    /// Trackers that are plugged in; `keep` lets those that are done stay on, if they are not more than
    /// may be at work at once.
    pub(super) fn new(specs: impl Iterator<Item = TrackerSpec>, keep: bool) -> Self {
        let all = specs.map(|spec| Tracker {
            spec,
            plugged: true,
            handle: None,
            last: None,
            state: State::default(),
            fault: None,
            screen: None,
            past: Past::default(),
        });
        let all: Vec<Tracker> = all.collect();
        Self {
            keep: keep && all.len() <= ACTIVE_MAX,
            all,
        }
    }

    pub(super) const fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Tracker> {
        self.all.iter()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Tracker> {
        self.all.get_mut(index)
    }

    pub(super) fn states(&self) -> impl Iterator<Item = &State> + Clone {
        self.all.iter().map(|t| &t.state)
    }

    /// Whether each of them is plugged in, and has handed over all it has.
    pub(super) fn are_done(&self) -> bool {
        self.all.iter().all(|t| t.is_plugged() && t.state.done)
    }

    /// Whether somebody has to put a plug in before the run can end.
    pub(super) fn wait_for_a_plug(&self) -> bool {
        self.all.iter().any(|t| !t.is_plugged())
    }

    /// Gives each a step. Those that are to be switched on while enough are at work are switched on
    /// later, when another one is done: an outage keeps all of them at work until it is over.
    pub(super) fn step(&mut self, step: Step) -> Result<(), RunError> {
        let mut at_work = self.all.iter().filter(|t| t.handle.is_some()).count();
        for tracker in &mut self.all {
            let fault = tracker.fault;
            if tracker.handle.is_none() {
                if at_work >= ACTIVE_MAX {
                    continue;
                }
                at_work += usize::from(tracker.is_due(step.now));
            }
            if let Some(handle) = tracker.thread(step.now)? {
                handle.step(Step { fault, ..step });
            }
        }
        Ok(())
    }

    /// Waits for the answer of each.
    pub(super) fn answers(&mut self, batches: &mut Vec<Batch>) -> Result<(), RunError> {
        for (index, tracker) in self.all.iter_mut().enumerate() {
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
            } else if tracker.state.done && !self.keep {
                tracker.last = tracker.end_thread();
            }
        }
        Ok(())
    }

    /// Screens that changed in the last step.
    pub(super) fn take_screens(&mut self) -> Vec<(usize, Vec<u32>)> {
        let screens = self.all.iter_mut().map(|t| (t.spec.index, t.screen.take()));
        screens
            .filter_map(|(index, screen)| Some((index, screen?)))
            .collect()
    }

    /// Ends every thread well; what each was then, in order.
    pub(super) fn end(&mut self) -> Vec<Option<FinalState>> {
        self.all.iter_mut().map(Tracker::shut_down).collect()
    }
}
