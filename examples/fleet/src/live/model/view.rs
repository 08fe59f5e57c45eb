//! The page that follows from what is known.

use std::collections::BTreeMap;
use std::time::Duration;

use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord as _, DeviceId, StreamName, Timestamp};
use telemetry_itil::Incident;
use terminal::counted;

use super::{Details, LINES_MAX, Model, Moment, TrackerNow};
use crate::clock::{Now, hms};
use crate::cues::CueLine;
use crate::live::snapshot::{self as page, Snapshot};
use crate::live::window::{WIDTH_S, Window};
use crate::report::{self, Tone};
use crate::tracker::State;
use crate::words;

impl Model {
    /// The page as it is.
    pub fn snapshot(&self, moment: &Moment<'_>, details: &Details<'_>) -> Snapshot {
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
            schemas: newest(details.migrations.iter(), |m| page::Line {
                at: self.since(m.at),
                text: m
                    .statement
                    .split('(')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            }),
            incidents: newest(details.incidents.iter(), |i| self.incident(i, moment.now)),
            cues: newest(details.cues.iter(), |c| self.cue(c, moment)),
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
            let stored: u64 = of(&moment.stored.stored, device).map(|(_, n)| n).sum();
            let set_aside = of(&moment.stored.set_aside, device);
            let set_aside: u64 = set_aside.map(|(_, s)| s.count()).sum();
            let samples = of(&moment.stored.stored, device)
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
        let (tone, verdict) = self.verdict(&total);
        page::Ledger {
            tone: tone.as_str(),
            mark: tone.mark(),
            verdict,
            total,
            devices,
        }
    }

    fn verdict(&self, total: &page::Account) -> (Tone, String) {
        let (missing, twice) = (total.missing, total.twice);
        let whole = missing == 0 && twice == 0;
        let verdict = match whole {
            true => words::whole(total.set_aside, self.file_faults),
            false => {
                let missing = counted(missing, "record is", "records are");
                let twice = counted(twice, "is", "are");
                format!("{missing} missing, {twice} stored twice.")
            }
        };
        (Tone::of(whole, total.set_aside, self.file_faults), verdict)
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
            rows: moment.stored.rows,
            again: moment.stored.duplicates,
            set_aside: moment.stored.set_aside.values().map(|s| s.count()).sum(),
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
                    curves: rider.map_or_else(Vec::new, |rider| rider.curves(now)),
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
        let clocks = [("respond", &incident.own), ("resolve", &incident.resolve)];
        let clocks = clocks.map(|(name, clock)| page::Clock {
            name,
            target: clock.target().as_secs(),
            used: clock.consumed(now.wall()).as_secs(),
            runs: clock.is_running(),
        });
        let story = report::story(incident).into_iter();
        page::Incident {
            id: incident.id.to_string(),
            priority: incident.priority.as_str().to_owned(),
            state: incident.state.as_str().to_owned(),
            text: incident.signature.clone(),
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
                Some(ending) => words::ending(*ending),
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
