//! What travels beside a batch: identity, clock, schema.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str::FromStr;

use crate::wire::{Reader, put_bytes};
use crate::{
    BootId, ClockMark, ClockQuality, DeviceId, Epoch, Fingerprint, Instant, Seq, StreamName,
    Timestamp, single_object,
};

/// The content type of a batch of Avro records.
pub const CONTENT_TYPE_AVRO: &str = "application/avro";

/// The envelope of a batch.
///
/// It travels as AMQP properties, MQTT 5 user properties or, in the embedded log, as an Avro
/// record: always the same names, always text. Nothing depends on the publish time or on batch
/// borders being the same in a resend.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Device that made the records.
    pub device: DeviceId,
    /// Opening of its spool.
    pub epoch: Epoch,
    /// Stream, and registry subject.
    pub subject: StreamName,
    /// Number of the first record.
    pub first_seq: Seq,
    /// Number of records, at least 1.
    pub count: u32,
    /// When the batch was published, by the device's wall clock.
    pub published: Timestamp,
    /// The clock mark under which the records were appended.
    pub clock: ClockMark,
    /// Schema of one record; `None` for an opaque payload.
    pub schema: Option<Fingerprint>,
    /// [`CONTENT_TYPE_AVRO`], or what an opaque payload is.
    pub content_type: String,
    /// W3C trace context, where the producer has one.
    pub traceparent: Option<String>,
}

/// Names of the headers, in the order of the Avro record.
const NAMES: [&str; 14] = [
    "message-id",
    "content-type",
    "xpt-device",
    "xpt-epoch",
    "xpt-subject",
    "xpt-first-seq",
    "xpt-count",
    "xpt-published-us",
    "xpt-boot",
    "xpt-monotonic-us",
    "xpt-wall-us",
    "xpt-clock",
    "xpt-schema",
    "traceparent",
];

impl Envelope {
    /// The schema of an envelope as an Avro record: one text field per header, empty where absent.
    pub const SCHEMA: &'static str = r#"{"name":"xp.telemetry.Envelope","type":"record","fields":[{"name":"message_id","type":"string"},{"name":"content_type","type":"string"},{"name":"device","type":"string"},{"name":"epoch","type":"string"},{"name":"subject","type":"string"},{"name":"first_seq","type":"string"},{"name":"count","type":"string"},{"name":"published_us","type":"string"},{"name":"boot","type":"string"},{"name":"monotonic_us","type":"string"},{"name":"wall_us","type":"string"},{"name":"clock","type":"string"},{"name":"schema","type":"string"},{"name":"traceparent","type":"string"}]}"#;

    /// Fingerprint of [`Envelope::SCHEMA`], which is its own canonical form.
    pub const FINGERPRINT: Fingerprint = Fingerprint::of(Self::SCHEMA);

    /// Number of the last record.
    pub fn last_seq(&self) -> Seq {
        let last = self.first_seq.get() + u64::from(self.count.max(1)) - 1;
        Seq::new(last).unwrap_or(Seq::MAX)
    }

    /// `<device>:<epoch>:<stream>:<first>-<last>`.
    pub fn message_id(&self) -> String {
        format!(
            "{}:{}:{}:{}-{}",
            self.device,
            self.epoch,
            self.subject,
            self.first_seq,
            self.last_seq()
        )
    }

    /// Every header that has a value, by name.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        NAMES
            .into_iter()
            .zip(self.values())
            .filter(|(_, value)| !value.is_empty())
    }

    fn values(&self) -> [String; 14] {
        [
            self.message_id(),
            self.content_type.clone(),
            self.device.to_string(),
            self.epoch.to_string(),
            self.subject.to_string(),
            self.first_seq.to_string(),
            self.count.to_string(),
            self.published.as_micros().to_string(),
            self.clock.boot.to_string(),
            (self.clock.monotonic.as_nanos() / 1_000).to_string(),
            self.clock.wall.as_micros().to_string(),
            self.clock.quality.as_str().to_owned(),
            self.schema.map(|s| s.to_string()).unwrap_or_default(),
            self.traceparent.clone().unwrap_or_default(),
        ]
    }

    /// Reads an envelope from headers: `get` returns the value of a name.
    pub fn from_headers<'a>(
        mut get: impl FnMut(&'static str) -> Option<&'a str>,
    ) -> Result<Self, EnvelopeError> {
        let mut text = |name: &'static str| get(name).ok_or(EnvelopeError::Missing { name });
        let envelope = Self {
            content_type: text("content-type")?.to_owned(),
            device: parsed("xpt-device", text("xpt-device")?)?,
            epoch: number("xpt-epoch", text("xpt-epoch")?, Epoch::new)?,
            subject: parsed("xpt-subject", text("xpt-subject")?)?,
            first_seq: number("xpt-first-seq", text("xpt-first-seq")?, Seq::new)?,
            count: parsed("xpt-count", text("xpt-count")?)?,
            published: Timestamp::from_micros(parsed(
                "xpt-published-us",
                text("xpt-published-us")?,
            )?),
            clock: ClockMark {
                boot: parsed::<BootId>("xpt-boot", text("xpt-boot")?)?,
                monotonic: Instant::from_nanos(
                    parsed::<u64>("xpt-monotonic-us", text("xpt-monotonic-us")?)?
                        .saturating_mul(1_000),
                ),
                wall: Timestamp::from_micros(parsed("xpt-wall-us", text("xpt-wall-us")?)?),
                quality: ClockQuality::from_word(text("xpt-clock")?)
                    .ok_or(EnvelopeError::Value { name: "xpt-clock" })?,
            },
            schema: match text("xpt-schema") {
                Ok(hex) => Some(parsed("xpt-schema", hex)?),
                Err(_) => None,
            },
            traceparent: text("traceparent").ok().map(str::to_owned),
        };
        let last = envelope.first_seq.get() + u64::from(envelope.count);
        if envelope.count == 0 || envelope.first_seq < Seq::FIRST || Seq::new(last).is_err() {
            return Err(EnvelopeError::Value { name: "xpt-count" });
        }
        Ok(envelope)
    }

    /// Appends the envelope as an Avro record in single-object encoding.
    pub fn to_avro(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&single_object::header(Self::FINGERPRINT));
        for value in self.values() {
            put_bytes(out, value.as_bytes());
        }
    }

    /// Reads what [`to_avro`](Self::to_avro) wrote.
    pub fn from_avro(message: &[u8]) -> Result<Self, EnvelopeError> {
        let (found, datum) = single_object::split(message).map_err(|_| EnvelopeError::Avro)?;
        if found != Self::FINGERPRINT {
            return Err(EnvelopeError::Schema { found });
        }
        let mut input = Reader::new(datum);
        let mut values = [""; 14];
        for value in &mut values {
            *value = input.string().map_err(|_| EnvelopeError::Avro)?;
        }
        if !input.is_empty() {
            return Err(EnvelopeError::Avro);
        }
        Self::from_headers(|name| {
            let at = NAMES.iter().position(|n| *n == name)?;
            Some(values[at]).filter(|v| !v.is_empty())
        })
    }
}

fn parsed<T: FromStr>(name: &'static str, text: &str) -> Result<T, EnvelopeError> {
    text.parse().map_err(|_| EnvelopeError::Value { name })
}

fn number<T, E>(
    name: &'static str,
    text: &str,
    make: impl Fn(u64) -> Result<T, E>,
) -> Result<T, EnvelopeError> {
    make(parsed(name, text)?).map_err(|_| EnvelopeError::Value { name })
}

/// Headers that are no envelope. Values are not repeated: they may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A header is missing.
    #[error("header `{name}` is missing")]
    Missing {
        /// Name of the header.
        name: &'static str,
    },
    /// A header has a value of another form.
    #[error("header `{name}` has a value of another form")]
    Value {
        /// Name of the header.
        name: &'static str,
    },
    /// Not an Avro record of text fields.
    #[error("the envelope's bytes are no Avro record of 14 texts")]
    Avro,
    /// An envelope of a version that this release does not know.
    #[error("the envelope has schema {found}, which this release does not know")]
    Schema {
        /// Fingerprint found.
        found: Fingerprint,
    },
}

crate::error_codes!(EnvelopeError {
    Missing { .. } => 1070,
    Value { .. } => 1071,
    Avro => 1072,
    Schema { .. } => 1073,
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;

    fn envelope() -> Envelope {
        Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(3).unwrap(),
            subject: StreamName::new("xp.telemetry.ActivitySample").unwrap(),
            first_seq: Seq::new(10).unwrap(),
            count: 5,
            published: Timestamp::from_micros(-1),
            clock: ClockMark {
                boot: BootId::from_u128(9),
                monotonic: Instant::from_nanos(5_000),
                wall: Timestamp::from_micros(1),
                quality: ClockQuality::FreeRunning,
            },
            schema: Some(Fingerprint(0xab)),
            content_type: CONTENT_TYPE_AVRO.to_owned(),
            traceparent: None,
        }
    }

    #[test]
    fn its_schema_is_canonical() {
        let schema = Schema::parse(Envelope::SCHEMA).unwrap();
        assert_eq!(schema.canonical(), Envelope::SCHEMA);
        assert_eq!(schema.record().unwrap().fields.len(), NAMES.len());
    }

    #[test]
    fn round_trips_as_headers_and_as_avro() {
        let e = envelope();
        assert_eq!(
            e.message_id(),
            "00000000-0000-0000-0000-000000000007:3:xp.telemetry.ActivitySample:10-14"
        );
        let headers: Vec<_> = e.headers().collect();
        assert_eq!(headers.len(), 13);
        let get = |name| {
            let header = headers.iter().find(|(n, _)| *n == name)?;
            Some(header.1.as_str())
        };
        assert_eq!(Envelope::from_headers(get), Ok(e.clone()));
        let mut bytes = Vec::new();
        e.to_avro(&mut bytes);
        assert_eq!(Envelope::from_avro(&bytes), Ok(e));
        assert_eq!(
            Envelope::from_avro(&bytes[..bytes.len() - 1]),
            Err(EnvelopeError::Avro)
        );
    }

    #[test]
    fn refuses_impossible_counts() {
        for (name, value) in [
            ("xpt-count", "0"),
            ("xpt-first-seq", "0"),
            ("xpt-count", "-1"),
        ] {
            let headers: Vec<_> = envelope().headers().collect();
            let got = Envelope::from_headers(|n| {
                if n == name {
                    return Some(value);
                }
                headers
                    .iter()
                    .find(|(h, _)| *h == n)
                    .map(|(_, v)| v.as_str())
            });
            assert!(matches!(got, Err(EnvelopeError::Value { .. })), "{name}");
        }
    }
}
