//! A tiny client that speaks the wire format by hand, and memory for its pools.

use std::collections::BTreeMap;

use telemetry_core::Instant;
use xp_wayland_shim::{
    ClientError, ClientId, Handle, Input, Limits, MemoryDisplay, Output, OutputMode, PoolError,
    Pools, Shim,
};

pub(crate) const MODE: OutputMode = OutputMode::new(8, 4);
pub(crate) const CLIENT: ClientId = ClientId(1);
pub(crate) const DISPLAY: u32 = 1;
pub(crate) const REGISTRY: u32 = 2;

/// Names of the globals, in the order of the registry.
pub(crate) mod global {
    pub(crate) const COMPOSITOR: (u32, &str, u32) = (1, "wl_compositor", 6);
    pub(crate) const SHM: (u32, &str, u32) = (2, "wl_shm", 1);
    pub(crate) const OUTPUT: (u32, &str, u32) = (3, "wl_output", 4);
    pub(crate) const SEAT: (u32, &str, u32) = (4, "wl_seat", 7);
    pub(crate) const WM_BASE: (u32, &str, u32) = (5, "xdg_wm_base", 5);
    pub(crate) const PRESENTATION: (u32, &str, u32) = (6, "wp_presentation", 1);
    pub(crate) const MANAGER: (u32, &str, u32) = (7, "xp_telemetry_manager_v1", 1);
}

#[derive(Clone, Copy)]
pub(crate) enum A<'a> {
    W(u32),
    T(&'a str),
    B(&'a [u8]),
}

/// One message.
pub(crate) fn message(object: u32, opcode: u16, args: &[A<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for arg in args {
        match arg {
            A::W(v) => body.extend(v.to_ne_bytes()),
            A::T(text) => {
                body.extend((text.len() as u32 + 1).to_ne_bytes());
                body.extend(text.as_bytes());
                body.push(0);
            }
            A::B(bytes) => {
                body.extend((bytes.len() as u32).to_ne_bytes());
                body.extend(*bytes);
            }
        }
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut out = object.to_ne_bytes().to_vec();
    out.extend(((body.len() as u32 + 8) << 16 | u32::from(opcode)).to_ne_bytes());
    out.extend(body);
    out
}

/// An event as the client gets it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) object: u32,
    pub(crate) opcode: u16,
    pub(crate) words: Vec<u32>,
}

pub(crate) fn events(mut bytes: &[u8]) -> Vec<Event> {
    let word = |b: &[u8], i: usize| u32::from_ne_bytes(b[i * 4..i * 4 + 4].try_into().unwrap());
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let second = word(bytes, 1);
        let len = (second >> 16) as usize;
        out.push(Event {
            object: word(bytes, 0),
            opcode: second as u16,
            words: (2..len / 4).map(|i| word(bytes, i)).collect(),
        });
        bytes = &bytes[len..];
    }
    out
}

/// Clients' memory; what was closed is gone.
#[derive(Debug, Default)]
pub(crate) struct Memory(pub(crate) BTreeMap<Handle, Vec<u8>>);

impl Pools for Memory {
    fn open(&mut self, handle: Handle, size: u32) -> Result<(), PoolError> {
        let available = self.0.get(&handle).map_or(0, |m| m.len() as u64);
        let needed = u64::from(size);
        if available < needed {
            return Err(PoolError::Truncated { needed, available });
        }
        Ok(())
    }

    fn resize(&mut self, handle: Handle, size: u32) -> Result<(), PoolError> {
        self.open(handle, size)
    }

    fn read(&mut self, handle: Handle, offset: u32, out: &mut [u8]) -> Result<(), PoolError> {
        assert!(out.len() <= 64 * 1024, "{} bytes at once", out.len());
        let end = offset as usize + out.len();
        self.open(handle, end as u32)?;
        out.copy_from_slice(&self.0[&handle][offset as usize..end]);
        Ok(())
    }

    fn close(&mut self, handle: Handle) {
        assert!(self.0.remove(&handle).is_some(), "{handle:?} closed twice");
    }
}

/// A shim with one client, on a clock that stands still until told.
pub(crate) struct Bench {
    pub(crate) shim: Shim,
    pub(crate) display: MemoryDisplay,
    pub(crate) memory: Memory,
    pub(crate) now: Instant,
}

impl Bench {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut bench = Self {
            shim: Shim::new(limits, MODE),
            display: MemoryDisplay::new(MODE),
            memory: Memory::default(),
            now: Instant::from_nanos(1_000_000_000),
        };
        bench.connect(CLIENT);
        bench
    }

    pub(crate) fn connect(&mut self, client: ClientId) {
        self.shim
            .handle_input(self.now, Input::ClientConnected { client })
            .unwrap();
        self.send_as(client, DISPLAY, 1, &[A::W(REGISTRY)]);
        self.events_of(client);
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.shim.handle_input(self.now, input).unwrap();
    }

    pub(crate) fn feed(&mut self, client: ClientId, bytes: &[u8], handles: &[Handle]) {
        self.input(Input::Bytes {
            client,
            bytes,
            handles,
        });
    }

    pub(crate) fn send_as(&mut self, client: ClientId, object: u32, opcode: u16, args: &[A<'_>]) {
        self.feed(client, &message(object, opcode, args), &[]);
    }

    pub(crate) fn send(&mut self, object: u32, opcode: u16, args: &[A<'_>]) {
        self.send_as(CLIENT, object, opcode, args);
    }

    pub(crate) fn bind_as(&mut self, client: ClientId, global: (u32, &str, u32), id: u32) {
        let (name, interface, version) = global;
        let args = [A::W(name), A::T(interface), A::W(version), A::W(id)];
        self.send_as(client, REGISTRY, 0, &args);
    }

    pub(crate) fn bind(&mut self, global: (u32, &str, u32), id: u32) {
        self.bind_as(CLIENT, global, id);
    }

    pub(crate) fn events_of(&mut self, client: ClientId) -> Vec<Event> {
        let (mut bytes, mut handles) = (Vec::new(), Vec::new());
        self.shim.poll_transmit(client, &mut bytes, &mut handles);
        events(&bytes)
    }

    /// Everything the client was sent since the last call, as (object, opcode, words).
    pub(crate) fn events(&mut self) -> Vec<(u32, u16, Vec<u32>)> {
        let events = self.events_of(CLIENT).into_iter();
        events.map(|e| (e.object, e.opcode, e.words)).collect()
    }

    pub(crate) fn compose(&mut self) -> bool {
        self.shim
            .compose(self.now, &mut self.display, &mut self.memory)
            .unwrap()
    }

    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.shim.poll_output()).collect()
    }

    /// The error the client was disconnected with: interface, object, number.
    pub(crate) fn error(&mut self) -> Option<(&'static str, u32, u32)> {
        self.outputs().into_iter().find_map(|o| match o {
            Output::Disconnect {
                error:
                    ClientError::Protocol {
                        interface,
                        object,
                        error,
                        ..
                    },
                ..
            } => Some((interface, object, error)),
            _ => None,
        })
    }
}
