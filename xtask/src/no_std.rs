//! The proof that a core needs no standard library: it links beside another panic handler.
//!
//! Each core becomes a static library with its own panic handler and allocator. A dependency that
//! brings `std` brings a second panic handler, and the build fails.

use std::fs;
use std::path::Path;

use crate::Failure;
use crate::run::{cargo, run, target_dir};

/// Package, its folder, and the features of its core.
const CORES: &[(&str, &str, &[&str])] = &[
    ("telemetry-core", "telemetry-core", &["derive"]),
    ("xp-wayland-shim", "xp-wayland-shim", &["telemetry"]),
    ("telemetry-transport", "transport", &[]),
    ("telemetry-airpods", "airpods", &[]),
];

const LIB: &str = r#"//! Links a core without the standard library.
#![no_std]

extern crate CORE as _;

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
    for (package, folder, features) in CORES {
        let dir = base.join(package);
        write_crate(&dir, package, folder, features)?;
        run(
            &format!("linking {package} without std"),
            cargo(&["build", "--quiet", "--manifest-path"])
                .arg(dir.join("Cargo.toml"))
                .env("CARGO_TARGET_DIR", base.join("target")),
        )?;
    }
    Ok(())
}

fn write_crate(dir: &Path, package: &str, folder: &str, features: &[&str]) -> Result<(), Failure> {
    let root = crate::root();
    let manifest = format!(
        "[package]\nname = \"no-std-{package}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"staticlib\"]\n\
         [dependencies]\n{package} = {{ path = {:?}, default-features = false, features = {features:?} }}\n\
         [profile.dev]\npanic = \"abort\"\n[workspace]\n",
        root.join(folder)
    );
    let write = || {
        fs::create_dir_all(dir.join("src"))?;
        fs::write(dir.join("Cargo.toml"), manifest)?;
        fs::write(
            dir.join("src/lib.rs"),
            LIB.replace("CORE", &package.replace('-', "_")),
        )?;
        // The same versions as the house.
        fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).map(drop)
    };
    write().map_err(|error| Failure::Io {
        what: format!("writing {}", dir.display()),
        error,
    })
}
