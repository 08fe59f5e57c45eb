//! The program with its page, as the tests of the page start it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A `fleet --serve` that runs.
pub(crate) struct Served {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Where its page is.
    pub(crate) url: String,
}

impl Served {
    /// Starts a command that has `--serve`, and waits until it says where its page is. What it says
    /// before, as what the files are, is read past.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut served = Self {
            child,
            out,
            url: String::new(),
        };
        served.url = served.until("Look at it live: ");
        served
    }

    /// Reads up to the line with this beginning; what is behind it.
    pub(crate) fn until(&mut self, beginning: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.out.read_line(&mut line).unwrap();
            assert!(read > 0, "the output ended without \"{beginning}\"");
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Where its page is, without a token.
    pub(crate) fn address(&self) -> SocketAddr {
        address(&self.url)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: its exit status, and what else it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

/// The address in a URL of a page on loopback.
pub(crate) fn address(url: &str) -> SocketAddr {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    address.parse().unwrap()
}
