//! One client: its bytes, its objects, and the end of it.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::vec::Vec;

use super::shm::{Buffer, Pool};
use super::source::Source;
use super::surface::Surface;
use super::{ClientId, Context, Output, PoolWork};
use crate::geometry::Region;
use crate::hooks::{SurfaceChange, SurfaceKey};
use crate::object::{IdFault, Kind, Object, Objects};
use crate::tables::wl_display;
use crate::wire::{self, Arg, Args, HEADER, Header, MESSAGE_MAX};
use crate::{ClientError, Handle};

/// `wl_display.error` values; the display's enum is in no table.
pub(super) mod display_error {
    pub(in crate::shim) const INVALID_OBJECT: u32 = 0;
    pub(in crate::shim) const INVALID_METHOD: u32 = 1;
    pub(in crate::shim) const NO_MEMORY: u32 = 2;
}

/// The display is always object 1.
pub(super) const DISPLAY: u32 = 1;

/// A client's mistake: the object at fault, a value of its `error` enum, and why.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) object: u32,
    pub(super) error: u32,
    pub(super) message: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(object: u32, error: u32, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            object,
            error,
            message: message.into(),
        }
    }

    /// A limit of ours.
    pub(super) fn limit(message: &'static str) -> Self {
        Self::new(DISPLAY, display_error::NO_MEMORY, message)
    }
}

/// What a request handler returns.
pub(super) type Outcome = Result<(), Fault>;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) objects: Objects,
    pub(super) surfaces: BTreeMap<u32, Surface>,
    pub(super) regions: BTreeMap<u32, Region>,
    pub(super) buffers: BTreeMap<u32, Buffer>,
    pub(super) pools: BTreeMap<Handle, Pool>,
    pub(super) sources: BTreeMap<u32, Source>,
    rx: Vec<u8>,
    handles: VecDeque<Handle>,
    tx: Vec<u8>,
    tx_handles: Vec<Handle>,
    failed: bool,
}

impl Client {
    pub(super) fn new(id: ClientId) -> Self {
        let mut objects = Objects::default();
        let display = Object {
            kind: Kind::Display,
            version: 1,
        };
        // The first id of an empty table is always free.
        let taken = objects.insert(DISPLAY, display, 1);
        debug_assert_eq!(taken, Ok(()));
        Self {
            id,
            objects,
            surfaces: BTreeMap::new(),
            regions: BTreeMap::new(),
            buffers: BTreeMap::new(),
            pools: BTreeMap::new(),
            sources: BTreeMap::new(),
            rx: Vec::new(),
            handles: VecDeque::new(),
            tx: Vec::new(),
            tx_handles: Vec::new(),
            failed: false,
        }
    }

    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    pub(super) fn key(&self, surface: u32) -> SurfaceKey {
        SurfaceKey {
            client: self.id,
            surface,
        }
    }

    /// Handles every whole message; keeps the rest.
    pub(super) fn receive(&mut self, cx: &mut Context, bytes: &[u8], handles: &[Handle]) {
        self.handles.extend(handles);
        let mut rx = core::mem::take(&mut self.rx);
        rx.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(head) = wire::header(&rx[at..]) {
            let outcome = if head.len < HEADER || head.len > MESSAGE_MAX {
                Err(Fault::new(
                    DISPLAY,
                    display_error::INVALID_METHOD,
                    format!("message of {} bytes, 8 to 4096 are allowed", head.len),
                ))
            } else if let Some(body) = rx.get(at + HEADER..at + head.len) {
                self.message(cx, head, body)
            } else {
                break;
            };
            match outcome {
                Ok(true) => at += head.len,
                Ok(false) => break,
                Err(fault) => return self.fail(cx, fault),
            }
        }
        rx.drain(..at);
        if rx.len() > cx.limits.receive_bytes_max {
            return self.fail(
                cx,
                Fault::limit("a file descriptor is awaited for too long"),
            );
        }
        if self.handles.len() > cx.limits.handles_max {
            return self.fail(cx, Fault::limit("too many unused file descriptors"));
        }
        self.rx = rx;
    }

    /// Handles one message; `false` if its file descriptors have not come yet.
    fn message(&mut self, cx: &mut Context, head: Header, body: &[u8]) -> Result<bool, Fault> {
        let invalid = |error, message| Fault::new(DISPLAY, error, message);
        let object = self.objects.get(head.object).ok_or_else(|| {
            let message = format!("there is no object {}", head.object);
            invalid(display_error::INVALID_OBJECT, message)
        })?;
        let interface = object.kind.interface();
        let message = interface
            .requests
            .get(usize::from(head.opcode))
            .filter(|m| m.since <= object.version)
            .ok_or_else(|| {
                let (name, id, opcode) = (interface.name, head.object, head.opcode);
                let message = format!(
                    "{name}@{id} has no request {opcode} in version {}",
                    object.version
                );
                invalid(display_error::INVALID_METHOD, message)
            })?;
        if self.handles.len() < message.handles() {
            return Ok(false);
        }
        let mut taken = 0;
        let args = Args::decode(message, body, || {
            taken += 1;
            self.handles.get(taken - 1).copied()
        })
        .map_err(|why| {
            let message = format!("{}.{}: {why}", interface.name, message.name);
            invalid(display_error::INVALID_METHOD, message)
        })?;
        self.handles.drain(..taken);
        cx.stats.requests += 1;
        self.request(cx, head.object, object, head.opcode, &args)?;
        if message.destructor {
            self.retire(head.object);
        }
        Ok(true)
    }

    fn request(
        &mut self,
        cx: &mut Context,
        id: u32,
        object: Object,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        match object.kind {
            Kind::Display => self.display(cx, opcode, args),
            Kind::Registry => self.bind(cx, id, args),
            Kind::Compositor => self.compositor(cx, object.version, opcode, args),
            Kind::Surface => self.surface(cx, id, object.version, opcode, args),
            Kind::Region => self.region(cx, id, opcode, args),
            Kind::Shm => self.shm(cx, id, opcode, args),
            Kind::Pool(handle) => self.pool(cx, id, handle, opcode, args),
            Kind::Buffer => {
                self.buffer_destroyed(cx, id);
                Ok(())
            }
            Kind::Seat => self.seat(cx, id, object.version, opcode, args),
            Kind::Pointer => self.set_cursor(id, opcode, args),
            Kind::WmBase => self.wm_base(cx, id, object.version, opcode, args),
            Kind::Positioner => self.positioner(id, opcode, args),
            Kind::XdgSurface(surface) => {
                self.xdg_surface(cx, id, surface, object.version, opcode, args)
            }
            Kind::Toplevel(surface) => self.toplevel(cx, id, surface, opcode, args),
            Kind::Popup(surface) => self.popup(surface, opcode),
            Kind::Presentation => self.presentation(cx, opcode, args),
            Kind::Manager => self.manager(cx, id, opcode, args),
            Kind::Source => self.source(cx, id, opcode, args),
            // Their only requests are destructors.
            Kind::Output | Kind::Keyboard | Kind::Touch => Ok(()),
            // They have no requests.
            Kind::Callback | Kind::Feedback => Ok(()),
        }
    }

    /// Creates an object the client asked for.
    pub(super) fn create(
        &mut self,
        cx: &Context,
        id: u32,
        kind: Kind,
        version: u32,
    ) -> Result<(), Fault> {
        self.objects
            .insert(id, Object { kind, version }, cx.limits.objects_max)
            .map_err(|fault| match fault {
                IdFault::Invalid => Fault::new(
                    DISPLAY,
                    display_error::INVALID_OBJECT,
                    format!("id {id} is in use, or not the next free one"),
                ),
                IdFault::TooMany => Fault::limit("too many objects"),
            })
    }

    /// Frees the id of a destroyed object.
    pub(super) fn retire(&mut self, id: u32) {
        self.objects.remove(id);
        self.send(DISPLAY, wl_display::event::DELETE_ID, &[Arg::Uint(id)]);
    }

    /// The version of an object, 0 if it is gone.
    pub(super) fn version(&self, id: u32) -> u32 {
        self.objects.get(id).map_or(0, |o| o.version)
    }

    /// Sends an event. The caller checks that the object's version has it.
    pub(super) fn send(&mut self, object: u32, opcode: u16, args: &[Arg<'_>]) {
        let Some(target) = self.objects.get(object) else {
            debug_assert!(false, "event {opcode} for dead object {object}");
            return;
        };
        let event = &target.kind.interface().events[usize::from(opcode)];
        debug_assert!(wire::fits(event, args), "{} with {args:?}", event.name);
        debug_assert!(event.since <= target.version, "{}", event.name);
        wire::encode(&mut self.tx, object, opcode, args);
        for arg in args {
            if let Arg::Handle(handle) = arg {
                self.tx_handles.push(*handle);
            }
        }
    }

    pub(super) fn transmit(&mut self, bytes: &mut Vec<u8>, handles: &mut Vec<Handle>) {
        bytes.append(&mut self.tx);
        handles.append(&mut self.tx_handles);
    }

    /// Disconnects a client that does not read.
    pub(super) fn check_transmit(&mut self, cx: &mut Context) {
        let (waiting, max) = (self.tx.len(), cx.limits.transmit_bytes_max);
        if waiting > max && !self.failed {
            self.tx.clear();
            self.end(cx, ClientError::NotReading { waiting, max });
        }
    }

    /// Tells the client its mistake and disconnects it.
    pub(super) fn fail(&mut self, cx: &mut Context, fault: Fault) {
        let Fault {
            object,
            error,
            message,
        } = fault;
        let interface = self
            .objects
            .get(object)
            .map_or("wl_display", |o| o.kind.interface().name);
        let args = [
            Arg::Object(object),
            Arg::Uint(error),
            Arg::Text(Some(&message)),
        ];
        self.send(DISPLAY, wl_display::event::ERROR, &args);
        let error = ClientError::Protocol {
            interface,
            object,
            error,
            message,
        };
        self.end(cx, error);
    }

    fn end(&mut self, cx: &mut Context, error: ClientError) {
        self.failed = true;
        self.tear_down(cx);
        cx.stats.clients_failed += 1;
        cx.outputs.push_back(Output::Disconnect {
            client: self.id,
            error,
        });
    }

    /// Takes everything of this client out of what is shared.
    pub(super) fn tear_down(&mut self, cx: &mut Context) {
        for id in self.sources.keys().copied().collect::<Vec<_>>() {
            self.source_closed(cx, id);
        }
        for id in self.surfaces.keys().copied().collect::<Vec<_>>() {
            self.unmap(cx, id);
            self.note_surface(cx, id, SurfaceChange::Destroyed);
        }
        self.surfaces.clear();
        self.buffers.clear();
        self.regions.clear();
        let pools = core::mem::take(&mut self.pools).into_keys();
        let unused = core::mem::take(&mut self.handles);
        for handle in pools.chain(unused) {
            cx.pool_work.push_back(PoolWork::Close { handle });
        }
        self.objects.clear();
        self.rx.clear();
    }
}
