//! A spool that many append to: one commit for all, nothing lost, nobody left waiting.

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use telemetry_transport::shared::{Appender, Batches, SharedError, SharedLimits};
use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{
    AppendError, CommitError, ConfirmError, Directory, FileId, FileKind, Opening, Spool, Storage,
    StorageError, StreamNo, WhenFull,
};

use crate::spool::{name, opening, record};

/// A disk whose syncs of segments can be held.
struct Gate {
    disk: SimulatedDisk,
    syncs: Arc<AtomicU64>,
    held: Arc<AtomicBool>,
    begun: SyncSender<()>,
    go: Receiver<()>,
}

/// The other side of a gate.
struct Keeper {
    disk: SimulatedDisk,
    syncs: Arc<AtomicU64>,
    held: Arc<AtomicBool>,
    begun: Receiver<()>,
    go: SyncSender<()>,
}

impl Keeper {
    /// Holds the next sync. It has begun when this returns.
    fn hold(&self, start: impl FnOnce()) {
        self.held.store(true, Ordering::SeqCst);
        start();
        self.begun.recv().unwrap();
        self.held.store(false, Ordering::SeqCst);
    }

    fn let_go(&self) {
        self.go.send(()).unwrap();
    }

    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }
}

fn gate() -> (Gate, Keeper) {
    let (disk, syncs) = (SimulatedDisk::default(), Arc::new(AtomicU64::new(0)));
    let held = Arc::new(AtomicBool::new(false));
    let ((begun_tx, begun), (go, go_rx)) = (sync_channel(1), sync_channel(1));
    let gate = Gate {
        disk: disk.clone(),
        syncs: Arc::clone(&syncs),
        held: Arc::clone(&held),
        begun: begun_tx,
        go: go_rx,
    };
    let keeper = Keeper {
        disk,
        syncs,
        held,
        begun,
        go,
    };
    (gate, keeper)
}

impl Storage for Gate {
    fn list(&mut self) -> Result<Vec<FileId>, StorageError> {
        self.disk.list()
    }
    fn create(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        self.disk.create(file, len)
    }
    fn len(&mut self, file: FileId) -> Result<u64, StorageError> {
        self.disk.len(file)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), StorageError> {
        self.disk.truncate(file, len)
    }
    fn read(
        &mut self,
        file: FileId,
        offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        self.disk.read(file, offset, len, out)
    }
    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.disk.write(file, offset, bytes)
    }
    fn sync(&mut self, file: FileId) -> Result<(), StorageError> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if file.kind == FileKind::Segment && self.held.load(Ordering::SeqCst) {
            self.begun.send(()).unwrap();
            self.go.recv().unwrap();
        }
        self.disk.sync(file)
    }
    fn rename(&mut self, from: FileId, to: FileId) -> Result<(), StorageError> {
        self.disk.rename(from, to)
    }
    fn remove(&mut self, file: FileId) -> Result<(), StorageError> {
        self.disk.remove(file)
    }
    fn sync_names(&mut self) -> Result<(), StorageError> {
        self.disk.sync_names()
    }
}

fn share<S: Storage + Send + 'static>(storage: S) -> (Appender<S>, Batches<S>, StreamNo) {
    let mut spool = Spool::open(storage, opening(Opening::new().unwrap().random))
        .unwrap()
        .0;
    let stream = spool.stream(&name("a.A")).unwrap();
    spool.commit().unwrap();
    let (appender, batches) = spool.share(SharedLimits::default()).unwrap();
    (appender, batches, stream)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let mut runtime = runtime;
    runtime.enable_time().build().unwrap().block_on(test);
}

/// The numbers in the records that a spool on this disk still hands out.
fn left(disk: impl Storage) -> Vec<u64> {
    let mut spool = Spool::open(disk, opening(2)).unwrap().0;
    let mut found = Vec::new();
    while let Some(batch) = spool.next_batch(1000, 9).unwrap() {
        let numbers = batch.datums();
        found.extend(numbers.map(|d| u64::from_le_bytes(d[..8].try_into().unwrap())));
    }
    found
}

#[test]
fn what_arrives_during_a_commit_shares_the_next_one() {
    let (gate, keeper) = gate();
    let (appender, _batches, stream) = share(gate);
    run(async {
        let before = keeper.syncs();
        let mut first = None;
        keeper.hold(|| first = Some(appender.try_append(stream, record(0), None).unwrap()));
        let tasks: Vec<_> = (1..=20)
            .map(|n| {
                let appender = appender.clone();
                tokio::spawn(async move { appender.append(stream, record(n), None).await })
            })
            .collect();
        // Every task has asked.
        tokio::task::yield_now().await;
        keeper.let_go();
        assert_eq!(first.unwrap().await.unwrap().seq.get(), 1);
        let durable = |position| position < appender.stats().watermarks.durable;
        for (task, seq) in tasks.into_iter().zip(2..) {
            let receipt = task.await.unwrap().unwrap();
            assert_eq!(receipt.seq.get(), seq, "in the order of asking");
            assert!(durable(receipt.position));
        }
        assert_eq!(keeper.syncs() - before, 2, "one commit each");
        let stats = appender.stats();
        assert_eq!((stats.append.count(), stats.commit.count()), (21, 2));
        assert_eq!(stats.commit_records.sum(), 21);
        assert!(stats.oldest.is_some());
    });
}

#[test]
fn a_dropped_append_loses_nothing_and_wedges_nobody() {
    let (gate, keeper) = gate();
    let (appender, batches, stream) = share(gate);
    run(async {
        let mut taken = None;
        keeper.hold(|| taken = Some(appender.try_append(stream, record(0), None).unwrap()));
        // Its commit has begun: it is appended, whoever waits.
        drop(taken);
        let ask = |n| {
            let appender = appender.clone();
            tokio::spawn(async move { appender.append(stream, record(n), None).await })
        };
        let (one, two, three) = (ask(1), ask(2), ask(3));
        tokio::task::yield_now().await;
        two.abort();
        assert!(two.await.unwrap_err().is_cancelled());
        // Handed over for good.
        drop(appender.try_append(stream, record(4), None).unwrap());
        keeper.let_go();
        assert_eq!(one.await.unwrap().unwrap().seq.get(), 2);
        assert_eq!(three.await.unwrap().unwrap().seq.get(), 3);
        let drained = appender.drain(ready(())).await.unwrap();
        assert_eq!(drained.left, 4, "what the next opening hands out");
    });
    drop(batches);
    assert_eq!(left(keeper.disk), [0, 1, 3, 4]);
}

#[test]
fn a_full_spool_makes_append_wait_and_try_append_refuse() {
    let (appender, mut batches, stream) = share(SimulatedDisk::default());
    run(async {
        let filling = appender.clone();
        let filling = tokio::spawn(async move {
            for n in 0..2_000 {
                filling.append(stream, record(n), None).await.unwrap();
            }
        });
        let mut stats = appender.watch_stats();
        stats.wait_for(|s| s.spool.refused > 0).await.unwrap();
        // Somebody waits, gives up, and is in nobody's way.
        let waiting = appender.clone();
        let waiting =
            tokio::spawn(async move { waiting.append(stream, record(9_999), None).await });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        let refused = match appender.try_append(stream, record(0), None) {
            Ok(pending) => pending.await.unwrap_err(),
            Err(error) => error,
        };
        let full = matches!(
            refused,
            SharedError::Append(AppendError::Full { limit: 65536, .. })
        );
        assert!(full, "{refused:?}");
        let mut next = 0;
        while next < 2_000 {
            let batch = batches.next().await.unwrap().unwrap();
            for datum in batch.datums() {
                assert_eq!(u64::from_le_bytes(datum[..8].try_into().unwrap()), next);
                next += 1;
            }
            batches.confirm(batch).unwrap();
        }
        filling.await.unwrap();
    });
}

#[test]
fn a_queue_that_is_full_makes_append_wait_and_try_append_say_so() {
    let (gate, keeper) = gate();
    let mut spool = Spool::open(gate, opening(1)).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    spool.commit().unwrap();
    let limits = SharedLimits {
        queue_bytes: 1_000,
        ..SharedLimits::default()
    };
    let (appender, _batches) = spool.share(limits).unwrap();
    run(async {
        let mut kept = Vec::new();
        keeper.hold(|| kept.push(appender.try_append(stream, record(0), None).unwrap()));
        // Its room comes back with its receipt; the rest is for so many.
        let refused = loop {
            match appender.try_append(stream, record(0), None) {
                Ok(pending) => kept.push(pending),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, SharedError::Busy { limit: 1_000 }));
        assert_eq!(kept.len(), 6);
        let waiting = appender.clone();
        let waiting = tokio::spawn(async move { waiting.append(stream, record(1), None).await });
        tokio::task::yield_now().await;
        keeper.let_go();
        assert_eq!(waiting.await.unwrap().unwrap().seq.get(), 7);
        // Larger than the queue: it takes all of it.
        let large = [record(2), vec![0; 1_800]].concat();
        appender.append(stream, large, None).await.unwrap();
    });
}

#[test]
fn a_failed_sync_reaches_everyone_in_its_commit() {
    let (gate, keeper) = gate();
    let (appender, mut batches, stream) = share(gate);
    run(async {
        appender.append(stream, record(0), None).await.unwrap();
        let mut kept = Vec::new();
        keeper.hold(|| kept.push(appender.try_append(stream, record(1), None).unwrap()));
        keeper.disk.fail_sync(0);
        let called = appender.clone();
        let called = tokio::spawn(async move { called.with(|spool| spool.epoch()).await });
        for n in 2..5 {
            kept.push(appender.try_append(stream, record(n), None).unwrap());
        }
        tokio::task::yield_now().await;
        keeper.let_go();
        let first = kept.remove(0).await.unwrap_err();
        let io = matches!(
            first,
            SharedError::Append(AppendError::Commit(CommitError::Io(_)))
        );
        assert!(io, "{first:?}");
        for pending in kept {
            let error = pending.await.unwrap_err();
            let poisoned = matches!(error, SharedError::Append(AppendError::Poisoned));
            assert!(poisoned, "{error:?}");
        }
        assert!(called.await.unwrap().is_ok(), "it appended nothing");
        // What is durable is still carried on.
        let batch = batches.next().await.unwrap().unwrap();
        assert_eq!(batch.count(), 1);
        batches.confirm(batch).unwrap();
        let stats = appender.drain(pending()).await.unwrap().stats;
        assert_eq!(stats.spool.confirmed, 1);
    });
}

#[test]
fn a_batch_of_another_opening_is_refused_and_confirms_nothing() {
    let disk = SimulatedDisk::default();
    let (appender, mut batches, stream) = share(disk.clone());
    let mut former = None;
    run(async {
        for n in 0..3 {
            appender.append(stream, record(n), None).await.unwrap();
        }
        former = batches.next().await.unwrap();
        appender.drain(ready(())).await.unwrap();
    });
    let (appender, mut batches, _) = share(disk.clone());
    run(async {
        let batch = batches.next().await.unwrap().unwrap();
        let former = former.unwrap();
        assert_eq!(batch.id.number, former.id.number);
        assert_ne!(batch.id, former.id);
        let refused = batches.confirm(former).unwrap_err();
        assert!(matches!(refused, ConfirmError::NotHandedOut { .. }));
        let stats = appender.drain(ready(())).await.unwrap().stats;
        assert_eq!((stats.spool.confirmed, stats.spool.depth_records), (0, 3));
    });
    assert_eq!(left(disk), [0, 1, 2]);
}

#[test]
fn draining_ends_when_all_is_confirmed_or_time_is_up() {
    let disk = SimulatedDisk::default();
    let (appender, mut batches, stream) = share(disk.clone());
    run(async {
        let kept: Vec<_> = (0..10)
            .map(|n| appender.try_append(stream, record(n), None).unwrap())
            .collect();
        let taking = tokio::spawn(async move {
            while let Some(batch) = batches.next().await.unwrap() {
                batches.confirm(batch).unwrap();
            }
        });
        let stats = appender.drain(pending()).await.unwrap().stats;
        assert_eq!((stats.spool.confirmed, stats.spool.depth_records), (10, 0));
        assert_eq!(stats.confirm.count(), stats.batch_records.count());
        assert_eq!(stats.oldest, None);
        taking.await.unwrap();
        for pending in kept {
            let receipt = pending.await.unwrap();
            appender.wait_confirmed(&receipt).await.unwrap();
        }
        let late = appender.append(stream, record(10), None).await;
        assert!(matches!(late, Err(SharedError::Ended)));
        let late = appender.try_append(stream, record(10), None);
        assert!(matches!(late, Err(SharedError::Ended)));
    });
    assert_eq!(left(disk), [] as [u64; 0]);

    let disk = SimulatedDisk::default();
    let (appender, mut batches, stream) = share(disk.clone());
    run(async {
        appender.append(stream, record(0), None).await.unwrap();
        let batch = batches.next().await.unwrap().unwrap();
        let stats = appender.drain(ready(())).await.unwrap().stats;
        assert_eq!(stats.spool.depth_records, 1);
        // Too late.
        batches.confirm(batch).unwrap();
        assert!(batches.next().await.unwrap().is_none());
    });
    assert_eq!(left(disk), [0]);
}

#[test]
fn the_thread_ends_with_its_last_handle_or_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let (appender, batches, stream) = share(Directory::open(dir.path()).unwrap());
    run(async {
        let kept = appender.try_append(stream, record(0), None).unwrap();
        let mut stats = appender.watch_stats();
        drop((appender, batches));
        while stats.changed().await.is_ok() {}
        kept.await.unwrap();
    });
    // The directory is free again.
    let (appender, mut batches, _) = share(Directory::open(dir.path()).unwrap());
    run(async {
        assert_eq!(batches.next().await.unwrap().unwrap().count(), 1);
        let other = appender.clone();
        let panicked = appender.with(|_| panic!("a call's own fault")).await;
        assert!(matches!(panicked, Err(SharedError::Ended)));
        let after = other.with(|spool| spool.epoch()).await;
        assert!(matches!(after, Err(SharedError::Ended)));
        assert!(batches.next().await.unwrap().is_none());
    });
}

#[test]
fn dropping_the_oldest_never_makes_anybody_wait() {
    let mut dropping = opening(1);
    dropping.limits.when_full = WhenFull::DropOldest;
    let mut spool = Spool::open(SimulatedDisk::default(), dropping).unwrap().0;
    let stream = spool.stream(&name("a.A")).unwrap();
    let (appender, mut batches) = spool.share(SharedLimits::default()).unwrap();
    run(async {
        for n in 0..2_000 {
            appender.append(stream, record(n), None).await.unwrap();
        }
        let (mut last, mut taken) = (0, 0);
        while last < 1_999 {
            let batch = batches.next().await.unwrap().unwrap();
            for datum in batch.datums() {
                last = u64::from_le_bytes(datum[..8].try_into().unwrap());
                taken += 1;
            }
            batches.confirm(batch).unwrap();
        }
        let stats = appender.drain(pending()).await.unwrap().stats;
        assert_eq!(stats.spool.dropped + taken, 2_000);
        assert!(taken < 1_000);
    });
}

#[cfg(feature = "amqp")]
#[test]
fn publishing_ends_at_a_schema_that_nobody_knows() {
    use telemetry_transport::amqp::{AmqpConfig, Publisher};
    use telemetry_transport::shared::PublishError;

    let (appender, batches, stream) = share(SimulatedDisk::default());
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        // Nobody listens there, and nobody has to.
        let publisher = Publisher::start(AmqpConfig::new(["amqp://127.0.0.1:1/%2f"])).unwrap();
        appender.append(stream, record(0), None).await.unwrap();
        let published = batches.publish(&publisher, |_| None, |_, _| unreachable!());
        let error = published.await.unwrap_err();
        let PublishError::UnknownSchema { stream, schema } = error else {
            panic!("{error}");
        };
        let expected = (name("a.A"), telemetry_core::Fingerprint(1));
        assert_eq!((stream, schema), expected);
        // What was not published is still there.
        let stats = appender.drain(pending()).await.unwrap().stats;
        assert_eq!(stats.spool.depth_records, 1);
    });
}
