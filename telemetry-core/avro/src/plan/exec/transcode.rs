//! A writer's bytes to a reader's bytes, without values in between.

use alloc::vec::Vec;

use crate::plan::op::{Op, OpId, RecordOp};
use crate::plan::program::Way;
use crate::plan::promotion::AsScalar;
use crate::plan::{Cursor, DecodeError, DecodeLimits, Plan, Scalar};
use crate::wire::{self, Reader};

impl Plan {
    /// Reads one datum of the writer and appends the datum that a writer with the reader's schema
    /// would have written. On an error `out` is as before.
    ///
    /// Blocks of arrays and maps stay the blocks they were.
    ///
    /// ```
    /// use telemetry_avro::{Plan, Schema, wire::Reader};
    ///
    /// let writer = Schema::parse(r#"{"type":"enum","name":"E","symbols":["A","B"]}"#)?;
    /// let reader = Schema::parse(r#"{"type":"enum","name":"E","symbols":["B","A"]}"#)?;
    /// let mut out = Vec::new();
    /// Plan::compile(&writer, &reader)?.transcode(&mut Reader::new(&[0]), &mut out)?;
    /// assert_eq!(out, [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transcode(&self, input: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        self.transcode_with(input, out, DecodeLimits::default())
    }

    /// Transcodes one datum within `limits`.
    pub fn transcode_with(
        &self,
        input: &mut Reader<'_>,
        out: &mut Vec<u8>,
        limits: DecodeLimits,
    ) -> Result<(), DecodeError> {
        let start = out.len();
        let result = Cursor::run(self, input, limits, |cursor| {
            cursor.transcode(self.root, out)
        });
        if result.is_err() {
            out.truncate(start);
        }
        result
    }
}

impl Cursor<'_, '_> {
    fn transcode(&mut self, id: OpId, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let plan = self.plan;
        match plan.op(id) {
            Op::Scalar(promotion) => {
                put(promotion.read(&mut self.datum.input, AsScalar)?, out);
            }
            Op::Fixed { size } => out.extend_from_slice(self.datum.input.take(*size)?),
            Op::Enum { symbols, problem } => {
                wire::put_long(out, i64::from(self.symbol(symbols, *problem)?));
            }
            Op::Array { item, min } => {
                self.datum.enter()?;
                while let Some(block) = self.datum.block(*min as usize)? {
                    wire::put_long(out, block.count as i64);
                    for _ in 0..block.count {
                        self.transcode(*item, out)?;
                    }
                    self.datum.close(&block)?;
                }
                out.push(0);
                self.datum.leave();
            }
            Op::Map { value, min } => {
                self.datum.enter()?;
                while let Some(block) = self.datum.block(*min as usize)? {
                    wire::put_long(out, block.count as i64);
                    for _ in 0..block.count {
                        wire::put_bytes(out, self.datum.input.string()?.as_bytes());
                        self.transcode(*value, out)?;
                    }
                    self.datum.close(&block)?;
                }
                out.push(0);
                self.datum.leave();
            }
            Op::Union { branches, .. } => {
                let branch = branches[self.datum.branch(branches.len())?];
                self.transcode(branch, out)?;
            }
            Op::Wrap { branch, then } => {
                wire::put_long(out, i64::from(*branch));
                self.transcode(*then, out)?;
            }
            Op::Record(record) => self.fields(record, out)?,
            Op::Fail { problem } => return Err(self.fail(*problem)),
        }
        Ok(())
    }

    fn fields(&mut self, record: &RecordOp, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        self.open(record)?;
        let plan = self.plan;
        let start = out.len();
        // Where each field of the reader was written, kept only if they must be moved.
        let mut spans = Vec::new();
        if !record.in_order {
            spans.resize(record.fields, (0, 0));
        }
        for step in &record.steps {
            let from = out.len();
            let field = match step.way() {
                Way::Skip(op) => {
                    self.skip(op)?;
                    continue;
                }
                Way::Set { field, op } => {
                    self.transcode(op, out)?;
                    field
                }
                Way::Default { field, constant } => {
                    out.extend_from_slice(&plan.constant(constant).bytes);
                    field
                }
            };
            if let Some(span) = spans.get_mut(field) {
                *span = (from - start, out.len() - start);
            }
        }
        if !record.in_order {
            let written = out.split_off(start);
            for (from, to) in spans {
                out.extend_from_slice(&written[from..to]);
            }
        }
        self.datum.leave();
        Ok(())
    }
}

fn put(scalar: Scalar<'_>, out: &mut Vec<u8>) {
    match scalar {
        Scalar::Null => {}
        Scalar::Boolean(v) => out.push(u8::from(v)),
        Scalar::Int(v) => wire::put_long(out, i64::from(v)),
        Scalar::Long(v) => wire::put_long(out, v),
        Scalar::Float(v) => out.extend_from_slice(&v.to_le_bytes()),
        Scalar::Double(v) => out.extend_from_slice(&v.to_le_bytes()),
        Scalar::Bytes(v) => wire::put_bytes(out, v),
        Scalar::String(v) => wire::put_bytes(out, v.as_bytes()),
    }
}
