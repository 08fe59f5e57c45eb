//! One frame: take up what is committed, draw it, show it, tell who waits for it.

use alloc::string::ToString;
use alloc::vec::Vec;

use telemetry_core::Instant;

use super::client::Fault;
use super::shm::{Buffer, error};
use super::{PoolWork, Shim};
use crate::geometry::Damage;
use crate::hooks::{HookEvent, SurfaceKey};
use crate::limits::SCRATCH_BYTES_MAX;
use crate::tables::wl_callback;
use crate::wire::Arg;
use crate::{
    ClientId, ComposeError, Display, DisplayError, Frame, PoolError, Pools, Presented, Rect,
};

/// A picture on its way to the screen.
struct Picture {
    buffer: Buffer,
    scale: u32,
    /// Its upper left corner on the screen.
    origin: (i32, i32),
}

impl Shim {
    /// Does what the clients' memory needs and, if one is due, presents a frame: `true` then.
    ///
    /// Call it after inputs, and when [`Shim::poll_timeout`] says so. Frames keep
    /// [`Limits::frame_interval`](crate::Limits::frame_interval) apart.
    pub fn compose(
        &mut self,
        now: Instant,
        display: &mut dyn Display,
        pools: &mut dyn Pools,
    ) -> Result<bool, ComposeError> {
        self.advance(now);
        self.do_pool_work(pools);
        self.settle();
        if self.frame_wanted().is_none_or(|at| at > self.cx.now) {
            return Ok(false);
        }
        let (found, announced) = (display.mode(), self.cx.mode);
        if found != announced {
            return Err(ComposeError::Mode { found, announced });
        }
        self.next_frame = self.cx.now + self.cx.limits.frame_interval;
        let drawn = self.draw(display, pools)?;
        self.sequence += u64::from(drawn.is_some());
        let presented = drawn.map_or(
            Presented {
                composed: self.cx.now,
                visible: self.cx.now,
            },
            |(presented, _)| presented,
        );
        let pixels = drawn.map_or(0, |(_, pixels)| pixels);
        if drawn.is_some() {
            self.cx.stats.frames += 1;
            self.cx.stats.pixels += pixels;
        }
        if let Some(top) = self.top {
            self.finish(top, presented, pixels);
        }
        self.pace_hidden();
        self.do_pool_work(pools);
        self.settle();
        Ok(drawn.is_some())
    }

    /// When the next frame shall be composed, `None` if nobody waits for one.
    pub(super) fn frame_wanted(&self) -> Option<Instant> {
        let mut wanted = self.redraw.then_some(self.next_frame);
        for (&client, state) in &self.clients {
            for (&surface, s) in &state.surfaces {
                let visible = self.top == Some(SurfaceKey { client, surface });
                let soon = !s.feedback.is_empty()
                    || visible && !(s.damage.is_empty() && s.frames.is_empty());
                let at = if soon {
                    self.next_frame
                } else if !s.frames.is_empty() {
                    let later = s.last_frame + self.cx.limits.hidden_frame_interval;
                    later.max(self.next_frame)
                } else {
                    continue;
                };
                wanted = Some(wanted.map_or(at, |w| w.min(at)));
            }
        }
        wanted
    }

    fn do_pool_work(&mut self, pools: &mut dyn Pools) {
        while let Some(work) = self.cx.pool_work.pop_front() {
            let (client, blame, outcome) = match work {
                PoolWork::Open {
                    client,
                    blame,
                    handle,
                    size,
                } => (client, blame, pools.open(handle, size)),
                PoolWork::Resize {
                    client,
                    blame,
                    handle,
                    size,
                } => (client, blame, pools.resize(handle, size)),
                PoolWork::Close { handle } => {
                    pools.close(handle);
                    continue;
                }
            };
            if let Err(error) = outcome {
                self.blame(client, blame, error);
            }
        }
    }

    /// Disconnects the client whose memory cannot be read.
    fn blame(&mut self, client: ClientId, object: u32, why: PoolError) {
        if let Some(client) = self.clients.get_mut(&client).filter(|c| !c.failed()) {
            let message = why.to_string();
            client.fail(&mut self.cx, Fault::new(object, error::INVALID_FD, message));
        }
    }

    /// Draws and shows what changed on the screen, if anything: the times, and the pixels drawn.
    fn draw(
        &mut self,
        display: &mut dyn Display,
        pools: &mut dyn Pools,
    ) -> Result<Option<(Presented, u64)>, ComposeError> {
        let screen = self.cx.mode.rect();
        let surface = self
            .top
            .and_then(|key| self.clients.get(&key.client)?.surfaces.get(&key.surface));
        let mut damage = Damage::default();
        let mut shown = Damage::default();
        let mut picture = None;
        if let Some((surface, buffer)) = surface.and_then(|s| Some((s, s.buffer?))) {
            let origin = surface.origin(&screen);
            let visible = surface
                .rect()
                .translated(origin.0, origin.1)
                .intersection(&screen);
            if self.redraw {
                shown.add(visible);
            } else {
                shown = surface.damage.mapped(origin.0, origin.1, &visible);
                damage = shown;
            }
            picture = Some(Picture {
                buffer,
                scale: surface.scale.unsigned_abs(),
                origin,
            });
        }
        if self.redraw {
            damage.add(screen);
        }
        if damage.is_empty() {
            return Ok(None);
        }

        let mut frame = display.lock()?;
        let (width, height) = (
            usize::from(self.cx.mode.width),
            usize::from(self.cx.mode.height),
        );
        if frame.stride < width * 4
            || frame.pixels.len() < frame.stride * height.saturating_sub(1) + width * 4
        {
            return Err(DisplayError { os_error: 0 }.into());
        }
        if self.redraw {
            frame.pixels.fill(0);
        }
        if let Some(picture) = picture {
            for rect in shown.rects() {
                let copied = picture.copy(rect, &mut frame, pools, &mut self.scratch);
                if let (Err(error), Some(top)) = (copied, self.top) {
                    // The client goes; the next frame shows what was below.
                    let blame = picture.buffer.object.unwrap_or(super::client::DISPLAY);
                    self.blame(top.client, blame, error);
                    return Ok(None);
                }
            }
        }
        let presented = display.present(self.cx.now, damage.rects())?;
        self.redraw = false;
        let pixels = damage.rects().iter().map(Rect::area).sum();
        Ok(Some((presented, pixels)))
    }

    /// Tells the visible surface's client, and the hooks, that its content was shown.
    fn finish(&mut self, key: SurfaceKey, presented: Presented, damage_px: u64) {
        let Some(client) = self.clients.get_mut(&key.client) else {
            return;
        };
        let Some(surface) = client.surfaces.get_mut(&key.surface) else {
            return;
        };
        surface.damage = Damage::default();
        surface.last_frame = self.cx.now;
        let frames = core::mem::take(&mut surface.frames);
        let feedback = core::mem::take(&mut surface.feedback);
        if let Some(committed) = surface.committed.take() {
            self.cx.hooks.record(HookEvent::FramePresented {
                surface: key,
                sequence: self.sequence,
                committed,
                latched: self.cx.now,
                composed: presented.composed,
                presented: presented.visible,
                damage_px,
            });
            if let Some(input) = surface.input_answered.take() {
                self.cx.hooks.record(HookEvent::InputLatency {
                    surface: key,
                    input,
                    presented: presented.visible,
                });
            }
        }
        client.presented(&self.cx, feedback, presented.visible, self.sequence);
        let millis = [Arg::Uint(self.cx.millis())];
        for callback in frames {
            client.send(callback, wl_callback::event::DONE, &millis);
            client.retire(callback);
        }
    }

    /// Answers surfaces nobody sees: seldom, but not never.
    fn pace_hidden(&mut self) {
        let (now, millis) = (self.cx.now, [Arg::Uint(self.cx.millis())]);
        for (&id, client) in &mut self.clients {
            let hidden: Vec<u32> = client
                .surfaces
                .keys()
                .copied()
                .filter(|&surface| {
                    self.top
                        != Some(SurfaceKey {
                            client: id,
                            surface,
                        })
                })
                .collect();
            for surface in hidden {
                let Some(s) = client.surfaces.get_mut(&surface) else {
                    continue;
                };
                let feedback = core::mem::take(&mut s.feedback);
                let mut frames = Vec::new();
                if s.last_frame + self.cx.limits.hidden_frame_interval <= now {
                    frames = core::mem::take(&mut s.frames);
                    s.last_frame = now;
                }
                client.discard(feedback);
                for callback in frames {
                    client.send(callback, wl_callback::event::DONE, &millis);
                    client.retire(callback);
                }
            }
        }
    }
}

impl Picture {
    /// Copies `rect` of the screen, which lies inside the picture and the frame.
    fn copy(
        &self,
        rect: &Rect,
        frame: &mut Frame<'_>,
        pools: &mut dyn Pools,
        scratch: &mut Vec<u8>,
    ) -> Result<(), PoolError> {
        let Buffer { pool, stride, .. } = self.buffer;
        // Both are inside the picture, so neither is negative.
        let left = rect.x.abs_diff(self.origin.0) * self.scale;
        let top = rect.y.abs_diff(self.origin.1) * self.scale;
        let (width, height) = (rect.width.unsigned_abs(), rect.height.unsigned_abs());
        let first = self.buffer.offset + top * stride + left * 4;
        let row_bytes = width as usize * 4;
        let at = rect.y.unsigned_abs() as usize * frame.stride + rect.x.unsigned_abs() as usize * 4;

        if self.scale == 1 && frame.stride == row_bytes && stride as usize == row_bytes {
            let len = row_bytes * height as usize;
            return pools.read(pool, first, &mut frame.pixels[at..at + len]);
        }
        // A client chooses stride and scale: they must not choose how much is read and held at once.
        // Rows are read together as far as they lie close, and pixels of a scaled row likewise.
        let (stride, scale) = (stride as usize, self.scale as usize);
        let columns_per_read = (SCRATCH_BYTES_MAX / (4 * scale)).clamp(1, width as usize);
        let piece = |columns: usize| ((columns - 1) * scale + 1) * 4;
        if scale == 1 && columns_per_read == width as usize {
            let rows_per_read = (SCRATCH_BYTES_MAX / stride).clamp(1, height as usize);
            for from in (0..height as usize).step_by(rows_per_read) {
                let rows = rows_per_read.min(height as usize - from);
                scratch.resize((rows - 1) * stride + row_bytes, 0);
                pools.read(pool, first + from as u32 * stride as u32, scratch)?;
                for (row, source) in scratch.chunks(stride).enumerate() {
                    let target = at + (from + row) * frame.stride;
                    frame.pixels[target..target + row_bytes].copy_from_slice(&source[..row_bytes]);
                }
            }
            return Ok(());
        }
        for row in 0..height as usize {
            for from in (0..width as usize).step_by(columns_per_read) {
                let columns = columns_per_read.min(width as usize - from);
                scratch.resize(piece(columns), 0);
                let offset = row * scale * stride + from * scale * 4;
                pools.read(pool, first + offset as u32, scratch)?;
                let target = at + row * frame.stride + from * 4;
                let target = &mut frame.pixels[target..target + columns * 4];
                for (to, from) in target.chunks_exact_mut(4).zip(scratch.chunks(scale * 4)) {
                    to.copy_from_slice(&from[..4]);
                }
            }
        }
        Ok(())
    }
}
