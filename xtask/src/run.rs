//! Running other programs, with the tools of the cache on the path.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use testkit::setup::cache;

use crate::{Failure, root};

/// A command that runs in the checkout's root.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).env("PATH", path());
    command
}

/// `cargo` with these arguments.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = command("cargo");
    command.args(arguments);
    command
}

fn path() -> OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let tools = std::iter::once(cache().join("tools/bin"));
    std::env::join_paths(tools.chain(std::env::split_paths(&old))).unwrap_or(old)
}

/// Runs to the end; the output goes where ours goes.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| Failure::Io {
        what: what.to_owned(),
        error,
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Command {
        what: what.to_owned(),
    })
}

/// Runs to the end and returns what it printed on standard output.
pub(crate) fn output(what: &str, command: &mut Command) -> Result<String, Failure> {
    let out = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::Io {
            what: what.to_owned(),
            error,
        })?;
    if !out.status.success() {
        return Err(Failure::Command {
            what: what.to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The folder cargo builds into.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Whether a program answers.
pub(crate) fn answers(program: &str, argument: &str) -> Option<String> {
    let out = command(program).arg(argument).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text.lines().next()?.trim().to_owned();
    out.status.success().then_some(line)
}
