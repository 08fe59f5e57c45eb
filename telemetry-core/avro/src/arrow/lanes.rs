//! A record's steps with all that the plan says of each in one place: a choice for each value.
//!
//! The plan's operations are the same for every executor. A column needs of most of them only what
//! is on the wire, and whether it may be null; that is looked up once for a batch's columns instead
//! of for each value.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::column::Column;
use crate::plan::{Op, Step, skip};
use crate::typed::Fault;
use crate::wire::Reader;
use crate::{Cursor, OpId, Plan, Primitive};

/// The lanes of every record of a plan, by its operation.
#[derive(Debug)]
pub(super) struct Lanes(Vec<Box<[Lane]>>);

/// How one field goes into its column.
#[derive(Clone, Copy, Debug)]
struct Lane {
    /// The reader's field; [`Lane::NONE`] where the writer's goes nowhere.
    field: usize,
    null: Null,
    take: Take,
    /// What the field resolves by, or the default of the plan.
    whole: u32,
    /// What it resolves by where it is not null.
    value: OpId,
}

/// How a row is null.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Null {
    /// It cannot be.
    Never,
    /// By this branch of the writer's union.
    Branch(u8),
    /// The column is nullable, the writer's field is not.
    Unwritten,
}

/// What is done with what is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Take {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    IntToLong,
    IntToFloat,
    IntToDouble,
    LongToFloat,
    LongToDouble,
    FloatToDouble,
    /// A symbol, by the table of the operation.
    Symbol,
    /// A union whose branches have known sizes, that is passed.
    Sizes,
    /// A default.
    Default,
    /// What has parts, by its operation.
    Parts,
    /// What is read by the operation of the whole field.
    Whole,
}

impl Lanes {
    /// The lanes of `plan`. The defaults of the root are left out: they are the same in every row.
    pub(super) fn new(plan: &Plan) -> Self {
        let lanes = (0..).zip(plan.ops()).map(|(id, op)| match op {
            Op::Record(record) => {
                let steps = record.steps.iter();
                let steps =
                    steps.filter(|s| id != plan.root() || !matches!(s, Step::Default { .. }));
                steps.map(|step| Lane::new(plan, step)).collect()
            }
            _ => Box::default(),
        });
        Self(lanes.collect())
    }

    /// Reads the fields of a record within one, which is open, into the columns of them.
    pub(super) fn nested(
        &self,
        record: OpId,
        fields: &mut [Column],
        cursor: &mut Cursor<'_, '_>,
    ) -> Result<(), Fault> {
        let mut input = cursor.datum.input.clone();
        let result = self.fields(record, fields, cursor, &mut input);
        cursor.datum.input = input;
        result
    }

    /// Reads the fields of a record, which is open, into the columns of them.
    ///
    /// `input` is the cursor's, kept apart so that it stays in registers; the cursor has it only
    /// while something is read that has parts.
    #[inline(always)]
    pub(super) fn fields<'a>(
        &self,
        record: OpId,
        fields: &mut [Column],
        cursor: &mut Cursor<'_, 'a>,
        input: &mut Reader<'a>,
    ) -> Result<(), Fault> {
        let lanes = &self.0[record as usize];
        let plan = cursor.plan;
        for lane in lanes.iter() {
            let Some(mut column) = fields.get_mut(lane.field) else {
                match (lane.take, plan.op(lane.whole)) {
                    (_, Op::Scalar { wire, .. }) => skip(input, *wire)?,
                    (Take::Sizes, Op::Union { sizes, .. }) => {
                        let branch = input.branch(sizes.len())?;
                        input.take(sizes[branch])?;
                    }
                    _ => {
                        cursor.datum.input = input.clone();
                        let result = cursor.skip(lane.whole);
                        *input = cursor.datum.input.clone();
                        result?;
                    }
                }
                continue;
            };
            let mut take = lane.take;
            if lane.null != Null::Never {
                if let Column::Nullable { valid, inner, .. } = column {
                    let there = match lane.null {
                        Null::Branch(null) => input.branch(2)? != usize::from(null),
                        _ => true,
                    };
                    valid.push(there);
                    if !there {
                        inner.nothing()?;
                        continue;
                    }
                    column = inner;
                } else {
                    // A branch of a larger union.
                    take = Take::Whole;
                }
            }
            match take {
                Take::Symbol => column.symbol(plan, plan.op(lane.value), input)?,
                Take::Default => column.constant(plan, lane.whole)?,
                Take::Sizes | Take::Parts | Take::Whole => {
                    let whole = matches!(take, Take::Whole);
                    let op = if whole { lane.whole } else { lane.value };
                    cursor.datum.input = input.clone();
                    let result = column.take(cursor, self, op);
                    *input = cursor.datum.input.clone();
                    result?;
                }
                scalar => column.scalar(input, scalar)?,
            }
        }
        Ok(())
    }
}

impl Null {
    /// How a field is null whose column is nullable, and the operation of its other values.
    fn of(plan: &Plan, op: OpId) -> Option<(Self, OpId)> {
        let value = |op: OpId| match plan.op(op) {
            Op::Wrap { then, .. } => Some(*then),
            _ => None,
        };
        let is_null = |op: OpId| {
            let null = Primitive::Null;
            matches!(plan.op(op), Op::Scalar { wire, .. } if *wire == null)
        };
        if let Op::Union { branches, .. } = plan.op(op) {
            let [first, second] = branches[..] else {
                return None;
            };
            let (first, second) = (value(first)?, value(second)?);
            return match (is_null(first), is_null(second)) {
                (true, false) => Some((Self::Branch(0), second)),
                (false, true) => Some((Self::Branch(1), first)),
                _ => None,
            };
        }
        let value = value(op)?;
        (!is_null(value)).then_some((Self::Unwritten, value))
    }
}

impl Take {
    /// How a value of one type becomes one of another to which it promotes.
    pub(super) const fn scalar(wire: Primitive, to: Primitive) -> Self {
        use Primitive::{Boolean, Bytes, Double, Float, Int, Long, Null, String};
        match (wire, to) {
            (Null, _) => Self::Null,
            (Boolean, _) => Self::Boolean,
            (Int, Long) => Self::IntToLong,
            (Int, Float) => Self::IntToFloat,
            (Int, Double) => Self::IntToDouble,
            (Int, _) => Self::Int,
            (Long, Float) => Self::LongToFloat,
            (Long, Double) => Self::LongToDouble,
            (Long, _) => Self::Long,
            (Float, Double) => Self::FloatToDouble,
            (Float, _) => Self::Float,
            (Double, _) => Self::Double,
            // Text and bytes are written alike.
            (Bytes | String, String) => Self::Text,
            (Bytes | String, _) => Self::Bytes,
        }
    }

    fn of(op: &Op) -> Self {
        match op {
            Op::Scalar { wire, to } => Self::scalar(*wire, *to),
            Op::Enum { .. } => Self::Symbol,
            Op::Union { sizes, .. } if !sizes.is_empty() => Self::Sizes,
            _ => Self::Parts,
        }
    }
}

impl Lane {
    /// No record has as many fields.
    const NONE: usize = usize::MAX;

    fn new(plan: &Plan, step: &Step) -> Self {
        let plain = |field, take, whole| Self {
            field,
            null: Null::Never,
            take,
            whole,
            value: whole,
        };
        match *step {
            Step::Skip(op) => plain(Self::NONE, Take::of(plan.op(op)), op),
            Step::Default { field, constant } => plain(field as usize, Take::Default, constant),
            Step::Set { field, op } => match Null::of(plan, op) {
                Some((null, value)) => Self {
                    field: field as usize,
                    null,
                    take: Take::of(plan.op(value)),
                    whole: op,
                    value,
                },
                None => plain(field as usize, Take::of(plan.op(op)), op),
            },
        }
    }
}
