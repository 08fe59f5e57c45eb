//! Metrics of a shared spool: counts, durations, sizes.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::encode_spool;
use crate::Histogram;
use crate::shared::{Appender, SharedStats};

#[derive(Debug)]
struct OfShared(watch::Receiver<SharedStats>);

/// Registers what [`SpoolMetrics`](super::SpoolMetrics) shows and the durations and sizes of a
/// shared spool, always as they are when somebody asks.
pub fn register_shared<S>(registry: &mut Registry, appender: &Appender<S>) {
    registry.register_collector(Box::new(OfShared(appender.watch_stats())));
}

pub(super) fn encode_histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    seen: &Histogram,
) -> fmt::Result {
    let unit = seen.unit() as f64;
    let buckets = seen.buckets();
    let buckets: Vec<_> = buckets
        .map(|(bound, count)| (bound.map_or(f64::INFINITY, |b| b as f64 / unit), count))
        .collect();
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let sum = seen.sum() as f64 / unit;
    metric.encode_histogram::<NoLabelSet>(sum, seen.count(), &buckets, None)
}

impl Collector for OfShared {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = *self.0.borrow();
        encode_spool(&mut encoder, &stats.spool)?;
        let age = stats
            .oldest
            .map_or(0.0, |since| since.elapsed().as_secs_f64());
        let gauge = ConstGauge::new(age);
        gauge.encode(encoder.encode_descriptor(
            "xpt_transport_spool_oldest_age_seconds",
            "How long the oldest record waits that is not confirmed",
            None,
            MetricType::Gauge,
        )?)?;
        for (name, help, seen) in [
            (
                "xpt_transport_spool_commit_duration_seconds",
                "A write and a sync",
                &stats.commit,
            ),
            (
                "xpt_transport_spool_append_duration_seconds",
                "From append to durable, each record",
                &stats.append,
            ),
            (
                "xpt_transport_confirm_duration_seconds",
                "From handed out to confirmed, each batch",
                &stats.confirm,
            ),
            (
                "xpt_transport_spool_commit_records",
                "Records of a commit",
                &stats.commit_records,
            ),
            (
                "xpt_transport_batch_records",
                "Records of a batch",
                &stats.batch_records,
            ),
            (
                "xpt_transport_batch_bytes",
                "Bytes of a batch's datums",
                &stats.batch_bytes,
            ),
        ] {
            encode_histogram(&mut encoder, name, help, seen)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use telemetry_core::{ClockMark, DeviceId, Fingerprint, StreamName, single_object};

    use super::*;
    use crate::shared::SharedLimits;
    use crate::storage::SimulatedDisk;
    use crate::{Limits, Opening, Spool};

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|rest| rest.trim().parse().ok());
        value.unwrap_or_else(|| panic!("{name} in\n{text}"))
    }

    #[test]
    fn what_a_shared_spool_did_is_shown() {
        let opening = Opening {
            new_device: DeviceId::from_u128(7),
            hardware_token: None,
            clock: ClockMark::default(),
            random: 42,
            salt: 42,
            limits: Limits::default(),
        };
        let mut spool = Spool::open(SimulatedDisk::default(), opening).unwrap().0;
        let stream = spool.stream(&StreamName::new("a.A").unwrap()).unwrap();
        spool.commit().unwrap();
        let (appender, mut batches) = spool.share(SharedLimits::default()).unwrap();
        let mut registry = Registry::default();
        register_shared(&mut registry, &appender);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let mut record = single_object::header(Fingerprint(1)).to_vec();
            record.resize(310, 1);
            for _ in 0..3 {
                let appended = appender.append(stream, record.clone(), None).await;
                appended.unwrap();
            }
            let waiting = text(&registry);
            assert!(value(&waiting, "xpt_transport_spool_oldest_age_seconds ") > 0.0);
            let mut taken = 0;
            while taken < 3 {
                let batch = batches.next().await.unwrap().unwrap();
                taken += batch.count();
                batches.confirm(batch).unwrap();
            }
            let mut stats = appender.watch_stats();
            stats.wait_for(|s| s.spool.confirmed == 3).await.unwrap();
        });
        let text = text(&registry);
        for line in [
            "xpt_transport_spool_appended_records_total 3",
            "xpt_transport_spool_confirmed_records_total 3",
            "xpt_transport_spool_depth_records 0",
            "xpt_transport_spool_dropped_records_total 0",
            "xpt_transport_spool_oldest_age_seconds 0.0",
            "# TYPE xpt_transport_spool_commit_duration_seconds histogram",
            "xpt_transport_spool_commit_duration_seconds_count 3",
            "xpt_transport_spool_commit_duration_seconds_bucket{le=\"+Inf\"} 3",
            "xpt_transport_spool_append_duration_seconds_count 3",
            "xpt_transport_spool_commit_records_bucket{le=\"1.0\"} 3",
            "xpt_transport_spool_commit_records_sum 3.0",
            "xpt_transport_batch_records_sum 3.0",
            // Datums, without the header of each record.
            "xpt_transport_batch_bytes_sum 900.0",
            "xpt_transport_batch_bytes_bucket{le=\"256.0\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        let seconds = value(&text, "xpt_transport_spool_append_duration_seconds_sum ");
        assert!(seconds > 0.0 && seconds < 60.0, "{seconds}");
        let batches = value(&text, "xpt_transport_batch_records_count ");
        let confirmed = value(&text, "xpt_transport_confirm_duration_seconds_count ");
        assert!(confirmed == batches && (1.0..=3.0).contains(&batches));
    }
}
