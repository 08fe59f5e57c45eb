//! Tools and servers in the cache folder, installed once.

use std::fs;
use std::path::PathBuf;

use testkit::apicurio::APICURIO;
use testkit::java;
use testkit::python::python;
use testkit::setup::{RABBITMQ, cache, host_packages};

use crate::Failure;
use crate::run::{answers, cargo, run};

/// Name and version of each tool; a change of the version installs anew.
const TOOLS: &[(&str, &str)] = &[("cargo-nextest", "0.9.151"), ("cargo-deny", "0.20.2")];

/// What fuzzing needs besides.
const FUZZER: &[(&str, &str)] = &[("cargo-fuzz", "0.13.2")];

/// What `check` needs.
pub(crate) fn tools() -> Result<(), Failure> {
    install(TOOLS)
}

/// What `fuzz` needs.
pub(crate) fn fuzzer() -> Result<(), Failure> {
    install(FUZZER)
}

/// Whether `check` has its tools already: a run without them is a cold one.
pub(crate) fn tools_are_there() -> bool {
    TOOLS
        .iter()
        .all(|(name, version)| stamp(name, version).exists())
}

fn stamp(name: &str, version: &str) -> PathBuf {
    cache()
        .join("tools")
        .join(format!("{name}-{version}.stamp"))
}

fn install(list: &[(&str, &str)]) -> Result<(), Failure> {
    let tools = cache().join("tools");
    for (name, version) in list {
        let stamp = stamp(name, version);
        if stamp.exists() {
            continue;
        }
        println!("setup: building {name} {version} (once; some minutes)");
        let tools_text = tools.display().to_string();
        run(
            &format!("installing {name}"),
            cargo(&["install", "--locked", "--force", "--root", &tools_text])
                .arg(format!("{name}@{version}"))
                // They wait for the compiler and the disk: optimising them takes three times as
                // long as it ever gives back. They share one folder, which is not the family's.
                .args(["--debug"])
                .env("CARGO_PROFILE_DEV_DEBUG", "0")
                .env("CARGO_TARGET_DIR", tools.join("target")),
        )?;
        fs::write(&stamp, "").map_err(|error| Failure::Io {
            what: format!("writing {}", stamp.display()),
            error,
        })?;
    }
    let build = tools.join("target");
    if build.exists() {
        // Only the finished tools are kept.
        let _ = fs::remove_dir_all(build);
    }
    Ok(())
}

/// What the tests talk to: servers and a browser.
pub(crate) fn servers() -> Result<(), Failure> {
    let say = |what: &str| println!("setup: {what}");
    RABBITMQ.install(say)?;
    APICURIO.install(say)?;
    java::AVRO.install()?;
    python()?;
    if BROWSER
        .iter()
        .any(|name| answers(name, "--version").is_none())
    {
        println!("setup: installing Chromium and its driver from Debian (once)");
        host_packages(&["chromium", "chromium-driver"])?;
    }
    Ok(())
}

/// The browser in which the live page is tested, and what drives it.
pub(crate) const BROWSER: [&str; 2] = ["chromium", "chromedriver"];
