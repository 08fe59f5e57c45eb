//! Serves clients on connected Unix sockets: reads, asks the shim, composes, writes.
//!
//! No clock is read and no thread started: the caller says what time it is.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//! use std::time::Duration;
//! use telemetry_core::Instant;
//! use xp_wayland_shim::unix::UnixHost;
//! use xp_wayland_shim::{Limits, MemoryDisplay, Output, OutputMode, Shim};
//!
//! let mode = OutputMode::new(480, 272);
//! let mut host = UnixHost::new(Shim::new(Limits::default(), mode), MemoryDisplay::new(mode))?;
//! let (ours, _theirs) = UnixStream::pair()?;
//! let mut now = Instant::from_nanos(0);
//! host.add_client(now, ours)?;
//! for _ in 0..3 {
//!     host.wait(Some(Duration::from_millis(1)), &[])?; // until a socket or the waker stirs
//!     now = now + Duration::from_millis(16); // your clock, real or virtual
//!     host.turn(now)?;
//!     while let Some(output) = host.poll_output() {
//!         if let Output::Record { source, serial, .. } = output {
//!             // store it, then host.handle_input(now, Input::Durable { source, serial })
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod pools;
mod socket;

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use telemetry_core::Instant;

#[cfg(feature = "telemetry")]
use crate::HookEvent;
use crate::{ClientId, ComposeError, Display, Input, InputError, Output, Shim, Stats};
use pools::FdPools;
use socket::{Connection, Received};

/// The host could not go on. The clients that work are still served by the next turn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// A system call for the host itself failed; one for a client only ends that client.
    #[error("host: {0}")]
    Io(#[from] io::Error),
    /// The client was not added.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The frame was not presented.
    #[error(transparent)]
    Compose(#[from] ComposeError),
}

telemetry_core::error_codes!(HostError {
    Io(_) => 2080,
    Input(_) => 2081,
    Compose(_) => 2082,
});

/// Ends a [`UnixHost::wait`] from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<UnixStream>);

impl Waker {
    /// Makes the present or the next `wait` return at once.
    pub fn wake(&self) {
        // A full pipe wakes as well.
        let _ = (&*self.0).write(&[1]);
    }
}

/// A [`Shim`], its display, and the sockets of its clients.
#[derive(Debug)]
pub struct UnixHost<D> {
    shim: Shim,
    display: D,
    connections: BTreeMap<ClientId, Connection>,
    pools: FdPools,
    last_client: u32,
    waker: Waker,
    woken: UnixStream,
}

impl<D: Display> UnixHost<D> {
    /// A host without clients.
    pub fn new(shim: Shim, display: D) -> io::Result<Self> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        Ok(Self {
            shim,
            display,
            connections: BTreeMap::new(),
            pools: FdPools::default(),
            last_client: 0,
            waker: Waker(Arc::new(wake)),
            woken,
        })
    }

    /// Serves a connected client from the next turn on.
    pub fn add_client(&mut self, now: Instant, stream: UnixStream) -> Result<ClientId, HostError> {
        let client = ClientId(self.last_client.wrapping_add(1));
        stream.set_nonblocking(true)?;
        self.shim
            .handle_input(now, Input::ClientConnected { client })?;
        self.last_client = client.0;
        self.connections.insert(client, Connection::new(stream));
        Ok(client)
    }

    /// Offers an XKB keymap: a file with its text, which ends with NUL and has `size` bytes. From
    /// then on the seat has a keyboard.
    pub fn set_keymap(&mut self, now: Instant, file: OwnedFd, size: u32) -> Result<(), InputError> {
        let handle = self.pools.adopt(file);
        self.shim.handle_input(now, Input::Keymap { handle, size })
    }

    /// Waits until a client, the [`Waker`] or one of `also` has something to say, at most for
    /// `timeout` of real time; for ever with `None`.
    ///
    /// On a clock that runs like the real one, wait no longer than [`UnixHost::poll_timeout`].
    pub fn wait(&self, timeout: Option<Duration>, also: &[BorrowedFd<'_>]) -> io::Result<()> {
        let woken = self.woken.as_fd();
        let quiet = also.iter().copied().chain([woken]);
        let mut fds: Vec<PollFd<'_>> = quiet
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        for connection in self.connections.values() {
            fds.push(PollFd::from_borrowed_fd(
                connection.as_fd(),
                connection.interest(),
            ));
        }
        let timeout = timeout.map(|t| Timespec {
            tv_sec: t.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: t.subsec_nanos().into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// One turn: reads what clients sent, at most 16 KiB each, composes if a frame is due, and
    /// writes. Never blocks. Take the outputs afterwards.
    pub fn turn(&mut self, now: Instant) -> Result<(), HostError> {
        let mut drain = [0; 64];
        while matches!(self.woken.read(&mut drain), Ok(n) if n == drain.len()) {}
        for (&client, connection) in &mut self.connections {
            Self::read(&mut self.shim, &mut self.pools, now, client, connection);
        }
        let composed = self.shim.compose(now, &mut self.display, &mut self.pools);
        self.write(now);
        composed?;
        Ok(())
    }

    fn read(
        shim: &mut Shim,
        pools: &mut FdPools,
        now: Instant,
        client: ClientId,
        connection: &mut Connection,
    ) {
        let outcome = match connection.receive(pools) {
            Received::Nothing => return,
            Received::Something => shim.handle_input(
                now,
                Input::Bytes {
                    client,
                    bytes: connection.received(),
                    handles: connection.received_handles(),
                },
            ),
            Received::End => {
                connection.close();
                return;
            }
        };
        match outcome {
            // Kept for the next turn, after the caller has taken outputs.
            Err(InputError::Full { .. }) => {}
            Err(_) => connection.close(),
            Ok(()) => connection.taken(),
        }
    }

    /// Sends what the shim has for each client, and lets go of clients that are done.
    fn write(&mut self, now: Instant) {
        for (&client, connection) in &mut self.connections {
            connection.send(&mut self.shim, &self.pools, client);
        }
        let (shim, pools) = (&mut self.shim, &mut self.pools);
        self.connections.retain(|&client, connection| {
            if !connection.closing() {
                return true;
            }
            // The shim has not seen these, so it will not close them.
            connection.abandon(pools);
            let known = shim.handle_input(now, Input::Disconnected { client });
            debug_assert!(known.is_ok());
            false
        });
    }

    /// Passes an input on, e.g. [`Input::Resume`], [`Input::Durable`] or a touch.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        self.shim.handle_input(now, input)
    }

    /// The next output. The host itself does what [`Output::Disconnect`] asks for, with its next
    /// turn.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.shim.poll_output()?;
        if let Output::Disconnect { client, .. } = &output
            && let Some(connection) = self.connections.get_mut(client)
        {
            connection.close();
        }
        Some(output)
    }

    /// When the next turn is needed if no socket stirs, on the clock of `now`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.shim.poll_timeout()
    }

    /// Takes the oldest hook event.
    #[cfg(feature = "telemetry")]
    pub fn take_hook_event(&mut self) -> Option<HookEvent> {
        self.shim.take_hook_event()
    }

    /// The shim's counters.
    pub fn stats(&self) -> Stats {
        self.shim.stats()
    }

    /// The display.
    pub fn display(&self) -> &D {
        &self.display
    }

    /// Whether a client is connected still.
    pub fn is_connected(&self, client: ClientId) -> bool {
        self.connections.contains_key(&client)
    }

    /// Clients connected.
    pub fn clients(&self) -> usize {
        self.connections.len()
    }

    /// Ends a `wait` from another thread.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
