//! One folder of a Debian package of another suite, unpacked into the cache folder.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::setup::{Failure, cache, debian_mirror, io, run};

/// A folder out of a package.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Name of its folder in the cache.
    pub name: String,
    /// Debian's suite; the machine's own sources stay as they are.
    pub suite: &'static str,
    /// The package.
    pub package: &'static str,
    /// How its version begins.
    pub version: String,
    /// The folder inside the package: the rest of it can be many times as large.
    pub inside: String,
}

impl Folder {
    /// Unpacks it, if it is not there, and gives its path; `None` if the suite has no such version.
    pub fn install(&self, say: impl FnOnce(&str)) -> Result<Option<PathBuf>, Failure> {
        let folder = cache().join(&self.name);
        let found = folder.join(&self.inside);
        if found.exists() {
            return Ok(Some(found));
        }
        fs::create_dir_all(cache()).map_err(io("making the cache folder"))?;
        let lock = File::create(cache().join(format!("{}.lock", self.name)));
        let lock = lock.map_err(io("locking the cache folder"))?;
        lock.lock().map_err(io("locking the cache folder"))?;
        if found.exists() {
            return Ok(Some(found));
        }
        say(&format!(
            "fetching {} {} of Debian {} (once)",
            self.package, self.version, self.suite
        ));
        let state = cache().join(format!("{}.apt", self.name));
        let partial = cache().join(format!("{}.partial", self.name));
        for old in [&state, &partial, &folder] {
            let _ = fs::remove_dir_all(old);
        }
        for new in [
            &state.join("lists/partial"),
            &state.join("archives/partial"),
            &partial,
        ] {
            fs::create_dir_all(new).map_err(io("making folders for apt"))?;
        }
        let source = format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
            debian_mirror()?,
            self.suite
        );
        fs::write(state.join("other.sources"), source).map_err(io("writing apt's source"))?;
        run(apt(&state, "apt-get").args(["-qq", "update"]))?;
        let versions = run(apt(&state, "apt-cache").args(["-q", "madison", self.package]))?;
        let exact = versions
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(str::trim)
            .find(|version| version.starts_with(&self.version));
        let unpacked = match exact {
            None => None,
            Some(version) => {
                let exact = format!("{}={version}", self.package);
                run(apt(&state, "apt-get").args(["-qq", "download", &exact]))?;
                self.extract(&deb(&state)?, &partial)?;
                fs::rename(&partial, &folder).map_err(io("naming the finished folder"))?;
                Some(found)
            }
        };
        let _ = fs::remove_dir_all(&state);
        Ok(unpacked)
    }

    fn extract(&self, deb: &Path, into: &Path) -> Result<(), Failure> {
        let mut archive = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(deb)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(io("starting dpkg-deb"))?;
        let mut tar = Command::new("tar");
        tar.arg("-xf-").arg("-C").arg(into);
        tar.arg(format!("./{}", self.inside));
        if let Some(files) = archive.stdout.take() {
            tar.stdin(files);
        }
        let unpacked = run(&mut tar);
        // Where dpkg-deb fails, tar gets a short archive and says so.
        let _ = archive.wait();
        unpacked.map(drop)
    }
}

/// A program of apt with a state of its own.
fn apt(state: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    for (key, value) in [
        ("Dir::Etc::sourcelist", OsString::from("/dev/null")),
        ("Dir::Etc::sourceparts", state.into()),
        ("Dir::State::lists", state.join("lists").into()),
        ("Dir::Cache", state.into()),
        // A frozen mirror has old dates; signatures are checked all the same.
        ("Acquire::Check-Valid-Until", OsString::from("false")),
        // apt's own user may not write below a private home.
        ("APT::Sandbox::User", OsString::from("root")),
    ] {
        let mut option = OsString::from(key);
        option.push("=");
        option.push(value);
        command.arg("-o").arg(option);
    }
    command.current_dir(state);
    command
}

/// The package that was downloaded into a folder.
fn deb(folder: &Path) -> Result<PathBuf, Failure> {
    fs::read_dir(folder)
        .map_err(io("looking for the package"))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .ok_or_else(|| Failure::Said("apt downloaded no package".to_owned()))
}
