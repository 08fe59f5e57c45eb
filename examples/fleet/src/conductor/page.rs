//! The page as the run sees it: commands in, a picture of each step out.

use std::time::Duration;

use run_folder::RunFile;
use telemetry_core::{DeviceId, StreamName};
use telemetry_storage::Presence;

use super::state::StepReport;
use super::trackers::Tracker;
use super::{Conductor, RunError};
use crate::clock::Now;
use crate::live::snapshot::Snapshot;
use crate::live::{self, Details, DeviceNow, Live, Model, Moment, Order, TrackerNow};

/// The page, and what it has told so far.
pub(super) struct PageView {
    live: Live,
    model: Model,
    /// Opening and screen of each tracker, as the page knows them.
    known: Vec<(u64, u64)>,
    last: Snapshot,
}

/// The page when nothing runs any more.
pub struct LastPage {
    live: Live,
    last: Snapshot,
}

impl std::fmt::Debug for LastPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LastPage").finish_non_exhaustive()
    }
}

impl LastPage {
    /// The report is there: shows the way to it.
    pub fn end(mut self) {
        self.last.report = true;
        self.live.end(&self.last);
    }
}

impl PageView {
    pub(super) fn new(
        live: Live,
        file: &RunFile,
        speed: Option<f64>,
        stored: &[Presence],
        file_faults: usize,
    ) -> Self {
        Self {
            live,
            model: Model::new(file.start(), speed, stored, file_faults),
            known: Vec::new(),
            last: Snapshot::default(),
        }
    }

    /// Whether somebody wants to see the next step.
    pub(super) fn is_looking(&self) -> bool {
        self.live.is_due()
    }

    /// What was asked for since the last step.
    pub(super) fn orders(&mut self) -> Vec<Order> {
        std::iter::from_fn(|| self.live.order()).collect()
    }

    /// Whether something was asked for since the last step.
    pub(super) fn has_order(&mut self) -> bool {
        self.live.has_order()
    }

    pub(super) fn last_page(mut self, at: Duration, whole: bool) -> LastPage {
        self.last.ended = live::ending(at, whole);
        LastPage {
            live: self.live,
            last: self.last,
        }
    }

    /// Shows the fleet after a step, and answers what was asked for; after the last one the picture
    /// is of that step.
    pub(super) fn show(
        &mut self,
        run: &Conductor<'_>,
        report: StepReport,
        orders: Vec<Order>,
    ) -> Result<(), RunError> {
        let at = report.now.since_start;
        // Whoever asked for something sees what became of it, also where the next step is far away.
        let is_asked = !orders.is_empty();
        for (order, answer) in orders.into_iter().zip(report.answers) {
            if let Ok(done) = &answer {
                self.model.done(at, done.clone());
            }
            order.answer(answer);
        }
        for note in report.notes.into_iter().chain(report.waits_for) {
            self.model.answered(at, note);
        }
        for (device, mut samples) in report.samples {
            let mut trackers = run.trackers.iter();
            if let Some(tracker) = trackers.find(|t| t.state.device == Some(device)) {
                // The page has one axis for all: the run's clock.
                for sample in &mut samples {
                    sample.time = run.file.start() + tracker.spec.clock.moment(sample.time);
                }
            }
            self.model.samples(device, &samples);
        }
        self.known.resize(run.trackers.count(), (0, 0));
        for (index, pixels) in report.screens {
            if let Some((_, screen)) = self.known.get_mut(index) {
                *screen = self.live.screen(index, pixels);
            }
        }
        self.tell_of_openings(run, at);
        for rejected in &report.set_aside {
            let words = rejected.in_words(|device| who(run, device));
            self.model.answered(at, format!("Set aside: {words}."));
        }
        let next_seqs = run.gateway.next_seqs();
        let moment = moment(run, &self.known, report.now, &next_seqs);
        self.model.step(&moment);
        if report.last || is_asked || self.live.is_due() {
            let details = Details {
                incidents: run.controller.incidents().collect(),
                cues: run.cues.lines(),
                migrations: &run.store.migrations()?,
            };
            self.last = self.model.snapshot(&moment, &details);
            self.live.show(&self.last);
        }
        Ok(())
    }

    /// Tells of trackers that are on again.
    fn tell_of_openings(&mut self, run: &Conductor<'_>, at: Duration) {
        for (tracker, (epoch, _)) in run.trackers.iter().zip(&mut self.known) {
            let new = tracker.state.epoch;
            if new != *epoch && new != 0 {
                if *epoch != 0 {
                    self.model.answered(at, is_back(tracker));
                }
                *epoch = new;
            }
        }
    }
}

/// The run after a step, as the page looks at it.
fn moment<'a>(
    run: &'a Conductor<'_>,
    known: &[(u64, u64)],
    now: Now,
    next_seqs: &'a [(StreamName, u64)],
) -> Moment<'a> {
    let spool = run.gateway.spool();
    let trackers = run.trackers.iter().zip(known);
    let trackers = trackers.map(|(tracker, (_, screen))| TrackerNow {
        device: tracker.state.device.unwrap_or(tracker.spec.device),
        source: &tracker.spec.source,
        firmware: tracker.spec.firmware.number(),
        plugged: tracker.is_plugged(),
        state: &tracker.state,
        screen: *screen,
    });
    Moment {
        now,
        phase: run.state.phase(now.since_start),
        outages: &run.state.outages,
        lag: run.state.lag,
        trackers: trackers.collect(),
        gateway: DeviceNow {
            device: spool.device(),
            epoch: spool.epoch().get(),
            next_seqs,
            previous: spool.previous().map(|p| {
                let next_seqs = p.next_seqs.iter().map(|(_, next)| next.get());
                (p.epoch.get(), live::numbers(next_seqs))
            }),
            depth: spool.stats().depth_records,
        },
        logged: run.state.logged,
        log: run.log.stats(),
        stored: run.storing.tally(),
    }
}

/// A device as people know it.
fn who(run: &Conductor<'_>, device: DeviceId) -> String {
    let of = |tracker: &Tracker| tracker.state.device == Some(device);
    let index = run.trackers.iter().position(of);
    index.map_or_else(
        || "the gateway".to_owned(),
        |i| format!("tracker {}", i + 1),
    )
}

fn is_back(tracker: &Tracker) -> String {
    let (number, firmware) = (tracker.spec.index + 1, tracker.spec.firmware.number());
    format!(
        "Tracker {number} is on again with firmware {firmware}. Its spool: {}.",
        live::recovered(&tracker.state)
    )
}
