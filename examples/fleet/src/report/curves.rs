//! What the plots show: the pipeline's pulse, step by step, and each tracker's stored rows.

use std::time::Duration;

use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord, DeviceId, Schema, Timestamp, stream_of};
use telemetry_storage::{Cell, ReadError, Selection, SqliteStore, Store as _, StoreError};

use super::Series;
use crate::clock::DeviceClock;
use crate::progress::Stages;

/// Event time read at once.
const SLICE: Duration = Duration::from_secs(6 * 3600);

/// The pipeline over virtual time, as this process saw it.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    last: Option<(Duration, Stages)>,
    /// Samples a second that became durable in the spools.
    pub durable: Series,
    /// Samples a second that the log confirmed.
    pub published: Series,
    /// Samples a second that became rows.
    pub stored: Series,
    /// Seconds that the rows are behind the clock.
    pub lag: Series,
    /// Samples in the spools that the log does not have.
    pub in_spools: Series,
    /// Samples in the log that are no rows.
    pub in_log: Series,
}

impl Pulse {
    /// Takes how far each stage is after a step.
    pub(crate) fn beat(&mut self, at: Duration, stages: Stages, lag: Duration) {
        self.lag.push(at, lag.as_secs_f64());
        let behind = |before: u64, after: u64| before.saturating_sub(after) as f64;
        self.in_spools
            .push(at, behind(stages.durable, stages.published));
        self.in_log
            .push(at, behind(stages.published, stages.stored));
        // What earlier processes of this run did is no rate of this one.
        if let Some((since, last)) = self.last.replace((at, stages)) {
            let seconds = at.saturating_sub(since).as_secs_f64().max(1e-3);
            let rate = |now: u64, last: u64| now.saturating_sub(last) as f64 / seconds;
            self.durable.push(at, rate(stages.durable, last.durable));
            self.published
                .push(at, rate(stages.published, last.published));
            self.stored.push(at, rate(stages.stored, last.stored));
        }
    }
}

/// What a tracker measured, read back from the store.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    /// Beats per minute.
    pub heart_rate: Series,
    /// Watts.
    pub power: Series,
    /// Kilometres an hour.
    pub speed: Series,
    /// Kilometres.
    pub distance: Series,
    /// Metres.
    pub altitude: Series,
}

/// A curve to draw.
pub(crate) struct Curve<'a> {
    pub title: &'static str,
    pub unit: &'static str,
    /// Its colour, a class of the style sheet.
    pub class: &'static str,
    pub series: &'a Series,
}

/// Curves of a tracker that are drawn: more of them tell less.
const CURVES_MAX: usize = 4;

impl Curves {
    /// What there are values of, the first few.
    pub(crate) fn with_values(&self) -> Vec<Curve<'_>> {
        let curve = |title, unit, class, series| Curve {
            title,
            unit,
            class,
            series,
        };
        let all = [
            curve("Heart rate", "bpm", "heart", &self.heart_rate),
            curve("Power", "W", "power", &self.power),
            curve("Speed", "km/h", "speed", &self.speed),
            curve("Distance", "km", "distance", &self.distance),
            curve("Altitude", "m", "altitude", &self.altitude),
        ];
        let known = all.into_iter().filter(|c| c.series.span().is_some());
        known.take(CURVES_MAX).collect()
    }

    /// Reads a device's rows, a slice of their time at once, and puts them where they were in the
    /// run.
    pub(crate) fn read(
        store: &SqliteStore,
        device: DeviceId,
        clock: &DeviceClock,
    ) -> Result<Self, ReadError> {
        let schema = Schema::parse(ActivitySample::SCHEMA).map_err(StoreError::from)?;
        let field = |name: &str| {
            let fields = schema.record().map_or(&[][..], |r| &r.fields);
            fields.iter().position(|f| f.name == name)
        };
        let time = field("time");
        let mut curves = Self::default();
        // Each with what it is multiplied by to be read by people.
        let drawn = [
            (field("heart_rate"), 1.0),
            (field("power_watts"), 1.0),
            (field("speed"), 3.6),
            (field("distance"), 1e-3),
            (field("altitude"), 1.0),
        ];
        let stream = stream_of::<ActivitySample>();
        for times in clock.shown() {
            let mut from = times.start;
            while from < times.end {
                let until = times.end.min(from + SLICE);
                let selection = Selection {
                    device: Some(device),
                    from: Some(from),
                    until: Some(until),
                };
                let rows = pollster::block_on(store.read(&stream, &selection, &schema))?;
                from = until;
                for row in rows {
                    let cell = |i: Option<usize>| i.and_then(|i| row.values.get(i));
                    let Some(Cell::Integer(time)) = cell(time) else {
                        continue;
                    };
                    let at = clock.moment(Timestamp::from_micros(*time));
                    for (series, (place, factor)) in curves.all_mut().into_iter().zip(drawn) {
                        match cell(place) {
                            // Beats and watts are small numbers.
                            Some(Cell::Integer(value)) => series.push(at, *value as f64 * factor),
                            Some(Cell::Real(value)) => series.push(at, value * factor),
                            _ => {}
                        }
                    }
                }
            }
        }
        Ok(curves)
    }

    /// Every curve, in the order in which they are drawn.
    const fn all_mut(&mut self) -> [&mut Series; 5] {
        [
            &mut self.heart_rate,
            &mut self.power,
            &mut self.speed,
            &mut self.distance,
            &mut self.altitude,
        ]
    }
}
