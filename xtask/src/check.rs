//! What is true of the code without running it.

use crate::run::{cargo, run};
use crate::{Failure, floors, r#gen, lean, no_std, xp};

/// Features left out one package at a time, so that a core is linted as it is shipped.
const CORES: &[&str] = &[
    "telemetry-base",
    "telemetry-avro",
    "telemetry-core",
    "xp-wayland-shim",
    "telemetry-transport",
    "telemetry-storage",
    "telemetry-itil",
    "telemetry-airpods",
];

pub(crate) fn check() -> Result<(), Failure> {
    for (name, step) in steps() {
        println!("check: {name}");
        step()?;
    }
    Ok(())
}

type Step = fn() -> Result<(), Failure>;

/// Each check by name, cheapest first.
pub(crate) fn steps() -> Vec<(&'static str, Step)> {
    vec![
        ("format", || {
            run("cargo fmt", &mut cargo(&["fmt", "--all", "--check"]))
        }),
        ("floors", floors::check),
        ("layers without Avro", lean::check),
        ("licences and sources", || {
            run(
                "cargo deny",
                &mut cargo(&[
                    "deny",
                    "--log-level=error",
                    "check",
                    "bans",
                    "licenses",
                    "sources",
                ]),
            )
        }),
        ("lints", || {
            run(
                "cargo clippy",
                &mut cargo(&[
                    "clippy",
                    "--quiet",
                    "--locked",
                    "--workspace",
                    "--all-targets",
                    "--all-features",
                    "--",
                    "-Dwarnings",
                ]),
            )
        }),
        ("lints of the bare cores", || {
            CORES.iter().try_for_each(|package| {
                let lint = [
                    "clippy",
                    "--quiet",
                    "--locked",
                    "--no-default-features",
                    "-p",
                ];
                run(
                    &format!("cargo clippy of {package}"),
                    cargo(&lint).args([package, "--", "-Dwarnings"]),
                )
            })
        }),
        ("each crate alone", || {
            // Together they switch on each other's features, and hide what one of them lacks.
            CORES.iter().try_for_each(|package| {
                let test = ["test", "--quiet", "--locked", "--lib", "-p"];
                run(
                    &format!("cargo test of {package} alone"),
                    cargo(&test).arg(package),
                )
            })
        }),
        ("documentation", || {
            run(
                "cargo doc",
                cargo(&[
                    "doc",
                    "--quiet",
                    "--locked",
                    "--workspace",
                    "--no-deps",
                    "--all-features",
                ])
                .env("RUSTDOCFLAGS", "-Dwarnings"),
            )
        }),
        ("generated files", r#gen::compare),
        ("no_std proof", no_std::check),
        ("cores for Windows XP", xp::check),
    ]
}
