//! Records per second until durable, interleaved round by round, beside the bare disk.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use telemetry_core::{ClockMark, DeviceId, Fingerprint, StreamName, single_object};
use telemetry_transport::{Directory, Limits, Opening, Spool, StreamNo};

use crate::records::{Mix, STREAMS};
use crate::{RECORD, Result, quantile, rate};

/// Rounds in which every engine has its turn.
const ROUNDS: u64 = 5;

trait Engine {
    fn name(&self) -> &'static str;
    /// Makes so many records durable with one commit.
    fn commit(&mut self, records: u64) -> Result<()>;
    /// What follows a turn and is somebody else's work: not measured.
    fn rest(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn opening(random: u64) -> Opening {
    Opening {
        new_device: DeviceId::from_u128(7),
        hardware_token: None,
        clock: ClockMark::default(),
        random,
        salt: random,
        limits: Limits {
            segment_bytes: 64 << 20,
            total_bytes: 16 << 30,
            ..Limits::default()
        },
    }
}

pub(crate) fn record() -> Vec<u8> {
    let mut record = single_object::header(Fingerprint(1)).to_vec();
    record.resize(RECORD, 7);
    record
}

/// A file whose blocks are written already: one write of the same size, one fdatasync.
struct Raw {
    file: File,
    mix: Mix,
    block: Vec<u8>,
    latencies: Vec<Duration>,
}

impl Raw {
    const LEN: u64 = 64 << 20;

    fn new(dir: &Path) -> Result<Self> {
        let mut file = File::create(dir.join("raw"))?;
        for _ in 0..Self::LEN >> 20 {
            file.write_all(&vec![1; 1 << 20])?;
        }
        file.sync_all()?;
        file.rewind()?;
        Ok(Self {
            file,
            mix: Mix::new(),
            block: Vec::new(),
            latencies: Vec::new(),
        })
    }
}

impl Engine for Raw {
    fn name(&self) -> &'static str {
        "bare fdatasync, same size, written blocks"
    }

    fn commit(&mut self, records: u64) -> Result<()> {
        // What the spool writes for it: frames, and zeros behind.
        let frames = records as usize * 32 + 32;
        self.block.resize(self.mix.bytes(records) + frames, 7);
        if self.file.stream_position()? + self.block.len() as u64 > Self::LEN {
            self.file.rewind()?;
        }
        let start = Instant::now();
        self.file.write_all(&self.block)?;
        self.file.sync_data()?;
        self.latencies.push(start.elapsed());
        Ok(())
    }
}

/// The spool: three streams in turn, and what is durable is taken out and confirmed.
struct Ours {
    spool: Spool<Directory>,
    streams: Vec<StreamNo>,
    mix: Mix,
    latencies: Vec<Duration>,
}

impl Ours {
    fn new(dir: &Path) -> Result<Self> {
        let mut spool = Spool::open(Directory::open(dir.join("spool"))?, opening(1))?.0;
        let streams = STREAMS.map(|name| {
            let name = StreamName::new(&format!("xp.telemetry.{name}"))?;
            Result::Ok(spool.stream(&name)?)
        });
        Ok(Self {
            streams: streams.into_iter().collect::<Result<_>>()?,
            spool,
            mix: Mix::new(),
            latencies: Vec::new(),
        })
    }
}

impl Engine for Ours {
    fn name(&self) -> &'static str {
        "**telemetry-transport spool**"
    }

    fn commit(&mut self, records: u64) -> Result<()> {
        let start = Instant::now();
        for _ in 0..records {
            let (stream, record) = self.mix.next();
            self.spool.append(self.streams[stream], record, None)?;
        }
        self.spool.commit()?;
        self.latencies.push(start.elapsed());
        Ok(())
    }

    /// Takes out what is durable and confirms it, so that segments are used again.
    fn rest(&mut self) -> Result<()> {
        while let Some(batch) = self.spool.next_batch(64 << 10, 1_000)? {
            self.spool.confirm(&batch)?;
        }
        Ok(())
    }
}

struct OkayWal(okaywal::WriteAheadLog, Mix);

impl Engine for OkayWal {
    fn name(&self) -> &'static str {
        "okaywal 0.3"
    }

    fn commit(&mut self, records: u64) -> Result<()> {
        let mut entry = self.0.begin_entry()?;
        for _ in 0..records {
            entry.write_chunk(self.1.next().1)?;
        }
        entry.commit()?;
        Ok(())
    }
}

struct Fjall(fjall::Database, fjall::Keyspace, u64, Mix);

impl Engine for Fjall {
    fn name(&self) -> &'static str {
        "fjall 3, SyncData"
    }

    fn commit(&mut self, records: u64) -> Result<()> {
        let mut batch = self.0.batch();
        for _ in 0..records {
            self.2 += 1;
            batch.insert(&self.1, self.2.to_be_bytes(), self.3.next().1);
        }
        batch.commit()?;
        Ok(self.0.persist(fjall::PersistMode::SyncData)?)
    }
}

struct Redb(redb::Database, u64, Mix);

const TABLE: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("records");

impl Engine for Redb {
    fn name(&self) -> &'static str {
        "redb 4"
    }

    fn commit(&mut self, records: u64) -> Result<()> {
        let write = self.0.begin_write()?;
        let mut table = write.open_table(TABLE)?;
        for _ in 0..records {
            self.1 += 1;
            table.insert(self.1, self.2.next().1)?;
        }
        drop(table);
        Ok(write.commit()?)
    }
}

struct Sqlite(rusqlite::Connection, Mix);

impl Engine for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite, WAL, synchronous=FULL"
    }

    fn commit(&mut self, records: u64) -> Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO records(data) VALUES (?1)")?;
            for _ in 0..records {
                insert.execute([self.1.next().1])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

fn peers(dir: &Path) -> Result<Vec<Box<dyn Engine>>> {
    let wal = okaywal::WriteAheadLog::recover(dir.join("okaywal"), okaywal::LogVoid)?;
    let fjall = fjall::Database::builder(dir.join("fjall")).open()?;
    let keyspace = fjall.keyspace("records", fjall::KeyspaceCreateOptions::default)?;
    let redb = redb::Database::create(dir.join("redb"))?;
    let sqlite = rusqlite::Connection::open(dir.join("sqlite"))?;
    sqlite.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE records(id INTEGER PRIMARY KEY, data BLOB)",
    )?;
    Ok(vec![
        Box::new(OkayWal(wal, Mix::new())),
        Box::new(Fjall(fjall, keyspace, 0, Mix::new())),
        Box::new(Redb(redb, 0, Mix::new())),
        Box::new(Sqlite(sqlite, Mix::new())),
    ])
}

pub(crate) fn run(dir: &Path) -> Result<()> {
    for (records, commits) in [(1, 200), (128, 60), (1_024, 20)] {
        let dir = dir.join(format!("stores-{records}"));
        std::fs::create_dir(&dir)?;
        let (mut raw, mut ours, mut others) = (Raw::new(&dir)?, Ours::new(&dir)?, peers(&dir)?);
        // A first commit makes files and caches.
        ours.commit(records)?;
        ours.latencies.clear();
        let mut took = vec![Duration::ZERO; 2 + others.len()];
        for _ in 0..ROUNDS {
            let all = [&mut raw as &mut dyn Engine, &mut ours];
            let others = others.iter_mut().map(|peer| &mut **peer as &mut dyn Engine);
            for (engine, took) in all.into_iter().chain(others).zip(&mut took) {
                let start = Instant::now();
                for _ in 0..commits {
                    engine.commit(records)?;
                }
                *took += start.elapsed();
                engine.rest()?;
            }
        }
        let all = records * commits * ROUNDS;
        let bare = rate(all, took[0]);
        let own = rate(all, took[1]);
        println!(
            "\n{records} records per commit, the built-in streams in turn, {} B each on average, {} \
             commits, interleaved\n",
            Mix::new().mean(),
            commits * ROUNDS
        );
        println!("| engine | records/s | of the bare disk | ours is |\n|---|---:|---:|---:|");
        let names = [raw.name(), ours.name()];
        let names = names
            .into_iter()
            .chain(others.iter().map(|peer| peer.name()));
        for (name, took) in names.zip(&took) {
            let found = rate(all, *took);
            println!(
                "| {name} | {found:.0} | {:.2} | {:.2}x |",
                found / bare,
                own / found
            );
        }
        raw.latencies.sort_unstable();
        ours.latencies.sort_unstable();
        let (a, b) = (
            quantile(&ours.latencies, 0.99),
            quantile(&raw.latencies, 0.99),
        );
        println!(
            "\np99 append to durable {a:.0?}, bare fdatasync {b:.0?}: {:.1}x",
            a.as_secs_f64() / b.as_secs_f64()
        );
    }
    Ok(())
}

/// How fast a spool with a backlog opens.
pub(crate) fn recovery(dir: &Path) -> Result<()> {
    let path = dir.join("recovery");
    let mut spool = Spool::open(Directory::open(&path)?, opening(1))?.0;
    let stream = spool.stream(&StreamName::new("xp.telemetry.ActivitySample")?)?;
    let record = record();
    while spool.stats().bytes < 512 << 20 {
        for _ in 0..4_096 {
            spool.append(stream, &record, None)?;
        }
        spool.commit()?;
    }
    let bytes = spool.stats().bytes;
    drop(spool);
    let start = Instant::now();
    let (spool, found) = Spool::open(Directory::open(&path)?, opening(2))?;
    let took = start.elapsed();
    let rate = bytes as f64 / took.as_secs_f64() / f64::from(1 << 20);
    println!(
        "\nrecovery: {} MiB, {} frames in {took:.2?}: {rate:.0} MiB/s, {:.1?} a GiB",
        bytes >> 20,
        found.frames,
        Duration::from_secs_f64(1024.0 / rate)
    );
    drop(spool);
    Ok(std::fs::remove_dir_all(path)?)
}
