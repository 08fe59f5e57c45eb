//! The run: moves the clock, hands batches to the log, has them stored, watches over it all.
//!
//! ```text
//! trackers (threads) ─ batches ─▶ embedded log ─┬▶ storing ─▶ SQLite
//!      ▲     gateway ─ batches ─▶     │          └▶ cues ─▶ gateway (FeedbackGiven)
//!      └────── step, confirmed ───────┘             lag ─▶ controller ─▶ incidents
//! page ─ commands ─▶ step ─ StepReport ─▶ page, which also reads the RunState
//! ```

mod commands;
mod damage;
mod page;
mod state;
mod summary;
mod trackers;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use activity::Survey;
use run_folder::{CONSUMERS, Folder, Plan, Progress as Reached, RunFile, RunFileError, Workout};
use telemetry_core::Batch;
use telemetry_core::records::Enrichment;
use telemetry_storage::{Accounting as _, SqliteOptions, SqliteStore};
use telemetry_transport::{
    AppendError, CommitError, ConsumeError, Directory, EmbeddedLog, Limits, OpenError, Producer,
    ProducerError,
};
use terminal::escaped;

use crate::agent::opening;
use crate::clock::{DeviceClock, Now, Pace, Stopwatch};
use crate::controller::{Controller, ControllerError};
use crate::cues::{Cues, CuesError};
use crate::firmware::Firmware;
use crate::live::{Command, Live};
use crate::progress::{Progress, Stages};
use crate::report::Report;
use crate::signals::Stop;
use crate::speech::Voice;
use crate::storing::{Storing, StoringError};
use crate::tracker::{State, Step, TrackerError, TrackerSpec};
pub use page::LastPage;
use page::PageView;
use state::{RunState, StepReport};
use trackers::Trackers;

/// Virtual time between two steps.
const STEP: Duration = Duration::from_secs(1);

/// Virtual time between two trackers being switched on.
const STAGGER: Duration = Duration::from_secs(30);

/// Virtual time over which trackers are switched on, however many there are.
const SPREAD_MAX: Duration = Duration::from_secs(16 * 60);

/// Trackers that are at work at once: each has two threads, sockets and a spool.
const ACTIVE_MAX: usize = 256;

/// Virtual time a run goes on after the last sample and the outage: until a recovery is believed
/// and its incident is closed.
const TAIL: Duration = Duration::from_secs(30);

/// Steps after the planned end in which everything must have arrived.
const STEPS_LATE_MAX: u32 = 1_000;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is replayed, as it was surveyed; files without a sample are told in the report.
    pub surveys: Vec<Survey>,
    /// Trackers; by default one a file with a sample.
    pub devices: Option<usize>,
    /// Virtual seconds per real second; `None` for as fast as it goes.
    pub speed: Option<f64>,
    pub data: PathBuf,
    /// How long the link to the log is down, at two fifths of the run.
    pub outage: Duration,
    /// Lines of progress where there is no terminal.
    pub progress_lines: u32,
}

/// What stops a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run's own file.
    #[error(transparent)]
    RunFile(#[from] RunFileError),
    /// Nothing to replay; why not, for each file.
    #[error("nothing to replay:{}", listed(.0))]
    Nothing(Vec<String>),
    #[error("{}: {error}", path.display())]
    Folder {
        /// The folder, or a file in it.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The log cannot be opened.
    #[error("embedded log: {0}")]
    Open(#[from] OpenError),
    /// The log refused a batch.
    #[error("embedded log: {0}")]
    Append(#[from] AppendError),
    /// The log's disk failed.
    #[error("embedded log: {0}")]
    Commit(#[from] CommitError),
    /// A consumer of the log failed.
    #[error("embedded log: {0}")]
    Consume(#[from] ConsumeError),
    #[error("store: {0}")]
    Store(#[from] telemetry_storage::StoreError),
    /// Rows cannot be read back.
    #[error("store: {0}")]
    Read(#[from] telemetry_storage::ReadError),
    #[error(transparent)]
    Storing(#[from] StoringError),
    #[error(transparent)]
    Cues(#[from] CuesError),
    /// The gateway's spool.
    #[error("gateway: {0}")]
    Gateway(#[from] ProducerError),
    /// The incident controller.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// A tracker's thread is gone without a word.
    #[error("tracker {} ended without a word", index + 1)]
    Gone {
        /// The tracker, from 0; people count from 1.
        index: usize,
    },
    /// Records do not arrive.
    #[error("records are still on their way {STEPS_LATE_MAX} steps after the end of the run")]
    Stuck,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// With everything said.
    Reported {
        report: Box<Report>,
        /// The page, if it was shown: it wants to know when the report can be looked at.
        page: Option<Box<LastPage>>,
    },
    /// Somebody stopped it; the next run in the same folder goes on.
    Stopped {
        /// Where the clock was.
        at: Duration,
    },
}

/// What is wrong with the files, in sentences.
///
/// # Errors
/// None of them has a sample: there is nothing to run.
pub fn file_faults(surveys: &[Survey]) -> Result<Vec<String>, RunError> {
    let faults = surveys.iter().flat_map(|survey| &survey.faults);
    let faults: Vec<String> = faults.map(|fault| escaped(fault).to_string()).collect();
    match surveys.iter().any(|survey| survey.summary.samples > 0) {
        true => Ok(faults),
        false => Err(RunError::Nothing(faults)),
    }
}

/// Runs to the end, or until somebody stops it, and shows it to visitors if there is a page.
///
/// With a page, every tracker has firmware 1 until visitors roll out another.
pub fn run(options: &Options, live: Option<Live>, stop: &Stop) -> Result<Ended, RunError> {
    let faults = file_faults(&options.surveys)?;
    let with_samples = options.surveys.iter().filter(|s| s.summary.samples > 0);
    let workouts: Vec<&Survey> = with_samples.collect();
    let devices = options.devices.unwrap_or(workouts.len());
    let plan = Plan {
        workouts: workouts.iter().map(|survey| workout(survey)).collect(),
        devices,
        outage: options.outage,
    };
    let file = RunFile::open(Folder::new(&options.data), &plan)?;

    let lengths = (0..devices).map(|index| workouts[index % workouts.len()].summary.duration);
    let starts = switched_on(&lengths.collect::<Vec<_>>());
    let trackers: Vec<(TrackerSpec, &Survey)> = (0..devices)
        .map(|index| {
            let place = index % workouts.len();
            let survey = workouts[place];
            let dir = file.folder().tracker(index);
            let installed = Firmware::installed(&dir).map_err(|error| RunError::Folder {
                path: dir.clone(),
                error,
            })?;
            let came_with = match &live {
                Some(_) => Firmware::V1,
                None => Firmware::of_device(index),
            };
            let starts = starts[index];
            let spec = TrackerSpec {
                index,
                clock: DeviceClock::new(&survey.summary, file.start(), starts),
                activity: survey.activity.clone(),
                source: format!("{}#{}", file.name(place), index / workouts.len() + 1),
                firmware: installed.unwrap_or(came_with),
                starts,
                dir,
                stored: 0,
                device: file.device(index),
                random: file.random(),
            };
            Ok((spec, survey))
        })
        .collect::<Result<_, RunError>>()?;
    let conductor = Conductor::new(options, file, &trackers, live.is_some())?;
    conductor.run(&trackers, live, faults, stop)
}

fn workout(survey: &Survey) -> Workout<'_> {
    Workout {
        name: survey.activity.name(),
        content: survey.content.map(|content| *content.as_bytes()),
    }
}

/// When each tracker is switched on, after the start of the run, given how long its workout is: one
/// after the other, and so that at most [`ACTIVE_MAX`] are at work at once.
fn switched_on(lengths: &[Duration]) -> Vec<Duration> {
    let count = u32::try_from(lengths.len()).unwrap_or(u32::MAX).max(1);
    let apart = STAGGER.min(SPREAD_MAX / count);
    let mut ends = BinaryHeap::new();
    let starts = lengths.iter().enumerate().map(|(index, length)| {
        let mut start = apart * index as u32;
        if ends.len() == ACTIVE_MAX
            && let Some(Reverse(free)) = ends.pop()
        {
            start = start.max(free);
        }
        ends.push(Reverse(start + *length + TAIL));
        start
    });
    starts.collect()
}

/// Open files of a process besides those of its trackers: store, log, gateway, incident log, page,
/// terminal.
const DESCRIPTORS: u64 = 36;

/// Open files of a tracker at work: spool, sockets, activity.
const DESCRIPTORS_OF_TRACKER: u64 = 9;

/// How many files a run has open at once, at most.
///
/// Trackers that deliver as they measure are done one after the other. If there is an outage, or a page
/// on which visitors may cut the link, all of them may be at work together.
pub fn descriptors(surveys: &[Survey], devices: Option<usize>, waits: bool) -> u64 {
    let lengths: Vec<Duration> = surveys
        .iter()
        .filter(|survey| survey.summary.samples > 0)
        .map(|survey| survey.summary.duration)
        .collect();
    let count = devices.unwrap_or(lengths.len());
    let lengths: Vec<Duration> = lengths.into_iter().cycle().take(count).collect();
    let at_work = match waits {
        true => count.min(ACTIVE_MAX),
        false => at_work(&lengths),
    };
    DESCRIPTORS + DESCRIPTORS_OF_TRACKER * at_work as u64
}

/// How many trackers are at work at once, at most.
fn at_work(lengths: &[Duration]) -> usize {
    let starts = switched_on(lengths);
    let mut ends = BinaryHeap::new();
    let counts = starts.iter().zip(lengths).map(|(start, length)| {
        while ends.peek().is_some_and(|Reverse(end)| end <= start) {
            ends.pop();
        }
        ends.push(Reverse(*start + *length + TAIL));
        ends.len()
    });
    counts.max().unwrap_or(0)
}

/// Sentences below each other.
fn listed(sentences: &[String]) -> String {
    sentences.iter().map(|said| format!("\n  {said}")).collect()
}

struct Conductor<'a> {
    options: &'a Options,
    file: RunFile,
    store: SqliteStore,
    log: EmbeddedLog<Directory>,
    trackers: Trackers,
    gateway: Producer,
    storing: Storing,
    cues: Cues,
    controller: Controller,
    state: RunState,
    /// What the trackers and the gateway are doing.
    step: Step,
    /// Rows that earlier processes of the run stored.
    rows_before: u64,
    /// What is waited for, as it was told last.
    waits_for: Option<String>,
}

impl<'a> Conductor<'a> {
    fn new(
        options: &'a Options,
        mut file: RunFile,
        specs: &[(TrackerSpec, &Survey)],
        has_page: bool,
    ) -> Result<Self, RunError> {
        let folder = file.folder().clone();
        let store = SqliteStore::open(&folder.store(), SqliteOptions::default())?;
        let limits = Limits {
            segment_bytes: 4 << 20,
            ..Limits::default()
        };
        let (log, _) = EmbeddedLog::open(
            Directory::open(folder.log()).map_err(|error| RunError::Folder {
                path: folder.log(),
                error,
            })?,
            limits,
        )?;
        let [etl, coach] = CONSUMERS;
        let mut storing = Storing::new(log.subscribe(etl)?, &store)?;
        for (spec, survey) in specs {
            storing.enrol(file.device(spec.index), enrichment(&file, spec, survey))?;
        }
        let now = Now::new(file.start(), file.progress().reached);
        let state = RunState::new(now, options.outage, specs, has_page);
        let gateway = Producer::open(
            &folder.gateway(),
            opening(file.device(specs.len()), now.at())?,
            file.random(),
        )?;
        let cues = Cues::new(log.subscribe(coach)?, &folder.sounds(), Voice::find())?;
        let controller = Controller::open(&folder.incidents(), file.writer(), STEP, now)?;
        let trackers = specs.iter().map(|(spec, _)| TrackerSpec {
            stored: storing.samples_of(spec.device),
            ..spec.clone()
        });
        let trackers = Trackers::new(trackers, has_page);
        // Every part is there. From now on, a run without one of them does not go on.
        file.begin()?;
        Ok(Self {
            rows_before: storing.tally().stored.values().sum(),
            waits_for: None,
            storing,
            cues,
            controller,
            gateway,
            trackers,
            step: state.step(now, false, false),
            state,
            log,
            store,
            file,
            options,
        })
    }

    fn run(
        mut self,
        specs: &[(TrackerSpec, &Survey)],
        live: Option<Live>,
        faults: Vec<String>,
        stop: &Stop,
    ) -> Result<Ended, RunError> {
        let watch = Stopwatch::start();
        let total: u64 = specs.iter().map(|(_, s)| s.summary.samples).sum();
        let mut progress = Progress::new(total, self.state.end, self.options.progress_lines);
        let mut pace = Pace::new(self.options.speed);
        let stored = pollster::block_on(self.store.presence())?;
        let view =
            |live| PageView::new(live, &self.file, self.options.speed, &stored, faults.len());
        let mut page = live.map(view);
        self.trackers.step(self.step)?;
        let mut late = 0;
        let (now, stopped) = loop {
            let orders = page.as_mut().map_or_else(Vec::new, PageView::orders);
            let commands: Vec<Command> = orders.iter().map(|order| order.command).collect();
            let show = page.as_ref().is_some_and(PageView::is_looking);
            let stopped = stop.is_set();
            let report = self.step(&commands, stopped, show).map_err(|error| {
                // What was taken away may fail in any way: that it is gone says more.
                self.file.in_place().err().map_or(error, RunError::from)
            })?;
            let now = report.now;
            let stages = self.stages();
            progress.show(stages, self.state.phase(now.since_start), now.since_start);
            if let Some(told) = &report.waits_for {
                progress.say(told);
            }
            let (last, waits) = (report.last, report.waits);
            if let Some(page) = &mut page {
                page.show(&self, report, orders)?;
            }
            if last {
                break (now, stopped);
            }
            late += u32::from(now.since_start >= self.state.end && !waits);
            if late > STEPS_LATE_MAX {
                return Err(RunError::Stuck);
            }
            self.reach()?;
            // Whoever presses a button waits for the next step: it comes at once, however slow the run
            // is, and the one after it as much later.
            pace.wait(STEP, || {
                stop.is_set() || page.as_mut().is_some_and(PageView::has_order)
            });
        };
        let stages = self.stages();
        let trackers = self.trackers.end();
        self.gateway.close()?;
        self.cues.close(now, &self.store)?;
        progress.finish(stages, now.since_start);
        // What was stored is stored in the folder, or nothing can be said of it.
        self.file.in_place()?;
        if stopped {
            return Ok(Ended::Stopped {
                at: now.since_start,
            });
        }
        let report = self.report(specs, faults, &trackers, now, watch.elapsed())?;
        let whole = report.is_whole();
        Ok(Ended::Reported {
            page: page.map(|page| Box::new(page.last_page(now.since_start, whole))),
            report: Box::new(report),
        })
    }

    /// Takes a step: what the trackers sent is logged, stored and looked at, while they go on; what
    /// was asked for happens in the step that begins.
    fn step(
        &mut self,
        commands: &[Command],
        stopped: bool,
        show: bool,
    ) -> Result<StepReport, RunError> {
        let step = self.step;
        let now = step.now;
        let mut report = StepReport::at(now);
        let mut batches = Vec::new();
        self.trackers.answers(&mut batches)?;
        report.screens = self.trackers.take_screens();
        self.gateway_step(step, &mut batches)?;
        let confirmed = self.publish(&batches)?;
        self.carry_out(commands, now.after(STEP), &mut report)?;

        let over = now.since_start >= self.state.end;
        let arrived = self.trackers.are_done() && self.gateway.is_empty();
        report.last = stopped || (over && arrived);
        self.step = self.state.step(now.after(STEP), confirmed, show);
        if !report.last {
            // The trackers go on while what they have sent is stored.
            self.trackers.step(self.step)?;
        }
        self.consume(now, &mut report)?;
        self.controller.step(now, self.state.lag)?;
        let stages = self.stages();
        self.state
            .pulse
            .beat(now.since_start, stages, self.state.lag);
        // Whoever cut the link or pulled a plug may take their time, and so may a store that does
        // not answer.
        report.waits =
            !self.step.link_up || self.trackers.wait_for_a_plug() || self.storing.is_waiting();
        let waits_for = match report.last {
            true => None,
            false => self.waits_for(over),
        };
        if waits_for != self.waits_for {
            report.waits_for.clone_from(&waits_for);
            self.waits_for = waits_for;
        }
        Ok(report)
    }

    /// What has to happen before the run can go on or end, in a sentence: whoever looks at it would
    /// wait for ever otherwise.
    fn waits_for(&self, over: bool) -> Option<String> {
        if let Some(trouble) = self.storing.trouble().or_else(|| self.cues.trouble()) {
            return Some(trouble);
        }
        if !over {
            return None;
        }
        if !self.step.link_up {
            let sentence = "The link to the log is down. The run ends when it is back.";
            return Some(sentence.to_owned());
        }
        let unplugged = self.trackers.iter().filter(|t| !t.is_plugged());
        let unplugged: Vec<String> = unplugged.map(|t| (t.spec.index + 1).to_string()).collect();
        let (which, it) = match &unplugged[..] {
            [] => return None,
            [one] => (format!("Tracker {one} is"), "it is"),
            many => (format!("Trackers {} are", many.join(", ")), "they are"),
        };
        Some(format!(
            "{which} unplugged, and may have records. The run ends when {it} plugged in again."
        ))
    }

    /// Notes how far the run is. The trackers are in the next step already: a run that is killed now
    /// goes on from there.
    fn reach(&mut self) -> Result<(), RunError> {
        let on = self.trackers.states();
        let on = on.take_while(|state| state.device.is_some()).count();
        Ok(self.file.reach(Reached {
            reached: self.step.now.since_start,
            trackers: on,
            rows: self.rows_before + self.storing.tally().rows,
            groups: self.controller.groups(),
        })?)
    }

    /// The gateway publishes like a tracker.
    fn gateway_step(&mut self, step: Step, batches: &mut Vec<Batch>) -> Result<(), RunError> {
        let instant = step.now.instant();
        if step.confirmed {
            self.gateway.confirm(instant, |_| {})?;
        }
        let records = self.cues.take_records();
        for record in &records {
            self.gateway.append(record)?;
        }
        if !records.is_empty() {
            self.gateway.commit()?;
        }
        self.gateway.link(instant, step.link_up)?;
        if step.link_up {
            let services::Now { instant, wall } = step.now.at();
            self.gateway.publish(instant, wall, batches)?;
        }
        Ok(())
    }

    /// Puts batches into the log; its commit is the confirmation of them all.
    fn publish(&mut self, batches: &[Batch]) -> Result<bool, RunError> {
        if batches.is_empty() {
            return Ok(false);
        }
        let watch = Stopwatch::start();
        for batch in batches {
            self.log.append(batch)?;
        }
        self.log.commit()?;
        self.state.published.record(watch.elapsed());
        let records = batches.iter().map(|b| u64::from(b.envelope.count));
        self.state.logged += records.sum::<u64>();
        Ok(true)
    }

    /// Has everything in the log stored and looked at.
    fn consume(&mut self, now: Now, report: &mut StepReport) -> Result<(), RunError> {
        let rejected = self.storing.tally().rejected.count();
        self.storing.drain(now.at(), &self.store)?;
        let tally = self.storing.tally();
        let new = tally.rejected.count() - rejected;
        let kept = tally.rejected.iter().rev();
        let new = kept.take(usize::try_from(new).unwrap_or(usize::MAX));
        report.set_aside = new.rev().cloned().collect();
        if let Some(newest) = tally.newest {
            let newest = newest.saturating_since(now.start());
            self.state.newest = self.state.newest.max(newest);
        }
        let mut states = self.trackers.states();
        let running = states.any(|s| s.device.is_some() && !s.done);
        let lag = now.since_start.saturating_sub(self.state.newest);
        self.state.lag = if running { lag } else { Duration::ZERO };
        report.samples = self.cues.step(now, &self.store)?;
        Ok(())
    }

    fn stages(&self) -> Stages {
        let states = self.trackers.states();
        let sum = |f: fn(&State) -> u64| states.clone().map(f).sum();
        let resumed: u64 = sum(|s| s.resumed);
        let stored = self.storing.tally().samples;
        Stages {
            read: sum(|s| s.read),
            durable: sum(|s| s.durable),
            // Trackers hear of a confirmation one step later than the store has the rows.
            published: stored.max(resumed + sum(|s| s.published)),
            stored,
        }
    }
}

/// What is known about a tracker besides what it sends.
fn enrichment(file: &RunFile, spec: &TrackerSpec, survey: &Survey) -> Enrichment {
    Enrichment {
        wearer: Some(file.pseudonym(spec.index)),
        site: Some("demo".to_owned()),
        model: Some("fleet replay".to_owned()),
        firmware: Some(spec.firmware.number().to_string()),
        session: survey
            .summary
            .started
            .map(|at| format!("{}@{at}", survey.activity.name())),
        schema_version: None,
        enricher: Some(concat!("fleet ", env!("CARGO_PKG_VERSION")).to_owned()),
    }
}

/// Makes a new folder for a run that was given none. Each of several programs that begin at the same
/// moment gets its own.
///
/// # Errors
/// No folder can be made there.
pub fn new_folder(base: &Path) -> Result<PathBuf, RunError> {
    let failed = |path: &Path, error| RunError::Folder {
        path: path.to_owned(),
        error,
    };
    Folder::new(base.join("run-1")).check_length()?;
    std::fs::create_dir_all(base).map_err(|error| failed(base, error))?;
    let mut number = 1_u64;
    loop {
        let path = base.join(format!("run-{number}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(failed(&path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_of_trackers_are_at_work_a_few_at_a_time() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let few = switched_on(&[minutes(60); 6]);
        assert_eq!(few[5], STAGGER * 5);
        let many = switched_on(&vec![minutes(60); 2_000]);
        assert!(many.is_sorted());
        for at in (0..600).map(minutes) {
            let at_work = many.iter().filter(|s| **s <= at && at < **s + minutes(60));
            assert!(at_work.count() <= ACTIVE_MAX);
        }
        assert_eq!(at_work(&vec![minutes(60); 2_000]), ACTIVE_MAX);
        assert_eq!(at_work(&[minutes(60); 6]), 6);
        // Short ones do not wait for each other.
        let short = switched_on(&vec![Duration::from_secs(20); 2_000]);
        assert!(short[1_999] <= SPREAD_MAX);
    }
}
