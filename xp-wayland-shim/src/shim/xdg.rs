//! `xdg_shell`: windows. In a kiosk each one is told to fill the screen.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Context;
use super::client::{Client, Fault, Outcome};
use super::surface::Surface;
use crate::geometry::Rect;
use crate::hooks::{Role, Title};
use crate::object::Kind;
use crate::tables::{xdg_popup, xdg_positioner, xdg_surface, xdg_toplevel, xdg_wm_base};
use crate::wire::{Arg, Args};

/// Values of the `error` enums.
mod error {
    pub(super) const WM_BASE_ROLE: u32 = 0;
    pub(super) const WM_BASE_DEFUNCT_SURFACES: u32 = 1;
    pub(super) const WM_BASE_INVALID_SURFACE_STATE: u32 = 4;
    pub(super) const POSITIONER_INVALID_INPUT: u32 = 0;
    pub(super) const SURFACE_NOT_CONSTRUCTED: u32 = 1;
    pub(super) const SURFACE_ALREADY_CONSTRUCTED: u32 = 2;
    pub(super) const SURFACE_UNCONFIGURED_BUFFER: u32 = 3;
    pub(super) const SURFACE_INVALID_SERIAL: u32 = 4;
    pub(super) const SURFACE_INVALID_SIZE: u32 = 5;
    pub(super) const SURFACE_DEFUNCT_ROLE_OBJECT: u32 = 6;
    pub(super) const TOPLEVEL_INVALID_SIZE: u32 = 2;
}

/// `xdg_toplevel.state` values.
const STATE_FULLSCREEN: u32 = 2;
const STATE_ACTIVATED: u32 = 4;
/// `xdg_toplevel.wm_capabilities`: fullscreen is all there is.
const CAPABILITY_FULLSCREEN: u32 = 3;
/// Configures a client may leave unanswered; older ones count as answered by the next.
const SERIALS_MAX: usize = 32;

/// The `xdg_surface` of a surface and its role object.
#[derive(Debug)]
pub(super) struct Xdg {
    object: u32,
    wm_base: u32,
    /// The `xdg_toplevel` or `xdg_popup`.
    role_object: Option<u32>,
    /// Sent and not answered, oldest first.
    serials: VecDeque<u32>,
    /// The first configure was sent.
    configured: bool,
    /// A configure was answered, so the surface may have a picture.
    acked: bool,
    /// What the last configure said.
    activated: bool,
    pending_geometry: Option<Rect>,
    /// The window without its shadow, in surface coordinates.
    pub(super) geometry: Option<Rect>,
    pub(super) title: Title,
}

fn states(states: &[u32]) -> Vec<u8> {
    states.iter().flat_map(|s| s.to_ne_bytes()).collect()
}

impl Client {
    pub(super) fn wm_base(
        &mut self,
        cx: &mut Context,
        id: u32,
        version: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        use xdg_wm_base::request as r;
        match opcode {
            r::DESTROY => {
                let owns = |s: &Surface| s.xdg.as_ref().is_some_and(|x| x.wm_base == id);
                if self.surfaces.values().any(owns) {
                    let message = "xdg_wm_base destroyed before its surfaces";
                    return Err(Fault::new(id, error::WM_BASE_DEFUNCT_SURFACES, message));
                }
            }
            r::CREATE_POSITIONER => self.create(cx, args.uint(0), Kind::Positioner, version)?,
            r::GET_XDG_SURFACE => {
                let (object, surface) = (args.uint(0), args.object(1));
                self.create(cx, object, Kind::XdgSurface(surface), version)?;
                let s = self.get_surface(surface)?;
                if s.xdg.is_some() || s.role == Role::Cursor {
                    let message = "surface has a role already";
                    return Err(Fault::new(id, error::WM_BASE_ROLE, message));
                }
                if s.attached_mut().next().is_some() {
                    let message = "surface has a buffer already";
                    return Err(Fault::new(
                        id,
                        error::WM_BASE_INVALID_SURFACE_STATE,
                        message,
                    ));
                }
                s.xdg = Some(Xdg {
                    object,
                    wm_base: id,
                    role_object: None,
                    serials: VecDeque::new(),
                    configured: false,
                    acked: false,
                    activated: false,
                    pending_geometry: None,
                    geometry: None,
                    title: Title::EMPTY,
                });
            }
            // A pong answers a ping, and this server sends none.
            _ => {}
        }
        Ok(())
    }

    /// Checks what any positioner must be; a kiosk places no popup.
    pub(super) fn positioner(&mut self, id: u32, opcode: u16, args: &Args<'_>) -> Outcome {
        let wrong = match opcode {
            xdg_positioner::request::SET_SIZE => args.int(0) < 1 || args.int(1) < 1,
            xdg_positioner::request::SET_ANCHOR_RECT => args.int(2) < 0 || args.int(3) < 0,
            _ => false,
        };
        if wrong {
            let message = "size must be positive";
            return Err(Fault::new(id, error::POSITIONER_INVALID_INPUT, message));
        }
        Ok(())
    }

    /// The xdg part of a surface whose xdg object exists, hence exists itself.
    fn xdg_mut(&mut self, surface: u32) -> Result<&mut Xdg, Fault> {
        self.get_surface(surface)?
            .xdg
            .as_mut()
            .ok_or_else(|| super::surface::no_such("xdg_surface", surface))
    }

    pub(super) fn xdg_surface(
        &mut self,
        cx: &mut Context,
        id: u32,
        surface: u32,
        version: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        use xdg_surface::request as r;
        if opcode == r::DESTROY {
            if self.xdg_mut(surface)?.role_object.is_some() {
                let message = "xdg_surface destroyed before its role object";
                return Err(Fault::new(id, error::SURFACE_DEFUNCT_ROLE_OBJECT, message));
            }
            self.get_surface(surface)?.xdg = None;
            return Ok(());
        }
        if matches!(opcode, r::GET_TOPLEVEL | r::GET_POPUP) {
            let object = args.uint(0);
            let (kind, role) = if opcode == r::GET_TOPLEVEL {
                (Kind::Toplevel(surface), Role::Toplevel)
            } else {
                (Kind::Popup(surface), Role::Popup)
            };
            self.create(cx, object, kind, version)?;
            let s = self.get_surface(surface)?;
            if s.role != Role::None && s.role != role {
                let message = "surface has another role";
                return Err(Fault::new(id, error::SURFACE_ALREADY_CONSTRUCTED, message));
            }
            s.role = role;
            let xdg = self.xdg_mut(surface)?;
            if xdg.role_object.replace(object).is_some() {
                let message = "xdg_surface has a role object already";
                return Err(Fault::new(id, error::SURFACE_ALREADY_CONSTRUCTED, message));
            }
            return Ok(());
        }
        let xdg = self.xdg_mut(surface)?;
        if xdg.role_object.is_none() {
            let message = "xdg_surface has no role object yet";
            return Err(Fault::new(id, error::SURFACE_NOT_CONSTRUCTED, message));
        }
        match opcode {
            r::SET_WINDOW_GEOMETRY => {
                let rect = Rect::new(args.int(0), args.int(1), args.int(2), args.int(3));
                if rect.is_empty() {
                    let message = "window geometry must have pixels";
                    return Err(Fault::new(id, error::SURFACE_INVALID_SIZE, message));
                }
                xdg.pending_geometry = Some(rect);
            }
            r::ACK_CONFIGURE => {
                let Some(at) = xdg.serials.iter().position(|s| *s == args.uint(0)) else {
                    let message = "serial of no waiting configure";
                    return Err(Fault::new(id, error::SURFACE_INVALID_SERIAL, message));
                };
                xdg.serials.drain(..=at);
                xdg.acked = true;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn toplevel(
        &mut self,
        cx: &mut Context,
        id: u32,
        surface: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        use xdg_toplevel::request as r;
        match opcode {
            r::DESTROY => {
                self.unmap(cx, surface);
                self.drop_picture(cx, surface)?;
                self.role_destroyed(surface)?;
            }
            r::SET_TITLE => self.xdg_mut(surface)?.title = Title::new(args.text(0)),
            r::SET_MIN_SIZE | r::SET_MAX_SIZE if args.int(0) < 0 || args.int(1) < 0 => {
                let message = "size must not be negative";
                return Err(Fault::new(id, error::TOPLEVEL_INVALID_SIZE, message));
            }
            // The answer is the state it has anyway. Before the first commit that is what the
            // first configure will say.
            r::SET_MAXIMIZED | r::UNSET_MAXIMIZED | r::SET_FULLSCREEN | r::UNSET_FULLSCREEN => {
                self.configure(cx, surface)?;
            }
            // Nothing in a kiosk can be moved, resized, minimised or stacked by its client.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn popup(&mut self, surface: u32, opcode: u16) -> Outcome {
        if opcode == xdg_popup::request::DESTROY {
            self.role_destroyed(surface)?;
        }
        Ok(())
    }

    /// The surface may get another object of the same role, and starts over then.
    fn role_destroyed(&mut self, surface: u32) -> Outcome {
        let xdg = self.xdg_mut(surface)?;
        xdg.role_object = None;
        xdg.geometry = None;
        xdg.pending_geometry = None;
        xdg.unconfigure();
        Ok(())
    }

    /// Refuses a commit that the surface's role does not allow yet.
    pub(super) fn check_xdg_commit(&mut self, surface: u32) -> Outcome {
        let s = self.get_surface(surface)?;
        let picture = s.attaches_picture();
        let Some(xdg) = &s.xdg else { return Ok(()) };
        if picture && !xdg.acked {
            let message = "buffer before the first configure was acknowledged";
            return Err(Fault::new(
                xdg.object,
                error::SURFACE_UNCONFIGURED_BUFFER,
                message,
            ));
        }
        if xdg.role_object.is_none() {
            let message = "commit before the role object";
            return Err(Fault::new(
                xdg.object,
                error::SURFACE_NOT_CONSTRUCTED,
                message,
            ));
        }
        Ok(())
    }

    /// What a commit means for the window.
    pub(super) fn xdg_committed(&mut self, cx: &mut Context, surface: u32, was_mapped: bool) {
        let Some(s) = self.surfaces.get_mut(&surface) else {
            return;
        };
        let (role, mapped) = (s.role, s.mapped());
        let Some(xdg) = &mut s.xdg else { return };
        if let Some(geometry) = xdg.pending_geometry.take() {
            cx.resized |= xdg.geometry.replace(geometry) != Some(geometry);
        }
        if was_mapped && !mapped {
            xdg.unconfigure();
        } else if !xdg.configured {
            xdg.configured = true;
            match (role, xdg.role_object) {
                (Role::Popup, Some(popup)) => {
                    // A kiosk has no popups: it is dismissed, as by a click elsewhere.
                    self.send(popup, xdg_popup::event::POPUP_DONE, &[]);
                }
                (_, Some(toplevel)) => {
                    xdg.activated = true;
                    self.announce(cx, toplevel);
                    // The surface is there: it was just committed.
                    let sent = self.configure(cx, surface);
                    debug_assert!(sent.is_ok());
                }
                (_, None) => {}
            }
        }
    }

    /// What a toplevel is told once, before its first configure.
    fn announce(&mut self, cx: &Context, toplevel: u32) {
        let version = self.version(toplevel);
        if version >= 4 {
            let bounds = [
                Arg::Int(cx.mode.width.into()),
                Arg::Int(cx.mode.height.into()),
            ];
            self.send(toplevel, xdg_toplevel::event::CONFIGURE_BOUNDS, &bounds);
        }
        if version >= 5 {
            let capabilities = states(&[CAPABILITY_FULLSCREEN]);
            let event = xdg_toplevel::event::WM_CAPABILITIES;
            self.send(toplevel, event, &[Arg::Array(&capabilities)]);
        }
    }

    /// Tells a window its size and state, unless it has not committed yet.
    fn configure(&mut self, cx: &mut Context, surface: u32) -> Outcome {
        let xdg = self.xdg_mut(surface)?;
        let (object, Some(toplevel), true) = (xdg.object, xdg.role_object, xdg.configured) else {
            return Ok(());
        };
        let serial = cx.next_serial();
        if xdg.serials.len() == SERIALS_MAX {
            xdg.serials.pop_front();
        }
        xdg.serials.push_back(serial);
        let state = if xdg.activated {
            states(&[STATE_FULLSCREEN, STATE_ACTIVATED])
        } else {
            states(&[STATE_FULLSCREEN])
        };
        let args = [
            Arg::Int(cx.mode.width.into()),
            Arg::Int(cx.mode.height.into()),
            Arg::Array(&state),
        ];
        self.send(toplevel, xdg_toplevel::event::CONFIGURE, &args);
        self.send(object, xdg_surface::event::CONFIGURE, &[Arg::Uint(serial)]);
        Ok(())
    }

    /// Tells a window whether it is the visible one, if it thinks otherwise.
    pub(super) fn activate(&mut self, cx: &mut Context, surface: u32, activated: bool) {
        if let Ok(xdg) = self.xdg_mut(surface)
            && xdg.activated != activated
        {
            xdg.activated = activated;
            // The surface is there: its xdg part was just changed.
            let sent = self.configure(cx, surface);
            debug_assert!(sent.is_ok());
        }
    }
}

impl Xdg {
    /// Back to before the first commit.
    fn unconfigure(&mut self) {
        self.serials.clear();
        self.configured = false;
        self.acked = false;
        self.activated = false;
    }
}
