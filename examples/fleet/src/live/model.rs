//! The page's state: what is known of the fleet, step by step, in bounded memory, without I/O.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord as _, DeviceId, StreamName, Timestamp};
use telemetry_itil::Incident;
use telemetry_storage::{Migration, Presence};
use telemetry_transport::LogStats;

use super::snapshot::{self as page, Snapshot};
use super::window::{WIDTH_S, Window};
use crate::clock::{Now, hms};
use crate::coach::{CueLine, Ending, routes};
use crate::etl::Counts;
use crate::progress::Phase;
use crate::report;
use crate::tracker::State;

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
    /// The gateway.
    pub gateway: DeviceNow<'a>,
    /// Records that the log took in this process.
    pub logged: u64,
    /// The log.
    pub log: LogStats,
    /// The storing consumer.
    pub etl: &'a Counts,
}

/// A tracker after a step.
pub struct TrackerNow<'a> {
    /// Its identity.
    pub device: DeviceId,
    /// What it replays.
    pub source: &'a str,
    /// Its firmware.
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
    /// Its identity.
    pub device: DeviceId,
    /// Its opening.
    pub epoch: u64,
    /// The next number of each stream.
    pub next_seqs: &'a [(StreamName, u64)],
    /// The opening before, and how it ended.
    pub previous: Option<(u64, u64)>,
    /// Records in its spool that are not confirmed.
    pub depth: u64,
}

/// What only a picture needs: not looked up at every step.
pub struct Besides<'a> {
    /// Every incident, oldest first.
    pub incidents: Vec<&'a Incident>,
    /// Every cue, oldest first.
    pub cues: &'a [CueLine],
    /// Changes of tables, oldest first.
    pub migrations: &'a [Migration],
}

/// What is known.
pub struct Model {
    start: Timestamp,
    speed: Option<f64>,
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

#[derive(Default)]
struct Rider {
    heart_rate: Window,
    power: Window,
    /// Event time of the newest sample seen behind the log.
    newest: Option<Duration>,
}

impl Model {
    /// A page of a run that starts, or goes on from what is stored.
    pub fn new(start: Timestamp, speed: Option<f64>, stored: &[Presence]) -> Self {
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
            if let Some(bpm) = sample.heart_rate {
                rider.heart_rate.push(at, f64::from(bpm));
            }
            if let Some(watts) = sample.power_watts {
                rider.power.push(at, f64::from(watts));
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
        let sums = [numbered, moment.logged, moment.etl.rows];
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

    /// The page as it is.
    pub fn snapshot(&self, moment: &Moment<'_>, besides: &Besides<'_>) -> Snapshot {
        let now = moment.now.since_start;
        Snapshot {
            now: now.as_secs(),
            speed: self.speed,
            phase: moment.phase.as_str(),
            ended: self.ended.clone(),
            report: false,
            ledger: self.ledger(moment),
            pipeline: self.pipeline(moment),
            trackers: self.trackers(moment),
            curves: self.curves(moment),
            schemas: newest(besides.migrations.iter(), |m| page::Line {
                at: self.since(m.at),
                text: m
                    .statement
                    .split('(')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            }),
            incidents: newest(besides.incidents.iter(), |i| self.incident(i, moment.now)),
            cues: newest(besides.cues.iter(), |c| self.cue(c, moment)),
            events: self.events.iter().cloned().collect(),
        }
    }

    fn since(&self, at: Timestamp) -> u64 {
        at.saturating_since(self.start).as_secs()
    }

    fn ledger(&self, moment: &Moment<'_>) -> page::Ledger {
        let mut devices: Vec<page::Account> = Vec::new();
        let named = moment.trackers.iter().enumerate();
        let named = named.map(|(i, t)| (format!("Tracker {}", i + 1), t.device, Some(t.state)));
        for (name, device, state) in
            named.chain([("Gateway".to_owned(), moment.gateway.device, None)])
        {
            let numbered = self.devices.get(&device).copied().unwrap_or_default();
            let stored: u64 = of(&moment.etl.stored, device).map(|(_, n)| n).sum();
            let set_aside = of(&moment.etl.set_aside, device);
            let set_aside: u64 = set_aside.map(|(_, s)| s.count()).sum();
            let samples = of(&moment.etl.stored, device)
                .filter(|(stream, _)| stream.as_str() == ActivitySample::NAME)
                .map(|(_, n)| n);
            let durable = state.filter(|s| s.device.is_some()).map(|s| s.durable);
            let twice = durable.map_or(0, |durable| samples.sum::<u64>().saturating_sub(durable));
            // Of openings before this process, only what arrived is known.
            let arrived = stored + set_aside;
            let total = numbered.total().max(arrived - twice);
            let elsewhere = total.saturating_sub(arrived);
            // What is neither a row nor set aside has to be in the spool.
            let waiting = elsewhere.min(numbered.depth);
            devices.push(page::Account {
                name,
                numbered: total,
                stored,
                waiting,
                set_aside,
                missing: elsewhere - waiting,
                twice,
            });
        }
        let sum = |f: fn(&page::Account) -> u64| devices.iter().map(f).sum();
        let total = page::Account {
            name: "All".to_owned(),
            numbered: sum(|a| a.numbered),
            stored: sum(|a| a.stored),
            waiting: sum(|a| a.waiting),
            set_aside: sum(|a| a.set_aside),
            missing: sum(|a| a.missing),
            twice: sum(|a| a.twice),
        };
        let whole = total.missing == 0 && total.twice == 0;
        let verdict = if whole {
            "Nothing is lost, and nothing is stored twice.".to_owned()
        } else {
            format!(
                "{} records are missing, {} are stored twice.",
                total.missing, total.twice
            )
        };
        page::Ledger {
            whole,
            verdict,
            total,
            devices,
        }
    }

    fn pipeline(&self, moment: &Moment<'_>) -> page::Pipeline {
        let now = moment.now.since_start;
        let on = |t: &&TrackerNow<'_>| t.state.device.is_some() && !t.state.done;
        let running = || moment.trackers.iter().filter(on);
        let newest = |t: &TrackerNow<'_>| {
            let newest = self.riders.get(&t.device).and_then(|r| r.newest);
            newest.unwrap_or_default()
        };
        let durable = |t: &TrackerNow<'_>| if t.plugged { now } else { newest(t) };
        let depth: u64 = self.devices.values().map(|d| d.depth).sum();
        let [durable_rate, logged_rate, stored_rate] =
            self.rates.map(|rate| (rate * 10.0).round() / 10.0);
        page::Pipeline {
            link_up: !moment.outages.iter().any(|o| o.contains(&now)),
            running: running().filter(|t| t.plugged).count(),
            durable_rate,
            logged_rate,
            stored_rate,
            spooled: depth,
            spool_bytes: moment.trackers.iter().map(|t| t.state.spool.bytes).sum(),
            log_bytes: moment.log.bytes,
            rows: moment.etl.rows,
            again: moment.etl.duplicates,
            set_aside: moment.etl.set_aside.values().map(|s| s.count()).sum(),
            lag: moment.lag.as_secs(),
            spool_watermark: running().map(durable).min().map(|at| at.as_secs()),
            store_watermark: running().map(newest).min().map(|at| at.as_secs()),
        }
    }

    fn trackers(&self, moment: &Moment<'_>) -> Vec<page::Tracker> {
        let now = moment.now.since_start;
        let trackers = moment.trackers.iter().enumerate();
        trackers
            .map(|(index, tracker)| {
                let rider = self.riders.get(&tracker.device);
                let means =
                    |f: fn(&Rider) -> &Window| rider.map_or_else(Vec::new, |r| f(r).means(now));
                let state = tracker.state;
                page::Tracker {
                    number: index + 1,
                    source: tracker.source.to_owned(),
                    firmware: tracker.firmware,
                    power: match (tracker.plugged, state.device, state.done) {
                        (false, ..) => "unplugged",
                        (true, None, _) => "waiting",
                        (true, Some(_), false) => "on",
                        (true, Some(_), true) => "done",
                    },
                    screen: tracker.screen,
                    spooled: state.spool.depth_records,
                    watermark: rider.and_then(|r| r.newest).map(|at| at.as_secs()),
                    recovered: recovered(state),
                    heart_rate: means(|r| &r.heart_rate),
                    power_watts: means(|r| &r.power),
                }
            })
            .collect()
    }

    fn curves(&self, moment: &Moment<'_>) -> page::Curves {
        let now = moment.now.since_start;
        let from = Window::start(now) * WIDTH_S;
        let shown = moment.outages.iter().filter_map(|outage| {
            let (start, end) = (
                outage.start.as_secs().max(from),
                outage.end.min(now).as_secs(),
            );
            (start < end).then_some((start, end))
        });
        page::Curves {
            from,
            width: WIDTH_S,
            durable: self.durable.means(now),
            logged: self.logged.means(now),
            stored: self.stored.means(now),
            lag: self.lag.means(now),
            outages: shown.collect(),
        }
    }

    fn incident(&self, incident: &Incident, now: Now) -> page::Incident {
        let clocks = [("own", &incident.own), ("resolve", &incident.resolve)];
        let clocks = clocks.map(|(name, clock)| page::Clock {
            name,
            target: clock.target().as_secs(),
            used: clock.consumed(now.wall()).as_secs(),
            runs: clock.is_running(),
        });
        let story = report::story(incident).into_iter();
        page::Incident {
            id: incident.id.to_string(),
            priority: format!("{:?}", incident.priority),
            state: format!("{:?}", incident.state),
            text: format!("{}: {}", incident.service, incident.signature),
            story: story
                .map(|(at, text)| page::Line {
                    at: self.since(at),
                    text,
                })
                .collect(),
            clocks: clocks.into(),
        }
    }

    fn cue(&self, cue: &CueLine, moment: &Moment<'_>) -> page::Cue {
        let index = moment.trackers.iter().position(|t| t.device == cue.device);
        let sounds = cue.sounds.iter().filter_map(|path| path.file_name());
        page::Cue {
            at: self.since(cue.at),
            who: index.map_or_else(|| "Gateway".to_owned(), |i| format!("Tracker {}", i + 1)),
            text: cue.text.clone(),
            how: match &cue.ending {
                None => "on its way".to_owned(),
                Some(Ending::Given(route)) => format!("given: {}", routes(route)),
                Some(Ending::NotGiven(reason)) => format!("not given: {reason:?}"),
            },
            sounds: sounds.map(|n| n.to_string_lossy().into_owned()).collect(),
        }
    }
}

/// What a map has of a device.
fn of<V>(
    map: &BTreeMap<(DeviceId, StreamName), V>,
    device: DeviceId,
) -> impl Iterator<Item = (&StreamName, &V)> {
    let of_device = map.iter().filter(move |((its, _), _)| *its == device);
    of_device.map(|((_, stream), value)| (stream, value))
}

/// What an opening found, in words; empty for a first one.
pub fn recovered(state: &State) -> String {
    if state.previous.is_none() {
        return String::new();
    }
    let found = state.spool.recovery;
    let torn = match found.torn_tails {
        0 => "no cut write".to_owned(),
        1 => "1 cut write dropped".to_owned(),
        n => format!("{n} cut writes dropped"),
    };
    format!(
        "{} frames whole, {torn}, {} durable bytes damaged",
        found.frames, found.corrupt_bytes
    )
}

/// The newest lines of a list, newest first.
fn newest<'a, T: 'a, L>(
    all: impl DoubleEndedIterator<Item = &'a T>,
    line: impl FnMut(&'a T) -> L,
) -> Vec<L> {
    all.rev().take(LINES_MAX).map(line).collect()
}

/// How a run ended, for the page.
pub fn ending(now: Duration, whole: bool) -> String {
    let end = hms(now);
    if whole {
        format!("The run ended at {end}, and everything has arrived.")
    } else {
        format!("The run ended at {end}, and records are missing.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry_core::stream_of;
    use telemetry_transport::Stats;

    const DEVICE: DeviceId = DeviceId::from_u128(1);

    /// A fleet of one tracker, and what is stored of it.
    struct Fleet {
        model: Model,
        second: u64,
        state: State,
        etl: Counts,
    }

    impl Fleet {
        fn new() -> Self {
            Self {
                model: Model::new(Timestamp::from_micros(0), None, &[]),
                second: 0,
                state: State {
                    device: Some(DEVICE),
                    epoch: 5,
                    ..State::default()
                },
                etl: Counts::default(),
            }
        }

        /// The tracker has numbered and kept so many samples, so many wait, so many are rows.
        fn step(&mut self, numbered: u64, depth: u64, stored: u64) -> Snapshot {
            let stream = stream_of::<ActivitySample>();
            self.second += 1;
            self.state.next_seqs = vec![(stream.clone(), numbered + 1)];
            self.state.spool = Stats {
                depth_records: depth,
                ..Stats::default()
            };
            self.etl.stored.insert((DEVICE, stream), stored);
            self.etl.rows = stored;
            let moment = Moment {
                now: Now::new(Timestamp::from_micros(0), Duration::from_secs(self.second)),
                phase: Phase::Steady,
                outages: &[],
                lag: Duration::ZERO,
                trackers: vec![TrackerNow {
                    device: DEVICE,
                    source: "ride",
                    firmware: 1,
                    plugged: true,
                    state: &self.state,
                    screen: 1,
                }],
                gateway: DeviceNow {
                    device: DeviceId::from_u128(2),
                    epoch: 1,
                    next_seqs: &[],
                    previous: None,
                    depth: 0,
                },
                logged: stored,
                log: LogStats::default(),
                etl: &self.etl,
            };
            self.model.step(&moment);
            let besides = Besides {
                incidents: Vec::new(),
                cues: &[],
                migrations: &[],
            };
            self.model.snapshot(&moment, &besides)
        }
    }

    #[track_caller]
    fn check(ledger: &page::Ledger, numbered: u64, waiting: u64, missing: u64, twice: u64) {
        let it = &ledger.total;
        let found = (it.numbered, it.waiting, it.missing, it.twice);
        assert_eq!(found, (numbered, waiting, missing, twice));
        assert_eq!(ledger.whole, missing == 0 && twice == 0);
    }

    #[test]
    fn the_ledger_tells_waiting_from_missing_and_sees_what_is_stored_twice() {
        let mut fleet = Fleet::new();
        fleet.state.durable = 10;
        check(&fleet.step(10, 10, 0).ledger, 10, 10, 0, 0);
        // Stored, and not confirmed to the spool yet.
        check(&fleet.step(10, 10, 10).ledger, 10, 0, 0, 0);
        fleet.state.durable = 20;
        check(&fleet.step(20, 4, 14).ledger, 20, 4, 2, 0);
        check(&fleet.step(20, 0, 21).ledger, 20, 0, 0, 1);
    }

    #[test]
    fn numbers_of_an_opening_that_is_over_still_count() {
        let mut fleet = Fleet::new();
        fleet.state.durable = 8;
        fleet.step(8, 8, 0);
        // It had numbered two more before its power went: only the next opening knows.
        fleet.state.previous = Some(telemetry_transport::Previous {
            epoch: telemetry_core::Epoch::new(5).unwrap(),
            next_seqs: vec![(
                stream_of::<ActivitySample>(),
                telemetry_core::Seq::new(11).unwrap(),
            )],
        });
        fleet.state.epoch = 6;
        fleet.state.durable = 13;
        check(&fleet.step(3, 13, 0).ledger, 13, 13, 0, 0);
        check(&fleet.step(3, 0, 13).ledger, 13, 0, 0, 0);
        assert_eq!(fleet.step(3, 0, 13).pipeline.lag, 0);
    }

    #[test]
    fn what_happens_is_kept_as_far_as_there_is_room() {
        let mut fleet = Fleet::new();
        for second in 0..1_000 {
            fleet
                .model
                .done(Duration::from_secs(second), second.to_string());
        }
        let events = fleet.step(0, 0, 0).events;
        assert_eq!(events.len(), LINES_MAX);
        assert_eq!((events[0].number, events[0].text.as_str()), (1_000, "999"));
    }
}
