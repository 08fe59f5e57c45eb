//! A network between a client and a server: slow, silent or broken on request.

#![expect(
    clippy::disallowed_methods,
    reason = "a network that delays bytes waits in real time"
)]

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::setup::{Failure, io};

/// How often a thread that waits looks whether something changed.
const LOOK: Duration = Duration::from_millis(5);

/// Pieces on the way in one direction; beyond, the sender's socket fills up.
const PIECES: usize = 256;

#[derive(Debug)]
struct State {
    server: Mutex<SocketAddr>,
    latency_us: AtomicU64,
    bytes_per_second: AtomicU64,
    silent: AtomicBool,
    refusing: AtomicBool,
    /// Connections of an older number are broken.
    generation: AtomicU64,
    over: AtomicBool,
    connections: AtomicU64,
    turns: AtomicU64,
}

/// Passes connections on to a server; what was set holds for bytes to come in both directions.
#[derive(Debug)]
pub struct Proxy {
    state: Arc<State>,
    address: SocketAddr,
}

impl Proxy {
    /// Listens on loopback and passes on to `server`, without a fault.
    pub fn new(server: SocketAddr) -> Result<Self, Failure> {
        let what = || io("starting the proxy");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(what())?;
        listener.set_nonblocking(true).map_err(what())?;
        let address = listener.local_addr().map_err(what())?;
        let state = Arc::new(State {
            server: Mutex::new(server),
            latency_us: AtomicU64::new(0),
            bytes_per_second: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            over: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            turns: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || accept(&listener, &shared));
        Ok(Self { state, address })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were passed on so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How often a client said something after it had heard something, or at the beginning: round
    /// trips, on a way whose latency is longer than either side thinks.
    pub fn turns(&self) -> u64 {
        self.state.turns.load(Ordering::SeqCst)
    }

    /// Another server for connections to come.
    pub fn set_server(&self, server: SocketAddr) {
        let slot = self.state.server.lock();
        *slot.unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// Delays every byte, one way.
    pub fn set_latency(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.state.latency_us.store(us, Ordering::SeqCst);
    }

    /// Bytes per second and direction; 0 is without limit. What is on the way is bounded, too: a
    /// connection that opens at a rate holds what passes in a quarter of a second, and 16 KiB.
    pub fn set_rate(&self, bytes_per_second: u64) {
        self.state
            .bytes_per_second
            .store(bytes_per_second, Ordering::SeqCst);
    }

    /// Swallows every byte and says nothing; what was swallowed comes when it ends.
    pub fn set_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::SeqCst);
    }

    /// Answers new connections with a reset.
    pub fn set_refusing(&self, refusing: bool) {
        self.state.refusing.store(refusing, Ordering::SeqCst);
    }

    /// Breaks every connection with a reset; what is on the way is gone.
    pub fn reset(&self) {
        self.state.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// A network without a fault again.
    pub fn heal(&self) {
        self.set_latency(Duration::ZERO);
        self.set_rate(0);
        self.set_silent(false);
        self.set_refusing(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    while !state.over.load(Ordering::SeqCst) {
        let Ok((client, _)) = listener.accept() else {
            thread::sleep(LOOK);
            continue;
        };
        // A reset is how the other side hears of a failure here.
        let _ = serve(client, state);
    }
}

fn serve(client: TcpStream, state: &Arc<State>) -> io::Result<()> {
    client.set_nonblocking(false)?;
    // Closing one of them resets it.
    let abrupt = Some(Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(&client, abrupt)?;
    if state.refusing.load(Ordering::SeqCst) {
        return Ok(());
    }
    let address = *state.server.lock().unwrap_or_else(PoisonError::into_inner);
    let server = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    rustix::net::sockopt::set_socket_linger(&server, abrupt)?;
    state.connections.fetch_add(1, Ordering::SeqCst);
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(LOOK))?;
    }
    if state.bytes_per_second.load(Ordering::SeqCst) > 0 {
        for stream in [&client, &server] {
            rustix::net::sockopt::set_socket_recv_buffer_size(stream, 8 << 10)?;
        }
    }
    let generation = state.generation.load(Ordering::SeqCst);
    let heard = Arc::new(AtomicBool::new(true));
    let clients = [true, false].into_iter();
    for ((from, to), from_client) in [(client.try_clone()?, server.try_clone()?), (server, client)]
        .into_iter()
        .zip(clients)
    {
        let (pieces, line) = sync_channel(PIECES);
        let link = Link {
            state: Arc::clone(state),
            generation,
            from_client,
            heard: Arc::clone(&heard),
            held: Arc::default(),
        };
        let (reader, writer) = (link.clone(), link);
        thread::spawn(move || reader.read(from, &pieces));
        thread::spawn(move || writer.write(to, &line));
    }
    Ok(())
}

#[derive(Clone)]
struct Link {
    state: Arc<State>,
    generation: u64,
    from_client: bool,
    /// The client has heard something since it spoke last.
    heard: Arc<AtomicBool>,
    /// Bytes on the way in this direction.
    held: Arc<AtomicU64>,
}

impl Link {
    fn is_over(&self) -> bool {
        self.state.over.load(Ordering::SeqCst)
            || self.state.generation.load(Ordering::SeqCst) != self.generation
    }

    fn read(&self, mut from: TcpStream, pieces: &SyncSender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; 64 << 10];
        while !self.is_over() {
            let most = match self.state.bytes_per_second.load(Ordering::SeqCst) {
                0 => buffer.len(),
                rate => {
                    let held = self.held.load(Ordering::SeqCst);
                    usize::try_from((rate / 4).saturating_sub(held)).unwrap_or(usize::MAX)
                }
            };
            if most == 0 {
                thread::sleep(LOOK);
                continue;
            }
            let most = most.min(buffer.len());
            match from.read(&mut buffer[..most]) {
                Ok(0) => return,
                Ok(len) => {
                    self.held.fetch_add(len as u64, Ordering::SeqCst);
                    if self.from_client && self.heard.swap(false, Ordering::SeqCst) {
                        self.state.turns.fetch_add(1, Ordering::SeqCst);
                    }
                    if pieces
                        .send((Instant::now(), buffer[..len].to_vec()))
                        .is_err()
                    {
                        return;
                    }
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
    }

    fn write(&self, mut to: TcpStream, line: &Receiver<(Instant, Vec<u8>)>) {
        loop {
            let (came, bytes) = match line.recv_timeout(LOOK) {
                Ok(piece) => piece,
                Err(RecvTimeoutError::Timeout) if !self.is_over() => continue,
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    // The other side closed: say so, unless the link was broken.
                    if !self.is_over() {
                        let _ = to.shutdown(Shutdown::Write);
                    }
                    return;
                }
            };
            loop {
                if self.is_over() {
                    return;
                }
                let latency = Duration::from_micros(self.state.latency_us.load(Ordering::SeqCst));
                let due = came + latency;
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() && !self.state.silent.load(Ordering::SeqCst) {
                    break;
                }
                thread::sleep(if left.is_zero() { LOOK } else { left.min(LOOK) });
            }
            if self.pass(&mut to, &bytes).is_err() {
                return;
            }
        }
    }

    /// Writes bytes at the rate in force.
    fn pass(&self, to: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.is_over() {
                return Err(ErrorKind::ConnectionReset.into());
            }
            let rate = self.state.bytes_per_second.load(Ordering::SeqCst);
            // A fiftieth of a second's bytes at a time.
            let most = match rate {
                0 => bytes.len(),
                rate => usize::try_from(rate / 50).unwrap_or(usize::MAX),
            };
            let written = match to.write(&bytes[..most.clamp(1, bytes.len())]) {
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
                written => written?,
            };
            if rate > 0 {
                thread::sleep(Duration::from_secs_f64(written as f64 / rate as f64));
            }
            self.held.fetch_sub(written as u64, Ordering::SeqCst);
            if !self.from_client && written > 0 {
                self.heard.store(true, Ordering::SeqCst);
            }
            bytes = &bytes[written..];
        }
        Ok(())
    }
}
