//! How times are written in the log: microseconds, as whole numbers.

/// A [`Timestamp`](telemetry_core::Timestamp) as microseconds since 1970.
pub(crate) mod timestamp {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use telemetry_core::Timestamp;

    pub(crate) fn serialize<S: Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        t.as_micros().serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(d).map(Timestamp::from_micros)
    }
}

/// An optional [`Timestamp`](telemetry_core::Timestamp).
pub(crate) mod timestamp_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use telemetry_core::Timestamp;

    pub(crate) fn serialize<S: Serializer>(t: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
        t.map(Timestamp::as_micros).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(d)?.map(Timestamp::from_micros))
    }
}

/// A [`Duration`](std::time::Duration) as microseconds; longer ones saturate at 584,000 years.
pub(crate) mod duration {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(t: &Duration, s: S) -> Result<S::Ok, S::Error> {
        u64::try_from(t.as_micros())
            .unwrap_or(u64::MAX)
            .serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_micros)
    }
}
