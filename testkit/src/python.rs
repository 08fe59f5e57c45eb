//! Python with the packages that tests exchange bytes with.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use crate::setup::{Failure, cache, host_packages, io, run, say};

/// What is installed; a change of the list installs anew.
const PACKAGES: &[&str] = &[
    "confluent-kafka[avro,schemaregistry]==2.16.1",
    "fastavro==1.13.1",
];

/// The interpreter of an environment of its own in the cache folder, made once.
pub fn python() -> Result<PathBuf, Failure> {
    let dir = cache().join("python");
    let stamp = cache().join("python.stamp");
    let interpreter = dir.join("bin/python");
    let wanted = PACKAGES.join(" ");
    let is_there = || {
        let found = File::open(&stamp).and_then(std::io::read_to_string);
        found.is_ok_and(|found| found == wanted)
    };
    if is_there() {
        return Ok(interpreter);
    }
    fs::create_dir_all(cache()).map_err(io("making the cache folder"))?;
    let lock = File::create(cache().join("python.lock"));
    let lock = lock.map_err(io("locking the cache folder"))?;
    lock.lock().map_err(io("locking the cache folder"))?;
    if is_there() {
        return Ok(interpreter);
    }
    say(&format!("installing {wanted} for Python (once)"));
    let _ = fs::remove_dir_all(&dir);
    let venv = |python: &str| {
        let mut make = Command::new(python);
        run(make.args(["-m", "venv"]).arg(&dir))
    };
    // Some machines' own Python is without the module; Debian's comes with it by a package.
    if venv("python3").is_err() {
        host_packages(&["python3", "python3-venv"])?;
        venv("/usr/bin/python3")?;
    }
    let mut pip = Command::new(&interpreter);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run(pip.args(PACKAGES))?;
    fs::write(&stamp, &wanted).map_err(io("writing the stamp"))?;
    Ok(interpreter)
}
