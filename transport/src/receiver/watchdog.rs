//! Notices a queue that has messages and delivers none.

use alloc::vec::Vec;
use core::time::Duration;

use telemetry_core::Instant;

/// Looks at most that a queue may be silent after the watchdog has barked in vain.
const LOOKS_MAX: u32 = 128;

/// What a look at a queue shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Messages that wait for somebody.
    pub(super) ready: u32,
    /// This consumer would take another one.
    pub(super) has_room: bool,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    /// Something was delivered since the last look.
    delivered: bool,
    /// Messages ready at the last look; `None` where it was not silent.
    ready: Option<u32>,
    /// Looks in a row at which it was silent.
    silent: u32,
    /// So many are too many.
    limit: u32,
}

const NEW: Queue = Queue {
    delivered: false,
    ready: None,
    silent: 0,
    limit: 1,
};

/// Looks at the queues of a consumer, half a period apart.
///
/// A queue is silent where messages wait, none comes although there is room for it, and no other
/// consumer takes any: their number does not fall. A broker can get there in ways that nobody has
/// met yet, and a new link ends all that have been met. Where the link was not what is wrong, e.g.
/// because another consumer holds the queue and is slow, the time until the next bark doubles.
#[derive(Debug)]
pub(super) struct Watchdog {
    period: Duration,
    look_at: Option<Instant>,
    queues: Vec<Queue>,
}

impl Watchdog {
    pub(super) fn new(period: Duration, queues: u16) -> Self {
        Self {
            period,
            look_at: None,
            queues: alloc::vec![NEW; queues.into()],
        }
    }

    /// A link is up: what was seen on another one says nothing.
    pub(super) fn link_up(&mut self, now: Instant) {
        self.look_at = Some(now + self.period / 2);
        for queue in &mut self.queues {
            queue.delivered = false;
            queue.ready = None;
            queue.silent = 0;
        }
    }

    /// There is no link to look at.
    pub(super) fn link_down(&mut self) {
        self.look_at = None;
    }

    /// A queue delivered something.
    pub(super) fn delivered(&mut self, queue: usize) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.delivered = true;
            queue.limit = 1;
        }
    }

    /// When to [`tick`](Self::tick).
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.look_at
    }

    /// Whether to look at the queues now, and then say what was [seen](Self::seen).
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let is_due = self.look_at.is_some_and(|at| at <= now);
        if is_due {
            // The next look follows from this one.
            self.look_at = None;
        }
        is_due
    }

    /// What the queues look like, in their order. Returns one that is silent: which, and how many
    /// messages wait in it.
    pub(super) fn seen(&mut self, now: Instant, looks: &[Look]) -> Option<(usize, u32)> {
        self.look_at = Some(now + self.period / 2);
        let mut bark = None;
        for (at, (queue, look)) in self.queues.iter_mut().zip(looks).enumerate() {
            let waits = look.ready > 0 && look.has_room && !queue.delivered;
            let taken = queue.ready.is_some_and(|before| look.ready < before);
            queue.delivered = false;
            queue.silent = match queue.ready {
                Some(_) if waits && !taken => queue.silent + 1,
                _ => 0,
            };
            queue.ready = waits.then_some(look.ready);
            if queue.silent >= queue.limit {
                queue.limit = (queue.limit * 2).min(LOOKS_MAX);
                bark = bark.or(Some((at, look.ready)));
            }
        }
        bark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(60);

    fn dog() -> Watchdog {
        let mut dog = Watchdog::new(PERIOD, 2);
        assert_eq!(dog.poll_timeout(), None);
        dog.link_up(Instant::default());
        dog
    }

    /// Looks when it is time; the second queue is empty.
    fn look(dog: &mut Watchdog, ready: u32, has_room: bool) -> Option<(usize, u32)> {
        let at = dog.poll_timeout().unwrap();
        assert!(dog.tick(at) && !dog.tick(at));
        let empty = Look {
            ready: 0,
            has_room: true,
        };
        dog.seen(at, &[Look { ready, has_room }, empty])
    }

    #[test]
    fn a_silent_queue_is_noticed_within_the_period() {
        let mut dog = dog();
        assert_eq!(look(&mut dog, 5, true), None);
        assert_eq!(look(&mut dog, 7, true), Some((0, 7)));
        assert_eq!(
            dog.poll_timeout(),
            Some(Instant::default() + PERIOD * 3 / 2)
        );
    }

    #[test]
    fn what_is_slow_or_taken_by_others_is_not_silent() {
        let mut dog = dog();
        for (ready, has_room) in [(5, true), (4, true), (4, false), (4, true), (0, true)] {
            assert_eq!(look(&mut dog, ready, has_room), None);
        }
        assert_eq!(look(&mut dog, 5, true), None);
        dog.delivered(0);
        assert_eq!(look(&mut dog, 5, true), None);
        assert_eq!(look(&mut dog, 5, true), None);
        dog.link_up(dog.poll_timeout().unwrap());
        assert_eq!(look(&mut dog, 5, true), None);
    }

    /// Another consumer may hold the queue, and be slower than its publishers.
    #[test]
    fn barks_in_vain_become_rare() {
        let mut dog = dog();
        let mut barks = Vec::new();
        for at in 0..1_000 {
            if look(&mut dog, 5 + at, true).is_some() {
                barks.push(at);
                dog.link_up(dog.poll_timeout().unwrap());
            }
        }
        assert_eq!(barks[..5], [1, 4, 9, 18, 35]);
        assert!(barks.len() < 15, "{barks:?}");
        dog.delivered(0);
        assert_eq!(look(&mut dog, 5, true), None);
        assert_eq!(look(&mut dog, 5, true), None);
        assert_eq!(look(&mut dog, 5, true), Some((0, 5)));
    }
}
