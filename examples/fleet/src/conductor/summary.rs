//! The report of a run that is over.

use std::fs::File;
use std::io::BufWriter;
use std::time::Duration;

use activity::Survey;
use services::Ledger;
use services::ledger::LedgerInput;
use telemetry_core::{DeviceId, StreamName};

use super::trackers::Tracker;
use super::{Conductor, RunError};
use crate::clock::Now;
use crate::latency::Histogram;
use crate::report::{Curves, DeviceLine, Report};
use crate::tracker::{FinalState, TrackerSpec};
use crate::{ledger, screen};

impl Conductor<'_> {
    pub(super) fn report(
        self,
        specs: &[(TrackerSpec, &Survey)],
        faults: Vec<String>,
        last_states: &[Option<FinalState>],
        now: Now,
        took: Duration,
    ) -> Result<Report, RunError> {
        let mut ledger = Ledger::new()?;
        let mut durable = Histogram::default();
        let mut samples_appended = 0;
        let mut devices = Vec::new();
        // Times that the states of each device carry: those of its workout.
        let mut states = Vec::new();
        let trackers = specs.iter().zip(self.trackers.iter()).zip(last_states);
        for (((_, survey), tracker), last) in trackers {
            let spec = &tracker.spec;
            let Some(last) = last else { continue };
            let Some(device) = last.state.device else {
                continue;
            };
            durable.merge(&tracker.past.durable);
            samples_appended += tracker.past.records;
            numbered(&mut ledger, device, last.state.epoch, &last.state.next_seqs);
            states.extend(spec.clock.shown().map(|times| (device, times)));
            devices.push(self.device_line(tracker, survey, device, last)?);
        }
        let gateway = self.gateway.spool();
        let next_seqs = self.gateway.next_seqs();
        numbered(
            &mut ledger,
            gateway.device(),
            gateway.epoch().get(),
            &next_seqs,
        );
        for letter in self.storing.dead_letters()? {
            ledger.handle_input(LedgerInput::SetAside(&letter.batch.envelope));
        }
        pollster::block_on(ledger.read(&self.store, states))?;
        let tally = self.storing.tally();
        let stored = ledger::samples_stored(&self.store)?;
        Ok(Report {
            data: self.options.data.clone(),
            start: self.file.start(),
            length: now.since_start,
            took,
            devices,
            stored,
            streams: ledger.lines(),
            duplicates: tally.duplicates,
            rows: tally.rows,
            rejected: tally.rejected.clone(),
            versions: ledger::versions(&self.store)?,
            migrations: self.store.migrations()?,
            incidents: self.controller.incidents().cloned().collect(),
            told: self.controller.told().clone(),
            cues: self.cues.lines().clone(),
            samples_appended,
            durable,
            published: self.state.published,
            stored_latency: self.storing.latency().clone(),
            pulse: self.state.pulse,
            outages: self.state.outages,
            faults,
        })
    }
}

impl Conductor<'_> {
    /// What a tracker did, with a picture of its last screen.
    fn device_line(
        &self,
        tracker: &Tracker,
        survey: &Survey,
        device: DeviceId,
        last: &FinalState,
    ) -> Result<DeviceLine, RunError> {
        let spec = &tracker.spec;
        let name = format!("screen-{}.png", spec.index + 1);
        let picture = self.options.data.join(name);
        if last.showed || !picture.exists() {
            let written = File::create(&picture)
                .and_then(|file| screen::write_png(BufWriter::new(file), &last.screen));
            written.map_err(|error| RunError::Folder {
                path: picture.clone(),
                error,
            })?;
        }
        Ok(DeviceLine {
            index: spec.index,
            device,
            source: spec.source.clone(),
            firmware: spec.firmware.number(),
            read: survey.summary.samples,
            agent: last.state.durable,
            frames: tracker.past.frames,
            ring_drops: tracker.past.ring_drops,
            picture,
            curves: Curves::read(&self.store, device, &spec.clock)?,
        })
    }
}

fn numbered(ledger: &mut Ledger, device: DeviceId, epoch: u64, next_seqs: &[(StreamName, u64)]) {
    for (stream, next) in next_seqs {
        ledger.handle_input(LedgerInput::Numbered {
            device,
            epoch,
            stream: stream.clone(),
            next: *next,
        });
    }
}
