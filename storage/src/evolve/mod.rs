//! The evolution engine: from a catalogue and a schema to columns, without any I/O.
//!
//! | change of the schema | what happens to the table |
//! |---|---|
//! | field added | a nullable column is added |
//! | field removed | nothing |
//! | field renamed (alias) | the new name leads to the same column |
//! | `int` to `long`, `float` to `double` | nothing: both live in the wide type from the start |
//! | another type | a new column, e.g. `speed__text`; the old one stays |
//!
//! The decision is a pure function of the catalogue, so that whoever stores it can decide once
//! (by transaction or by Paxos) and everybody else finds the same columns.

mod names;

use std::collections::BTreeMap;

use telemetry_core::{PlanError, Primitive, Schema};

/// What a column holds. Wide from the start, so that promotions need no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColumnType {
    /// `boolean`.
    Boolean,
    /// `int` and `long`.
    Integer,
    /// `float` and `double`.
    Real,
    /// `string`.
    Text,
    /// `bytes`.
    Blob,
}

impl ColumnType {
    /// The column type of a primitive; a field that is always null is kept as text.
    pub const fn of(primitive: Primitive) -> Self {
        match primitive {
            Primitive::Boolean => Self::Boolean,
            Primitive::Int | Primitive::Long => Self::Integer,
            Primitive::Float | Primitive::Double => Self::Real,
            Primitive::Bytes => Self::Blob,
            Primitive::String | Primitive::Null => Self::Text,
        }
    }

    /// The word for it in catalogues and column names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "i64",
            Self::Real => "f64",
            Self::Text => "text",
            Self::Blob => "blob",
        }
    }

    /// The type named by `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Boolean,
            Self::Integer,
            Self::Real,
            Self::Text,
            Self::Blob,
        ]
        .into_iter()
        .find(|t| t.as_str() == word)
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the database: `[a-z][a-z0-9_]*`.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
}

/// A field's way into its column: a row of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Name of the field in a schema.
    pub field: String,
    /// The column it lives in.
    pub column: Column,
}

/// What the catalogue knows about one table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    /// (field name, type) to position in `columns`.
    fields: BTreeMap<(String, ColumnType), usize>,
    /// Names that no column may take.
    reserved: &'static [&'static str],
    prefix: &'static str,
}

/// What a schema asks of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evolution {
    /// For each field of the schema's record, in order: the name of its column.
    pub columns: Vec<String>,
    /// Columns that are not there yet.
    pub added: Vec<Column>,
    /// Rows that the catalogue needs besides, added columns' own included.
    pub mappings: Vec<Mapping>,
}

impl Table {
    /// A table whose columns may not be named like one of `reserved`, and start with `prefix`.
    pub fn new(reserved: &'static [&'static str], prefix: &'static str) -> Self {
        Self {
            reserved,
            prefix,
            ..Self::default()
        }
    }

    /// Takes a row of the stored catalogue; the order of the rows does not matter.
    pub fn restore(&mut self, mapping: &Mapping) {
        let at = self.column(&mapping.column);
        let key = (mapping.field.clone(), mapping.column.kind);
        self.fields.insert(key, at);
    }

    /// Columns so far.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column that holds a field of this name and type, if there is one.
    pub fn column_of(&self, field: &str, kind: ColumnType) -> Option<&Column> {
        let at = self.fields.get(&(field.to_owned(), kind))?;
        Some(&self.columns[*at])
    }

    /// Decides what `schema` needs. The table is unchanged: [`Table::apply`] the answer once it is
    /// stored.
    pub fn evolve(&self, schema: &Schema) -> Result<Evolution, EvolveError> {
        let record = schema.record().ok_or_else(|| PlanError::NotFlat {
            path: "$".to_owned(),
        })?;
        let own = |name: &str| record.fields.iter().any(|f| f.name == name);
        let mut table = self.clone();
        let mut out = Evolution::default();
        for field in &record.fields {
            let flat = schema.flat(field).ok_or_else(|| PlanError::NotFlat {
                path: format!("{}.{}", record.name, field.name),
            })?;
            let kind = ColumnType::of(flat.primitive);
            // Names the field has or had; one that the schema uses for another field is not his.
            let names: Vec<&String> = std::iter::once(&field.name)
                .chain(field.aliases.iter().filter(|alias| !own(alias)))
                .collect();
            let known = names.iter().find_map(|n| table.column_of(n, kind).cloned());
            let column = known.unwrap_or_else(|| {
                let column = Column {
                    name: table.name_for(&field.name, kind),
                    kind,
                };
                out.added.push(column.clone());
                column
            });
            if let Some(other) = out.columns.iter().position(|c| *c == column.name) {
                return Err(EvolveError::Ambiguous {
                    field: field.name.clone(),
                    other: record.fields[other].name.clone(),
                    column: column.name,
                });
            }
            // Every name leads to the column, so that an older writer that comes later finds it.
            // A name that has a column of its own keeps it.
            for name in names {
                if table.column_of(name, kind).is_none() {
                    let mapping = Mapping {
                        field: name.clone(),
                        column: column.clone(),
                    };
                    table.restore(&mapping);
                    out.mappings.push(mapping);
                }
            }
            out.columns.push(column.name);
        }
        Ok(out)
    }

    /// Makes a stored evolution part of the table.
    pub fn apply(&mut self, evolution: &Evolution) {
        for mapping in &evolution.mappings {
            self.restore(mapping);
        }
    }

    fn column(&mut self, column: &Column) -> usize {
        if let Some(at) = self.columns.iter().position(|c| c.name == column.name) {
            return at;
        }
        self.columns.push(column.clone());
        self.columns.len() - 1
    }

    /// A free name: the field's own, then with its type, then with a number.
    fn name_for(&self, field: &str, kind: ColumnType) -> String {
        let base = names::identifier(self.prefix, field);
        let free = |name: &str| {
            !self.reserved.contains(&name)
                && !names::RESERVED.contains(&name)
                && self.columns.iter().all(|c| c.name != name)
        };
        if free(&base) {
            return base;
        }
        let typed = names::with_suffix(&base, &format!("__{}", kind.as_str()));
        if free(&typed) {
            return typed;
        }
        (2..)
            .map(|n| names::with_suffix(&base, &format!("_{n}")))
            .find(|name| free(name))
            .unwrap_or(typed)
    }
}

pub use names::table_name;

/// A schema that no columns can be found for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvolveError {
    /// The schema is not a flat record.
    #[error(transparent)]
    NotFlat(#[from] PlanError),
    /// Two fields lead to one column, since an earlier schema said they were one field.
    #[error("`{field}` and `{other}` both live in column {column}: give one of them a new name")]
    Ambiguous {
        /// The second field.
        field: String,
        /// The first field.
        other: String,
        /// Their column.
        column: String,
    },
}

telemetry_core::error_codes!(EvolveError {
    NotFlat(_) => 4030,
    Ambiguous { .. } => 4031,
});

#[cfg(test)]
mod tests;
