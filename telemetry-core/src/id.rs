//! The names a record carries for ever: device, epoch, stream, sequence.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use uuid::Uuid;

/// A device, for ever. Written as a lower-case UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(Uuid);

/// One boot of a device: monotonic readings compare only within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(Uuid);

macro_rules! uuid_id {
    ($name:ident) => {
        impl $name {
            /// An id from its 128 bits, most significant first.
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// The 128 bits, most significant first.
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// The 16 bytes, most significant first.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            /// An id from its 16 bytes, most significant first.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(s: &str) -> Result<Self, IdError> {
                Uuid::try_parse(s).map(Self).map_err(|_| IdError::Uuid)
            }
        }
    };
}
uuid_id!(DeviceId);
uuid_id!(BootId);

/// The name of a stream: one lineage of schemas, and the registry subject.
///
/// `[A-Za-z0-9._]`, 1 to 128 bytes, e.g. `xp.telemetry.ActivitySample`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(String);

impl StreamName {
    /// Longest name, in bytes.
    pub const LEN_MAX: usize = 128;

    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<Self, IdError> {
        Self::check(name)?;
        Ok(Self(name.to_owned()))
    }

    const fn check(name: &str) -> Result<(), IdError> {
        let len = name.len();
        if len == 0 || len > Self::LEN_MAX {
            return Err(IdError::StreamLength { len });
        }
        let bytes = name.as_bytes();
        let mut at = 0;
        while at < len {
            if !(bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'.' | b'_')) {
                return Err(IdError::StreamByte { at });
            }
            at += 1;
        }
        Ok(())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamName {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        Self::new(s)
    }
}

/// The stream that records of type `R` belong to: the one of their full name.
///
/// A record whose name has more than 128 bytes does not compile here: no stream has such a name.
#[cfg(feature = "avro")]
pub fn stream_of<R: crate::AvroRecord>() -> StreamName {
    const {
        assert!(
            StreamName::check(R::NAME).is_ok(),
            "the record's name is no stream name"
        )
    };
    StreamName(R::NAME.to_owned())
}

/// One opening of a spool for appending; below 2⁶³.
///
/// Microseconds since 1970 where the clock is synchronised, or the epoch before, whichever is later,
/// with [20 random low bits](Epoch::for_opening); otherwise random below 2⁶².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

/// Number of a record of one stream within an epoch: 1, 2, 3, … below 2⁶³.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

macro_rules! number_id {
    ($name:ident) => {
        impl $name {
            /// Largest value: both fit Avro `long` and every store's 64-bit integer.
            pub const MAX: Self = Self(i64::MAX as u64);

            /// A number below 2⁶³.
            pub const fn new(n: u64) -> Result<Self, IdError> {
                if n > Self::MAX.0 {
                    return Err(IdError::Number { n });
                }
                Ok(Self(n))
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}
number_id!(Epoch);
number_id!(Seq);

impl Seq {
    /// The first record of a stream in an epoch.
    pub const FIRST: Self = Self(1);

    /// The record after this one.
    ///
    /// Saturates at [`Seq::MAX`]: at a million records a second that is 292,000 years away.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(if self.0 < Self::MAX.0 {
            self.0 + 1
        } else {
            self.0
        })
    }
}

impl Epoch {
    /// Low bits that are random also where the clock is synchronised: a second of microseconds.
    const RANDOM_LOW: u64 = (1 << 20) - 1;

    /// The epoch of a new opening, never that of the opening before.
    ///
    /// `synchronised_now` is wall time where the clock is synchronised: the epoch is that time with its
    /// low 20 bits replaced by random ones. If the epoch before is not below that, the new one is the
    /// one before + 1 + 20 random bits, so epochs grow. Without a synchronised clock the epoch is
    /// `random` alone, below 2⁶². `random` must be different at every opening, also after a restart and
    /// on a copy of the disk: two copies of one image begin with the same epoch before and may read the
    /// same time, and only these bits tell them apart.
    ///
    /// `None` where these bits repeat the epoch before, or no larger one is left: ask again with
    /// other bits.
    #[must_use]
    pub fn for_opening(
        previous: Option<Self>,
        synchronised_now: Option<crate::Timestamp>,
        random: u64,
    ) -> Option<Self> {
        let Some(now) = synchronised_now else {
            let epoch = Self(random & ((1 << 62) - 1));
            return (previous != Some(epoch)).then_some(epoch);
        };
        let low = random & Self::RANDOM_LOW;
        let by_clock = u64::try_from(now.as_micros()).unwrap_or(0) & !Self::RANDOM_LOW | low;
        let epoch = match previous {
            Some(Self(previous)) if previous >= by_clock => previous.checked_add(1 + low)?,
            _ => by_clock,
        };
        Self::new(epoch).ok()
    }
}

/// Names one record for ever: the idempotence key at every stage.
///
/// Written `<device>:<epoch>:<stream>:<seq>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The device that made the record.
    pub device: DeviceId,
    /// The opening of its spool.
    pub epoch: Epoch,
    /// The lineage of schemas.
    pub stream: StreamName,
    /// The number within device, epoch and stream.
    pub seq: Seq,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            device,
            epoch,
            stream,
            seq,
        } = self;
        write!(f, "{device}:{epoch}:{stream}:{seq}")
    }
}

impl FromStr for RecordId {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        let mut parts = s.split(':');
        let mut next = || parts.next().ok_or(IdError::Parts);
        let (device, epoch, stream, seq) = (next()?, next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(IdError::Parts);
        }
        let number = |s: &str| s.parse::<u64>().map_err(|_| IdError::Decimal);
        Ok(Self {
            device: device.parse()?,
            epoch: Epoch::new(number(epoch)?)?,
            stream: stream.parse()?,
            seq: Seq::new(number(seq)?)?,
        })
    }
}

/// A text or number that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not a UUID.
    #[error("not a UUID: expected 32 hex digits, as in 67e55044-10b1-426f-9247-bb680e5fe0c8")]
    Uuid,
    /// The stream name is empty or too long.
    #[error("stream name has {len} bytes, 1 to 128 are allowed")]
    StreamLength {
        /// Length in bytes.
        len: usize,
    },
    /// The stream name has a byte outside `[A-Za-z0-9._]`.
    #[error("stream name: byte {at} is outside [A-Za-z0-9._]")]
    StreamByte {
        /// Offset of the byte.
        at: usize,
    },
    /// An epoch or sequence number of 2⁶³ or more.
    #[error("{n} is not below 2^63")]
    Number {
        /// The number.
        n: u64,
    },
    /// Not a decimal number.
    #[error("not a decimal number")]
    Decimal,
    /// A record id without exactly four parts.
    #[error("a record id is DEVICE:EPOCH:STREAM:SEQ")]
    Parts,
}

crate::error_codes!(IdError {
    Uuid => 1001,
    StreamLength { .. } => 1002,
    StreamByte { .. } => 1003,
    Number { .. } => 1004,
    Decimal => 1005,
    Parts => 1006,
});

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn refuses_bad_names() {
        assert_eq!(StreamName::new(""), Err(IdError::StreamLength { len: 0 }));
        assert_eq!(StreamName::new("a:b"), Err(IdError::StreamByte { at: 1 }));
        assert!(StreamName::new(&"a".repeat(129)).is_err());
        assert!("1:2:3".parse::<RecordId>().is_err());
    }

    #[test]
    fn epochs_rise_with_a_synchronised_clock() {
        let now = Some(crate::Timestamp::from_micros(100 << 20));
        let by_clock = Epoch(100 << 20 | 7);
        assert_eq!(Epoch::for_opening(None, now, 1 << 40 | 7), Some(by_clock));
        // The clock was set back, or both openings are within a second.
        let next = Epoch::for_opening(Some(by_clock), now, 7);
        assert_eq!(next, Some(Epoch(by_clock.0 + 8)));
        let none_is_left = Epoch::for_opening(Some(Epoch::MAX), now, 0);
        assert_eq!(none_is_left, None);
    }

    #[test]
    fn an_epoch_without_a_synchronised_clock_never_repeats_the_one_before() {
        let first = Epoch::for_opening(None, None, 42);
        assert_eq!(first, Some(Epoch(42)));
        assert_eq!(Epoch::for_opening(first, None, 42), None);
        assert_eq!(Epoch::for_opening(first, None, 1), Some(Epoch(1)));
        let large = Epoch::for_opening(first, None, u64::MAX).unwrap();
        assert!(large.get() < 1 << 62);
    }

    #[test]
    fn two_copies_of_an_image_get_two_epochs_at_the_same_time() {
        for micros in [0, 200 << 20, i64::MAX] {
            let now = Some(crate::Timestamp::from_micros(micros));
            let of_copy = |random| Epoch::for_opening(Some(Epoch(100 << 20)), now, random).unwrap();
            assert_ne!(of_copy(1), of_copy(2));
        }
    }

    proptest! {
        #[test]
        fn epochs_differ_from_the_one_before(previous in 0..=Epoch::MAX.0, now: Option<i64>, random: u64) {
            let previous = Epoch(previous);
            let now = now.map(crate::Timestamp::from_micros);
            match Epoch::for_opening(Some(previous), now, random) {
                Some(epoch) if now.is_some() => prop_assert!(previous < epoch && epoch <= Epoch::MAX),
                Some(epoch) => prop_assert!(epoch != previous && epoch.0 < 1 << 62),
                None if now.is_some() => prop_assert!(previous.0 >= Epoch::MAX.0 - (1 << 20)),
                None => prop_assert_eq!(previous.0, random & ((1 << 62) - 1)),
            }
        }

        #[test]
        fn record_ids_round_trip(device: u128, epoch in 0..=Epoch::MAX.0, seq in 1..=Seq::MAX.0, name in "[A-Za-z0-9._]{1,128}") {
            let id = RecordId {
                device: DeviceId::from_u128(device),
                epoch: Epoch(epoch),
                stream: StreamName::new(&name).unwrap(),
                seq: Seq(seq),
            };
            prop_assert_eq!(id.to_string().parse::<RecordId>(), Ok(id));
        }
    }
}
