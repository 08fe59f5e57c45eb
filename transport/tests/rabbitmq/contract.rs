//! RabbitMQ with this adapter keeps the contract of a broker, as the embedded log does.
//!
//! So does the scripted broker with the same adapter: a mock that broke it would mislead whoever
//! tests with it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use scripted_broker::{Failure as Fault, Script, ScriptedBroker};
use telemetry_core::{Batch, Epoch};
use telemetry_transport::BatchId;
use telemetry_transport::amqp::{
    AmqpConfig, Consumer, DeadLetters, Delivery, Publisher, SubscribeConfig, Subscription,
};
use telemetry_transport::contract::{Broker, Failure, Source, check, check_deliveries};
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

/// A broker as the adapter reaches it.
trait Server {
    fn runtime(&self) -> &Runtime;
    fn url(&self) -> String;
    /// What a future comes to, while the broker works.
    fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> T;
    /// Messages of queues that are not settled, once there is news of it.
    fn messages(&self, queues: &[String]) -> Result<usize, Failure>;
    /// Ends it without warning, and starts it again.
    fn crash(&mut self) -> Result<(), Failure>;
}

/// A node that the cases share.
struct RabbitMq {
    runtime: Rc<Runtime>,
    cluster: Rc<RefCell<Cluster>>,
}

impl Server for RabbitMq {
    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn url(&self) -> String {
        self.cluster.borrow().url(1)
    }

    fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(within(what, future))
    }

    fn messages(&self, queues: &[String]) -> Result<usize, Failure> {
        let command = [
            "-q",
            "list_queues",
            "--no-table-headers",
            "name",
            "messages",
        ];
        let listed = self.cluster.borrow().ctl(1, &command)?;
        let counts = listed.lines().filter_map(|line| {
            let (name, count) = line.split_once(char::is_whitespace)?;
            let count: usize = count.trim().parse().ok()?;
            queues.iter().any(|queue| queue == name).then_some(count)
        });
        Ok(counts.sum())
    }

    fn crash(&mut self) -> Result<(), Failure> {
        let mut cluster = self.cluster.borrow_mut();
        cluster.kill(1)?;
        Ok(cluster.restart(1)?)
    }
}

/// In real time: with a paused clock, a busy machine may see time-outs, and batches again.
struct Scripted {
    runtime: Rc<Runtime>,
    broker: ScriptedBroker,
}

impl Server for Scripted {
    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn url(&self) -> String {
        self.broker.url()
    }

    fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(within(what, future))
    }

    fn messages(&self, queues: &[String]) -> Result<usize, Failure> {
        let a_while = Duration::from_millis(20);
        self.runtime
            .block_on(async { tokio::time::sleep(a_while).await });
        let counts = queues.iter().filter_map(|name| self.broker.queue(name));
        Ok(counts.map(|(ready, delivered)| ready + delivered).sum())
    }

    fn crash(&mut self) -> Result<(), Failure> {
        self.broker.fail_now(Fault::Crash(Duration::ZERO));
        Ok(())
    }
}

/// Exchanges and queues of a case.
struct Amqp<S> {
    config: AmqpConfig,
    publisher: Option<Publisher>,
    offered: u64,
    names: BTreeSet<String>,
    groups: BTreeMap<String, Group>,
    server: S,
}

impl<S: Server> Amqp<S> {
    fn config(&self, group: &str) -> AmqpConfig {
        let mut config = self.config.clone();
        config.topology.group = Some(group.to_owned());
        config
    }

    fn group(&mut self, name: &str) -> Result<(&mut Group, &S), Failure> {
        let config = self.config(name);
        let group = self.groups.get_mut(name).ok_or("no such consumer")?;
        if group.subscription.is_none() {
            let _entered = self.server.runtime().enter();
            let subscribe = SubscribeConfig {
                // A case takes 199 batches before it acknowledges one.
                prefetch: 256,
                ..SubscribeConfig::default()
            };
            let subscription = Subscription::start(config, subscribe)?;
            group.subscription = Some(subscription);
        }
        Ok((group, &self.server))
    }
}

/// Names of a publisher's own, without a spool.
fn batch_id(number: u64) -> BatchId {
    BatchId::new(Epoch::default(), number)
}

impl<S: Server> Broker for Amqp<S> {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        if self.publisher.is_none() {
            let _entered = self.server.runtime().enter();
            self.publisher = Some(Publisher::start(self.config.clone())?);
        }
        self.offered += 1;
        let publisher = self.publisher.as_ref().ok_or("no publisher")?;
        let offer = publisher.offer(batch_id(self.offered), batch);
        self.server.wait("room for a batch", offer)?;
        let name = batch.envelope.message_id();
        for group in self.groups.values_mut() {
            group.open.insert(name.clone());
        }
        self.names.insert(name);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if let Some(publisher) = &self.publisher {
            let confirmed = publisher.wait_confirmed(batch_id(self.offered));
            self.server.wait("confirmations", confirmed)?;
        }
        Ok(())
    }

    fn subscribe(&mut self, consumer: &str) -> Result<(), Failure> {
        self.groups.entry(consumer.to_owned()).or_default();
        let (group, server) = self.group(consumer)?;
        let subscription = group.subscription.as_ref().ok_or("no subscription")?;
        let mut link = subscription.link();
        // Its queues are there once the link is up.
        let up = link.wait_for(|state| *state == telemetry_transport::amqp::LinkState::Up);
        server.wait("a link", up)?;
        Ok(())
    }

    fn next(&mut self, consumer: &str) -> Result<Option<Batch>, Failure> {
        let (group, server) = self.group(consumer)?;
        let seen = |name: &String| {
            let mut delivered = group.delivered.iter();
            delivered.any(|d| d.batch.envelope.message_id() == *name)
        };
        if group.open.iter().all(seen) {
            return Ok(None);
        }
        let subscription = group.subscription.as_mut().ok_or("no subscription")?;
        let delivery = server.wait("a delivery", subscription.next())?;
        group.delivered.push(delivery.clone());
        Ok(Some(delivery.batch))
    }

    fn ack(&mut self, consumer: &str) -> Result<(), Failure> {
        let (group, server) = self.group(consumer)?;
        let subscription = group.subscription.as_ref().ok_or("no subscription")?;
        for delivery in group.delivered.drain(..) {
            server.wait("an acknowledgement", subscription.ack(&delivery))?;
            group.open.remove(&delivery.batch.envelope.message_id());
        }
        Ok(())
    }

    fn reject(&mut self, consumer: &str, reason: &str) -> Result<(), Failure> {
        let (group, server) = self.group(consumer)?;
        let delivery = group.delivered.pop().ok_or("nothing to reject")?;
        let subscription = group.subscription.as_ref().ok_or("no subscription")?;
        server.wait("a rejection", subscription.reject(&delivery, reason))?;
        group.open.remove(&delivery.batch.envelope.message_id());
        self.ack(consumer)
    }

    fn dead_letters(&mut self, _: &str) -> Result<Vec<(String, Batch)>, Failure> {
        let letters = DeadLetters::new(self.config.clone())?;
        let letters = self.server.wait("letters", letters.read(100))?;
        let named = letters.into_iter().map(|l| Ok((l.reason, l.batch?)));
        named.collect()
    }

    fn replay(&mut self, consumer: &str) -> Result<(), Failure> {
        let again = self.dead_letters(consumer)?;
        let letters = DeadLetters::new(self.config.clone())?;
        self.server.wait("replay", letters.replay(100))?;
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
        self.server.crash()
    }

    fn bytes(&mut self) -> Result<u64, Failure> {
        // A quorum queue counts messages; those of the suite are of one size.
        Ok(self.settled()? * 128)
    }
}

impl<S: Server> Amqp<S> {
    /// Waits until the broker holds what is not settled, and nothing else; returns how many.
    fn settled(&mut self) -> Result<u64, Failure> {
        let groups = self.groups.keys().map(|group| self.config(group).topology);
        let queues = groups.flat_map(|topology| {
            let indexes = 0..topology.queues;
            indexes.map(move |index| topology.queue(index))
        });
        let queues: Vec<String> = queues.collect();
        let expected: usize = self.groups.values().map(|group| group.open.len()).sum();
        for _ in 0..60 {
            if self.server.messages(&queues)? == expected {
                return Ok(expected as u64);
            }
        }
        Err("acknowledgements did not arrive".into())
    }
}

fn amqp<S: Server>(server: S, case: u32) -> Amqp<S> {
    Amqp {
        config: config(&[server.url()], &format!("case{case}")),
        publisher: None,
        offered: 0,
        names: BTreeSet::new(),
        groups: BTreeMap::new(),
        server,
    }
}

#[test]
fn keeps_the_contract() {
    let runtime = Rc::new(runtime());
    let cluster = Rc::new(RefCell::new(Cluster::single().unwrap()));
    let mut case = 0;
    check(|| {
        case += 1;
        let server = RabbitMq {
            runtime: Rc::clone(&runtime),
            cluster: Rc::clone(&cluster),
        };
        amqp(server, case)
    })
    .unwrap();
}

#[test]
fn the_mock_keeps_the_contract_too() {
    let runtime = Rc::new(runtime());
    check(|| {
        let broker = ScriptedBroker::start(Script::default());
        let broker = runtime.block_on(broker).unwrap();
        let runtime = Rc::clone(&runtime);
        amqp(Scripted { runtime, broker }, 1)
    })
    .unwrap();
}

/// The consumer of one family of queues, as a service gets it.
struct Service {
    config: AmqpConfig,
    publisher: Publisher,
    offered: u64,
    cluster: Rc<RefCell<Cluster>>,
}

impl Source for Service {
    type Deliveries = Consumer;

    async fn publish(&mut self, batches: &[Batch]) -> Result<(), Failure> {
        for batch in batches {
            self.offered += 1;
            self.publisher.offer(batch_id(self.offered), batch).await?;
        }
        let confirmed = self.publisher.wait_confirmed(batch_id(self.offered));
        Ok(within("confirmations", confirmed).await?)
    }

    async fn open(&mut self) -> Result<Consumer, Failure> {
        let subscribe = SubscribeConfig::default();
        let subscription = Subscription::start(self.config.clone(), subscribe)?;
        Ok(Consumer::new(subscription))
    }

    async fn crash(&mut self) -> Result<(), Failure> {
        let mut cluster = self.cluster.borrow_mut();
        // A queue writes an acknowledgement to its log some milliseconds after it got it, and AMQP
        // has no word for that: killed before, it delivers again. Its own count says when it has.
        let queue = self.config.topology.queue(0);
        let counts = ["-q", "list_queues", "name", "messages_unacknowledged"];
        let settled = format!("{queue}\t0");
        while !cluster.ctl(1, &counts)?.lines().any(|line| line == settled) {}
        cluster.kill(1)?;
        Ok(cluster.restart(1)?)
    }

    async fn dead_letters(&mut self) -> Result<Vec<(String, Batch)>, Failure> {
        let letters = DeadLetters::new(self.config.clone())?.read(100).await?;
        let named = letters.into_iter().map(|l| Ok((l.reason, l.batch?)));
        named.collect()
    }
}

#[test]
fn keeps_the_contract_of_a_consumer() {
    let runtime = runtime();
    let cluster = Rc::new(RefCell::new(Cluster::single().unwrap()));
    let mut cases = 0;
    let checked = check_deliveries(async || {
        cases += 1;
        let family = format!("deliveries-{cases}");
        let mut config = config(&[cluster.borrow().url(1)], &family);
        config.topology.queues = 1;
        Ok(Service {
            publisher: Publisher::start(config.clone())?,
            config,
            offered: 0,
            cluster: Rc::clone(&cluster),
        })
    });
    runtime.block_on(checked).unwrap();
}
