//! The sender: which batch to publish when, without a connection.

pub(crate) mod backoff;
pub(crate) mod dial;
mod error;
#[cfg(any(feature = "amqp", feature = "producer"))]
pub(crate) mod outgoing;
mod patience;
#[cfg(test)]
mod tests;
mod window;

use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;

use telemetry_core::{Epoch, Instant};

use crate::BatchId;
use backoff::{Backoff, Random};
use dial::{Dial, Due};
pub use error::{Action, SendError, SenderError};
use patience::Patience;
use window::{Flight, Window};

/// Bounds of what is published and not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderLimits {
    /// Batches at the beginning, and as long as nothing fails; default 256.
    pub window_batches: usize,
    /// Batches that a fast and long link may get; default 4,096.
    pub window_batches_max: usize,
    /// Bytes; default 16 MiB. One batch may have more.
    pub window_bytes: usize,
    /// Longest time in which no byte moves either way although batches are in flight, before the link
    /// counts as dead; default 10 s. The receiver's heartbeats have to come more often.
    pub silence_timeout: Duration,
    /// Longest time in which no byte of a batch moves and nothing is confirmed, although the receiver
    /// is there; default 30 s. Doubles with every link that it ends, until something is confirmed: how
    /// much a slow way holds shows only in time.
    pub confirm_timeout: Duration,
    /// What it doubles to at most; default 10 min.
    pub confirm_timeout_max: Duration,
    /// Longest time in which no byte moves while connecting; default 10 s.
    pub connect_timeout: Duration,
    /// Longest first delay after a failure; it doubles with every other one. Default 100 ms.
    pub backoff_first: Duration,
    /// Longest delay after any number of failures; default 30 s.
    pub backoff_max: Duration,
    /// Longest delay after failures that a person has to look at ([`Action::Alarm`]); default 5 min.
    pub backoff_alarm: Duration,
}

impl Default for SenderLimits {
    fn default() -> Self {
        Self {
            window_batches: 256,
            window_batches_max: 4096,
            window_bytes: 16 << 20,
            silence_timeout: Duration::from_secs(10),
            confirm_timeout: Duration::from_secs(30),
            confirm_timeout_max: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(10),
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            backoff_alarm: Duration::from_secs(300),
        }
    }
}

/// What happens to a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderInput {
    /// A batch to deliver, named by the caller.
    Offer {
        /// Its name, larger than the one before in its opening, e.g. the `id` of a spooled batch.
        id: BatchId,
        /// Its size.
        bytes: usize,
    },
    /// The receiver has a batch for good.
    Confirmed {
        /// Its name.
        id: BatchId,
        /// Which [`SenderOutput::Publish`] the receiver answers.
        attempt: u32,
    },
    /// Somebody keeps a batch elsewhere that the receiver [never takes](SenderOutput::Refused): it
    /// counts as confirmed.
    SetAside {
        /// Its name.
        id: BatchId,
    },
    /// A batch or the link failed; the sender does what [`SendError::action`] says.
    Failed(SendError),
    /// Bytes went to the receiver: slow is not dead.
    Progress,
    /// Bytes came from the receiver: it is there, whatever it confirms.
    Heard,
    /// The receiver takes nothing for now.
    Blocked,
    /// The receiver takes batches again.
    Unblocked,
    /// A new link works.
    LinkUp,
    /// Somebody changed what was wrong, or the network is back: connect without waiting.
    ConnectNow,
    /// Time has passed.
    Tick,
}

/// What a sender wants done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderOutput {
    /// Open a link, then say [`LinkUp`](SenderInput::LinkUp) or [`Failed`](SenderInput::Failed).
    Connect,
    /// Drop the link, without another input about it: a [`Connect`](Self::Connect) follows. Where
    /// the error says [`Action::Alarm`], tell a person.
    Disconnect(SendError),
    /// Declare queues and bindings again, on this link and before what is published next.
    RepairTopology,
    /// Publish a batch, perhaps again.
    Publish {
        /// Its name.
        id: BatchId,
        /// Counts from 1; the answer names it.
        attempt: u32,
    },
    /// The receiver never takes the batch. The others go on, and nothing counts as done beyond it
    /// before [`SetAside`](SenderInput::SetAside).
    Refused {
        /// Its name.
        id: BatchId,
    },
    /// The batch and all offered before it are confirmed.
    Done {
        /// Its name.
        id: BatchId,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be published.
    Ready,
    /// Published on this link.
    InFlight(Flight),
    /// Refused: waits for `retry_at`.
    PutOff,
    /// Never taken: waits to be set aside.
    Refused,
    Confirmed,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    id: BatchId,
    bytes: usize,
    attempt: u32,
    /// Refused before.
    refused: bool,
    state: State,
}

/// Sends batches until each is confirmed, and reports the confirmed prefix.
///
/// Batches are published in the order of their names; one that was refused comes later. A sender
/// may outlive the spool whose batches it sends: the batches of its next opening are taken once all
/// of the opening before are confirmed.
/// Every input and output costs at most O(window).
#[derive(Debug)]
pub struct Sender {
    limits: SenderLimits,
    random: Random,
    now: Instant,
    dial: Dial,
    blocked: bool,
    /// Batches of one opening: their numbers find and order them.
    slots: VecDeque<Slot>,
    bytes: usize,
    /// Numbers of the slots that are ready.
    ready: BTreeSet<u64>,
    in_flight: usize,
    /// Offered last.
    last: Option<BatchId>,
    done: Option<BatchId>,
    /// Last time that anything moved, also what says only that the receiver is there.
    heard: Instant,
    /// Last time that a batch came further.
    progress: Instant,
    patience: Patience,
    window: Window,
    refusing: Backoff,
    retry_at: Option<Instant>,
    /// All but [`SenderOutput::Publish`], which is made when it is taken.
    outputs: VecDeque<SenderOutput>,
}

impl Sender {
    /// A sender that wants to connect; `seed` spreads the delays of many senders.
    pub fn new(limits: SenderLimits, seed: u64) -> Self {
        Self {
            window: Window::new(limits.window_batches, limits.window_batches_max),
            limits,
            random: Random::new(seed),
            now: Instant::default(),
            dial: Dial::new(),
            blocked: false,
            slots: VecDeque::new(),
            bytes: 0,
            ready: BTreeSet::new(),
            in_flight: 0,
            last: None,
            done: None,
            heard: Instant::default(),
            progress: Instant::default(),
            patience: Patience::new(limits.confirm_timeout, limits.confirm_timeout_max),
            refusing: Backoff::default(),
            retry_at: None,
            outputs: VecDeque::new(),
        }
    }

    /// Whether a batch of `bytes` that an opening hands out may be offered now.
    pub fn has_room(&self, opening: Epoch, bytes: usize) -> bool {
        let first = self.slots.front();
        self.outputs.len() < self.limits.window_batches_max
            && first.is_none_or(|first| {
                first.id.opening == opening
                    && self.slots.len() < self.window.batches()
                    && self.bytes.saturating_add(bytes) <= self.limits.window_bytes
            })
    }

    /// Name of the last batch that is confirmed together with all offered before it.
    pub const fn watermark(&self) -> Option<BatchId> {
        self.done
    }

    /// Batches that the window takes now.
    pub const fn window(&self) -> usize {
        self.window.batches()
    }

    /// Takes an input; a refused one changes nothing. A `now` that goes back stands still.
    pub fn handle_input(&mut self, now: Instant, input: SenderInput) -> Result<(), SenderError> {
        self.now = self.now.max(now);
        match input {
            SenderInput::Offer { id, bytes } => self.offer(id, bytes)?,
            SenderInput::Confirmed { id, attempt } => self.confirm(id, attempt)?,
            SenderInput::SetAside { id } => self.set_aside(id)?,
            SenderInput::Failed(error) => self.fail(error)?,
            SenderInput::Progress => {
                self.progress = self.now;
                self.hear();
            }
            SenderInput::Heard => self.hear(),
            SenderInput::Blocked => self.blocked = true,
            SenderInput::Unblocked => {
                self.blocked = false;
                self.progress = self.now;
                self.hear();
            }
            SenderInput::LinkUp => {
                self.drop_link();
                self.dial.up();
                self.progress = self.now;
                self.hear();
                self.window.new_link();
            }
            SenderInput::ConnectNow => self.dial.connect_now(self.now),
            SenderInput::Tick => self.tick(),
        }
        Ok(())
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<SenderOutput> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if !self.dial.is_up() || self.blocked {
            return None;
        }
        if self.in_flight >= self.window.batches() {
            self.window.limit();
            return None;
        }
        let opening = self.slots.front()?.id.opening;
        let id = BatchId::new(opening, self.ready.pop_first()?);
        let at = self.find(id)?;
        let slot = &mut self.slots[at];
        slot.attempt = slot.attempt.wrapping_add(1);
        slot.state = State::InFlight(self.window.publish(self.now));
        if self.in_flight == 0 {
            self.progress = self.now;
            self.heard = self.now;
        }
        self.in_flight += 1;
        let attempt = slot.attempt;
        Some(SenderOutput::Publish { id, attempt })
    }

    /// When to send [`SenderInput::Tick`] if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dead = self.dead_at().map(|(at, _)| at);
        let timers = [self.dial.poll_timeout(), dead, self.retry_at];
        timers.into_iter().flatten().min()
    }

    /// When the link counts as dead, and as what; `None` where nothing is due on it.
    fn dead_at(&self) -> Option<(Instant, SendError)> {
        if !self.dial.is_up() || self.blocked || self.in_flight == 0 {
            return None;
        }
        let in_flight = self.in_flight;
        let limit = self.limits.silence_timeout;
        let silent = (self.heard + limit, SendError::Silent { in_flight, limit });
        let limit = self.patience.limit();
        let late = (
            self.progress + limit,
            SendError::ConfirmTimeout { in_flight, limit },
        );
        Some(if silent.0 <= late.0 { silent } else { late })
    }

    fn hear(&mut self) {
        self.heard = self.now;
        self.dial.moved(self.now, &self.limits);
    }

    fn find(&self, id: BatchId) -> Option<usize> {
        let number = |slot: &Slot| slot.id.number;
        let at = self.slots.binary_search_by_key(&id.number, number).ok()?;
        (self.slots[at].id == id).then_some(at)
    }

    /// The slot of an attempt that is in flight, and what was known then.
    fn in_flight(&self, id: BatchId, attempt: u32) -> Result<(usize, Flight), SenderError> {
        self.find(id)
            .and_then(|at| match self.slots[at] {
                Slot {
                    state: State::InFlight(flight),
                    attempt: current,
                    ..
                } if current == attempt => Some((at, flight)),
                _ => None,
            })
            .ok_or(SenderError::NotInFlight { id, attempt })
    }

    fn offer(&mut self, id: BatchId, bytes: usize) -> Result<(), SenderError> {
        if let Some(last) = self.last.filter(|&last| id <= last) {
            return Err(SenderError::Name { id, last });
        }
        if !self.has_room(id.opening, bytes) {
            return Err(SenderError::WindowFull {
                batches: self.slots.len(),
                bytes: self.bytes,
            });
        }
        self.last = Some(id);
        self.slots.push_back(Slot {
            id,
            bytes,
            attempt: 0,
            refused: false,
            state: State::Ready,
        });
        self.bytes = self.bytes.saturating_add(bytes);
        self.ready.insert(id.number);
        if self.slots.len() >= self.window.batches() {
            self.window.limit();
        }
        Ok(())
    }

    fn confirm(&mut self, id: BatchId, attempt: u32) -> Result<(), SenderError> {
        let (at, flight) = self.in_flight(id, attempt)?;
        let slot = &mut self.slots[at];
        slot.state = State::Confirmed;
        self.in_flight -= 1;
        self.patience
            .confirm(self.now.saturating_since(self.progress));
        self.progress = self.now;
        self.heard = self.now;
        // Only what worked counts: a broker that accepts links and batches no more is no success.
        self.dial.worked();
        if slot.refused {
            self.refusing.reset();
        }
        self.window.confirm(self.now, flight);
        self.finish();
        Ok(())
    }

    fn set_aside(&mut self, id: BatchId) -> Result<(), SenderError> {
        let at = self.find(id);
        let at = at.filter(|at| self.slots[*at].state == State::Refused);
        let at = at.ok_or(SenderError::NotRefused { id })?;
        self.slots[at].state = State::Confirmed;
        self.finish();
        Ok(())
    }

    /// Reports what is done, as far as nothing before it is open.
    fn finish(&mut self) {
        while let Some(first) = self
            .slots
            .pop_front_if(|slot| slot.state == State::Confirmed)
        {
            self.bytes -= first.bytes;
            self.done = Some(first.id);
            self.outputs.push_back(SenderOutput::Done { id: first.id });
        }
    }

    fn refuse(&mut self, id: BatchId) -> Result<(), SenderError> {
        let done = [State::Refused, State::Confirmed];
        let at = self
            .find(id)
            .filter(|at| !done.contains(&self.slots[*at].state));
        let at = at.ok_or(SenderError::NotRefused { id })?;
        self.in_flight -= usize::from(matches!(self.slots[at].state, State::InFlight(_)));
        self.ready.remove(&id.number);
        self.slots[at].state = State::Refused;
        self.outputs.push_back(SenderOutput::Refused { id });
        Ok(())
    }

    fn fail(&mut self, error: SendError) -> Result<(), SenderError> {
        match error {
            SendError::NotSent { id, attempt } => {
                let (at, _) = self.in_flight(id, attempt)?;
                self.in_flight -= 1;
                self.slots[at].state = State::Ready;
                self.ready.insert(id.number);
            }
            SendError::TooLarge { id, .. } => self.refuse(id)?,
            SendError::Nacked { id, attempt } | SendError::Returned { id, attempt } => {
                let (at, _) = self.in_flight(id, attempt)?;
                self.in_flight -= 1;
                self.progress = self.now;
                self.heard = self.now;
                self.slots[at].state = State::PutOff;
                self.slots[at].refused = true;
                let repair = SenderOutput::RepairTopology;
                if error.action() == Action::RepairTopology && !self.outputs.contains(&repair) {
                    self.outputs.push_back(repair);
                }
                if self.retry_at.is_none() {
                    let SenderLimits {
                        backoff_first,
                        backoff_max,
                        ..
                    } = self.limits;
                    let random = &mut self.random;
                    let delay = self.refusing.next(backoff_first, backoff_max, random);
                    self.retry_at = Some(self.now + delay);
                }
            }
            _ => self.reconnect(error),
        }
        Ok(())
    }

    fn tick(&mut self) {
        if let Some(due) = self.retry_at
            && due <= self.now
        {
            self.retry_at = None;
            self.make_ready(|state| state == State::PutOff);
        }
        if let Some((due, error)) = self.dead_at()
            && due <= self.now
        {
            if let SendError::ConfirmTimeout { .. } = error {
                self.patience.expire();
            }
            self.window.shrink();
            return self.reconnect(error);
        }
        match self.dial.tick(self.now, &self.limits, &mut self.random) {
            Some(Due::Connect) => self.outputs.push_back(SenderOutput::Connect),
            Some(Due::GiveUp(error)) => self.disconnect(error),
            None => {}
        }
    }

    /// A link that is gone already cannot break.
    fn reconnect(&mut self, error: SendError) {
        let (limits, random) = (&self.limits, &mut self.random);
        if self.dial.lost(self.now, error, limits, random) {
            self.disconnect(error);
        }
    }

    fn disconnect(&mut self, error: SendError) {
        self.drop_link();
        self.outputs.push_back(SenderOutput::Disconnect(error));
    }

    /// Forgets the link: what is not confirmed is not known to have arrived, and comes again.
    fn drop_link(&mut self) {
        self.blocked = false;
        self.in_flight = 0;
        self.retry_at = None;
        self.make_ready(|state| !matches!(state, State::Refused | State::Confirmed));
        // What was asked of an older link and nobody took.
        let stays = |o: &SenderOutput| {
            matches!(o, SenderOutput::Done { .. } | SenderOutput::Refused { .. })
        };
        self.outputs.retain(stays);
    }

    fn make_ready(&mut self, which: impl Fn(State) -> bool) {
        for slot in self.slots.iter_mut().filter(|slot| which(slot.state)) {
            slot.state = State::Ready;
            self.ready.insert(slot.id.number);
        }
    }
}
