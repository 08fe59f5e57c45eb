//! The proxy does to bytes what it is told.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]
#![expect(clippy::disallowed_methods, reason = "delays are real")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use testkit::proxy::Proxy;

/// A client and the server's side of its connection, through a proxy.
fn pair() -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::new(listener.local_addr().unwrap()).unwrap();
    let accepting = thread::spawn(move || listener.accept().unwrap().0);
    let client = TcpStream::connect(proxy.address()).unwrap();
    (proxy, client, accepting.join().unwrap())
}

fn take(from: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn delays_and_limits() {
    let (proxy, mut client, mut server) = pair();
    proxy.set_latency(Duration::from_millis(50));
    let since = Instant::now();
    client.write_all(b"ping").unwrap();
    assert_eq!(take(&mut server, 4), b"ping");
    server.write_all(b"pong").unwrap();
    assert_eq!(take(&mut client, 4), b"pong");
    assert!(since.elapsed() >= Duration::from_millis(100));
    proxy.set_latency(Duration::ZERO);
    proxy.set_rate(100_000);
    let since = Instant::now();
    client.write_all(&[7; 20_000]).unwrap();
    take(&mut server, 20_000);
    assert!(since.elapsed() >= Duration::from_millis(180));
}

#[test]
fn is_silent_and_breaks() {
    let (proxy, mut client, mut server) = pair();
    proxy.set_silent(true);
    client.write_all(b"late").unwrap();
    server
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut one = [0];
    let kind = server.read(&mut one).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
    proxy.set_silent(false);
    server.set_read_timeout(None).unwrap();
    assert_eq!(take(&mut server, 4), b"late");
    proxy.reset();
    assert_eq!(
        server.read(&mut one).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(
        client.read(&mut one).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    proxy.set_refusing(true);
    let refused = TcpStream::connect(proxy.address()).and_then(|mut s| s.read(&mut one));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn passes_an_end_on() {
    let (_proxy, client, mut server) = pair();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    server.write_all(b"answer").unwrap();
    drop(server);
    let mut answer = Vec::new();
    (&client).read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
}
