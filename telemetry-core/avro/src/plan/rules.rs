//! Which type of the writer goes with which type of the reader.
//!
//! Source: Avro 1.12 specification, "Schema Resolution" and "Aliases". Where it leaves room, the
//! reference implementation decides: a record of another name still matches by its structure.

use alloc::collections::BTreeMap;
use alloc::string::String;

use super::promotion::Promotion;
use crate::schema::full_alias;
use crate::{Field, Kind, NodeId, Primitive, RecordType, Schema};

/// Unqualified names match, or a full alias of the reader.
pub(super) fn same_name(writer: &str, reader: &str, aliases: &[String]) -> bool {
    let alias = |alias: &String| full_alias(alias, reader) == writer;
    simple(writer) == simple(reader) || aliases.iter().any(alias)
}

fn simple(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, simple)| simple)
}

/// The fields of a writer's record, by name: records have been seen with thousands.
pub(super) struct Fields<'s>(BTreeMap<&'s str, usize>);

impl<'s> Fields<'s> {
    pub(super) fn of(writer: &'s RecordType) -> Self {
        let fields = writer.fields.iter().enumerate();
        Self(fields.map(|(i, f)| (f.name.as_str(), i)).collect())
    }

    /// The writer's field for a field of the reader: by name, then by the reader's aliases.
    pub(super) fn find(&self, field: &Field) -> Option<usize> {
        let by_name = |name: &String| self.0.get(name.as_str()).copied();
        by_name(&field.name).or_else(|| field.aliases.iter().find_map(by_name))
    }
}

const fn promotes(from: Primitive, to: Primitive) -> bool {
    Promotion::of(from, to).is_some()
}

/// The branch of the reader's union that takes the writer's type, which is no union.
///
/// In this order: the same type (a named one by full name or alias), a record of the same structure
/// by unqualified name, then by any; another named type by unqualified name; a promotion. Within
/// each, the first branch.
pub(super) fn branch(
    writer: &Schema,
    from: NodeId,
    reader: &Schema,
    branches: &[NodeId],
) -> Option<usize> {
    let wire = &writer.node(from).kind;
    let first = |accepts: &dyn Fn(&Kind) -> bool| {
        branches.iter().position(|&b| accepts(&reader.node(b).kind))
    };
    if let Some(name) = wire.name() {
        let alike = |to: &Kind| core::mem::discriminant(to) == core::mem::discriminant(wire);
        let same = |to: &Kind| {
            let full = to.name() == Some(name) || to.full_aliases().any(|alias| alias == name);
            alike(to) && full
        };
        let short = |to: &Kind| alike(to) && to.name().is_some_and(|n| simple(n) == simple(name));
        let structure = |to: &Kind| match (wire, to) {
            (Kind::Record(w), Kind::Record(r)) => same_structure(writer, w, reader, r),
            _ => false,
        };
        return first(&same)
            .or_else(|| first(&|to| short(to) && structure(to)))
            .or_else(|| first(&structure))
            // A record found here cannot be read: its problems say why.
            .or_else(|| first(&short));
    }
    first(&|to| match (wire, to) {
        (Kind::Primitive(w), Kind::Primitive(r)) => w == r,
        (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)) => true,
        _ => false,
    })
    .or_else(|| {
        first(&|to| match (wire, to) {
            (Kind::Primitive(w), Kind::Primitive(r)) => promotes(*w, *r),
            _ => false,
        })
    })
}

/// Whether each field of the reader has a source of a type that may resolve.
fn same_structure(writer: &Schema, from: &RecordType, reader: &Schema, to: &RecordType) -> bool {
    let written = Fields::of(from);
    to.fields.iter().all(|field| match written.find(field) {
        Some(w) => may_resolve(writer, from.fields[w].node, reader, field.node),
        None => field.default.is_some(),
    })
}

/// Whether a type resolves as far as its own level shows.
fn may_resolve(writer: &Schema, from: NodeId, reader: &Schema, to: NodeId) -> bool {
    match (&writer.node(from).kind, &reader.node(to).kind) {
        (Kind::Union(_), _) => true,
        // No union holds a union, so this goes one level down.
        (_, Kind::Union(branches)) => branches
            .iter()
            .any(|&b| may_resolve(writer, from, reader, b)),
        (Kind::Primitive(w), Kind::Primitive(r)) => promotes(*w, *r),
        (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)) => true,
        (Kind::Fixed(w), Kind::Fixed(r)) => {
            w.size == r.size && same_name(&w.name, &r.name, &r.aliases)
        }
        (Kind::Enum(w), Kind::Enum(r)) => same_name(&w.name, &r.name, &r.aliases),
        (Kind::Record(w), Kind::Record(r)) => {
            let written = Fields::of(w);
            let mut fields = r.fields.iter();
            fields.all(|f| f.default.is_some() || written.find(f).is_some())
        }
        _ => false,
    }
}

/// The least bytes that each type of a schema takes on the wire; never too much.
pub(crate) fn wire_min(schema: &Schema) -> alloc::vec::Vec<u32> {
    /// Rounds after which a type that holds itself, and so has no datum, stops growing.
    const ROUNDS: usize = 16;
    let nodes = schema.nodes();
    let mut min = alloc::vec![0u32; nodes.len()];
    for _ in 0..ROUNDS {
        let mut changed = false;
        // Most types come after the one that holds them, so the end is known first.
        for i in (0..nodes.len()).rev() {
            let found = match &nodes[i].kind {
                Kind::Primitive(p) => match p {
                    Primitive::Null => 0,
                    Primitive::Float => 4,
                    Primitive::Double => 8,
                    _ => 1,
                },
                Kind::Array(_) | Kind::Map(_) | Kind::Enum(_) => 1,
                Kind::Fixed(fixed) => fixed.size,
                Kind::Union(branches) => {
                    let least = branches.iter().map(|b| min[b.index()]).min();
                    least.unwrap_or(0).saturating_add(1)
                }
                Kind::Record(record) => record
                    .fields
                    .iter()
                    .fold(0u32, |sum, f| sum.saturating_add(min[f.node.index()])),
            };
            changed |= found != min[i];
            min[i] = found;
        }
        if !changed {
            break;
        }
    }
    min
}
