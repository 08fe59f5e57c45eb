//! `wl_seat`: pointer, touch and keyboard, delivered to the surface that fills the screen.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::client::{Client, Fault, Outcome};
use super::surface::no_such;
use super::{Context, Shim};
use crate::Handle;
use crate::hooks::{Role, SurfaceKey};
use crate::object::Kind;
use crate::tables::{wl_keyboard, wl_pointer, wl_seat, wl_touch};
use crate::wire::{Arg, Args};

/// `wl_seat.error.missing_capability`.
const MISSING_CAPABILITY: u32 = 0;
/// `wl_pointer.error.role`.
const POINTER_ROLE: u32 = 0;
/// `wl_seat.capability` values.
const POINTER: u32 = 1;
const KEYBOARD: u32 = 2;
const TOUCH: u32 = 4;
/// `wl_keyboard.keymap_format.xkb_v1`.
const XKB_V1: u32 = 1;
/// Fingers at a time; more are ignored.
const TOUCHES_MAX: usize = 16;
/// Keys at a time; more are ignored.
const KEYS_MAX: usize = 32;

/// A position or distance in 1/256 pixel, as the protocol has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fixed(pub i32);

impl Fixed {
    /// Whole pixels.
    pub const fn from_pixels(pixels: i32) -> Self {
        Self(pixels.saturating_mul(256))
    }

    /// Whole pixels, rounded down.
    pub const fn pixels(self) -> i32 {
        self.0 >> 8
    }

    const fn less(self, pixels: i32) -> Self {
        Self(self.0.saturating_sub(Self::from_pixels(pixels).0))
    }
}

/// What a pointer did. Positions are on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PointerEvent {
    /// It moved.
    Motion {
        /// From the left edge.
        x: Fixed,
        /// From the upper edge.
        y: Fixed,
    },
    /// A button changed.
    Button {
        /// Linux button code, e.g. 0x110 for the left one.
        button: u32,
        /// Down or up.
        pressed: bool,
    },
    /// The wheel turned.
    Wheel {
        /// Distance, positive downwards.
        distance: Fixed,
    },
}

/// What a finger did. Positions are on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TouchEvent {
    /// A finger came.
    Down {
        /// Names the finger until it leaves.
        id: i32,
        /// From the left edge.
        x: Fixed,
        /// From the upper edge.
        y: Fixed,
    },
    /// A finger moved.
    Motion {
        /// The finger.
        id: i32,
        /// From the left edge.
        x: Fixed,
        /// From the upper edge.
        y: Fixed,
    },
    /// A finger left.
    Up {
        /// The finger.
        id: i32,
    },
}

#[derive(Debug, Default)]
pub(super) struct Seat {
    /// Where the pointer is, `None` before its first motion.
    at: Option<(Fixed, Fixed)>,
    pointer: Option<SurfaceKey>,
    /// While one is down, the pointer stays with its surface.
    buttons: Vec<u32>,
    keyboard: Option<SurfaceKey>,
    keys: Vec<u32>,
    /// The surface each finger came down on.
    touches: BTreeMap<i32, SurfaceKey>,
}

impl Client {
    pub(super) fn send_capabilities(&mut self, cx: &Context, seat: u32) {
        let keyboard = if cx.keymap.is_some() { KEYBOARD } else { 0 };
        let capabilities = [Arg::Uint(POINTER | TOUCH | keyboard)];
        self.send(seat, wl_seat::event::CAPABILITIES, &capabilities);
    }

    pub(super) fn seat(
        &mut self,
        cx: &mut Context,
        seat: u32,
        version: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        match opcode {
            wl_seat::request::GET_POINTER => {
                self.create(cx, args.uint(0), Kind::Pointer, version)?;
            }
            wl_seat::request::GET_TOUCH => self.create(cx, args.uint(0), Kind::Touch, version)?,
            wl_seat::request::GET_KEYBOARD => {
                let id = args.uint(0);
                self.create(cx, id, Kind::Keyboard, version)?;
                let Some((handle, size)) = cx.keymap else {
                    let message = "there is no keyboard";
                    return Err(Fault::new(seat, MISSING_CAPABILITY, message));
                };
                let keymap = [Arg::Uint(XKB_V1), Arg::Handle(handle), Arg::Uint(size)];
                self.send(id, wl_keyboard::event::KEYMAP, &keymap);
                if version >= 4 {
                    let repeat = [Arg::Int(25), Arg::Int(600)];
                    self.send(id, wl_keyboard::event::REPEAT_INFO, &repeat);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `wl_pointer`: the only request besides its destructor. A touch screen shows no cursor.
    pub(super) fn set_cursor(&mut self, pointer: u32, opcode: u16, args: &Args<'_>) -> Outcome {
        if opcode != wl_pointer::request::SET_CURSOR || args.object(1) == 0 {
            return Ok(());
        }
        let surface = self
            .surfaces
            .get_mut(&args.object(1))
            .ok_or_else(|| no_such("wl_surface", args.object(1)))?;
        if !matches!(surface.role, Role::None | Role::Cursor) || surface.xdg.is_some() {
            let message = "surface has another role";
            return Err(Fault::new(pointer, POINTER_ROLE, message));
        }
        surface.role = Role::Cursor;
        Ok(())
    }

    /// Sends an event to all of this client's objects of a kind.
    fn broadcast(&mut self, kind: Kind, opcode: u16, args: &[Arg<'_>]) {
        for id in self.objects.ids(kind).collect::<Vec<_>>() {
            self.send(id, opcode, args);
        }
    }

    /// Ends a group of pointer events.
    fn pointer_frame(&mut self) {
        for id in self.objects.ids(Kind::Pointer).collect::<Vec<_>>() {
            if self.version(id) >= 5 {
                self.send(id, wl_pointer::event::FRAME, &[]);
            }
        }
    }

    /// Starts the clock of input latency.
    fn delivered(&mut self, cx: &Context, surface: u32) {
        if let Some(surface) = self.surfaces.get_mut(&surface) {
            surface.input_delivered.get_or_insert(cx.now);
        }
    }
}

impl Shim {
    /// The client of a surface that still exists.
    fn target(&mut self, key: Option<SurfaceKey>) -> Option<(&mut Context, &mut Client, u32)> {
        let key = key?;
        let client = self
            .clients
            .get_mut(&key.client)
            .filter(|c| c.surfaces.contains_key(&key.surface))?;
        Some((&mut self.cx, client, key.surface))
    }

    /// A point of the screen in coordinates of a surface.
    fn local(&self, key: SurfaceKey, (x, y): (Fixed, Fixed)) -> Option<(Fixed, Fixed)> {
        let surface = self.clients.get(&key.client)?.surfaces.get(&key.surface)?;
        let (left, top) = surface.origin(&self.cx.mode.rect());
        Some((x.less(left), y.less(top)))
    }

    /// The surface that takes input at a point of the screen.
    fn hit(&self, at: (Fixed, Fixed)) -> Option<SurfaceKey> {
        let key = self.top?;
        let (x, y) = self.local(key, at)?;
        let surface = self.clients.get(&key.client)?.surfaces.get(&key.surface)?;
        surface.takes_input(x.pixels(), y.pixels()).then_some(key)
    }

    /// [`Input::Keymap`](super::Input::Keymap).
    pub(super) fn keymap(&mut self, handle: Handle, size: u32) {
        self.cx.keymap = Some((handle, size));
        for client in self.clients.values_mut() {
            for seat in client.objects.ids(Kind::Seat).collect::<Vec<_>>() {
                client.send_capabilities(&self.cx, seat);
            }
        }
    }

    /// Gives keyboard and pointer to the surface on top.
    pub(super) fn refocus(&mut self) {
        self.focus_keyboard(self.top);
        self.seat.buttons.clear();
        let under = self.seat.at.and_then(|at| self.hit(at));
        self.focus_pointer(under);
    }

    fn focus_keyboard(&mut self, to: Option<SurfaceKey>) {
        let from = core::mem::replace(&mut self.seat.keyboard, to);
        if let Some((cx, client, surface)) = self.target(from) {
            let args = [Arg::Uint(cx.next_serial()), Arg::Object(surface)];
            client.broadcast(Kind::Keyboard, wl_keyboard::event::LEAVE, &args);
        }
        let keys: Vec<u8> = self
            .seat
            .keys
            .iter()
            .flat_map(|k| k.to_ne_bytes())
            .collect();
        if let Some((cx, client, surface)) = self.target(to) {
            let enter = [
                Arg::Uint(cx.next_serial()),
                Arg::Object(surface),
                Arg::Array(&keys),
            ];
            client.broadcast(Kind::Keyboard, wl_keyboard::event::ENTER, &enter);
            let none = Arg::Uint(0);
            let modifiers = [Arg::Uint(cx.next_serial()), none, none, none, none];
            client.broadcast(Kind::Keyboard, wl_keyboard::event::MODIFIERS, &modifiers);
        }
    }

    fn focus_pointer(&mut self, to: Option<SurfaceKey>) {
        if self.seat.pointer == to {
            return;
        }
        let from = core::mem::replace(&mut self.seat.pointer, to);
        if let Some((cx, client, surface)) = self.target(from) {
            let args = [Arg::Uint(cx.next_serial()), Arg::Object(surface)];
            client.broadcast(Kind::Pointer, wl_pointer::event::LEAVE, &args);
            client.pointer_frame();
        }
        let at = to
            .zip(self.seat.at)
            .and_then(|(key, at)| self.local(key, at));
        if let (Some((x, y)), Some((cx, client, surface))) = (at, self.target(to)) {
            let args = [
                Arg::Uint(cx.next_serial()),
                Arg::Object(surface),
                Arg::Int(x.0),
                Arg::Int(y.0),
            ];
            client.broadcast(Kind::Pointer, wl_pointer::event::ENTER, &args);
            client.pointer_frame();
        }
    }

    /// [`Input::Pointer`](super::Input::Pointer).
    pub(super) fn pointer(&mut self, event: PointerEvent) {
        let mut local = None;
        match event {
            PointerEvent::Motion { x, y } => {
                self.seat.at = Some((x, y));
                if self.seat.buttons.is_empty() {
                    let under = self.hit((x, y));
                    self.focus_pointer(under);
                }
                local = self.seat.pointer.and_then(|key| self.local(key, (x, y)));
            }
            PointerEvent::Button { button, pressed } => {
                self.seat.buttons.retain(|b| *b != button);
                if pressed && self.seat.buttons.len() < KEYS_MAX {
                    self.seat.buttons.push(button);
                }
            }
            PointerEvent::Wheel { .. } => {}
        }
        if let Some((cx, client, surface)) = self.target(self.seat.pointer) {
            let time = Arg::Uint(cx.millis());
            match (event, local) {
                (PointerEvent::Motion { .. }, Some((x, y))) => {
                    let args = [time, Arg::Int(x.0), Arg::Int(y.0)];
                    client.broadcast(Kind::Pointer, wl_pointer::event::MOTION, &args);
                }
                (PointerEvent::Button { button, pressed }, _) => {
                    let serial = Arg::Uint(cx.next_serial());
                    let args = [serial, time, Arg::Uint(button), Arg::Uint(pressed.into())];
                    client.broadcast(Kind::Pointer, wl_pointer::event::BUTTON, &args);
                }
                (PointerEvent::Wheel { distance }, _) => {
                    let args = [time, Arg::Uint(0), Arg::Int(distance.0)];
                    client.broadcast(Kind::Pointer, wl_pointer::event::AXIS, &args);
                }
                (PointerEvent::Motion { .. }, None) => return,
            }
            client.pointer_frame();
            client.delivered(cx, surface);
        }
        // The last button is up: the pointer may belong elsewhere now.
        if let PointerEvent::Button { pressed: false, .. } = event
            && self.seat.buttons.is_empty()
        {
            let under = self.seat.at.and_then(|at| self.hit(at));
            self.focus_pointer(under);
        }
    }

    /// [`Input::Touch`](super::Input::Touch).
    pub(super) fn touch(&mut self, event: TouchEvent) {
        let (id, at) = match event {
            TouchEvent::Down { id, x, y } => {
                if self.seat.touches.len() < TOUCHES_MAX
                    && let Some(key) = self.hit((x, y))
                {
                    self.seat.touches.entry(id).or_insert(key);
                }
                (id, Some((x, y)))
            }
            TouchEvent::Motion { id, x, y } => (id, Some((x, y))),
            TouchEvent::Up { id } => (id, None),
        };
        let Some(key) = self.seat.touches.get(&id).copied() else {
            return;
        };
        if at.is_none() {
            self.seat.touches.remove(&id);
        }
        let local = at.and_then(|at| self.local(key, at)).unwrap_or_default();
        let Some((cx, client, surface)) = self.target(Some(key)) else {
            return;
        };
        let (time, finger) = (Arg::Uint(cx.millis()), Arg::Int(id));
        let (x, y) = (Arg::Int(local.0.0), Arg::Int(local.1.0));
        match event {
            TouchEvent::Down { .. } => {
                let serial = Arg::Uint(cx.next_serial());
                let args = [serial, time, Arg::Object(surface), finger, x, y];
                client.broadcast(Kind::Touch, wl_touch::event::DOWN, &args);
            }
            TouchEvent::Motion { .. } => {
                let args = [time, finger, x, y];
                client.broadcast(Kind::Touch, wl_touch::event::MOTION, &args);
            }
            TouchEvent::Up { .. } => {
                let args = [Arg::Uint(cx.next_serial()), time, finger];
                client.broadcast(Kind::Touch, wl_touch::event::UP, &args);
            }
        }
        client.broadcast(Kind::Touch, wl_touch::event::FRAME, &[]);
        client.delivered(cx, surface);
    }

    /// [`Input::Key`](super::Input::Key).
    pub(super) fn key(&mut self, key: u32, pressed: bool) {
        self.seat.keys.retain(|k| *k != key);
        if pressed && self.seat.keys.len() < KEYS_MAX {
            self.seat.keys.push(key);
        }
        if let Some((cx, client, surface)) = self.target(self.seat.keyboard) {
            let args = [
                Arg::Uint(cx.next_serial()),
                Arg::Uint(cx.millis()),
                Arg::Uint(key),
                Arg::Uint(pressed.into()),
            ];
            client.broadcast(Kind::Keyboard, wl_keyboard::event::KEY, &args);
            client.delivered(cx, surface);
        }
    }
}
