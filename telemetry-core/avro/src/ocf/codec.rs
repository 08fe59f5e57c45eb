//! Packing and unpacking blocks.

use std::io::{self, Read, Write};

/// How a file's blocks are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// Not at all.
    #[default]
    Null,
    /// Deflate as in RFC 1951.
    Deflate,
    /// Snappy, with a CRC-32 of what was packed.
    Snappy,
    /// Zstandard.
    Zstandard,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

/// Most memory that unpacking xz may take: what its strongest preset needs.
const XZ_MEMORY_MAX: u64 = 66 << 20;

/// Snappy's longest copy makes 64 bytes of 3: a block that claims more is damaged.
const SNAPPY_RATIO_MAX: usize = 22;

impl Codec {
    /// Every codec, with its name in a file.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::Null, "null"),
        (Self::Deflate, "deflate"),
        (Self::Snappy, "snappy"),
        (Self::Zstandard, "zstandard"),
        (Self::Bzip2, "bzip2"),
        (Self::Xz, "xz"),
    ];

    /// Its name in a file.
    pub fn as_str(self) -> &'static str {
        let named = Self::ALL.iter().find(|(codec, _)| *codec == self);
        named.map_or("", |(_, name)| name)
    }

    /// The codec of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = Self::ALL.iter().find(|(_, n)| *n == name);
        named.map(|(codec, _)| *codec)
    }

    pub(super) fn pack(self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Null => Ok(plain.to_vec()),
            Self::Deflate => {
                let level = flate2::Compression::default();
                let mut out = flate2::write::DeflateEncoder::new(Vec::new(), level);
                out.write_all(plain)?;
                out.finish()
            }
            Self::Snappy => {
                let mut out = snap::raw::Encoder::new()
                    .compress_vec(plain)
                    .map_err(io::Error::other)?;
                out.extend_from_slice(&crc32fast::hash(plain).to_be_bytes());
                Ok(out)
            }
            Self::Zstandard => zstd::bulk::compress(plain, zstd::DEFAULT_COMPRESSION_LEVEL),
            Self::Bzip2 => {
                let level = bzip2::Compression::default();
                let mut out = bzip2::write::BzEncoder::new(Vec::new(), level);
                out.write_all(plain)?;
                out.finish()
            }
            Self::Xz => {
                /// What `xz` itself takes when it is not told.
                const PRESET: u32 = 6;
                let mut out = liblzma::write::XzEncoder::new(Vec::new(), PRESET);
                out.write_all(plain)?;
                out.finish()
            }
        }
    }

    /// Unpacks into `out`, which has at most `max` bytes then; `None` if there were more.
    ///
    /// What is allocated follows what comes out, never what the packed bytes claim.
    pub(super) fn unpack(
        self,
        packed: &[u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> io::Result<Option<()>> {
        out.clear();
        match self {
            Self::Null => {
                if packed.len() > max {
                    return Ok(None);
                }
                out.extend_from_slice(packed);
                Ok(Some(()))
            }
            Self::Deflate => read(flate2::read::DeflateDecoder::new(packed), out, max),
            Self::Snappy => snappy(packed, out, max),
            Self::Zstandard => zstandard(packed, out, max),
            Self::Bzip2 => read(bzip2::read::MultiBzDecoder::new(packed), out, max),
            Self::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, flags)
                    .map_err(io::Error::other)?;
                read(
                    liblzma::read::XzDecoder::new_stream(packed, stream),
                    out,
                    max,
                )
            }
        }
    }
}

fn read(from: impl Read, out: &mut Vec<u8>, max: usize) -> io::Result<Option<()>> {
    let read = from.take(max as u64 + 1).read_to_end(out)?;
    Ok((read <= max).then_some(()))
}

fn snappy(packed: &[u8], out: &mut Vec<u8>, max: usize) -> io::Result<Option<()>> {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let (packed, crc) = packed
        .split_last_chunk()
        .ok_or_else(|| damaged("no CRC-32 at the end"))?;
    let len = snap::raw::decompress_len(packed).map_err(io::Error::other)?;
    if len / SNAPPY_RATIO_MAX > packed.len() {
        return Err(damaged("it claims more than it can hold"));
    }
    if len > max {
        return Ok(None);
    }
    out.resize(len, 0);
    snap::raw::Decoder::new()
        .decompress(packed, out)
        .map_err(io::Error::other)?;
    if crc32fast::hash(out) != u32::from_be_bytes(*crc) {
        return Err(damaged("its CRC-32 is another"));
    }
    Ok(Some(()))
}

/// Unpacks in one piece, so that the window that a frame claims is never allocated.
fn zstandard(packed: &[u8], out: &mut Vec<u8>, max: usize) -> io::Result<Option<()>> {
    let mut unpacker = zstd::bulk::Decompressor::new()?;
    let mut room = packed.len().saturating_mul(4).clamp(256, max.max(1));
    loop {
        out.reserve_exact(room);
        match unpacker.decompress_to_buffer(packed, out) {
            Ok(_) => return Ok((out.len() <= max).then_some(())),
            // The library says "too small" in words alone: more room tells it from damage.
            Err(error) if room >= max => {
                let says_small = error.to_string().contains("too small");
                return if says_small { Ok(None) } else { Err(error) };
            }
            Err(error) if error.to_string().contains("too small") => {
                room = room.saturating_mul(2).min(max);
            }
            Err(error) => return Err(error),
        }
    }
}
