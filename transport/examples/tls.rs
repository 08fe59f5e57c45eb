//! Connects with TLS: whom to trust and which cryptography to use is the program's choice.
//!
//! `cargo run -p telemetry-transport --features tls --example tls amqps://… AUTHORITY.pem`

use std::env;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use telemetry_transport::amqp::{AmqpConfig, LinkState, Publisher};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows what it did")]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: amqps://… AUTHORITY.pem";
    let url = env::args().nth(1).ok_or(usage)?;
    let authority = env::args_os().nth(2).ok_or(usage)?;
    println!("{:?}", run(&url, Path::new(&authority)).await?);
    Ok(())
}

/// Returns what the link came to.
pub async fn run(url: &str, authority: &Path) -> Result<LinkState, Box<dyn Error>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut config = AmqpConfig::new([url]);
    config.tls = Some(Arc::new(tls));
    let publisher = Publisher::start(config)?;
    let mut link = publisher.link();
    let settled = |state: &LinkState| matches!(state, LinkState::Up | LinkState::Alarm { .. });
    Ok(link.wait_for(settled).await?.clone())
}
