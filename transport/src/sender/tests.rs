//! What a sender does, input by input.

use alloc::{collections::VecDeque, vec, vec::Vec};
use core::time::Duration;

use proptest::prelude::*;
use telemetry_core::{Epoch, Instant};

use super::{BatchId, SendError, Sender, SenderError, SenderInput, SenderLimits, SenderOutput};
use SenderInput::{Blocked, ConnectNow, Failed, Heard, LinkUp, Progress, Tick, Unblocked};
use SenderOutput::{Connect, Disconnect, RepairTopology};

const MS: u64 = 1_000_000;

struct Rig(Sender);

impl Rig {
    fn new(limits: SenderLimits) -> Self {
        Self(Sender::new(limits, 7))
    }

    fn up() -> Self {
        let mut rig = Self::new(SenderLimits::default());
        assert_eq!(rig.feed(0, LinkUp), []);
        rig
    }

    fn feed(&mut self, ms: u64, input: SenderInput) -> Vec<SenderOutput> {
        let now = Instant::from_nanos(ms * MS);
        self.0.handle_input(now, input).unwrap();
        core::iter::from_fn(|| self.0.poll_output()).collect()
    }

    fn refused(&mut self, ms: u64, input: SenderInput) -> SenderError {
        let now = Instant::from_nanos(ms * MS);
        self.0.handle_input(now, input).unwrap_err()
    }

    /// Milliseconds, rounded up, so that a tick then is not early.
    fn due(&self) -> Option<u64> {
        let due = self.0.poll_timeout()?;
        Some(due.as_nanos().div_ceil(MS))
    }
}

/// Batches of one opening, where a test does not say which.
fn named(number: u64) -> BatchId {
    BatchId::new(Epoch::new(7).unwrap(), number)
}

fn offer(number: u64) -> SenderInput {
    let id = named(number);
    SenderInput::Offer { id, bytes: 10 }
}

fn confirmed(number: u64, attempt: u32) -> SenderInput {
    let id = named(number);
    SenderInput::Confirmed { id, attempt }
}

fn publish(number: u64, attempt: u32) -> SenderOutput {
    let id = named(number);
    SenderOutput::Publish { id, attempt }
}

fn done(number: u64) -> SenderOutput {
    SenderOutput::Done { id: named(number) }
}

fn nacked(number: u64, attempt: u32) -> SenderInput {
    let id = named(number);
    Failed(SendError::Nacked { id, attempt })
}

fn not_in_flight(number: u64, attempt: u32) -> SenderError {
    let id = named(number);
    SenderError::NotInFlight { id, attempt }
}

#[test]
fn resends_what_is_open_and_reports_the_prefix() {
    let mut rig = Rig::new(SenderLimits {
        window_batches: 2,
        window_batches_max: 2,
        ..SenderLimits::default()
    });
    assert_eq!(rig.feed(0, offer(1)), []);
    assert_eq!(rig.feed(0, LinkUp), [publish(1, 1)]);
    assert_eq!(rig.feed(0, offer(2)), [publish(2, 1)]);
    let full = SenderError::WindowFull {
        batches: 2,
        bytes: 20,
    };
    assert_eq!(rig.refused(0, offer(3)), full);
    assert_eq!(rig.feed(1, confirmed(2, 1)), []);
    assert_eq!(rig.0.watermark(), None);
    assert_eq!(rig.feed(1, Failed(SendError::LinkLost)).len(), 1);
    assert_eq!(rig.feed(2, LinkUp), [publish(1, 2)]);
    let late = not_in_flight(1, 1);
    assert_eq!(rig.refused(2, confirmed(1, 1)), late);
    assert_eq!(rig.feed(2, confirmed(1, 2)), [done(1), done(2)]);
    assert_eq!(rig.0.watermark(), Some(named(2)));
    let (id, last) = (named(2), named(2));
    let name = SenderError::Name { id, last };
    assert_eq!(rig.refused(2, offer(2)), name);
}

#[test]
fn the_next_opening_follows_when_all_of_the_one_before_is_confirmed() {
    let mut rig = Rig::up();
    let later = |number| BatchId::new(Epoch::new(3).unwrap(), number);
    let offer_later = |number| SenderInput::Offer {
        id: later(number),
        bytes: 10,
    };
    rig.feed(0, offer(1));
    rig.feed(0, offer(2));
    let full = SenderError::WindowFull {
        batches: 2,
        bytes: 20,
    };
    assert!(!rig.0.has_room(later(1).opening, 10));
    assert_eq!(rig.refused(1, offer_later(1)), full);
    assert_eq!(rig.feed(1, confirmed(1, 1)), [done(1)]);
    assert_eq!(rig.feed(1, confirmed(2, 1)), [done(2)]);
    // The same numbers are other batches now, whether or not their epoch is larger.
    let (id, attempt) = (later(1), 1);
    let first = SenderOutput::Publish { id, attempt };
    assert_eq!(rig.feed(2, offer_later(1)), [first]);
    assert_eq!(rig.refused(2, confirmed(1, 1)), not_in_flight(1, 1));
    assert_eq!(rig.0.watermark(), Some(named(2)));
    let confirmed = SenderInput::Confirmed { id, attempt };
    assert_eq!(rig.feed(3, confirmed), [SenderOutput::Done { id }]);
    assert_eq!(rig.0.watermark(), Some(later(1)));
    let name = SenderError::Name { id, last: id };
    assert_eq!(rig.refused(3, offer_later(1)), name);
}

#[test]
fn connects_at_once_then_after_delays_that_grow() {
    let mut rig = Rig::new(SenderLimits::default());
    assert_eq!(rig.feed(0, Tick), [Connect]);
    // As long as bytes move, an attempt goes on.
    for at in [9_000, 18_000, 27_000] {
        assert_eq!(rig.feed(at, Heard), []);
        assert_eq!(rig.due(), Some(at + 10_000));
    }
    let limit = Duration::from_secs(10);
    let gone = Disconnect(SendError::ConnectTimeout { limit });
    assert_eq!(rig.feed(37_000, Tick), [gone]);
    let (mut now, mut longest) = (37_000, 0);
    for failures in 1..40 {
        let at = rig.due().unwrap();
        assert!(at - now <= (100 << failures.min(20)).min(30_000));
        longest = longest.max(at - now);
        now = at;
        assert_eq!(rig.feed(now, Tick), [Connect]);
        let lost = SendError::LinkLost;
        assert_eq!(rig.feed(now, Failed(lost)), [Disconnect(lost)]);
    }
    assert!(longest > 10_000, "{longest} ms");
}

#[test]
fn slow_is_not_dead_and_blocked_is_not_late() {
    let mut rig = Rig::up();
    assert_eq!(rig.due(), None);
    assert_eq!(rig.feed(1_000, offer(1)), [publish(1, 1)]);
    assert_eq!(rig.due(), Some(11_000));
    assert_eq!(rig.feed(9_000, Progress), []);
    assert_eq!(rig.feed(18_000, Blocked), []);
    assert_eq!(rig.due(), None);
    assert_eq!(rig.feed(90_000, Tick), []);
    assert_eq!(rig.feed(90_000, offer(2)), []);
    assert_eq!(rig.feed(100_000, Unblocked), [publish(2, 1)]);
    assert_eq!(rig.due(), Some(110_000));
    let dead = SendError::Silent {
        in_flight: 2,
        limit: Duration::from_secs(10),
    };
    assert_eq!(rig.feed(110_000, Tick), [Disconnect(dead)]);
    assert_eq!(rig.0.window(), 128);
}

/// Feeds heartbeats until the link is given up or the time is over; says when and why.
fn heartbeats(rig: &mut Rig, from: u64, to: u64) -> Option<(u64, SendError)> {
    (from..to).step_by(1_000).find_map(|at| {
        rig.feed(at, Heard);
        match rig.feed(at, Tick).first() {
            Some(Disconnect(error)) => Some((at, *error)),
            _ => None,
        }
    })
}

/// A batch may wait in buffers on the way, where nobody sees its bytes move: 64 KiB are 55 s at
/// 9,600 bit/s. What was too short once is longer the next time.
#[test]
fn a_confirmation_may_take_as_long_as_the_way_is_slow() {
    let mut rig = Rig::up();
    assert_eq!(rig.feed(0, offer(1)), [publish(1, 1)]);
    let (mut from, mut attempt) = (0, 1);
    for seconds in [30, 60, 120, 240, 480, 600, 600] {
        let (at, error) = heartbeats(&mut rig, from, from + 1_000_000).unwrap();
        let limit = Duration::from_secs(seconds);
        let in_flight = 1;
        assert_eq!(error, SendError::ConfirmTimeout { in_flight, limit });
        assert_eq!(at - from, seconds * 1_000);
        attempt += 1;
        from = at + 100;
        assert_eq!(rig.feed(from, LinkUp), [publish(1, attempt)]);
    }
    // It came after 200 s: the next may take twice as long, also on another link.
    assert_eq!(heartbeats(&mut rig, from, from + 200_000), None);
    let at = from + 200_000;
    assert_eq!(rig.feed(at, confirmed(1, attempt)), [done(1)]);
    rig.feed(at, Failed(SendError::LinkLost));
    rig.feed(at, LinkUp);
    assert_eq!(rig.feed(at, offer(2)), [publish(2, 1)]);
    assert_eq!(heartbeats(&mut rig, at, at + 399_000), None);
    assert_eq!(rig.feed(at + 399_000, confirmed(2, 1)), [done(2)]);
}

#[test]
fn what_is_refused_comes_again_later() {
    let mut rig = Rig::up();
    rig.feed(0, offer(1));
    rig.feed(0, offer(2));
    let (id, attempt) = (named(1), 1);
    let returned = Failed(SendError::Returned { id, attempt });
    assert_eq!(rig.feed(1, returned), [RepairTopology]);
    // AMQP confirms a returned batch, too.
    let late = not_in_flight(1, 1);
    assert_eq!(rig.refused(1, confirmed(1, 1)), late);
    assert_eq!(rig.feed(1, nacked(2, 1)), []);
    let again = rig.due().unwrap();
    assert!(again <= 101);
    let both = [publish(1, 2), publish(2, 2)];
    assert_eq!(rig.feed(again, Tick), both);
    assert_eq!(rig.feed(again, confirmed(2, 2)), []);
    assert_eq!(rig.feed(again, confirmed(1, 2)), [done(1), done(2)]);
    rig.feed(again, offer(3));
    let (id, attempt) = (named(3), 1);
    let not_sent = Failed(SendError::NotSent { id, attempt });
    assert_eq!(rig.feed(again, not_sent), [publish(3, 2)]);
}

/// Nobody stands by a device: whatever is wrong, it tries again, and after minutes at the latest.
#[test]
fn no_refusal_ends_it() {
    for error in [
        SendError::ConnectionLimit,
        SendError::Certificate,
        SendError::Credentials,
        SendError::NotAllowed,
        SendError::TopologyMismatch,
    ] {
        let mut rig = Rig::up();
        rig.feed(0, offer(1));
        assert_eq!(rig.feed(0, Failed(error)), [Disconnect(error)]);
        let (mut now, mut longest) = (0, 0);
        for _ in 0..40 {
            let at = rig.due().unwrap();
            longest = longest.max(at - now);
            now = at;
            assert_eq!(rig.feed(now, Tick), [Connect]);
            assert_eq!(rig.feed(now, Failed(error)), [Disconnect(error)]);
        }
        assert!((60_000..=300_000).contains(&longest), "{longest} ms");
        let at = rig.due().unwrap();
        assert_eq!(rig.feed(at, Tick), [Connect]);
        assert_eq!(rig.feed(at, LinkUp), [publish(1, 2)]);
    }
}

#[test]
fn who_does_not_want_to_wait_connects_now() {
    let mut rig = Rig::up();
    let error = SendError::Credentials;
    let mut now = 0;
    while rig.due().is_none_or(|due| due < now + 10_000) {
        now = rig.due().unwrap_or(now);
        rig.feed(now, Tick);
        rig.feed(now, Failed(error));
    }
    assert_eq!(rig.feed(now, Tick), []);
    assert_eq!(rig.feed(now, ConnectNow), []);
    assert_eq!(rig.due(), Some(now));
    assert_eq!(rig.feed(now, Tick), [Connect]);
    // An attempt that is made does not begin again.
    assert_eq!(rig.feed(now, ConnectNow), []);
    assert_eq!(rig.due(), Some(now + 10_000));
}

/// The others go on; what was never taken is not done before somebody keeps it.
#[test]
fn a_batch_that_is_never_taken_holds_back_no_other() {
    let mut rig = Rig::up();
    (1..=3).for_each(|number| drop(rig.feed(0, offer(number))));
    let id = named(2);
    let too_large = SendError::TooLarge {
        id,
        bytes: 10,
        limit: 5,
    };
    assert_eq!(
        rig.feed(1, Failed(too_large)),
        [SenderOutput::Refused { id }]
    );
    let not_refused = SenderError::NotRefused { id };
    assert_eq!(rig.refused(1, Failed(too_large)), not_refused);
    rig.feed(1, Failed(SendError::LinkLost));
    assert_eq!(rig.feed(2, LinkUp), [publish(1, 2), publish(3, 2)]);
    assert_eq!(rig.feed(3, confirmed(3, 2)), []);
    assert_eq!(rig.feed(3, confirmed(1, 2)), [done(1)]);
    let set_aside = SenderInput::SetAside { id };
    assert_eq!(rig.feed(4, set_aside), [done(2), done(3)]);
    assert_eq!(rig.refused(4, set_aside), not_refused);
    assert_eq!(rig.due(), None);
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut rig = Rig::new(SenderLimits::default());
    rig.feed(50, LinkUp);
    rig.feed(1, offer(1));
    assert_eq!(rig.due(), Some(10_050));
}

/// A link of `rate` batches a second and 100 ms there and back; the window after ten seconds.
fn window_after(rate: u64, limits: SenderLimits) -> usize {
    let mut sender = Sender::new(limits, 1);
    sender.handle_input(Instant::default(), LinkUp).unwrap();
    let (mut id, mut free_at) = (0, 0);
    let mut answers = VecDeque::<(u64, BatchId, u32)>::new();
    for now in (0..10_000 * MS).step_by(MS as usize) {
        let at = Instant::from_nanos(now);
        while let Some((_, id, attempt)) = answers.pop_front_if(|(due, ..)| *due <= now) {
            let confirmed = SenderInput::Confirmed { id, attempt };
            sender.handle_input(at, confirmed).unwrap();
        }
        while sender.has_room(named(0).opening, 10) {
            id += 1;
            sender.handle_input(at, offer(id)).unwrap();
        }
        while let Some(output) = sender.poll_output() {
            if let SenderOutput::Publish { id, attempt } = output {
                free_at = now.max(free_at) + 1_000_000_000 / rate;
                answers.push_back((free_at + 100 * MS, id, attempt));
            }
        }
    }
    sender.window()
}

#[test]
fn the_window_holds_rate_times_round_trip() {
    let limits = SenderLimits {
        window_batches: 4,
        ..SenderLimits::default()
    };
    // 100 batches are on the way at 1,000 a second: twice that, not the limit.
    let window = window_after(1_000, limits);
    assert!((150..300).contains(&window), "{window}");
    assert_eq!(window_after(1_000_000, limits), 4_096);
    assert!(window_after(10, limits) <= 8);
}

#[test]
fn confirmations_that_come_at_once_count_together() {
    let mut rig = Rig::up();
    for round in 0..4 {
        let batches = rig.0.window() as u64;
        let first = rig.0.watermark().map_or(0, |id| id.number) + 1;
        for id in first..first + batches {
            rig.feed(round * 50 + 1, offer(id));
        }
        for id in first..first + batches {
            rig.feed(round * 50 + 50, confirmed(id, 1));
        }
        assert!(rig.0.window() as u64 >= batches, "{}", rig.0.window());
    }
    assert!(rig.0.window() > 256);
}

proptest! {
    /// Whatever is answered in whatever order, the watermark is the confirmed prefix, nothing is
    /// reported twice, and what is open is published again on a new link.
    #[test]
    fn the_watermark_is_the_confirmed_prefix(
        steps in proptest::collection::vec((0_u8..9, 0_u64..12, 1_u32..4, 0_u64..3_000), 1..200)
    ) {
        let mut sender = Sender::new(SenderLimits { window_batches: 6, ..SenderLimits::default() }, 3);
        let (mut offered, mut now, mut watermark) = (0, 0, 0);
        let mut current: Vec<(u32, bool)> = vec![(0, true)];
        for (kind, back, attempt, ms) in steps {
            now += ms * MS;
            let id = offered_id(offered, back);
            let input = match kind {
                0..3 => offer(offered + 1),
                3..5 => confirmed(id, attempt),
                5 => nacked(id, attempt),
                6 => LinkUp,
                7 => Failed(SendError::LinkLost),
                _ => Tick,
            };
            let took = sender.handle_input(Instant::from_nanos(now), input).is_ok();
            match input {
                SenderInput::Offer { .. } if took => {
                    offered += 1;
                    current.push((0, false));
                }
                SenderInput::Confirmed { id, attempt } if took => {
                    let slot = &mut current[id.number as usize];
                    prop_assert_eq!(*slot, (attempt, false));
                    slot.1 = true;
                }
                _ => {}
            }
            while let Some(output) = sender.poll_output() {
                match output {
                    SenderOutput::Publish { id, attempt } => {
                        prop_assert_eq!(current[id.number as usize], (attempt - 1, false));
                        current[id.number as usize].0 = attempt;
                    }
                    SenderOutput::Done { id } => {
                        prop_assert_eq!(id, named(watermark + 1));
                        watermark = id.number;
                    }
                    _ => {}
                }
            }
            let prefix = current.iter().take_while(|slot| slot.1).count() as u64 - 1;
            prop_assert_eq!(watermark, prefix);
            prop_assert_eq!(sender.watermark().map_or(0, |id| id.number), prefix);
        }
        sender.handle_input(Instant::from_nanos(now), LinkUp).unwrap();
        let open = current.iter().filter(|slot| !slot.1).count();
        let mut published = 0;
        while let Some(output) = sender.poll_output() {
            published += usize::from(matches!(output, SenderOutput::Publish { .. }));
        }
        prop_assert_eq!(published, open.min(sender.window()));
    }
}

/// One of the last batches.
fn offered_id(offered: u64, back: u64) -> u64 {
    offered.saturating_sub(back).max(1)
}
