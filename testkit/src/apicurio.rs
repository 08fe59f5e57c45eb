//! Apicurio Registry, which speaks the HTTP interface of Confluent's, with its data in memory.

#![expect(
    clippy::disallowed_methods,
    reason = "a real server starts in real time"
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::archive::Archive;
use crate::setup::{Failure, free_port, io, say};

/// The last release that runs on the Java of Debian 12.
pub const APICURIO: Archive = Archive {
    name: "apicurio-2.6.13",
    artifact: "io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all",
};

const RUNNER: &str = "apicurio-registry-app-2.6.13.Final-runner.jar";

/// Longest time for the server to answer.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running registry; it ends with the test.
#[derive(Debug)]
pub struct Apicurio {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Apicurio {
    /// Starts one and waits until it answers.
    pub fn start() -> Result<Self, Failure> {
        let program = APICURIO.install(say)?;
        let port = free_port()?;
        let dir = tempfile::Builder::new().prefix("xpt-apicurio-").tempdir();
        let dir = dir.map_err(io("making a folder for the registry"))?;
        let log = File::create(dir.path().join("out.log"));
        let log = log.map_err(io("making the registry's log"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "java", "-Xmx512m", "-jar"]);
        let child = command
            .arg(program.join(RUNNER))
            .env("QUARKUS_HTTP_HOST", "127.0.0.1")
            .env("QUARKUS_HTTP_PORT", port.to_string())
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(log)
            .spawn()
            .map_err(io("starting the registry"))?;
        let mut this = Self { child, port, dir };
        let since = Instant::now();
        while !this.answers() {
            let ended = !matches!(this.child.try_wait(), Ok(None));
            if ended || since.elapsed() > READY_WITHIN {
                let log = File::open(this.dir.path().join("out.log"));
                let log = log.and_then(std::io::read_to_string).unwrap_or_default();
                let lines: Vec<&str> = log.lines().take(40).collect();
                return Err(Failure::Said(format!(
                    "the registry is not there after {:?}; its log begins:\n{}",
                    since.elapsed(),
                    lines.join("\n")
                )));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(this)
    }

    /// Where it speaks Confluent's interface.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    fn answers(&self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let probe = || -> std::io::Result<bool> {
            let within = Duration::from_secs(5);
            let mut stream = TcpStream::connect_timeout(&address, within)?;
            stream.set_read_timeout(Some(within))?;
            stream
                .write_all(b"GET /apis/ccompat/v7/subjects HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
            let mut head = [0; 12];
            stream.read_exact(&mut head)?;
            Ok(head.ends_with(b"200"))
        };
        probe().unwrap_or(false)
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
