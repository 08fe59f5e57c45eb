//! Wayland clients that do what they should not: each costs itself its connection, and nobody else
//! anything.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use fleet::agent::Agent;
use fleet::clock::Now;
use telemetry_core::{DeviceId, Schema, Timestamp, single_object};

const BEAT: &str = r#"{"type":"record","name":"Beat","fields":[{"name":"bpm","type":"int"}]}"#;

/// An agent and a virtual clock.
struct Device {
    agent: Agent,
    at: Duration,
}

impl Device {
    fn open(dir: &Path) -> Self {
        let at = Duration::ZERO;
        let agent = Agent::open(dir, DeviceId::from_u128(7), now(at), now(at).wall(), 42).unwrap();
        Self { agent, at }
    }

    /// Some turns: what the client sent is handled, and answered.
    fn turn(&mut self) {
        for _ in 0..3 {
            self.at += Duration::from_millis(20);
            let now = now(self.at);
            self.agent.turn(now.instant()).unwrap();
            self.agent.commit(now.instant()).unwrap();
        }
    }

    fn connect(&mut self) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.agent.add_client(now(self.at).instant(), ours).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut client = Client {
            socket: theirs,
            next: 2,
            error: None,
            manager: 0,
        };
        let registry = client.new_id();
        client.send(1, 1, &[Word(registry)]);
        self.turn();
        let global = client.global("xp_telemetry_manager_v1");
        client.manager = client.new_id();
        let manager = client.manager;
        client.send(
            registry,
            0,
            &[
                Word(global),
                Text("xp_telemetry_manager_v1"),
                Word(1),
                Word(manager),
            ],
        );
        client
    }
}

fn now(at: Duration) -> Now {
    Now::new(Timestamp::from_micros(1_700_000_000_000_000), at)
}

enum Arg<'a> {
    Word(u32),
    Text(&'a str),
    Bytes(&'a [u8]),
}
use Arg::{Bytes, Text, Word};

/// A client that writes the bytes of the protocol itself.
struct Client {
    socket: UnixStream,
    next: u32,
    error: Option<String>,
    manager: u32,
}

impl Client {
    fn new_id(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    fn send(&mut self, object: u32, opcode: u32, args: &[Arg<'_>]) {
        let mut body = Vec::new();
        for arg in args {
            match arg {
                Word(word) => body.extend(word.to_ne_bytes()),
                Text(text) => put(&mut body, text.as_bytes(), true),
                Bytes(bytes) => put(&mut body, bytes, false),
            }
        }
        let mut message = object.to_ne_bytes().to_vec();
        message.extend(((8 + body.len() as u32) << 16 | opcode).to_ne_bytes());
        message.extend(body);
        // The other end may have closed the connection: then there is an error to read.
        let _ = self.socket.write_all(&message);
    }

    fn open(&mut self, name: &str) -> u32 {
        let (source, manager) = (self.new_id(), self.manager);
        self.send(manager, 1, &[Word(source), Text(name)]);
        source
    }

    fn announce(&mut self, source: u32, text: &str) {
        for chunk in text.as_bytes().chunks(3_000) {
            self.send(source, 1, &[Bytes(chunk), Word(0)]);
        }
        self.send(source, 1, &[Bytes(b""), Word(1)]);
    }

    fn record(&mut self, source: u32, serial: u32, bytes: &[u8]) {
        self.send(source, 2, &[Word(0), Word(serial), Bytes(bytes)]);
    }

    /// The messages that have come: object, opcode, body.
    fn events(&mut self) -> Vec<(u32, u32, Vec<u8>)> {
        let mut bytes = Vec::new();
        // Ends where nothing more waits.
        let _ = self.socket.read_to_end(&mut bytes);
        let mut out = Vec::new();
        let mut rest = &bytes[..];
        while rest.len() >= 8 {
            let (object, head) = (word(rest, 0), word(rest, 4));
            let (message, next) = rest.split_at((head >> 16) as usize);
            let body = message[8..].to_vec();
            if (object, head & 0xffff) == (1, 0) {
                self.error = Some(text(&body[8..]));
            }
            out.push((object, head & 0xffff, body));
            rest = next;
        }
        out
    }

    fn global(&mut self, interface: &str) -> u32 {
        let found = self
            .events()
            .into_iter()
            .find_map(|(object, opcode, body)| {
                let named = (object, opcode) == (2, 0) && text(&body[4..]) == interface;
                named.then(|| word(&body, 0))
            });
        found.unwrap()
    }

    /// The error it was told, and nothing after it.
    #[track_caller]
    fn disconnected(mut self, because: &str) {
        self.events();
        let error = self.error.unwrap_or_default();
        assert!(error.contains(because), "{error:?}");
        assert_eq!(
            self.socket.read(&mut [0; 8]).unwrap(),
            0,
            "it is still connected"
        );
    }
}

fn put(body: &mut Vec<u8>, bytes: &[u8], text: bool) {
    body.extend((bytes.len() as u32 + u32::from(text)).to_ne_bytes());
    body.extend(bytes);
    if text {
        body.push(0);
    }
    body.resize(body.len().next_multiple_of(4), 0);
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn text(body: &[u8]) -> String {
    let len = word(body, 0) as usize;
    String::from_utf8_lossy(&body[4..4 + len.saturating_sub(1)]).into_owned()
}

fn beat(schema: &str) -> Vec<u8> {
    let schema = Schema::parse(schema).unwrap();
    let mut record = single_object::header(schema.fingerprint()).to_vec();
    record.extend([0x82, 0x01]);
    record
}

/// A good client is served, and its record becomes durable.
#[track_caller]
fn serves(device: &mut Device, name: &str, serial: u32) {
    let before = device.agent.counts().records;
    let mut client = device.connect();
    let source = client.open(name);
    client.announce(source, BEAT);
    device.turn();
    client.record(source, serial, &beat(BEAT));
    device.turn();
    client.events();
    assert_eq!(client.error, None);
    assert_eq!(device.agent.counts().durable, before + 1);
}

#[test]
fn what_is_no_schema_of_records_costs_its_client_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut device = Device::open(dir.path());
    for (schema, because) in [
        ("this is no JSON", "expected"),
        (r#""long""#, "no schema of records"),
        (r#"{"type":"record","name":"a-b","fields":[]}"#, ""),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"x","type":"nope"}]}"#,
            "nope",
        ),
    ] {
        let mut client = device.connect();
        let source = client.open("ride");
        client.announce(source, schema);
        device.turn();
        client.disconnected(because);
    }
    serves(&mut device, "ride", 1);
}

#[test]
fn a_record_that_is_not_of_its_schema_costs_its_client_alone() {
    let dir = tempfile::tempdir().unwrap();
    let other = BEAT.replace("bpm", "watts");
    for (record, because) in [
        (b"no marker at all".to_vec(), "C3 01"),
        (vec![0xc3], ""),
        (beat(&other), "was announced"),
    ] {
        let mut device = Device::open(dir.path());
        let mut client = device.connect();
        let source = client.open("ride");
        client.announce(source, BEAT);
        device.turn();
        client.record(source, 1, &record);
        device.turn();
        client.disconnected(because);
    }
    // Nothing of it waits for the next epoch.
    let mut device = Device::open(dir.path());
    serves(&mut device, "ride", 1);
    let mut batches = Vec::new();
    let at = now(device.at);
    device
        .agent
        .publish(at, at.instant(), true, &mut batches)
        .unwrap();
    assert!(!batches.is_empty());
}

#[test]
fn names_and_schemas_are_bounded_for_a_client_and_for_a_device() {
    let dir = tempfile::tempdir().unwrap();
    let mut device = Device::open(dir.path());
    serves(&mut device, "ride", 1);

    // One after another, so that no more than one is open.
    let mut client = device.connect();
    for name in 0..17 {
        let source = client.open(&format!("name {name}"));
        device.turn();
        client.send(source, 0, &[]);
        device.turn();
    }
    client.disconnected("16 new sources");

    let mut client = device.connect();
    let source = client.open("ride");
    for field in 0..33 {
        client.announce(source, &BEAT.replace("bpm", &format!("bpm{field}")));
        device.turn();
    }
    client.disconnected("32 new schemas");

    for connection in 0..8 {
        let mut client = device.connect();
        for name in 0..16 {
            let source = client.open(&format!("{connection}/{name}"));
            device.turn();
            client.send(source, 0, &[]);
        }
        device.turn();
    }
    let mut client = device.connect();
    client.open("one too many");
    device.turn();
    client.disconnected("128 sources");

    // Who was there before is served, and so it is after a restart.
    serves(&mut device, "ride", 2);
    drop(device);
    let mut device = Device::open(dir.path());
    let mut client = device.connect();
    client.open("one too many");
    device.turn();
    client.disconnected("128 sources");
    serves(&mut device, "ride", 3);
    let spool: u64 = fs::read_dir(dir.path().join("spool"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(spool < 4 << 20, "{spool} bytes");
}
