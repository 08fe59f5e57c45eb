//! A consumer reads the disk while others append, commit and free segments.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use telemetry_transport::storage::SimulatedDisk;
use telemetry_transport::{EmbeddedLog, FileId, FileReader, Storage, StorageError};

use crate::embedded_loss::{LIMITS, batch};

/// The next read tells that it has begun, and goes on when it is told to.
type Hold = Arc<Mutex<Option<(SyncSender<()>, Receiver<()>)>>>;

fn wait(hold: &Hold) {
    // The lock ends here: others read meanwhile.
    let held = hold.lock().unwrap().take();
    if let Some((begun, go)) = held {
        begun.send(()).unwrap();
        go.recv().unwrap();
    }
}

struct Disk {
    disk: SimulatedDisk,
    hold: Hold,
}

#[derive(Debug)]
struct Reader {
    reader: Box<dyn FileReader>,
    hold: Hold,
}

impl FileReader for Reader {
    fn read(&mut self, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), StorageError> {
        wait(&self.hold);
        self.reader.read(offset, len, out)
    }
}

impl Storage for Disk {
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
        wait(&self.hold);
        self.disk.read(file, offset, len, out)
    }
    fn reader(&mut self, file: FileId) -> Result<Option<Box<dyn FileReader>>, StorageError> {
        let hold = Arc::clone(&self.hold);
        let reader = self.disk.reader(file)?;
        Ok(reader.map(|reader| Box::new(Reader { reader, hold }) as Box<dyn FileReader>))
    }
    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.disk.write(file, offset, bytes)
    }
    fn sync(&mut self, file: FileId) -> Result<(), StorageError> {
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

/// Runs `meanwhile` while a consumer reads; what the consumer got, and the log.
fn during_a_read(meanwhile: impl FnOnce(&EmbeddedLog<Disk>)) -> (Vec<u64>, EmbeddedLog<Disk>) {
    let hold = Hold::default();
    let disk = Disk {
        disk: SimulatedDisk::default(),
        hold: Arc::clone(&hold),
    };
    let log = EmbeddedLog::open(disk, LIMITS).unwrap().0;
    let consumer = &mut log.subscribe("etl").unwrap();
    for n in 1..=3 {
        log.append(&batch(n)).unwrap();
    }
    log.commit().unwrap();
    let ((begun_tx, begun), (go, go_rx)) = (sync_channel(1), sync_channel(1));
    *hold.lock().unwrap() = Some((begun_tx, go_rx));
    let appended = &log;
    // With its own end of the channel: a failed test does not leave the reader waiting.
    let seen = thread::scope(move |scope| {
        let reading = scope.spawn(|| {
            let group = consumer.take_group(9).unwrap();
            let names = group.iter().map(|d| d.batch.envelope.first_seq.get());
            names.collect::<Vec<_>>()
        });
        begun.recv().unwrap();
        meanwhile(appended);
        go.send(()).unwrap();
        reading.join().unwrap()
    });
    (seen, log)
}

#[test]
fn a_consumer_that_reads_holds_up_nobody_who_appends() {
    let (seen, log) = during_a_read(|log| {
        log.append(&batch(4)).unwrap();
        log.commit().unwrap();
    });
    assert_eq!(seen[..3], [1, 2, 3]);
    assert_eq!(log.stats().damaged_bytes, 0);
}

#[test]
fn a_segment_that_is_freed_while_it_is_read_is_not_damage() {
    let (seen, log) = during_a_read(|log| {
        // Nobody needs the segment any more: it is used again for what follows.
        let mut all = log.subscribe("all").unwrap();
        log.unsubscribe("etl").unwrap();
        for n in 4..60 {
            let group = all.take_group(9).unwrap();
            let tokens: Vec<_> = group.iter().map(|d| d.token).collect();
            all.acknowledge(&tokens).unwrap();
            log.append(&batch(n)).unwrap();
            log.commit().unwrap();
        }
    });
    assert!(seen.iter().all(|n| *n > 3), "{seen:?}");
    assert_eq!(log.stats().damaged_bytes, 0);
}
