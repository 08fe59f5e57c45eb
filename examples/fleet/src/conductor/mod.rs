//! The run: moves the clock, hands batches to the log, has them stored, watches over it all.
//!
//! ```text
//! trackers (threads) ─ batches ─▶ embedded log ─┬▶ etl ─▶ SQLite
//!      ▲     gateway ─ batches ─▶     │          └▶ coach ─▶ gateway (FeedbackGiven)
//!      └────── step, confirmed ───────┘             lag ─▶ controller ─▶ incidents
//! visitors ─ commands ─▶ between two steps
//! ```

mod damage;
mod trackers;
mod visitors;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use telemetry_core::records::{Enrichment, SystemState};
use telemetry_core::{DeviceId, StreamName, stream_of};
use telemetry_storage::{Accounting as _, SqliteOptions, SqliteStore};
use telemetry_transport::{
    AppendError, CommitError, ConsumeError, Consumer, Directory, EmbeddedLog, Limits, OpenError,
    Token,
};

use crate::activity::{Activity, ActivityError};
use crate::clock::{Now, Pace, Stopwatch};
use crate::coach::{Coach, CoachError};
use crate::controller::{Controller, ControllerError};
use crate::etl::{Etl, EtlError};
use crate::firmware::Firmware;
use crate::latency::Histogram;
use crate::live::Live;
use crate::outlet::{Outlet, OutletError};
use crate::progress::{Phase, Progress, Stages};
use crate::report::{Curves, DeviceLine, Pulse, Report};
use crate::run_file::{RunFile, RunFileError};
use crate::speech::Voice;
use crate::tracker::{Plan, Remains, State, Step, TrackerError};
use crate::{ledger, screen};
use trackers::Trackers;
pub use visitors::LastPage;
use visitors::Visitors;

/// Virtual time between two steps.
const STEP: Duration = Duration::from_secs(1);

/// Virtual time between two trackers being switched on.
const STAGGER: Duration = Duration::from_secs(30);

/// Virtual time a run goes on after the last sample and the outage: until a recovery is believed
/// and its incident is closed.
const TAIL: Duration = Duration::from_secs(30);

/// Virtual time between two acknowledgements of the coach.
const COACH_ACKS: Duration = Duration::from_secs(60);

/// Steps after the planned end in which everything must have arrived.
const STEPS_LATE_MAX: u32 = 1_000;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files to replay; none for the built-in activities.
    pub files: Vec<PathBuf>,
    /// Trackers; by default one a file, six for the built-in ones.
    pub devices: Option<usize>,
    /// Virtual seconds per real second; `None` for as fast as it goes.
    pub speed: Option<f64>,
    /// The run's folder.
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
    /// Nothing to replay.
    #[error("none of the files has a sample: nothing to replay")]
    Nothing,
    /// The folder.
    #[error("{}: {error}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
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
    /// The store.
    #[error("store: {0}")]
    Store(#[from] telemetry_storage::StoreError),
    /// Rows cannot be read back.
    #[error("store: {0}")]
    Read(#[from] telemetry_storage::ReadError),
    /// The storing consumer.
    #[error(transparent)]
    Etl(#[from] EtlError),
    /// The feedback gateway.
    #[error(transparent)]
    Coach(#[from] CoachError),
    /// The gateway's spool.
    #[error("gateway: {0}")]
    Gateway(#[from] OutletError),
    /// The incident controller.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// A tracker.
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// A tracker's thread is gone without a word.
    #[error("tracker {index} ended without a word")]
    Gone {
        /// Which.
        index: usize,
    },
    /// Records do not arrive.
    #[error("records are still on their way {STEPS_LATE_MAX} steps after the end of the run")]
    Stuck,
}

/// What is known of a file before the run.
struct Scanned {
    activity: Activity,
    samples: u64,
    length: Duration,
    recorded_at: Option<i64>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// With everything said.
    Reported {
        /// What happened.
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

/// Runs to the end, or until somebody stops it, and shows it to visitors if there is a page.
///
/// With a page, every tracker has firmware 1 until visitors roll out another.
pub fn run(options: &Options, live: Option<Live>) -> Result<Ended, RunError> {
    let mut faults = Vec::new();
    let scanned = scan(options, &mut faults);
    if scanned.is_empty() {
        return Err(RunError::Nothing);
    }
    let built_in = options.files.is_empty();
    let devices = options
        .devices
        .unwrap_or(if built_in { 6 } else { scanned.len() });
    std::fs::create_dir_all(&options.data).map_err(|error| RunError::Folder {
        path: options.data.clone(),
        error,
    })?;
    let names: Vec<&str> = scanned.iter().map(|s| s.activity.name.as_str()).collect();
    let file = RunFile::open(&options.data, &names, devices, options.outage)?;

    let plans: Vec<(Plan, &Scanned)> = (0..devices)
        .map(|index| {
            let scanned = &scanned[index % scanned.len()];
            let dir = options.data.join(format!("tracker-{index}"));
            let installed = Firmware::installed(&dir).map_err(|error| RunError::Folder {
                path: dir.clone(),
                error,
            })?;
            let came_with = match &live {
                Some(_) => Firmware::V1,
                None => Firmware::of_device(index),
            };
            let plan = Plan {
                index,
                activity: scanned.activity.clone(),
                source: format!("{}#{}", scanned.activity.name, index / names.len() + 1),
                firmware: installed.unwrap_or(came_with),
                starts: STAGGER * index as u32,
                dir,
                new_device: file.device(index),
                random: file.random(),
            };
            Ok((plan, scanned))
        })
        .collect::<Result<_, RunError>>()?;
    Conductor::new(options, file, &plans, live)?.run(&plans, faults)
}

/// Reads every file once: how many samples, how long, what is wrong.
fn scan(options: &Options, faults: &mut Vec<ActivityError>) -> Vec<Scanned> {
    let activities = if options.files.is_empty() {
        Activity::built_in()
    } else {
        options.files.iter().cloned().map(Activity::file).collect()
    };
    let mut out = Vec::new();
    for activity in activities {
        let mut samples = match activity.open() {
            Ok(samples) => samples,
            Err(error) => {
                faults.push(error);
                continue;
            }
        };
        let (mut count, mut length) = (0, Duration::ZERO);
        for sample in samples.by_ref() {
            match sample {
                Ok(sample) => (count, length) = (sample.serial, sample.offset),
                Err(error) => faults.push(error),
            }
        }
        if count > 0 {
            out.push(Scanned {
                recorded_at: samples.recorded_at(),
                activity,
                samples: count,
                length,
            });
        }
    }
    out
}

struct Conductor<'a> {
    options: &'a Options,
    file: RunFile,
    store: SqliteStore,
    log: EmbeddedLog<Directory>,
    etl: Etl,
    coach: Coach,
    coach_inbox: Consumer<Directory>,
    /// What the coach has heard and not acknowledged.
    coached: Vec<Token>,
    coach_acks_at: Duration,
    gateway: Outlet,
    controller: Controller,
    published: Histogram,
    pulse: Pulse,
    /// When the newest stored batch was published.
    newest: Duration,
    /// Where the clock goes on.
    reached: Now,
    /// Virtual times at which the link is down, in the order in which they were decided.
    outages: Vec<std::ops::Range<Duration>>,
    rollout: std::ops::Range<Duration>,
    end: Duration,
    visitors: Option<Visitors>,
}

impl<'a> Conductor<'a> {
    fn new(
        options: &'a Options,
        file: RunFile,
        plans: &[(Plan, &Scanned)],
        live: Option<Live>,
    ) -> Result<Self, RunError> {
        let data = &options.data;
        let store = SqliteStore::open(&data.join("store.sqlite"), SqliteOptions::default())?;
        let limits = Limits {
            segment_bytes: 4 << 20,
            ..Limits::default()
        };
        let (log, _) = EmbeddedLog::open(
            Directory::open(data.join("log")).map_err(|error| RunError::Folder {
                path: data.join("log"),
                error,
            })?,
            limits,
        )?;
        let mut etl = Etl::new(log.subscribe("etl")?, &store)?;
        for (plan, scanned) in plans {
            etl.enrol(file.device(plan.index), enrichment(&file, plan, scanned));
        }
        let end = plans
            .iter()
            .map(|(plan, scanned)| plan.starts + scanned.length)
            .max()
            .unwrap_or_default();
        let down = end.mul_f64(0.4);
        let outage = down..down + options.outage;
        let firmware_2 = || {
            let of_2 = plans.iter().filter(|(p, _)| p.firmware == Firmware::V2);
            of_2.map(|(p, _)| p.starts)
        };
        let first = firmware_2().min().unwrap_or(end);
        let last = firmware_2().max().map_or(end, |last| last + STAGGER);

        let newest = pollster::block_on(store.newest(&stream_of::<SystemState>()))?;
        let newest = newest.map(|t| t.saturating_since(file.start()));
        let reached = file.reached().max(newest.unwrap_or_default());
        let now = Now::new(file.start(), Duration::from_secs(reached.as_secs()));
        let gateway = Outlet::open(
            &data.join("gateway"),
            file.device(plans.len()),
            now,
            file.random(),
        )?;
        let visitors = live.map(|live| {
            let stored = pollster::block_on(store.presence())?;
            Ok::<_, RunError>(Visitors::new(live, &file, options.speed, &stored))
        });
        Ok(Self {
            visitors: visitors.transpose()?,
            etl,
            coach: Coach::new(&data.join("cues"), Voice::find())?,
            coach_inbox: log.subscribe("coach")?,
            coached: Vec::new(),
            coach_acks_at: Duration::ZERO,
            controller: Controller::open(&data.join("incidents.log"), file.writer(), STEP)?,
            gateway,
            log,
            store,
            file,
            options,
            published: Histogram::default(),
            pulse: Pulse::default(),
            newest: newest.unwrap_or(now.since_start),
            reached: now,
            end: end.max(outage.end) + TAIL,
            outages: Some(outage).into_iter().filter(|o| !o.is_empty()).collect(),
            rollout: first..last,
        })
    }

    fn run(
        mut self,
        plans: &[(Plan, &Scanned)],
        faults: Vec<ActivityError>,
    ) -> Result<Ended, RunError> {
        let watch = Stopwatch::start();
        let total: u64 = plans.iter().map(|(_, s)| s.samples).sum();
        let mut progress = Progress::new(total, self.end, self.options.progress_lines);
        let mut now = self.reached;
        let mut pace = Pace::new(self.options.speed);
        let mut trackers = Trackers::start(plans.iter().map(|(plan, _)| plan.clone()))?;
        let mut step = self.step(now, false);
        let mut late = 0;
        trackers.step(step);
        let stopped = loop {
            let mut batches = Vec::new();
            trackers.answers(&mut batches)?;
            self.gateway_step(step, &mut batches)?;
            let confirmed = self.publish(&batches)?;
            self.obey(&mut trackers, now.after(STEP))?;
            let over = now.since_start >= self.end;
            let arrived = trackers.are_done() && self.gateway.is_empty();
            let stopped = self.visitors.as_ref().is_some_and(Visitors::are_leaving);
            let last = stopped || (over && arrived);
            let next = self.step(now.after(STEP), confirmed);
            if !last {
                // The trackers go on while what they have sent is stored.
                trackers.step(next);
            }
            self.consume(now)?;
            let running = trackers.states().any(|s| s.device.is_some() && !s.done);
            let lag = now.since_start.saturating_sub(self.newest);
            let lag = if running { lag } else { Duration::ZERO };
            self.controller.turn(now, lag)?;
            let stages = stages(trackers.states(), &self.etl);
            self.pulse.beat(now.since_start, stages, lag);
            progress.show(stages, self.phase(now.since_start), now.since_start);
            self.show(&mut trackers, now, lag, last)?;
            if last {
                break stopped;
            }
            // Whoever cut the link or pulled a plug may take their time.
            let waits = !next.link_up || trackers.wait_for_a_plug();
            late += u32::from(over && !waits);
            if late > STEPS_LATE_MAX {
                return Err(RunError::Stuck);
            }
            (now, step) = (next.now, next);
            self.file
                .reach(now.since_start)
                .map_err(|error| RunError::Folder {
                    path: self.options.data.clone(),
                    error,
                })?;
            let leaving = || self.visitors.as_ref().is_some_and(Visitors::are_leaving);
            pace.wait(STEP, leaving);
        };
        let states: Vec<State> = trackers.states().cloned().collect();
        let remains = trackers.end();
        self.gateway.close()?;
        self.coach_inbox.acknowledge(&self.coached)?;
        progress.finish(stages(states.iter(), &self.etl), now.since_start);
        if stopped {
            return Ok(Ended::Stopped {
                at: now.since_start,
            });
        }
        let visitors = self.visitors.take();
        let report = self.report(plans, faults, &trackers, &remains, now, watch.elapsed())?;
        Ok(Ended::Reported {
            page: visitors.map(|v| Box::new(v.last_page(now.since_start, report.is_whole()))),
            report: Box::new(report),
        })
    }

    fn step(&self, now: Now, confirmed: bool) -> Step {
        Step {
            now,
            link_up: self.link_up(now.since_start),
            confirmed,
            show: self.visitors.as_ref().is_some_and(Visitors::are_looking),
            mishap: None,
        }
    }

    fn link_up(&self, at: Duration) -> bool {
        !self.outages.iter().any(|outage| outage.contains(&at))
    }

    fn phase(&self, at: Duration) -> Phase {
        let rollout = match &self.visitors {
            Some(visitors) => visitors.are_rolling_out(),
            None => self.rollout.contains(&at),
        };
        self.phase_of(at, rollout)
    }

    fn phase_of(&self, at: Duration, rollout: bool) -> Phase {
        if !self.link_up(at) {
            Phase::Outage
        } else if rollout {
            Phase::Rollout
        } else {
            Phase::Steady
        }
    }

    /// The gateway publishes like a tracker.
    fn gateway_step(
        &mut self,
        step: Step,
        batches: &mut Vec<telemetry_core::Batch>,
    ) -> Result<(), RunError> {
        let instant = step.now.instant();
        if step.confirmed {
            self.gateway.confirm(instant, |_| {})?;
        }
        let records = self.coach.take_records();
        for record in &records {
            self.gateway.append(record)?;
        }
        if !records.is_empty() {
            self.gateway.commit()?;
        }
        self.gateway.link(instant, step.link_up)?;
        if step.link_up {
            self.gateway.publish(step.now, instant, batches)?;
        }
        Ok(())
    }

    /// Puts batches into the log; its commit is the confirmation of them all.
    fn publish(&mut self, batches: &[telemetry_core::Batch]) -> Result<bool, RunError> {
        if batches.is_empty() {
            return Ok(false);
        }
        let watch = Stopwatch::start();
        for batch in batches {
            self.log.append(batch)?;
        }
        self.log.commit()?;
        self.published.record(watch.elapsed());
        if let Some(visitors) = &mut self.visitors {
            visitors.logged(batches);
        }
        Ok(true)
    }

    /// Has everything in the log stored and looked at.
    fn consume(&mut self, now: Now) -> Result<(), RunError> {
        while self.etl.turn(&self.store)? > 0 {}
        if let Some(newest) = self.etl.counts().newest {
            let newest = newest.saturating_since(now.start());
            self.newest = self.newest.max(newest);
        }
        while let Some(delivery) = self.coach_inbox.next()? {
            let samples = self.coach.batch(now, &self.store, &delivery.batch)?;
            if let Some(visitors) = &mut self.visitors {
                visitors.samples(delivery.batch.envelope.device, &samples);
            }
            self.coached.push(delivery.token);
        }
        // What the coach hears twice is no news, so its place need not be kept at every step.
        if now.since_start >= self.coach_acks_at {
            self.coach_acks_at = now.since_start + COACH_ACKS;
            self.coach_inbox
                .acknowledge(&std::mem::take(&mut self.coached))?;
        }
        self.coach.turn(now)?;
        Ok(())
    }

    fn report(
        self,
        plans: &[(Plan, &Scanned)],
        faults: Vec<ActivityError>,
        trackers: &Trackers,
        remains: &[Option<Remains>],
        now: Now,
        took: Duration,
    ) -> Result<Report, RunError> {
        let mut now_seqs: BTreeMap<(DeviceId, u64), Vec<(StreamName, u64)>> = BTreeMap::new();
        let mut durable = Histogram::default();
        let mut samples_appended = 0;
        let mut devices = Vec::new();
        let run = self.file.start()..now.after(STEP).wall();
        for (((_, scanned), tracker), remains) in plans.iter().zip(trackers.iter()).zip(remains) {
            let plan = &tracker.plan;
            let Some(remains) = remains else { continue };
            let Some(device) = remains.state.device else {
                continue;
            };
            durable.merge(&tracker.past.durable);
            samples_appended += tracker.past.records;
            let key = (device, remains.state.epoch);
            now_seqs.insert(key, remains.state.next_seqs.clone());
            let picture = self
                .options
                .data
                .join(format!("screen-{}.png", plan.index + 1));
            let written = File::create(&picture)
                .and_then(|file| screen::write_png(BufWriter::new(file), &remains.screen));
            written.map_err(|error| RunError::Folder {
                path: picture.clone(),
                error,
            })?;
            devices.push(DeviceLine {
                index: plan.index,
                device,
                source: plan.source.clone(),
                firmware: plan.firmware.number(),
                read: scanned.samples,
                agent: remains.state.durable,
                frames: tracker.past.frames,
                ring_drops: tracker.past.ring_drops,
                picture,
                curves: Curves::read(&self.store, device, run.clone())?,
            });
        }
        let gateway = self.gateway.spool();
        now_seqs.insert(
            (gateway.device(), gateway.epoch().get()),
            self.gateway.next_seqs(),
        );
        let streams = ledger::reckon(&self.store, &now_seqs, &self.etl.counts().set_aside, run)?;
        let stored = ledger::samples_stored(&self.store)?;
        Ok(Report {
            data: self.options.data.clone(),
            start: self.file.start(),
            length: now.since_start,
            took,
            devices,
            stored,
            streams,
            duplicates: self.etl.counts().duplicates,
            rows: self.etl.counts().rows,
            rejected: self.etl.counts().rejected.clone(),
            rejected_more: self.etl.counts().rejected_more,
            versions: ledger::versions(&self.store)?,
            migrations: self.store.migrations()?,
            incidents: self.controller.incidents().cloned().collect(),
            told: self.controller.told().to_vec(),
            cues: self.coach.cues().to_vec(),
            more_cues: self.coach.more_cues(),
            samples_appended,
            durable,
            published: self.published,
            stored_latency: self.etl.latency().clone(),
            pulse: self.pulse,
            outages: self.outages,
            faults: faults.iter().map(ToString::to_string).collect(),
        })
    }
}

fn stages<'a>(states: impl Iterator<Item = &'a State> + Clone, etl: &Etl) -> Stages {
    let sum = |f: fn(&State) -> u64| states.clone().map(f).sum();
    let resumed: u64 = sum(|s| s.resumed);
    Stages {
        read: sum(|s| s.read),
        durable: sum(|s| s.durable),
        published: resumed + sum(|s| s.published),
        stored: etl.counts().samples,
    }
}

/// What is known about a tracker besides what it sends.
fn enrichment(file: &RunFile, plan: &Plan, scanned: &Scanned) -> Enrichment {
    Enrichment {
        wearer: Some(file.pseudonym(plan.index)),
        site: Some("demo".to_owned()),
        model: Some("fleet replay".to_owned()),
        firmware: Some(plan.firmware.number().to_string()),
        session: scanned
            .recorded_at
            .map(|at| format!("{}@{at}", scanned.activity.name)),
        schema_version: None,
        enricher: Some(concat!("fleet ", env!("CARGO_PKG_VERSION")).to_owned()),
    }
}

/// A new folder for a run that was given none.
pub fn new_folder(base: &Path) -> PathBuf {
    (1..)
        .map(|n| base.join(format!("run-{n}")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| base.join("run"))
}
