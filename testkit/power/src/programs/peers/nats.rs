//! NATS JetStream with one stream in files: by default it syncs every two minutes.

use std::convert::Infallible;
use std::path::Path;

use serde_json::{Value, json};
use telemetry_core::durable;

use super::{Lines, Server, TREE, free_port, payload, ready, say_message};
use crate::Result;

/// What its documentation says for durability: each write is synced before it is acknowledged.
pub(super) const ALWAYS: &str = "sync_interval: always";

const STREAM: &str = r#"{"name":"RIG","subjects":["rig"],"storage":"file","num_replicas":1}"#;
struct Client(Lines);

impl Client {
    fn connect(port: u16) -> Result<Self> {
        let mut lines = Lines::connect(port)?;
        lines.line()?;
        let hello = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB inbox 1\r\n";
        lines.send(&[hello.as_bytes(), b"PING\r\n"])?;
        while lines.line()? != "PONG" {}
        Ok(Self(lines))
    }

    /// The next message: its subject and its bytes.
    fn message(&mut self) -> Result<(String, Vec<u8>)> {
        loop {
            let line = self.0.line()?;
            let mut words = line.split(' ');
            match words.next() {
                Some("MSG") => {
                    let subject = words.next().unwrap_or_default().to_owned();
                    let len: usize = words.next_back().unwrap_or_default().parse()?;
                    let mut bytes = self.0.bytes(len + 2)?;
                    bytes.truncate(len);
                    return Ok((subject, bytes));
                }
                Some("PING") => self.0.send(&[b"PONG\r\n"])?,
                Some("-ERR") => return Err(line.into()),
                _ => {}
            }
        }
    }

    /// Publishes and waits for the answer.
    fn request(&mut self, subject: &str, body: &[u8]) -> Result<Value> {
        let publish = format!("PUB {subject} inbox {}\r\n", body.len());
        self.0.send(&[publish.as_bytes(), body, b"\r\n"])?;
        let answer = loop {
            if let (subject, answer) = self.message()?
                && subject == "inbox"
            {
                break answer;
            }
        };
        let answer: Value = serde_json::from_slice(&answer)?;
        match answer.get("error") {
            Some(error) => Err(error.to_string().into()),
            None => Ok(answer),
        }
    }
}

fn open(folder: &Path, setting: &str) -> Result<(Server, Client)> {
    let port = free_port()?;
    let (store, config) = (folder.join("jetstream"), folder.join("nats.conf"));
    let text = format!(
        "host: 127.0.0.1\nport: {port}\njetstream {{\n store_dir: \"{}\"\n {setting}\n}}\n",
        store.display()
    );
    durable::create_dir_all(&store)?;
    std::fs::write(&config, text)?;
    let mut command = TREE.command(folder, "/usr/sbin/nats-server");
    let mut server = Server::start(command.arg("-c").arg(config))?;
    let client = ready(&mut server, || {
        let mut client = Client::connect(port)?;
        // The same stream again is no error.
        client.request("$JS.API.STREAM.CREATE.RIG", STREAM.as_bytes())?;
        Ok(client)
    })?;
    Ok((server, client))
}

pub(super) fn write(folder: &Path, first: u64, setting: &str) -> Result<Infallible> {
    let (_server, mut client) = open(folder, setting)?;
    for number in first.. {
        let body = payload(number);
        client.request("rig", &body)?;
        say_message(&body)?;
    }
    Err("there are no more numbers".into())
}

pub(super) fn read(folder: &Path, setting: &str) -> Result<()> {
    let (_server, mut client) = open(folder, setting)?;
    let info = client.request("$JS.API.STREAM.INFO.RIG", b"")?;
    let messages = info["state"]["messages"].as_u64().ok_or("no count")?;
    // Consumers of earlier starts may still be there, and deliver to subjects of their own.
    let subject = format!("out{}", std::process::id());
    let create = json!({
        "stream_name": "RIG",
        "config": {"deliver_subject": subject, "ack_policy": "none", "deliver_policy": "all"},
    })
    .to_string();
    let publish = format!("PUB $JS.API.CONSUMER.CREATE.RIG inbox {}\r\n", create.len());
    let subscribe = format!("SUB {subject} 2\r\n");
    let parts = [&subscribe, &publish, &create, "\r\n"];
    client.0.send(&parts.map(str::as_bytes))?;
    let mut seen = 0;
    while seen < messages {
        let (subject, bytes) = client.message()?;
        // The subject of a delivery is that under which it was published.
        if subject == "rig" {
            seen += 1;
            say_message(&bytes)?;
        }
    }
    Ok(())
}
