//! `wl_display`, `wl_registry` and what has no state of its own: output, compositor, presentation.

use alloc::format;

use super::Context;
use super::client::{Client, Fault, Outcome, display_error};
use super::surface::Surface;
use crate::geometry::{Rect, Region};
use crate::hooks::SurfaceChange;
use crate::object::Kind;
use crate::tables::{
    wl_callback, wl_compositor, wl_display, wl_output, wl_region, wl_registry, wl_seat, wl_shm,
    wp_presentation,
};
use crate::wire::{Arg, Args};

/// Every global with the version that is implemented; its name is its place, from 1.
const GLOBALS: [(Kind, u32); 7] = [
    (Kind::Compositor, 6),
    (Kind::Shm, 2),
    (Kind::Output, 4),
    (Kind::Seat, 7),
    (Kind::WmBase, 5),
    (Kind::Presentation, 1),
    (Kind::Manager, 1),
];

/// `CLOCK_MONOTONIC`, the clock of `wp_presentation`: the caller's `now`.
const CLOCK_MONOTONIC: u32 = 1;
/// `wl_shm.format`: the two every display takes.
const FORMATS: [u32; 2] = [0, 1];

impl Client {
    pub(super) fn display(&mut self, cx: &mut Context, opcode: u16, args: &Args<'_>) -> Outcome {
        let id = args.uint(0);
        match opcode {
            wl_display::request::SYNC => {
                self.create(cx, id, Kind::Callback, 1)?;
                let serial = cx.next_serial();
                self.send(id, wl_callback::event::DONE, &[Arg::Uint(serial)]);
                self.retire(id);
            }
            wl_display::request::GET_REGISTRY => {
                self.create(cx, id, Kind::Registry, 1)?;
                for ((kind, version), name) in GLOBALS.into_iter().zip(1..) {
                    let interface = kind.interface();
                    debug_assert!(version <= interface.version);
                    let args = [
                        Arg::Uint(name),
                        Arg::Text(Some(interface.name)),
                        Arg::Uint(version),
                    ];
                    self.send(id, wl_registry::event::GLOBAL, &args);
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn bind(&mut self, cx: &mut Context, registry: u32, args: &Args<'_>) -> Outcome {
        let (name, interface, version, id) =
            (args.uint(0), args.text(1), args.uint(2), args.uint(3));
        let global = name
            .checked_sub(1)
            .and_then(|i| GLOBALS.get(i as usize))
            .filter(|(kind, newest)| {
                kind.interface().name == interface && (1..=*newest).contains(&version)
            });
        let Some(&(kind, _)) = global else {
            return Err(Fault::new(
                registry,
                display_error::INVALID_OBJECT,
                format!("no global {name} with version {version} of {interface:.40}"),
            ));
        };
        self.create(cx, id, kind, version)?;
        match kind {
            Kind::Shm => {
                for format in FORMATS {
                    self.send(id, wl_shm::event::FORMAT, &[Arg::Uint(format)]);
                }
            }
            Kind::Output => self.describe_output(cx, id, version),
            Kind::Seat => {
                self.send_capabilities(cx, id);
                if version >= 2 {
                    self.send(id, wl_seat::event::NAME, &[Arg::Text(Some("seat0"))]);
                }
            }
            Kind::Presentation => {
                let clock = [Arg::Uint(CLOCK_MONOTONIC)];
                self.send(id, wp_presentation::event::CLOCK_ID, &clock);
            }
            _ => {}
        }
        Ok(())
    }

    fn describe_output(&mut self, cx: &Context, id: u32, version: u32) {
        /// `wl_output.mode`: current and preferred.
        const FLAGS: u32 = 3;
        let geometry = [
            Arg::Int(0),
            Arg::Int(0),
            Arg::Int(0),
            Arg::Int(0),
            Arg::Int(0),
            Arg::Text(Some("xp-wayland-shim")),
            Arg::Text(Some("console")),
            Arg::Int(0),
        ];
        self.send(id, wl_output::event::GEOMETRY, &geometry);
        let mode = [
            Arg::Uint(FLAGS),
            Arg::Int(cx.mode.width.into()),
            Arg::Int(cx.mode.height.into()),
            Arg::Int(i32::try_from(cx.mode.refresh_mhz).unwrap_or(0)),
        ];
        self.send(id, wl_output::event::MODE, &mode);
        if version >= 4 {
            self.send(id, wl_output::event::NAME, &[Arg::Text(Some("XP-1"))]);
            let description = [Arg::Text(Some("the console's screen"))];
            self.send(id, wl_output::event::DESCRIPTION, &description);
        }
        if version >= 2 {
            self.send(id, wl_output::event::SCALE, &[Arg::Int(1)]);
            self.send(id, wl_output::event::DONE, &[]);
        }
    }

    pub(super) fn compositor(
        &mut self,
        cx: &mut Context,
        version: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        let id = args.uint(0);
        match opcode {
            wl_compositor::request::CREATE_SURFACE => {
                if self.surfaces.len() >= cx.limits.surfaces_max {
                    return Err(Fault::limit("too many surfaces"));
                }
                self.create(cx, id, Kind::Surface, version)?;
                self.surfaces.insert(id, Surface::default());
                self.note_surface(cx, id, SurfaceChange::Created);
            }
            wl_compositor::request::CREATE_REGION => {
                self.create(cx, id, Kind::Region, version)?;
                self.regions.insert(id, Region::default());
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn region(
        &mut self,
        cx: &Context,
        id: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        if opcode == wl_region::request::DESTROY {
            self.regions.remove(&id);
            return Ok(());
        }
        let Some(region) = self.regions.get_mut(&id) else {
            return Ok(());
        };
        if region.len() >= cx.limits.region_rects_max {
            return Err(Fault::limit("region of too many rectangles"));
        }
        let rect = Rect::new(args.int(0), args.int(1), args.int(2), args.int(3));
        region.push(opcode == wl_region::request::ADD, rect);
        Ok(())
    }

    pub(super) fn presentation(
        &mut self,
        cx: &mut Context,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        if opcode != wp_presentation::request::FEEDBACK {
            return Ok(());
        }
        let (surface, id) = (args.object(0), args.uint(1));
        self.create(cx, id, Kind::Feedback, 1)?;
        self.pending(surface)?.feedback.push(id);
        self.check_callbacks(cx, surface)
    }
}
