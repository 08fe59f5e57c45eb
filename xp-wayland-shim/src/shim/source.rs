//! `xp_telemetry_v1`: records with serials, bounded by credit, never dropped.

use alloc::string::String;
use alloc::vec::Vec;

use super::client::{Client, DISPLAY, Fault, Outcome, display_error};
use super::{Context, Output, Refusal, Shim, SourceId};
use crate::InputError;
use crate::limits::{REASON_BYTES_MAX, RECORD_BYTES_MAX, SCHEMA_BYTES_MAX, SOURCE_NAME_BYTES_MAX};
use crate::object::Kind;
use crate::tables::{xp_telemetry_manager_v1, xp_telemetry_source_v1};
use crate::wire::{Arg, Args};

/// Values of the `error` enums of the protocol's XML.
mod error {
    pub(super) const INVALID_NAME: u32 = 0;
    pub(super) const IN_USE: u32 = 1;
    pub(super) const NOT_RESUMED: u32 = 0;
    pub(super) const NO_CREDIT: u32 = 1;
    pub(super) const GAP: u32 = 2;
    pub(super) const INVALID_RECORD: u32 = 3;
    pub(super) const INVALID_SCHEMA: u32 = 4;
    pub(super) const NO_SCHEMA: u32 = 5;
}

#[derive(Debug)]
pub(super) struct Source {
    id: SourceId,
    name: String,
    resumed: bool,
    /// Last serial received.
    last: u64,
    durable: u64,
    /// Records the client may still send.
    credit: u32,
    /// Chunks of a schema whose last one has not come.
    schema: Vec<u8>,
    /// A schema was announced, and no other one has begun.
    schema_whole: bool,
}

/// A serial as its high and its low half.
fn halves(serial: u64) -> [Arg<'static>; 2] {
    [Arg::Uint((serial >> 32) as u32), Arg::Uint(serial as u32)]
}

impl Client {
    pub(super) fn manager(
        &mut self,
        cx: &mut Context,
        manager: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        if opcode != xp_telemetry_manager_v1::request::OPEN {
            return Ok(());
        }
        let (object, name) = (args.uint(0), args.text(1));
        self.create(cx, object, Kind::Source, self.version(manager))?;
        if name.is_empty() || name.len() > SOURCE_NAME_BYTES_MAX {
            let message = "source name must have 1 to 128 bytes";
            return Err(Fault::new(manager, error::INVALID_NAME, message));
        }
        if cx.names.contains_key(name) {
            let message = "source is open already";
            return Err(Fault::new(manager, error::IN_USE, message));
        }
        if self.sources.len() >= cx.limits.sources_max {
            return Err(Fault::limit("too many sources"));
        }
        cx.sources_opened += 1;
        let id = SourceId(cx.sources_opened);
        cx.names.insert(name.into(), id);
        cx.sources.insert(id, (self.id, object));
        let source = Source {
            id,
            name: name.into(),
            resumed: false,
            last: 0,
            durable: 0,
            credit: 0,
            schema: Vec::new(),
            schema_whole: false,
        };
        self.sources.insert(object, source);
        cx.outputs.push_back(Output::SourceOpened {
            client: self.id,
            source: id,
            name: name.into(),
        });
        Ok(())
    }

    pub(super) fn source(
        &mut self,
        cx: &mut Context,
        object: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        match opcode {
            xp_telemetry_source_v1::request::DESTROY => self.source_closed(cx, object),
            xp_telemetry_source_v1::request::SCHEMA => {
                self.schema(cx, object, args.array(0), args.uint(1) != 0)?;
            }
            xp_telemetry_source_v1::request::RECORD => {
                let serial = u64::from(args.uint(0)) << 32 | u64::from(args.uint(1));
                self.record(cx, object, serial, args.array(2))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn schema(&mut self, cx: &mut Context, object: u32, chunk: &[u8], last: bool) -> Outcome {
        let Some(source) = self.sources.get_mut(&object) else {
            return Ok(());
        };
        let invalid = |message: &'static str| Fault::new(object, error::INVALID_SCHEMA, message);
        source.schema_whole = false;
        if source.schema.len() + chunk.len() > SCHEMA_BYTES_MAX {
            return Err(invalid("schema of more than 64 KiB"));
        }
        source.schema.extend_from_slice(chunk);
        if !last {
            return Ok(());
        }
        let text = String::from_utf8(core::mem::take(&mut source.schema))
            .map_err(|_| invalid("schema is not UTF-8"))?;
        if text.is_empty() {
            return Err(invalid("schema is empty"));
        }
        source.schema_whole = true;
        cx.outputs.push_back(Output::SchemaAnnounced {
            source: source.id,
            text,
        });
        Ok(())
    }

    fn record(&mut self, cx: &mut Context, object: u32, serial: u64, bytes: &[u8]) -> Outcome {
        let Some(source) = self.sources.get_mut(&object) else {
            return Ok(());
        };
        let fault = |error, message: &'static str| Err(Fault::new(object, error, message));
        if !source.resumed {
            return fault(error::NOT_RESUMED, "record before resume");
        }
        if source.credit == 0 {
            return fault(error::NO_CREDIT, "record without credit");
        }
        if bytes.is_empty() || bytes.len() > RECORD_BYTES_MAX {
            return fault(error::INVALID_RECORD, "record must have 1 to 4000 bytes");
        }
        if serial <= source.last {
            let durable = halves(source.durable);
            cx.stats.records_repeated += 1;
            self.send(object, xp_telemetry_source_v1::event::DURABLE, &durable);
            // The record used a credit that nothing else would give back.
            let event = xp_telemetry_source_v1::event::CREDIT;
            self.send(object, event, &[Arg::Uint(1)]);
            return Ok(());
        }
        if !source.schema_whole {
            return fault(error::NO_SCHEMA, "record before its schema");
        }
        if serial != source.last + 1 {
            return fault(error::GAP, "serial after the next one");
        }
        source.last = serial;
        source.credit -= 1;
        cx.stats.records += 1;
        cx.outputs.push_back(Output::Record {
            source: source.id,
            serial,
            bytes: bytes.into(),
        });
        Ok(())
    }

    /// Frees a source's name and tells the caller.
    pub(super) fn source_closed(&mut self, cx: &mut Context, object: u32) {
        if let Some(source) = self.sources.remove(&object) {
            cx.names.remove(&source.name);
            cx.sources.remove(&source.id);
            cx.outputs
                .push_back(Output::SourceClosed { source: source.id });
        }
    }
}

impl Shim {
    /// The owner of an open source, its object, and its state.
    fn open_source(&mut self, id: SourceId) -> Result<(&mut Client, u32), InputError> {
        let unknown = InputError::UnknownSource { source_id: id };
        let &(client, object) = self.cx.sources.get(&id).ok_or(unknown.clone())?;
        let client = self.clients.get_mut(&client).ok_or(unknown)?;
        Ok((client, object))
    }

    /// [`Input::Resume`](super::Input::Resume).
    pub(super) fn resume(&mut self, id: SourceId, serial: u64) -> Result<(), InputError> {
        let window = self.cx.limits.record_window;
        let (client, object) = self.open_source(id)?;
        if let Some(source) = client.sources.get_mut(&object) {
            if source.resumed {
                return Err(InputError::Resumed { source_id: id });
            }
            source.resumed = true;
            source.last = serial;
            source.durable = serial;
            source.credit = window;
        }
        use xp_telemetry_source_v1::event;
        client.send(object, event::RESUME, &halves(serial));
        client.send(object, event::CREDIT, &[Arg::Uint(window)]);
        Ok(())
    }

    /// [`Input::Refuse`](super::Input::Refuse).
    pub(super) fn refuse(
        &mut self,
        id: SourceId,
        refusal: Refusal,
        reason: &str,
    ) -> Result<(), InputError> {
        let unknown = InputError::UnknownSource { source_id: id };
        let &(client, object) = self.cx.sources.get(&id).ok_or(unknown.clone())?;
        let client = self.clients.get_mut(&client).ok_or(unknown)?;
        let (object, error) = match refusal {
            Refusal::Schema => (object, error::INVALID_SCHEMA),
            Refusal::Record => (object, error::INVALID_RECORD),
            Refusal::Limit => (DISPLAY, display_error::NO_MEMORY),
        };
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        // A NUL would end the text within the message.
        let message = reason[..end].replace('\0', " ");
        client.fail(&mut self.cx, Fault::new(object, error, message));
        Ok(())
    }

    /// [`Input::Durable`](super::Input::Durable).
    pub(super) fn durable(&mut self, id: SourceId, serial: u64) -> Result<(), InputError> {
        let (client, object) = self.open_source(id)?;
        let Some(source) = client.sources.get_mut(&object) else {
            return Ok(());
        };
        if serial > source.last {
            return Err(InputError::NotReceived {
                source_id: id,
                serial,
                last: source.last,
            });
        }
        let Some(count) = serial.checked_sub(source.durable).filter(|n| *n > 0) else {
            return Ok(());
        };
        source.durable = serial;
        // At most the window is on its way, so the number fits.
        let credit = u32::try_from(count).unwrap_or(u32::MAX);
        source.credit = source.credit.saturating_add(credit);
        use xp_telemetry_source_v1::event;
        client.send(object, event::DURABLE, &halves(serial));
        client.send(object, event::CREDIT, &[Arg::Uint(credit)]);
        Ok(())
    }
}
