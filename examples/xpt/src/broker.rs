//! `xpt queue dead`, `replay` and `declare`: what consumers of a broker or of an embedded log put
//! aside, and what a broker has to have before somebody publishes.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use telemetry_transport::amqp::{AmqpConfig, DeadLetters, Flow, Topology, declare};
use telemetry_transport::{Directory, EmbeddedLog, Limits};

use crate::answer::{Answer, Failure, Table};
use crate::queue;

/// Longest time to find out why a broker cannot be reached.
const REACH: Duration = Duration::from_secs(5);

/// Where dead letters are: at a broker, with what it calls them, or in an embedded log's folder.
#[derive(clap::Args)]
pub(crate) struct Broker {
    /// The URL of a broker, `amqps://user:password@host/vhost`; if you put it into the variable
    /// XPT_BROKER instead, other users cannot see it in the list of processes. Or the folder of an
    /// embedded log, e.g. fleet-data/run-1/log.
    #[arg(value_name = "URL|DIR")]
    url: Option<String>,
    /// The first part of the names of all exchanges and queues.
    #[arg(long, default_value = "telemetry")]
    family: String,
    /// How many of them, the oldest first.
    #[arg(short = 'n', long, default_value_t = 100)]
    max: usize,
}

impl Broker {
    /// The folder of an embedded log, if that is what was given.
    fn folder(&self) -> Option<&Path> {
        let path = Path::new(self.url.as_deref()?);
        path.is_dir().then_some(path)
    }

    fn url(&self) -> Result<String, Failure> {
        let url = self.url.clone().or_else(from_variable);
        let url =
            url.ok_or("give the URL of a broker or the folder of a log, or set XPT_BROKER")?;
        match url.contains("://") {
            true => Ok(url),
            false => Err(format!("{url}: there is no such folder, and it is no URL")),
        }
    }

    fn open(&self) -> Result<DeadLetters, Failure> {
        let mut config = config(&self.url()?, &self.family)?;
        // Whoever looks changes nothing about queues.
        config.declare = false;
        DeadLetters::new(config).map_err(|error| error.to_string())
    }

    fn failed(&self, error: &dyn std::error::Error) -> Failure {
        match self.url() {
            Ok(url) => reach(&url)
                .err()
                .unwrap_or_else(|| format!("{}: {error}", host(&url))),
            Err(failure) => failure,
        }
    }

    /// Shows the dead letters; they stay.
    pub(crate) fn dead(&self) -> Result<Answer, Failure> {
        if let Some(dir) = self.folder() {
            let mut table = Table::new(["consumer refused", "because"]);
            for (what, reason) in queue::dead_letters(dir)?.into_iter().take(self.max) {
                table.row([json!(what), json!(reason)]);
            }
            return Ok(table.fine());
        }
        let letters = self.open()?;
        let letters = wait(letters.read(self.max))?.map_err(|error| self.failed(&error))?;
        let mut table = Table::new(["reason", "batch", "bytes"]);
        for letter in letters {
            let (name, bytes) = match letter.batch {
                Ok(batch) => (
                    batch.envelope.message_id().to_string(),
                    json!(batch.body.len()),
                ),
                Err(error) => (format!("no batch: {error}"), json!(null)),
            };
            table.row([json!(letter.reason), json!(name), bytes]);
        }
        Ok(table.fine())
    }

    /// Publishes the dead letters again.
    pub(crate) fn replay(&self) -> Result<Answer, Failure> {
        let count = match self.folder() {
            Some(dir) => replay_log(dir)?,
            None => {
                let letters = self.open()?;
                wait(letters.replay(self.max))?.map_err(|error| self.failed(&error))?
            }
        };
        let mut table = Table::new(["published again"]);
        table.row([json!(count)]);
        Ok(table.fine())
    }
}

/// Exchanges and queues of a broker.
#[derive(clap::Args)]
pub(crate) struct Declare {
    /// The URL of a broker, `amqps://user:password@host/vhost`, or the variable XPT_BROKER.
    url: Option<String>,
    /// The first part of all names.
    #[arg(long, default_value = "telemetry")]
    family: String,
    /// The number of queues over which raw batches are spread by device.
    #[arg(long, default_value_t = Topology::default().queues)]
    queues: u16,
}

impl Declare {
    /// Declares everything that a family consists of.
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let url = self.url.clone().or_else(from_variable);
        let url = url.ok_or("give the URL of a broker, or set XPT_BROKER")?;
        let mut config = config(&url, &self.family)?;
        config.topology.queues = self.queues;
        wait(declare(&config))?.map_err(|error| match reach(&url) {
            Ok(()) => format!("{}: {error}", host(&url)),
            Err(failure) => failure,
        })?;
        let mut table = Table::new(["exchange", "queues"]);
        for flow in Flow::ALL {
            let topology = config.topology.of_flow(flow);
            table.row([json!(topology.exchange()), json!(topology.queues)]);
        }
        table.row([json!(config.topology.dead_letter_exchange()), json!(1)]);
        Ok(table.fine())
    }
}

fn from_variable() -> Option<String> {
    std::env::var("XPT_BROKER").ok()
}

fn config(url: &str, family: &str) -> Result<AmqpConfig, Failure> {
    let mut config = AmqpConfig::new([url]);
    if url.starts_with("amqps:") {
        config.tls = Some(tls()?);
    }
    family.clone_into(&mut config.topology.family);
    Ok(config)
}

/// Puts what every consumer of an embedded log refused into the log again, for all of them, under
/// the same names. Whoever has a batch already drops it.
fn replay_log(dir: &Path) -> Result<usize, Failure> {
    let shown = dir.display();
    let looked = queue::look(dir, |_, _| {})?;
    let mut consumers: Vec<String> = looked.dead_letters.into_iter().map(|(c, _)| c).collect();
    consumers.dedup();
    let owned = Directory::open(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => format!("{shown}: a program has it open: end it first"),
        _ => format!("{shown}: {error}"),
    })?;
    let failed = |error: &dyn std::error::Error| format!("{shown}: {error}");
    let (log, _) = EmbeddedLog::open(owned, Limits::default()).map_err(|e| failed(&e))?;
    let mut count = 0;
    for name in consumers {
        let mut consumer = log.subscribe(&name).map_err(|e| failed(&e))?;
        count += consumer.replay_dead_letters().map_err(|e| failed(&e))?;
    }
    Ok(count)
}

/// Host and port of a broker's URL, without user and password.
pub(crate) fn host(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("amqp", url));
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    match (has_port, scheme) {
        (true, _) => host.to_owned(),
        (false, "amqps") => format!("{host}:5671"),
        (false, _) => format!("{host}:5672"),
    }
}

/// Whether somebody answers where a broker should be, and why not: a link only knows that it is
/// lost.
pub(crate) fn reach(url: &str) -> Result<(), Failure> {
    let host = host(url);
    std::net::ToSocketAddrs::to_socket_addrs(&host)
        .and_then(|mut found| {
            found
                .next()
                .ok_or_else(|| std::io::ErrorKind::NotFound.into())
        })
        .and_then(|address| std::net::TcpStream::connect_timeout(&address, REACH))
        .map(drop)
        .map_err(|cause| format!("{host}: {cause}"))
}

/// Trusts what this machine trusts; `SSL_CERT_FILE` names another file.
pub(crate) fn tls() -> Result<Arc<rustls::ClientConfig>, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(Arc::new(
        builder.with_root_certificates(roots).with_no_client_auth(),
    ))
}

/// Runs to its end.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    Ok(runtime.map_err(|error| error.to_string())?.block_on(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_without_its_password() {
        for (url, expected) in [
            (
                "amqp://user:secret@broker.example/vhost",
                "broker.example:5672",
            ),
            ("amqps://user:sec@ret@broker.example", "broker.example:5671"),
            ("amqp://broker:5673/%2f?heartbeat=1", "broker:5673"),
            ("amqp://u:p@[::1]", "[::1]:5672"),
            ("amqp://u:p@[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(host(url), expected);
        }
    }
}
