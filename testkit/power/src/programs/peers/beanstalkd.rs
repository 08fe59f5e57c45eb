//! beanstalkd with its binlog (`-b`): by default it syncs every 50 ms, and with `-f0` at each write.

use std::convert::Infallible;
use std::path::Path;

use telemetry_core::durable;

use super::{Lines, Server, TREE, free_port, payload, ready, say_message};
use crate::Result;

fn open(folder: &Path, flags: &[&str]) -> Result<(Server, Lines)> {
    let (port, binlog) = (free_port()?, folder.join("binlog"));
    durable::create_dir_all(&binlog)?;
    let mut command = TREE.command(folder, "/usr/bin/beanstalkd");
    command.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-b"]);
    let mut server = Server::start(command.arg(binlog).args(flags))?;
    let lines = ready(&mut server, || {
        let mut lines = Lines::connect(port)?;
        lines.send(&[b"list-tubes\r\n"])?;
        let answer = lines.line()?;
        let len = answer.strip_prefix("OK ").ok_or("it lists no tubes")?;
        lines.bytes(len.parse::<usize>()? + 2)?;
        Ok(lines)
    })?;
    Ok((server, lines))
}

pub(super) fn write(folder: &Path, first: u64, flags: &[&str]) -> Result<Infallible> {
    let (_server, mut lines) = open(folder, flags)?;
    for number in first.. {
        let body = payload(number);
        let put = format!("put 0 0 600 {}\r\n", body.len());
        lines.send(&[put.as_bytes(), &body, b"\r\n"])?;
        let answer = lines.line()?;
        if !answer.starts_with("INSERTED ") {
            return Err(answer.into());
        }
        say_message(&body)?;
    }
    Err("there are no more numbers".into())
}

/// Takes every job, and gives all of them back when the connection ends.
pub(super) fn read(folder: &Path, flags: &[&str]) -> Result<()> {
    let (_server, mut lines) = open(folder, flags)?;
    loop {
        lines.send(&[b"reserve-with-timeout 0\r\n"])?;
        let answer = lines.line()?;
        let Some(job) = answer.strip_prefix("RESERVED ") else {
            return match answer.as_str() {
                "TIMED_OUT" => Ok(()),
                _ => Err(answer.into()),
            };
        };
        let (_, len) = job.split_once(' ').ok_or("a job without a length")?;
        let len: usize = len.parse()?;
        let body = lines.bytes(len + 2)?;
        say_message(&body[..len])?;
    }
}
