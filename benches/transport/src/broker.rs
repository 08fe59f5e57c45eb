//! Records per second to and from a quorum queue, with the same broker and the same sizes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use amqprs::callbacks::{ChannelCallback, DefaultConnectionCallback};
use amqprs::channel as rs;
use bytes::Bytes;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use telemetry_core::{
    Batch, ClockMark, DeviceId, Envelope, Epoch, Fingerprint, Seq, StreamName, Timestamp,
};
use telemetry_transport::amqp::{AmqpConfig, Publisher, SubscribeConfig, Subscription};
use telemetry_transport::{BatchId, Directory, Spool};
use testkit::rabbitmq::Cluster;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_stream::StreamExt as _;

use crate::stores::{opening, record};
use crate::{RECORD, Result, cpu, perftest, rate};

/// Records of one per message, and of many.
/// Deliveries on their way, for both consumers.
const PREFETCH: u16 = 1_000;
/// Turns in which each consumer is first.
const ROUNDS: usize = 2;
const SINGLE: u64 = 30_000;
const BATCHED: u64 = 1_000_000;

/// Messages on the way, for peers that want a number.
pub(crate) const WINDOW: usize = 1_000;

pub(crate) fn config(cluster: &Cluster, family: &str) -> AmqpConfig {
    let mut config = AmqpConfig::new([cluster.url(1)]);
    config.topology.family = family.to_owned();
    config.topology.queues = 1;
    config.limits.window_batches = WINDOW;
    config
}

async fn channel(cluster: &Cluster) -> Result<(Connection, Channel)> {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&cluster.url(1), properties).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

/// lapin as its own examples use it: a message a record, a window of confirmations.
async fn plain_lapin(cluster: &Cluster, queue: &str) -> Result<()> {
    let (_connection, channel) = channel(cluster).await?;
    channel.confirm_select(Default::default()).await?;
    let (body, mut open) = (record(), VecDeque::new());
    for _ in 0..SINGLE {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = Default::default();
        let confirm = channel.basic_publish("".into(), queue.into(), options, &body, properties);
        open.push_back(confirm.await?);
        if open.len() >= WINDOW
            && let Some(oldest) = open.pop_front()
        {
            oldest.await?;
        }
    }
    for confirm in open {
        confirm.await?;
    }
    Ok(())
}

struct Counting {
    room: Arc<Semaphore>,
    last: AtomicU64,
}

#[async_trait::async_trait]
impl ChannelCallback for Counting {
    async fn close(
        &mut self,
        _: &rs::Channel,
        _: amqprs::CloseChannel,
    ) -> std::result::Result<(), amqprs::error::Error> {
        Ok(())
    }
    async fn cancel(
        &mut self,
        _: &rs::Channel,
        _: amqprs::Cancel,
    ) -> std::result::Result<(), amqprs::error::Error> {
        Ok(())
    }
    async fn flow(
        &mut self,
        _: &rs::Channel,
        active: bool,
    ) -> std::result::Result<bool, amqprs::error::Error> {
        Ok(active)
    }
    async fn publish_ack(&mut self, _: &rs::Channel, ack: amqprs::Ack) {
        // On one queue, confirmations come in order.
        let tag = ack.delivery_tag();
        let before = self.last.swap(tag, Ordering::Relaxed);
        self.room.add_permits((tag - before) as usize);
    }
    async fn publish_nack(&mut self, _: &rs::Channel, _: amqprs::Nack) {}
    async fn publish_return(
        &mut self,
        _: &rs::Channel,
        _: amqprs::Return,
        _: amqprs::BasicProperties,
        _: Vec<u8>,
    ) {
    }
}

async fn amqprs(cluster: &Cluster, queue: &str) -> Result<()> {
    let address = cluster.address(1);
    let arguments = amqprs::connection::OpenConnectionArguments::new(
        &address.ip().to_string(),
        address.port(),
        "guest",
        "guest",
    );
    let connection = amqprs::connection::Connection::open(&arguments).await?;
    connection
        .register_callback(DefaultConnectionCallback)
        .await?;
    let channel = connection.open_channel(None).await?;
    let room = Arc::new(Semaphore::new(WINDOW));
    let callback = Counting {
        room: Arc::clone(&room),
        last: AtomicU64::new(0),
    };
    channel.register_callback(callback).await?;
    channel
        .confirm_select(rs::ConfirmSelectArguments::default())
        .await?;
    for _ in 0..SINGLE {
        room.acquire().await?.forget();
        let properties = amqprs::BasicProperties::default()
            .with_delivery_mode(2)
            .finish();
        let arguments = rs::BasicPublishArguments::new("", queue);
        channel
            .basic_publish(properties, record(), arguments)
            .await?;
    }
    let _all = room.acquire_many(WINDOW as u32).await?;
    Ok(())
}

/// A batch of one record.
fn batch(number: u64) -> Result<Batch> {
    Ok(Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(1)?,
            subject: StreamName::new("xp.telemetry.ActivitySample")?,
            first_seq: Seq::new(number)?,
            count: 1,
            published: Timestamp::from_micros(0),
            clock: ClockMark::default(),
            schema: Some(Fingerprint(1)),
            content_type: telemetry_core::CONTENT_TYPE_AVRO.to_owned(),
            traceparent: None,
        },
        body: Bytes::from(record()),
    })
}

/// A name without a spool.
fn batch_id(number: u64) -> BatchId {
    BatchId::new(Epoch::default(), number)
}

/// Ours without batching and without a spool: what the publisher costs.
async fn ours_single(cluster: &Cluster, family: &str) -> Result<()> {
    let publisher = Publisher::start(config(cluster, family))?;
    for number in 1..=SINGLE {
        publisher.offer(batch_id(number), &batch(number)?).await?;
    }
    Ok(publisher.wait_confirmed(batch_id(SINGLE)).await?)
}

/// Ours as it is meant: from the spool, synced, in batches of 64 KiB.
async fn ours_batched(cluster: &Cluster, family: &str, dir: &Path) -> Result<()> {
    let mut spool = Spool::open(Directory::open(dir)?, opening(1))?.0;
    let names = ["ActivitySample", "FrameTiming", "InputLatency"];
    let streams = names.map(|name| {
        let name = StreamName::new(&format!("xp.telemetry.{name}"))?;
        Result::Ok(spool.stream(&name)?)
    });
    let streams = streams.into_iter().collect::<Result<Vec<_>>>()?;
    let publisher = Publisher::start(config(cluster, family))?;
    let (record, mut open) = (record(), VecDeque::new());
    let mut confirmed = publisher.confirmed();
    for group in 0..BATCHED / 1_000 {
        for n in 0..1_000 {
            let stream = streams[(group * 1_000 + n) as usize % streams.len()];
            spool.append(stream, &record, None)?;
        }
        spool.commit()?;
        while let Some(mut batch) = spool.next_batch(64 << 10, 1_000)? {
            let body = batch.to_batch(Fingerprint(2), Timestamp::from_micros(0));
            publisher.offer(batch.id, &body.ok_or("empty")?).await?;
            open.push_back(batch);
        }
        let done = *confirmed.borrow_and_update();
        while let Some(batch) = open.pop_front_if(|batch| Some(batch.id) <= done) {
            spool.confirm(&batch)?;
        }
    }
    if let Some(last) = open.back() {
        publisher.wait_confirmed(last.id).await?;
    }
    for batch in open {
        spool.confirm(&batch)?;
    }
    Ok(())
}

/// Time and processor time of taking all messages but the first, which a link still opens for.
#[derive(Clone, Copy, Default)]
struct Taken {
    took: Duration,
    used: Duration,
}

impl Taken {
    async fn measure(mut take: impl AsyncFnMut() -> Result<()>) -> Result<Self> {
        take().await?;
        let (start, used) = (Instant::now(), cpu());
        for _ in 1..SINGLE {
            take().await?;
        }
        Ok(Self {
            took: start.elapsed(),
            used: cpu() - used,
        })
    }
}

/// A consumer that acknowledges each message.
async fn single_ack(cluster: &Cluster, family: &str) -> Result<Taken> {
    let (_connection, channel) = channel(cluster).await?;
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let options = BasicConsumeOptions::default();
    let queue = format!("{family}.raw.0");
    let mut consumer = channel
        .basic_consume(
            queue.as_str().into(),
            "".into(),
            options,
            Default::default(),
        )
        .await?;
    Taken::measure(async || {
        let delivery = consumer.next().await.ok_or("the consumer ended")??;
        delivery.ack(BasicAckOptions::default()).await?;
        Ok(())
    })
    .await
}

async fn ours_consumer(cluster: &Cluster, family: &str) -> Result<Taken> {
    let subscribe = SubscribeConfig {
        prefetch: PREFETCH,
        ack_batches: 256,
        ..SubscribeConfig::default()
    };
    let mut subscription = Subscription::start(config(cluster, family), subscribe)?;
    Taken::measure(async || {
        let delivery = subscription.next().await?;
        Ok(subscription.ack(&delivery).await?)
    })
    .await
}

/// Both consumers take the same messages, turn by turn, each first as often as the other.
fn consume(runtime: &Runtime, cluster: &Cluster) -> Result<()> {
    let names = ["lapin, acknowledging each", "**ours**"];
    let mut sums = [Taken::default(); 2];
    for round in 0..2 * ROUNDS {
        let families = ["one", "other"];
        for family in families {
            runtime.block_on(ours_single(cluster, family))?;
        }
        for i in 0..2 {
            let who = (round + i) % 2;
            let family = families[i];
            let taken = runtime.block_on(async {
                let limit = Duration::from_secs(300);
                match who {
                    0 => tokio::time::timeout(limit, single_ack(cluster, family)).await,
                    _ => tokio::time::timeout(limit, ours_consumer(cluster, family)).await,
                }
            })??;
            sums[who].took += taken.took;
            sums[who].used += taken.used;
        }
    }
    println!("\nconsume messages of a record from a quorum queue, {PREFETCH} on their way\n");
    println!(
        "| consumer | messages/s | of single ack | own processor µs/message |\n|---|---:|---:|---:|"
    );
    let count = 2 * ROUNDS as u64 * (SINGLE - 1);
    for (name, sum) in names.iter().zip(sums) {
        println!(
            "| {name} | {:.0} | {:.1}x | {:.2} |",
            rate(count, sum.took),
            sums[0].took.as_secs_f64() / sum.took.as_secs_f64(),
            sum.used.as_secs_f64() * 1e6 / count as f64
        );
    }
    Ok(())
}

struct Row {
    name: &'static str,
    records: f64,
    /// Of this process; a peer of its own process has none here.
    cpu: Option<f64>,
}

fn cost(row: &Row) -> String {
    row.cpu.map_or("–".to_owned(), |us| format!("{us:.2}"))
}

fn measure(
    runtime: &Runtime,
    rows: &mut Vec<Row>,
    name: &'static str,
    records: u64,
    job: impl Future<Output = Result<()>>,
) -> Result<()> {
    let (start, used) = (Instant::now(), cpu());
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(300), job).await })??;
    let took = start.elapsed();
    rows.push(Row {
        name,
        records: rate(records, took),
        cpu: Some((cpu() - used).as_secs_f64() * 1e6 / records as f64),
    });
    Ok(())
}

/// Records per second that were reached.
pub(crate) struct Capacity {
    pub(crate) ours: f64,
    pub(crate) perftest: Option<f64>,
}

/// Returns what batches reach, and PerfTest.
pub(crate) fn run(runtime: &Runtime, cluster: &Cluster, dir: &Path) -> Result<Capacity> {
    // Queues are there before anything is measured.
    for family in ["plain", "amqprs", "single", "one", "other", "batched"] {
        runtime.block_on(async {
            let publisher = Publisher::start(config(cluster, family))?;
            publisher.offer(batch_id(1), &batch(SINGLE * 2)?).await?;
            Result::Ok(publisher.wait_confirmed(batch_id(1)).await?)
        })?;
    }
    let mut rows = Vec::new();
    measure(
        runtime,
        &mut rows,
        "plain lapin, window 1,000",
        SINGLE,
        plain_lapin(cluster, "plain.0"),
    )?;
    measure(
        runtime,
        &mut rows,
        "amqprs, window 1,000",
        SINGLE,
        amqprs(cluster, "amqprs.0"),
    )?;
    measure(
        runtime,
        &mut rows,
        "ours, a message a record, no spool",
        SINGLE,
        ours_single(cluster, "single"),
    )?;
    measure(
        runtime,
        &mut rows,
        "**ours, spool, 64 KiB batches**",
        BATCHED,
        ours_batched(cluster, "batched", &dir.join("batched")),
    )?;
    let perftest = perftest::publish(&cluster.url(1), RECORD, WINDOW)?;
    if let Some(records) = perftest {
        rows.push(Row {
            name: "PerfTest 2.22.1, window 1,000",
            records,
            cpu: None,
        });
    }
    let base = rows[0].records;
    println!("\npublish to a quorum queue until confirmed, records of {RECORD} B\n");
    println!(
        "| publisher | records/s | of plain lapin | own processor µs/record |\n|---|---:|---:|---:|"
    );
    for row in &rows {
        println!(
            "| {} | {:.0} | {:.1}x | {} |",
            row.name,
            row.records,
            row.records / base,
            cost(row)
        );
    }
    consume(runtime, cluster)?;
    Ok(Capacity {
        ours: rows[3].records,
        perftest,
    })
}
