//! Generated files. They are committed; tests named `generated_*` compare, and write anew when
//! `BLESS` is set.

use std::process::Command;

use crate::Failure;
use crate::run::{cargo, run};

/// Writes them anew.
pub(crate) fn generate() -> Result<(), Failure> {
    run("generating", tests().env("BLESS", "1"))
}

/// Compares what is committed with what would be written.
pub(crate) fn compare() -> Result<(), Failure> {
    run("comparing generated files", &mut tests())
}

/// The tests of the whole workspace are built for it, as `test` builds them: once.
fn tests() -> Command {
    let mut command = cargo(&["nextest", "run", "--locked", "--workspace"]);
    command.args(["--all-features", "--cargo-quiet", "--status-level", "none"]);
    command.args(["--filterset", "test(/generated_/)"]);
    command
}
