//! Visitors of the live page: their commands, carried out on the real parts, and what they see.

use std::collections::VecDeque;
use std::time::Duration;

use telemetry_core::records::ActivitySample;
use telemetry_core::{Batch, DeviceId};
use telemetry_storage::Presence;

use super::trackers::{Tracker, Trackers};
use super::{Conductor, RunError, TAIL, damage};
use crate::clock::Now;
use crate::firmware::Firmware;
use crate::live::snapshot::Snapshot;
use crate::live::{self, Besides, Command, DeviceNow, Live, Model, Moment, Refused, TrackerNow};
use crate::run_file::RunFile;
use crate::tracker::{Mishap, State};

/// Outages of a run at most.
const OUTAGES_MAX: usize = 50;

/// Virtual time between two trackers that get another firmware.
const ROLLOUT_EVERY: Duration = Duration::from_secs(5);

/// Virtual time that a tracker with a torn tail has no power.
const DARK: Duration = Duration::from_secs(5);

/// The page, and what its visitors have begun.
pub(super) struct Visitors {
    live: Live,
    model: Model,
    /// Records that the log took.
    logged: u64,
    /// Trackers that wait for firmware 2, and when the next one gets it.
    rollout: VecDeque<usize>,
    rollout_at: Duration,
    /// Trackers whose spool is torn once their power is gone.
    torn: Vec<usize>,
    /// Trackers that get their power back by themselves, and when.
    dark: Vec<(usize, Duration)>,
    /// Opening and screen of each tracker, as the page knows them.
    known: Vec<(u64, u64)>,
    /// Reasons of dead letters that the page has told.
    refusals: usize,
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

impl Visitors {
    pub(super) fn new(live: Live, file: &RunFile, speed: Option<f64>, stored: &[Presence]) -> Self {
        Self {
            live,
            model: Model::new(file.start(), speed, stored),
            logged: 0,
            rollout: VecDeque::new(),
            rollout_at: Duration::ZERO,
            torn: Vec::new(),
            dark: Vec::new(),
            known: Vec::new(),
            refusals: 0,
            last: Snapshot::default(),
        }
    }

    pub(super) fn are_leaving(&self) -> bool {
        self.live.is_stopping()
    }

    pub(super) fn are_looking(&self) -> bool {
        self.live.is_due()
    }

    pub(super) fn are_rolling_out(&self) -> bool {
        !self.rollout.is_empty()
    }

    pub(super) fn logged(&mut self, batches: &[Batch]) {
        let records = batches.iter().map(|b| u64::from(b.envelope.count));
        self.logged += records.sum::<u64>();
    }

    pub(super) fn samples(&mut self, device: DeviceId, samples: &[ActivitySample]) {
        self.model.samples(device, samples);
    }

    pub(super) fn last_page(mut self, at: Duration, whole: bool) -> LastPage {
        self.last.ended = live::ending(at, whole);
        LastPage {
            live: self.live,
            last: self.last,
        }
    }

    /// Carries out what was asked for; everything happens at the step that comes at `now`.
    fn obey(
        &mut self,
        run: &mut Conductor<'_>,
        trackers: &mut Trackers,
        now: Now,
    ) -> Result<(), RunError> {
        let at = now.since_start;
        self.tear(trackers, at)?;
        self.give_power_back(run, trackers, at)?;
        if at >= self.rollout_at
            && let Some(index) = self.rollout.pop_front()
        {
            self.rollout_at = at + ROLLOUT_EVERY;
            flash(run, trackers, index)?;
        }
        while let Some(order) = self.live.order() {
            let answer = self.carry_out(order.command, run, trackers, at)?;
            if let Ok(done) = &answer {
                self.model.done(at, done.clone());
            }
            order.answer(answer);
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        command: Command,
        run: &mut Conductor<'_>,
        trackers: &mut Trackers,
        at: Duration,
    ) -> Result<Result<String, Refused>, RunError> {
        match command {
            Command::CutLink => Ok(cut_link(run, at)),
            Command::RestoreLink => Ok(restore_link(run, at)),
            Command::RollOut => {
                let old = trackers.iter().filter(|t| t.plan.firmware == Firmware::V1);
                let old: VecDeque<usize> = old.map(|t| t.plan.index).collect();
                if old.is_empty() || self.are_rolling_out() {
                    return Ok(Err(Refused::RolledOut));
                }
                let text = format!(
                    "Firmware 2 goes to {} trackers, one after the other.",
                    old.len()
                );
                self.rollout = old;
                Ok(Ok(text))
            }
            Command::Plug { tracker } => {
                let number = tracker;
                let random = run.file.random();
                let tracker = match find(trackers, number) {
                    Ok(tracker) => tracker,
                    Err(refused) => return Ok(Err(refused)),
                };
                if tracker.is_plugged() {
                    return Ok(Err(Refused::Plugged { tracker: number }));
                }
                tracker.plug(random)?;
                self.dark.retain(|(index, _)| index + 1 != number);
                Ok(Ok(format!("Tracker {number} is plugged in again.")))
            }
            Command::Unplug { tracker } => {
                let cut = befall(trackers, tracker, Mishap::PowerCut);
                Ok(cut.map(|()| format!("Tracker {tracker} is unplugged while it measures.")))
            }
            Command::Poison { tracker } => {
                let sent = befall(trackers, tracker, Mishap::Poison);
                Ok(sent.map(|()| {
                    format!("A program on tracker {tracker} sends a record that nobody can read.")
                }))
            }
            Command::CorruptTail { tracker } => {
                let cut = befall(trackers, tracker, Mishap::PowerCut);
                if cut.is_ok() {
                    self.torn.push(tracker - 1);
                }
                Ok(cut.map(|()| format!("Tracker {tracker} loses its power while it writes.")))
            }
        }
    }

    /// Leaves half a frame on the disk of trackers whose power is gone.
    fn tear(&mut self, trackers: &mut Trackers, at: Duration) -> Result<(), RunError> {
        for index in std::mem::take(&mut self.torn) {
            let Some(tracker) = trackers.get_mut(index) else {
                continue;
            };
            let dir = tracker.plan.dir.join("spool");
            let torn = damage::tear_tail(&dir).map_err(|error| RunError::Folder {
                path: dir.clone(),
                error,
            })?;
            self.dark.push((index, at + DARK));
            let damage::Torn {
                file,
                at: byte,
                len,
            } = torn;
            let number = index + 1;
            let text = format!(
                "Half a frame, {len} bytes, is on the disk of tracker {number}: {file}, byte {byte}."
            );
            self.model.answered(at, text);
        }
        Ok(())
    }

    fn give_power_back(
        &mut self,
        run: &Conductor<'_>,
        trackers: &mut Trackers,
        at: Duration,
    ) -> Result<(), RunError> {
        for (index, _) in self.dark.extract_if(.., |(_, until)| *until <= at) {
            if let Some(tracker) = trackers.get_mut(index) {
                tracker.plug(run.file.random())?;
            }
        }
        Ok(())
    }

    /// Shows the fleet after a step; after the last one the picture is of that step.
    fn show(
        &mut self,
        run: &Conductor<'_>,
        trackers: &mut Trackers,
        now: Now,
        lag: Duration,
        last: bool,
    ) -> Result<(), RunError> {
        self.known.resize(trackers.count(), (0, 0));
        for (tracker, (epoch, screen)) in trackers.iter_mut().zip(&mut self.known) {
            let index = tracker.plan.index;
            if let Some(pixels) = tracker.screen.take() {
                *screen = self.live.screen(index, pixels);
            }
            let new = tracker.state.epoch;
            if new != *epoch && new != 0 {
                if *epoch != 0 {
                    let text = is_back(tracker);
                    self.model.answered(now.since_start, text);
                }
                *epoch = new;
            }
        }
        for refusal in run.etl.counts().rejected.iter().skip(self.refusals) {
            self.model
                .answered(now.since_start, format!("Set aside: {refusal}."));
        }
        self.refusals = run.etl.counts().rejected.len();

        let next_seqs = run.gateway.next_seqs();
        let spool = run.gateway.spool();
        let moment = Moment {
            now,
            phase: run.phase_of(now.since_start, self.are_rolling_out()),
            outages: &run.outages,
            lag,
            trackers: trackers
                .iter()
                .zip(&self.known)
                .map(|(tracker, (_, screen))| TrackerNow {
                    device: tracker.state.device.unwrap_or(tracker.plan.new_device),
                    source: &tracker.plan.source,
                    firmware: tracker.plan.firmware.number(),
                    plugged: tracker.is_plugged(),
                    state: &tracker.state,
                    screen: *screen,
                })
                .collect(),
            gateway: DeviceNow {
                device: spool.device(),
                epoch: spool.epoch().get(),
                next_seqs: &next_seqs,
                previous: spool.previous().map(|p| {
                    let next_seqs = p.next_seqs.iter().map(|(_, next)| next.get());
                    (p.epoch.get(), live::numbers(next_seqs))
                }),
                depth: spool.stats().depth_records,
            },
            logged: self.logged,
            log: run.log.stats(),
            etl: run.etl.counts(),
        };
        self.model.step(&moment);
        if last || self.live.is_due() {
            let besides = Besides {
                incidents: run.controller.incidents().collect(),
                cues: run.coach.cues(),
                migrations: &run.store.migrations()?,
            };
            self.last = self.model.snapshot(&moment, &besides);
            self.live.show(&self.last);
        }
        Ok(())
    }
}

impl Conductor<'_> {
    /// Has visitors' commands carried out.
    pub(super) fn obey(&mut self, trackers: &mut Trackers, now: Now) -> Result<(), RunError> {
        let Some(mut visitors) = self.visitors.take() else {
            return Ok(());
        };
        let done = visitors.obey(self, trackers, now);
        self.visitors = Some(visitors);
        done
    }

    /// Shows visitors the fleet after a step.
    pub(super) fn show(
        &mut self,
        trackers: &mut Trackers,
        now: Now,
        lag: Duration,
        last: bool,
    ) -> Result<(), RunError> {
        let Some(mut visitors) = self.visitors.take() else {
            return Ok(());
        };
        let shown = visitors.show(self, trackers, now, lag, last);
        self.visitors = Some(visitors);
        shown
    }
}

fn cut_link(run: &mut Conductor<'_>, at: Duration) -> Result<String, Refused> {
    if !run.link_up(at) {
        return Err(Refused::Link { state: "down" });
    }
    if run.outages.len() == OUTAGES_MAX {
        return Err(Refused::OutagesMax { max: OUTAGES_MAX });
    }
    run.outages.push(at..Duration::MAX);
    Ok("The link to the log is cut.".to_owned())
}

fn restore_link(run: &mut Conductor<'_>, at: Duration) -> Result<String, Refused> {
    if run.link_up(at) {
        return Err(Refused::Link { state: "up" });
    }
    for outage in run.outages.iter_mut().filter(|o| o.contains(&at)) {
        outage.end = at;
    }
    // Time for the incident to be closed.
    run.end = run.end.max(at + TAIL);
    Ok("The link to the log is back.".to_owned())
}

fn find(trackers: &mut Trackers, number: usize) -> Result<&mut Tracker, Refused> {
    let count = trackers.count();
    let index = number.checked_sub(1);
    let tracker = index.and_then(|index| trackers.get_mut(index));
    tracker.ok_or(Refused::NoTracker {
        tracker: number,
        count,
    })
}

/// Has something befall a tracker in its next step.
fn befall(trackers: &mut Trackers, number: usize, mishap: Mishap) -> Result<(), Refused> {
    let tracker = find(trackers, number)?;
    if !tracker.is_plugged() {
        return Err(Refused::Unplugged { tracker: number });
    }
    if tracker.state.device.is_none() {
        return Err(Refused::NotOn { tracker: number });
    }
    if tracker.mishap.is_some() {
        return Err(Refused::Busy { tracker: number });
    }
    tracker.mishap = Some(mishap);
    Ok(())
}

/// Puts firmware 2 on a tracker: it ends well, and starts again with another schema.
fn flash(run: &mut Conductor<'_>, trackers: &mut Trackers, index: usize) -> Result<(), RunError> {
    let Some(tracker) = trackers.get_mut(index) else {
        return Ok(());
    };
    let dir = tracker.plan.dir.clone();
    let installed = Firmware::V2.install(&dir);
    installed.map_err(|error| RunError::Folder { path: dir, error })?;
    tracker.plan.firmware = Firmware::V2;
    let device = tracker.state.device.unwrap_or(tracker.plan.new_device);
    if let Some(known) = run.etl.enrolment_mut(device) {
        known.firmware = Some(Firmware::V2.number().to_string());
    }
    // Without power, it starts with it when the plug is in again.
    if tracker.is_plugged() {
        tracker.shut_down();
        tracker.plug(run.file.random())?;
    }
    Ok(())
}

fn is_back(tracker: &Tracker) -> String {
    let (number, state): (_, &State) = (tracker.plan.index + 1, &tracker.state);
    let firmware = tracker.plan.firmware.number();
    format!(
        "Tracker {number} is on again with firmware {firmware}. Its spool: {}.",
        live::recovered(state)
    )
}
