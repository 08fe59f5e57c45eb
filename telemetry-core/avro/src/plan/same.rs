//! What a plan can do without looking: read what is there as it is, skip many fields at once.

use alloc::vec::Vec;

use super::op::{Op, OpId};
use super::program::{Step, Way, width};

/// Rounds after which what is not settled counts as different.
const ROUNDS: usize = 16;

/// Which operations give the bytes they read as they are, by what each one's own level shows.
///
/// Starts from everything alike and takes away what has a part that is not, so that recursive types
/// can be the same.
pub(super) fn find(ops: &[Op], alike: Vec<bool>) -> Vec<bool> {
    let mut same = alike;
    for _ in 0..ROUNDS {
        let mut changed = false;
        // Most operations come before their parts, so the end is known first.
        for i in (0..ops.len()).rev() {
            if same[i] && !parts(ops, &same, &ops[i]) {
                same[i] = false;
                changed = true;
            }
        }
        if !changed {
            return same;
        }
    }
    same.fill(false);
    same
}

fn parts(ops: &[Op], same: &[bool], op: &Op) -> bool {
    match op {
        Op::Scalar(_) | Op::Fixed { .. } | Op::Enum { .. } => true,
        Op::Array { item: part, .. } | Op::Map { value: part, .. } => same[*part as usize],
        Op::Union { branches, .. } => (0..).zip(branches).all(|(i, &b)| match &ops[b as usize] {
            Op::Wrap { branch, then } => *branch == i && same[*then as usize],
            _ => false,
        }),
        Op::Record(record) => {
            record.problem.is_none()
                && (0..).zip(&record.steps).all(|(i, step)| match step.way() {
                    Way::Set { field, op } => field == i && same[op as usize],
                    Way::Skip(_) | Way::Default { .. } => false,
                })
        }
        Op::Wrap { .. } | Op::Fail { .. } => false,
    }
}

/// The bytes that an operation reads, if they are always as many.
fn size(op: &Op) -> Option<usize> {
    match op {
        Op::Scalar(promotion) => width(promotion.wire()),
        Op::Fixed { size } => Some(*size),
        _ => None,
    }
}

/// Notes what the branches of unions take, so that such a union is skipped without a choice.
pub(super) fn measure(ops: &mut [Op]) {
    for i in 0..ops.len() {
        if let Op::Union { branches, .. } = &ops[i] {
            let found = branches.iter().map(|&b| size(&ops[b as usize])).collect();
            if let (Some(found), Op::Union { sizes, .. }) = (found, &mut ops[i]) {
                *sizes = found;
            }
        }
    }
}

/// Puts skips of fields of a known size that follow each other into one.
pub(super) fn coalesce(ops: &mut Vec<Op>) {
    let size = |ops: &[Op], step: &Step| match step.way() {
        Way::Skip(op) => size(&ops[op as usize]),
        Way::Set { .. } | Way::Default { .. } => None,
    };
    for i in 0..ops.len() {
        let Op::Record(record) = &ops[i] else {
            continue;
        };
        let mut steps: Vec<Step> = Vec::with_capacity(record.steps.len());
        let mut made: Vec<Op> = Vec::new();
        // Bytes that the last step skips, if it does nothing else, and whether it was made here.
        let mut run: Option<(usize, bool)> = None;
        for step in &record.steps {
            let found = size(ops, step);
            let (Some((before, merged)), Some(more)) = (run, found) else {
                steps.push(*step);
                run = found.map(|size| (size, false));
                continue;
            };
            let size = before.saturating_add(more);
            if merged {
                made.pop();
            }
            steps.pop();
            steps.push(Step::new(Way::Skip((ops.len() + made.len()) as OpId)));
            made.push(Op::Fixed { size });
            run = Some((size, true));
        }
        if !made.is_empty() {
            if let Op::Record(record) = &mut ops[i] {
                record.steps = steps.into();
            }
            ops.append(&mut made);
        }
    }
}
