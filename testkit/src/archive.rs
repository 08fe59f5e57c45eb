//! A program of Maven Central, packed as tar, in the cache folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::setup::{Failure, host_packages, io, once, run};

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
    /// Fetches and unpacks it, once.
    pub fn install(&self, say: impl FnOnce(&str)) -> Result<PathBuf, Failure> {
        once(self.name, self.artifact, |folder| {
            say(&format!("fetching {} from Maven Central (once)", self.name));
            host_packages(&["maven", "openjdk-17-jre-headless"])?;
            let mut mvn = Command::new("mvn");
            mvn.args(["-q", "-B", COPY]);
            mvn.arg(format!("-Dartifact={}", self.artifact));
            mvn.arg(format!("-DoutputDirectory={}", folder.display()));
            run(&mut mvn)?;
            let fetched = fs::read_dir(folder)
                .map_err(io("looking for the archive"))?
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .next()
                .ok_or_else(|| Failure::Said(format!("Maven fetched no {}", self.artifact)))?;
            let mut tar = Command::new("tar");
            run(tar.arg("-xzf").arg(&fetched).arg("-C").arg(folder))?;
            fs::remove_file(&fetched).map_err(io("removing the packed archive"))
        })
    }
}
