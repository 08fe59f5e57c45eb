//! What a schema asks of a table, decided once.

use std::collections::BTreeMap;
use std::fmt;

use super::names::{identifier, is_reserved, with_suffix};
use super::{Column, ColumnId, ColumnType, Part, Shape};

/// What starts the name of an enrichment's column.
const META: &str = "meta_";

/// What the catalogue knows about one table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    /// Which column a path leads to.
    ways: BTreeMap<(Part, String, ColumnType), Known>,
    /// Names that no column may take.
    reserved: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
struct Known {
    column: ColumnId,
    /// Whether a schema has a field of this path; else it is a name that a field had.
    own: bool,
}

/// A path's way to its column: a row of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The record it is of.
    pub part: Part,
    /// Names of the fields, joined by dots.
    pub path: String,
    /// What the field holds.
    pub kind: ColumnType,
    /// Where it is kept.
    pub column: ColumnId,
    /// Whether a schema has a field of this path; else it is a name that a field had.
    pub own: bool,
}

/// The columns of one schema: for each leaf of its [`Shape`], in order, its column.
///
/// A leaf without a column is kept in `extra`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The column of each leaf.
    pub columns: Vec<Option<ColumnId>>,
}

impl Layout {
    pub(super) fn has_column(&self, leaf: usize) -> bool {
        matches!(self.columns.get(leaf), Some(Some(_)))
    }
}

/// What a schema asks of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evolution {
    /// Where the schema's leaves are kept.
    pub layout: Layout,
    /// Columns that are not there yet.
    pub added: Vec<Column>,
    /// Rows that the catalogue needs besides.
    pub ways: Vec<Way>,
    /// Paths that get no column, since the table has as many as it may.
    pub without: Vec<String>,
}

impl Evolution {
    /// Whether the catalogue has all already.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.ways.is_empty()
    }
}

impl fmt::Display for Evolution {
    /// The plan in words, a line for each step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for column in &self.added {
            writeln!(f, "add column {} ({})", column.name, column.kind.as_str())?;
        }
        for path in &self.without {
            writeln!(
                f,
                "keep {path} in extra: the table has as many columns as it may"
            )?;
        }
        if self.added.is_empty() && self.without.is_empty() {
            writeln!(f, "nothing: every field has its column")?;
        }
        Ok(())
    }
}

impl Table {
    /// A table whose columns may not be named like one of `reserved`.
    pub fn new(reserved: &'static [&'static str]) -> Self {
        Self {
            reserved,
            ..Self::default()
        }
    }

    /// Takes a column of the stored catalogue.
    pub fn restore_column(&mut self, column: Column) {
        if self.column(column.id).is_none() {
            self.columns.push(column);
        }
    }

    /// Takes a way of the stored catalogue.
    pub fn restore_way(&mut self, way: &Way) {
        let known = Known {
            column: way.column,
            own: way.own,
        };
        self.ways
            .insert((way.part, way.path.clone(), way.kind), known);
    }

    /// Columns so far, in the order they came.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column of this number.
    pub fn column(&self, id: ColumnId) -> Option<&Column> {
        self.columns.iter().find(|c| c.id == id)
    }

    /// Decides where the leaves of a schema are kept, in a table that may have `columns_max` columns.
    ///
    /// The table is unchanged: [`apply`](Self::apply) the answer once it is stored. Every schema gets
    /// an answer, and which schemas came before decides about names only: a row is read by the
    /// layout of the schema that wrote it.
    pub fn evolve(&self, part: Part, shape: &Shape, columns_max: usize) -> Evolution {
        let leaves = shape.leaves();
        let mut found: Vec<Option<ColumnId>> = vec![None; leaves.len()];
        let way = |path: &str, kind| self.ways.get(&(part, path.to_owned(), kind)).copied();
        // A field of the same path comes first, then one that had this name or that this one had.
        for (i, leaf) in leaves.iter().enumerate() {
            let own = way(&leaf.path, leaf.kind).filter(|known| known.own);
            found[i] = own
                .map(|known| known.column)
                .filter(|c| !found.contains(&Some(*c)));
        }
        for (i, leaf) in leaves.iter().enumerate() {
            if found[i].is_none() {
                let mut names = std::iter::once(&leaf.path).chain(&leaf.aliases);
                found[i] = names.find_map(|path| {
                    let column = way(path, leaf.kind)?.column;
                    (!found.contains(&Some(column))).then_some(column)
                });
            }
        }
        let mut table = self.clone();
        let mut out = Evolution::default();
        for (i, leaf) in leaves.iter().enumerate() {
            if found[i].is_none() && table.columns.len() < columns_max {
                let column = Column {
                    id: ColumnId(table.columns.iter().map(|c| c.id.0 + 1).max().unwrap_or(0)),
                    part,
                    name: table.free_name(part, &leaf.path, leaf.kind),
                    kind: leaf.kind,
                };
                found[i] = Some(column.id);
                out.added.push(column.clone());
                table.columns.push(column);
            }
            if found[i].is_none() {
                out.without.push(leaf.path.clone());
            }
        }
        for (leaf, column) in leaves.iter().zip(&found) {
            let Some(column) = *column else { continue };
            let own = std::iter::once((&leaf.path, true));
            for (path, own) in own.chain(leaf.aliases.iter().map(|alias| (alias, false))) {
                let way = Way {
                    part,
                    path: path.clone(),
                    kind: leaf.kind,
                    column,
                    own,
                };
                let known = table.ways.get(&(part, path.clone(), leaf.kind));
                // A field's own path counts for more than a name that another one had.
                if known.is_none_or(|known| own && !known.own) {
                    table.restore_way(&way);
                    out.ways.push(way);
                }
            }
        }
        out.layout.columns = found;
        out
    }

    /// Makes a stored evolution part of the table.
    pub fn apply(&mut self, evolution: &Evolution) {
        for column in &evolution.added {
            self.restore_column(column.clone());
        }
        for way in &evolution.ways {
            self.restore_way(way);
        }
    }

    /// A free name: the path's own, then with its type, then with a number.
    fn free_name(&self, part: Part, path: &str, kind: ColumnType) -> String {
        let base = match part {
            Part::Record => identifier("", path),
            Part::Enrichment => identifier(META, path),
        };
        let free = |name: &str| {
            !self.reserved.contains(&name)
                && !is_reserved(name)
                && self.columns.iter().all(|c| c.name != name)
        };
        let typed = with_suffix(&base, &format!("__{}", kind.as_str()));
        // Bytes that only a program can read say so.
        if kind != ColumnType::Avro && free(&base) {
            return base;
        }
        if free(&typed) {
            return typed;
        }
        // A table has fewer columns than there are numbers.
        (2..u32::MAX)
            .map(|n| with_suffix(&base, &format!("_{n}")))
            .find(|name| free(name))
            .unwrap_or(typed)
    }
}
