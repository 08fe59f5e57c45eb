//! The ledger, and what the page keeps.

use telemetry_core::stream_of;
use telemetry_transport::Stats;

use super::*;
use crate::live::snapshot::Snapshot;

const DEVICE: DeviceId = DeviceId::from_u128(1);

/// A fleet of one tracker, and what is stored of it.
struct Fleet {
    model: Model,
    second: u64,
    state: State,
    stored: Tally,
}

impl Fleet {
    fn new() -> Self {
        Self {
            model: Model::new(Timestamp::from_micros(0), None, &[], 0),
            second: 0,
            state: State {
                device: Some(DEVICE),
                epoch: 5,
                ..State::default()
            },
            stored: Tally::default(),
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
        self.stored.stored.insert((DEVICE, stream), stored);
        self.stored.rows = stored;
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
            stored: &self.stored,
        };
        self.model.step(&moment);
        let cues = Ring::new(1);
        let details = Details {
            incidents: Vec::new(),
            cues: &cues,
            migrations: &[],
        };
        self.model.snapshot(&moment, &details)
    }
}

#[track_caller]
fn check(ledger: &page::Ledger, numbered: u64, waiting: u64, missing: u64, twice: u64) {
    let it = &ledger.total;
    let found = (it.numbered, it.waiting, it.missing, it.twice);
    assert_eq!(found, (numbered, waiting, missing, twice));
    let whole = missing == 0 && twice == 0;
    assert_eq!(ledger.tone, if whole { "good" } else { "bad" });
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

#[test]
fn a_run_of_files_that_cannot_be_read_is_never_green() {
    let mut fleet = Fleet::new();
    fleet.model = Model::new(Timestamp::from_micros(0), None, &[], 7);
    fleet.state.durable = 1;
    let ledger = fleet.step(1, 0, 1).ledger;
    assert_eq!(ledger.tone, "partly");
    assert!(
        ledger
            .verdict
            .ends_with("But 7 things are wrong with the files.")
    );
}

#[test]
fn a_card_shows_what_its_tracker_measures() {
    let mut fleet = Fleet::new();
    let swum = |serial: i64| ActivitySample {
        time: Timestamp::from_micros(serial * 1_000_000),
        serial,
        speed: Some(1.25),
        distance: Some(1.25 * serial as f64),
        ..ActivitySample::default()
    };
    fleet.model.samples(DEVICE, &[swum(1), swum(2)]);
    let page = fleet.step(2, 0, 2);
    let shown: Vec<_> = page.trackers[0]
        .curves
        .iter()
        .map(|c| (c.name, c.unit))
        .collect();
    assert_eq!(shown, [("Speed", "km/h"), ("Distance", "km")]);
    let speed = page.trackers[0].curves[0].values.iter().flatten().last();
    assert_eq!(speed, Some(&4.5));
}
