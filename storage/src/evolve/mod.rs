//! The evolution engine: from schemas to columns and from records to cells, without any I/O.
//!
//! # Ideas
//! Every schema that wrote a row keeps its own way of reading it. The [`Shape`] of a schema says which
//! parts of its record are *leaves*, each of which becomes one cell. The [`Table`] decides, once, which
//! column each leaf gets: that is the schema's [`Layout`]. A row names its schema, so its cells lead
//! back to the bytes that were written ([`Shape::write`]), and from there Avro's own rules of schema
//! resolution lead to any reader. No row is ever rewritten for a new schema, and no order in which
//! schemas arrive changes what is read.
//!
//! | change of the schema | what happens to the table |
//! |---|---|
//! | field added | a nullable column is added |
//! | field removed | nothing |
//! | field renamed (alias) | the new name leads to the same column |
//! | `int` to `long`, `float` to `double`, another scale of a `decimal` | nothing: one column holds both |
//! | milliseconds to microseconds | nothing: columns have microseconds |
//! | another type | a new column, e.g. `speed__text`; the old one stays |
//! | union gets a branch | a column for that branch, e.g. `level__text` |
//! | more columns than the table may have | the new fields are kept in `extra` |
//!
//! | Avro | column |
//! |---|---|
//! | record in a record | a column for each of its fields, `position_lat`; deeper than four records, or in itself: Avro |
//! | record that may be null | besides, a boolean column that is true where it is there |
//! | union of up to three types that differ | a column for each |
//! | `enum` | its symbol as text |
//! | array, map, any other union | `<name>__avro`: the datum of the field's own schema |
//! | what a column does not hold exactly (NaN, −0.0, an overlong decimal, text that is no UUID) | exactly in `extra`, and as near as the column can hold it |
//!
//! The decision is a pure function of the catalogue, so that whoever stores it can decide once (by
//! transaction or by Paxos) and everybody else finds the same columns.

mod cell;
mod column;
mod names;
mod shape;
mod table;

pub use cell::{Cell, Row, RowError};
pub use column::{Column, ColumnId, ColumnType, Part};
pub use names::table_name;
pub use shape::{Leaf, Shape};
pub use table::{Evolution, Layout, Table, Way};

#[cfg(test)]
pub(crate) mod random;
#[cfg(test)]
mod tests;
