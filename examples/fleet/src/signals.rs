//! Signals that ask the program to end: the first lets it end well, the second ends it.

use std::fs::File;
use std::io::{self, Read as _};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// What a shell adds to a signal's number to say that it ended a program.
const BY_SIGNAL: i32 = 128;

/// Whether somebody wants the program to end; copies of it know the same.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<i32>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Nobody wants it, and no signal is watched.
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Watches interrupt (Ctrl-C), termination and hang-up from now on. At the second signal, the
    /// process ends at once: what is durable is on the disk, and the next run goes on from there.
    ///
    /// A thread of its own hears them, for as long as the program lives: whatever else stands still, a
    /// person can end it.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        // Whoever started the program with `nohup` wants it to outlive the terminal.
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        kinds.extend((!ignores_hang_up()).then(SignalKind::hangup));
        let (sender, ready) = std::sync::mpsc::sync_channel(1);
        let set = stop.0.clone();
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || {
            runtime.block_on(async move {
                let (heard, mut signals) = mpsc::channel(2);
                for kind in kinds {
                    let mut signal = match signal(kind) {
                        Ok(signal) => signal,
                        Err(error) => {
                            let _ = sender.send(Err(error));
                            return;
                        }
                    };
                    let heard = heard.clone();
                    tokio::spawn(async move {
                        while signal.recv().await.is_some() {
                            let _ = heard.send(kind.as_raw_value()).await;
                        }
                    });
                }
                let _ = sender.send(Ok(()));
                if let Some(first) = signals.recv().await {
                    set.send_replace(first);
                }
                if let Some(second) = signals.recv().await {
                    std::process::exit(BY_SIGNAL + second);
                }
            });
        })?;
        ready.recv().map_err(io::Error::other)??;
        Ok(stop)
    }

    /// Whether somebody wants the program to end.
    pub fn is_set(&self) -> bool {
        *self.0.borrow() != 0
    }

    /// The exit status of a program that was ended by the first signal.
    pub fn status(&self) -> u8 {
        u8::try_from(BY_SIGNAL + *self.0.borrow()).unwrap_or(u8::MAX)
    }

    /// Returns once somebody wants the program to end.
    pub async fn stopped(&self) {
        let mut stop = self.0.subscribe();
        // This copy is a sender, so there is one for as long as it waits.
        let _ = stop.wait_for(|signal| *signal != 0).await;
    }
}

/// From now on, a write beyond the largest file that the process may make (`ulimit -f`) fails as any
/// other write, and does not end the process without a word.
///
/// # Errors
/// The system refuses the handler.
pub fn write_errors_for_files_too_large() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _context = runtime.enter();
    // A handler stays for as long as the process does, also when nobody listens any more.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

/// Whether the process was started with hang-ups ignored.
fn ignores_hang_up() -> bool {
    let mut text = String::new();
    let file = File::open("/proc/self/status").map(|file| file.take(1 << 16));
    let read = file.and_then(|mut file| file.read_to_string(&mut text));
    let ignored = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    read.is_ok() && ignored.is_some_and(|mask| mask & 1 << (HANG_UP - 1) != 0)
}

const HANG_UP: i32 = SignalKind::hangup().as_raw_value();
