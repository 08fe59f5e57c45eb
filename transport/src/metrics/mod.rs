//! Counts of spools, publishers and subscriptions for Prometheus, in a registry of the caller's.
//!
//! Names begin with `xpt_transport_`; none has a label that names a device.
//!
#![cfg_attr(feature = "metrics", doc = "```")]
//! use prometheus_client::registry::Registry;
//! use telemetry_transport::metrics::SpoolMetrics;
//!
//! let mut registry = Registry::default();
//! let spool_metrics = SpoolMetrics::register(&mut registry);
//! # let stats = telemetry_transport::Stats::default();
//! spool_metrics.set(stats); // of `spool.stats()`, e.g. once a second
//! ```
//!
//! A shared spool has durations and sizes, too, and needs no setting: `register_shared`.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "shared")]
mod shared;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::Stats;

/// One number: name, help, value, and whether it only grows.
type Sample = (&'static str, &'static str, u64, bool);

fn encode(encoder: &mut DescriptorEncoder<'_>, samples: &[Sample]) -> fmt::Result {
    for &(name, help, value, grows) in samples {
        if grows {
            let counter = ConstCounter::new(value);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        } else {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
    }
    Ok(())
}

/// Metrics of a spool, as the caller last saw it.
#[derive(Clone, Debug, Default)]
pub struct SpoolMetrics(Arc<Mutex<Stats>>);

impl SpoolMetrics {
    /// Registers the metrics; they are 0 until the first [`set`](Self::set).
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register_collector(Box::new(this.clone()));
        this
    }

    /// Takes what a spool counts.
    pub fn set(&self, stats: Stats) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}

fn spool_samples(stats: &Stats) -> [Sample; 9] {
    let corrupt = stats.recovery.corrupt_bytes + stats.damaged_bytes;
    [
        (
            "xpt_transport_spool_appended_records",
            "Records appended",
            stats.appended,
            true,
        ),
        (
            "xpt_transport_spool_confirmed_records",
            "Records in confirmed batches",
            stats.confirmed,
            true,
        ),
        (
            "xpt_transport_spool_dropped_records",
            "Records dropped to make room",
            stats.dropped,
            true,
        ),
        (
            "xpt_transport_spool_refused_records",
            "Attempts to append that found no room",
            stats.refused,
            true,
        ),
        (
            "xpt_transport_spool_depth_records",
            "Records that are not confirmed",
            stats.depth_records,
            false,
        ),
        (
            "xpt_transport_spool_bytes",
            "Bytes of all frames kept",
            stats.bytes,
            false,
        ),
        (
            "xpt_transport_spool_unreadable_records",
            "Records without a readable name or schema",
            stats.unreadable_records,
            true,
        ),
        (
            "xpt_transport_spool_torn_tails",
            "Writes that a crash had cut",
            stats.recovery.torn_tails,
            true,
        ),
        (
            "xpt_transport_spool_corrupt_bytes",
            "Durable bytes found damaged",
            corrupt,
            true,
        ),
    ]
}

impl Collector for SpoolMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut encoder, &spool_samples(&stats))
    }
}

#[cfg(feature = "shared")]
pub use shared::register_shared;

#[cfg(feature = "amqp")]
pub use amqp::{register_publisher, register_subscription};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_was_set() {
        let mut registry = Registry::default();
        let metrics = SpoolMetrics::register(&mut registry);
        metrics.set(Stats {
            appended: 5,
            depth_records: 2,
            ..Stats::default()
        });
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains("xpt_transport_spool_appended_records_total 5"),
            "{text}"
        );
        assert!(
            text.contains("xpt_transport_spool_depth_records 2"),
            "{text}"
        );
    }
}
