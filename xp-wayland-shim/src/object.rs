//! The objects of one client: ids, kinds, versions.

use alloc::vec::Vec;

use crate::Handle;
use crate::tables as t;
use crate::wire::Interface;

/// Ids from here on belong to the server. Nothing offered so far creates objects on this side.
const SERVER_IDS: u32 = 0xff00_0000;

/// What an object is. A number is the `wl_surface` it belongs to, which outlives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Display,
    Registry,
    Callback,
    Compositor,
    Surface,
    Region,
    Shm,
    Pool(Handle),
    Buffer,
    Output,
    Seat,
    Pointer,
    Keyboard,
    Touch,
    WmBase,
    Positioner,
    XdgSurface(u32),
    Toplevel(u32),
    Popup(u32),
    Presentation,
    Feedback,
    Manager,
    Source,
}

impl Kind {
    pub(crate) fn interface(self) -> &'static Interface {
        match self {
            Self::Display => &t::wl_display::INTERFACE,
            Self::Registry => &t::wl_registry::INTERFACE,
            Self::Callback => &t::wl_callback::INTERFACE,
            Self::Compositor => &t::wl_compositor::INTERFACE,
            Self::Surface => &t::wl_surface::INTERFACE,
            Self::Region => &t::wl_region::INTERFACE,
            Self::Shm => &t::wl_shm::INTERFACE,
            Self::Pool(_) => &t::wl_shm_pool::INTERFACE,
            Self::Buffer => &t::wl_buffer::INTERFACE,
            Self::Output => &t::wl_output::INTERFACE,
            Self::Seat => &t::wl_seat::INTERFACE,
            Self::Pointer => &t::wl_pointer::INTERFACE,
            Self::Keyboard => &t::wl_keyboard::INTERFACE,
            Self::Touch => &t::wl_touch::INTERFACE,
            Self::WmBase => &t::xdg_wm_base::INTERFACE,
            Self::Positioner => &t::xdg_positioner::INTERFACE,
            Self::XdgSurface(_) => &t::xdg_surface::INTERFACE,
            Self::Toplevel(_) => &t::xdg_toplevel::INTERFACE,
            Self::Popup(_) => &t::xdg_popup::INTERFACE,
            Self::Presentation => &t::wp_presentation::INTERFACE,
            Self::Feedback => &t::wp_presentation_feedback::INTERFACE,
            Self::Manager => &t::xp_telemetry_manager_v1::INTERFACE,
            Self::Source => &t::xp_telemetry_source_v1::INTERFACE,
        }
    }
}

/// A live object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    /// The version its global was bound with.
    pub(crate) version: u32,
}

/// Why an id cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum IdFault {
    /// Null, in the server's range, in use, or not the next free one.
    Invalid,
    /// The client has as many objects as it may have.
    TooMany,
}

/// Object by id. Ids are dense: a new one is free or the next.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    slots: Vec<Option<Object>>,
}

impl Objects {
    pub(crate) fn get(&self, id: u32) -> Option<Object> {
        *self.slots.get(id.checked_sub(1)? as usize)?
    }

    pub(crate) fn insert(&mut self, id: u32, object: Object, max: usize) -> Result<(), IdFault> {
        let index = match id.checked_sub(1) {
            Some(index) if id < SERVER_IDS => index as usize,
            _ => return Err(IdFault::Invalid),
        };
        let next = self.slots.len();
        match self.slots.get_mut(index) {
            Some(Some(_)) => Err(IdFault::Invalid),
            Some(free) => {
                *free = Some(object);
                Ok(())
            }
            None if index > next => Err(IdFault::Invalid),
            None if index >= max => Err(IdFault::TooMany),
            None => {
                self.slots.push(Some(object));
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&mut self, id: u32) {
        if let Some(slot) = id
            .checked_sub(1)
            .and_then(|index| self.slots.get_mut(index as usize))
        {
            *slot = None;
        }
    }

    /// Ids of all objects of this kind.
    pub(crate) fn ids(&self, kind: Kind) -> impl Iterator<Item = u32> {
        self.slots
            .iter()
            .zip(1..)
            .filter(move |(slot, _)| slot.is_some_and(|o| o.kind == kind))
            .map(|(_, id)| id)
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dense() {
        let object = Object {
            kind: Kind::Registry,
            version: 1,
        };
        let mut objects = Objects::default();
        assert_eq!(objects.insert(0, object, 3), Err(IdFault::Invalid));
        assert_eq!(objects.insert(2, object, 3), Err(IdFault::Invalid));
        assert_eq!(objects.insert(1, object, 3), Ok(()));
        assert_eq!(objects.insert(1, object, 3), Err(IdFault::Invalid));
        assert_eq!(objects.insert(SERVER_IDS, object, 3), Err(IdFault::Invalid));
        assert_eq!(objects.insert(2, object, 2), Ok(()));
        assert_eq!(objects.insert(3, object, 2), Err(IdFault::TooMany));
        objects.remove(1);
        assert_eq!(objects.ids(Kind::Registry).collect::<Vec<_>>(), [2]);
        assert_eq!(objects.insert(1, object, 2), Ok(()));
    }
}
