//! A registry that speaks Confluent's HTTP interface: Confluent's own, Apicurio, Karapace, Redpanda.
//!
//! Source: Confluent Schema Registry, API reference (`/subjects`, `/schemas`, `/config`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::vec::Vec;

use rustls::crypto::CryptoProvider;
use serde_json::{Value, json};
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, http};

use super::Registry;
use crate::{
    Compatibility, Direction, Entry, Fingerprint, Incompatibility, Quarantine, Registered, Schema,
    SchemaError, SchemaLimits, SchemaRules, StreamName, decide,
};

/// The media type of the interface.
const MEDIA: &str = "application/vnd.schemaregistry.v1+json";

/// Schemas that refer to schemas that refer to schemas, at most.
const REFERENCES_DEPTH_MAX: usize = 16;

/// How to talk to a registry.
#[derive(Clone, Debug)]
pub struct ConfluentOptions {
    /// User and password, where it asks for them.
    pub credentials: Option<Credentials>,
    /// Longest time for an answer. 10 s.
    pub timeout: Duration,
    /// Bytes of an answer. 4 MiB.
    pub answer_bytes_max: u64,
    /// Versions of a subject, and schemas of one reference tree. 1,000.
    pub versions_max: usize,
    /// Schemas kept by number; they never change. 4,096, then all are forgotten.
    pub kept_max: usize,
    /// Bounds on a schema, with all that it refers to.
    pub schema: SchemaLimits,
    /// Who does the cryptography of TLS.
    pub crypto: Arc<CryptoProvider>,
}

impl Default for ConfluentOptions {
    fn default() -> Self {
        Self {
            credentials: None,
            timeout: Duration::from_secs(10),
            answer_bytes_max: 4 << 20,
            versions_max: 1_000,
            kept_max: 4_096,
            schema: SchemaLimits::default(),
            crypto: Arc::new(rustls::crypto::ring::default_provider()),
        }
    }
}

/// User and password. They are never shown.
#[derive(Clone)]
pub struct Credentials {
    /// Who.
    pub user: String,
    /// Their secret.
    pub password: String,
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// A client of a registry, whose requests block the calling thread: in an asynchronous program,
/// use it where blocking is allowed.
///
/// What a new schema must be able to do is asked of the registry and checked here as well, so that
/// a refusal names path, rule and hint. A refused schema is not kept anywhere. Two versions with one
/// fingerprint are one [`Entry`], with the text of the newer.
///
/// Away from loopback it speaks TLS alone.
pub struct ConfluentRegistry {
    agent: Agent,
    base: String,
    authorization: Option<String>,
    options: ConfluentOptions,
    kept: Mutex<Kept>,
}

impl core::fmt::Debug for ConfluentRegistry {
    /// Without address and credentials, which the agent has as well: those of a proxy.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ConfluentRegistry").finish_non_exhaustive()
    }
}

/// Schemas by what never changes about them.
#[derive(Debug, Default)]
struct Kept {
    by_number: BTreeMap<u32, Arc<Schema>>,
    by_version: BTreeMap<(String, u32), Arc<Schema>>,
}

/// Why a registry gave no answer, or one that is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfluentError {
    /// The address is none.
    #[error("`{url}` is no address of a registry: it begins with https://, or http:// on loopback")]
    Url {
        /// What was given, without what may be a secret in it.
        url: String,
    },
    /// No answer: try again later.
    #[error("the registry did not answer: {reason}")]
    Unreachable {
        /// What the network or the time limit says.
        reason: String,
    },
    /// The registry refused: with 401 or 403 look at the credentials, with 5xx try again later.
    #[error("the registry answered {status}: {message} (error code {code})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The registry's own number, 0 if it gave none.
        code: u64,
        /// What it said.
        message: String,
    },
    /// An answer of another form, or over a bound of [`ConfluentOptions`].
    #[error("the registry's answer: {reason}")]
    Answer {
        /// What is wrong with it.
        reason: String,
    },
    /// A schema from the registry that is none.
    #[error("a schema of the registry: {0}")]
    Schema(#[from] SchemaError),
}

crate::error_codes!(ConfluentError {
    Url { .. } => 1140,
    Unreachable { .. } => 1141,
    Refused { .. } => 1142,
    Answer { .. } => 1143,
    Schema(_) => 1144,
});

impl ConfluentRegistry {
    /// A client of the registry at `url`; nothing is sent yet.
    pub fn new(url: &str, options: ConfluentOptions) -> Result<Self, ConfluentError> {
        let wrong = || ConfluentError::Url {
            url: url.rsplit('@').next().unwrap_or_default().to_owned(),
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_loopback(host) => {}
            _ => return Err(wrong()),
        }
        let roots = rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|der| Certificate::from_der(der).to_owned())
            .collect::<Vec<_>>();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(options.crypto.clone())
            .build();
        let agent = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            // A redirect could lead away from TLS, with the credentials.
            .max_redirects(0)
            .tls_config(tls)
            .build();
        let authorization = options.credentials.as_ref().map(|c| {
            use base64::Engine as _;
            let pair = format!("{}:{}", c.user, c.password);
            let pair = base64::engine::general_purpose::STANDARD.encode(pair);
            format!("Basic {pair}")
        });
        Ok(Self {
            agent: agent.into(),
            base: url.trim_end_matches('/').to_owned(),
            authorization,
            options,
            kept: Mutex::new(Kept::default()),
        })
    }

    /// Every subject.
    pub fn subjects(&self) -> Result<Vec<String>, ConfluentError> {
        let answer = self.get("/subjects")?.unwrap_or_default();
        let names = answer.as_array().into_iter().flatten();
        Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// What new schemas of a subject must be able to do.
    pub fn compatibility(&self, subject: &StreamName) -> Result<Compatibility, ConfluentError> {
        let own = self.get(&format!("/config/{subject}"))?;
        let answer = match own {
            Some(answer) => answer,
            None => self.get("/config")?.unwrap_or_default(),
        };
        let name = answer["compatibilityLevel"].as_str().unwrap_or("NONE");
        name.parse()
            .map_err(|error: crate::CompatibilityError| ConfluentError::Answer {
                reason: error.to_string(),
            })
    }

    /// What new schemas of a subject must be able to do from now on.
    pub fn set_compatibility(
        &self,
        subject: &StreamName,
        compatibility: Compatibility,
    ) -> Result<(), ConfluentError> {
        let body = json!({ "compatibility": compatibility.as_str() });
        let request = http::Request::put(self.url(&format!("/config/{subject}")));
        self.answered(self.send(request, Some(&body))?).map(drop)
    }

    /// The number that stands before a datum of this schema; `None` if the subject does not have it.
    pub fn number(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Option<u32>, ConfluentError> {
        let found = self.find(subject, schema)?;
        found.map(|answer| number(&answer, "id")).transpose()
    }

    /// The schema with this number; `None` if there is none.
    pub fn by_number(&self, number: u32) -> Result<Option<Arc<Schema>>, ConfluentError> {
        if let Some(schema) = self.kept().by_number.get(&number) {
            return Ok(Some(schema.clone()));
        }
        let Some(answer) = self.get(&format!("/schemas/ids/{number}"))? else {
            return Ok(None);
        };
        let schema = Arc::new(self.schema(&answer)?);
        let mut kept = self.kept();
        if kept.by_number.len() >= self.options.kept_max {
            kept.by_number.clear();
        }
        kept.by_number.insert(number, schema.clone());
        Ok(Some(schema))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here panics half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the registry says of a schema of a subject.
    fn find(&self, subject: &StreamName, schema: &Schema) -> Result<Option<Value>, ConfluentError> {
        let body = json!({ "schema": schema.json() });
        let request = http::Request::post(self.url(&format!("/subjects/{subject}")));
        self.answered(self.send(request, Some(&body))?)
    }

    fn entries(&self, subject: &StreamName) -> Result<Vec<Entry>, ConfluentError> {
        let path = format!("/subjects/{subject}/versions");
        let answer = self.get(&path)?.unwrap_or_default();
        let versions = answer.as_array().map_or(&[][..], Vec::as_slice);
        let max = self.options.versions_max;
        if versions.len() > max {
            return Err(ConfluentError::Answer {
                reason: format!("{} versions, at most {max} allowed", versions.len()),
            });
        }
        let mut entries: Vec<Entry> = Vec::new();
        for version in versions {
            let version = version.as_u64().and_then(|v| u32::try_from(v).ok());
            let version = version.ok_or_else(|| ConfluentError::Answer {
                reason: "a version is no number".to_owned(),
            })?;
            let Some(schema) = self.version(subject.as_str(), version)? else {
                // Deleted since the list was made.
                continue;
            };
            let fingerprint = schema.fingerprint();
            match entries
                .iter_mut()
                .find(|e| e.schema.fingerprint() == fingerprint)
            {
                Some(known) => known.schema = schema,
                None => entries.push(Entry {
                    schema,
                    version,
                    quarantine: None,
                }),
            }
        }
        Ok(entries)
    }

    fn version(&self, subject: &str, version: u32) -> Result<Option<Arc<Schema>>, ConfluentError> {
        let key = (subject.to_owned(), version);
        if let Some(schema) = self.kept().by_version.get(&key) {
            return Ok(Some(schema.clone()));
        }
        let path = format!("/subjects/{subject}/versions/{version}");
        let Some(answer) = self.get(&path)? else {
            return Ok(None);
        };
        let schema = Arc::new(self.schema(&answer)?);
        let mut kept = self.kept();
        if kept.by_version.len() >= self.options.kept_max {
            kept.by_version.clear();
        }
        kept.by_version.insert(key, schema.clone());
        Ok(Some(schema))
    }

    /// The schema of an answer, with everything that it refers to.
    fn schema(&self, answer: &Value) -> Result<Schema, ConfluentError> {
        let mut others = BTreeMap::new();
        self.references(answer, &mut others, 0)?;
        let (rules, limits) = (SchemaRules::AsWritten, self.options.schema);
        if others.is_empty() {
            return Ok(Schema::parse_as(text(answer)?, rules, limits)?);
        }
        let others: Vec<&str> = others.values().map(String::as_str).collect();
        Ok(Schema::parse_with_references_as(
            text(answer)?,
            &others,
            rules,
            limits,
        )?)
    }

    fn references(
        &self,
        answer: &Value,
        others: &mut BTreeMap<(String, u32), String>,
        depth: usize,
    ) -> Result<(), ConfluentError> {
        let wrong = |reason: &str| ConfluentError::Answer {
            reason: reason.to_owned(),
        };
        for reference in answer["references"].as_array().into_iter().flatten() {
            let subject = reference["subject"].as_str().unwrap_or_default();
            // It becomes part of an address.
            let subject = StreamName::new(subject)
                .map_err(|_| wrong("a reference names no subject of ours"))?;
            let key = (subject.to_string(), number(reference, "version")?);
            if others.contains_key(&key) {
                continue;
            }
            if depth >= REFERENCES_DEPTH_MAX || others.len() >= self.options.versions_max {
                return Err(wrong("references without end"));
            }
            let path = format!("/subjects/{subject}/versions/{}", key.1);
            let answer = self.get(&path)?;
            let answer = answer.ok_or_else(|| wrong("a reference that leads nowhere"))?;
            others.insert(key, text(&answer)?.to_owned());
            self.references(&answer, others, depth + 1)?;
        }
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn get(&self, path: &str) -> Result<Option<Value>, ConfluentError> {
        self.answered(self.send(http::Request::get(self.url(path)), None)?)
    }

    fn send(
        &self,
        mut request: http::request::Builder,
        body: Option<&Value>,
    ) -> Result<http::Response<Body>, ConfluentError> {
        request = request.header("Accept", MEDIA);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let unreachable = |error: &dyn core::error::Error| ConfluentError::Unreachable {
            reason: error.to_string(),
        };
        let sent = match body {
            None => request
                .body(())
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
            Some(body) => request
                .header("Content-Type", MEDIA)
                .body(body.to_string())
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
        };
        sent.map_err(|error| unreachable(&error))
    }

    /// The JSON of an answer; `None` where the registry does not have what was asked for.
    fn answered(
        &self,
        mut response: http::Response<Body>,
    ) -> Result<Option<Value>, ConfluentError> {
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(self.options.answer_bytes_max)
            .read_to_string()
            .map_err(|error| ConfluentError::Answer {
                reason: error.to_string(),
            })?;
        let value: Result<Value, _> = serde_json::from_str(&text);
        match (status, value) {
            (200..=299, Ok(value)) => Ok(Some(value)),
            (200..=299, Err(error)) => Err(ConfluentError::Answer {
                reason: error.to_string(),
            }),
            (404, _) => Ok(None),
            (_, value) => {
                let value = value.unwrap_or_default();
                let message = value["message"].as_str().unwrap_or("no reason given");
                Err(ConfluentError::Refused {
                    status,
                    code: value["error_code"].as_u64().unwrap_or(0),
                    message: message.chars().take(500).collect(),
                })
            }
        }
    }
}

impl ConfluentRegistry {
    /// Registers a schema under a subject, on the calling thread.
    pub fn register_blocking(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, ConfluentError> {
        let known = self.entries(subject)?;
        let answer = decide(&known, schema, self.compatibility(subject)?);
        if !matches!(answer, Registered::New { .. } | Registered::Revision { .. }) {
            return Ok(answer);
        }
        let body = json!({ "schema": schema.json() });
        let request = http::Request::post(self.url(&format!("/subjects/{subject}/versions")));
        match self.answered(self.send(request, Some(&body))?) {
            Ok(_) => {}
            // Somebody was faster, or the registry's rules are stricter.
            Err(ConfluentError::Refused {
                status: 409,
                message,
                ..
            }) => {
                return Ok(Registered::Quarantined(Quarantine::Incompatible {
                    version: known.last().map_or(0, |e| e.version),
                    direction: Direction::Backward,
                    problems: [Incompatibility {
                        path: "$".to_owned(),
                        rule: "the registry must accept a schema",
                        hint: message,
                    }]
                    .into(),
                }));
            }
            Err(error) => return Err(error),
        }
        if let Registered::New { .. } = answer {
            let found = self.find(subject, schema)?;
            let found = found.ok_or_else(|| ConfluentError::Answer {
                reason: "the registry lost what it had taken".to_owned(),
            })?;
            let version = number(&found, "version")?;
            return Ok(Registered::New { version });
        }
        Ok(answer)
    }

    /// The schema of a subject with this fingerprint, on the calling thread.
    pub fn lookup_blocking(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, ConfluentError> {
        let mut entries = self.entries(subject)?.into_iter();
        Ok(entries.find(|e| e.schema.fingerprint() == fingerprint))
    }

    /// Every version of a subject, oldest first, on the calling thread.
    pub fn versions_blocking(&self, subject: &StreamName) -> Result<Vec<Entry>, ConfluentError> {
        self.entries(subject)
    }
}

impl Registry for ConfluentRegistry {
    type Error = ConfluentError;

    async fn register(
        &self,
        subject: &StreamName,
        schema: &Schema,
    ) -> Result<Registered, ConfluentError> {
        self.register_blocking(subject, schema)
    }

    async fn lookup(
        &self,
        subject: &StreamName,
        fingerprint: Fingerprint,
    ) -> Result<Option<Entry>, ConfluentError> {
        self.lookup_blocking(subject, fingerprint)
    }

    async fn versions(&self, subject: &StreamName) -> Result<Vec<Entry>, ConfluentError> {
        self.versions_blocking(subject)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|a| a.is_loopback())
}

fn text(answer: &Value) -> Result<&str, ConfluentError> {
    let kind = answer["schemaType"].as_str().unwrap_or("AVRO");
    let schema = answer["schema"].as_str().filter(|_| kind == "AVRO");
    schema.ok_or_else(|| ConfluentError::Answer {
        reason: format!("a schema of the type {kind}, where AVRO is needed"),
    })
}

fn number(answer: &Value, key: &str) -> Result<u32, ConfluentError> {
    let number = answer[key].as_u64().and_then(|n| u32::try_from(n).ok());
    number.ok_or_else(|| ConfluentError::Answer {
        reason: format!("`{key}` is no number"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_without_tls_on_loopback_alone() {
        let open = |url| ConfluentRegistry::new(url, ConfluentOptions::default()).map(drop);
        for good in [
            "http://localhost:8081",
            "http://127.0.0.1:8081/apis/ccompat/v7",
            "http://[::1]:8081",
            "https://registry.example",
        ] {
            assert!(open(good).is_ok(), "{good}");
        }
        for bad in ["http://registry.example", "ftp://localhost", "registry", ""] {
            assert!(
                matches!(open(bad), Err(ConfluentError::Url { .. })),
                "{bad}"
            );
        }
        let error = open("http://user:secret@registry.example").unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn no_password_is_in_a_debug_text() {
        let options = ConfluentOptions {
            credentials: Some(Credentials {
                user: "gym".to_owned(),
                password: "hunter2".to_owned(),
            }),
            ..ConfluentOptions::default()
        };
        let registry = ConfluentRegistry::new("https://registry.example", options.clone()).unwrap();
        // The header that is sent has it in Base64.
        for secret in ["hunter2", "Z3ltOmh1bnRlcjI", "registry.example"] {
            let texts = [
                format!("{options:?}"),
                format!("{registry:?} {registry:#?}"),
            ];
            assert!(!texts.concat().contains(secret), "{texts:?}");
        }
    }

    #[test]
    fn an_address_without_a_registry_is_unreachable() {
        // A port of our own that nobody listens on.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let url = format!("http://127.0.0.1:{port}");
        let registry = ConfluentRegistry::new(&url, ConfluentOptions::default()).unwrap();
        assert!(matches!(
            registry.subjects(),
            Err(ConfluentError::Unreachable { .. })
        ));
    }
}
