//! What the plots show: the pipeline's pulse, step by step, and each tracker's stored rows.

use std::ops::Range;
use std::time::Duration;

use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord, DeviceId, Schema, Timestamp, stream_of};
use telemetry_storage::{Cell, ReadError, Selection, SqliteStore, Store as _, StoreError};

use super::Series;
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
}

impl Curves {
    /// Reads a device's rows of a run, a slice of time at once.
    pub(crate) fn read(
        store: &SqliteStore,
        device: DeviceId,
        run: Range<Timestamp>,
    ) -> Result<Self, ReadError> {
        let schema = Schema::parse(ActivitySample::SCHEMA).map_err(StoreError::from)?;
        let field = |name: &str| {
            let fields = schema.record().map_or(&[][..], |r| &r.fields);
            fields.iter().position(|f| f.name == name)
        };
        let (time, heart_rate, power) = (field("time"), field("heart_rate"), field("power_watts"));
        let stream = stream_of::<ActivitySample>();
        let mut curves = Self::default();
        let mut from = run.start;
        while from < run.end {
            let until = from + SLICE;
            let selection = Selection {
                device: Some(device),
                from: Some(from),
                until: Some(until),
            };
            let rows = pollster::block_on(store.read(&stream, &selection, &schema))?;
            from = until;
            for row in rows {
                let number = |i: Option<usize>| match i.and_then(|i| row.values.get(i)) {
                    Some(Cell::Integer(value)) => Some(*value),
                    _ => None,
                };
                let Some(time) = number(time) else { continue };
                let at = Timestamp::from_micros(time).saturating_since(run.start);
                // Beats and watts are small numbers.
                if let Some(bpm) = number(heart_rate) {
                    curves.heart_rate.push(at, bpm as f64);
                }
                if let Some(watts) = number(power) {
                    curves.power.push(at, watts as f64);
                }
            }
        }
        Ok(curves)
    }
}
