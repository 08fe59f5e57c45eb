//! A tracker: a thread with an agent, and the workout program as its Wayland client.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::iter::Peekable;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use activity::{Activity, ActivityError, Samples};
use telemetry_core::{Batch, DeviceId, Instant, StreamName};
use telemetry_transport::{Previous, Stats};
use workout_ui::{Feed, Next, Options, Reading, UiError};

use crate::agent::{Agent, AgentError, Counts};
use crate::clock::{DeviceClock, Now, Stopwatch};
use crate::firmware::Firmware;
use crate::latency::Histogram;

/// Longest wait of real time for a sign of life of a client that should have something to say.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than a frame of the shim takes.
const FRAME: Duration = Duration::from_millis(20);

/// Virtual seconds between two taps of the wearer's finger on the screen.
const TAP_EVERY: u64 = 60;

/// One tracker of the fleet.
#[derive(Clone, Debug)]
pub struct TrackerSpec {
    /// Position in the fleet, from 0.
    pub index: usize,
    /// What it replays.
    pub activity: Activity,
    /// Name of the source of its samples.
    pub source: String,
    /// What it writes.
    pub firmware: Firmware,
    /// When it is switched on, after the start of the run.
    pub starts: Duration,
    pub clock: DeviceClock,
    pub dir: PathBuf,
    /// Its samples that earlier processes of the run stored: its spool knows at least these.
    pub stored: u64,
    /// Its identity: a spool of another device is not its own.
    pub device: DeviceId,
    /// Random bits for this opening.
    pub random: u64,
}

/// What the conductor tells a tracker.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Everything up to this moment happens.
    pub now: Now,
    /// Whether batches can be handed over.
    pub link_up: bool,
    /// Whether the log has what was handed over last.
    pub confirmed: bool,
    /// Whether somebody looks: the answer has the screen, if it changed.
    pub show: bool,
    /// What goes wrong with it in this step.
    pub fault: Option<Fault>,
}

/// What can go wrong with a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power fails before the step's records are durable; the thread ends.
    PowerCut,
    /// A program sends a record that nobody can read.
    Poison,
}

/// What a tracker answers.
#[derive(Debug, Default)]
pub struct Answer {
    /// Batches for the log.
    pub batches: Vec<Batch>,
    /// The state after the step.
    pub state: State,
    /// XRGB8888 rows of a screen that changed since it was last shown.
    pub screen: Option<Vec<u32>>,
}

/// How far a tracker is.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Its identity, once it was switched on.
    pub device: Option<DeviceId>,
    /// Samples read from the file and handed to the screen, those of earlier runs included.
    pub read: u64,
    /// Samples that are durable in the spool, those of earlier runs included.
    pub durable: u64,
    /// Samples of this run that the log has.
    pub published: u64,
    /// Samples that earlier runs delivered to the spool.
    pub resumed: u64,
    /// What it did in this run.
    pub counts: Counts,
    /// This opening of the spool.
    pub epoch: u64,
    /// The next number of each stream.
    pub next_seqs: Vec<(StreamName, u64)>,
    /// How the opening before this one ended; `None` for a new device.
    pub previous: Option<Previous>,
    /// The spool, as it is now.
    pub spool: Stats,
    /// The activity is over and every record is handed over and confirmed.
    pub done: bool,
}

/// What a tracker was when it ended.
pub struct FinalState {
    /// Its last state.
    pub state: State,
    /// What its screen showed last: XRGB8888 rows.
    pub screen: Vec<u32>,
    /// Whether it showed a sample of this run; otherwise an earlier run's picture is a better one.
    pub showed: bool,
    /// Real time from append to durable.
    pub durable_latency: Histogram,
}

/// What stops a tracker.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    #[error(transparent)]
    Activity(#[from] ActivityError),
    #[error("tracker {}: {error}", index + 1)]
    Agent {
        /// Which tracker, from 0; people count from 1.
        index: usize,
        #[source]
        error: AgentError,
    },
    /// The workout program.
    #[error("tracker {}: workout screen: {error}", index + 1)]
    Screen {
        /// Which tracker, from 0; people count from 1.
        index: usize,
        error: UiError,
    },
    /// The spool is of another tracker or run: it came there while the run went on, or it would have
    /// been refused before.
    #[error(
        "{}: the spool is of another tracker or of another run: put its own one back, or use another \
         --data",
        dir.display()
    )]
    OtherDevice { dir: PathBuf },
    /// The spool is not the one that was there.
    #[error(
        "{}: the spool knows {known} samples, and {stored} of this tracker are stored: it was made \
         again, or is an older copy; to go on would store samples twice: put the newest copy back, or \
         use another --data",
        dir.display()
    )]
    Older {
        dir: PathBuf,
        /// Samples that the spool has or had.
        known: u64,
        /// Samples in the store.
        stored: u64,
    },
    /// The workout program says nothing.
    #[error("tracker {}: the workout screen sent no record and drew nothing for 30 s", index + 1)]
    Silent {
        /// Which tracker, from 0; people count from 1.
        index: usize,
    },
    /// A thread or socket could not be made.
    #[error("tracker {}: {error}", index + 1)]
    Io {
        /// Which tracker, from 0; people count from 1.
        index: usize,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

pub struct Handle {
    steps: Sender<Step>,
    answers: Receiver<Result<Answer, TrackerError>>,
    thread: JoinHandle<Option<FinalState>>,
}

impl Handle {
    pub fn start(spec: TrackerSpec) -> io::Result<Self> {
        let (steps, todo) = channel();
        let (done, answers) = channel();
        let name = format!("tracker-{}", spec.index);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || Tracker::new(spec).serve(&todo, &done))?;
        Ok(Self {
            steps,
            answers,
            thread,
        })
    }

    /// Gives it a step; the answer comes from [`Handle::answer`].
    pub fn step(&self, step: Step) {
        // A tracker that has stopped has said why in its last answer.
        let _ = self.steps.send(step);
    }

    /// Waits for the answer to the last step; `None` if the thread is gone.
    pub fn answer(&self) -> Option<Result<Answer, TrackerError>> {
        self.answers.recv().ok()
    }

    pub fn end(self) -> Option<FinalState> {
        drop(self.steps);
        self.thread.join().ok().flatten()
    }
}

struct Tracker {
    spec: TrackerSpec,
    on: Option<Running>,
}

/// A tracker that is switched on.
struct Running {
    agent: Agent,
    samples: Peekable<Samples>,
    feed: Arc<Mutex<Queue>>,
    wake: UnixStream,
    client: Option<JoinHandle<Result<workout_ui::Summary, UiError>>>,
    state: State,
    /// Where its monotonic time was at the end of the last step.
    latest: Instant,
    /// Frames at the last time the screen was shown to somebody.
    shown: u64,
    /// The last picture of an activity that is over: without its program the screen is dark.
    last_picture: Option<Vec<u32>>,
}

impl Tracker {
    const fn new(spec: TrackerSpec) -> Self {
        Self { spec, on: None }
    }

    fn serve(
        mut self,
        steps: &Receiver<Step>,
        answers: &Sender<Result<Answer, TrackerError>>,
    ) -> Option<FinalState> {
        for step in steps {
            let answer = self.step(step);
            let failed = answer.is_err();
            // Without power nothing is closed and nothing is saved.
            let dead = step.fault == Some(Fault::PowerCut);
            if dead {
                self.on = None;
            }
            if answers.send(answer).is_err() || failed || dead {
                return None;
            }
        }
        self.on.map(|mut on| {
            // What cannot be saved is sent again by the next run.
            let _ = on.agent.close();
            FinalState {
                screen: on.screen(),
                showed: on.state.read > on.state.resumed,
                durable_latency: on.agent.durable_latency().clone(),
                state: on.state,
            }
        })
    }

    fn step(&mut self, step: Step) -> Result<Answer, TrackerError> {
        if step.now.since_start < self.spec.starts {
            return Ok(Answer::default());
        }
        let on = match &mut self.on {
            Some(on) => on,
            off => off.insert(switch_on(&self.spec, step.now)?),
        };
        let index = self.spec.index;
        on.step(&self.spec, step).map_err(|error| match error {
            Stop::Agent(error) => TrackerError::Agent { index, error },
            Stop::Screen(error) => TrackerError::Screen { index, error },
            Stop::Silent => TrackerError::Silent { index },
            Stop::Io(error) => TrackerError::Io { index, error },
        })
    }
}

fn switch_on(spec: &TrackerSpec, now: Now) -> Result<Running, TrackerError> {
    let index = spec.index;
    let agent = |error| TrackerError::Agent { index, error };
    let io = |error| TrackerError::Io { index, error };
    let mut samples = spec.activity.samples()?;
    let wall = spec.clock.at(now);
    let mut it = Agent::open(&spec.dir, spec.device, now, wall, spec.random).map_err(agent)?;
    if it.device() != spec.device {
        return Err(TrackerError::OtherDevice {
            dir: spec.dir.clone(),
        });
    }
    let resumed = it.resume(&spec.source).map_err(agent)?;
    if resumed < spec.stored {
        return Err(TrackerError::Older {
            dir: spec.dir.clone(),
            known: resumed,
            stored: spec.stored,
        });
    }
    for _ in 0..resumed {
        samples.next();
    }

    let (mine, theirs) = UnixStream::pair().map_err(io)?;
    it.add_client(now.instant(), mine).map_err(agent)?;
    let (wake, woken) = UnixStream::pair().map_err(io)?;
    wake.set_nonblocking(true).map_err(io)?;
    woken.set_nonblocking(true).map_err(io)?;
    let feed = Arc::new(Mutex::new(Queue::default()));
    let feed_end = SampleFeed {
        source: spec.source.clone(),
        schema: spec.firmware.schema(),
        queue: Arc::clone(&feed),
        woken,
    };
    let options = Options {
        title: format!("Tracker {}", index + 1),
    };
    let client = std::thread::Builder::new()
        .name(format!("workout-{index}"))
        .spawn(move || workout_ui::run(theirs, feed_end, options))
        .map_err(io)?;
    let state = State {
        device: Some(it.device()),
        read: resumed,
        durable: resumed,
        resumed,
        previous: it.producer().spool().previous().cloned(),
        ..State::default()
    };
    Ok(Running {
        agent: it,
        samples: samples.peekable(),
        feed,
        wake,
        client: Some(client),
        state,
        latest: now.instant(),
        shown: 0,
        last_picture: None,
    })
}

enum Stop {
    Agent(AgentError),
    Screen(UiError),
    Silent,
    Io(io::Error),
}

impl From<AgentError> for Stop {
    fn from(error: AgentError) -> Self {
        Self::Agent(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Running {
    fn step(&mut self, spec: &TrackerSpec, step: Step) -> Result<Answer, Stop> {
        let watch = Stopwatch::start();
        // If the step before took longer than a virtual second, this one goes on from where it was.
        let base = self.latest.max(step.now.instant());
        let instant = || moment(base, watch.elapsed());
        let answer = self.turn(spec, step, &watch, &instant);
        self.latest = instant();
        answer
    }

    fn turn(
        &mut self,
        spec: &TrackerSpec,
        step: Step,
        watch: &Stopwatch,
        instant: &impl Fn() -> Instant,
    ) -> Result<Answer, Stop> {
        let wall = spec.clock.at(step.now);
        self.agent.set_clock(step.now.instant(), wall)?;
        if step.confirmed {
            self.agent.confirm(instant())?;
        }
        let second = step.now.since_start.as_secs();
        if self.client.is_some() && second.is_multiple_of(TAP_EVERY) {
            self.agent.tap(instant())?;
        }
        let showed = self.state.read > self.state.resumed;
        if showed && self.last_picture.is_none() && !has_next(&mut self.samples) {
            // The program draws once more when its last record is durable, a frame after the one
            // before, and waits for the answer to that one.
            for frame in 1..=3 {
                self.agent.wait(Duration::from_millis(5))?;
                self.agent.turn(instant() + FRAME * frame)?;
            }
            self.last_picture = Some(self.agent.screen());
        }
        self.release(spec, step.now);
        self.collect(instant, watch)?;
        if step.fault == Some(Fault::PowerCut) {
            return Ok(Answer {
                state: self.state.clone(),
                ..Answer::default()
            });
        }
        if self.client.is_some() {
            self.agent.sample_state(step.now)?;
        }
        if step.fault == Some(Fault::Poison) {
            self.agent.take_poison()?;
        }
        self.agent.commit(instant())?;

        let mut batches = Vec::new();
        self.agent
            .publish(step.now, instant(), step.link_up, &mut batches)?;
        let counts = self.agent.counts();
        let state = &mut self.state;
        state.counts = counts;
        state.durable = state.resumed + counts.durable;
        state.published = counts.published;
        state.epoch = self.agent.producer().spool().epoch().get();
        state.next_seqs = self.agent.producer().next_seqs();
        state.spool = self.agent.producer().spool().stats();
        state.done = self.client.is_none() && self.agent.producer().is_empty();
        let state = state.clone();
        let changed = step.show && counts.frames != self.shown;
        let screen = changed.then(|| self.screen());
        if changed {
            self.shown = counts.frames;
        }
        Ok(Answer {
            batches,
            state,
            screen,
        })
    }

    fn screen(&self) -> Vec<u32> {
        let last = self.last_picture.clone();
        last.unwrap_or_else(|| self.agent.screen())
    }

    /// Hands every sample whose time has come to the workout program, and ends it a step after the
    /// last one, when it has shown it.
    ///
    /// What is wrong with the file was told before the run.
    fn release(&mut self, spec: &TrackerSpec, now: Now) {
        let mut queue = lock(&self.feed);
        let read = self.state.read;
        loop {
            match self.samples.peek() {
                Some(sample) if spec.starts + sample.offset > now.since_start => break,
                Some(sample) => {
                    let time = spec.clock.of(sample);
                    queue.samples.push_back(workout_ui::Sample {
                        serial: sample.serial,
                        record: spec.firmware.encode(&spec.source, time, sample),
                        reading: Reading::from(sample),
                    });
                    self.state.read = sample.serial;
                    self.samples.next();
                }
                None => {
                    queue.ended = self.state.read == read;
                    break;
                }
            }
        }
        drop(queue);
        // A full pipe wakes as well, and a program that has ended is noticed when it is served.
        let _ = (&self.wake).write(&[1]);
    }

    /// Serves the workout program until it has delivered what was released.
    fn collect(&mut self, instant: &impl Fn() -> Instant, watch: &Stopwatch) -> Result<(), Stop> {
        if self.client.is_none() {
            return Ok(());
        }
        let ended = lock(&self.feed).ended;
        let (mut heard, mut frames) = (watch.elapsed(), self.agent.counts().frames);
        loop {
            let taken = self.agent.turn(instant())?;
            // A program that still draws is slow, and not silent.
            if self.agent.counts().frames > frames {
                frames = self.agent.counts().frames;
                heard = watch.elapsed();
            }
            let delivered = self.state.resumed + self.agent.counts().records;
            let waiting = self.agent.counts().records > self.agent.counts().durable;
            if taken > 0 {
                heard = watch.elapsed();
            } else if waiting && (delivered < self.state.read || ended) {
                // It may wait for credit, or for its last record to be durable.
                self.agent.commit(instant())?;
                heard = watch.elapsed();
                continue;
            }
            let finished = self.client.as_ref().is_some_and(JoinHandle::is_finished);
            if finished {
                self.agent.turn(instant())?;
                if let Some(client) = self.client.take()
                    && let Ok(result) = client.join()
                {
                    result.map_err(Stop::Screen)?;
                }
                return Ok(());
            }
            if delivered >= self.state.read && !ended {
                return Ok(());
            }
            if watch.elapsed().saturating_sub(heard) > PATIENCE {
                return Err(Stop::Silent);
            }
            self.agent.wait(Duration::from_millis(5))?;
        }
    }
}

/// The moment within a step that began at `base`, when so much real time has passed.
///
/// Virtual time stands during a step; real time is added, so that latencies are real. It is never held
/// up, however long the step takes on a busy machine: a screen whose time stands gets no frame any more,
/// and a program that waits for its frame never ends.
fn moment(base: Instant, real: Duration) -> Instant {
    base + real
}

/// Whether there is another sample.
fn has_next(samples: &mut Peekable<Samples>) -> bool {
    samples.peek().is_some()
}

/// Samples whose time has come.
#[derive(Default)]
struct Queue {
    samples: VecDeque<workout_ui::Sample>,
    ended: bool,
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // A queue of samples is whole at any moment.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The workout program's side of the queue.
struct SampleFeed {
    source: String,
    schema: &'static str,
    queue: Arc<Mutex<Queue>>,
    woken: UnixStream,
}

impl Feed for SampleFeed {
    fn source(&self) -> &str {
        &self.source
    }

    fn schema(&self) -> &str {
        self.schema
    }

    fn next(&mut self, after: u64) -> Next {
        let mut bytes = [0; 64];
        while matches!((&self.woken).read(&mut bytes), Ok(n) if n == bytes.len()) {}
        let mut queue = lock(&self.queue);
        while queue.samples.front().is_some_and(|s| s.serial <= after) {
            queue.samples.pop_front();
        }
        match queue.samples.front() {
            Some(sample) => Next::Sample(sample.clone()),
            None if queue.ended => Next::End,
            None => Next::Wait { at_most: None },
        }
    }

    fn wake(&self) -> Option<BorrowedFd<'_>> {
        Some(self.woken.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_screen_goes_on_however_long_a_step_takes() {
        let base = Instant::from_nanos(7);
        let mut last = base;
        for tenths in 1..600 {
            let now = moment(base, Duration::from_millis(100 * tenths));
            assert!(
                now.saturating_since(last) >= FRAME,
                "{tenths} tenths of a second"
            );
            last = now;
        }
    }
}
