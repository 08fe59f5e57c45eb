//! Two pictures in shared memory: one is shown while the other is written.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::{Errno, pwrite};
use wayland_client::QueueHandle;
use wayland_client::protocol::{wl_buffer, wl_shm};

use crate::UiError;
use crate::client::State;
use crate::screen::{self, HEIGHT, Screen, WIDTH, Widgets};

const STRIDE: usize = WIDTH * 4;
const BYTES: usize = STRIDE * HEIGHT;
const COUNT: usize = 2;

#[derive(Debug)]
struct Slot {
    buffer: wl_buffer::WlBuffer,
    /// The compositor may read it.
    busy: bool,
    /// Widgets drawn since it was written.
    stale: Widgets,
}

/// The buffers and the memory they lie in.
#[derive(Debug)]
pub(crate) struct Buffers {
    file: OwnedFd,
    slots: Vec<Slot>,
}

impl Buffers {
    pub(crate) fn new(shm: &wl_shm::WlShm, qh: &QueueHandle<State>) -> Result<Self, UiError> {
        let memory = |error: Errno| UiError::Io {
            what: "memory for the picture",
            error: error.into(),
        };
        let file = memfd_create("workout-ui", MemfdFlags::CLOEXEC).map_err(memory)?;
        ftruncate(&file, (BYTES * COUNT) as u64).map_err(memory)?;
        let pool = shm.create_pool(file.as_fd(), (BYTES * COUNT) as i32, qh, ());
        let slots = (0..COUNT)
            .map(|i| Slot {
                buffer: pool.create_buffer(
                    (i * BYTES) as i32,
                    WIDTH as i32,
                    HEIGHT as i32,
                    STRIDE as i32,
                    wl_shm::Format::Xrgb8888,
                    qh,
                    i,
                ),
                busy: false,
                stale: screen::ALL,
            })
            .collect();
        pool.destroy();
        Ok(Self { file, slots })
    }

    /// The compositor reads this buffer no more.
    pub(crate) fn released(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.busy = false;
        }
    }

    pub(crate) fn any_free(&self) -> bool {
        self.slots.iter().any(|s| !s.busy)
    }

    /// Brings a free buffer up to date, after these widgets changed on the screen. It counts as
    /// busy from here on.
    pub(crate) fn write(
        &mut self,
        screen: &Screen,
        changed: Widgets,
    ) -> Result<Option<&wl_buffer::WlBuffer>, UiError> {
        for slot in &mut self.slots {
            slot.stale |= changed;
        }
        let Some((index, slot)) = self.slots.iter_mut().enumerate().find(|(_, s)| !s.busy) else {
            return Ok(None);
        };
        for area in screen::areas(slot.stale) {
            // Whole rows: what is beside the widget is up to date on the screen as well.
            let bytes: Vec<u8> = screen
                .rows(area)
                .iter()
                .flat_map(|p| p.to_le_bytes())
                .collect();
            write_all(&self.file, &bytes, index * BYTES + area.y * STRIDE)?;
        }
        slot.stale = 0;
        slot.busy = true;
        Ok(Some(&slot.buffer))
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8], at: usize) -> Result<(), UiError> {
    let end = at + bytes.len();
    while !bytes.is_empty() {
        match pwrite(file, bytes, (end - bytes.len()) as u64) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(error) => {
                return Err(UiError::Io {
                    what: "writing the picture",
                    error: error.into(),
                });
            }
        }
    }
    Ok(())
}
