//! The embedded log keeps the contracts of a broker and of its consumers, on a simulated disk and on a real one.

use std::collections::BTreeMap;

use telemetry_core::Batch;
use telemetry_transport::contract::{Broker, Failure, Source, check, check_deliveries};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{Consumer, Delivery, Directory, EmbeddedLog, Limits, Storage, Token};

const LIMITS: Limits = Limits {
    segment_bytes: 4096,
    total_bytes: 1 << 20,
    when_full: telemetry_transport::WhenFull::Refuse,
    spare_segments: 2,
    window_bytes: 1000,
    quarantine_bytes: 1 << 20,
    dead_letter_bytes: 1 << 20,
    deliveries_open_max: 1_000,
};

struct Running<S> {
    log: EmbeddedLog<S>,
    consumers: BTreeMap<String, (Consumer<S>, Vec<Delivery>)>,
}

/// An embedded log, and how its storage comes back after a crash.
struct Embedded<S, F> {
    running: Option<Running<S>>,
    reopen: F,
}

impl<S: Storage, F: FnMut() -> S> Embedded<S, F> {
    fn new(reopen: F) -> Self {
        let running = None;
        Self { running, reopen }
    }

    fn running(&mut self) -> Result<&mut Running<S>, Failure> {
        if self.running.is_none() {
            let log = EmbeddedLog::open((self.reopen)(), LIMITS)?.0;
            let consumers = BTreeMap::new();
            self.running = Some(Running { log, consumers });
        }
        Ok(self.running.as_mut().unwrap())
    }

    fn consumer(&mut self, name: &str) -> Result<&mut (Consumer<S>, Vec<Delivery>), Failure> {
        let running = self.running()?;
        if !running.consumers.contains_key(name) {
            let consumer = running.log.subscribe(name)?;
            running
                .consumers
                .insert(name.to_owned(), (consumer, Vec::new()));
        }
        Ok(running.consumers.get_mut(name).unwrap())
    }
}

impl<S: Storage, F: FnMut() -> S> Broker for Embedded<S, F> {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.running()?.log.append(batch)?;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.running()?.log.commit()?;
        Ok(())
    }

    fn subscribe(&mut self, consumer: &str) -> Result<(), Failure> {
        self.consumer(consumer)?;
        Ok(())
    }

    fn next(&mut self, consumer: &str) -> Result<Option<Batch>, Failure> {
        let (consumer, open) = self.consumer(consumer)?;
        let delivery = consumer.next()?;
        let batch = delivery.as_ref().map(|d| d.batch.clone());
        open.extend(delivery);
        Ok(batch)
    }

    fn ack(&mut self, consumer: &str) -> Result<(), Failure> {
        let (consumer, open) = self.consumer(consumer)?;
        let tokens: Vec<Token> = open.drain(..).map(|d| d.token).collect();
        Ok(consumer.acknowledge(&tokens)?)
    }

    fn reject(&mut self, name: &str, reason: &str) -> Result<(), Failure> {
        let (consumer, open) = self.consumer(name)?;
        let delivery = open.pop().ok_or("nothing to reject")?;
        consumer.reject(&delivery, reason)?;
        self.ack(name)
    }

    fn dead_letters(&mut self, consumer: &str) -> Result<Vec<(String, Batch)>, Failure> {
        let letters = self.consumer(consumer)?.0.dead_letters()?;
        Ok(letters.into_iter().map(|l| (l.reason, l.batch)).collect())
    }

    fn replay(&mut self, consumer: &str) -> Result<(), Failure> {
        self.consumer(consumer)?.0.replay_dead_letters()?;
        Ok(())
    }

    fn crash(&mut self) -> Result<(), Failure> {
        self.running = None;
        self.running()?;
        Ok(())
    }

    fn bytes(&mut self) -> Result<u64, Failure> {
        Ok(self.running()?.log.stats().bytes)
    }
}

impl<S: Storage + Send, F: FnMut() -> S> Source for Embedded<S, F> {
    type Deliveries = Consumer<S>;

    async fn publish(&mut self, batches: &[Batch]) -> Result<(), Failure> {
        batches.iter().try_for_each(|batch| self.append(batch))?;
        self.commit()
    }

    async fn open(&mut self) -> Result<Consumer<S>, Failure> {
        Ok(self.running()?.log.subscribe("service")?)
    }

    async fn crash(&mut self) -> Result<(), Failure> {
        Broker::crash(self)
    }

    async fn dead_letters(&mut self) -> Result<Vec<(String, Batch)>, Failure> {
        Broker::dead_letters(self, "service")
    }
}

#[test]
fn its_consumers_on_a_simulated_disk() {
    pollster::block_on(check_deliveries(async || {
        let disk = SimulatedDisk::default();
        Ok(Embedded::new(move || {
            disk.crash(|| false);
            disk.clone()
        }))
    }))
    .unwrap();
}

#[test]
fn its_consumers_on_a_directory() {
    pollster::block_on(check_deliveries(async || {
        let dir = tempfile::tempdir()?;
        Ok(Embedded::new(move || Directory::open(dir.path()).unwrap()))
    }))
    .unwrap();
}

#[test]
fn on_a_simulated_disk() {
    check(|| {
        let disk = SimulatedDisk::default();
        Embedded::new(move || {
            disk.crash(|| false);
            disk.clone()
        })
    })
    .unwrap();
}

#[test]
fn on_a_directory() {
    check(|| {
        let dir = tempfile::tempdir().unwrap();
        Embedded::new(move || Directory::open(dir.path()).unwrap())
    })
    .unwrap();
}
