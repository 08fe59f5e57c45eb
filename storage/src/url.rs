//! A store chosen by a URL, while the program runs.

use std::path::Path;

use telemetry_core::{Entry, Fingerprint, Registered, Registry, Schema, StreamName, Timestamp};

use crate::{
    Accounting, Gap, Outcome, Page, Presence, ReadError, Selection, SqliteOptions, SqliteStore,
    Store, StoreError, StoredRecord, Write,
};

/// Schemes of the URLs that [`AnyStore::open`] knows.
pub const SCHEMES: &[&str] = &["sqlite"];

/// One of the stores of this crate.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyStore {
    /// `sqlite:FILE`.
    Sqlite(SqliteStore),
}

/// Why no store was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another URL is needed: it begins with a scheme and a colon.
    #[error("{url} names no store: a URL begins with one of {}", known())]
    NoScheme {
        /// What was given.
        url: String,
    },
    /// Another scheme is needed.
    #[error("{scheme} is no store that is known here: known are {}", known())]
    Scheme {
        /// What the URL begins with.
        scheme: String,
    },
    /// The URL names nothing behind its scheme.
    #[error("{scheme}: names no file")]
    NoFile {
        /// What the URL begins with.
        scheme: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

telemetry_core::error_codes!(OpenError {
    NoScheme { .. } => 4040,
    Scheme { .. } => 4041,
    NoFile { .. } => 4042,
    Store(_) => 4043,
});

fn known() -> String {
    let known: Vec<String> = SCHEMES.iter().map(|scheme| format!("{scheme}:")).collect();
    known.join(", ")
}

impl AnyStore {
    /// Opens or creates the store that a URL names, with the defaults of its kind.
    ///
    /// `sqlite:FILE` is one file, e.g. `sqlite:/var/lib/telemetry/rows.sqlite`; the part behind the
    /// colon is a path as it is.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(OpenError::NoScheme {
                url: url.to_owned(),
            });
        };
        match scheme {
            "sqlite" if rest.is_empty() => Err(OpenError::NoFile {
                scheme: scheme.to_owned(),
            }),
            "sqlite" => {
                let store = SqliteStore::open(Path::new(rest), SqliteOptions::default())?;
                Ok(Self::Sqlite(store))
            }
            _ => Err(OpenError::Scheme {
                scheme: scheme.to_owned(),
            }),
        }
    }
}

impl Store for AnyStore {
    async fn write(&self, writes: &[Write<'_>]) -> Vec<Outcome> {
        match self {
            Self::Sqlite(store) => store.write(writes).await,
        }
    }

    async fn read(
        &self,
        stream: &StreamName,
        selection: &Selection,
        reader: &Schema,
    ) -> Result<Page, ReadError> {
        match self {
            Self::Sqlite(store) => store.read(stream, selection, reader).await,
        }
    }

    async fn latest(
        &self,
        stream: &StreamName,
        reader: &Schema,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        match self {
            Self::Sqlite(store) => store.latest(stream, reader).await,
        }
    }
}

impl Accounting for AnyStore {
    async fn presence(&self) -> Result<Vec<Presence>, StoreError> {
        match self {
            Self::Sqlite(store) => store.presence().await,
        }
    }

    async fn gaps(&self) -> Result<Vec<Gap>, ReadError> {
        match self {
            Self::Sqlite(store) => store.gaps().await,
        }
    }

    async fn newest(&self, stream: &StreamName) -> Result<Option<Timestamp>, StoreError> {
        match self {
            Self::Sqlite(store) => store.newest(stream).await,
        }
    }
}

impl Registry for AnyStore {
    type Error = StoreError;

    async fn register(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, StoreError> {
        match self {
            Self::Sqlite(store) => store.register(subject, schema).await,
        }
    }

    async fn lookup(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, StoreError> {
        match self {
            Self::Sqlite(store) => store.lookup(subject, fingerprint).await,
        }
    }

    async fn versions(&self, subject: &StreamName) -> Result<Vec<Entry>, StoreError> {
        match self {
            Self::Sqlite(store) => store.versions(subject).await,
        }
    }
}
