//! The machine: inputs in, outputs out, time as an argument.

mod client;
mod compose;
mod globals;
mod seat;
mod shm;
mod source;
mod surface;
mod xdg;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use telemetry_core::Instant;

#[cfg(feature = "telemetry")]
use crate::HookEvent;
use crate::hooks::{Hooks, SurfaceKey};
use crate::{ClientError, Handle, InputError, Limits, OutputMode};
use client::Client;
use seat::Seat;
pub use seat::{Fixed, PointerEvent, TouchEvent};

/// A connected client. The caller chooses the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An open source of records. Never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u64);

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What happened outside.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A client has connected.
    ClientConnected {
        /// A number no connected client has.
        client: ClientId,
    },
    /// A client has sent something. Bytes may be cut anywhere.
    Bytes {
        /// The client.
        client: ClientId,
        /// The next bytes of its stream.
        bytes: &'a [u8],
        /// File descriptors that came with them, or before the rest of their message. From here
        /// on [`Pools::close`](crate::Pools::close) tells when one is used no more.
        handles: &'a [Handle],
    },
    /// A client is gone, or was closed after [`Output::Disconnect`].
    Disconnected {
        /// The client.
        client: ClientId,
    },
    /// A pointer moved or a button changed.
    Pointer(PointerEvent),
    /// A finger touched, moved or left the screen.
    Touch(TouchEvent),
    /// A key changed.
    Key {
        /// Linux key code.
        key: u32,
        /// Down or up.
        pressed: bool,
    },
    /// A keyboard is there: from now on the seat offers one.
    Keymap {
        /// Memory with an XKB keymap text that ends with NUL. Stays the caller's and must stay
        /// valid; it is sent to every client that asks for a keyboard.
        handle: Handle,
        /// Length with the NUL, in bytes.
        size: u32,
    },
    /// Where a source goes on, the answer to [`Output::SourceOpened`].
    Resume {
        /// The source.
        source: SourceId,
        /// Its last durable serial, 0 if there is none.
        serial: u64,
    },
    /// The records of a source up to this serial are durable.
    Durable {
        /// The source.
        source: SourceId,
        /// A serial that was received.
        serial: u64,
    },
    /// The caller cannot take what a source's client sent, and never will: the client is told so and
    /// disconnected. The others go on.
    Refuse {
        /// The source.
        source: SourceId,
        /// What cannot be taken.
        refusal: Refusal,
        /// Why, for whoever looks for the fault in the client; cut after 512 bytes.
        reason: &'a str,
    },
    /// Nothing but time.
    Tick,
}

/// What of a client cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Its schema, e.g. because it is none.
    Schema,
    /// A record, e.g. because it is not in the schema that was announced.
    Record,
    /// One name or schema more than the caller keeps.
    Limit,
}

/// What the caller shall do or know, in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// A client opened a source. Answer with [`Input::Resume`].
    SourceOpened {
        /// The client.
        client: ClientId,
        /// Names the source in later inputs and outputs.
        source: SourceId,
        /// Its name, the same over restarts: 1 to 128 bytes.
        name: String,
    },
    /// The schema of the records that follow.
    SchemaAnnounced {
        /// The source.
        source: SourceId,
        /// What the client says is Avro schema JSON. Not looked into.
        text: String,
    },
    /// One record. Answer with [`Input::Durable`] when it is, at once or for many together.
    Record {
        /// The source.
        source: SourceId,
        /// The previous serial + 1.
        serial: u64,
        /// What the client says is one Avro single-object record. Not looked into.
        bytes: Vec<u8>,
    },
    /// A source is closed; its records stay to be stored.
    SourceClosed {
        /// The source.
        source: SourceId,
    },
    /// Send what [`Shim::poll_transmit`] still has, close the connection, then say
    /// [`Input::Disconnected`].
    Disconnect {
        /// The client.
        client: ClientId,
        /// What it did.
        error: ClientError,
    },
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests handled.
    pub requests: u64,
    /// Records passed on.
    pub records: u64,
    /// Records that had arrived before.
    pub records_repeated: u64,
    /// Frames presented.
    pub frames: u64,
    /// Pixels drawn.
    pub pixels: u64,
    /// Clients disconnected for an error.
    pub clients_failed: u64,
    /// Hook events lost because nobody took the earlier ones.
    pub hook_events_dropped: u64,
}

/// Work for the caller's [`Pools`](crate::Pools), done at the next `compose`.
#[derive(Clone, Copy, Debug)]
enum PoolWork {
    /// `blame` is the object that gets the error if the memory is too short.
    Open {
        client: ClientId,
        blame: u32,
        handle: Handle,
        size: u32,
    },
    Resize {
        client: ClientId,
        blame: u32,
        handle: Handle,
        size: u32,
    },
    Close {
        handle: Handle,
    },
}

/// What all clients share.
#[derive(Debug)]
struct Context {
    limits: Limits,
    mode: OutputMode,
    now: Instant,
    serial: u32,
    outputs: VecDeque<Output>,
    hooks: Hooks,
    stats: Stats,
    /// Mapped toplevels, the visible one last.
    stack: Vec<SurfaceKey>,
    /// A visible surface has another size: its surroundings must be drawn.
    resized: bool,
    /// Open sources by name.
    names: BTreeMap<String, SourceId>,
    /// Owner and object of each open source.
    sources: BTreeMap<SourceId, (ClientId, u32)>,
    sources_opened: u64,
    pool_work: VecDeque<PoolWork>,
    keymap: Option<(Handle, u32)>,
}

impl Context {
    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    /// The time stamp of input and frame events: milliseconds that wrap, as the protocol wants.
    fn millis(&self) -> u32 {
        (self.now.as_nanos() / 1_000_000) as u32
    }
}

/// A compositor for one screen. See the [crate] for the picture.
#[derive(Debug)]
pub struct Shim {
    cx: Context,
    clients: BTreeMap<ClientId, Client>,
    seat: Seat,
    /// The surface that fills the screen.
    top: Option<SurfaceKey>,
    /// The whole screen must be drawn.
    redraw: bool,
    /// Frames are not composed before.
    next_frame: Instant,
    sequence: u64,
    scratch: Vec<u8>,
}

impl Shim {
    /// A shim for a display of this mode, without clients.
    pub fn new(limits: Limits, mode: OutputMode) -> Self {
        Self {
            cx: Context {
                hooks: Hooks::new(limits.hook_events_max),
                limits,
                mode,
                now: Instant::default(),
                serial: 0,
                outputs: VecDeque::new(),
                stats: Stats::default(),
                stack: Vec::new(),
                resized: false,
                names: BTreeMap::new(),
                sources: BTreeMap::new(),
                sources_opened: 0,
                pool_work: VecDeque::new(),
                keymap: None,
            },
            clients: BTreeMap::new(),
            seat: Seat::default(),
            top: None,
            redraw: true,
            next_frame: Instant::default(),
            sequence: 0,
            scratch: Vec::new(),
        }
    }

    /// Takes one input. A refused input is untouched.
    ///
    /// An error of a *client* is no error here: it ends in [`Output::Disconnect`].
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        self.advance(now);
        match input {
            Input::ClientConnected { client } => self.connect(client)?,
            Input::Bytes {
                client,
                bytes,
                handles,
            } => {
                let waiting = self.cx.outputs.len();
                if waiting >= self.cx.limits.outputs_max {
                    return Err(InputError::Full { waiting });
                }
                match self.clients.get_mut(&client) {
                    Some(c) if !c.failed() => c.receive(&mut self.cx, bytes, handles),
                    _ => return Err(InputError::UnknownClient { client }),
                }
            }
            Input::Disconnected { client } => {
                let mut gone = self
                    .clients
                    .remove(&client)
                    .ok_or(InputError::UnknownClient { client })?;
                gone.tear_down(&mut self.cx);
            }
            Input::Pointer(event) => self.pointer(event),
            Input::Touch(event) => self.touch(event),
            Input::Key { key, pressed } => self.key(key, pressed),
            Input::Keymap { handle, size } => self.keymap(handle, size),
            Input::Resume { source, serial } => self.resume(source, serial)?,
            Input::Durable { source, serial } => self.durable(source, serial)?,
            Input::Refuse {
                source,
                refusal,
                reason,
            } => self.refuse(source, refusal, reason)?,
            Input::Tick => {}
        }
        self.settle();
        Ok(())
    }

    /// The next output, `None` if there is none now.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.cx.outputs.pop_front()
    }

    /// Moves bytes for `client` to the end of `bytes`, and file descriptors that go with the
    /// *first* of them to `handles`. Moves nothing if there is nothing to send.
    ///
    /// Send all of it, in order, before the next call.
    pub fn poll_transmit(
        &mut self,
        client: ClientId,
        bytes: &mut Vec<u8>,
        handles: &mut Vec<Handle>,
    ) {
        if let Some(c) = self.clients.get_mut(&client) {
            c.transmit(bytes, handles);
        }
    }

    /// When to call [`Shim::compose`] if nothing else happens, `None` for never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.cx.pool_work.is_empty() {
            return Some(self.cx.now);
        }
        self.frame_wanted()
    }

    /// Takes the oldest hook event.
    #[cfg(feature = "telemetry")]
    pub fn take_hook_event(&mut self) -> Option<HookEvent> {
        self.cx.hooks.pop()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats {
            #[cfg(feature = "telemetry")]
            hook_events_dropped: self.cx.hooks.dropped,
            ..self.cx.stats
        }
    }

    /// The mode that clients were told.
    pub fn mode(&self) -> OutputMode {
        self.cx.mode
    }

    /// Time that goes backwards stands still.
    fn advance(&mut self, now: Instant) {
        self.cx.now = self.cx.now.max(now);
    }

    fn connect(&mut self, client: ClientId) -> Result<(), InputError> {
        if self.clients.contains_key(&client) {
            return Err(InputError::ClientExists { client });
        }
        let max = self.cx.limits.clients_max;
        if self.clients.len() >= max {
            return Err(InputError::TooManyClients { max });
        }
        self.clients.insert(client, Client::new(client));
        Ok(())
    }

    /// Brings what follows from an input in line: who is on top, who has the focus, who is out.
    fn settle(&mut self) {
        for client in self.clients.values_mut() {
            client.check_transmit(&mut self.cx);
        }
        self.redraw |= core::mem::take(&mut self.cx.resized);
        let top = self.cx.stack.last().copied();
        if top != self.top {
            self.redraw = true;
            for key in [self.top, top].into_iter().flatten() {
                if let Some(client) = self.clients.get_mut(&key.client) {
                    client.activate(&mut self.cx, key.surface, Some(key) == top);
                }
            }
            self.top = top;
            self.refocus();
        }
    }
}
