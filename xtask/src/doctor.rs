//! What this machine has.

use testkit::setup::{RABBITMQ, cache};

use crate::Failure;
use crate::run::answers;
use crate::setup::BROWSER;

pub(crate) fn doctor() -> Result<(), Failure> {
    let mut missing = 0;
    let mut line = |name: &str, found: Option<String>, needed: bool, hint: &str| {
        let (mark, text) = match (&found, needed) {
            (Some(version), _) => ("ok  ", version.as_str()),
            (None, true) => ("MISS", hint),
            (None, false) => ("--  ", hint),
        };
        println!("{mark} {name:14} {text}");
        missing += usize::from(found.is_none() && needed);
    };
    line(
        "rustc",
        answers("rustc", "--version"),
        true,
        "install Rust 1.95 or newer",
    );
    line(
        "C compiler",
        answers("cc", "--version"),
        true,
        "install gcc or clang: SQLite is built",
    );
    line(
        "cargo-nextest",
        answers("cargo-nextest", "--version"),
        true,
        "run `cargo xtask setup`",
    );
    line(
        "cargo-deny",
        answers("cargo-deny", "--version"),
        true,
        "run `cargo xtask setup`",
    );
    line(
        "RabbitMQ",
        RABBITMQ
            .is_installed()
            .then(|| RABBITMQ.dir().display().to_string()),
        true,
        "run `cargo xtask setup` as root on a Debian machine",
    );
    for name in BROWSER {
        line(
            name,
            answers(name, "--version"),
            true,
            "run `cargo xtask setup` as root on a Debian machine, or install Chromium",
        );
    }
    line(
        "espeak-ng",
        answers("espeak-ng", "--version"),
        false,
        "not there: cues are shown as text, marked not spoken",
    );
    println!("     cache          {}", cache().display());
    if missing > 0 {
        return Err(Failure::Said(format!("{missing} missing: see MISS above")));
    }
    Ok(())
}
