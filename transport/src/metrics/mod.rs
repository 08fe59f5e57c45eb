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
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use telemetry_core::Envelope;

use crate::{Fresh, Stats};

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

fn encode_spool(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> fmt::Result {
    encode(encoder, &spool_samples(stats))?;
    let help = "Records that have come so far, those of earlier openings among them";
    let name = "xpt_transport_watermark_records";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (kind, count) in [
        ("appended", stats.recovered + stats.appended),
        ("durable", stats.recovered + stats.durable),
        ("sent", stats.sent),
        ("confirmed", stats.confirmed),
    ] {
        ConstCounter::new(count).encode(metric.encode_family(&[("kind", kind)])?)?;
    }
    Ok(())
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
        encode_spool(&mut encoder, &stats)
    }
}

/// Registers how long the opening of a spool took, which its caller measures.
pub fn register_recovery(registry: &mut Registry, took: Duration) {
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(took.as_secs_f64());
    registry.register(
        "xpt_transport_spool_recovery_seconds",
        "How long the spool took to open",
        gauge,
    );
}

/// Metrics of what a consumer drops and misses, by its [`Dedup`](crate::Dedup).
#[derive(Clone, Debug, Default)]
pub struct DedupMetrics {
    duplicates: Counter,
    missing: Gauge,
}

impl DedupMetrics {
    /// Registers the metrics, which begin at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "xpt_transport_duplicate_records",
            "Records that came again and were dropped",
            this.duplicates.clone(),
        );
        registry.register(
            "xpt_transport_missing_records",
            "Numbers that are missing between records the sink has",
            this.missing.clone(),
        );
        this
    }

    /// Counts a batch by what [`Dedup::fresh`](crate::Dedup::fresh) said of it.
    pub fn count(&self, envelope: &Envelope, fresh: &Fresh) {
        let all = u64::from(envelope.count);
        let new = match fresh {
            Fresh::All => all,
            Fresh::Nothing => 0,
            Fresh::Ranges(ranges) => ranges.iter().map(|r| r.end() - r.start() + 1).sum(),
        };
        self.duplicates.inc_by(all.saturating_sub(new));
    }

    /// Takes what [`Dedup::missing`](crate::Dedup::missing) says, e.g. once a second.
    pub fn set_missing(&self, records: u64) {
        self.missing.set(i64::try_from(records).unwrap_or(i64::MAX));
    }
}

#[cfg(feature = "shared")]
pub use shared::register_shared;

#[cfg(feature = "amqp")]
pub use amqp::{register_publisher, register_subscription};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dedup;
    use crate::dedup::tests::envelope;

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

    #[test]
    fn watermarks_go_on_from_what_was_left() {
        let mut registry = Registry::default();
        let metrics = SpoolMetrics::register(&mut registry);
        register_recovery(&mut registry, Duration::from_millis(1_500));
        metrics.set(Stats {
            recovered: 10,
            appended: 5,
            durable: 4,
            sent: 12,
            confirmed: 11,
            ..Stats::default()
        });
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for (kind, count) in [
            ("appended", 15),
            ("durable", 14),
            ("sent", 12),
            ("confirmed", 11),
        ] {
            let line =
                format!("xpt_transport_watermark_records_total{{kind=\"{kind}\"}} {count}\n");
            assert!(text.contains(&line), "{line} in\n{text}");
        }
        assert!(
            text.contains("xpt_transport_spool_recovery_seconds 1.5\n"),
            "{text}"
        );
    }

    #[test]
    fn what_came_again_and_what_is_missing_is_shown() {
        let mut registry = Registry::default();
        let metrics = DedupMetrics::register(&mut registry);
        let mut dedup = Dedup::default();
        for (first, count) in [(1, 10), (6, 10), (20, 5), (1, 10)] {
            let envelope = envelope(first, count);
            metrics.count(&envelope, &dedup.fresh(&envelope));
            dedup.take(&envelope);
        }
        metrics.set_missing(dedup.missing());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains("xpt_transport_duplicate_records_total 15\n"),
            "{text}"
        );
        assert!(text.contains("xpt_transport_missing_records 4\n"), "{text}");
    }
}
