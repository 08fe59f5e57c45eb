//! TLS by rustls, with the caller's own trust and cryptography.

#[cfg(feature = "tls")]
use std::error::Error;
use std::io;

use lapin::AsyncTcpStream;

use super::config::AmqpConfig;
use super::meter::Tcp;

#[cfg(feature = "tls")]
pub(super) async fn wrap(
    config: &AmqpConfig,
    host: String,
    tcp: Tcp,
) -> io::Result<AsyncTcpStream<Tcp>> {
    let Some(tls) = config.tls.clone() else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let name = rustls::pki_types::ServerName::try_from(host).map_err(io::Error::other)?;
    let connector = futures_rustls::TlsConnector::from(tls);
    let stream = connector.connect(name, tcp).await?;
    Ok(AsyncTcpStream::Rustls(stream))
}

#[cfg(not(feature = "tls"))]
pub(super) async fn wrap(_: &AmqpConfig, _: String, _: Tcp) -> io::Result<AsyncTcpStream<Tcp>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether certificates are what failed, which waiting does not change.
#[cfg(feature = "tls")]
pub(super) fn is_refusal(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| {
        let inner: &(dyn Error + 'static) = inner;
        inner.downcast_ref::<rustls::Error>()
    });
    matches!(
        inner,
        Some(
            rustls::Error::InvalidCertificate(_)
                | rustls::Error::NoCertificatesPresented
                | rustls::Error::UnsupportedNameType
                | rustls::Error::AlertReceived(_)
        )
    )
}

#[cfg(not(feature = "tls"))]
pub(super) fn is_refusal(_: &io::Error) -> bool {
    false
}
