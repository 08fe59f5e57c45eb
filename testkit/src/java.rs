//! Java with libraries of Maven Central, for tests that compare with other people's programs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::setup::{Failure, host_packages, io, once, run, say};

/// Copies the libraries of a project, with what they need themselves, into a folder.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Apache Avro, the reference implementation, with its codecs.
pub const AVRO: Libraries = Libraries {
    name: "java-avro-1.12.1",
    artifacts: &[
        "org.apache.avro:avro:1.12.1",
        "org.xerial.snappy:snappy-java:1.1.10.5",
        "com.github.luben:zstd-jni:1.5.5-5",
        "org.tukaani:xz:1.9",
        "org.slf4j:slf4j-nop:2.0.13",
    ],
};

/// Libraries of Maven Central, of fixed versions.
#[derive(Clone, Copy, Debug)]
pub struct Libraries {
    /// Name of their folder in the cache.
    pub name: &'static str,
    /// `group:artifact:version` of each.
    pub artifacts: &'static [&'static str],
}

impl Libraries {
    /// Fetches them, and a compiler, once.
    pub fn install(&self) -> Result<Java, Failure> {
        let wanted = self.artifacts.join(" ");
        let folder = once(self.name, &wanted, |folder| {
            say(&format!("fetching {} from Maven Central (once)", self.name));
            host_packages(&["maven", "openjdk-17-jdk-headless"])?;
            let project = folder.join("pom.xml");
            fs::write(&project, self.project()).map_err(io("writing the list of libraries"))?;
            let mut mvn = Command::new("mvn");
            mvn.args(["-q", "-B", COPY, "-f"]).arg(&project);
            mvn.arg(format!("-DoutputDirectory={}", folder.display()));
            run(&mut mvn).map(drop)
        })?;
        Ok(Java { folder })
    }

    fn project(&self) -> String {
        let dependency = |artifact: &&str| {
            let mut parts = artifact.splitn(3, ':');
            let mut tag = |tag| format!("<{tag}>{}</{tag}>", parts.next().unwrap_or_default());
            let parts = [tag("groupId"), tag("artifactId"), tag("version")].concat();
            format!("<dependency>{parts}</dependency>")
        };
        let dependencies: String = self.artifacts.iter().map(dependency).collect();
        format!(
            "<project><modelVersion>4.0.0</modelVersion><groupId>testkit</groupId>\
             <artifactId>libraries</artifactId><version>1</version>\
             <dependencies>{dependencies}</dependencies></project>"
        )
    }
}

/// A Java that knows some libraries.
#[derive(Clone, Debug)]
pub struct Java {
    folder: PathBuf,
}

impl Java {
    /// A command that compiles one source file in memory and runs it.
    pub fn source(&self, file: &Path) -> Command {
        let mut command = self.command();
        command.arg(file);
        command
    }

    /// A command that runs a class of the libraries.
    pub fn class(&self, name: &str) -> Command {
        let mut command = self.command();
        command.arg(name);
        command
    }

    fn command(&self) -> Command {
        let mut all = OsString::from(&self.folder);
        all.push("/*");
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "java", "-cp"])
            .arg(all);
        command
    }
}
