//! `xpt queue bench`: how fast a spool is on this disk, and on the way to a broker.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lapin::{Connection, ConnectionProperties};
use serde_json::{Value, json};
use telemetry_core::{Fingerprint, StreamName, Timestamp, single_object};
use telemetry_transport::amqp::{AmqpConfig, Publisher};
use telemetry_transport::shared::{SharedError, SharedLimits};
use telemetry_transport::{Directory, Opening, Spool, StreamNo};

use terminal::Terminal;

use crate::answer::{Answer, Failure, Table};
use crate::broker;

/// Bytes of a record, with its header.
const RECORD: usize = 200;

/// Bytes of a record's frame before it.
const FRAME: usize = telemetry_transport::journal::FRAME_LEN;

/// Commits of one engine before the other has its turn.
const TURN: usize = 8;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Bench {
    /// A folder on the disk to measure. The measurement works in a new folder in it, and removes that at
    /// the end.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Also publish to a broker until confirmed: `amqps://user:password@host/vhost`. The user must
    /// be allowed to declare and delete `xpt-bench-*`.
    #[arg(long)]
    amqp: Option<String>,
    /// How many seconds to measure with each number of records in a commit.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How many records to publish to the broker.
    #[arg(long, default_value_t = 200_000)]
    records: u64,
}

/// A new folder, which goes when the bench ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(format!("xpt-bench-{}", std::process::id()));
        // Never one that is there.
        fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is named after the bench, and says so.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

/// A person waits for it.
fn say(what: &str) {
    Terminal::new().warn(format_args!("{what} …"));
}

fn failed(error: impl std::fmt::Display) -> Failure {
    error.to_string()
}

fn record() -> Vec<u8> {
    let mut record = single_object::header(Fingerprint(1)).to_vec();
    record.resize(RECORD, 7);
    record
}

fn open(dir: &Path) -> Result<(Spool<Directory>, StreamNo), Failure> {
    let opening = Opening::new().map_err(failed)?;
    let storage = Directory::open(dir).map_err(failed)?;
    let (mut spool, _) = Spool::open(storage, opening).map_err(failed)?;
    let name = StreamName::new("xpt.Bench").map_err(failed)?;
    let stream = spool.stream(&name).map_err(failed)?;
    Ok((spool, stream))
}

/// How long each commit took.
#[derive(Default)]
struct Took(Vec<Duration>);

impl Took {
    fn rate(&self, each: usize) -> f64 {
        let all: Duration = self.0.iter().sum();
        (each * self.0.len()) as f64 / all.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Microseconds below which a part of all lies.
    fn micros(&mut self, part: f64) -> Value {
        self.0.sort_unstable();
        let at = (self.0.len() as f64 * part) as usize;
        let found = self.0.get(at.min(self.0.len().saturating_sub(1)));
        json!(found.map(|took| took.as_micros() as u64))
    }
}

fn round(value: f64, digits: i32) -> Value {
    let scale = 10_f64.powi(digits);
    json!((value * scale).round() / scale)
}

fn mib(records: f64) -> Value {
    round(records * RECORD as f64 / f64::from(1 << 20), 1)
}

/// A row without latencies.
fn rate_alone(what: &str, records: f64) -> [Value; 7] {
    let none = || Value::Null;
    let [rate, bytes] = [round(records, 0), mib(records)];
    [json!(what), rate, bytes, none(), none(), none(), none()]
}

impl Bench {
    /// Measures.
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let scratch = Scratch::new(&self.dir)?;
        let mut table = Table::new([
            "what",
            "records/s",
            "MiB/s",
            "of bare disk",
            "p50 us",
            "p99 us",
            "bare p99 us",
        ]);
        for each in [1, 128, 1_024] {
            say(&format!("{each} records a commit"));
            table.row(self.append(&scratch.0, each)?);
        }
        say("recovery");
        table.row(recovery(&scratch.0)?);
        if let Some(url) = &self.amqp {
            say("the broker");
            table.row(publish(&scratch.0, url, self.records)?);
        }
        Ok(table.fine())
    }

    /// The spool and the bare disk in turns: the same bytes, one write and one sync.
    fn append(&self, dir: &Path, each: usize) -> Result<[Value; 7], Failure> {
        let bare_path = dir.join("bare");
        let (mut spool, stream) = open(&dir.join(format!("append-{each}")))?;
        let (mut bare, mut own, record) = (Took::default(), Took::default(), record());
        // Written blocks, as the spool's segments are.
        let len = 16 << 20;
        let mut file = File::create(&bare_path).map_err(failed)?;
        file.write_all(&vec![1; len]).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        file.rewind().map_err(failed)?;
        let block = vec![7; each * (RECORD + FRAME) + FRAME];
        let mut at = 0;
        let budget = Duration::from_secs_f64(self.seconds.clamp(0.01, 3_600.0));
        let start = now();
        while start.elapsed() < budget {
            for _ in 0..TURN {
                if at + block.len() > len {
                    file.rewind().map_err(failed)?;
                    at = 0;
                }
                let start = now();
                file.write_all(&block).map_err(failed)?;
                file.sync_data().map_err(failed)?;
                bare.0.push(start.elapsed());
                at += block.len();
            }
            for _ in 0..TURN {
                let start = now();
                for _ in 0..each {
                    spool.append(stream, &record, None).map_err(failed)?;
                }
                spool.commit().map_err(failed)?;
                own.0.push(start.elapsed());
                // Somebody else's work: what is confirmed frees segments to be used again.
                while let Some(batch) = spool.next_batch(64 << 10, 1_000).map_err(failed)? {
                    spool.confirm(&batch).map_err(failed)?;
                }
            }
        }
        fs::remove_file(bare_path).map_err(failed)?;
        let (rate, disk) = (own.rate(each), bare.rate(each));
        Ok([
            json!(format!("append, {each} a commit")),
            round(rate, 0),
            mib(rate),
            round(rate / disk, 2),
            own.micros(0.5),
            own.micros(0.99),
            bare.micros(0.99),
        ])
    }
}

/// How fast a spool with a backlog opens.
fn recovery(dir: &Path) -> Result<[Value; 7], Failure> {
    let dir = dir.join("recovery");
    let (mut spool, stream) = open(&dir)?;
    let record = record();
    while spool.stats().bytes < 64 << 20 {
        for _ in 0..1_024 {
            spool.append(stream, &record, None).map_err(failed)?;
        }
        spool.commit().map_err(failed)?;
    }
    let records = spool.stats().depth_records;
    drop(spool);
    let start = now();
    let (spool, _) = open(&dir)?;
    let rate = records as f64 / start.elapsed().as_secs_f64();
    let found = spool.stats().depth_records;
    if found != records {
        return Err(format!("{records} records were durable, {found} came back"));
    }
    Ok(rate_alone("recovery", rate))
}

/// From append to confirmed, through exchanges and queues of the bench's own.
fn publish(dir: &Path, url: &str, records: u64) -> Result<[Value; 7], Failure> {
    broker::reach(url)?;
    let host = broker::host(url);
    let family = format!("xpt-bench-{}", std::process::id());
    let mut config = AmqpConfig::new([url]);
    if url.starts_with("amqps:") {
        config.tls = Some(broker::tls()?);
    }
    config.topology.family.clone_from(&family);
    config.topology.queues = 1;
    broker::wait(async {
        let published = send(&dir.join("publish"), config, records).await;
        let deleted = delete(url, &family).await.map_err(failed);
        let rate = published.map_err(|error| format!("{host}: {error}"))?;
        deleted.map_err(|e| format!("{host}: {family}.* is left on the broker: {e}"))?;
        Ok(rate_alone("append to confirmed by the broker", rate))
    })?
}

async fn send(dir: &Path, config: AmqpConfig, records: u64) -> Result<f64, Failure> {
    let (spool, stream) = open(dir)?;
    let publisher = Publisher::start(config).map_err(failed)?;
    let mut link = publisher.link();
    let up = link.wait_for(|link| *link == telemetry_transport::amqp::LinkState::Up);
    let up = tokio::time::timeout(Duration::from_secs(30), up).await;
    up.map_err(|_| "the broker does not answer; look at the URL, the user and its log")?
        .map_err(failed)?;
    let (appender, batches) = spool.share(SharedLimits::default()).map_err(failed)?;
    let publishing = batches.publish(
        &publisher,
        |batch| batch.to_batch(Fingerprint(2), Timestamp::from_micros(0)),
        |_, refused| Err(std::io::Error::other(refused.to_string())),
    );
    let start = now();
    let appending = async {
        let (record, mut pending) = (bytes::Bytes::from(record()), VecDeque::new());
        for _ in 0..records {
            loop {
                match appender.try_append(stream, record.clone(), None) {
                    Ok(one) => break pending.push_back(one),
                    // The oldest one's commit makes room.
                    Err(SharedError::Busy { .. }) => match pending.pop_front() {
                        Some(one) => one.await.map(drop).map_err(failed)?,
                        None => tokio::task::yield_now().await,
                    },
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        let deadline = tokio::time::sleep(Duration::from_secs(120));
        let stats = appender.drain(deadline).await.map_err(failed)?.stats;
        Ok(stats.spool.confirmed)
    };
    let (published, confirmed) = tokio::join!(publishing, appending);
    published.map_err(failed)?;
    let took = start.elapsed().as_secs_f64();
    match confirmed? {
        all if all == records => Ok(records as f64 / took),
        some => Err(format!("{some} of {records} records were confirmed")),
    }
}

/// Removes what the publisher declared.
async fn delete(url: &str, family: &str) -> lapin::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    for queue in ["raw.0", "dlq"] {
        let name = format!("{family}.{queue}");
        channel
            .queue_delete(name.into(), Default::default())
            .await?;
    }
    for exchange in ["raw", "raw.hash", "raw.queues", "dlx"] {
        let name = format!("{family}.{exchange}");
        channel
            .exchange_delete(name.into(), Default::default())
            .await?;
    }
    connection.close(200, "done".into()).await
}
