//! What the tests share: a spool that is published, a consumer that counts, and the oracle.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use telemetry_core::{
    ClockMark, DeviceId, Fingerprint, RecordId, StreamName, Timestamp, single_object,
};
use telemetry_transport::amqp::{AmqpConfig, LinkState, Publisher, SubscribeConfig, Subscription};
use telemetry_transport::{
    BatchId, Dedup, Directory, Fresh, Limits, Opening, SenderLimits, Spool, SpooledBatch,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for anything: a test that needs it has failed.
const WITHIN: Duration = Duration::from_secs(90);

/// Schema of the records, which no one reads.
const SCHEMA: Fingerprint = Fingerprint(1);

pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// What a future comes to; fails where it does not come to anything.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(WITHIN, future).await;
    assert!(result.is_ok(), "not within {WITHIN:?}: {what}");
    result.unwrap()
}

/// A configuration with exchanges and queues of its own, which does not wait long for anything.
pub(crate) fn config(urls: &[String], family: &str) -> AmqpConfig {
    let mut config = AmqpConfig::new(urls);
    config.topology.family = family.to_owned();
    config.topology.queues = 2;
    config.heartbeat = Duration::from_secs(4);
    config.limits = SenderLimits {
        silence_timeout: Duration::from_secs(5),
        confirm_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        backoff_max: Duration::from_secs(1),
        backoff_alarm: Duration::from_secs(1),
        ..SenderLimits::default()
    };
    config
}

/// Opens a spool of a device.
pub(crate) fn spool(dir: &Path, number: u64, random: u64) -> Spool<Directory> {
    let opening = Opening {
        new_device: DeviceId::from_u128(number.into()),
        hardware_token: None,
        clock: ClockMark::default(),
        random,
        salt: random,
        limits: Limits {
            segment_bytes: 64 << 10,
            ..Limits::default()
        },
    };
    Spool::open(Directory::open(dir).unwrap(), opening)
        .unwrap()
        .0
}

/// A device that appends records and publishes what is durable until it is confirmed.
pub(crate) struct Device {
    pub(crate) spool: Spool<Directory>,
    pub(crate) publisher: Publisher,
    stream: telemetry_transport::StreamNo,
    /// Names of everything with a durable receipt.
    pub(crate) durable: Vec<RecordId>,
    uncommitted: Vec<RecordId>,
    /// Handed out by the spool, and not taken yet.
    waiting: Option<SpooledBatch>,
    sent: VecDeque<SpooledBatch>,
    confirmed: watch::Receiver<Option<BatchId>>,
    dir: Option<tempfile::TempDir>,
}

impl Device {
    /// A new device.
    pub(crate) fn start(config: AmqpConfig, number: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut device = Self::open(config, dir.path(), number, number);
        device.dir = Some(dir);
        device
    }

    /// A device with a directory of its own; `random` names this opening.
    pub(crate) fn open(config: AmqpConfig, dir: &Path, number: u64, random: u64) -> Self {
        let mut spool = spool(dir, number, random);
        let stream = spool
            .stream(&StreamName::new("test.Sample").unwrap())
            .unwrap();
        let publisher = Publisher::start(config).unwrap();
        Self {
            spool,
            stream,
            confirmed: publisher.confirmed(),
            publisher,
            durable: Vec::new(),
            uncommitted: Vec::new(),
            waiting: None,
            sent: VecDeque::new(),
            dir: None,
        }
    }

    /// Appends records and makes them durable.
    pub(crate) fn append(&mut self, count: u64, bytes: usize) {
        self.append_only(count, bytes);
        self.commit();
    }

    /// Appends records, which are not durable yet.
    pub(crate) fn append_only(&mut self, count: u64, bytes: usize) {
        for _ in 0..count {
            let mut record = single_object::header(SCHEMA).to_vec();
            let at = self.durable.len() + self.uncommitted.len();
            record.extend((at as u64).to_le_bytes());
            record.resize(bytes, 7);
            let receipt = self.spool.append(self.stream, &record, None).unwrap();
            self.uncommitted.push(RecordId {
                device: self.spool.device(),
                epoch: receipt.epoch,
                stream: StreamName::new("test.Sample").unwrap(),
                seq: receipt.seq,
            });
        }
    }

    /// Makes what is appended durable.
    pub(crate) fn commit(&mut self) {
        self.spool.commit().unwrap();
        self.durable.append(&mut self.uncommitted);
    }

    /// Waits until something that was sent is confirmed.
    pub(crate) async fn wait_some_confirmed(&mut self) {
        if let Some(first) = self.sent.front() {
            let confirmed = self.publisher.wait_confirmed(first.id);
            within("a confirmation", confirmed).await.unwrap();
        }
    }

    /// Publishes what is durable, as far as the window has room at the moment.
    pub(crate) async fn publish(&mut self, batch_bytes: usize) {
        while let Some(mut batch) = self.next_batch(batch_bytes) {
            let published = Timestamp::from_micros(0);
            let body = batch.to_batch(Fingerprint(2), published).unwrap();
            let offer = self.publisher.offer(batch.id, &body);
            match tokio::time::timeout(Duration::from_millis(200), offer).await {
                Ok(offered) => {
                    offered.unwrap();
                    self.sent.push_back(batch);
                    self.confirm();
                }
                Err(_) => {
                    self.waiting = Some(batch);
                    return;
                }
            }
        }
    }

    fn next_batch(&mut self, bytes: usize) -> Option<SpooledBatch> {
        let waiting = self.waiting.take();
        waiting.or_else(|| self.spool.next_batch(bytes, 1_000).unwrap())
    }

    /// Frees what is confirmed.
    pub(crate) fn confirm(&mut self) {
        let confirmed = *self.confirmed.borrow_and_update();
        while let Some(batch) = self.sent.pop_front_if(|batch| Some(batch.id) <= confirmed) {
            self.spool.confirm(&batch).unwrap();
        }
    }

    /// Publishes everything that is durable, and waits until it is confirmed.
    pub(crate) async fn drain(&mut self, batch_bytes: usize) {
        let link = self.publisher.link();
        let all = async {
            loop {
                self.publish(batch_bytes).await;
                if self.waiting.is_none() {
                    break;
                }
            }
            if let Some(last) = self.sent.back() {
                self.publisher.wait_confirmed(last.id).await.unwrap();
            }
        };
        let result = tokio::time::timeout(WITHIN, all).await;
        assert!(result.is_ok(), "not confirmed; link: {:?}", *link.borrow());
        self.confirm();
        assert!(self.sent.is_empty());
    }

    /// Waits until the link is as it should be.
    pub(crate) async fn wait_link(&self, what: &str, is: impl Fn(&LinkState) -> bool) {
        let mut link = self.publisher.link();
        within(what, link.wait_for(|state| is(state)))
            .await
            .unwrap();
    }
}

/// What a consumer has made of what it got.
#[derive(Default)]
pub(crate) struct Sink {
    dedup: Dedup,
    /// How often each record took effect.
    pub(crate) effects: BTreeMap<RecordId, u32>,
    /// Batches that came again.
    pub(crate) duplicates: u64,
}

/// Takes everything of a group and counts what it means.
pub(crate) struct Counter {
    pub(crate) sink: Arc<Mutex<Sink>>,
    config: AmqpConfig,
    tell: watch::Sender<usize>,
    news: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counter {
    pub(crate) fn start(config: AmqpConfig) -> Self {
        let (tell, news) = watch::channel(0);
        let mut counter = Self {
            sink: Arc::default(),
            config,
            tell,
            news,
            task: tokio::spawn(async {}),
        };
        counter.restart();
        counter
    }

    /// Ends the consumer without a word, and starts another with what the sink has.
    pub(crate) fn restart(&mut self) {
        self.task.abort();
        let subscribe = SubscribeConfig::default();
        let mut subscription = Subscription::start(self.config.clone(), subscribe).unwrap();
        let (shared, tell) = (Arc::clone(&self.sink), self.tell.clone());
        self.task = tokio::spawn(async move {
            while let Ok(delivery) = subscription.next().await {
                // Every seventh batch is given back first, and has no effect before it comes again.
                let again = delivery.batch.envelope.first_seq.get() % 7 == 0;
                if again && delivery.failures == 0 && !delivery.redelivered {
                    let after = Duration::from_millis(5);
                    if subscription.retry(&delivery, after).await.is_err() {
                        return;
                    }
                    continue;
                }
                let count = shared.lock().unwrap().take(&delivery.batch.envelope);
                if subscription.ack(&delivery).await.is_err() {
                    return;
                }
                tell.send_replace(count);
            }
        });
    }

    /// Waits until every durable record of the devices is here, and says that each took effect once.
    pub(crate) async fn expect(&mut self, devices: &[&Device]) {
        let all = devices.iter().flat_map(|device| &device.durable);
        self.expect_records(all.cloned().collect()).await;
    }

    /// Waits until these records are here, and says that each took effect once.
    pub(crate) async fn expect_records(&mut self, all: Vec<RecordId>) {
        let total = all.len();
        let arrived = self.news.wait_for(|count| *count >= total);
        let result = tokio::time::timeout(WITHIN, arrived).await;
        let sink = self.sink.lock().unwrap();
        let lost = all.iter().filter(|id| !sink.effects.contains_key(id));
        let lost: Vec<_> = lost.collect();
        assert!(
            result.is_ok(),
            "{} of {total} lost, e.g. {:?}",
            lost.len(),
            lost.first()
        );
        assert_eq!(lost.len(), 0, "lost: {:?}", lost.first());
        let twice = sink
            .effects
            .values()
            .filter(|effects| **effects != 1)
            .count();
        assert_eq!(twice, 0, "took effect more than once");
    }

    pub(crate) fn duplicates(&self) -> u64 {
        self.sink.lock().unwrap().duplicates
    }
}

impl Sink {
    /// Makes the new records of a batch take effect; returns how many have.
    fn take(&mut self, envelope: &telemetry_core::Envelope) -> usize {
        let all = envelope.first_seq.get()..=envelope.last_seq().get();
        let fresh = match self.dedup.fresh(envelope) {
            Fresh::All => vec![all],
            Fresh::Nothing => Vec::new(),
            Fresh::Ranges(ranges) => ranges,
        };
        self.duplicates += u64::from(fresh.is_empty());
        for seq in fresh.into_iter().flatten() {
            let id = RecordId {
                device: envelope.device,
                epoch: envelope.epoch,
                stream: envelope.subject.clone(),
                seq: telemetry_core::Seq::new(seq).unwrap(),
            };
            *self.effects.entry(id).or_default() += 1;
        }
        self.dedup.take(envelope);
        self.effects.len()
    }
}
