//! What each layer does for its users, and how what is there is read again.

mod incidents;
mod log;
pub(crate) mod peers;
mod registry;
mod run;
mod spool;
mod store;

use std::convert::Infallible;
use std::io::Write as _;
use std::path::Path;

use telemetry_core::{ClockMark, DeviceId};
use telemetry_transport::{Limits, Opening};

use crate::Result;

/// A program that writes until it is ended.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Writes in a folder, things with numbers from one on, and says what is promised.
    pub(crate) write: fn(&Path, u64) -> Result<Infallible>,
    /// Operations on the disk among which the last one is chosen.
    pub(crate) operations: u64,
    /// Says what is there.
    pub(crate) read: fn(&Path) -> Result<()>,
}

pub(crate) const ALL: [Program; 7] = [
    Program {
        name: "spool",
        write: |folder, first| spool::write(folder, first, 1),
        operations: 240,
        read: spool::read,
    },
    Program {
        name: "spool-16",
        write: |folder, first| spool::write(folder, first, 16),
        operations: 240,
        read: spool::read,
    },
    Program {
        name: "log",
        write: log::write,
        operations: 240,
        read: log::read,
    },
    Program {
        name: "store",
        write: store::write,
        operations: 240,
        read: store::read,
    },
    Program {
        name: "incidents",
        write: incidents::write,
        operations: 240,
        read: incidents::read,
    },
    Program {
        name: "registry",
        write: registry::write,
        operations: 240,
        read: registry::read,
    },
    Program {
        name: "run",
        write: run::write,
        // It makes every part first.
        operations: 800,
        read: run::read,
    },
];

pub(crate) fn named(name: &str) -> Result<Program> {
    let mut all = ALL.into_iter().chain(peers::ALL);
    let found = all.find(|program| program.name == name);
    found.ok_or_else(|| format!("there is no program {name}").into())
}

/// Says that a thing is promised or there, and what its bytes add up to.
fn say(thing: std::fmt::Arguments<'_>, bytes: &[u8]) -> Result<()> {
    let sum = crc32fast::hash(bytes);
    // The rig may be gone.
    Ok(writeln!(std::io::stdout(), "{thing} {sum:08x}")?)
}

/// Bytes of a thing, by its number: between one and some sectors.
fn payload(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let len = 8 + number % 7 * 211;
    let bytes = (0..len).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // The low byte.
        state as u8
    });
    let mut bytes: Vec<u8> = bytes.collect();
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Segments so small that a cut often meets the change from one to the next.
const LIMITS: Limits = Limits {
    segment_bytes: 32 << 10,
    total_bytes: 64 << 20,
    when_full: telemetry_transport::WhenFull::Refuse,
    spare_segments: 2,
    window_bytes: 16 << 10,
    quarantine_bytes: 1 << 20,
    dead_letter_bytes: 8 << 20,
    deliveries_open_max: 1_000,
};

fn opening() -> Result<Opening> {
    Ok(Opening {
        new_device: DeviceId::from_u128(7),
        clock: ClockMark::default(),
        limits: LIMITS,
        ..Opening::new()?
    })
}
