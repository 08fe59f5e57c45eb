//! The wire format: 8 bytes of header, then arguments in 32-bit words, all native-endian.

use alloc::vec::Vec;

use crate::Handle;

/// Bytes of a message header: object id, then `length << 16 | opcode`.
pub(crate) const HEADER: usize = 8;
/// Longest message, header included; libwayland's own buffer has this size.
pub(crate) const MESSAGE_MAX: usize = 4096;
/// Most arguments of any message in the tables (`wl_output.geometry`).
const ARGUMENTS_MAX: usize = 8;

/// One request or event in the tables.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) name: &'static str,
    /// One letter per argument as in libwayland: `i u f s o n a h`, `?` before a nullable one.
    pub(crate) signature: &'static str,
    /// First version of the interface that has it.
    pub(crate) since: u32,
    /// Whether it destroys the object.
    pub(crate) destructor: bool,
}

impl Message {
    fn kinds(&self) -> impl Iterator<Item = (bool, u8)> {
        let mut nullable = false;
        self.signature.bytes().filter_map(move |b| {
            if b == b'?' {
                nullable = true;
                return None;
            }
            Some((core::mem::take(&mut nullable), b))
        })
    }

    /// How many file descriptors the message takes from the queue.
    pub(crate) fn handles(&self) -> usize {
        self.signature.bytes().filter(|b| *b == b'h').count()
    }
}

/// One interface in the tables.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) name: &'static str,
    /// Newest version of the protocol; what is offered may be older.
    pub(crate) version: u32,
    pub(crate) requests: &'static [Message],
    pub(crate) events: &'static [Message],
}

/// One argument. `Uint` also stands for new ids, `None` for a null string or object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Arg<'a> {
    Int(i32),
    Uint(u32),
    Text(Option<&'a str>),
    Object(u32),
    Array(&'a [u8]),
    Handle(Handle),
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) object: u32,
    pub(crate) opcode: u16,
    /// Whole message in bytes. Not checked.
    pub(crate) len: usize,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

/// The header at the start of `bytes`, `None` while it is incomplete.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let second = word(bytes, 4)?;
    Some(Header {
        object: word(bytes, 0)?,
        opcode: (second & 0xffff) as u16,
        len: (second >> 16) as usize,
    })
}

/// The arguments of one request, checked against its signature.
#[derive(Debug)]
pub(crate) struct Args<'a> {
    items: [Arg<'a>; ARGUMENTS_MAX],
}

impl<'a> Args<'a> {
    /// Decodes `body`, the message without its header. Takes the file descriptors it names from
    /// `next_handle`, which must have as many as [`Message::handles`] says.
    pub(crate) fn decode(
        message: &Message,
        body: &'a [u8],
        mut next_handle: impl FnMut() -> Option<Handle>,
    ) -> Result<Self, &'static str> {
        let mut items = [Arg::Uint(0); ARGUMENTS_MAX];
        let mut at = 0;
        for ((nullable, kind), item) in message.kinds().zip(&mut items) {
            if kind == b'h' {
                *item = Arg::Handle(next_handle().ok_or("file descriptor is missing")?);
                continue;
            }
            let value = word(body, at).ok_or("message is shorter than its arguments")?;
            at += 4;
            *item = match kind {
                b'i' | b'f' => Arg::Int(value as i32),
                b'o' if value == 0 && !nullable => return Err("object must not be null"),
                b'o' => Arg::Object(value),
                b's' | b'a' => {
                    let len = value as usize;
                    let data = at
                        .checked_add(len)
                        .and_then(|end| body.get(at..end))
                        .ok_or("string or array is longer than the message")?;
                    at += len.next_multiple_of(4);
                    match (kind, data.split_last()) {
                        (b'a', _) => Arg::Array(data),
                        (_, None) if nullable => Arg::Text(None),
                        (_, Some((0, text))) if !text.contains(&0) => Arg::Text(Some(
                            core::str::from_utf8(text).map_err(|_| "string is not UTF-8")?,
                        )),
                        _ => return Err("string must end with its only NUL"),
                    }
                }
                _ => Arg::Uint(value),
            };
        }
        if at != body.len() {
            return Err("message length does not match its arguments");
        }
        Ok(Self { items })
    }

    pub(crate) fn int(&self, i: usize) -> i32 {
        match self.items[i] {
            Arg::Int(v) => v,
            other => mismatch(other, 0),
        }
    }

    pub(crate) fn uint(&self, i: usize) -> u32 {
        match self.items[i] {
            Arg::Uint(v) => v,
            other => mismatch(other, 0),
        }
    }

    /// An object id, 0 for null.
    pub(crate) fn object(&self, i: usize) -> u32 {
        match self.items[i] {
            Arg::Object(v) => v,
            other => mismatch(other, 0),
        }
    }

    /// A string, empty for null.
    pub(crate) fn text(&self, i: usize) -> &'a str {
        match self.items[i] {
            Arg::Text(v) => v.unwrap_or(""),
            other => mismatch(other, ""),
        }
    }

    pub(crate) fn array(&self, i: usize) -> &'a [u8] {
        match self.items[i] {
            Arg::Array(v) => v,
            other => mismatch(other, &[]),
        }
    }

    pub(crate) fn handle(&self, i: usize) -> Option<Handle> {
        match self.items[i] {
            Arg::Handle(v) => Some(v),
            other => mismatch(other, None),
        }
    }
}

/// A handler that asks for another type than the signature has is our mistake, found by any test
/// that sends the message; in the field it reads a harmless value.
fn mismatch<T>(found: Arg<'_>, harmless: T) -> T {
    debug_assert!(false, "argument is {found:?}");
    harmless
}

/// Appends one message to `out`. `Arg::Handle` occupies no bytes.
pub(crate) fn encode(out: &mut Vec<u8>, object: u32, opcode: u16, args: &[Arg<'_>]) {
    let start = out.len();
    out.extend_from_slice(&object.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    for arg in args {
        match *arg {
            Arg::Int(v) => out.extend_from_slice(&v.to_ne_bytes()),
            Arg::Uint(v) | Arg::Object(v) => out.extend_from_slice(&v.to_ne_bytes()),
            Arg::Text(None) => out.extend_from_slice(&[0; 4]),
            Arg::Text(Some(text)) => {
                out.extend_from_slice(&(text.len() as u32 + 1).to_ne_bytes());
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
            Arg::Array(data) => {
                out.extend_from_slice(&(data.len() as u32).to_ne_bytes());
                out.extend_from_slice(data);
            }
            Arg::Handle(_) => {}
        }
        let padded = start + (out.len() - start).next_multiple_of(4);
        out.resize(padded, 0);
    }
    let len = out.len() - start;
    debug_assert!(len <= MESSAGE_MAX, "event of {len} bytes");
    let second = (len as u32) << 16 | u32::from(opcode);
    out[start + 4..start + HEADER].copy_from_slice(&second.to_ne_bytes());
}

/// Whether `args` are what the signature of `message` asks for.
pub(crate) fn fits(message: &Message, args: &[Arg<'_>]) -> bool {
    let ok = |((nullable, kind), arg): ((bool, u8), &Arg<'_>)| match arg {
        Arg::Int(_) => matches!(kind, b'i' | b'f'),
        Arg::Uint(_) => matches!(kind, b'u' | b'n'),
        Arg::Text(text) => kind == b's' && (nullable || text.is_some()),
        Arg::Object(id) => kind == b'o' && (nullable || *id != 0),
        Arg::Array(_) => kind == b'a',
        Arg::Handle(_) => kind == b'h',
    };
    message.kinds().count() == args.len() && message.kinds().zip(args).all(ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Message = Message {
        name: "all",
        signature: "iuf?soanh",
        since: 1,
        destructor: false,
    };
    const SEVEN: Message = Message {
        name: "seven",
        signature: "iu?soanh",
        since: 1,
        destructor: false,
    };

    #[test]
    fn counts_handles() {
        assert_eq!((ALL.handles(), ALL.kinds().count()), (1, 8));
    }

    proptest! {
        #[test]
        fn decodes_what_it_encodes(
            int: i32, uint: u32, text in proptest::option::of("[^\0]{0,40}"), object in 1u32..,
            array in proptest::collection::vec(any::<u8>(), 0..50), id: u32,
        ) {
            let args = [
                Arg::Int(int), Arg::Uint(uint), Arg::Text(text.as_deref()), Arg::Object(object),
                Arg::Array(&array), Arg::Uint(id), Arg::Handle(Handle(7)),
            ];
            prop_assert!(fits(&SEVEN, &args));
            let mut bytes = Vec::new();
            encode(&mut bytes, 9, 3, &args);
            let head = header(&bytes).unwrap();
            prop_assert_eq!(head, Header { object: 9, opcode: 3, len: bytes.len() });
            let back = Args::decode(&SEVEN, &bytes[HEADER..], || Some(Handle(7))).unwrap();
            prop_assert_eq!(&back.items[..7], &args[..]);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = header(&bytes);
            let _ = Args::decode(&ALL, &bytes, || None);
            let _ = Args::decode(&SEVEN, &bytes, || Some(Handle(1)));
        }
    }
}
