//! `wl_surface`: state that is gathered and takes effect, all at once, with a commit.

use alloc::format;
use alloc::vec::Vec;

use telemetry_core::Instant;

use super::Context;
use super::client::{Client, DISPLAY, Fault, Outcome, display_error};
use super::shm::Buffer;
use super::xdg::Xdg;
use crate::geometry::{Damage, Rect, Region};
use crate::hooks::{HookEvent, Role, SurfaceChange, Title};
use crate::limits::SCALE_MAX;
use crate::object::Kind;
use crate::tables::{wl_buffer, wl_surface, wp_presentation_feedback};
use crate::wire::{Arg, Args};

/// `wl_surface.error` values.
mod error {
    pub(super) const INVALID_SCALE: u32 = 0;
    pub(super) const INVALID_TRANSFORM: u32 = 1;
    pub(super) const INVALID_SIZE: u32 = 2;
    pub(super) const INVALID_OFFSET: u32 = 3;
    pub(super) const DEFUNCT_ROLE_OBJECT: u32 = 4;
}

/// What the next commit will change.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// `Some(None)` takes the picture away.
    attach: Option<Option<Buffer>>,
    damage: Damage,
    buffer_damage: Damage,
    frames: Vec<u32>,
    pub(super) feedback: Vec<u32>,
    scale: Option<i32>,
    /// `Some(None)`: everywhere.
    input: Option<Option<Region>>,
}

#[derive(Debug)]
pub(super) struct Surface {
    /// Stays for life, unlike the role's object.
    pub(super) role: Role,
    pub(super) xdg: Option<Xdg>,
    pub(super) pending: Pending,
    /// The picture; held until the next one replaces it, so that it can be drawn again.
    pub(super) buffer: Option<Buffer>,
    pub(super) scale: i32,
    /// `None`: everywhere.
    input: Option<Region>,
    /// In surface coordinates, since the last frame.
    pub(super) damage: Damage,
    pub(super) frames: Vec<u32>,
    pub(super) feedback: Vec<u32>,
    /// The last commit that no frame has shown yet.
    pub(super) committed: Option<Instant>,
    /// The last frame callbacks; paces a surface nobody sees.
    pub(super) last_frame: Instant,
    /// Oldest input delivered since the last commit.
    pub(super) input_delivered: Option<Instant>,
    /// Oldest input that the committed content may answer.
    pub(super) input_answered: Option<Instant>,
}

impl Default for Surface {
    fn default() -> Self {
        Self {
            role: Role::None,
            xdg: None,
            pending: Pending::default(),
            buffer: None,
            scale: 1,
            input: None,
            damage: Damage::default(),
            frames: Vec::new(),
            feedback: Vec::new(),
            committed: None,
            last_frame: Instant::default(),
            input_delivered: None,
            input_answered: None,
        }
    }
}

impl Surface {
    /// Its picture in surface coordinates, empty without one.
    pub(super) fn rect(&self) -> Rect {
        self.buffer.map_or(Rect::default(), |b| {
            Rect::new(0, 0, b.width / self.scale, b.height / self.scale)
        })
    }

    /// Where its upper left corner is on the screen: the window is centred.
    pub(super) fn origin(&self, screen: &Rect) -> (i32, i32) {
        let window = self
            .xdg
            .as_ref()
            .and_then(|x| x.geometry)
            .unwrap_or_else(|| self.rect());
        let middle = |screen: i32, size: i32| screen.saturating_sub(size) / 2;
        (
            middle(screen.width, window.width).saturating_sub(window.x),
            middle(screen.height, window.height).saturating_sub(window.y),
        )
    }

    /// Whether it wants input at this point of the surface.
    pub(super) fn takes_input(&self, x: i32, y: i32) -> bool {
        self.rect().contains(x, y) && self.input.as_ref().is_none_or(|r| r.contains(x, y))
    }

    pub(super) fn attached_mut(&mut self) -> impl Iterator<Item = &mut Buffer> {
        self.buffer
            .iter_mut()
            .chain(self.pending.attach.iter_mut().flatten())
    }

    /// Whether the next commit brings a picture.
    pub(super) fn attaches_picture(&self) -> bool {
        matches!(self.pending.attach, Some(Some(_)))
    }

    pub(super) fn mapped(&self) -> bool {
        self.role == Role::Toplevel && self.buffer.is_some()
    }
}

/// The fault of naming an object of another interface, or none.
pub(super) fn no_such(what: &str, id: u32) -> Fault {
    let message = format!("{id} is no {what}");
    Fault::new(DISPLAY, display_error::INVALID_OBJECT, message)
}

impl Client {
    pub(super) fn get_surface(&mut self, id: u32) -> Result<&mut Surface, Fault> {
        self.surfaces
            .get_mut(&id)
            .ok_or_else(|| no_such("wl_surface", id))
    }

    pub(super) fn pending(&mut self, id: u32) -> Result<&mut Pending, Fault> {
        Ok(&mut self.get_surface(id)?.pending)
    }

    pub(super) fn check_callbacks(&mut self, cx: &Context, id: u32) -> Outcome {
        let s = self.get_surface(id)?;
        let frames = s.frames.len() + s.pending.frames.len();
        let feedback = s.feedback.len() + s.pending.feedback.len();
        if frames.max(feedback) > cx.limits.callbacks_max {
            return Err(Fault::limit("too many callbacks wait on a surface"));
        }
        Ok(())
    }

    pub(super) fn surface(
        &mut self,
        cx: &mut Context,
        id: u32,
        version: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        use wl_surface::request as r;
        let rect = || Rect::new(args.int(0), args.int(1), args.int(2), args.int(3));
        match opcode {
            r::DESTROY => self.surface_destroyed(cx, id)?,
            r::ATTACH => {
                let buffer = match args.object(0) {
                    0 => None,
                    b => Some(
                        *self
                            .buffers
                            .get(&b)
                            .ok_or_else(|| no_such("wl_buffer", b))?,
                    ),
                };
                if version >= 5 && (args.int(1), args.int(2)) != (0, 0) {
                    let message = "offset in attach: use wl_surface.offset";
                    return Err(Fault::new(id, error::INVALID_OFFSET, message));
                }
                self.pending(id)?.attach = Some(buffer);
                self.sweep_pools(cx);
            }
            r::DAMAGE => self.pending(id)?.damage.add(rect()),
            r::DAMAGE_BUFFER => self.pending(id)?.buffer_damage.add(rect()),
            r::FRAME => {
                let callback = args.uint(0);
                self.create(cx, callback, Kind::Callback, 1)?;
                self.pending(id)?.frames.push(callback);
                self.check_callbacks(cx, id)?;
            }
            r::SET_INPUT_REGION => {
                let region = match args.object(0) {
                    0 => None,
                    r => Some(
                        self.regions
                            .get(&r)
                            .ok_or_else(|| no_such("wl_region", r))?
                            .clone(),
                    ),
                };
                self.pending(id)?.input = Some(region);
            }
            r::SET_BUFFER_SCALE => {
                let scale = args.int(0);
                if !(1..=SCALE_MAX).contains(&scale) {
                    let message = "scale must be 1 to 16";
                    return Err(Fault::new(id, error::INVALID_SCALE, message));
                }
                self.pending(id)?.scale = Some(scale);
            }
            r::SET_BUFFER_TRANSFORM if !(0..8).contains(&args.int(0)) => {
                let message = "no such transform";
                return Err(Fault::new(id, error::INVALID_TRANSFORM, message));
            }
            r::COMMIT => self.commit(cx, id)?,
            // The screen is announced as upright, so a picture is shown as it is.
            r::SET_BUFFER_TRANSFORM => {}
            // Opacity saves a desktop work; a kiosk draws one surface. An offset moves windows,
            // and this one is centred.
            _ => {}
        }
        Ok(())
    }

    fn commit(&mut self, cx: &mut Context, id: u32) -> Outcome {
        self.check_xdg_commit(id)?;
        let s = self.get_surface(id)?;
        let pending = core::mem::take(&mut s.pending);
        let buffer = pending.attach.unwrap_or(s.buffer);
        let scale = pending.scale.unwrap_or(s.scale);
        if buffer.is_some_and(|b| b.width % scale != 0 || b.height % scale != 0) {
            let message = "buffer size is no multiple of its scale";
            return Err(Fault::new(id, error::INVALID_SIZE, message));
        }

        let (old_rect, was_mapped) = (s.rect(), s.mapped());
        let old = core::mem::replace(&mut s.buffer, buffer);
        s.scale = scale;
        if let Some(region) = pending.input {
            s.input = region;
        }
        let rect = s.rect();
        if rect != old_rect {
            s.damage.add(rect.bounding(&old_rect));
        }
        for r in pending.damage.rects() {
            s.damage.add(r.intersection(&rect));
        }
        for r in pending.buffer_damage.rects() {
            let (x, y) = (r.x.div_euclid(scale), r.y.div_euclid(scale));
            // One more on either side covers what the division cut off.
            let (w, h) = (r.width / scale, r.height / scale);
            let whole = if scale == 1 { 0 } else { 2 };
            let scaled = Rect::new(x, y, w.saturating_add(whole), h.saturating_add(whole));
            s.damage.add(scaled.intersection(&rect));
        }
        s.frames.extend(pending.frames);
        let superseded = core::mem::replace(&mut s.feedback, pending.feedback);
        s.committed = Some(cx.now);
        if let Some(input) = s.input_delivered.take() {
            s.input_answered.get_or_insert(input);
        }
        let resized = rect != old_rect;
        let maps = (was_mapped, s.mapped());

        self.discard(superseded);
        if old != buffer {
            self.release(old.filter(|o| buffer.is_none_or(|b| b.object != o.object)));
            self.sweep_pools(cx);
        }
        match maps {
            (false, true) => self.map(cx, id),
            (true, false) => self.unmap(cx, id),
            (true, true) if resized => cx.resized = true,
            _ => {}
        }
        self.xdg_committed(cx, id, maps.0);
        Ok(())
    }

    /// Gives a picture's memory back to the client, if it still knows the picture.
    fn release(&mut self, buffer: Option<Buffer>) {
        if let Some(object) = buffer.and_then(|b| b.object) {
            self.send(object, wl_buffer::event::RELEASE, &[]);
        }
    }

    fn map(&mut self, cx: &mut Context, id: u32) {
        cx.stack.push(self.key(id));
        for output in self.objects.ids(Kind::Output).collect::<Vec<_>>() {
            self.send(id, wl_surface::event::ENTER, &[Arg::Object(output)]);
        }
        if self.version(id) >= 6 {
            let scale = wl_surface::event::PREFERRED_BUFFER_SCALE;
            self.send(id, scale, &[Arg::Int(1)]);
        }
        self.note_surface(cx, id, SurfaceChange::Mapped);
    }

    /// Forgets the picture of a surface, shown or yet to come.
    pub(super) fn drop_picture(&mut self, cx: &mut Context, id: u32) -> Outcome {
        let surface = self.get_surface(id)?;
        surface.pending.attach = None;
        let buffer = surface.buffer.take();
        self.release(buffer);
        self.sweep_pools(cx);
        Ok(())
    }

    /// Takes a surface off the screen, if it is there.
    pub(super) fn unmap(&mut self, cx: &mut Context, id: u32) {
        let key = self.key(id);
        if cx.stack.contains(&key) {
            cx.stack.retain(|k| *k != key);
            self.note_surface(cx, id, SurfaceChange::Unmapped);
        }
    }

    fn surface_destroyed(&mut self, cx: &mut Context, id: u32) -> Outcome {
        if self.get_surface(id)?.xdg.is_some() {
            let message = "surface destroyed before its xdg_surface";
            return Err(Fault::new(id, error::DEFUNCT_ROLE_OBJECT, message));
        }
        self.note_surface(cx, id, SurfaceChange::Destroyed);
        let Some(surface) = self.surfaces.remove(&id) else {
            return Ok(());
        };
        for callback in surface.frames.into_iter().chain(surface.pending.frames) {
            self.retire(callback);
        }
        self.discard(surface.feedback);
        self.discard(surface.pending.feedback);
        self.release(surface.buffer);
        self.sweep_pools(cx);
        Ok(())
    }

    /// Tells feedback objects that their content was never shown.
    pub(super) fn discard(&mut self, feedback: Vec<u32>) {
        for id in feedback {
            self.send(id, wp_presentation_feedback::event::DISCARDED, &[]);
            self.retire(id);
        }
    }

    /// Tells feedback objects when their content was shown.
    pub(super) fn presented(
        &mut self,
        cx: &Context,
        feedback: Vec<u32>,
        at: Instant,
        sequence: u64,
    ) {
        let nanos = at.as_nanos();
        let (seconds, refresh) = (
            nanos / 1_000_000_000,
            1_000_000_000_000_u64 / u64::from(cx.mode.refresh_mhz.max(1)),
        );
        let low = |v: u64| Arg::Uint(v as u32);
        for id in feedback {
            for output in self.objects.ids(Kind::Output).collect::<Vec<_>>() {
                let event = wp_presentation_feedback::event::SYNC_OUTPUT;
                self.send(id, event, &[Arg::Object(output)]);
            }
            let args = [
                low(seconds >> 32),
                low(seconds),
                low(nanos % 1_000_000_000),
                low(refresh),
                low(sequence >> 32),
                low(sequence),
                Arg::Uint(0),
            ];
            self.send(id, wp_presentation_feedback::event::PRESENTED, &args);
            self.retire(id);
        }
    }

    /// Records a change for the hooks.
    pub(super) fn note_surface(&self, cx: &mut Context, id: u32, change: SurfaceChange) {
        let Some(surface) = self.surfaces.get(&id) else {
            return;
        };
        let rect = surface.rect();
        cx.hooks.record(HookEvent::Surface {
            at: cx.now,
            surface: self.key(id),
            change,
            role: surface.role,
            width: rect.width,
            height: rect.height,
            title: surface.xdg.as_ref().map_or(Title::EMPTY, |x| x.title),
        });
    }
}
