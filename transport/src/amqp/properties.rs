//! An envelope as AMQP properties, and back.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use telemetry_core::{Envelope, EnvelopeError};

use super::config::short;
use super::topology::text;

/// Persistent: on disk before it is confirmed.
const PERSISTENT: u8 = 2;

/// Properties of an envelope; `None` where its content type is longer than AMQP takes.
pub(super) fn from_envelope(envelope: &Envelope) -> Option<BasicProperties> {
    let mut headers = FieldTable::default();
    for (name, value) in envelope.headers() {
        if !matches!(name, "message-id" | "content-type") {
            headers.insert(name.into(), text(&value));
        }
    }
    Some(
        BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_message_id(short(&envelope.message_id())?)
            .with_content_type(short(&envelope.content_type)?)
            .with_headers(headers),
    )
}

/// The envelope of a message, whichever protocol it came by.
pub(super) fn to_envelope(properties: &BasicProperties) -> Result<Envelope, EnvelopeError> {
    Envelope::from_headers(|name| match name {
        "content-type" => properties.content_type().as_ref().map(|t| t.as_str()),
        name => header(properties, name),
    })
}

/// A header's text.
pub(super) fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a str> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}

/// A header's number.
pub(super) fn number(properties: &BasicProperties, name: &str) -> Option<i64> {
    integer(properties.headers().as_ref()?.inner().get(name)?)
}

/// A value as a number, whatever its width.
pub(super) fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::LongLongInt(n) => Some(*n),
        AMQPValue::LongInt(n) => Some((*n).into()),
        AMQPValue::LongUInt(n) => Some((*n).into()),
        AMQPValue::ShortInt(n) => Some((*n).into()),
        AMQPValue::ShortShortInt(n) => Some((*n).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry_core::{ClockMark, DeviceId, Epoch, Fingerprint, Seq, StreamName, Timestamp};

    #[test]
    fn round_trips() {
        let mut envelope = Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(3).unwrap(),
            subject: StreamName::new("vendor.Beat").unwrap(),
            first_seq: Seq::new(10).unwrap(),
            count: 5,
            published: Timestamp::from_micros(-1),
            clock: ClockMark::default(),
            schema: Some(Fingerprint(0xab)),
            content_type: "application/avro".to_owned(),
            traceparent: Some("00-aa-bb-01".to_owned()),
        };
        let properties = from_envelope(&envelope).unwrap();
        let id = properties.message_id().as_ref().unwrap().as_str();
        assert_eq!(id, envelope.message_id());
        assert_eq!(to_envelope(&properties), Ok(envelope.clone()));
        envelope.schema = None;
        envelope.content_type = "image/png".to_owned();
        let properties = from_envelope(&envelope).unwrap();
        assert_eq!(to_envelope(&properties), Ok(envelope.clone()));
        envelope.content_type = "x".repeat(256);
        assert!(from_envelope(&envelope).is_none());
        assert!(to_envelope(&BasicProperties::default()).is_err());
    }
}
