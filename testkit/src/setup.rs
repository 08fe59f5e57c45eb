//! Installs Debian trees into the cache folder, once each.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is missing, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A program could not be started, or a file not be written.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// A program said no.
    #[error("{command} failed: {said}")]
    Command {
        /// The command line.
        command: String,
        /// The end of what it printed on standard error.
        said: String,
    },
    /// Something that only a person can change.
    #[error("{0}")]
    Said(String),
}

pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let what = what.into();
    move |error| Failure::Io { what, error }
}

/// Where tools and servers are kept between runs.
pub fn cache() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    from("XP_TELEMETRY_CACHE").unwrap_or_else(|| {
        from("XDG_CACHE_HOME")
            .or_else(|| from("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(std::env::temp_dir)
            .join("xp-telemetry")
    })
}

/// Runs a command to its end and returns its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String, Failure> {
    let line = format!("{command:?}");
    let out = command.output().map_err(io(&line))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let text = [out.stderr, out.stdout].map(|b| String::from_utf8_lossy(&b).into_owned());
    let tail: Vec<&str> = text.iter().flat_map(|t| t.lines()).rev().take(12).collect();
    Err(Failure::Command {
        command: line,
        said: tail.into_iter().rev().collect::<Vec<_>>().join("\n"),
    })
}

/// Makes a folder of the cache, once: `make` fills an empty one, which gets its name at the end.
///
/// What is there is kept as long as it was made from the same `wanted`. An interrupted `make` leaves
/// nothing that passes for the folder, and processes that start together share one.
pub(crate) fn once(
    name: &str,
    wanted: &str,
    make: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let [dir, stamp, lock, partial] =
        ["", ".stamp", ".lock", ".partial"].map(|suffix| cache().join(format!("{name}{suffix}")));
    let is_there = || {
        let found = File::open(&stamp).and_then(io::read_to_string);
        dir.exists() && found.is_ok_and(|found| found == wanted)
    };
    if is_there() {
        return Ok(dir);
    }
    fs::create_dir_all(cache()).map_err(io("making the cache folder"))?;
    let lock = File::create(lock).map_err(io("locking the cache folder"))?;
    lock.lock().map_err(io("locking the cache folder"))?;
    if is_there() {
        return Ok(dir);
    }
    for old in [&dir, &partial] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(io(format!("removing {}", old.display())))?;
        }
    }
    fs::create_dir_all(&partial).map_err(io(format!("making {}", partial.display())))?;
    make(&partial)?;
    fs::rename(&partial, &dir).map_err(io("naming the finished folder"))?;
    fs::write(stamp, wanted).map_err(io("writing the stamp"))?;
    Ok(dir)
}

/// Installs Debian packages on this machine; asks apt for nothing when all are there.
pub fn host_packages(packages: &[&str]) -> Result<(), Failure> {
    let installed = |package: &&&str| {
        let mut query = Command::new("dpkg-query");
        query.args(["-W", "-f", "${db:Status-Status}", package]);
        run(&mut query).is_ok_and(|status| status == "installed")
    };
    let missing: Vec<&str> = packages.iter().filter(|p| !installed(p)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    // apt turns a second caller away at once, also from its lists.
    fs::create_dir_all(cache()).map_err(io("making the cache folder"))?;
    let lock = File::create(cache().join("apt.lock")).map_err(io("locking apt"))?;
    lock.lock().map_err(io("locking apt"))?;
    let names = missing.join(" ");
    let hint = |failure: Failure| {
        Failure::Said(format!(
            "{failure}\ninstall by hand: apt-get install {names}"
        ))
    };
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    run(apt.args(["update", "-qq"])).map_err(hint)?;
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.args(["install", "-y", "-qq", "--no-install-recommends"]);
    run(apt.args(&missing)).map_err(hint)?;
    Ok(())
}

/// The mirror that this machine's own apt uses; it carries the other suites, too.
pub(crate) fn debian_mirror() -> Result<String, Failure> {
    let release = fs::File::open("/etc/os-release")
        .and_then(io::read_to_string)
        .map_err(io("reading /etc/os-release; the servers come from Debian"))?;
    let own = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or_default();
    let targets = run(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(CODENAME) $(REPO_URI)",
        "Identifier: Packages",
    ]))?;
    targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(codename, _)| *codename == own)
        .map(|(_, uri)| uri.trim_end_matches('/').to_owned())
        .ok_or_else(|| {
            Failure::Said(format!(
                "apt knows no mirror of {own:?}: run apt-get update"
            ))
        })
}

/// A Debian tree of its own beside the machine's, in the cache folder.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    /// Name of its folder.
    pub name: &'static str,
    /// Debian's release.
    pub suite: &'static str,
    /// Packages, without what they depend on.
    pub packages: &'static [&'static str],
}

/// The broker: RabbitMQ 4.0.5 on Erlang 27, which the machine's own release does not have.
pub const RABBITMQ: Tree = Tree {
    name: "trixie-rabbitmq",
    suite: "trixie",
    packages: &["ca-certificates", "rabbitmq-server"],
};

impl Tree {
    /// Its folder.
    pub fn dir(&self) -> PathBuf {
        cache().join(self.name)
    }

    fn stamp(&self) -> PathBuf {
        cache().join(format!("{}.stamp", self.name))
    }

    /// What a stamp says of a finished tree: another list of packages is another tree.
    fn wanted(&self) -> String {
        format!("{} {}", self.suite, self.packages.join(" "))
    }

    /// Whether it is there, whole.
    pub fn is_installed(&self) -> bool {
        let stamp = File::open(self.stamp()).and_then(io::read_to_string);
        stamp.is_ok_and(|found| found == self.wanted())
    }

    /// Makes the tree where it is missing; `say` hears about it first, since it takes a minute.
    ///
    pub fn install(&self, say: impl FnOnce(&str)) -> Result<PathBuf, Failure> {
        once(self.name, &self.wanted(), |partial| {
            say(&format!(
                "installing {} from Debian {} into {} (once; a minute, 250 MB)",
                self.packages.join(" "),
                self.suite,
                self.dir().display()
            ));
            host_packages(&["mmdebstrap"])?;
            let mut make = Command::new("mmdebstrap");
            make.args(["--quiet", "--mode=root", "--variant=minbase"]);
            // A frozen mirror or a wrong clock would refuse an old Release file; its signature is
            // checked all the same.
            make.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
            make.arg(format!("--include={}", self.packages.join(",")));
            make.args([OsStr::new(self.suite), partial.as_os_str()]);
            run(make.arg(debian_mirror()?)).map_err(|failure| {
                Failure::Said(format!(
                    "{failure}\na Debian tree needs root and a Debian mirror that apt can reach"
                ))
            })?;
            Ok(())
        })
    }

    /// A command inside the tree, in mounts of its own; `shared` is seen at the same path inside.
    ///
    /// Nothing has to be unmounted afterwards. The process that is started becomes the program
    /// itself, so that a signal to the child hits it, and it is killed when the thread that
    /// started it ends.
    pub fn command(&self, shared: &Path, program: &str) -> Command {
        const ENTER: &str = r#"
            root=$1; shared=$2; shift 2
            mount -t proc proc "$root/proc"
            mount --rbind /sys "$root/sys"; mount --rbind /dev "$root/dev"
            mkdir -p "$root$shared"; mount --rbind "$shared" "$root$shared"
            exec chroot "$root" "$@""#;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--mount"]);
        command.args(["--propagation", "private", "bash", "-ec", ENTER, "enter"]);
        command.args([self.dir().as_os_str(), shared.as_os_str()]);
        command.arg(program);
        command
    }
}

/// A port that nobody has: unlike its other ports, the broker wants this one on every address.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|l| l.local_addr());
    Ok(free.map_err(io("looking for a free port"))?.port())
}

#[expect(clippy::print_stderr, reason = "a person waits for a minute")]
pub(crate) fn say(what: &str) {
    eprintln!("{what}");
}
