//! One connection with one channel, which can be dropped at once.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_rs::traits::Reactor as _;
use async_rs::{Runtime, Tokio};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, ErrorKind};
use tokio::sync::watch;

use super::config::{AmqpConfig, Checked, Endpoint};
use crate::SendError;

/// What a link does just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// No link; another attempt follows.
    Down {
        /// What ended the last one; `None` at the beginning.
        reason: Option<SendError>,
    },
    /// Trying.
    #[default]
    Connecting,
    /// Works.
    Up,
    /// Works, and the broker takes nothing for now.
    Blocked {
        /// What the broker said, e.g. that its disk is full.
        reason: String,
    },
    /// Nothing is tried until somebody changed the configuration or the broker.
    Halted {
        /// What is wrong.
        reason: SendError,
    },
}

/// Sets a state where it is another one, so that a watcher wakes only for news.
pub(super) fn tell(state: &watch::Sender<LinkState>, new: LinkState) {
    state.send_if_modified(|old| {
        let other = *old != new;
        *old = new;
        other
    });
}

/// A connection and its channel.
///
/// Dropping it closes the socket at once: nothing waits for a peer that is silent.
pub(super) struct Link {
    pub(super) connection: Arc<Connection>,
    pub(super) channel: Channel,
    /// A second handle of the socket; `None` for a caller's own connection.
    _socket: Option<Socket>,
}

struct Socket(socket2::Socket);

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

type Stream = AsyncTcpStream<<Tokio as async_rs::traits::Reactor>::TcpStream>;

impl Link {
    /// Connects to the node of this attempt, and declares what is to be there.
    pub(super) async fn open(
        config: &AmqpConfig,
        checked: &Checked,
        attempt: usize,
    ) -> Result<Self, SendError> {
        let opened = async {
            let (connection, socket) = match &config.endpoint {
                Endpoint::Connections(connections) => (connections().await?, None),
                Endpoint::Urls(_) => {
                    let uri = checked.uris[attempt % checked.uris.len()].clone();
                    let (connection, socket) = connect(config, uri).await?;
                    (connection, Some(socket))
                }
            };
            if config.declare {
                config.topology.declare(&connection).await?;
            }
            let channel = connection.create_channel().await?;
            Ok(Self {
                connection: Arc::new(connection),
                channel,
                _socket: socket,
            })
        };
        let limit = config.limits.connect_timeout;
        match tokio::time::timeout(limit, opened).await {
            Ok(opened) => opened.map_err(|error: lapin::Error| send_error(&error)),
            Err(_) => Err(SendError::ConnectTimeout { limit }),
        }
    }

    /// Declares everything again, or says that the link is dead.
    pub(super) fn repair(
        &self,
        config: Arc<AmqpConfig>,
    ) -> Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>> {
        let connection = Arc::clone(&self.connection);
        Box::pin(async move {
            let declared = config.topology.declare(&connection);
            match tokio::time::timeout(config.limits.confirm_timeout, declared).await {
                Ok(declared) => declared.map_err(|error| send_error(&error)),
                Err(_) => Err(SendError::LinkLost),
            }
        })
    }
}

async fn connect(config: &AmqpConfig, uri: AMQPUri) -> lapin::Result<(Connection, Socket)> {
    let runtime = Runtime::tokio_current();
    let (stream, socket) = open_stream(config, &uri, &runtime).await?;
    // Without recovery there is one connection, and so one stream.
    let stream = Mutex::new(Some(stream));
    let take = async move |_: AMQPUri, _: Runtime<Tokio>| -> lapin::Result<Stream> {
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        let again = || io::Error::from(io::ErrorKind::NotConnected);
        Ok(stream.take().ok_or_else(again)?)
    };
    let properties =
        ConnectionProperties::default().with_connection_name(config.name.as_str().into());
    let connection = Connection::connector(uri, runtime, take, properties).await?;
    Ok((connection, socket))
}

async fn open_stream(
    config: &AmqpConfig,
    uri: &AMQPUri,
    runtime: &Runtime<Tokio>,
) -> lapin::Result<(Stream, Socket)> {
    let host = uri.authority.host.trim_matches(['[', ']']).to_owned();
    let found = tokio::net::lookup_host((host.as_str(), uri.authority.port)).await?;
    let addresses: Vec<_> = found.collect();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match runtime.tcp_connect_addr(address).await {
            Ok(tcp) => {
                let socket = socket2::SockRef::from(tcp.get_ref()).try_clone()?;
                let stream = match uri.scheme {
                    AMQPScheme::AMQP => Stream::Plain(tcp),
                    AMQPScheme::AMQPS => super::tls::wrap(config, host, tcp).await?,
                };
                return Ok((stream, Socket(socket)));
            }
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// What a failure of the connection or a channel means to the sender.
pub(super) fn send_error(error: &lapin::Error) -> SendError {
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
            | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => SendError::Unauthorized,
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => SendError::TopologyMismatch,
            _ => SendError::LinkLost,
        },
        ErrorKind::AuthProviderError(_) => SendError::Unauthorized,
        ErrorKind::IOError(error) if super::tls::is_refusal(error) => SendError::Unauthorized,
        _ => SendError::LinkLost,
    }
}
