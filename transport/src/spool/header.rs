//! What every segment opens with: who writes, and what stands behind freed segments.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use telemetry_core::wire::{Reader, WireError, put_bytes, put_long};
use telemetry_core::{
    BootId, ClockMark, ClockQuality, DeviceId, Epoch, Instant, StreamName, Timestamp,
};

use crate::journal::{Frame, Link};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StreamState {
    pub(crate) name: StreamName,
    pub(crate) next_seq: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceState {
    pub(super) name: String,
    /// Serial of the last appended record, 0 for none.
    pub(super) serial: u64,
}

/// State of a spool at one frame of its log. Numbers are places in the tables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) device: DeviceId,
    pub(super) hardware_token: Option<[u8; 16]>,
    pub(crate) epoch: Epoch,
    pub(super) clock: ClockMark,
    pub(crate) streams: Vec<StreamState>,
    pub(super) sources: Vec<SourceState>,
}

pub(super) fn put_clock(out: &mut Vec<u8>, clock: &ClockMark) {
    out.extend_from_slice(&clock.boot.to_bytes());
    out.extend_from_slice(&clock.monotonic.as_nanos().to_le_bytes());
    put_long(out, clock.wall.as_micros());
    put_bytes(out, clock.quality.as_str().as_bytes());
}

pub(super) fn take_clock(input: &mut Reader<'_>) -> Result<ClockMark, WireError> {
    Ok(ClockMark {
        boot: BootId::from_bytes(array(input)?),
        monotonic: Instant::from_nanos(u64::from_le_bytes(array(input)?)),
        wall: Timestamp::from_micros(input.long()?),
        quality: ClockQuality::from_word(input.string()?).unwrap_or_default(),
    })
}

pub(super) fn array<const N: usize>(input: &mut Reader<'_>) -> Result<[u8; N], WireError> {
    let mut bytes = [0; N];
    bytes.copy_from_slice(input.take(N)?);
    Ok(bytes)
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.device.to_bytes());
        put_bytes(
            &mut out,
            self.hardware_token.as_ref().map_or(&[], |t| &t[..]),
        );
        out.extend_from_slice(&self.epoch.get().to_le_bytes());
        put_clock(&mut out, &self.clock);
        self.put_names(&mut out, 0, 0);
        out
    }

    /// Streams and sources from these numbers on.
    pub(super) fn put_names(&self, out: &mut Vec<u8>, stream: usize, source: usize) {
        put_long(out, (self.streams.len() - stream) as i64);
        for stream in &self.streams[stream..] {
            put_bytes(out, stream.name.as_str().as_bytes());
            out.extend_from_slice(&stream.next_seq.to_le_bytes());
        }
        put_long(out, (self.sources.len() - source) as i64);
        for source in &self.sources[source..] {
            put_bytes(out, source.name.as_bytes());
            out.extend_from_slice(&source.serial.to_le_bytes());
        }
    }

    /// The header of a frame; `None` for what no release wrote.
    pub(crate) fn of(frame: &Frame<'_>) -> Option<Self> {
        Self::decode(Link::split(frame.payload)?.1)
    }

    /// `None` for what no release wrote.
    fn decode(payload: &[u8]) -> Option<Self> {
        let mut input = Reader::new(payload);
        let mut header = Self {
            device: DeviceId::from_bytes(array(&mut input).ok()?),
            hardware_token: input.bytes().ok()?.try_into().ok(),
            epoch: Epoch::new(u64::from_le_bytes(array(&mut input).ok()?)).ok()?,
            clock: take_clock(&mut input).ok()?,
            streams: Vec::new(),
            sources: Vec::new(),
        };
        header.take_names(&mut input)?;
        Some(header)
    }

    /// Adds the streams and sources of a frame of names.
    pub(crate) fn add_names(&mut self, frame: &Frame<'_>) -> Option<()> {
        self.take_names(&mut Reader::new(frame.payload))
    }

    fn take_names(&mut self, input: &mut Reader<'_>) -> Option<()> {
        for _ in 0..input.long().ok()? {
            self.streams.push(StreamState {
                name: StreamName::new(input.string().ok()?).ok()?,
                next_seq: u64::from_le_bytes(array(input).ok()?),
            });
        }
        for _ in 0..input.long().ok()? {
            self.sources.push(SourceState {
                name: input.string().ok()?.to_owned(),
                serial: u64::from_le_bytes(array(input).ok()?),
            });
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn clock() -> impl Strategy<Value = ClockMark> {
        let quality = prop_oneof![
            Just(ClockQuality::Unset),
            Just(ClockQuality::FreeRunning),
            Just(ClockQuality::Synchronised),
        ];
        (any::<[u8; 16]>(), any::<u64>(), any::<i64>(), quality).prop_map(
            |(boot, monotonic, wall, quality)| ClockMark {
                boot: BootId::from_bytes(boot),
                monotonic: Instant::from_nanos(monotonic),
                wall: Timestamp::from_micros(wall),
                quality,
            },
        )
    }

    fn header() -> impl Strategy<Value = Header> {
        let stream = ("[A-Za-z][A-Za-z0-9_]{0,20}", any::<u64>());
        let source = (".{0,20}", any::<u64>());
        (
            any::<([u8; 16], Option<[u8; 16]>)>(),
            0..1_u64 << 63,
            clock(),
            vec(stream, 0..5),
            vec(source, 0..5),
        )
            .prop_map(
                |((device, hardware_token), epoch, clock, streams, sources)| Header {
                    device: DeviceId::from_bytes(device),
                    hardware_token,
                    epoch: Epoch::new(epoch).unwrap(),
                    clock,
                    streams: streams
                        .into_iter()
                        .map(|(name, next_seq)| StreamState {
                            name: StreamName::new(&name).unwrap(),
                            next_seq,
                        })
                        .collect(),
                    sources: sources
                        .into_iter()
                        .map(|(name, serial)| SourceState { name, serial })
                        .collect(),
                },
            )
    }

    proptest! {
        #[test]
        fn headers_come_back(header in header()) {
            prop_assert_eq!(Header::decode(&header.encode()), Some(header));
        }

        #[test]
        fn marks_come_back(clock in clock()) {
            let mut bytes = Vec::new();
            put_clock(&mut bytes, &clock);
            prop_assert_eq!(take_clock(&mut Reader::new(&bytes)).ok(), Some(clock));
        }

        #[test]
        fn a_cut_header_is_none(header in header(), cut: prop::sample::Index) {
            let bytes = header.encode();
            prop_assert_eq!(Header::decode(&bytes[..cut.index(bytes.len())]), None);
        }

        #[test]
        fn foreign_bytes_never_panic(header in header(), at: prop::sample::Index, junk in vec(any::<u8>(), 0..60)) {
            Header::decode(&junk);
            let _ = take_clock(&mut Reader::new(&junk));
            let mut bytes = header.encode();
            let at = at.index(bytes.len());
            bytes.splice(at.., junk);
            Header::decode(&bytes);
        }
    }
}
