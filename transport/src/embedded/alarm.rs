//! Wakes a task at a time, without a runtime: a thread that waits for the earliest moment.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Instant;

/// Whom to wake when; its thread starts with the first use and ends with the value.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Arc<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    due: Option<(Instant, Waker)>,
    over: bool,
}

impl Shared {
    /// A panic cannot come between two changes that belong together.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.over {
            #[expect(clippy::disallowed_methods, reason = "a delay ends on the real clock")]
            let now = Instant::now();
            state = match &state.due {
                None => self.changed.wait(state),
                Some((at, _)) if *at > now => {
                    let left = *at - now;
                    let waited = self.changed.wait_timeout(state, left);
                    waited
                        .map(|(state, _)| state)
                        .map_err(|e| PoisonError::new(e.into_inner().0))
                }
                Some(_) => {
                    let due = state.due.take();
                    drop(state);
                    due.into_iter().for_each(|(_, waker)| waker.wake());
                    Ok(self.lock())
                }
            }
            .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Alarm {
    /// Wakes at `at`, and no more at the time set before.
    pub(super) fn set(&mut self, at: Instant, waker: &Waker) -> std::io::Result<()> {
        let shared = match &self.0 {
            Some(shared) => shared,
            None => {
                let shared = Arc::new(Shared::default());
                let its = Arc::clone(&shared);
                thread::Builder::new()
                    .name("retries".to_owned())
                    .spawn(move || its.run())?;
                self.0.insert(shared)
            }
        };
        shared.lock().due = Some((at, waker.clone()));
        shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.lock().over = true;
            shared.changed.notify_one();
        }
    }
}
