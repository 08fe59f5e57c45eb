//! To a sink, field by field.

use alloc::boxed::Box;

use crate::plan::op::{Op, RecordOp};
use crate::plan::program::{Null, Step, Take, Way};
use crate::plan::promotion::AsScalar;
use crate::plan::{Cursor, DecodeError, DecodeLimits, Plan, Scalar, Value};
use crate::wire::Reader;

/// Takes the fields of a record as they are decoded: each field of the reader once, in any order.
///
/// Values borrow from the datum and from the plan's defaults, which both live for `'a`.
pub trait FieldSink<'a> {
    /// Takes the value of the reader's `field`, counted from 0.
    fn set(&mut self, field: usize, value: Scalar<'a>);
}

/// Takes the fields of any record. Of a union it gets what the union holds: by [`FieldSink::set`] where
/// that is a primitive, else as a tree.
pub trait TreeSink<'a>: FieldSink<'a> {
    /// Takes the value of the reader's `field`: a record, an array, a map, a `fixed` or a symbol.
    fn set_tree(&mut self, field: usize, value: Value);
}

impl Plan {
    /// Decodes one flat record, setting every field of the reader once.
    ///
    /// Where [`Plan::flat`] refuses, so does this: then see [`decode_tree`](Self::decode_tree). On an
    /// error the sink may have got some of the fields.
    #[inline]
    pub fn decode<'a>(
        &'a self,
        input: &mut Reader<'a>,
        sink: &mut impl FieldSink<'a>,
    ) -> Result<(), DecodeError> {
        if self.flat.is_err() {
            return Err(DecodeError::NotFlat);
        }
        self.fields(input, DecodeLimits::default(), &mut Flat(sink))
    }

    /// Decodes one record of any schema, setting every field of the reader once.
    ///
    /// ```
    /// use telemetry_avro::{FieldSink, Plan, Scalar, Schema, TreeSink, Value, wire::Reader};
    ///
    /// let schema = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
    ///     {"name":"bpm","type":["null","int"]},
    ///     {"name":"zones","type":{"type":"array","items":"int"}}]}"#)?;
    /// let plan = Plan::compile(&schema, &schema)?;
    ///
    /// #[derive(Default)]
    /// struct Print(Vec<String>);
    /// impl FieldSink<'_> for Print {
    ///     fn set(&mut self, field: usize, value: Scalar<'_>) {
    ///         self.0.push(format!("{field}: {value:?}"));
    ///     }
    /// }
    /// impl TreeSink<'_> for Print {
    ///     fn set_tree(&mut self, field: usize, value: Value) {
    ///         self.0.push(format!("{field}: {value:?}"));
    ///     }
    /// }
    /// let mut out = Print::default();
    /// plan.decode_tree(&mut Reader::new(&[2, 130, 1, 2, 4, 0]), &mut out)?;
    /// assert_eq!(out.0, ["0: Int(65)", "1: Array([Int(2)])"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode_tree<'a>(
        &'a self,
        input: &mut Reader<'a>,
        sink: &mut impl TreeSink<'a>,
    ) -> Result<(), DecodeError> {
        self.decode_tree_with(input, DecodeLimits::default(), sink)
    }

    /// Decodes one record within `limits`.
    pub fn decode_tree_with<'a>(
        &'a self,
        input: &mut Reader<'a>,
        limits: DecodeLimits,
        sink: &mut impl TreeSink<'a>,
    ) -> Result<(), DecodeError> {
        self.fields(input, limits, sink)
    }

    #[inline]
    fn fields<'a>(
        &'a self,
        input: &mut Reader<'a>,
        limits: DecodeLimits,
        sink: &mut impl TreeSink<'a>,
    ) -> Result<(), DecodeError> {
        Cursor::run(self, input, limits, |cursor| {
            let Op::Record(record) = cursor.settle(self.root)? else {
                return Err(DecodeError::OtherReader {
                    expected: "a record",
                });
            };
            if let Some(problem) = record.problem {
                let problem = Box::new(self.problems[problem].clone());
                return Err(DecodeError::Incompatible { problem });
            }
            cursor.fill(record, sink)
        })
    }
}

/// A sink that gets no trees, since the record is flat.
struct Flat<'s, S>(&'s mut S);

impl<'a, S: FieldSink<'a>> FieldSink<'a> for Flat<'_, S> {
    #[inline(always)]
    fn set(&mut self, field: usize, value: Scalar<'a>) {
        self.0.set(field, value);
    }
}

impl<'a, S: FieldSink<'a>> TreeSink<'a> for Flat<'_, S> {
    fn set_tree(&mut self, _: usize, _: Value) {
        debug_assert!(false, "a flat record has no parts");
    }
}

impl<'a> Cursor<'a, 'a> {
    #[inline(always)]
    fn fill(
        &mut self,
        record: &'a RecordOp,
        sink: &mut impl TreeSink<'a>,
    ) -> Result<(), DecodeError> {
        self.open(record)?;
        for step in &record.steps {
            if let Some(null) = step.null.branch()
                && self.datum.branch(2)? == null
            {
                sink.set(step.field(), Scalar::Null);
                continue;
            }
            match (step.take, step.is_skip()) {
                (Take::Scalar(promotion), false) => {
                    let value = promotion.read(&mut self.datum.input, AsScalar)?;
                    sink.set(step.field(), value);
                }
                (Take::Scalar(promotion), true) => {
                    promotion.skip(&mut self.datum.input)?;
                }
                _ => self.other_field(step, sink)?,
            }
        }
        self.datum.leave();
        Ok(())
    }

    fn other_field(
        &mut self,
        step: &Step,
        sink: &mut impl TreeSink<'a>,
    ) -> Result<(), DecodeError> {
        match step.way() {
            Way::Skip(op) => self.skip(op),
            Way::Default { field, constant } => {
                let value = &self.plan.constant(constant).value;
                match value.scalar() {
                    Some(scalar) => sink.set(field, scalar),
                    None => sink.set_tree(field, value.shown().clone()),
                }
                Ok(())
            }
            Way::Set { field, op } => {
                // Where null could be written, its branch is read already.
                let mut op = match step.null {
                    Null::First | Null::Second => step.value,
                    Null::Never | Null::Unwritten => self.choose(op)?,
                };
                if let Op::Wrap { then, .. } = self.plan.op(op) {
                    op = *then;
                }
                match self.plan.op(op) {
                    Op::Scalar(promotion) => {
                        let value = promotion.read(&mut self.datum.input, AsScalar)?;
                        sink.set(field, value);
                    }
                    _ => sink.set_tree(field, self.value(op)?),
                }
                Ok(())
            }
        }
    }
}
