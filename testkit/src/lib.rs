//! This crate gives the tests of the project real servers, and networks that break.
//!
//! - [`setup`] installs the servers that the tests use, once, into the user's cache folder; `cargo xtask
//!   setup` does nothing else.
//! - [`rabbitmq`] starts one broker or three, which end with the test.
//! - [`apicurio`] starts a schema registry.
//! - [`java`] installs Java with libraries of Maven Central.
//! - [`python`](mod@python) installs Python with the packages with which tests exchange bytes.
//! - [`proxy`] is a network between a client and a broker that is slow, silent or broken on request.
//! - [`firewall`] drops packets where a proxy cannot.
//! - [`tls`] makes certificates.
//!
//! All servers listen on loopback, on their own ports and in their own folders. If a server cannot be
//! installed or started, the test fails with an error that says what is missing; it is never left out.

pub mod apicurio;
pub mod archive;
pub mod firewall;
pub mod java;
pub mod proxy;
pub mod python;
pub mod rabbitmq;
pub mod setup;
pub mod tls;
pub mod unpack;

pub use setup::Failure;
