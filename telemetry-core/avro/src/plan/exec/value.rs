//! To a value.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::plan::op::{Op, OpId, RecordOp};
use crate::plan::program::Way;
use crate::plan::promotion::AsScalar;
use crate::plan::{Cursor, DecodeError, DecodeLimits, Plan, Value};
use crate::typed::make_room;
use crate::wire::Reader;

impl Plan {
    /// Decodes one datum of the writer to a value of the reader's schema.
    ///
    /// ```
    /// use telemetry_avro::{Plan, Schema, Value, wire::Reader};
    ///
    /// let writer = Schema::parse(r#"{"type":"array","items":"int"}"#)?;
    /// let reader = Schema::parse(r#"["null",{"type":"array","items":"long"}]"#)?;
    /// let plan = Plan::compile(&writer, &reader)?;
    /// let value = plan.value(&mut Reader::new(&[4, 2, 4, 0]))?;
    /// let items = Value::Array(vec![Value::Long(1), Value::Long(2)]);
    /// assert_eq!(value, Value::Union(1, Box::new(items)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn value(&self, input: &mut Reader<'_>) -> Result<Value, DecodeError> {
        self.value_with(input, DecodeLimits::default())
    }

    /// Decodes one datum within `limits`.
    pub fn value_with(
        &self,
        input: &mut Reader<'_>,
        limits: DecodeLimits,
    ) -> Result<Value, DecodeError> {
        Cursor::run(self, input, limits, |cursor| cursor.value(self.root))
    }
}

impl Cursor<'_, '_> {
    pub(super) fn value(&mut self, id: OpId) -> Result<Value, DecodeError> {
        let plan = self.plan;
        Ok(match plan.op(id) {
            Op::Scalar(promotion) => promotion.read(&mut self.datum.input, AsScalar)?.into(),
            Op::Fixed { size } => Value::Fixed(self.datum.input.take(*size)?.to_vec()),
            Op::Enum { symbols, problem } => Value::Enum(self.symbol(symbols, *problem)?),
            Op::Array { item, min } => {
                self.datum.enter()?;
                let mut items = Vec::new();
                while let Some(block) = self.datum.block(*min as usize)? {
                    for left in (1..=block.count).rev() {
                        make_room(&mut items, left);
                        items.push(self.value(*item)?);
                    }
                    self.datum.close(&block)?;
                }
                self.datum.leave();
                Value::Array(items)
            }
            Op::Map { value, min } => {
                self.datum.enter()?;
                let mut pairs = Vec::new();
                while let Some(block) = self.datum.block(*min as usize)? {
                    for left in (1..=block.count).rev() {
                        make_room(&mut pairs, left);
                        let key = self.datum.input.string()?.to_owned();
                        pairs.push((key, self.value(*value)?));
                    }
                    self.datum.close(&block)?;
                }
                self.datum.leave();
                Value::Map(pairs)
            }
            Op::Union { branches, .. } => {
                let branch = branches[self.datum.branch(branches.len())?];
                self.value(branch)?
            }
            Op::Wrap { branch, then } => Value::Union(*branch, Box::new(self.value(*then)?)),
            Op::Record(record) => self.record(record)?,
            Op::Fail { problem } => return Err(self.fail(*problem)),
        })
    }

    fn record(&mut self, record: &RecordOp) -> Result<Value, DecodeError> {
        self.open(record)?;
        let plan = self.plan;
        let mut fields = Vec::new();
        fields.resize(record.fields, Value::Null);
        for step in &record.steps {
            match step.way() {
                Way::Skip(op) => self.skip(op)?,
                Way::Set { field, op } => fields[field] = self.value(op)?,
                Way::Default { field, constant } => {
                    fields[field] = plan.constant(constant).value.clone();
                }
            }
        }
        self.datum.leave();
        Ok(Value::Record(fields))
    }
}
