//! What the plots show: the pipeline's pulse, step by step, and each tracker's stored rows.

use std::time::Duration;

use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord, DeviceId, Schema, Timestamp, stream_of};
use telemetry_storage::{Cell, ReadError, Selection, SqliteStore, Store as _, StoreError};

use super::Series;
use crate::clock::DeviceClock;
use crate::measure::{MEASURES, Measure};
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

/// What a tracker measured, read back from the store: a series for each of [`MEASURES`].
#[derive(Clone, Debug, Default)]
pub struct Curves([Series; MEASURES.len()]);

/// Curves of a tracker that are drawn: more of them tell less.
const CURVES_MAX: usize = 4;

impl Curves {
    /// What there are values of, the first few.
    pub(crate) fn with_values(&self) -> Vec<(&'static Measure, &Series)> {
        let all = MEASURES.iter().zip(&self.0);
        let known = all.filter(|(_, series)| series.span().is_some());
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
        let places = MEASURES.each_ref().map(|measure| field(measure.field));
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
                    let measured = curves.0.iter_mut().zip(&MEASURES).zip(places);
                    for ((series, measure), place) in measured {
                        let value = match cell(place) {
                            // Beats and watts are small numbers.
                            Some(Cell::Integer(value)) => *value as f64,
                            Some(Cell::Real(value)) => *value,
                            _ => continue,
                        };
                        series.push(at, measure.scaled(value));
                    }
                }
            }
        }
        Ok(curves)
    }
}
