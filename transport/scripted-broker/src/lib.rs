//! A broker that fails as a script says, for tests. It is a mock: it keeps nothing on disk.
//!
//! It speaks AMQP 0-9-1 on a loopback socket, so that everything up to the socket is what runs in
//! production. It knows topic, fanout and consistent-hash exchanges, limits of bytes and of
//! deliveries, dead letters, and queues with one active consumer.
//!
//! ```
//! use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
//! use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
//! use scripted_broker::{Answer, Script, ScriptedBroker};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let script = Script::default().answer(1, Answer::Nack); // the first message is refused
//! let broker = ScriptedBroker::start(script).await?;
//! let time = broker.pause_time(); // where a script is silent for a minute, it does not take one
//!
//! let client = async {
//!     let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await?;
//!     let channel = connection.create_channel().await?;
//!     channel.confirm_select(ConfirmSelectOptions::default()).await?;
//!     let options = QueueDeclareOptions::default();
//!     channel.queue_declare("beats".into(), options, Default::default()).await?;
//!     let mut confirmed = Vec::new();
//!     for _ in 0..2 {
//!         let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
//!         let sent = channel.basic_publish("".into(), "beats".into(), options, b"65", properties);
//!         confirmed.push(matches!(sent.await?.await?, Confirmation::Ack(None)));
//!     }
//!     Ok::<_, lapin::Error>(confirmed)
//! };
//! assert_eq!(time.until(client).await?, [false, true]);
//! assert_eq!(broker.injected()["nack"], 1);
//! assert_eq!(broker.queue("beats"), Some((1, 0)));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it cannot show
//! What a disk or a cluster does; how fast a broker is. Heartbeats: lapin measures silence in real
//! time, whatever tokio's clock says, so a dead link that nothing is sent on is noticed only in
//! real time. The threads of lapin run beside the script: a seed gives the same faults at the same
//! counts, but not the same interleaving.

mod queues;
mod random;
mod script;
mod session;
mod time;
mod values;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use queues::Queues;
use random::Random;
pub use script::{Answer, Failure, Script, When};
use session::Session;
pub use time::PausedTime;
use wire::Wire;

/// A broker on loopback that fails as a script says.
///
/// It lives on the tokio runtime that it is started on, and ends when it is dropped.
#[derive(Debug)]
pub struct ScriptedBroker {
    shared: Arc<Shared>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl ScriptedBroker {
    /// Listens on a free port of loopback.
    pub async fn start(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                random: Random::new(script.seed),
                injected: BTreeMap::new(),
                script,
                queues: Queues::default(),
                counts: Counts::default(),
                sessions: BTreeMap::new(),
                refuse_until: None,
                taken: BTreeSet::new(),
            }),
            frames: Arc::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            _tasks: tasks,
        })
    }

    /// Where it is. Every user and password is accepted.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address)
    }

    /// Pauses the clock of this runtime, which has to have one thread; keep the result.
    ///
    /// # Panics
    /// On a runtime with several threads, and where the clock is paused already.
    pub fn pause_time(&self) -> PausedTime {
        PausedTime::start(Arc::clone(&self.shared.frames))
    }

    /// Lets something fail now, on every connection; closing a channel closes the connection.
    pub fn fail_now(&self, failure: Failure) {
        let mut state = self.shared.state();
        state.note(failure.name());
        match failure {
            Failure::Crash(time) => state.crash(Instant::now() + time),
            Failure::Unbind => state.queues.unbind_all(),
            failure => state.order(failure),
        }
    }

    /// How often each fault took place, by its name.
    pub fn injected(&self) -> BTreeMap<&'static str, u64> {
        let names = Answer::NAMES.into_iter().chain(Failure::NAMES);
        let mut all: BTreeMap<_, _> = names.map(|name| (name, 0)).collect();
        all.extend(&self.shared.state().injected);
        all
    }

    /// Whether a message of this id was ever put into a queue.
    pub fn has_taken(&self, message_id: &str) -> bool {
        self.shared.state().taken.contains(message_id)
    }

    /// Messages of a queue that are ready, and delivered without being settled; `None` where there
    /// is no such queue.
    pub fn queue(&self, name: &str) -> Option<(usize, usize)> {
        self.shared.state().queues.count(name)
    }
}

#[derive(Debug, Default)]
struct Counts {
    connects: u64,
    declares: u64,
    publishes: u64,
    deliveries: u64,
    settles: u64,
}

/// How a session is reached.
#[derive(Debug)]
struct Handle {
    wake: Arc<Notify>,
    orders: Vec<Failure>,
}

#[derive(Debug)]
struct State {
    script: Script,
    random: Random,
    injected: BTreeMap<&'static str, u64>,
    queues: Queues,
    counts: Counts,
    sessions: BTreeMap<u64, Handle>,
    refuse_until: Option<Instant>,
    /// Ids of all messages that were ever put into a queue.
    taken: BTreeSet<String>,
}

impl State {
    /// Counts a moment, and says which one it is.
    fn count(&mut self, which: impl FnOnce(&mut Counts) -> &mut u64) -> u64 {
        let count = which(&mut self.counts);
        *count += 1;
        *count
    }

    fn note(&mut self, name: &'static str) {
        *self.injected.entry(name).or_default() += 1;
    }

    /// Lets every connection that there is fail.
    fn order(&mut self, failure: Failure) {
        for handle in self.sessions.values_mut() {
            handle.orders.push(failure);
            handle.wake.notify_one();
        }
    }

    fn crash(&mut self, until: Instant) {
        self.refuse_until = Some(until);
        self.order(Failure::Reset);
    }

    fn answer(&mut self, publish: u64) -> Option<Answer> {
        let answer = self.script.answers.remove(&publish)?;
        self.note(answer.name());
        Some(answer)
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Frames of all connections so far.
    frames: Arc<AtomicU64>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self, session: u64) -> Vec<Failure> {
        let mut state = self.state();
        let handle = state.sessions.get_mut(&session);
        handle.map_or_else(Vec::new, |handle| std::mem::take(&mut handle.orders))
    }

    fn wake_all(&self) {
        self.wake_others(u64::MAX);
    }

    fn wake_others(&self, session: u64) {
        for (number, handle) in &self.state().sessions {
            if *number != session {
                handle.wake.notify_one();
            }
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    let mut number = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        while sessions.try_join_next().is_some() {}
        let wire = Wire::new(stream, Arc::clone(&shared.frames));
        if shared
            .state()
            .refuse_until
            .is_some_and(|until| Instant::now() < until)
        {
            wire.reset();
            continue;
        }
        number += 1;
        let wake = Arc::new(Notify::new());
        let handle = Handle {
            wake: Arc::clone(&wake),
            orders: Vec::new(),
        };
        shared.state().sessions.insert(number, handle);
        sessions.spawn(Session::new(number, Arc::clone(&shared), wake, wire).run());
    }
}
