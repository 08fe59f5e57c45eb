//! One virtual clock, one link, and what goes over it.

mod faults;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use telemetry_core::{Epoch, Instant};
use telemetry_transport::storage::{Effect, SimulatedDisk};
use telemetry_transport::{
    Action, AppendError, BatchId, Recovery, SendError, SenderError, SenderInput, SenderOutput,
    SpooledBatch,
};

use super::broker::{Broker, Consumer};
use super::device::{Device, Disk, Name, key};
use super::fault::Fault;
use super::{Bug, INPUTS};
use crate::Rng;

const MS: u64 = 1_000_000;

/// Events that a healthy world may need to deliver everything.
const PATIENCE: u32 = 20_000;

/// Round trips until a link is up.
const ROUND_TRIPS: u64 = 8;

/// Between two heartbeats of the broker.
const HEARTBEAT: u64 = 4_000 * MS;

/// A batch of 64 KiB at 9,600 bit/s.
const SLOWEST: u64 = 55_000 * MS;

/// What a broker knows a batch by.
fn stored_name(batch: &SpooledBatch) -> (u64, u8, u64) {
    let stream = batch.stream.as_str().as_bytes()[2];
    (batch.epoch.get(), stream, batch.first_seq.get())
}

enum Event {
    /// A batch reaches the broker.
    Arrive {
        connection: u64,
        id: BatchId,
        attempt: u32,
        batch: Rc<SpooledBatch>,
    },
    /// The broker has a batch on its disk.
    Stored {
        start: u64,
        connection: u64,
        id: BatchId,
        attempt: u32,
        batch: Rc<SpooledBatch>,
    },
    /// Something reaches the device.
    Answer {
        connection: u64,
        input: SenderInput,
    },
    /// The broker hands a batch to the consumer.
    Deliver {
        number: u64,
    },
    /// The broker has nothing to say, and says so.
    Heartbeat {
        connection: u64,
    },
    BrokerUp,
    /// Somebody put the password right.
    Operator,
}

pub(super) struct Report {
    pub(super) inputs: u64,
    pub(super) receipts: u64,
    pub(super) injected: [u64; Fault::ALL.len()],
}

pub(super) struct World {
    rng: Rng,
    bug: Bug,
    now: u64,
    /// What the device's clock is ahead of `now`.
    ahead: i64,
    events: BTreeMap<(u64, u64), Event>,
    last_event: u64,
    disk: Disk,
    device: Option<Device>,
    /// Counts links; what comes from an older one is not heard.
    connection: u64,
    dark_until: u64,
    /// When the last word of the link itself arrives.
    told: u64,
    latency: u64,
    /// Time on the wire for a batch.
    transfer: u64,
    /// Links may be slow from their beginning.
    slow_openings: bool,
    /// When the wire is free again.
    wire: u64,
    broker: Broker,
    consumer: Consumer,
    /// A point in the process at which it is killed.
    kill_at: Option<Fault>,
    /// What every name stands for.
    given: HashMap<Name, u64>,
    /// Every durable receipt.
    owed: HashSet<Name>,
    number: u64,
    stored: u64,
    report: Report,
    failure: Option<String>,
    /// Appends that the disk refused in a row.
    refused: u32,
    /// No fault is left.
    healed: bool,
}

impl World {
    pub(super) fn new(seed: u64, bug: Bug) -> Self {
        let disk = Disk {
            disk: SimulatedDisk::default(),
            bug,
            failed_syncs: Rc::new(Cell::new(0)),
            failed_names: Rc::new(Cell::new(0)),
            lock: Rc::default(),
            _held: None,
        };
        Self {
            rng: Rng(seed),
            bug,
            now: 0,
            ahead: 0,
            events: BTreeMap::new(),
            last_event: 0,
            device: None,
            disk,
            connection: 0,
            dark_until: 0,
            told: 0,
            latency: MS,
            transfer: 0,
            slow_openings: true,
            wire: 0,
            broker: Broker::default(),
            consumer: Consumer::default(),
            kill_at: None,
            given: HashMap::new(),
            owed: HashSet::new(),
            number: 0,
            stored: 0,
            report: Report {
                inputs: 0,
                receipts: 0,
                injected: [0; Fault::ALL.len()],
            },
            failure: None,
            refused: 0,
            healed: false,
        }
    }

    /// Runs the faults, heals the world, and looks at what arrived.
    pub(super) fn run(mut self) -> Result<Report, String> {
        while self.report.inputs < INPUTS {
            match self.rng.below(16) {
                0..7 => self.append(),
                7..9 => self.commit(),
                9..13 => {
                    let within = [MS, 20 * MS, 200 * MS, 3_000 * MS][self.rng.below(4) as usize];
                    let for_ = self.rng.below(within);
                    self.pass(for_);
                }
                13 => self.save_cursor(),
                _ => self.inject(),
            }
            self.pump();
            self.failure.take().map_or(Ok(()), Err)?;
        }
        self.heal();
        self.pump();
        let mut patience = PATIENCE;
        while !self.is_quiet() {
            patience -= 1;
            self.start();
            if patience == 0 || !self.next_event(u64::MAX) {
                let batches = self.device.as_ref().map(|device| &device.sent);
                return Err(format!(
                    "batches with attempts {batches:?} never arrive, {} are in the queue",
                    self.broker.queue.len()
                ));
            }
            self.pump();
            self.failure.take().map_or(Ok(()), Err)?;
        }
        for name in &self.owed {
            match self.consumer.effects.get(name) {
                Some(1) => {}
                Some(times) => return Err(format!("{name:?} had its effect {times} times")),
                None => return Err(format!("{name:?} is lost")),
            }
        }
        if let Some((name, times)) = self.consumer.effects.iter().find(|(_, n)| **n > 1) {
            return Err(format!("{name:?} had its effect {times} times"));
        }
        self.report.injected[Fault::SyncError as usize] = self.disk.failed_syncs.get();
        self.report.injected[Fault::NamesError as usize] = self.disk.failed_names.get();
        self.report.receipts = self.owed.len() as u64;
        Ok(self.report)
    }

    fn is_quiet(&self) -> bool {
        let delivered = |d: &Device| {
            d.pending.is_empty() && d.next.is_none() && d.open.is_empty() && d.offered.is_empty()
        };
        self.broker.queue.is_empty() && self.device.as_ref().is_some_and(delivered)
    }

    fn heal(&mut self) {
        self.disk.disk.set_capacity(u64::MAX);
        self.disk.disk.fail_after(u64::MAX);
        self.disk.disk.fail_sync(u64::MAX);
        self.disk.disk.fail_once(u64::MAX, Effect::None);
        self.kill_at = None;
        self.dark_until = 0;
        self.latency = MS;
        self.transfer = 0;
        self.slow_openings = false;
        self.unblock();
        let broker = &mut self.broker;
        broker.refuse = 0;
        broker.too_large = 0;
        broker.lose_confirms = 0;
        broker.no_majority = false;
        broker.wrong_password = false;
        self.consumer.stalled = false;
        self.consumer.dies = false;
        self.consumer.lose_acks = 0;
        self.healed = true;
        self.start();
        // Over the border of a segment at least.
        for _ in 0..20 {
            self.append();
        }
        self.commit();
        self.start();
    }

    // The device.

    fn start(&mut self) {
        if self.device.is_none() {
            let started = Device::start(self.disk.clone(), self.rng.next());
            self.device = self.opened(started);
        }
    }

    /// Looks at what an opening found.
    fn opened(&mut self, opened: Option<(Device, Recovery)>) -> Option<Device> {
        let (device, found) = opened?;
        // Nothing was damaged or removed.
        if (found.corrupt_bytes, found.gaps) != (0, 0) {
            self.failure = Some(format!("an opening found {found:?}"));
        }
        Some(device)
    }

    /// A second process comes while the first one lives.
    fn second_owner(&mut self) {
        let second = self.device.as_ref();
        let second = second.and_then(|_| Device::start(self.disk.clone(), self.rng.next()));
        let Some((mut second, _)) = second else {
            return;
        };
        self.number += 1;
        if second.append(0, self.number).is_ok() && second.spool.commit().is_ok() {
            let pending = second.pending.drain(..);
            for (name, number) in pending {
                self.given.insert(name, number);
                self.owed.insert(name);
            }
        }
    }

    /// Takes the process at `point` down, if that is planned.
    fn dies_at(&mut self, point: Fault) -> bool {
        let dies = self.kill_at == Some(point);
        if dies {
            self.kill_at = None;
            self.count(point);
        }
        dies
    }

    fn kill(&mut self) {
        self.device = None;
        self.disk.forget(&mut self.rng);
        self.cut_link();
    }

    /// Does something in the process, which ends where it returns `None`.
    fn with(&mut self, action: impl FnOnce(&mut Self, &mut Device) -> Option<()>) {
        self.start();
        let Some(mut device) = self.device.take() else {
            // Somebody makes room, or changes the disk.
            self.disk.disk.set_capacity(u64::MAX);
            self.disk.disk.fail_after(u64::MAX);
            return;
        };
        self.report.inputs += 1;
        match action(self, &mut device) {
            Some(()) => self.device = Some(device),
            None => self.cut_link(),
        }
    }

    fn open_again(&mut self) {
        if let Some(device) = self.device.take() {
            self.count(Fault::SpoolOpenedAgain);
            let opened = device.open_again(self.disk.clone(), self.rng.next());
            self.device = self.opened(opened);
            if self.device.is_none() {
                self.cut_link();
            }
        }
    }

    fn append(&mut self) {
        self.with(|world, device| {
            world.number += 1;
            let stream = world.rng.below(3) as usize;
            match device.append(stream, world.number) {
                Ok(()) => world.refused = 0,
                // The disk had no room or no name for a segment, and may have it the next time.
                Err(error @ AppendError::Io(_)) => {
                    world.refused += 1;
                    if world.healed {
                        world.failure = Some(format!("a healthy disk, and {error}"));
                    }
                    return Some(());
                }
                // A spool that takes nothing may be poisoned: it is opened again.
                Err(_) => return None,
            }
            let (name, number) = *device.pending.last()?;
            if world.given.insert(name, number).is_some() {
                world.failure = Some(format!("{name:?} is given twice"));
            }
            (!world.dies_at(Fault::KillAfterAppend)).then_some(())
        });
    }

    fn commit(&mut self) {
        self.with(|world, device| {
            device.spool.commit().ok()?;
            let durable = device.pending.drain(..);
            world.owed.extend(durable.map(|(name, _)| name));
            (!world.dies_at(Fault::KillAfterCommit)).then_some(())
        });
    }

    fn save_cursor(&mut self) {
        self.with(|world, device| {
            device.spool.save_cursor().ok()?;
            (!world.dies_at(Fault::KillAfterCursor)).then_some(())
        });
    }

    fn clock(&self) -> Instant {
        Instant::from_nanos(self.now.saturating_add_signed(self.ahead))
    }

    fn feed(&mut self, device: &mut Device, input: SenderInput) {
        self.report.inputs += 1;
        match device.sender.handle_input(self.clock(), input) {
            Ok(()) | Err(SenderError::NotInFlight { .. } | SenderError::NotRefused { .. }) => {}
            Err(other) => self.failure = Some(other.to_string()),
        }
    }

    /// Moves batches from the spool to the link, as a publisher does.
    fn pump(&mut self) {
        if let Some(mut device) = self.device.take() {
            match self.pump_device(&mut device) {
                Some(()) => self.device = Some(device),
                None => self.cut_link(),
            }
        }
    }

    fn pump_device(&mut self, device: &mut Device) -> Option<()> {
        loop {
            loop {
                if device.next.is_none() {
                    device.next = device.spool.next_batch(40, 5).ok()?.map(Rc::new);
                }
                let has_room = |batch: &mut Rc<SpooledBatch>| {
                    let opening = self.name(batch.id).opening;
                    device.sender.has_room(opening, 40)
                };
                let Some(batch) = device.next.take_if(has_room) else {
                    break;
                };
                self.offer(device, batch);
            }
            let Some(output) = device.sender.poll_output() else {
                return Some(());
            };
            match output {
                SenderOutput::Connect => self.connect(),
                SenderOutput::Disconnect(error) => {
                    self.cut_link();
                    if error.action() == Action::Alarm {
                        let later = self.rng.below(10_000 * MS);
                        self.after(later, Event::Operator);
                    }
                }
                SenderOutput::RepairTopology => self.broker.no_queue = false,
                SenderOutput::Publish { id, attempt } => {
                    self.publish(device, id, attempt)?;
                }
                SenderOutput::Refused { id } => self.set_aside(device, id)?,
                SenderOutput::Done { id } => self.done(device, id)?,
            }
        }
    }

    /// What a batch is called between spool and sender.
    fn name(&self, id: BatchId) -> BatchId {
        match self.bug {
            Bug::NumberOfTwoBatches => BatchId::new(Epoch::default(), id.number),
            _ => id,
        }
    }

    fn offer(&mut self, device: &mut Device, batch: Rc<SpooledBatch>) {
        let (id, bytes) = (self.name(batch.id), batch.bytes());
        device.open.push_back(Rc::clone(&batch));
        self.report.inputs += 1;
        let input = SenderInput::Offer { id, bytes };
        match device.sender.handle_input(self.clock(), input) {
            Ok(()) => drop(device.offered.insert(key(id), batch)),
            Err(SenderError::Name { .. }) if self.bug == Bug::NumberOfTwoBatches => {}
            Err(other) => self.failure = Some(other.to_string()),
        }
    }

    /// Confirms a batch to its spool, which the broker has to have on its disk by then.
    fn confirm(&mut self, device: &mut Device, batch: &SpooledBatch) -> Option<()> {
        let name = stored_name(batch);
        if !self.broker.known.contains(&name) {
            self.failure = Some(format!("{name:?} is confirmed and nowhere"));
        }
        device.spool.confirm(batch).ok()
    }

    /// Keeps a batch elsewhere that the broker never takes: that counts as arrived.
    fn set_aside(&mut self, device: &mut Device, id: BatchId) -> Option<()> {
        let batch = device.offered.get(&key(id))?.clone();
        if let Err(failure) = self.consumer.take(&batch, &self.given, self.bug) {
            self.failure = Some(failure);
        }
        self.broker.known.insert(stored_name(&batch));
        self.feed(device, SenderInput::SetAside { id });
        Some(())
    }

    /// The sender is done with everything up to a batch.
    fn done(&mut self, device: &mut Device, id: BatchId) -> Option<()> {
        device.offered.remove(&key(id))?;
        device.sent.remove(&key(id));
        if self.dies_at(Fault::KillAfterConfirm) {
            return None;
        }
        if self.bug == Bug::ConfirmOfAnEarlierOpening {
            let same = |batch: &Rc<SpooledBatch>| batch.id.number == id.number;
            let offered = device.open.iter().position(same);
            let batch = offered.and_then(|at| device.open.remove(at));
            if let Some(batch) = batch.or_else(|| device.next.clone().filter(same)) {
                self.confirm(device, &batch)?;
            }
            return Some(());
        }
        while let Some(batch) = device.open.pop_front_if(|b| self.name(b.id) <= id) {
            self.confirm(device, &batch)?;
        }
        Some(())
    }

    fn publish(&mut self, device: &mut Device, id: BatchId, attempt: u32) -> Option<()> {
        let batch = device.offered.get(&key(id))?.clone();
        device.sent.insert(key(id), attempt);
        if self.bug == Bug::EarlyFree && id.opening == device.spool.epoch() {
            self.confirm(device, &batch)?;
        }
        if self.bug == Bug::ResendForgotten && attempt > 1 {
            return Some(());
        }
        if self.now < self.dark_until {
            self.count(Fault::BlackHole);
        } else {
            self.wire = self.wire.max(self.now) + self.transfer;
            let at = self.wire + self.latency;
            let connection = self.connection;
            self.at(
                at,
                Event::Arrive {
                    connection,
                    id,
                    attempt,
                    batch,
                },
            );
            if self.transfer > 0 {
                self.count(Fault::Bandwidth);
                // Bytes leave one by one, or the system takes all of them at once.
                let visible = self.rng.below(2) == 0;
                let first = if visible { self.now } else { self.wire };
                for at in (first..=self.wire).step_by(HEARTBEAT as usize) {
                    let input = SenderInput::Progress;
                    self.at(at, Event::Answer { connection, input });
                }
            }
        }
        (!self.dies_at(Fault::KillAfterPublish)).then_some(())
    }

    /// Something from the link, as the adapter tells it; bugs of an adapter are here.
    fn hear(&mut self, device: &mut Device, input: SenderInput) {
        use SenderInput::{Confirmed, Failed};
        let input = match (self.bug, input) {
            (Bug::LostReturn, Failed(SendError::Returned { id, attempt }))
            | (Bug::LostNack, Failed(SendError::Nacked { id, attempt })) => {
                Confirmed { id, attempt }
            }
            (Bug::LateConfirm, Confirmed { id, attempt }) => Confirmed {
                id,
                attempt: device.sent.get(&key(id)).copied().unwrap_or(attempt),
            },
            (Bug::ConfirmOfAnother, Confirmed { id, attempt }) => {
                let other = device.sent.iter().find(|(other, _)| **other != key(id));
                let (&(opening, number), &attempt) = other.unwrap_or((&key(id), &attempt));
                let id = BatchId::new(opening, number);
                Confirmed { id, attempt }
            }
            (Bug::WrongWatermark, Confirmed { id, .. }) => {
                let before = device.sent.range((id.opening, 0)..key(id));
                let before: Vec<_> = before.map(|(at, n)| (at.1, *n)).collect();
                for (number, attempt) in before {
                    let id = BatchId::new(id.opening, number);
                    self.feed(device, Confirmed { id, attempt });
                }
                input
            }
            _ => input,
        };
        self.feed(device, input);
    }

    // The link.

    fn connect(&mut self) {
        self.connection += 1;
        self.wire = self.now;
        if self.slow_openings && self.rng.below(8) == 0 {
            self.count(Fault::SlowOpening);
            self.latency = [125, 300, 1_000][self.rng.below(3) as usize] * MS;
            self.transfer = self.rng.below(2) * SLOWEST;
        }
        let answer = if self.now < self.dark_until {
            self.count(Fault::ConnectHangs);
            return;
        } else if self.broker.down {
            self.count(Fault::ConnectRefused);
            SenderInput::Failed(SendError::LinkLost)
        } else if self.broker.wrong_password {
            self.count(Fault::WrongPassword);
            SenderInput::Failed(SendError::Credentials)
        } else {
            let connection = self.connection;
            for trip in 1..ROUND_TRIPS {
                let (at, input) = (self.now + trip * 2 * self.latency, SenderInput::Heard);
                self.at(at, Event::Answer { connection, input });
            }
            self.told = self.told.max(self.now + ROUND_TRIPS * 2 * self.latency);
            self.at(self.told + HEARTBEAT, Event::Heartbeat { connection });
            SenderInput::LinkUp
        };
        self.tell(answer);
        if self.broker.blocked && answer == SenderInput::LinkUp {
            self.tell(SenderInput::Blocked);
        }
    }

    fn answer(&mut self, connection: u64, input: SenderInput, later: u64) {
        if self.now < self.dark_until {
            return self.count(Fault::BlackHole);
        }
        let at = self.now + self.latency + later;
        self.at(at, Event::Answer { connection, input });
    }

    /// What the link itself says comes in order, after the dark: a heartbeat finds it in the end.
    fn tell(&mut self, input: SenderInput) {
        let at = self.now.max(self.dark_until) + self.latency;
        self.told = self.told.max(at);
        let connection = self.connection;
        self.at(self.told, Event::Answer { connection, input });
    }

    /// Ends the link: half of what is on the way to the broker arrives.
    fn cut_link(&mut self) {
        self.connection += 1;
        let rng = &mut self.rng;
        self.events.retain(|_, event| match event {
            Event::Arrive { .. } => rng.below(2) == 0,
            Event::Answer { .. } => false,
            _ => true,
        });
    }

    fn reset(&mut self) {
        self.cut_link();
        self.tell(SenderInput::Failed(SendError::LinkLost));
    }

    // The broker and the consumer.

    fn arrive(&mut self, connection: u64, id: BatchId, attempt: u32, batch: Rc<SpooledBatch>) {
        if self.broker.down {
            return;
        }
        if self.broker.no_majority {
            return self.count(Fault::Partition);
        }
        let confirm = SenderInput::Confirmed { id, attempt };
        if self.broker.no_queue {
            self.count(Fault::Return);
            let error = SendError::Returned { id, attempt };
            self.answer(connection, SenderInput::Failed(error), 0);
            self.count(Fault::ConfirmAfterReturn);
            let later = self.rng.below(300 * MS);
            return self.answer(connection, confirm, later);
        }
        if self.broker.refuse > 0 {
            self.broker.refuse -= 1;
            self.count(Fault::Nack);
            let error = SendError::Nacked { id, attempt };
            return self.answer(connection, SenderInput::Failed(error), 0);
        }
        if self.broker.too_large > 0 {
            self.broker.too_large -= 1;
            self.count(Fault::TooLarge);
            let (bytes, limit) = (batch.bytes(), 0);
            let error = SendError::TooLarge { id, bytes, limit };
            return self.answer(connection, SenderInput::Failed(error), 0);
        }
        if self.bug == Bug::ConfirmBeforeSync {
            self.answer(connection, confirm, 0);
        }
        let start = self.broker.start;
        let sync = self.rng.below(30 * MS);
        self.after(
            sync,
            Event::Stored {
                start,
                connection,
                id,
                attempt,
                batch,
            },
        );
    }

    fn store(&mut self, connection: u64, id: BatchId, attempt: u32, batch: Rc<SpooledBatch>) {
        if !self.broker.known.insert(stored_name(&batch)) {
            self.count(Fault::PublishedTwice);
        }
        self.stored += 1;
        self.broker.queue.insert(self.stored, batch);
        let number = self.stored;
        self.after(0, Event::Deliver { number });
        if self.broker.lose_confirms > 0 {
            self.broker.lose_confirms -= 1;
            self.count(Fault::ConfirmLost);
        } else if self.bug != Bug::ConfirmBeforeSync {
            let later = match self.rng.below(4) {
                0 => {
                    self.count(Fault::ConfirmOutOfOrder);
                    self.rng.below(100 * MS)
                }
                _ => 0,
            };
            self.answer(connection, SenderInput::Confirmed { id, attempt }, later);
        }
    }

    fn deliver(&mut self, number: u64) {
        let Some(batch) = self.broker.queue.get(&number).cloned() else {
            return;
        };
        if self.broker.down {
            return;
        }
        let later = self.rng.below(500 * MS) + MS;
        if self.consumer.stalled {
            self.count(Fault::ConsumerStall);
            return self.after(later, Event::Deliver { number });
        }
        if self.bug == Bug::AckBeforeEffect {
            self.broker.queue.remove(&number);
        }
        if self.consumer.dies {
            self.consumer.dies = false;
            self.consumer.restart(self.bug);
            self.count(Fault::ConsumerKill);
            return self.after(later, Event::Deliver { number });
        }
        if let Err(failure) = self.consumer.take(&batch, &self.given, self.bug) {
            self.failure = Some(failure);
        }
        if self.consumer.lose_acks > 0 {
            self.consumer.lose_acks -= 1;
            self.count(Fault::DeliveredTwice);
            return self.after(later, Event::Deliver { number });
        }
        self.broker.queue.remove(&number);
    }

    fn stop_broker(&mut self) {
        self.broker.start += 1;
        self.broker.down = true;
        self.broker.blocked = false;
        self.reset();
        let down = self.rng.below(20_000 * MS);
        self.after(down, Event::BrokerUp);
    }

    fn unblock(&mut self) {
        if std::mem::take(&mut self.broker.blocked) {
            self.tell(SenderInput::Unblocked);
        }
    }

    // Time.

    fn at(&mut self, at: u64, event: Event) {
        self.last_event += 1;
        self.events.insert((at, self.last_event), event);
    }

    fn after(&mut self, later: u64, event: Event) {
        self.at(self.now + later, event);
    }

    fn pass(&mut self, for_: u64) {
        let until = self.now + for_;
        while self.failure.is_none() && self.next_event(until) {
            self.pump();
        }
        self.now = until;
    }

    /// When the sender wants to be woken.
    fn due(&self) -> Option<u64> {
        let due = self.device.as_ref()?.sender.poll_timeout()?;
        let due = due
            .as_nanos()
            .saturating_add_signed(self.ahead.saturating_neg());
        Some(due.max(self.now))
    }

    /// The next thing that happens until then.
    fn next_event(&mut self, until: u64) -> bool {
        let event = self.events.first_key_value().map(|(at, _)| at.0);
        let due = self.due();
        let Some(at) = event.into_iter().chain(due).min().filter(|at| *at <= until) else {
            return false;
        };
        self.now = self.now.max(at);
        if event.is_none_or(|event| due.is_some_and(|due| due < event)) {
            if let Some(mut device) = self.device.take() {
                self.feed(&mut device, SenderInput::Tick);
                self.device = Some(device);
            }
            return true;
        }
        match self.events.pop_first() {
            Some((_, event)) => self.happen(event),
            None => return false,
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive {
                connection,
                id,
                attempt,
                batch,
            } => self.arrive(connection, id, attempt, batch),
            Event::Stored {
                start,
                connection,
                id,
                attempt,
                batch,
            } => {
                if start == self.broker.start {
                    self.store(connection, id, attempt, batch);
                }
            }
            Event::Answer { connection, input } => {
                if connection == self.connection
                    && let Some(mut device) = self.device.take()
                {
                    self.hear(&mut device, input);
                    self.device = Some(device);
                }
            }
            Event::Deliver { number } => self.deliver(number),
            Event::Heartbeat { connection } if connection == self.connection => {
                self.answer(connection, SenderInput::Heard, 0);
                self.after(HEARTBEAT, Event::Heartbeat { connection });
            }
            Event::Heartbeat { .. } => {}
            Event::BrokerUp => {
                self.broker.down = false;
                let numbers: Vec<_> = self.broker.queue.keys().copied().collect();
                for number in numbers {
                    self.after(0, Event::Deliver { number });
                }
            }
            // On the broker: the device is far away.
            Event::Operator => self.broker.wrong_password = false,
        }
    }
}
