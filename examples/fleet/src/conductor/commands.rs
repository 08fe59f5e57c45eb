//! What visitors ask for, carried out on the real parts between two steps.

use std::collections::VecDeque;
use std::time::Duration;

use terminal::counted;

use super::trackers::{Tracker, Trackers};
use super::{Conductor, RunError, StepReport, TAIL, damage};
use crate::clock::Now;
use crate::firmware::Firmware;
use crate::live::{Command, Refused};
use crate::tracker::Fault;

/// Outages of a run at most.
const OUTAGES_MAX: usize = 50;

/// Virtual time between two trackers that get another firmware.
const ROLLOUT_EVERY: Duration = Duration::from_secs(5);

/// Virtual time that a tracker with a torn tail has no power.
const DARK: Duration = Duration::from_secs(5);

impl Conductor<'_> {
    /// Carries out what was asked for, and goes on with what takes more than one step; everything
    /// happens at the step that comes at `now`.
    pub(super) fn carry_out(
        &mut self,
        commands: &[Command],
        now: Now,
        report: &mut StepReport,
    ) -> Result<(), RunError> {
        let at = now.since_start;
        self.tear(at, report)?;
        self.give_power_back(at)?;
        if at >= self.state.begun.rollout_at
            && let Some(index) = self.state.begun.rollout.pop_front()
        {
            self.state.begun.rollout_at = at + ROLLOUT_EVERY;
            self.flash(index)?;
        }
        for command in commands {
            let answer = self.carry_out_one(*command, at)?;
            report.answers.push(answer);
        }
        Ok(())
    }

    /// The inner result is the visitor's, the outer one the run's.
    fn carry_out_one(
        &mut self,
        command: Command,
        at: Duration,
    ) -> Result<Result<String, Refused>, RunError> {
        Ok(match command {
            Command::CutLink {} => self.cut_link(at),
            Command::RestoreLink {} => self.restore_link(at),
            Command::RollOut {} => self.roll_out(),
            Command::Plug { tracker } => return self.plug(tracker),
            Command::Unplug { tracker } => inject(&mut self.trackers, tracker, Fault::PowerCut)
                .map(|measures| match measures {
                    true => format!("Tracker {tracker} is unplugged while it measures."),
                    false => format!("Tracker {tracker} is unplugged. Its workout was over."),
                }),
            Command::Poison { tracker } => {
                inject(&mut self.trackers, tracker, Fault::Poison).map(|_| {
                    format!("A program on tracker {tracker} sends a record that nobody can read.")
                })
            }
            Command::CorruptTail { tracker } => {
                inject(&mut self.trackers, tracker, Fault::PowerCut).map(|_| {
                    self.state.begun.torn.push(tracker - 1);
                    format!("Tracker {tracker} loses its power while it writes.")
                })
            }
        })
    }

    fn cut_link(&mut self, at: Duration) -> Result<String, Refused> {
        if !self.state.link_up(at) {
            return Err(Refused::Link { state: "down" });
        }
        if self.state.outages.len() == OUTAGES_MAX {
            return Err(Refused::OutagesMax { max: OUTAGES_MAX });
        }
        self.state.outages.push(at..Duration::MAX);
        Ok("The link to the log is cut.".to_owned())
    }

    fn restore_link(&mut self, at: Duration) -> Result<String, Refused> {
        if self.state.link_up(at) {
            return Err(Refused::Link { state: "up" });
        }
        let down = self.state.outages.iter_mut().filter(|o| o.contains(&at));
        down.for_each(|outage| outage.end = at);
        // Time for the incident to be closed.
        self.state.end = self.state.end.max(at + TAIL);
        Ok("The link to the log is back.".to_owned())
    }

    fn roll_out(&mut self) -> Result<String, Refused> {
        let trackers = self.trackers.iter();
        let old = trackers.filter(|t| t.spec.firmware == Firmware::V1);
        let old: VecDeque<usize> = old.map(|t| t.spec.index).collect();
        if old.is_empty() || !self.state.begun.rollout.is_empty() {
            return Err(Refused::RolledOut);
        }
        let count = old.len();
        self.state.begun.rollout = old;
        let trackers = counted(count as u64, "tracker", "trackers");
        Ok(format!(
            "Firmware 2 goes to {trackers}, one after the other."
        ))
    }

    fn plug(&mut self, number: usize) -> Result<Result<String, Refused>, RunError> {
        let random = self.file.random();
        let tracker = match find(&mut self.trackers, number) {
            Ok(tracker) => tracker,
            Err(refused) => return Ok(Err(refused)),
        };
        if tracker.is_plugged() {
            return Ok(Err(Refused::Plugged { tracker: number }));
        }
        tracker.plug(random);
        let dark = &mut self.state.begun.dark;
        dark.retain(|(index, _)| index + 1 != number);
        Ok(Ok(format!("Tracker {number} is plugged in again.")))
    }

    /// Leaves half a frame on the disk of trackers whose power is gone.
    fn tear(&mut self, at: Duration, report: &mut StepReport) -> Result<(), RunError> {
        for index in std::mem::take(&mut self.state.begun.torn) {
            let Some(tracker) = self.trackers.get_mut(index) else {
                continue;
            };
            let dir = tracker.spec.dir.join("spool");
            let torn = damage::tear_tail(&dir).map_err(|error| RunError::Folder {
                path: dir.clone(),
                error,
            })?;
            self.state.begun.dark.push((index, at + DARK));
            let damage::Torn {
                file,
                at: byte,
                len,
            } = torn;
            let number = index + 1;
            report.notes.push(format!(
                "Half a frame, {len} bytes, is on the disk of tracker {number}: {file}, byte {byte}."
            ));
        }
        Ok(())
    }

    fn give_power_back(&mut self, at: Duration) -> Result<(), RunError> {
        let dark = &mut self.state.begun.dark;
        for (index, _) in dark.extract_if(.., |(_, until)| *until <= at) {
            if let Some(tracker) = self.trackers.get_mut(index) {
                tracker.plug(self.file.random());
            }
        }
        Ok(())
    }

    /// Puts firmware 2 on a tracker: it ends well, and starts again with another schema.
    fn flash(&mut self, index: usize) -> Result<(), RunError> {
        let Some(tracker) = self.trackers.get_mut(index) else {
            return Ok(());
        };
        let dir = tracker.spec.dir.clone();
        let installed = Firmware::V2.install(&dir);
        installed.map_err(|error| RunError::Folder { path: dir, error })?;
        tracker.spec.firmware = Firmware::V2;
        let device = tracker.state.device.unwrap_or(tracker.spec.device);
        if let Some(known) = self.storing.enrolment_mut(device) {
            known.firmware = Some(Firmware::V2.number().to_string());
        }
        // Without power, it starts with it when the plug is in again.
        if tracker.is_plugged() {
            tracker.shut_down();
            tracker.plug(self.file.random());
        }
        Ok(())
    }
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

/// Has something go wrong with a tracker in its next step; whether its workout goes on.
fn inject(trackers: &mut Trackers, number: usize, fault: Fault) -> Result<bool, Refused> {
    let tracker = find(trackers, number)?;
    if !tracker.is_plugged() {
        return Err(Refused::Unplugged { tracker: number });
    }
    if tracker.state.device.is_none() {
        return Err(Refused::NotOn { tracker: number });
    }
    if tracker.is_off() {
        return Err(Refused::Off { tracker: number });
    }
    if tracker.fault.is_some() {
        return Err(Refused::Busy { tracker: number });
    }
    tracker.fault = Some(fault);
    Ok(!tracker.state.done)
}
