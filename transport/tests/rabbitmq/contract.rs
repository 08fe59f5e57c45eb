//! RabbitMQ with this adapter keeps the contract of a broker, as the embedded log does.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use telemetry_core::Batch;
use telemetry_transport::amqp::{
    AmqpConfig, DeadLetters, Delivery, Publisher, SubscribeConfig, Subscription,
};
use telemetry_transport::contract::{Broker, Failure, check};
use testkit::rabbitmq::Cluster;
use tokio::runtime::Runtime;

use crate::rig::{config, runtime, within};

#[derive(Default)]
struct Group {
    subscription: Option<Subscription>,
    /// Names that the group has still to settle.
    open: BTreeSet<String>,
    /// Delivered and not settled, oldest first.
    delivered: Vec<Delivery>,
}

/// Exchanges and queues of their own on a broker that the cases share.
struct Amqp {
    runtime: Rc<Runtime>,
    cluster: Rc<RefCell<Cluster>>,
    config: AmqpConfig,
    publisher: Option<Publisher>,
    offered: u64,
    names: BTreeSet<String>,
    groups: BTreeMap<String, Group>,
}

impl Amqp {
    fn config(&self, group: &str) -> AmqpConfig {
        let mut config = self.config.clone();
        config.topology.group = Some(group.to_owned());
        config
    }

    fn group(&mut self, name: &str) -> Result<&mut Group, Failure> {
        let config = self.config(name);
        let group = self.groups.get_mut(name).ok_or("no such consumer")?;
        if group.subscription.is_none() {
            let _entered = self.runtime.enter();
            let subscribe = SubscribeConfig {
                // A case takes 199 batches before it acknowledges one.
                prefetch: 256,
                ..SubscribeConfig::default()
            };
            let subscription = Subscription::start(config, subscribe)?;
            group.subscription = Some(subscription);
        }
        Ok(group)
    }
}

impl Broker for Amqp {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        if self.publisher.is_none() {
            let _entered = self.runtime.enter();
            self.publisher = Some(Publisher::start(self.config.clone())?);
        }
        self.offered += 1;
        let publisher = self.publisher.as_ref().ok_or("no publisher")?;
        let offer = publisher.offer(self.offered, batch);
        self.runtime.block_on(within("room for a batch", offer))?;
        let name = batch.envelope.message_id();
        for group in self.groups.values_mut() {
            group.open.insert(name.clone());
        }
        self.names.insert(name);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if let Some(publisher) = &self.publisher {
            let confirmed = publisher.wait_confirmed(self.offered);
            self.runtime.block_on(within("confirmations", confirmed))?;
        }
        Ok(())
    }

    fn subscribe(&mut self, consumer: &str) -> Result<(), Failure> {
        self.groups.entry(consumer.to_owned()).or_default();
        let runtime = Rc::clone(&self.runtime);
        let group = self.group(consumer)?;
        let subscription = group.subscription.as_ref().ok_or("no subscription")?;
        let mut link = subscription.link();
        // Its queues are there once the link is up.
        let up = link.wait_for(|state| *state == telemetry_transport::amqp::LinkState::Up);
        runtime.block_on(within("a link", up))?;
        Ok(())
    }

    fn next(&mut self, consumer: &str) -> Result<Option<Batch>, Failure> {
        let runtime = Rc::clone(&self.runtime);
        let group = self.group(consumer)?;
        let seen = |name: &String| {
            let mut delivered = group.delivered.iter();
            delivered.any(|d| d.batch.envelope.message_id() == *name)
        };
        if group.open.iter().all(seen) {
            return Ok(None);
        }
        let subscription = group.subscription.as_mut().ok_or("no subscription")?;
        let delivery = runtime.block_on(within("a delivery", subscription.next()))?;
        group.delivered.push(delivery.clone());
        Ok(Some(delivery.batch))
    }

    fn ack(&mut self, consumer: &str) -> Result<(), Failure> {
        let runtime = Rc::clone(&self.runtime);
        let group = self.group(consumer)?;
        let subscription = group.subscription.as_ref().ok_or("no subscription")?;
        for delivery in group.delivered.drain(..) {
            runtime.block_on(subscription.ack(&delivery))?;
            group.open.remove(&delivery.batch.envelope.message_id());
        }
        Ok(())
    }

    fn reject(&mut self, consumer: &str, reason: &str) -> Result<(), Failure> {
        let runtime = Rc::clone(&self.runtime);
        let group = self.group(consumer)?;
        let delivery = group.delivered.pop().ok_or("nothing to reject")?;
        let subscription = group.subscription.as_ref().ok_or("no subscription")?;
        runtime.block_on(subscription.reject(&delivery, reason))?;
        group.open.remove(&delivery.batch.envelope.message_id());
        self.ack(consumer)
    }

    fn dead_letters(&mut self, _: &str) -> Result<Vec<(String, Batch)>, Failure> {
        let letters = DeadLetters::new(self.config.clone())?;
        let letters = self
            .runtime
            .block_on(within("letters", letters.read(100)))?;
        let named = letters.into_iter().map(|l| Ok((l.reason, l.batch?)));
        named.collect()
    }

    fn replay(&mut self, consumer: &str) -> Result<(), Failure> {
        let again = self.dead_letters(consumer)?;
        let letters = DeadLetters::new(self.config.clone())?;
        self.runtime
            .block_on(within("replay", letters.replay(100)))?;
        for group in self.groups.values_mut() {
            let names = again.iter().map(|(_, b)| b.envelope.message_id());
            group.open.extend(names);
        }
        Ok(())
    }

    fn crash(&mut self) -> Result<(), Failure> {
        // What was acknowledged has to arrive before the end: the adapter waits to send it.
        self.settled()?;
        self.publisher = None;
        for group in self.groups.values_mut() {
            group.subscription = None;
            group.delivered.clear();
        }
        let mut cluster = self.cluster.borrow_mut();
        cluster.kill(1)?;
        Ok(cluster.restart(1)?)
    }

    fn bytes(&mut self) -> Result<u64, Failure> {
        // A quorum queue counts messages; those of the suite are of one size.
        Ok(self.settled()? * 128)
    }
}

impl Amqp {
    /// Waits until the broker holds what is not settled, and nothing else; returns how many.
    fn settled(&mut self) -> Result<u64, Failure> {
        let exchange = &self.config.topology.exchange;
        let groups = self.groups.keys();
        let prefixes: Vec<_> = groups.map(|group| format!("{exchange}.{group}.")).collect();
        let expected: usize = self.groups.values().map(|group| group.open.len()).sum();
        for _ in 0..60 {
            let queues = self.cluster.borrow().ctl(
                1,
                &[
                    "-q",
                    "list_queues",
                    "--no-table-headers",
                    "name",
                    "messages",
                ],
            )?;
            let lines = queues.lines();
            let own = lines.filter(|line| prefixes.iter().any(|p| line.starts_with(p.as_str())));
            let counts = own.filter_map(|l| l.split_whitespace().last()?.parse::<usize>().ok());
            if counts.sum::<usize>() == expected {
                return Ok(expected as u64);
            }
        }
        Err("acknowledgements did not arrive".into())
    }
}

#[test]
fn keeps_the_contract() {
    let runtime = Rc::new(runtime());
    let cluster = Rc::new(RefCell::new(Cluster::single().unwrap()));
    let mut case = 0;
    check(|| {
        case += 1;
        let url = cluster.borrow().url(1);
        Amqp {
            runtime: Rc::clone(&runtime),
            cluster: Rc::clone(&cluster),
            config: config(&[url], &format!("case{case}")),
            publisher: None,
            offered: 0,
            names: BTreeSet::new(),
            groups: BTreeMap::new(),
        }
    })
    .unwrap();
}
