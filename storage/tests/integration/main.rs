//! The contract on every store, and what is particular to each.

mod sqlite;
