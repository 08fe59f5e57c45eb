//! Hook events of the shim as records.

use telemetry_core::records::{FrameTiming, InputLatency, SurfaceEvent};
use xp_wayland_shim::{HookEvent, SurfaceChange, SurfaceKey};

use super::{Agent, AgentError};

impl Agent {
    pub(super) fn take_hook_events(&mut self) -> Result<(), AgentError> {
        while let Some(event) = self.host.take_hook_event() {
            match event {
                HookEvent::FramePresented {
                    surface,
                    sequence,
                    committed,
                    latched,
                    composed,
                    presented,
                    damage_px,
                } => {
                    let micros = |d: std::time::Duration| d.as_micros() as i64;
                    self.producer.append(&FrameTiming {
                        time: self.wall,
                        surface: key(surface),
                        frame: sequence as i64,
                        queued_us: micros(latched.saturating_since(committed)),
                        composed_us: micros(composed.saturating_since(latched)),
                        presented_us: micros(presented.saturating_since(composed)),
                        damage_px: damage_px as i64,
                    })?;
                }
                HookEvent::InputLatency {
                    input, presented, ..
                } => self.producer.append(&InputLatency {
                    time: self.wall,
                    input: "touch".to_owned(),
                    latency_us: presented.saturating_since(input).as_micros() as i64,
                })?,
                HookEvent::Surface {
                    surface,
                    change,
                    width,
                    height,
                    ..
                } => {
                    let sized = |v: i32| (v > 0).then_some(v);
                    self.producer.append(&SurfaceEvent {
                        time: self.wall,
                        surface: key(surface),
                        event: match change {
                            SurfaceChange::Created => "created",
                            SurfaceChange::Mapped => "mapped",
                            SurfaceChange::Unmapped => "unmapped",
                            SurfaceChange::Destroyed => "destroyed",
                        }
                        .to_owned(),
                        width: sized(width),
                        height: sized(height),
                    })?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A surface's number: its client and its id there.
fn key(surface: SurfaceKey) -> i64 {
    i64::from(surface.client.0) << 32 | i64::from(surface.surface)
}
