//! Windows XP: the bare cores, built for its oldest processor and held against the gate.
//!
//! Soft floats, 32-bit sizes and a missing standard library never meet finished code this way.

mod gate;
mod target;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::setup::host_packages;
use testkit::unpack::Folder;

use crate::run::{self, answers, output, run, target_dir};
use crate::{Failure, no_std};

/// Most bytes of the archive that is looked at.
const ARCHIVE_BYTES_MAX: u64 = 256 << 20;

/// Builds every bare core for the target and looks at what came out.
pub(crate) fn check() -> Result<(), Failure> {
    let compiler = Compiler::find()?;
    let folder = target_dir().join("xp");
    let spec = target::write(&compiler, &folder)?;
    let krate = folder.join("cores");
    no_std::write_crate(&krate, "xp-cores", no_std::CORES)?;
    run(
        "building the cores for Windows XP",
        compiler
            .cargo()
            .args(["build", "--quiet", "--release", "--manifest-path"])
            .arg(krate.join("Cargo.toml"))
            .args([
                "-Zbuild-std=core,alloc",
                "-Zbuild-std-features=compiler-builtins-mem",
                "-Zjson-target-spec",
                "--target",
            ])
            .arg(spec)
            .env("CARGO_TARGET_DIR", folder.join("target")),
    )?;
    let archive = folder
        .join("target")
        .join(target::NAME)
        .join("release/libxp_cores.a");
    let report = gate::archive(&read(&archive)?)
        .map_err(|e| Failure::Said(format!("{}: {e}", archive.display())))?;
    report.print("cores for Windows XP");
    if report.findings.is_empty() && report.instructions > 0 {
        return Ok(());
    }
    Err(Failure::Said(
        "the cores do not pass the gate for Windows XP: see above".to_owned(),
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(ARCHIVE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| Failure::Io {
            what: path.display().to_string(),
            error,
        })?;
    Ok(bytes)
}

/// A compiler and the source of its own library: the two must be of one version.
enum Compiler {
    /// The installed one, with its library's source where rustup has put it.
    Installed,
    /// The installed one, with Debian's copy of its library's source.
    WithSource(PathBuf),
    /// Debian's own pair.
    Debian,
}

impl Compiler {
    fn find() -> Result<Self, Failure> {
        let sysroot = output("rustc", run::command("rustc").args(["--print", "sysroot"]))?;
        let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
        if library.exists() {
            return Ok(Self::Installed);
        }
        let says = answers("rustc", "--version").unwrap_or_default();
        let version = says.split(' ').nth(1).unwrap_or_default().to_owned();
        let source = Folder {
            name: format!("rust-src-{version}"),
            suite: "trixie-backports",
            package: "rust-src",
            version: format!("{version}+"),
            inside: format!("usr/src/rustc-{version}/library"),
        };
        if let Some(folder) = source.install(|what| println!("setup: {what}"))? {
            return Ok(Self::WithSource(folder));
        }
        println!("xp: Debian has no library source for rustc {version}; taking Debian's compiler");
        host_packages(&["rustc-web", "cargo-web", "rust-web-src"])?;
        Ok(Self::Debian)
    }

    fn rustc(&self) -> Command {
        self.prepare(match self {
            Self::Debian => "/usr/bin/rustc",
            _ => "rustc",
        })
    }

    fn cargo(&self) -> Command {
        self.prepare(match self {
            Self::Debian => "/usr/bin/cargo",
            _ => "cargo",
        })
    }

    fn prepare(&self, program: &str) -> Command {
        let mut command = run::command(program);
        // A target of one's own and a library built for it are not stable yet.
        command.env("RUSTC_BOOTSTRAP", "1");
        match self {
            Self::Installed => {}
            Self::WithSource(library) => {
                command.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
            }
            Self::Debian => {
                // Its path in full: a rustup on the path would answer to the bare name.
                command.env("RUSTC", "/usr/bin/rustc");
            }
        }
        command
    }
}
