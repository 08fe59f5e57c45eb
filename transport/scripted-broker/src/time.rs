//! Tokio's clock, paused, beside threads that know nothing of it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Real time that threads get between two steps of the clock.
const MOMENT: Duration = Duration::from_micros(300);

/// Steps of the clock: short while frames come and go, longer and longer while nothing does.
const STEP: Duration = Duration::from_millis(1);
const STEP_MAX: Duration = Duration::from_millis(32);

/// A paused clock that passes as fast as the adapter allows.
///
/// Tokio's own paused clock jumps to the next deadline as soon as no task has anything to do. The
/// threads of lapin are no tasks: a deadline would pass while one of them is about to answer. This
/// clock holds still, and [`until`](Self::until) lets it pass in steps with a moment of real time
/// for them in between. A machine that gives a thread no processor for tens of milliseconds may
/// still see a time-out that a faster one does not.
#[derive(Debug)]
pub struct PausedTime {
    frames: Arc<AtomicU64>,
    /// While a blocking task runs, tokio's clock does not jump.
    _hold: mpsc::Sender<()>,
}

impl PausedTime {
    pub(super) fn start(frames: Arc<AtomicU64>) -> Self {
        tokio::time::pause();
        let (hold, held) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || {
            // Its end is what is waited for.
            let _ = held.recv();
        });
        Self {
            frames,
            _hold: hold,
        }
    }

    /// What a future comes to, while time passes.
    pub async fn until<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::pin!(future);
        let (mut step, mut seen) = (STEP, 0);
        loop {
            tokio::select! {
                biased;
                result = &mut future => return result,
                () = moment() => {}
            }
            let frames = self.frames.load(Ordering::Relaxed);
            step = match frames == std::mem::replace(&mut seen, frames) {
                true => (step * 2).min(STEP_MAX),
                false => STEP,
            };
            tokio::time::advance(step).await;
        }
    }

    /// Lets time pass.
    pub async fn pass(&self, time: Duration) {
        self.until(tokio::time::sleep(time)).await;
    }
}

async fn moment() {
    let slept = tokio::task::spawn_blocking(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "lapin's threads live in real time"
        )]
        std::thread::sleep(MOMENT);
    });
    // It cannot panic.
    let _ = slept.await;
}
