//! Other programs that promise to keep what they acknowledge, as they are by default and as their
//! documentation makes them durable.
//!
//! A server is started from Debian's package in a tree of its own, and is spoken to in its own protocol;
//! SQLite is the one that the store uses. What a peer answered for is promised; what it gives out after
//! the next start is there.

mod beanstalkd;
mod nats;
mod sqlite;

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::setup::Tree;

use super::{Program, payload, say};
use crate::Result;

/// Debian's packages of the peers, beside the machine's own.
pub(crate) const TREE: Tree = Tree {
    name: "trixie-peers",
    suite: "trixie",
    packages: &["ca-certificates", "beanstalkd", "nats-server"],
};

/// Longest time for a server to answer.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A peer and a setting of it; their first start alone takes hundreds of operations, or thousands.
const fn peer(
    name: &'static str,
    operations: u64,
    write: fn(&Path, u64) -> Result<Infallible>,
    read: fn(&Path) -> Result<()>,
) -> Program {
    Program {
        name,
        operations,
        write,
        read,
    }
}

pub(crate) const ALL: [Program; 6] = [
    peer(
        "sqlite-normal",
        300,
        |folder, first| sqlite::write(folder, first, "NORMAL"),
        sqlite::read,
    ),
    peer(
        "sqlite-full",
        300,
        |folder, first| sqlite::write(folder, first, "FULL"),
        sqlite::read,
    ),
    peer(
        "nats-default",
        600,
        |folder, first| nats::write(folder, first, ""),
        |folder| nats::read(folder, ""),
    ),
    peer(
        "nats-sync-always",
        600,
        |folder, first| nats::write(folder, first, nats::ALWAYS),
        |folder| nats::read(folder, nats::ALWAYS),
    ),
    peer(
        "beanstalkd-default",
        4_000,
        |folder, first| beanstalkd::write(folder, first, &[]),
        |folder| beanstalkd::read(folder, &[]),
    ),
    peer(
        "beanstalkd-f0",
        4_000,
        |folder, first| beanstalkd::write(folder, first, &["-f0"]),
        |folder| beanstalkd::read(folder, &["-f0"]),
    ),
];

/// A server of the tree that ends with the value; it also ends with its process group.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(command.stderr(Stdio::null()).spawn()?))
    }
}

fn free_port() -> Result<u16> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(free.local_addr()?.port())
}

/// Tries until a server does what it is asked, and not only until its port is open.
fn ready<T>(server: &mut Server, attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let mut attempt = attempt;
    #[expect(clippy::disallowed_methods, reason = "a server starts in real time")]
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => {
                if let Some(status) = server.0.try_wait()? {
                    return Err(format!("the server ended, {status}: {error}").into());
                }
                if start.elapsed() > READY_WITHIN {
                    return Err(format!("the server is not ready: {error}").into());
                }
                #[expect(clippy::disallowed_methods, reason = "between two attempts")]
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A connection whose answers are lines with bytes between them.
struct Lines {
    read: BufReader<TcpStream>,
    write: TcpStream,
}

/// Longest message of a peer that is believed.
const MESSAGE_MAX: usize = 1 << 20;

impl Lines {
    fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_read_timeout(Some(READY_WITHIN))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            read: BufReader::new(stream.try_clone()?),
            write: stream,
        })
    }

    fn send(&mut self, parts: &[&[u8]]) -> Result<()> {
        Ok(self.write.write_all(&parts.concat())?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let limit = MESSAGE_MAX as u64;
        (&mut self.read).take(limit).read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
            None => Err("the connection ended".into()),
        }
    }

    fn bytes(&mut self, len: usize) -> Result<Vec<u8>> {
        if len > MESSAGE_MAX {
            return Err(format!("a message of {len} bytes").into());
        }
        let mut bytes = vec![0; len];
        self.read.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Says a message by the number that it begins with.
fn say_message(bytes: &[u8]) -> Result<()> {
    let number = bytes.first_chunk().ok_or("a message without a number")?;
    say(
        format_args!("message {}", u64::from_le_bytes(*number)),
        bytes,
    )
}
