//! Metrics of a publisher and of a subscription.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::encode;
use super::shared::encode_histogram;
use crate::amqp::{
    LinkState, Publisher, PublisherStats, Reconnects, Subscription, SubscriptionStats,
};

fn encode_reconnects(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    seen: &Reconnects,
) -> fmt::Result {
    let help = "Links given up and attempts to connect that failed";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (reason, count) in seen.by_reason() {
        let labels = [("reason", reason)];
        ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

#[derive(Debug)]
struct OfPublisher(watch::Receiver<PublisherStats>, watch::Receiver<LinkState>);

impl Collector for OfPublisher {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (stats, link) = (*self.0.borrow(), self.1.borrow().clone());
        let is = |state: bool| u64::from(state);
        encode(
            &mut encoder,
            &[
                (
                    "xpt_transport_published_messages",
                    "Messages published, each attempt",
                    stats.published,
                    true,
                ),
                (
                    "xpt_transport_resent_messages",
                    "Attempts after the first of a message",
                    stats.resent,
                    true,
                ),
                (
                    "xpt_transport_confirmed_batches",
                    "Batches confirmed with all before",
                    stats.confirmed,
                    true,
                ),
                (
                    "xpt_transport_refused_messages",
                    "Attempts that the broker refused",
                    stats.refused,
                    true,
                ),
                (
                    "xpt_transport_returned_messages",
                    "Attempts that no queue took",
                    stats.returned,
                    true,
                ),
                (
                    "xpt_transport_publisher_connects",
                    "Attempts to connect",
                    stats.connects,
                    true,
                ),
                (
                    "xpt_transport_inflight_batches",
                    "Batches offered and not confirmed",
                    stats.window,
                    false,
                ),
                (
                    "xpt_transport_link_up",
                    "Whether the link takes batches",
                    is(link == LinkState::Up),
                    false,
                ),
                (
                    "xpt_transport_link_blocked",
                    "Whether the broker takes nothing for now",
                    is(matches!(link, LinkState::Blocked { .. })),
                    false,
                ),
                (
                    "xpt_transport_link_alarm",
                    "Whether a person has to look at the link",
                    is(matches!(link, LinkState::Alarm { .. })),
                    false,
                ),
            ],
        )?;
        let blocked = ConstCounter::new(stats.blocked().as_secs_f64());
        blocked.encode(encoder.encode_descriptor(
            "xpt_transport_blocked_seconds",
            "How long the broker took nothing",
            None,
            MetricType::Counter,
        )?)?;
        encode_reconnects(
            &mut encoder,
            "xpt_transport_publisher_reconnects",
            &stats.reconnects,
        )?;
        // A shared spool has the time of a batch, over all attempts.
        encode_histogram(
            &mut encoder,
            "xpt_transport_publisher_confirm_duration_seconds",
            "From the last attempt to the broker's confirmation, each message",
            &stats.confirm,
        )
    }
}

#[derive(Debug)]
struct OfSubscription(watch::Receiver<SubscriptionStats>);

impl Collector for OfSubscription {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = *self.0.borrow();
        encode(
            &mut encoder,
            &[
                (
                    "xpt_transport_delivered_batches",
                    "Batches delivered, each delivery",
                    stats.delivered,
                    true,
                ),
                (
                    "xpt_transport_redelivered_batches",
                    "Deliveries that may not be the first",
                    stats.redelivered,
                    true,
                ),
                (
                    "xpt_transport_acknowledged_batches",
                    "Deliveries acknowledged",
                    stats.acknowledged,
                    true,
                ),
                (
                    "xpt_transport_retried_batches",
                    "Deliveries put back",
                    stats.retried,
                    true,
                ),
                (
                    "xpt_transport_rejected_batches",
                    "Deliveries put aside",
                    stats.rejected,
                    true,
                ),
                (
                    "xpt_transport_subscription_connects",
                    "Attempts to connect",
                    stats.connects,
                    true,
                ),
            ],
        )?;
        encode_reconnects(
            &mut encoder,
            "xpt_transport_subscription_reconnects",
            &stats.reconnects,
        )?;
        encode_histogram(
            &mut encoder,
            "xpt_transport_process_duration_seconds",
            "From handed out to taken as done, each delivery",
            &stats.process,
        )
    }
}

/// Registers the counts of a publisher and the state of its link.
pub fn register_publisher(registry: &mut Registry, publisher: &Publisher) {
    let collector = OfPublisher(publisher.watch_stats(), publisher.link());
    registry.register_collector(Box::new(collector));
}

/// Registers the counts of a subscription.
pub fn register_subscription(registry: &mut Registry, subscription: &Subscription) {
    let collector = OfSubscription(subscription.watch_stats());
    registry.register_collector(Box::new(collector));
}
