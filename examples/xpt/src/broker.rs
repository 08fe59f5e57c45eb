//! `xpt queue dead` and `xpt queue replay`: what a broker's consumers put aside.

use std::future::Future;
use std::sync::Arc;

use serde_json::json;
use telemetry_transport::amqp::{AmqpConfig, DeadLetters};

use crate::answer::{Answer, Failure, Table};

/// Where a broker is, and what it calls its dead letters.
#[derive(clap::Args)]
pub(crate) struct Broker {
    /// `amqps://user:password@host/vhost`; the variable XPT_BROKER keeps it out of process lists.
    url: Option<String>,
    /// First part of the names of the exchange and the queue of dead letters.
    #[arg(long, default_value = "telemetry")]
    dead_letters: String,
    /// Exchange that batches are published to again.
    #[arg(long, default_value = "telemetry.raw")]
    exchange: String,
    /// How many, oldest first.
    #[arg(short = 'n', long, default_value_t = 100)]
    max: usize,
}

impl Broker {
    fn open(&self) -> Result<DeadLetters, Failure> {
        let from = std::env::var("XPT_BROKER").ok();
        let url = self.url.clone().or(from);
        let url = url.ok_or("give the URL of a broker, or set XPT_BROKER")?;
        let mut config = AmqpConfig::new([&url]);
        if url.starts_with("amqps:") {
            config.tls = Some(tls()?);
        }
        config.topology.dead_letters.clone_from(&self.dead_letters);
        config.topology.exchange.clone_from(&self.exchange);
        // Whoever looks changes nothing about queues.
        config.declare = false;
        DeadLetters::new(config).map_err(|error| error.to_string())
    }

    /// Shows the dead letters; they stay.
    pub(crate) fn dead(&self) -> Result<Answer, Failure> {
        let letters = self.open()?;
        let letters = wait(letters.read(self.max))?.map_err(|error| error.to_string())?;
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
        let letters = self.open()?;
        let count = wait(letters.replay(self.max))?.map_err(|error| error.to_string())?;
        let mut table = Table::new(["published again"]);
        table.row([json!(count)]);
        Ok(table.fine())
    }
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
