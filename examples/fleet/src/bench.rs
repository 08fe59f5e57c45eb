//! Measures each stage from the agent's append to the stored row; the screen is measured apart.
//!
//! Two threads, as on a machine with two cores: a device that encodes, appends, commits and hands
//! over; a consumer that stores. Processor time is each thread's own.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use activity::{Activity, ActivityError, Survey};
use rustix::time::{ClockId, clock_gettime};
use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord as _, DeviceId, Instant, Schema, Timestamp};
use telemetry_storage::{SqliteOptions, SqliteStore};
use telemetry_transport::{Directory, EmbeddedLog, Limits, Origin, Producer, ProducerError};

use crate::agent::opening;
use crate::clock::{DeviceClock, Now, Stopwatch};
use crate::conductor::{RunError, new_folder};
use crate::firmware::Firmware;
use crate::storing::{Storing, StoringError};
use crate::tracker::{Handle, Step, TrackerSpec};

/// Records between two commits of the spool.
const GROUP: usize = 1_024;

/// Groups on the way from the device to the consumer.
const AHEAD: usize = 16;

/// What stops a measurement.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A part that runs also use.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The device's side.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The consumer's side.
    #[error(transparent)]
    Storing(#[from] StoringError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Not every record was stored.
    #[error("{stored} of {records} records were stored")]
    Lost {
        /// Records that went in.
        records: u64,
        /// Records that came out.
        stored: u64,
    },
    /// The consumer's thread ended without a word.
    #[error("the consumer ended without a word")]
    Gone,
}

macro_rules! run_error {
    ($($error:ty),+) => {
        $(impl From<$error> for BenchError {
            fn from(error: $error) -> Self {
                Self::Run(error.into())
            }
        })+
    };
}
run_error!(
    telemetry_transport::OpenError,
    telemetry_transport::AppendError,
    telemetry_transport::CommitError,
    telemetry_transport::ConsumeError,
    telemetry_storage::StoreError
);

/// Time spent in a stage.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    real: Duration,
    processor: Duration,
}

impl Spent {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (watch, before) = (Stopwatch::start(), processor_time());
        let out = work();
        self.processor += processor_time().saturating_sub(before);
        self.real += watch.elapsed();
        out
    }
}

/// Processor time of this thread, or of the whole process.
fn processor_time_of(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

fn processor_time() -> Duration {
    processor_time_of(ClockId::ThreadCPUTime)
}

/// The result, as a table.
#[derive(Debug)]
pub struct Table {
    records: u64,
    drawn: u64,
    screen: Spent,
    encode: Spent,
    append: Spent,
    hand_over: Spent,
    store: Spent,
    whole: Duration,
    peak_quarter: u64,
    peak: u64,
    store_bytes: u64,
    other_bytes: u64,
}

/// Carries `records` from a device to rows and measures.
pub fn run(records: u64) -> Result<Table, BenchError> {
    let dir = new_folder(Path::new("fleet-data"))?;
    let table = measure(&dir, records);
    fs::remove_dir_all(&dir)?;
    table
}

/// An activity through the workout screen and the shim to the agent: a record and a frame a second
/// of virtual time, with a commit each.
fn screen(dir: &Path) -> Result<(u64, Spent), BenchError> {
    let activity = Activity::built_in().swap_remove(2);
    let start = Timestamp::from_micros(1_700_000_000_000_000);
    let summary = Survey::of(&activity).summary;
    let tracker = Handle::start(TrackerSpec {
        index: 0,
        source: activity.name().to_owned(),
        clock: DeviceClock::new(&summary, start, Duration::ZERO),
        activity,
        firmware: Firmware::V2,
        starts: Duration::ZERO,
        dir: dir.join("screen"),
        stored: 0,
        device: DeviceId::from_u128(2),
        random: 2,
    })?;
    let mut now = Now::new(start, Duration::ZERO);
    let (watch, before) = (
        Stopwatch::start(),
        processor_time_of(ClockId::ProcessCPUTime),
    );
    let drawn = loop {
        tracker.step(Step {
            now,
            link_up: true,
            confirmed: true,
            show: false,
            fault: None,
        });
        let answer = tracker.answer().ok_or(BenchError::Gone)?;
        let state = answer.map_err(RunError::from)?.state;
        if state.done {
            break state.counts.records;
        }
        now = now.after(Duration::from_secs(1));
    };
    let processor = processor_time_of(ClockId::ProcessCPUTime).saturating_sub(before);
    tracker.end();
    let real = watch.elapsed();
    Ok((drawn, Spent { real, processor }))
}

fn measure(dir: &Path, records: u64) -> Result<Table, BenchError> {
    let (drawn, screen) = screen(dir)?;
    let store = SqliteStore::open(&dir.join("store.sqlite"), SqliteOptions::default())?;
    let (log, _) = EmbeddedLog::open(Directory::open(dir.join("log"))?, Limits::default())?;
    let storing = Storing::new(log.subscribe("etl")?, &store)?;
    let (tell, told) = sync_channel(AHEAD);
    let watch = Stopwatch::start();
    let consumer = std::thread::Builder::new()
        .name("consumer".to_owned())
        .spawn(move || consume(storing, &store, &told))?;
    let device = produce(dir, &log, records, &tell);
    drop(tell);
    let (store, stored) = consumer.join().map_err(|_| BenchError::Gone)??;
    let (encode, append, hand_over, peak_quarter) = device?;
    let whole = watch.elapsed();
    if stored != records {
        return Err(BenchError::Lost { records, stored });
    }
    let store_bytes = ["store.sqlite", "store.sqlite-wal"]
        .iter()
        .map(|name| fs::metadata(dir.join(name)).map_or(0, |m| m.len()))
        .sum();
    Ok(Table {
        records,
        drawn,
        screen,
        encode,
        append,
        hand_over,
        store,
        whole,
        peak_quarter,
        peak: peak_memory(),
        store_bytes,
        other_bytes: size_of(dir)? - store_bytes,
    })
}

type Produced = (Spent, Spent, Spent, u64);

fn produce(
    dir: &Path,
    log: &EmbeddedLog<Directory>,
    records: u64,
    tell: &SyncSender<()>,
) -> Result<Produced, BenchError> {
    let (mut encode, mut append, mut hand_over) =
        (Spent::default(), Spent::default(), Spent::default());
    let now = Now::new(
        Timestamp::from_micros(1_700_000_000_000_000),
        Duration::ZERO,
    );
    let instant = Instant::from_nanos(0);
    let device = DeviceId::from_u128(1);
    let mut producer = Producer::open(&dir.join("device"), opening(device, now.at())?, 1)?;
    let schema =
        Schema::parse(ActivitySample::SCHEMA).map_err(|e| ProducerError::Schema(e.to_string()))?;
    let stream = producer.announce(&schema)?;
    let source = producer.spool_mut().source("bench")?;
    producer.link(instant, true)?;

    let activities = Activity::built_in();
    let mut samples = activities[0].samples().map_err(wrong_file)?;
    let mut messages = Vec::with_capacity(GROUP);
    let mut peak_quarter = 0;
    let mut serial = 0;
    while serial < records {
        messages.clear();
        // Reading the file is no stage: it is read again and again to have enough.
        let mut group = Vec::with_capacity(GROUP);
        while group.len() < GROUP && serial + (group.len() as u64) < records {
            match samples.next() {
                Some(sample) => group.push(sample),
                None => samples = activities[0].samples().map_err(wrong_file)?,
            }
        }
        encode.measure(|| {
            for (i, sample) in group.iter_mut().enumerate() {
                sample.serial = serial + 1 + i as u64;
                let time = now.wall() + Duration::from_secs(sample.serial);
                messages.push(Firmware::V2.encode("bench", time, sample));
            }
        });
        append.measure(|| -> Result<(), BenchError> {
            for message in &messages {
                serial += 1;
                producer.pass_on(stream, message, Some(Origin { source, serial }))?;
            }
            producer.commit()?;
            Ok(())
        })?;
        hand_over.measure(|| -> Result<(), BenchError> {
            let mut batches = Vec::new();
            producer.publish(instant, now.wall(), &mut batches)?;
            for batch in &batches {
                log.append(batch)?;
            }
            log.commit()?;
            producer.confirm(instant, |_| {})?;
            Ok(())
        })?;
        if peak_quarter == 0 && serial >= records / 4 {
            peak_quarter = peak_memory();
        }
        if tell.send(()).is_err() {
            // The consumer has ended and will say why.
            break;
        }
    }
    Ok((encode, append, hand_over, peak_quarter))
}

fn consume(
    mut storing: Storing,
    store: &SqliteStore,
    told: &Receiver<()>,
) -> Result<(Spent, u64), BenchError> {
    let mut spent = Spent::default();
    let start = Timestamp::from_micros(1_700_000_000_000_000);
    let now = Now::new(start, Duration::ZERO).at();
    while told.recv().is_ok() {
        spent.measure(|| -> Result<(), BenchError> { Ok(storing.drain(now, store)?) })?;
    }
    Ok((spent, storing.tally().samples))
}

fn wrong_file(error: ActivityError) -> BenchError {
    BenchError::Run(RunError::Tracker(error.into()))
}

/// Most memory this process ever had, in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let mut text = String::new();
    let read = fs::File::open("/proc/self/status")
        .and_then(|file| file.take(1 << 16).read_to_string(&mut text));
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    match (read, kib) {
        (Ok(_), Some(kib)) => kib * 1024,
        _ => 0,
    }
}

fn size_of(dir: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() {
            size_of(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(sum)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.records as f64;
        writeln!(f, "| stage | records/s | processor µs/record |")?;
        writeln!(f, "|---|---:|---:|")?;
        writeln!(
            f,
            "| screen and shim, with one frame and one commit per record | {:.0} | {:.0} |",
            self.drawn as f64 / self.screen.real.as_secs_f64().max(1e-9),
            self.screen.processor.as_secs_f64() * 1e6 / self.drawn as f64
        )?;
        let mut line = |name: &str, real: Duration, processor: Duration| {
            let rate = n / real.as_secs_f64().max(1e-9);
            let cost = processor.as_secs_f64() * 1e6 / n;
            writeln!(f, "| {name} | {rate:.0} | {cost:.2} |")
        };
        line("encode", self.encode.real, self.encode.processor)?;
        line(
            "append and commit, 1,024 records per commit",
            self.append.real,
            self.append.processor,
        )?;
        line(
            "build batches, log them, confirm them",
            self.hand_over.real,
            self.hand_over.processor,
        )?;
        line(
            "decode, enrich and store",
            self.store.real,
            self.store.processor,
        )?;
        let all = [self.append, self.hand_over, self.store];
        line(
            "**all stages from append to store**",
            self.whole,
            all.iter().map(|s| s.processor).sum(),
        )?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let per = |bytes: u64| bytes as f64 / n;
        writeln!(f)?;
        writeln!(
            f,
            "peak memory {:.1} MiB after a quarter of the records, {:.1} MiB at the end",
            mib(self.peak_quarter),
            mib(self.peak)
        )?;
        write!(
            f,
            "on disk {:.0} bytes/record in the store, {:.0} in spool and log",
            per(self.store_bytes),
            per(self.other_bytes)
        )
    }
}
