//! Packages of Debian: installed on this machine, or unpacked into the cache folder.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{output, run};
use crate::{Failure, cache};

/// Installs packages on this machine, if any is missing.
pub(crate) fn install(packages: &[&str]) -> Result<(), Failure> {
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    run("apt-get update", apt("apt-get").args(["update", "-qq"]))?;
    run(
        &format!("installing {} (needs root)", missing.join(", ")),
        apt("apt-get")
            .args(["install", "-qq", "--no-install-recommends"])
            .args(missing),
    )
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|out| out.stdout == b"installed")
}

fn apt(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Unpacks the folder `inside` of a package of another suite into the cache folder, once, and
/// gives its path; `None` if the suite has no version that begins with `version`.
///
/// The machine's own sources stay as they are.
pub(crate) fn unpack(
    name: &str,
    suite: &str,
    package: &str,
    version: &str,
    inside: &str,
) -> Result<Option<PathBuf>, Failure> {
    let folder = cache().join(name);
    let found = folder.join(inside);
    if found.exists() {
        return Ok(Some(found));
    }
    println!("setup: fetching {package} {version} of {suite} (once)");
    let state = cache().join(format!("{name}.apt"));
    let partial = cache().join(format!("{name}.partial"));
    for old in [&state, &partial] {
        let _ = fs::remove_dir_all(old);
    }
    let io = |what: &Path| {
        let what = what.display().to_string();
        move |error| Failure::Io { what, error }
    };
    fs::create_dir_all(state.join("lists/partial"))
        .and_then(|()| fs::create_dir_all(state.join("archives/partial")))
        .and_then(|()| fs::create_dir_all(&partial))
        .and_then(|()| fs::write(state.join("other.sources"), source(&mirror()?, suite)))
        .map_err(io(&state))?;
    let apt = |program: &str| {
        let mut command = apt(program);
        for (key, value) in [
            ("Dir::Etc::sourcelist", OsString::from("/dev/null")),
            ("Dir::Etc::sourceparts", state.clone().into_os_string()),
            ("Dir::State::lists", state.join("lists").into_os_string()),
            ("Dir::Cache", state.clone().into_os_string()),
            // A frozen mirror has old dates; signatures are still checked.
            ("Acquire::Check-Valid-Until", OsString::from("false")),
            // apt's own user may not write below a private home.
            ("APT::Sandbox::User", OsString::from("root")),
        ] {
            let mut option = OsString::from(key);
            option.push("=");
            option.push(value);
            command.arg("-o").arg(option);
        }
        command.current_dir(&state);
        command
    };
    run(
        &format!("reading what {suite} has"),
        apt("apt-get").args(["-qq", "update"]),
    )?;
    let versions = output(
        "apt-cache",
        apt("apt-cache").args(["-q", "madison", package]),
    )?;
    let Some(exact) = versions
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|v| v.starts_with(version))
    else {
        let _ = fs::remove_dir_all(&state);
        return Ok(None);
    };
    run(
        &format!("fetching {package}"),
        apt("apt-get").args(["-qq", "download", &format!("{package}={exact}")]),
    )?;
    let deb = fs::read_dir(&state)
        .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
        .map_err(io(&state))?
        .into_iter()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .ok_or_else(|| Failure::Said(format!("{package} {exact} was not downloaded")))?;
    extract(&deb, inside, &partial)?;
    let _ = fs::remove_dir_all(&state);
    let _ = fs::remove_dir_all(&folder);
    fs::rename(&partial, &folder).map_err(io(&folder))?;
    Ok(Some(found))
}

/// Unpacks one folder of a package; the rest of it can be many times as large.
fn extract(deb: &Path, inside: &str, into: &Path) -> Result<(), Failure> {
    let what = format!("unpacking {}", deb.display());
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::Io {
            what: what.clone(),
            error,
        })?;
    let mut tar = Command::new("tar");
    tar.arg("-xf-")
        .arg("-C")
        .arg(into)
        .arg(format!("./{inside}"));
    if let Some(stdout) = archive.stdout.take() {
        tar.stdin(stdout);
    }
    let unpacked = run(&what, &mut tar);
    // A dpkg-deb that failed left tar a short archive, which tar says.
    let _ = archive.wait();
    unpacked
}

/// A source of the machine's own mirror for another suite.
fn source(mirror: &str, suite: &str) -> String {
    format!(
        "Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
}

/// The mirror that this machine's apt uses for its own suite; it carries the other suites too.
fn mirror() -> std::io::Result<String> {
    let other = |what: &str| std::io::Error::other(what.to_owned());
    let out = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(CODENAME) $(REPO_URI)",
            "Identifier: Packages",
        ])
        .output()?;
    let own = Command::new("sh")
        .args(["-c", ". /etc/os-release && printf %s \"$VERSION_CODENAME\""])
        .output()?;
    let own = String::from_utf8_lossy(&own.stdout).into_owned();
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(suite, _)| *suite == own)
        .map(|(_, uri)| uri.trim_end_matches('/').to_owned())
        .ok_or_else(|| other("apt knows no mirror for this Debian: this needs a Debian machine"))
}
