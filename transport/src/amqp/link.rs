//! One connection with one channel, which can be dropped at once.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_rs::Runtime;
use async_rs::traits::Reactor as _;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, ErrorKind};
use tokio::sync::watch;

use super::config::{AmqpConfig, Checked, ConfigError, Endpoint};
use super::meter::{Kit, Meter, Tcp};
use super::topology::{Flow, declare_all};
use crate::{Action, SendError};

/// What a link does just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// No link; another attempt follows.
    Down {
        /// What ended the last one; `None` at the beginning.
        reason: Option<LinkFailure>,
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
    /// A person has to look at it: attempts go on after delays of minutes, and one that succeeds
    /// ends the alarm.
    Alarm {
        /// What is wrong.
        reason: LinkFailure,
    },
}

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFailure {
    /// The kind, and what follows from it.
    pub error: SendError,
    /// What the broker, TLS or the operating system said. It may name users, queues and hosts.
    pub text: String,
}

impl LinkFailure {
    pub(super) fn new(error: SendError, text: impl fmt::Display) -> Self {
        let text = text.to_string();
        Self { error, text }
    }

    /// The largest message that the broker takes, where that is what it complains about.
    pub(super) fn size_limit(&self) -> Option<usize> {
        size_limit(&self.text)
    }
}

impl From<SendError> for LinkFailure {
    /// What nobody else said anything about.
    fn from(error: SendError) -> Self {
        Self::new(error, error)
    }
}

impl From<lapin::Error> for LinkFailure {
    fn from(error: lapin::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&lapin::Error> for LinkFailure {
    fn from(error: &lapin::Error) -> Self {
        Self::new(send_error(error), error)
    }
}

impl LinkState {
    /// What follows from a failure.
    pub(super) fn after(reason: LinkFailure) -> Self {
        match reason.error.action() {
            Action::Alarm => Self::Alarm { reason },
            _ => {
                let reason = Some(reason);
                Self::Down { reason }
            }
        }
    }
}

/// Says that an attempt begins; an alarm lasts until one succeeds.
pub(super) fn tell_connecting(state: &watch::Sender<LinkState>) {
    state.send_if_modified(|old| {
        let is_news = !matches!(old, LinkState::Alarm { .. } | LinkState::Connecting);
        if is_news {
            *old = LinkState::Connecting;
        }
        is_news
    });
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

type Stream = AsyncTcpStream<Tcp>;

impl Link {
    /// Connects to the node of this attempt, and declares what is to be there, unless it is known
    /// to be there.
    ///
    /// Whoever waits for it looks at the meter: it ends where no byte moves.
    pub(super) async fn open(
        config: &AmqpConfig,
        checked: &Checked,
        attempt: usize,
        is_known: bool,
        meter: &Meter,
    ) -> Result<Self, LinkFailure> {
        let (connection, socket) = match &config.endpoint {
            Endpoint::Connections(connections) => {
                (connections().await.map_err(login_failure)?, None)
            }
            Endpoint::Urls(_) => {
                let uri = checked.uris[attempt % checked.uris.len()].clone();
                let (connection, socket) = connect(config, uri, meter).await?;
                (connection, Some(socket))
            }
        };
        let declared = async {
            match config.declare && !is_known {
                true => config.topology.declare(&connection).await,
                false => Ok(()),
            }
        };
        // Together: each of them waits for the channel that it opens.
        let (declared, channel) = tokio::join!(declared, connection.create_channel());
        declared?;
        let channel = channel?;
        Ok(Self {
            connection: Arc::new(connection),
            channel,
            _socket: socket,
        })
    }

    /// As [`open`](Self::open), for who has nobody to wait with: gives up where no byte moves.
    pub(super) async fn open_once(
        config: &AmqpConfig,
        checked: &Checked,
        is_known: bool,
    ) -> Result<Self, LinkFailure> {
        let (meter, limit) = (Meter::default(), config.limits.connect_timeout);
        let link = Self::open(config, checked, 0, is_known, &meter);
        let link = meter.while_moving(limit, link).await;
        link.unwrap_or_else(|| Err(SendError::ConnectTimeout { limit }.into()))
    }

    /// Declares everything again, or says that the link is dead.
    pub(super) fn repair(
        &self,
        config: Arc<AmqpConfig>,
        meter: Meter,
    ) -> Pin<Box<dyn Future<Output = Result<(), LinkFailure>> + Send>> {
        let connection = Arc::clone(&self.connection);
        Box::pin(async move {
            let limit = config.limits.connect_timeout;
            let declared = config.topology.declare(&connection);
            match meter.while_moving(limit, declared).await {
                Some(declared) => Ok(declared?),
                None => Err(SendError::ConnectTimeout { limit }.into()),
            }
        })
    }
}

/// Why a family was not declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The broker cannot be reached, or refuses.
    #[error("the declaration: {} ({})", .0.error, .0.text)]
    Link(LinkFailure),
}

telemetry_core::error_codes!(DeclareError {
    Config(_) => 3093,
    Link(_) => 3094,
});

/// Declares the whole family of a configuration, for an installation whose users may only publish
/// or consume: every [`Flow`], and the dead letters.
///
/// The flow of [`AmqpConfig::topology`] gets the number of queues that stands there, the others
/// theirs by default. What exists with the same properties stays as it is; anything else is refused.
pub async fn declare(config: &AmqpConfig) -> Result<(), DeclareError> {
    let checked = config.check()?;
    let link = Link::open_once(config, &checked, true);
    let link = link.await.map_err(DeclareError::Link)?;
    let all = Flow::ALL.map(|flow| config.topology.of_flow(flow));
    let declared = declare_all(&all, &link.connection).await;
    declared.map_err(|error| DeclareError::Link(error.into()))
}

async fn connect(
    config: &AmqpConfig,
    uri: AMQPUri,
    meter: &Meter,
) -> Result<(Connection, Socket), LinkFailure> {
    let runtime = meter.runtime();
    let (stream, socket) = open_stream(config, &uri, &runtime).await?;
    // Without recovery there is one connection, and so one stream.
    let stream = Mutex::new(Some(stream));
    let take = async move |_: AMQPUri, _: Runtime<Kit>| -> lapin::Result<Stream> {
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        let again = || io::Error::from(io::ErrorKind::NotConnected);
        Ok(stream.take().ok_or_else(again)?)
    };
    let properties =
        ConnectionProperties::default().with_connection_name(config.name.as_str().into());
    let connection = Connection::connector(uri, runtime, take, properties).await;
    Ok((connection.map_err(login_failure)?, socket))
}

async fn open_stream(
    config: &AmqpConfig,
    uri: &AMQPUri,
    runtime: &Runtime<Kit>,
) -> Result<(Stream, Socket), LinkFailure> {
    let host = uri.authority.host.trim_matches(['[', ']']).to_owned();
    let found = tokio::net::lookup_host((host.as_str(), uri.authority.port)).await;
    let found = found.map_err(|error| LinkFailure::new(SendError::HostUnknown, error))?;
    let addresses: Vec<_> = found.collect();
    let mut last = LinkFailure::from(SendError::HostUnknown);
    for address in addresses {
        match runtime.tcp_connect_addr(address).await {
            Ok(tcp) => {
                let socket = socket2::SockRef::from(tcp.stream.get_ref()).try_clone();
                let socket = Socket(socket.map_err(|error| io_failure(&error))?);
                let stream = match uri.scheme {
                    AMQPScheme::AMQP => Stream::Plain(tcp),
                    AMQPScheme::AMQPS => {
                        let wrapped = super::tls::wrap(config, host, tcp).await;
                        wrapped.map_err(|error| io_failure(&error))?
                    }
                };
                return Ok((stream, socket));
            }
            Err(error) => last = io_failure(&error),
        }
    }
    Err(last)
}

/// The largest message that the broker takes, where it says so: "message size 300000 is larger than
/// configured max size 100000". AMQP has no other way to tell.
fn size_limit(said: &str) -> Option<usize> {
    let (_, said) = said.split_once("message size ")?;
    let (_, limit) = said.rsplit_once("max size ")?;
    let digits = limit.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn io_failure(error: &io::Error) -> LinkFailure {
    LinkFailure::new(io_error(error), error)
}

fn io_error(error: &io::Error) -> SendError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => SendError::ConnectionRefused,
        _ if super::tls::is_refusal(error) => SendError::Certificate,
        _ => SendError::LinkLost,
    }
}

/// A refusal before there is a connection: at that moment, "access refused" is the login.
fn login_failure(error: lapin::Error) -> LinkFailure {
    let mut failure = LinkFailure::from(&error);
    let refused = AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED);
    if matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() == refused) {
        failure.error = SendError::Credentials;
    }
    failure
}

/// What a failure of the connection or a channel means to the sender.
pub(super) fn send_error(error: &lapin::Error) -> SendError {
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            // RabbitMQ has one code for both: "connection limit (10) is reached".
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)
                if error.get_message().as_str().contains("limit") =>
            {
                SendError::ConnectionLimit
            }
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
            | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => SendError::NotAllowed,
            // RabbitMQ closes the channel; the link is as good as another.
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)
                if size_limit(error.get_message().as_str()).is_some() =>
            {
                SendError::LinkLost
            }
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => SendError::TopologyMismatch,
            _ => SendError::LinkLost,
        },
        ErrorKind::AuthProviderError(_) => SendError::Credentials,
        ErrorKind::IOError(error) => io_error(error),
        _ => SendError::LinkLost,
    }
}
