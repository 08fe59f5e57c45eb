//! The registry: which schema a fingerprint means, and which schemas a stream may have.

#[cfg(feature = "confluent")]
mod confluent;
#[cfg(feature = "std")]
mod file;
#[cfg(feature = "std")]
mod memory;

#[cfg(feature = "confluent")]
pub use confluent::{ConfluentError, ConfluentOptions, ConfluentRegistry, Credentials};
#[cfg(feature = "std")]
pub use file::{FileRegistry, FileRegistryError};
#[cfg(feature = "std")]
pub use memory::{MemoryRegistry, RegistryFull, RegistryLimits};

use alloc::vec::Vec;
use core::future::Future;

use crate::{Entry, Fingerprint, Registered, Schema, StreamName};

/// Schemas by subject and fingerprint, shared by every consumer.
///
/// Methods return futures so that a registry may live in a database; they are cancel-safe: a
/// dropped future registers nothing or all.
pub trait Registry {
    /// Why the registry itself failed.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Registers a schema under a subject; the answer says what became of it.
    fn register(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> impl Future<Output = Result<Registered, Self::Error>> + Send;

    /// The schema of a subject with this fingerprint (the newest revision), if it is registered.
    fn lookup(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> impl Future<Output = Result<Option<Entry>, Self::Error>> + Send;

    /// Every version of a subject, oldest first.
    fn versions(
        &self,
        subject: &StreamName,
    ) -> impl Future<Output = Result<Vec<Entry>, Self::Error>> + Send;
}

#[cfg(test)]
#[cfg(feature = "std")]
mod contract;
