//! Writer and reader schema to operations.
//!
//! A work list instead of recursion: schemas may refer to each other's types in long chains.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::constant::{Constant, Constants};
use super::flat::Flat;
use super::op::{Op, OpId, RecordOp};
use super::program::{self, Step, Way};
use super::promotion::Promotion;
use super::{Incompatibility, Plan, PlanError, PlanLimits, rules, same};
use crate::{EnumType, Kind, Node, NodeId, Primitive, RecordType, Schema, schema};

pub(super) fn compile(
    writer: &Schema,
    reader: &Schema,
    limits: PlanLimits,
) -> Result<Plan, PlanError> {
    let mut compiler = Compiler {
        writer,
        reader,
        limits,
        min: rules::wire_min(writer),
        known: BTreeMap::new(),
        jobs: Vec::new(),
        ops: Vec::new(),
        alike: Vec::new(),
        constants: Vec::new(),
        defaults: Constants::new(reader, limits.default_bytes_max),
        problems: Vec::new(),
        size: 0,
    };
    let root = compiler.op(writer.root_id(), Some(reader.root_id()), 0, Segment::Root)?;
    while let Some(&job) = compiler.jobs.get(compiler.ops.len()) {
        let op = compiler.compile(compiler.ops.len(), job)?;
        compiler.ops.push(op);
        compiler.alike.push(compiler.alike(job));
    }
    let Compiler {
        mut ops,
        alike,
        constants,
        problems,
        ..
    } = compiler;
    let flat = Flat::new(writer, reader, &ops, root, &constants);
    let mut same = same::find(&ops, alike);
    same::measure(&mut ops);
    same::coalesce(&mut ops);
    // Nobody asks whether an operation that was made to skip is the same.
    same.resize(ops.len(), false);
    program::complete(&mut ops, &same);
    Ok(Plan {
        writer: writer.fingerprint(),
        reader: reader.fingerprint(),
        ops: ops.into(),
        same: same.into(),
        root,
        constants: constants.into(),
        problems,
        flat,
    })
}

/// An operation to compile: from a type of the writer to one of the reader, or to nowhere.
#[derive(Clone, Copy)]
struct Job {
    from: NodeId,
    to: Option<NodeId>,
    /// The operation that first called for this one, and by which part of the reader's type.
    parent: usize,
    segment: Segment,
}

#[derive(Clone, Copy)]
enum Segment {
    Root,
    Field(usize),
    Items,
    Values,
    /// The same type of the reader, or one of its branches.
    Same,
}

struct Compiler<'s> {
    writer: &'s Schema,
    reader: &'s Schema,
    limits: PlanLimits,
    /// Least bytes on the wire, by node of the writer.
    min: Vec<u32>,
    known: BTreeMap<(NodeId, Option<NodeId>), OpId>,
    /// One for each operation, in the same order; those past `ops` are still to do.
    jobs: Vec<Job>,
    ops: Vec<Op>,
    /// For each operation, whether its two types are alike as far as their own level shows.
    alike: Vec<bool>,
    constants: Vec<Constant>,
    defaults: Constants<'s>,
    problems: Vec<Incompatibility>,
    size: usize,
}

impl<'s> Compiler<'s> {
    /// The operation for a pair of types, which is compiled when its turn comes.
    fn op(
        &mut self,
        from: NodeId,
        to: Option<NodeId>,
        parent: usize,
        segment: Segment,
    ) -> Result<OpId, PlanError> {
        if let Some(id) = self.known.get(&(from, to)) {
            return Ok(*id);
        }
        self.grow(1)?;
        let id = self.jobs.len() as OpId;
        self.jobs.push(Job {
            from,
            to,
            parent,
            segment,
        });
        self.known.insert((from, to), id);
        Ok(id)
    }

    /// Counts operations and entries of their tables.
    fn grow(&mut self, by: usize) -> Result<(), PlanError> {
        self.size = self.size.saturating_add(by);
        if self.size > self.limits.ops_max {
            return Err(PlanError::Limit {
                what: "number of operations",
                max: self.limits.ops_max,
            });
        }
        Ok(())
    }

    fn compile(&mut self, at: usize, job: Job) -> Result<Op, PlanError> {
        let (writer, reader) = (self.writer, self.reader);
        let wire = &writer.node(job.from).kind;
        let Some(to) = job.to else {
            return self.skip(at, wire);
        };
        if let Some(op) = self.meaning(at, job.from, to) {
            return Ok(op);
        }
        Ok(match (wire, &reader.node(to).kind) {
            (Kind::Union(branches), _) => {
                self.grow(branches.len())?;
                Op::Union {
                    branches: branches
                        .iter()
                        .map(|&branch| self.op(branch, job.to, at, Segment::Same))
                        .collect::<Result<_, _>>()?,
                    sizes: Box::default(),
                }
            }
            (_, Kind::Union(branches)) => match rules::branch(writer, job.from, reader, branches) {
                Some(i) => Op::Wrap {
                    branch: i as u32,
                    then: self.op(job.from, Some(branches[i]), at, Segment::Same)?,
                },
                None => self.fail(
                    at,
                    "a union of the reader takes what one of its branches takes",
                    format!(
                        "add the branch `{}` to the reader's union",
                        wire.branch_name()
                    ),
                ),
            },
            (Kind::Primitive(w), Kind::Primitive(r))
                if let Some(promotion) = Promotion::of(*w, *r) =>
            {
                Op::Scalar(promotion)
            }
            (Kind::Array(w), Kind::Array(r)) => Op::Array {
                item: self.op(*w, Some(*r), at, Segment::Items)?,
                min: self.min[w.index()],
            },
            (Kind::Map(w), Kind::Map(r)) => Op::Map {
                value: self.op(*w, Some(*r), at, Segment::Values)?,
                min: self.min[w.index()].saturating_add(1),
            },
            (Kind::Record(w), Kind::Record(r)) => {
                self.grow(w.fields.len() + r.fields.len())?;
                self.record(at, w, r)?
            }
            (Kind::Enum(w), Kind::Enum(r)) if rules::same_name(&w.name, &r.name, &r.aliases) => {
                self.grow(w.symbols.len() + r.symbols.len())?;
                self.enumeration(at, w, r)
            }
            (Kind::Fixed(w), Kind::Fixed(r)) if rules::same_name(&w.name, &r.name, &r.aliases) => {
                if w.size == r.size {
                    Op::Fixed {
                        size: w.size as usize,
                    }
                } else {
                    self.fail(
                        at,
                        "a fixed keeps its size",
                        format!("{} bytes are written: add a field of a new type", w.size),
                    )
                }
            }
            (Kind::Enum(_), Kind::Enum(_)) | (Kind::Fixed(_), Kind::Fixed(_)) => {
                let name = wire.branch_name();
                self.fail(
                    at,
                    "named types resolve by name or alias",
                    format!("add the alias `{name}` to the reader's type"),
                )
            }
            (Kind::Primitive(Primitive::Null), _) => self.fail(
                at,
                "null needs a reader that takes null",
                "make the reader's field nullable".to_owned(),
            ),
            (wire, to) => self.fail(
                at,
                "a type resolves to itself or by promotion",
                format!(
                    "{} does not promote to {}: add a field of a new name instead",
                    wire.branch_name(),
                    to.branch_name()
                ),
            ),
        })
    }

    /// Notes that two types differ in what they mean; gives an operation where that hinders reading.
    fn meaning(&mut self, at: usize, from: NodeId, to: NodeId) -> Option<Op> {
        let (wire, read) = (self.writer.node(from), self.reader.node(to));
        match schema::change(wire, read)? {
            schema::Change::Decimal => {
                let (Some(was), Some(is)) = (wire.decimal, read.decimal) else {
                    return None;
                };
                let hint = format!(
                    "({}, {}) is written, ({}, {}) wanted: add a field of a new name",
                    was.precision, was.scale, is.precision, is.scale
                );
                Some(self.fail(at, "a decimal keeps its precision and its scale", hint))
            }
            schema::Change::Meaning => {
                let words = |node: &Node| node.logical.as_deref().unwrap_or_default().to_owned();
                let hint = format!(
                    "{} is written, {} wanted: add a field of a new name",
                    words(wire),
                    words(read)
                );
                // Said, but no hindrance: the reference reads it, as what is on the wire.
                self.problem(at, None, "a logical type keeps its meaning", hint);
                None
            }
        }
    }

    fn alike(&self, job: Job) -> bool {
        let Some(to) = job.to else {
            return false;
        };
        match (&self.writer.node(job.from).kind, &self.reader.node(to).kind) {
            (Kind::Primitive(w), Kind::Primitive(r)) => w == r && self.same_decimal(job.from, to),
            (Kind::Fixed(w), Kind::Fixed(r)) => w.size == r.size && self.same_decimal(job.from, to),
            (Kind::Enum(w), Kind::Enum(r)) => w.symbols == r.symbols,
            (Kind::Union(w), Kind::Union(r)) => w.len() == r.len(),
            (Kind::Record(w), Kind::Record(r)) => w.fields.len() == r.fields.len(),
            (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)) => true,
            _ => false,
        }
    }

    /// Whether two types are not decimals that differ, of which one does not read the other.
    fn same_decimal(&self, from: NodeId, to: NodeId) -> bool {
        let change = schema::change(self.writer.node(from), self.reader.node(to));
        !matches!(change, Some(schema::Change::Decimal))
    }

    fn skip(&mut self, at: usize, wire: &Kind) -> Result<Op, PlanError> {
        let mut op = |id: NodeId| self.op(id, None, at, Segment::Same);
        Ok(match wire {
            Kind::Primitive(p) => Op::Scalar(Promotion::same(*p)),
            Kind::Array(items) => Op::Array {
                item: op(*items)?,
                min: self.min[items.index()],
            },
            Kind::Map(values) => Op::Map {
                value: op(*values)?,
                min: self.min[values.index()].saturating_add(1),
            },
            Kind::Union(branches) => Op::Union {
                branches: branches.iter().map(|&b| op(b)).collect::<Result<_, _>>()?,
                sizes: Box::default(),
            },
            Kind::Record(record) => Op::Record(RecordOp {
                fields: 0,
                steps: record
                    .fields
                    .iter()
                    .map(|f| Ok(Step::new(Way::Skip(op(f.node)?))))
                    .collect::<Result<_, _>>()?,
                in_order: true,
                default_cost: 0,
                problem: None,
            }),
            // A symbol is skipped as a number within the writer's range.
            Kind::Enum(e) => Op::Enum {
                symbols: (0..e.symbols.len() as u32).map(Some).collect(),
                problem: 0,
            },
            Kind::Fixed(fixed) => Op::Fixed {
                size: fixed.size as usize,
            },
        })
    }

    fn enumeration(&mut self, at: usize, from: &EnumType, to: &EnumType) -> Op {
        let positions: BTreeMap<&str, u32> = (0..)
            .zip(&to.symbols)
            .map(|(i, symbol)| (symbol.as_str(), i))
            .collect();
        let position = |symbol: &String| positions.get(symbol.as_str()).copied();
        let default = to.default.as_ref().and_then(position);
        let symbols: Box<[_]> = from
            .symbols
            .iter()
            .map(|symbol| position(symbol).or(default))
            .collect();
        let lost = from
            .symbols
            .iter()
            .zip(&symbols)
            .find(|(_, to)| to.is_none());
        let problem = lost.map_or(0, |(symbol, _)| {
            self.problem(
                at,
                None,
                "a symbol that the reader lacks needs a default of its enum",
                format!(
                    "add `{symbol}` to `{}`, or give the enum a default",
                    to.name
                ),
            )
        });
        Op::Enum { symbols, problem }
    }

    fn record(
        &mut self,
        at: usize,
        from: &'s RecordType,
        to: &'s RecordType,
    ) -> Result<Op, PlanError> {
        if !rules::same_name(&from.name, &to.name, &to.aliases) {
            // Said, but no hindrance: the reference reads such records too.
            self.problem(
                at,
                None,
                "records resolve by name or alias",
                format!("add the alias `{}` to the reader's record", from.name),
            );
        }
        let mut problem = None;
        let mut target_of: Vec<Option<usize>> = Vec::new();
        target_of.resize(from.fields.len(), None);
        // Defaults in the reader's order, taken from the end.
        let mut defaults = Vec::new();
        let mut default_cost = 0usize;
        let written = rules::Fields::of(from);
        for (i, field) in to.fields.iter().enumerate() {
            match written.find(field) {
                Some(w) if target_of[w].is_none() => target_of[w] = Some(i),
                Some(w) => {
                    problem = Some(self.problem(
                        at,
                        Some(i),
                        "a writer's field goes to one field of the reader",
                        format!(
                            "two fields claim `{}`: remove an alias",
                            from.fields[w].name
                        ),
                    ));
                }
                None => {
                    let made = match &field.default {
                        Some(json) => self.defaults.make(field.node, json)?,
                        None => None,
                    };
                    let Some(constant) = made else {
                        problem = Some(self.problem(
                            at,
                            Some(i),
                            "a field that the writer lacks needs a default",
                            format!("give `{}` a default", field.name),
                        ));
                        continue;
                    };
                    default_cost = default_cost.saturating_add(constant.bytes.len().max(1));
                    defaults.push((i, self.constants.len() as u32));
                    self.constants.push(constant);
                }
            }
        }

        let targets: Vec<usize> = target_of.iter().copied().flatten().collect();
        let in_order = targets.is_sorted();
        let by_default = |(field, constant)| Step::new(Way::Default { field, constant });
        let mut defaults = defaults.into_iter().peekable();
        let mut steps = Vec::with_capacity(from.fields.len());
        for (field, target) in from.fields.iter().zip(target_of) {
            let Some(i) = target else {
                let op = self.op(field.node, None, at, Segment::Same)?;
                steps.push(Step::new(Way::Skip(op)));
                continue;
            };
            while in_order && let Some(default) = defaults.next_if(|(field, _)| *field < i) {
                steps.push(by_default(default));
            }
            let op = self.op(field.node, Some(to.fields[i].node), at, Segment::Field(i))?;
            steps.push(Step::new(Way::Set { field: i, op }));
        }
        steps.extend(defaults.map(by_default));
        Ok(Op::Record(RecordOp {
            fields: to.fields.len(),
            steps: steps.into(),
            in_order,
            default_cost,
            problem,
        }))
    }

    fn fail(&mut self, at: usize, rule: &'static str, hint: String) -> Op {
        Op::Fail {
            problem: self.problem(at, None, rule, hint),
        }
    }

    /// Notes a problem of an operation, or of a field of its reader's record; gives its number.
    fn problem(
        &mut self,
        at: usize,
        field: Option<usize>,
        rule: &'static str,
        hint: String,
    ) -> usize {
        let mut path = self.path(at);
        if let (Some(i), Some(record)) = (field, self.reader_record(at)) {
            path = format!("{path}.{}", record.fields[i].name);
        }
        self.problems.push(Incompatibility { path, rule, hint });
        self.problems.len() - 1
    }

    fn reader_record(&self, at: usize) -> Option<&'s RecordType> {
        match &self.reader.node(self.jobs[at].to?).kind {
            Kind::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The way from the root of the reader's schema to the type of an operation.
    fn path(&self, mut at: usize) -> String {
        /// Parts that are shown: a path is for people, and chains of types can be long.
        const PARTS_MAX: usize = 32;
        let mut parts = Vec::new();
        while !matches!(self.jobs[at].segment, Segment::Root) {
            let job = self.jobs[at];
            match job.segment {
                Segment::Field(i) => {
                    if let Some(record) = self.reader_record(job.parent) {
                        parts.push(format!(".{}", record.fields[i].name));
                    }
                }
                Segment::Items => parts.push("[]".to_owned()),
                Segment::Values => parts.push("{}".to_owned()),
                Segment::Root | Segment::Same => {}
            }
            at = job.parent;
        }
        let mut path = match &self.reader.root().kind {
            Kind::Record(record) => record.name.clone(),
            _ => "$".to_owned(),
        };
        if parts.len() > PARTS_MAX {
            path.push('…');
            parts.truncate(PARTS_MAX);
        }
        path.extend(parts.into_iter().rev());
        path
    }
}
