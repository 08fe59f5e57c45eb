//! The proof that a core needs no standard library: it links beside another panic handler.
//!
//! Each core becomes a static library with its own panic handler and allocator. A dependency that
//! brings `std` brings a second panic handler, and the build fails.

use std::fs;
use std::path::Path;

use crate::Failure;
use crate::run::{cargo, run, target_dir};

type Core = (&'static str, &'static str, &'static [&'static str]);

/// Package, its folder, and the features of its core.
pub(crate) const CORES: &[Core] = &[
    ("telemetry-avro", "telemetry-core/avro", &["derive"]),
    ("telemetry-core", "telemetry-core", &["derive"]),
    ("xp-wayland-shim", "xp-wayland-shim", &["telemetry"]),
    ("telemetry-transport", "transport", &[]),
    ("telemetry-airpods", "airpods", &[]),
];

const LIB: &str = r#"//! Links a core without the standard library.
#![no_std]

CORES
use core::alloc::{GlobalAlloc, Layout};

struct NoMemory;

// SAFETY: null is the answer for "no memory", which is always allowed.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
"#;

pub(crate) fn check() -> Result<(), Failure> {
    let base = target_dir().join("no-std");
    for core in CORES {
        let package = core.0;
        let dir = base.join(package);
        write_crate(
            &dir,
            &format!("no-std-{package}"),
            std::slice::from_ref(core),
        )?;
        run(
            &format!("linking {package} without std"),
            cargo(&["build", "--quiet", "--manifest-path"])
                .arg(dir.join("Cargo.toml"))
                .env("CARGO_TARGET_DIR", base.join("target")),
        )?;
    }
    Ok(())
}

/// Writes a static library of these cores that brings its own panic handler and allocator.
pub(crate) fn write_crate(dir: &Path, name: &str, cores: &[Core]) -> Result<(), Failure> {
    let root = crate::root();
    let mut manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"staticlib\"]\n\
         [profile.dev]\npanic = \"abort\"\n[profile.release]\npanic = \"abort\"\n\
         [workspace]\n[dependencies]\n"
    );
    let mut uses = String::new();
    for (package, folder, features) in cores {
        let path = root.join(folder);
        manifest += &format!(
            "{package} = {{ path = {path:?}, default-features = false, features = {features:?} }}\n"
        );
        uses += &format!("extern crate {} as _;\n", package.replace('-', "_"));
    }
    let write = || {
        fs::create_dir_all(dir.join("src"))?;
        fs::write(dir.join("Cargo.toml"), manifest)?;
        fs::write(dir.join("src/lib.rs"), LIB.replace("CORES\n", &uses))?;
        // The same versions as the house.
        fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).map(drop)
    };
    write().map_err(|error| Failure::Io {
        what: format!("writing {}", dir.display()),
        error,
    })
}
