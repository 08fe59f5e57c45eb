//! Real servers, and networks that break, for the family's tests.
//!
//! [`setup`] installs what the tests talk to, once, into the user's cache folder; `cargo xtask
//! setup` does nothing else. [`rabbitmq`] starts brokers, one or three, that die with the test;
//! [`apicurio`] a schema registry; [`python`](mod@python) has what other languages use;
//! [`proxy`] is a network between a client and a broker that is slow, silent or broken on request;
//! [`firewall`] drops packets where a proxy cannot reach; [`tls`] makes certificates.
//!
//! Everything listens on loopback, on ports and in folders of its own. A server that cannot be had
//! is an error that says what is missing, never a test that is left out.

pub mod apicurio;
pub mod archive;
pub mod firewall;
pub mod proxy;
pub mod python;
pub mod rabbitmq;
pub mod setup;
pub mod tls;
pub mod unpack;

pub use setup::Failure;
