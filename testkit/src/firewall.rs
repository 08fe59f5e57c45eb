//! Packets that never arrive: rules of the kernel's own, gone with the test.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::setup::{Failure, host_packages, io};

/// Rules in force until this is dropped.
///
/// They belong to a process that lives as long as this value: however the test ends, they go.
#[derive(Debug)]
pub struct Firewall(Child);

impl Firewall {
    /// Applies rules to every packet that this machine sends, in the syntax of nftables, e.g.
    /// `tcp dport 5672 numgen random mod 100 < 5 drop`.
    pub fn new(rules: &[String]) -> Result<Self, Failure> {
        host_packages(&["nftables"])?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let table = format!("xpt_{}_{number}", std::process::id());
        let nft = Command::new("nft")
            .arg("-i")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(io("starting nft"))?;
        let mut script = format!(
            "add table inet {table} {{ flags owner; }}\n\
             add chain inet {table} out {{ type filter hook output priority 0; }}\n"
        );
        for rule in rules {
            // Writing to a string cannot fail.
            let _ = writeln!(script, "add rule inet {table} out {rule}");
        }
        // The listing says that what is above is in force.
        let _ = writeln!(script, "list table inet {table}");
        let mut this = Self(nft);
        if let Some(input) = &mut this.0.stdin {
            let sent = input.write_all(script.as_bytes());
            sent.map_err(io("telling nft the rules"))?;
        }
        let listing = this.0.stdout.take().map(BufReader::new);
        let mut lines = listing.into_iter().flat_map(BufRead::lines);
        let found = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line == "}");
        if found.is_none() {
            // It waits for more input only where it took everything so far.
            drop(this.0.stdin.take());
            let errors = this.0.stderr.take().map(std::io::read_to_string);
            let said = errors.and_then(Result::ok).unwrap_or_default();
            let command = "nft -i".to_owned();
            return Err(Failure::Command { command, said });
        }
        Ok(this)
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        // The kernel drops the table with the process that owns it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
