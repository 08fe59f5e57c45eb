//! The sender: which batch to publish when, without a connection.

use alloc::collections::VecDeque;
use core::time::Duration;

use telemetry_core::Instant;

/// Bounds of what is published and not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderLimits {
    /// Batches; default 256.
    pub window_batches: usize,
    /// Bytes; default 16 MiB. One batch may have more.
    pub window_bytes: usize,
    /// Longest time without any confirmation before the link counts as dead; default 10 s.
    pub confirm_timeout: Duration,
}

impl Default for SenderLimits {
    fn default() -> Self {
        Self {
            window_batches: 256,
            window_bytes: 16 << 20,
            confirm_timeout: Duration::from_secs(10),
        }
    }
}

/// What happens to a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderInput {
    /// A batch to deliver, named by the caller.
    Offer {
        /// Its name, e.g. the `id` of a spooled batch.
        id: u64,
        /// Its size.
        bytes: usize,
    },
    /// The receiver has a batch for good.
    Confirmed {
        /// Its name.
        id: u64,
    },
    /// The link works.
    LinkUp,
    /// The link is gone; nothing in flight is known to have arrived.
    LinkDown,
    /// Time has passed.
    Tick,
}

/// What a sender wants done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderOutput {
    /// Publish a batch, perhaps again.
    Publish {
        /// Its name.
        id: u64,
    },
    /// The batch and all offered before it are confirmed.
    Done {
        /// Its name.
        id: u64,
    },
    /// No confirmation came in time: drop the link and connect again.
    Reconnect,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    id: u64,
    bytes: usize,
    confirmed: bool,
}

/// Sends batches in order, again after every reconnection, and reports the confirmed prefix.
///
/// Every method is O(window) at most; [`poll_output`](Self::poll_output) must be drained.
#[derive(Debug)]
pub struct Sender {
    limits: SenderLimits,
    up: bool,
    window: VecDeque<InFlight>,
    bytes: usize,
    /// Last time the window made progress.
    progress: Instant,
    outputs: VecDeque<SenderOutput>,
}

impl Sender {
    /// A sender without a link.
    pub fn new(limits: SenderLimits) -> Self {
        Self {
            limits,
            up: false,
            window: VecDeque::new(),
            bytes: 0,
            progress: Instant::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Whether a batch of `bytes` may be offered now.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.window.is_empty()
            || (self.window.len() < self.limits.window_batches
                && self.bytes + bytes <= self.limits.window_bytes)
    }

    /// Takes an input; a refused one changes nothing.
    pub fn handle_input(&mut self, now: Instant, input: SenderInput) -> Result<(), SenderError> {
        match input {
            SenderInput::Offer { id, bytes } => {
                if !self.has_room(bytes) {
                    return Err(SenderError::WindowFull {
                        batches: self.window.len(),
                        bytes: self.bytes,
                    });
                }
                if self.window.is_empty() {
                    self.progress = self.progress.max(now);
                }
                self.window.push_back(InFlight {
                    id,
                    bytes,
                    confirmed: false,
                });
                self.bytes += bytes;
                if self.up {
                    self.outputs.push_back(SenderOutput::Publish { id });
                }
            }
            SenderInput::Confirmed { id } => {
                let found = self.window.iter_mut().find(|b| b.id == id);
                found.ok_or(SenderError::NotInFlight { id })?.confirmed = true;
                self.progress = self.progress.max(now);
                while let Some(first) = self.window.pop_front_if(|b| b.confirmed) {
                    self.bytes -= first.bytes;
                    self.outputs.push_back(SenderOutput::Done { id: first.id });
                }
            }
            SenderInput::LinkUp => {
                self.up = true;
                self.progress = self.progress.max(now);
                // Outputs of the old link that nobody took are made again here.
                self.outputs
                    .retain(|o| matches!(o, SenderOutput::Done { .. }));
                let open = self.window.iter().filter(|b| !b.confirmed);
                self.outputs
                    .extend(open.map(|b| SenderOutput::Publish { id: b.id }));
            }
            SenderInput::LinkDown => {
                self.up = false;
                self.outputs
                    .retain(|o| matches!(o, SenderOutput::Done { .. }));
            }
            SenderInput::Tick => {
                if self.poll_timeout().is_some_and(|due| due <= now) {
                    self.up = false;
                    self.outputs.push_back(SenderOutput::Reconnect);
                }
            }
        }
        Ok(())
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<SenderOutput> {
        self.outputs.pop_front()
    }

    /// When to send [`SenderInput::Tick`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.up && !self.window.is_empty()).then(|| self.progress + self.limits.confirm_timeout)
    }
}

/// An input that a sender refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SenderError {
    /// Offer again after a confirmation.
    #[error("{batches} batches with {bytes} bytes wait for confirmation")]
    WindowFull {
        /// Batches in flight.
        batches: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// A confirmation for a batch that is not in flight.
    #[error("batch {id} is not in flight")]
    NotInFlight {
        /// The name.
        id: u64,
    },
}

telemetry_core::error_codes!(SenderError {
    WindowFull { .. } => 3040,
    NotInFlight { .. } => 3041,
});

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    #[test]
    fn resends_what_is_open_and_reports_the_prefix() {
        let t = Instant::from_nanos;
        let mut sender = Sender::new(SenderLimits {
            window_batches: 2,
            ..SenderLimits::default()
        });
        let mut feed = |now, input| {
            let result = sender.handle_input(t(now), input);
            let outputs: Vec<_> = core::iter::from_fn(|| sender.poll_output()).collect();
            (result.is_ok(), outputs)
        };
        let offer = |id| SenderInput::Offer { id, bytes: 10 };
        let publish = |id| SenderOutput::Publish { id };
        assert_eq!(feed(0, offer(1)), (true, vec![]));
        assert_eq!(feed(0, SenderInput::LinkUp), (true, vec![publish(1)]));
        assert_eq!(feed(0, offer(2)), (true, vec![publish(2)]));
        assert_eq!(feed(0, offer(3)), (false, vec![]));
        let confirmed = |id| SenderInput::Confirmed { id };
        assert_eq!(feed(1, confirmed(2)), (true, vec![]));
        assert_eq!(feed(2, SenderInput::Tick), (true, vec![]));
        let late = 10_000_000_001;
        assert_eq!(
            feed(late, SenderInput::Tick),
            (true, vec![SenderOutput::Reconnect])
        );
        assert_eq!(feed(late, SenderInput::LinkUp), (true, vec![publish(1)]));
        let done = |id| SenderOutput::Done { id };
        assert_eq!(feed(late, confirmed(1)), (true, vec![done(1), done(2)]));
        assert_eq!(feed(late, confirmed(1)), (false, vec![]));
    }

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let mut sender = Sender::new(SenderLimits::default());
        let at = Instant::from_nanos(50);
        sender.handle_input(at, SenderInput::LinkUp).unwrap();
        let offer = SenderInput::Offer { id: 1, bytes: 1 };
        sender.handle_input(Instant::from_nanos(1), offer).unwrap();
        let due = at + SenderLimits::default().confirm_timeout;
        assert_eq!(sender.poll_timeout(), Some(due));
    }
}
