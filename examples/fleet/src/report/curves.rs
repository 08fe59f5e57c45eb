//! What the plots show: the pipeline's pulse, step by step, and each tracker's stored rows.

use std::time::Duration;

use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord, DeviceId, Plan, Schema, Value, stream_of};
use telemetry_storage::{ReadError, Selection, SqliteStore, StoreError, read_all};

use super::Series;
use crate::clock::DeviceClock;
use crate::measure::{MEASURES, Measure};
use crate::progress::Stages;

/// Event time read at once.
const SLICE: Duration = Duration::from_secs(6 * 3600);

/// Samples of one slice: many times what a tracker writes in that time.
const SLICE_MAX: usize = 10_000_000;

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
        let plan = Plan::compile(&schema, &schema).map_err(ReadError::from)?;
        let mut curves = Self::default();
        let stream = stream_of::<ActivitySample>();
        for times in clock.shown() {
            let mut from = times.start;
            while from < times.end {
                let until = times.end.min(from + SLICE);
                let selection = Selection {
                    device: Some(device),
                    from: Some(from),
                    until: Some(until),
                    ..Selection::default()
                };
                let page = read_all(store, &stream, &selection, &schema, SLICE_MAX);
                let page = pollster::block_on(page)?;
                from = until;
                for row in page.records {
                    let (Some(time), Ok(sample)) = (row.time, row.value(&plan)) else {
                        continue;
                    };
                    let at = clock.moment(time);
                    for (series, measure) in curves.0.iter_mut().zip(&MEASURES) {
                        let value = match sample.field(&schema, measure.field) {
                            Some(Value::Int(value)) => f64::from(*value),
                            Some(Value::Double(value)) => *value,
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
