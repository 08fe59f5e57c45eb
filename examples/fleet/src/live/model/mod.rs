//! The page's state: what is known of the fleet, step by step, in bounded memory, without I/O.

mod view;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use telemetry_core::records::ActivitySample;
use telemetry_core::{DeviceId, StreamName, Timestamp};
use telemetry_itil::Incident;
use telemetry_storage::{Migration, Presence};
use telemetry_transport::LogStats;

use super::snapshot as page;
use super::window::Window;
use crate::clock::Now;
use crate::cues::CueLine;
use crate::measure::MEASURES;
use crate::progress::Phase;
use crate::ring::Ring;
use crate::storing::Tally;
use crate::tracker::State;
pub use view::{ending, recovered};

/// Lines of each list on the page.
const LINES_MAX: usize = 30;

/// The fleet after a step.
pub struct Moment<'a> {
    /// The run's clock.
    pub now: Now,
    /// What the run is going through.
    pub phase: Phase,
    /// When the link was down.
    pub outages: &'a [Range<Duration>],
    /// How far the rows are behind.
    pub lag: Duration,
    /// The trackers, in order.
    pub trackers: Vec<TrackerNow<'a>>,
    pub gateway: DeviceNow<'a>,
    /// Records that the log took in this process.
    pub logged: u64,
    pub log: LogStats,
    /// What the storing service did.
    pub stored: &'a Tally,
}

/// A tracker after a step.
pub struct TrackerNow<'a> {
    pub device: DeviceId,
    /// What it replays.
    pub source: &'a str,
    pub firmware: u32,
    /// Whether it has power.
    pub plugged: bool,
    /// Its last state.
    pub state: &'a State,
    /// Its screen's number.
    pub screen: u64,
}

/// What a device numbered.
pub struct DeviceNow<'a> {
    pub device: DeviceId,
    pub epoch: u64,
    /// The next number of each stream.
    pub next_seqs: &'a [(StreamName, u64)],
    /// The opening before, and how it ended.
    pub previous: Option<(u64, u64)>,
    /// Records in its spool that are not confirmed.
    pub depth: u64,
}

/// What only a picture needs: not looked up at every step.
pub struct Details<'a> {
    /// Every incident, oldest first.
    pub incidents: Vec<&'a Incident>,
    /// The newest cues, oldest first.
    pub cues: &'a Ring<CueLine>,
    /// Changes of tables, oldest first.
    pub migrations: &'a [Migration],
}

/// What is known.
pub struct Model {
    start: Timestamp,
    speed: Option<f64>,
    file_faults: usize,
    devices: BTreeMap<DeviceId, Numbered>,
    riders: BTreeMap<DeviceId, Rider>,
    durable: Window,
    logged: Window,
    stored: Window,
    lag: Window,
    last: Option<Totals>,
    rates: [f64; 3],
    events: VecDeque<page::Event>,
    event: u64,
    ended: String,
}

#[derive(Clone, Copy)]
struct Totals {
    at: Duration,
    sums: [u64; 3],
}

/// How many numbers a device gave.
#[derive(Clone, Copy, Default)]
struct Numbered {
    /// In openings that are over.
    closed: u64,
    epoch: u64,
    /// In this opening.
    open: u64,
    depth: u64,
}

impl Numbered {
    fn take(&mut self, now: &DeviceNow<'_>) {
        if now.epoch != self.epoch {
            // Only the next opening knows exactly how far the one before got.
            self.closed += match now.previous {
                Some((epoch, numbered)) if epoch == self.epoch => numbered,
                Some((_, numbered)) => self.open + numbered,
                None => self.open,
            };
            self.epoch = now.epoch;
        }
        self.open = numbers(now.next_seqs.iter().map(|(_, next)| *next));
        self.depth = now.depth;
    }

    const fn total(&self) -> u64 {
        self.closed + self.open
    }
}

/// How many records were numbered, from the next numbers of their streams.
pub fn numbers(next_seqs: impl Iterator<Item = u64>) -> u64 {
    next_seqs.map(|next| next.saturating_sub(1)).sum()
}

/// Curves on a card.
const CURVES_MAX: usize = 2;

#[derive(Default)]
struct Rider {
    /// One window for each of `MEASURES`.
    measured: [Window; MEASURES.len()],
    /// Event time of the newest sample seen behind the log.
    newest: Option<Duration>,
}

impl Rider {
    /// The first curves that ever had a value, so that a card keeps what it shows.
    fn curves(&self, now: Duration) -> Vec<page::Measured> {
        let known = self.measured.iter().zip(&MEASURES);
        let known = known.filter(|(window, _)| !window.is_empty());
        let curves = known.map(|(window, measure)| page::Measured {
            name: measure.name,
            unit: measure.unit,
            class: measure.class,
            digits: measure.digits,
            values: window.means(now),
        });
        curves.take(CURVES_MAX).collect()
    }
}

impl Model {
    /// A page of a run that starts, or goes on from what is stored; so many things are wrong with
    /// its files.
    pub fn new(
        start: Timestamp,
        speed: Option<f64>,
        stored: &[Presence],
        file_faults: usize,
    ) -> Self {
        let mut devices: BTreeMap<DeviceId, Numbered> = BTreeMap::new();
        for presence in stored {
            let it = devices.entry(presence.device).or_default();
            let epoch = presence.epoch.get();
            if epoch > it.epoch {
                (it.closed, it.epoch, it.open) = (it.closed + it.open, epoch, 0);
            }
            let numbered = if epoch == it.epoch {
                &mut it.open
            } else {
                &mut it.closed
            };
            *numbered += presence.last_seq;
        }
        Self {
            start,
            speed,
            file_faults,
            devices,
            riders: BTreeMap::new(),
            durable: Window::default(),
            logged: Window::default(),
            stored: Window::default(),
            lag: Window::default(),
            last: None,
            rates: [0.0; 3],
            events: VecDeque::new(),
            event: 0,
            ended: String::new(),
        }
    }

    /// Takes samples that came out of the log.
    pub fn samples(&mut self, device: DeviceId, samples: &[ActivitySample]) {
        let rider = self.riders.entry(device).or_default();
        for sample in samples {
            let at = sample.time.saturating_since(self.start);
            rider.newest = rider.newest.max(Some(at));
            for (window, measure) in rider.measured.iter_mut().zip(&MEASURES) {
                if let Some(value) = measure.of(sample) {
                    window.push(at, value);
                }
            }
        }
    }

    /// Notes that a visitor did something.
    pub fn done(&mut self, at: Duration, text: String) {
        self.event(at, "done", text);
    }

    /// Notes what the system answered.
    pub fn answered(&mut self, at: Duration, text: String) {
        self.event(at, "answer", text);
    }

    fn event(&mut self, at: Duration, kind: &'static str, text: String) {
        self.event += 1;
        self.events.truncate(LINES_MAX - 1);
        self.events.push_front(page::Event {
            number: self.event,
            at: at.as_secs(),
            kind,
            text,
        });
    }

    /// Nothing runs any more.
    pub fn end(&mut self, how: String) {
        self.ended = how;
    }

    /// Takes the fleet after a step.
    pub fn step(&mut self, moment: &Moment<'_>) {
        for tracker in &moment.trackers {
            let state = tracker.state;
            let Some(device) = state.device else { continue };
            let previous = state.previous.as_ref();
            self.devices.entry(device).or_default().take(&DeviceNow {
                device,
                epoch: state.epoch,
                next_seqs: &state.next_seqs,
                previous: previous.map(|p| {
                    let next_seqs = p.next_seqs.iter().map(|(_, next)| next.get());
                    (p.epoch.get(), numbers(next_seqs))
                }),
                depth: state.spool.depth_records,
            });
        }
        let gateway = &moment.gateway;
        let entry = self.devices.entry(gateway.device);
        entry.or_default().take(gateway);

        let at = moment.now.since_start;
        let numbered = self.devices.values().map(Numbered::total).sum();
        let sums = [numbered, moment.logged, moment.stored.rows];
        if let Some(last) = self.last.replace(Totals { at, sums }) {
            let seconds = at.saturating_sub(last.at).as_secs_f64().max(1e-3);
            let windows = [&mut self.durable, &mut self.logged, &mut self.stored];
            for (i, window) in windows.into_iter().enumerate() {
                let rate = sums[i].saturating_sub(last.sums[i]) as f64 / seconds;
                window.push(at, rate);
                // A number that jumps twenty times a second says nothing.
                self.rates[i] += (rate - self.rates[i]) / 5.0;
            }
        }
        self.lag.push(at, moment.lag.as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
