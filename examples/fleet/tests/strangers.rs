//! What strangers can do to the page's server with sockets of their own, before anybody asks them
//! for a token.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

mod served;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fleet::live::{Live, server};
use fleet::signals::Stop;
use rustix::process::Signal;
use served::{Served, address};

/// Longest wait for what must come: far above every limit of the server.
const PATIENCE: Duration = Duration::from_secs(60);

fn served(data: &Path) -> (SocketAddr, Live) {
    let (server, live) = {
        let address = "127.0.0.1:0".parse().unwrap();
        server::start(address, "sesame", data, Stop::new()).unwrap()
    };
    (address(server.url()), live)
}

/// Sends bytes on a connection of their own.
fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

fn get(address: SocketAddr, path: &str) -> TcpStream {
    send(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    )
}

/// The first line of the answer.
fn status(stream: TcpStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// Waits until the server has closed the connection.
fn is_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn who_says_nothing_or_half_of_something_is_sent_away() {
    let data = tempfile::tempdir().unwrap();
    let (address, _live) = served(data.path());
    let silent = send(address, "");
    let half = send(address, "GET / HTTP/1.1\r\nHost: loc");
    let body = send(
        address,
        "POST /command HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\
         Content-Length: 20\r\n\r\n{\"do\"",
    );
    is_closed(silent);
    is_closed(half);
    assert_eq!(status(body), "HTTP/1.1 408 Request Timeout");
    let long = send(
        address,
        "POST /command HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\
         Content-Length: 2000000000\r\n\r\n",
    );
    assert_eq!(status(long), "HTTP/1.1 413 Payload Too Large");
}

#[test]
fn more_connections_than_there_are_places_wait_and_are_served() {
    let data = tempfile::tempdir().unwrap();
    let (address, _live) = served(data.path());
    let silent: Vec<TcpStream> = (0..200).map(|_| send(address, "")).collect();
    // The first ones have run into their time limit by then.
    assert_eq!(status(get(address, "/page.css")), "HTTP/1.1 200 OK");
    drop(silent);
}

#[test]
fn silent_viewers_do_not_keep_others_out() {
    let data = tempfile::tempdir().unwrap();
    let (address, _live) = served(data.path());
    let silent: Vec<TcpStream> = (0..32).map(|_| get(address, "/events")).collect();
    for stream in &silent {
        // Each has its seat: its answer has begun.
        stream.peek(&mut [0]).unwrap();
    }
    assert_eq!(status(get(address, "/events")), "HTTP/1.1 200 OK");
    let mut silent = silent.into_iter();
    is_closed(silent.next().unwrap());
}

#[test]
fn reports_that_nobody_reads_take_no_memory() {
    let data = tempfile::tempdir().unwrap();
    let report = File::create(data.path().join("report.html")).unwrap();
    report.set_len(32 << 20).unwrap();
    let (address, _live) = served(data.path());
    let before = memory();
    let unread: Vec<TcpStream> = (0..60).map(|_| get(address, "/report.html")).collect();
    for stream in &unread {
        stream.peek(&mut [0]).unwrap();
    }
    // One that is read comes whole.
    let mut whole = Vec::new();
    let mut read = send(
        address,
        "GET /report.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    read.read_to_end(&mut whole).unwrap();
    assert!(whole.len() > 32 << 20);
    drop(whole);
    let grown = memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more than before");
}

/// Bytes of this process in memory, without those that were read here.
fn memory() -> usize {
    let mut text = String::new();
    let file = File::open("/proc/self/statm").unwrap();
    file.take(100).read_to_string(&mut text).unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The program with at most so many descriptors, and a page that stays now that its run is over.
fn after_a_run(data: &Path, descriptors: u32) -> Served {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/garmin-fenix-5-walk.fit");
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""),
        ])
        .arg(env!("CARGO_BIN_EXE_fleet"))
        .arg("run")
        .arg(file)
        .args(["--outage", "0s", "--serve=127.0.0.1:0", "--speed", "1000"])
        .arg("--data")
        .arg(data)
        .stderr(Stdio::null());
    let mut fleet = Served::start(&mut command);
    fleet.until("The live page stays");
    fleet
}

#[test]
fn a_process_without_descriptors_still_ends_and_answers_again() {
    let data = tempfile::tempdir().unwrap();
    let fleet = after_a_run(data.path(), 48);
    let address = fleet.address();
    let many: Vec<TcpStream> = (0..120).map(|_| send(address, "")).collect();
    drop(many);
    assert_eq!(status(get(address, "/page.js")), "HTTP/1.1 200 OK");
    fleet.signal(Signal::TERM);
    assert_eq!(fleet.end().0, Some(0));
}

#[test]
fn half_a_request_does_not_hold_the_end_and_a_second_signal_does_not_wait() {
    let data = tempfile::tempdir().unwrap();
    let fleet = after_a_run(data.path(), 256);
    let half = send(fleet.address(), "GET / HTTP/1.1\r\nHost: loc");
    // Connections are taken in their order: once this one is answered, the other is there.
    assert!(!status(get(fleet.address(), "/")).is_empty());
    fleet.signal(Signal::INT);
    assert_eq!(fleet.end().0, Some(0));
    drop(half);

    let fleet = after_a_run(data.path(), 256);
    let half = send(fleet.address(), "GET / HTTP/1.1\r\nHost: loc");
    // Connections are taken in their order: once this one is answered, the other is there.
    assert!(!status(get(fleet.address(), "/")).is_empty());
    fleet.signal(Signal::INT);
    // It was heard when nobody is let in any more; the grace period runs.
    while TcpStream::connect(fleet.address()).is_ok() {
        std::thread::yield_now();
    }
    fleet.signal(Signal::INT);
    assert_eq!(fleet.end().0, Some(128 + 2));
    drop(half);
}
