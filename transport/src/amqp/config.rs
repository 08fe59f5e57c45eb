//! Where the broker is, and what is refused before anything is sent.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};

use super::topology::{QueueType, Topology};
use crate::SenderLimits;

/// A way to connections that a caller makes.
///
/// It is asked again after every failure, and has to leave lapin's recovery off.
pub type Connections = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = lapin::Result<lapin::Connection>> + Send>>
        + Send
        + Sync,
>;

/// Where connections come from.
#[derive(Clone)]
#[non_exhaustive]
pub enum Endpoint {
    /// Nodes of one cluster, `amqp://` or `amqps://`: the next one is tried after each failure.
    Urls(Vec<String>),
    /// A caller's own connections.
    Connections(Connections),
}

impl fmt::Debug for Endpoint {
    /// Without addresses and credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Urls(urls) => write!(f, "Urls({})", urls.len()),
            Self::Connections(_) => f.write_str("Connections"),
        }
    }
}

/// How to reach a broker, and what to expect there.
#[derive(Clone)]
pub struct AmqpConfig {
    /// Where connections come from.
    pub endpoint: Endpoint,
    /// Whom to trust, and the cryptography to use, for `amqps://`.
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Exchanges and queues.
    pub topology: Topology,
    /// Declare exchanges and queues when a link comes up and when a batch is returned.
    ///
    /// Default `true`. A user that may only publish takes what is there.
    pub declare: bool,
    /// Key of what is published; default `xpt.<flow>.<user>`. A broker can hold users to theirs.
    pub routing_key: Option<String>,
    /// A link that is silent for twice as long is dead, also while nothing is sent; at least 2 s.
    /// Default 10 s.
    pub heartbeat: Duration,
    /// Name shown in the broker's own tools; default `xp-telemetry`.
    pub name: String,
    /// Largest body of a message that the broker takes, in bytes; default 16 MiB, which is that of
    /// RabbitMQ 4 (`max_message_size`). A broker that takes less says so when it is too late for one
    /// batch, and from then on its number counts.
    pub message_bytes_max: usize,
    /// Window, time-outs and delays.
    pub limits: SenderLimits,
    /// Send credentials and data unencrypted over a network. Default `false`: only to this machine.
    pub allow_plain: bool,
    /// Take a queue type that confirms before its disk has a batch. Default `false`.
    pub allow_loss: bool,
}

impl fmt::Debug for AmqpConfig {
    /// Without addresses, credentials and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("endpoint", &self.endpoint)
            .field("topology", &self.topology)
            .field("declare", &self.declare)
            .field("heartbeat", &self.heartbeat)
            .field("name", &self.name)
            .field("limits", &self.limits)
            .field("allow_plain", &self.allow_plain)
            .field("allow_loss", &self.allow_loss)
            .finish_non_exhaustive()
    }
}

impl AmqpConfig {
    /// A broker, or the nodes of a cluster, with everything else at its default.
    pub fn new(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::from_endpoint(Endpoint::Urls(urls.into_iter().map(Into::into).collect()))
    }

    /// A caller's own connections.
    pub fn with_connections(connections: Connections) -> Self {
        Self::from_endpoint(Endpoint::Connections(connections))
    }

    fn from_endpoint(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            #[cfg(feature = "tls")]
            tls: None,
            topology: Topology::default(),
            declare: true,
            routing_key: None,
            heartbeat: Duration::from_secs(10),
            name: "xp-telemetry".to_owned(),
            message_bytes_max: 16 << 20,
            limits: SenderLimits::default(),
            allow_plain: false,
            allow_loss: false,
        }
    }

    /// Everything that can be known to be wrong without a connection.
    pub(super) fn check(&self) -> Result<Checked, ConfigError> {
        let urls = match &self.endpoint {
            Endpoint::Urls(urls) => urls.as_slice(),
            Endpoint::Connections(_) => &[],
        };
        if urls.is_empty() && matches!(self.endpoint, Endpoint::Urls(_)) {
            return Err(ConfigError::NoUrl);
        }
        let mut uris = Vec::new();
        for (index, url) in urls.iter().enumerate() {
            let mut uri: AMQPUri = url.parse().map_err(|_| ConfigError::Url { index })?;
            uri.query.heartbeat = Some(negotiated(self.heartbeat));
            match uri.scheme {
                AMQPScheme::AMQP if !self.allow_plain && !is_loopback(&uri.authority.host) => {
                    return Err(ConfigError::Plain { index });
                }
                AMQPScheme::AMQPS if !self.has_tls() => return Err(ConfigError::NoTls { index }),
                _ => {}
            }
            uris.push(uri);
        }
        if !self.allow_loss && self.topology.queue_type != QueueType::Quorum {
            return Err(ConfigError::ConfirmsBeforeDisk {
                queue_type: self.topology.queue_type,
            });
        }
        self.topology.check()?;
        let user = uris.first().map(|uri| &uri.authority.userinfo.username);
        let user = user.map_or("anonymous", String::as_str);
        let key = self
            .routing_key
            .clone()
            .unwrap_or_else(|| format!("xpt.{}.{user}", self.topology.flow.name()));
        Ok(Checked {
            uris,
            routing_key: short(&key).ok_or(ConfigError::TooLong {
                field: "routing_key",
            })?,
        })
    }

    #[cfg(feature = "tls")]
    fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "the feature `tls` looks at it")]
    fn has_tls(&self) -> bool {
        false
    }
}

/// What a configuration comes to.
#[derive(Clone)]
pub(super) struct Checked {
    pub(super) uris: Vec<AMQPUri>,
    pub(super) routing_key: lapin::types::ShortString,
}

impl fmt::Debug for Checked {
    /// Without addresses, credentials and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked").finish_non_exhaustive()
    }
}

/// The heartbeat to agree on, in seconds.
///
/// lapin looks for silence every half of it, and takes twice of it as dead: it notices after two
/// and a half times at the latest, which has to be within twice what was asked for.
fn negotiated(heartbeat: Duration) -> u16 {
    (heartbeat.as_secs() * 4 / 5).clamp(1, 600) as u16
}

/// AMQP's short string: at most 255 bytes.
pub(super) fn short(text: &str) -> Option<lapin::types::ShortString> {
    lapin::types::ShortString::try_new(text).ok()
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// A configuration that cannot work, or that promises less than this crate does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No URL.
    #[error("no URL of a broker: give one, e.g. amqps://user:password@host/vhost")]
    NoUrl,
    /// Not a URL of AMQP. Its text is not repeated: it holds a password.
    #[error("URL {index} is no amqp:// or amqps:// URL")]
    Url {
        /// Which, from 0.
        index: usize,
    },
    /// Unencrypted, and not to this machine.
    #[error("URL {index} would send credentials and data in clear: use amqps://, or allow_plain")]
    Plain {
        /// Which, from 0.
        index: usize,
    },
    /// `amqps://` without TLS.
    #[error("URL {index} needs TLS: set `tls` (feature `tls`)")]
    NoTls {
        /// Which, from 0.
        index: usize,
    },
    /// Such a queue confirms what a power cut still takes away.
    #[error("a {queue_type} queue confirms before its disk has a batch: use quorum, or allow_loss")]
    ConfirmsBeforeDisk {
        /// The type.
        queue_type: QueueType,
    },
    /// AMQP takes names up to 255 bytes.
    #[error("{field} is longer than 255 bytes")]
    TooLong {
        /// What.
        field: &'static str,
    },
    /// A number outside its range.
    #[error("{field} is {value}, {min} to {max} work")]
    Range {
        /// What.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The smallest that works.
        min: u64,
        /// The largest that works.
        max: u64,
    },
}

telemetry_core::error_codes!(ConfigError {
    NoUrl => 3060,
    Url { .. } => 3061,
    Plain { .. } => 3062,
    NoTls { .. } => 3063,
    ConfirmsBeforeDisk { .. } => 3064,
    TooLong { .. } => 3065,
    Range { .. } => 3066,
});

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: &AmqpConfig) -> Option<ConfigError> {
        config.check().err()
    }

    #[test]
    fn refuses_what_promises_less() {
        let loopback = AmqpConfig::new(["amqp://u:p@127.0.0.1/%2f"]);
        assert_eq!(refusal(&loopback), None);
        let key = loopback.check().unwrap().routing_key;
        assert_eq!(key.as_str(), "xpt.raw.u");
        let remote = AmqpConfig::new(["amqp://u:secret@[::1]", "amqp://u:secret@example.org"]);
        assert_eq!(refusal(&remote), Some(ConfigError::Plain { index: 1 }));
        let plain = AmqpConfig {
            allow_plain: true,
            ..remote.clone()
        };
        assert_eq!(refusal(&plain), None);
        let tls = AmqpConfig::new(["amqps://example.org"]);
        assert_eq!(refusal(&tls), Some(ConfigError::NoTls { index: 0 }));
        let bad = AmqpConfig::new(["http://secret"]);
        assert_eq!(refusal(&bad), Some(ConfigError::Url { index: 0 }));
        assert!(!format!("{remote:?}{:?}", refusal(&bad)).contains("secret"));
        let mut classic = loopback;
        classic.topology.queue_type = QueueType::Classic;
        let before_disk = ConfigError::ConfirmsBeforeDisk {
            queue_type: QueueType::Classic,
        };
        assert_eq!(refusal(&classic), Some(before_disk));
        classic.allow_loss = true;
        assert_eq!(refusal(&classic), None);
    }
}
