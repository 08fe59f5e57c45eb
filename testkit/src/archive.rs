//! A program of Maven Central, packed as tar, in the cache folder.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use crate::setup::{Failure, cache, host_packages, io, run};

/// Copies artifacts into a folder; the version is part of what is cached.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";

/// An archive of Maven Central.
#[derive(Clone, Copy, Debug)]
pub struct Archive {
    /// Name of its folder in the cache, with its version.
    pub name: &'static str,
    /// `group:artifact:version:type:classifier`.
    pub artifact: &'static str,
}

impl Archive {
    /// Its folder.
    pub fn dir(&self) -> PathBuf {
        cache().join(self.name)
    }

    /// Fetches and unpacks it, once.
    pub fn install(&self, say: impl FnOnce(&str)) -> Result<PathBuf, Failure> {
        let dir = self.dir();
        if dir.exists() {
            return Ok(dir);
        }
        fs::create_dir_all(cache()).map_err(io("making the cache folder"))?;
        let lock = File::create(cache().join(format!("{}.lock", self.name)));
        let lock = lock.map_err(io("locking the cache folder"))?;
        lock.lock().map_err(io("locking the cache folder"))?;
        if dir.exists() {
            return Ok(dir);
        }
        say(&format!("fetching {} from Maven Central (once)", self.name));
        host_packages(&["maven", "openjdk-17-jre-headless"])?;
        let partial = cache().join(format!("{}.partial", self.name));
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).map_err(io("making the archive's folder"))?;
        let mut mvn = Command::new("mvn");
        mvn.args(["-q", "-B", COPY]);
        mvn.arg(format!("-Dartifact={}", self.artifact));
        mvn.arg(format!("-DoutputDirectory={}", partial.display()));
        run(&mut mvn)?;
        let fetched = fs::read_dir(&partial)
            .map_err(io("looking for the archive"))?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .next()
            .ok_or_else(|| Failure::Said(format!("Maven fetched no {}", self.artifact)))?;
        let mut tar = Command::new("tar");
        run(tar.arg("-xzf").arg(&fetched).arg("-C").arg(&partial))?;
        fs::remove_file(&fetched).map_err(io("removing the packed archive"))?;
        fs::rename(&partial, &dir).map_err(io("naming the finished folder"))?;
        Ok(dir)
    }
}
