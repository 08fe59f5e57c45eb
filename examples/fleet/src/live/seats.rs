//! Seats of those who look: a stream of snapshots each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Streams at once.
pub(super) const SEATS_MAX: usize = 32;

/// Who looks, oldest first.
///
/// When every seat is taken, the newest comer gets the oldest seat: a browser whose stream ends asks
/// again by itself, and whoever only holds seats does not keep others out.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// A seat, until it is dropped or given to another.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    seats: Arc<Seats>,
    /// Ends when the seat is another's.
    pub(super) given_away: oneshot::Receiver<()>,
}

impl Seats {
    pub(super) fn take(self: &Arc<Self>) -> Seat {
        let (seat, given_away) = oneshot::channel();
        let mut taken = self.taken();
        if taken.seats.len() == SEATS_MAX {
            taken.seats.pop_front();
        }
        let number = taken.next;
        taken.next += 1;
        taken.seats.push_back((number, seat));
        Seat {
            number,
            seats: Arc::clone(self),
            given_away,
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // A queue of seats is whole at any moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.seats.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_comer_gets_the_oldest_seat() {
        let seats = Arc::new(Seats::default());
        let mut taken: Vec<Seat> = (0..SEATS_MAX).map(|_| seats.take()).collect();
        let is_mine = |seat: &mut Seat| {
            let told = seat.given_away.try_recv();
            matches!(told, Err(oneshot::error::TryRecvError::Empty))
        };
        assert!(taken.iter_mut().all(is_mine));
        let mut newest = seats.take();
        assert!(is_mine(&mut newest));
        assert!(!is_mine(&mut taken[0]));
        assert!(taken[1..].iter_mut().all(is_mine));
        // A seat that was left is free.
        drop(taken.pop());
        let _another = seats.take();
        assert!(taken[1..].iter_mut().all(is_mine));
    }
}
