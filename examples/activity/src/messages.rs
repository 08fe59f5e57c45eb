//! FIT messages out of bytes, by the rules of the protocol and without a profile.
//!
//! A file is one or more parts, each with a header, messages and a checksum. A *definition* says
//! for one of 16 local numbers which message follows under it, with the number, size and type of
//! each field; a *data* message is those fields' bytes. So whatever the fields mean, the next
//! message is always found, and no type in the file is replaced by another.

use std::io::{self, Read as _};
use std::ops::Range;

use crate::fault::{Fault, Format};
use crate::source::{Bytes, Source};
use crate::value::Field;
use crate::{BYTES_MAX, FAULTS_MAX};

/// Bytes asked of the source at once.
const BUFFER: usize = 32 * 1024;

/// Number of the field that is the time in every message.
const TIMESTAMP: u8 = 253;

/// A data message.
pub(crate) struct Message<'a> {
    /// Which message, by its number in FIT's profile.
    pub(crate) number: u16,
    /// Part of the file, from 0: developer fields are described anew in each.
    pub(crate) part: u32,
    /// Seconds since the FIT epoch, as the recorder's clock had them.
    pub(crate) time: Option<u32>,
    definition: &'a Definition,
    bytes: &'a [u8],
}

/// What a developer's program added to a message.
pub(crate) struct DeveloperField<'a> {
    /// Which program, and which of its fields: its [`Description`](crate::late::Description).
    pub(crate) key: (u8, u8),
    pub(crate) bytes: &'a [u8],
    pub(crate) big_endian: bool,
}

impl<'a> Message<'a> {
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let big_endian = self.definition.big_endian;
        parts(&self.definition.fields, self.bytes).map(move |([number, _, base], bytes)| Field {
            number,
            base,
            big_endian,
            bytes,
        })
    }

    pub(crate) fn field(&self, number: u8) -> Option<Field<'a>> {
        self.fields().find(|field| field.number == number)
    }

    pub(crate) fn developer_fields(&self) -> impl Iterator<Item = DeveloperField<'a>> + use<'a> {
        let big_endian = self.definition.big_endian;
        let bytes = &self.bytes[size(&self.definition.fields)..];
        parts(&self.definition.developer, bytes).map(move |([number, _, index], bytes)| {
            DeveloperField {
                key: (index, number),
                bytes,
                big_endian,
            }
        })
    }
}

/// Each field's three bytes of definition with its bytes. They fit: the message has their sum.
fn parts<'a>(
    fields: &'a [[u8; 3]],
    mut bytes: &'a [u8],
) -> impl Iterator<Item = ([u8; 3], &'a [u8])> {
    fields.iter().map(move |field| {
        let (head, rest) = bytes.split_at(usize::from(field[1]).min(bytes.len()));
        bytes = rest;
        (*field, head)
    })
}

fn size(fields: &[[u8; 3]]) -> usize {
    fields.iter().map(|field| usize::from(field[1])).sum()
}

/// Number, size and type of a message's fields; of a developer's fields number, size and program.
#[derive(Clone, Debug, Default)]
struct Definition {
    number: u16,
    big_endian: bool,
    fields: Vec<[u8; 3]>,
    developer: Vec<[u8; 3]>,
}

/// What comes next.
enum Place {
    Header,
    /// Messages up to this byte; `None` where the recorder never wrote the length.
    Messages(Option<u64>),
    Over,
}

/// What one step found.
enum Step {
    Data { local: u8, time: Option<u32> },
    Other,
    End,
}

/// The data messages of a file, one after another.
pub(crate) struct Messages {
    input: Input,
    place: Place,
    part: u32,
    definitions: [Option<Definition>; 16],
    /// The newest time in this part: times in message headers count on from it.
    time: Option<u32>,
    faults: Vec<(u64, Fault)>,
    /// Zeros after the end.
    padding: u64,
}

impl Messages {
    pub(crate) fn open(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            input: Input::new(source.open()?),
            place: Place::Header,
            part: 0,
            definitions: Default::default(),
            time: None,
            faults: Vec::new(),
            padding: 0,
        })
    }

    /// What could not be read, with the byte at which it was noticed; whole after the last message.
    pub(crate) fn faults(&self) -> &[(u64, Fault)] {
        &self.faults
    }

    /// Zeros after the end, which some recorders and cards leave.
    pub(crate) const fn padding(&self) -> u64 {
        self.padding
    }

    pub(crate) fn next(&mut self) -> Option<Message<'_>> {
        loop {
            match self.step() {
                Ok(Step::Data { local, time }) => {
                    let definition = self.definitions[usize::from(local)].as_ref()?;
                    return Some(Message {
                        number: definition.number,
                        part: self.part,
                        time,
                        definition,
                        bytes: self.input.taken(),
                    });
                }
                Ok(Step::Other) => {}
                Ok(Step::End) => return None,
                Err((position, fault)) => {
                    self.faults.push((position, fault));
                    self.place = Place::Over;
                    return None;
                }
            }
        }
    }

    fn step(&mut self) -> Result<Step, (u64, Fault)> {
        let start = self.input.position;
        if start > BYTES_MAX {
            return Err((start, Fault::TooLong));
        }
        match self.place {
            Place::Over => Ok(Step::End),
            Place::Header if start == 0 => self.first_header(),
            Place::Header => self.next_header(),
            Place::Messages(Some(end)) if start >= end => self.checksum(),
            Place::Messages(end) => match self.message(end) {
                // Without a length, the end is where the bytes stop making sense.
                Err((_, Fault::Truncated | Fault::NoDefinition { .. })) if end.is_none() => {
                    Err((start, Fault::NotClosed))
                }
                step => step,
            },
        }
    }

    fn first_header(&mut self) -> Result<Step, (u64, Fault)> {
        let begins = self.input.ahead(1024).map_err(|fault| (0, fault))?;
        let known = |at: usize| begins.get(at..at + 4) == Some(b".FIT");
        match begins {
            [] => Err((0, Fault::Empty)),
            [12 | 14, ..] if known(8) => self.header(),
            [size, ..] if known(8) => Err((0, Fault::HeaderSize(*size))),
            _ => Err((0, Fault::Foreign(Format::of(begins)))),
        }
    }

    /// Behind a part comes another one, or nothing; or what does not belong there.
    fn next_header(&mut self) -> Result<Step, (u64, Fault)> {
        let start = self.input.position;
        let begins = self.input.ahead(1024).map_err(|fault| (start, fault))?;
        match begins {
            [] => {
                self.place = Place::Over;
                Ok(Step::End)
            }
            [12 | 14, _, _, _, _, _, _, _, b'.', b'F', b'I', b'T', ..] => {
                self.part += 1;
                self.header()
            }
            _ => {
                let (bytes, zeros) = self.input.drain().map_err(|fault| (start, fault))?;
                if !zeros {
                    return Err((start, Fault::Trailing { bytes }));
                }
                self.padding = bytes;
                self.place = Place::Over;
                Ok(Step::End)
            }
        }
    }

    fn header(&mut self) -> Result<Step, (u64, Fault)> {
        let start = self.input.position;
        self.input.crc = 0;
        self.input.take(12, None)?;
        let [size, _, _, _, a, b, c, d, ..] = *self.input.taken() else {
            return Err((start, Fault::Truncated));
        };
        let given = self.input.crc;
        if size == 14 {
            self.input.take(2, None)?;
            let said = self.input.two();
            // Zero says that the header has no checksum of its own. The file's covers it either
            // way: over bytes with their right checksum behind them, it comes to 0.
            if said != 0 && said != given {
                self.note(start, Fault::HeaderChecksum { said, given })?;
            }
        }
        let length = u32::from_le_bytes([a, b, c, d]);
        self.definitions = Default::default();
        self.time = None;
        self.place = Place::Messages(match length {
            0 | u32::MAX => None,
            length => Some(self.input.position + u64::from(length)),
        });
        Ok(Step::Other)
    }

    fn message(&mut self, end: Option<u64>) -> Result<Step, (u64, Fault)> {
        let start = self.input.position;
        self.input.take(1, end)?;
        let header = self.input.taken()[0];
        if header & 0xc0 == 0x40 {
            return self.definition(header, end);
        }
        let short = header & 0x80 != 0;
        let local = if short { header >> 5 & 3 } else { header & 15 };
        let Some(definition) = &self.definitions[usize::from(local)] else {
            return Err((start, Fault::NoDefinition { local }));
        };
        self.input
            .take(size(&definition.fields) + size(&definition.developer), end)?;
        let bytes = self.input.taken();
        if end.is_none() && header == 0 && bytes.iter().all(|byte| *byte == 0) {
            // A card gives zeros where the recorder reserved room and wrote nothing.
            return Err((start, Fault::NotClosed));
        }
        let own = parts(&definition.fields, bytes).find(|([number, ..], _)| *number == TIMESTAMP);
        let own = own.and_then(|([number, _, base], bytes)| {
            let big_endian = definition.big_endian;
            let field = Field {
                number,
                base,
                big_endian,
                bytes,
            };
            field.number().map(|time| time as u32)
        });
        let counted = || {
            // Five bits that count on from the newest time, and roll over.
            let last = self.time.filter(|_| short)?;
            Some(last.wrapping_add(u32::from(header & 31).wrapping_sub(last) & 31))
        };
        let time = own.or_else(counted);
        self.time = time.or(self.time);
        Ok(Step::Data { local, time })
    }

    fn definition(&mut self, header: u8, end: Option<u64>) -> Result<Step, (u64, Fault)> {
        self.input.take(5, end)?;
        let [_, order, low, high, count] = *self.input.taken() else {
            return Err((self.input.position, Fault::Truncated));
        };
        let big_endian = order != 0;
        let number = if big_endian {
            u16::from_be_bytes([low, high])
        } else {
            u16::from_le_bytes([low, high])
        };
        let fields = self.field_definitions(count, end)?;
        let developer = if header & 0x20 == 0 {
            Vec::new()
        } else {
            self.input.take(1, end)?;
            self.field_definitions(self.input.taken()[0], end)?
        };
        self.definitions[usize::from(header & 15)] = Some(Definition {
            number,
            big_endian,
            fields,
            developer,
        });
        Ok(Step::Other)
    }

    fn field_definitions(
        &mut self,
        count: u8,
        end: Option<u64>,
    ) -> Result<Vec<[u8; 3]>, (u64, Fault)> {
        self.input.take(3 * usize::from(count), end)?;
        Ok(self.input.taken().as_chunks().0.to_vec())
    }

    fn checksum(&mut self) -> Result<Step, (u64, Fault)> {
        let (start, given) = (self.input.position, self.input.crc);
        self.place = Place::Header;
        match self.input.take(2, None) {
            Ok(()) => {
                let said = self.input.two();
                if said != given {
                    self.note(start, Fault::Checksum { said, given })?;
                }
            }
            Err((_, Fault::Truncated)) => self.note(start, Fault::NoChecksum)?,
            Err(error) => return Err(error),
        }
        Ok(Step::Other)
    }

    /// Keeps a fault behind which reading goes on.
    fn note(&mut self, position: u64, fault: Fault) -> Result<(), (u64, Fault)> {
        if self.faults.len() + 1 >= FAULTS_MAX {
            return Err((position, Fault::TooMany));
        }
        self.faults.push((position, fault));
        Ok(())
    }
}

impl Format {
    /// What bytes without a FIT header look like.
    fn of(begins: &[u8]) -> Self {
        let text = String::from_utf8_lossy(begins);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        match text {
            _ if begins.starts_with(b"PK\x03\x04") => Self::Zip,
            _ if text.starts_with('<') && text.contains("<gpx") => Self::Gpx,
            _ if text.starts_with('<') && text.contains("<TrainingCenterDatabase") => Self::Tcx,
            _ if text.starts_with("<?xml") => Self::Xml,
            _ if text.starts_with(['{', '[']) => Self::Json,
            _ if begins.len() < 12 => Self::Short {
                bytes: begins.len(),
            },
            _ => Self::Unknown,
        }
    }
}

/// Bytes with their position and running checksum.
struct Input {
    bytes: Bytes,
    /// What was read and not taken yet, and before it what was taken last.
    buffer: Vec<u8>,
    /// Where in the buffer the next byte is.
    next: usize,
    /// Where in the buffer is what was taken last.
    taken: Range<usize>,
    at_end: bool,
    position: u64,
    crc: u16,
}

impl Input {
    const fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            buffer: Vec::new(),
            next: 0,
            taken: 0..0,
            at_end: false,
            position: 0,
            crc: 0,
        }
    }

    /// The bytes that come next: at least so many, unless the file ends before.
    fn ahead(&mut self, least: usize) -> Result<&[u8], Fault> {
        if self.buffer.len() - self.next < least && !self.at_end {
            self.buffer.drain(..self.next);
            (self.next, self.taken) = (0, 0..0);
            let wanted = least.max(BUFFER) - self.buffer.len();
            let read = (&mut self.bytes.reader)
                .take(wanted as u64)
                .read_to_end(&mut self.buffer)
                .map_err(|error| read_fault(self.bytes.packed, &error))?;
            self.at_end = read < wanted;
        }
        Ok(&self.buffer[self.next..])
    }

    /// Takes the next `len` bytes, of which none lies behind `end`.
    ///
    /// There are at most 2 × 255 fields of 255 bytes in a message, so the buffer stays small.
    fn take(&mut self, len: usize, end: Option<u64>) -> Result<(), (u64, Fault)> {
        if end.is_some_and(|end| self.position + len as u64 > end) {
            return Err((self.position, Fault::Truncated));
        }
        let found = self.ahead(len).map(<[u8]>::len);
        let found = found.map_err(|fault| (self.position, fault))?.min(len);
        self.position += found as u64;
        self.taken = self.next..self.next + found;
        self.next += found;
        if found < len {
            return Err((self.position, Fault::Truncated));
        }
        self.crc = crc(self.crc, &self.buffer[self.taken.clone()]);
        Ok(())
    }

    fn taken(&self) -> &[u8] {
        &self.buffer[self.taken.clone()]
    }

    /// The two bytes that were taken, as a number.
    fn two(&self) -> u16 {
        match self.taken() {
            [low, high] => u16::from_le_bytes([*low, *high]),
            _ => 0,
        }
    }

    /// Reads to the end: how many bytes, and whether all are zero.
    fn drain(&mut self) -> Result<(u64, bool), Fault> {
        let (mut bytes, mut zeros) = (0, true);
        loop {
            let chunk = self.ahead(1)?;
            if chunk.is_empty() {
                return Ok((bytes, zeros));
            }
            zeros &= chunk.iter().all(|byte| *byte == 0);
            let len = chunk.len();
            bytes += len as u64;
            if self.position + bytes > BYTES_MAX {
                return Err(Fault::TooLong);
            }
            self.next += len;
        }
    }
}

fn read_fault(packed: bool, error: &io::Error) -> Fault {
    use io::ErrorKind::{InvalidData, InvalidInput, IsADirectory, UnexpectedEof};
    match error.kind() {
        InvalidData | InvalidInput | UnexpectedEof if packed => Fault::Gzip(error.to_string()),
        IsADirectory => Fault::Folder,
        _ => Fault::Io(error.to_string()),
    }
}

/// FIT's checksum: CRC-16 with the polynomial 0xA001, four bits at a time.
fn crc(mut crc: u16, bytes: &[u8]) -> u16 {
    const TABLE: [u16; 16] = [
        0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401, 0xa001, 0x6c00, 0x7800,
        0xb401, 0x5000, 0x9c01, 0x8801, 0x4400,
    ];
    for byte in bytes {
        for half in [byte & 15, byte >> 4] {
            crc = crc >> 4 ^ TABLE[usize::from((crc ^ u16::from(half)) & 15)];
        }
    }
    crc
}
