//! The live page: what a visitor sees of a running fleet, and what they can do to it.
//!
//! # Ideas
//! [`Model`] takes the fleet after each step and gives a [`Snapshot`]: no
//! I/O, bounded memory. [`server`] shows it: static files, the newest snapshot as a stream of
//! events, the screens as pictures. A browser that is slow misses snapshots and never delays a
//! step. Buttons become a [`Command`] that the conductor carries out between two steps, on the
//! real parts.
//!
//! ```text
//! conductor ── Moment ──▶ Model ── Snapshot ──▶ Page (newest wins) ──▶ server ──▶ browser
//!     ▲                                                                   │
//!     └───────────────────────────── Order ◀──────────── POST /command ◀──┘
//! ```

mod command;
mod connections;
mod guard;
mod model;
mod seats;
pub mod server;
pub mod snapshot;
mod window;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{oneshot, watch};

use crate::clock::Stopwatch;
use crate::screen;
use crate::signals::Stop;
pub use command::{Command, Refused};
pub use model::{Details, DeviceNow, Model, Moment, TrackerNow, ending, numbers, recovered};
use snapshot::Snapshot;

/// Real time between two snapshots at least.
const PAUSE: Duration = Duration::from_millis(200);

/// Commands that wait for the next step.
const ORDERS_MAX: usize = 16;

/// A command, and where its answer goes.
pub struct Order {
    /// What to do.
    pub command: Command,
    answer: oneshot::Sender<Result<String, Refused>>,
}

impl Order {
    /// Says what was done, or why not.
    pub fn answer(self, answer: Result<String, Refused>) {
        // Who asked may be gone.
        let _ = self.answer.send(answer);
    }
}

/// What conductor and server share.
#[derive(Debug)]
struct Page {
    snapshot: watch::Sender<Bytes>,
    screens: Mutex<Vec<Screen>>,
    orders: SyncSender<Order>,
    stop: Stop,
    /// The run is over: commands get an answer at once.
    over: AtomicBool,
    data: PathBuf,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.command.fmt(f)
    }
}

/// A screen, and its picture once somebody asked for it.
#[derive(Debug, Default)]
struct Screen {
    number: u64,
    pixels: Vec<u32>,
    picture: Option<Bytes>,
}

impl Page {
    fn screens(&self) -> MutexGuard<'_, Vec<Screen>> {
        // Each assignment leaves the screens whole.
        self.screens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tracker's screen as PNG; `None` where it was never on.
    fn picture(&self, index: usize) -> std::io::Result<Option<Bytes>> {
        let mut screens = self.screens();
        let Some(shown) = screens.get_mut(index).filter(|s| s.number > 0) else {
            return Ok(None);
        };
        if shown.picture.is_none() {
            let mut png = Vec::new();
            screen::write_png(&mut png, &shown.pixels)?;
            shown.picture = Some(png.into());
        }
        Ok(shown.picture.clone())
    }
}

/// The conductor's end of the page.
pub struct Live {
    page: Arc<Page>,
    orders: Receiver<Order>,
    /// An order that was looked at and not taken.
    next: Option<Order>,
    /// Since the last snapshot.
    since: Option<Stopwatch>,
}

impl Live {
    fn new(data: &Path, stop: Stop) -> Self {
        let (orders, todo) = sync_channel(ORDERS_MAX);
        Self {
            page: Arc::new(Page {
                snapshot: watch::Sender::new(Bytes::new()),
                screens: Mutex::default(),
                orders,
                stop,
                over: AtomicBool::new(false),
                data: data.to_owned(),
            }),
            orders: todo,
            next: None,
            since: None,
        }
    }

    /// The next command, if there is one.
    pub fn order(&mut self) -> Option<Order> {
        self.next.take().or_else(|| self.orders.try_recv().ok())
    }

    /// Whether there is a command.
    pub fn has_order(&mut self) -> bool {
        self.next = self.order();
        self.next.is_some()
    }

    /// Whether it is time for another snapshot.
    pub fn is_due(&self) -> bool {
        self.since.is_none_or(|since| since.elapsed() >= PAUSE)
    }

    /// Takes a tracker's new screen; its number.
    pub fn screen(&self, index: usize, pixels: Vec<u32>) -> u64 {
        let mut screens = self.page.screens();
        if screens.len() <= index {
            screens.resize_with(index + 1, Screen::default);
        }
        let number = screens[index].number + 1;
        screens[index] = Screen {
            number,
            pixels,
            picture: None,
        };
        number
    }

    /// Shows a snapshot to whoever looks.
    pub fn show(&mut self, snapshot: &Snapshot) {
        self.since = Some(Stopwatch::start());
        if let Ok(text) = serde_json::to_vec(snapshot) {
            self.page.snapshot.send_replace(text.into());
        }
    }

    /// Nothing runs any more: `snapshot` stays, and no command is taken.
    pub fn end(mut self, snapshot: &Snapshot) {
        self.page.over.store(true, Ordering::Release);
        self.show(snapshot);
        while let Some(order) = self.order() {
            order.answer(Err(Refused::Over));
        }
    }
}
