//! The steps of a record, each into a column.

use super::column::Column;
use crate::Cursor;
use crate::plan::{Null, Op, Step, Take};
use crate::typed::DecodeError;
use crate::wire::Reader;

/// Reads the fields of a record within one, which is open, into the columns of them.
pub(super) fn nested(
    steps: &[Step],
    columns: &mut [Column],
    cursor: &mut Cursor<'_, '_>,
) -> Result<(), DecodeError> {
    let mut input = cursor.datum.input.clone();
    let result = fields(steps, columns, cursor, &mut input);
    cursor.datum.input = input;
    result
}

/// Reads the fields of a record, which is open, into the columns of them.
///
/// `input` is the cursor's, kept apart so that it stays in registers; the cursor has it only while
/// something is read that has parts.
#[inline(always)]
pub(super) fn fields<'a>(
    steps: &[Step],
    columns: &mut [Column],
    cursor: &mut Cursor<'_, 'a>,
    input: &mut Reader<'a>,
) -> Result<(), DecodeError> {
    let plan = cursor.plan;
    for step in steps {
        let Some(mut column) = columns.get_mut(step.field()) else {
            match (step.take, plan.op(step.operand)) {
                (Take::Scalar(promotion), _) => promotion.skip(input)?,
                (Take::Sizes, Op::Union { sizes, .. }) => {
                    let branch = input.branch(sizes.len())?;
                    input.take(sizes[branch])?;
                }
                _ => {
                    cursor.datum.input = input.clone();
                    let result = cursor.skip(step.operand);
                    *input = cursor.datum.input.clone();
                    result?;
                }
            }
            continue;
        };
        let (mut take, mut op) = (step.take, step.value);
        if step.null != Null::Never {
            if let Column::Nullable { valid, inner, .. } = column {
                let there = match step.null.branch() {
                    Some(null) => input.branch(2)? != null,
                    None => true,
                };
                valid.push(there);
                if !there {
                    inner.nothing()?;
                    continue;
                }
                column = inner;
            } else {
                // A branch of a larger union.
                (take, op) = (Take::Parts, step.operand);
            }
        }
        match take {
            Take::Scalar(promotion) => promotion.read(input, column)?,
            Take::Symbol => column.symbol(plan, plan.op(op), input)?,
            Take::Default => column.constant(plan, step.operand)?,
            Take::Sizes | Take::Parts => {
                cursor.datum.input = input.clone();
                let result = column.take(cursor, op);
                *input = cursor.datum.input.clone();
                result?;
            }
        }
    }
    Ok(())
}
