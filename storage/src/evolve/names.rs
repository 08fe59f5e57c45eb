//! Names that every database takes as they are.

/// Longest name: Cassandra allows 48 for tables.
const LEN_MAX: usize = 48;

/// Words of CQL 3.4 and SQLite 3. Names are quoted besides; but who types a query should not have to.
const RESERVED: &[&str] = &[
    "add",
    "all",
    "allow",
    "alter",
    "and",
    "apply",
    "as",
    "asc",
    "authorize",
    "autoincrement",
    "batch",
    "begin",
    "between",
    "by",
    "case",
    "cast",
    "check",
    "collate",
    "columnfamily",
    "commit",
    "constraint",
    "create",
    "cross",
    "current_date",
    "current_time",
    "current_timestamp",
    "default",
    "deferrable",
    "delete",
    "desc",
    "describe",
    "distinct",
    "drop",
    "else",
    "entries",
    "escape",
    "except",
    "execute",
    "exists",
    "foreign",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "if",
    "in",
    "index",
    "indexed",
    "infinity",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "keyspace",
    "left",
    "limit",
    "materialized",
    "mbean",
    "mbeans",
    "modify",
    "nan",
    "natural",
    "norecursive",
    "not",
    "nothing",
    "notnull",
    "null",
    "of",
    "oid",
    "on",
    "or",
    "order",
    "outer",
    "primary",
    "raise",
    "references",
    "rename",
    "replace",
    "returning",
    "revoke",
    "right",
    "rowid",
    "schema",
    "select",
    "set",
    "table",
    "then",
    "to",
    "token",
    "transaction",
    "truncate",
    "union",
    "unique",
    "unlogged",
    "update",
    "use",
    "using",
    "values",
    "view",
    "when",
    "where",
    "with",
];

/// A name `[a-z][a-z0-9_]*` of at most 48 bytes for a field.
pub(super) fn identifier(prefix: &str, field: &str) -> String {
    let mut name = prefix.to_owned();
    for c in field.chars() {
        let c = c.to_ascii_lowercase();
        name.push(if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '_'
        });
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert(0, 'f');
    }
    name.truncate(LEN_MAX);
    name
}

/// Whether a database takes `name` as a word of its own.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.binary_search(&name).is_ok()
}

/// `name` with `suffix`, shortened so that both fit.
pub(super) fn with_suffix(name: &str, suffix: &str) -> String {
    let keep = LEN_MAX.saturating_sub(suffix.len()).min(name.len());
    format!("{}{suffix}", &name[..keep])
}

/// The table of a stream that is the `nth` (from 0) whose name leads here.
///
/// Names are data: the catalogue keeps which stream has which table.
pub fn table_name(stream: &str, nth: usize) -> String {
    let mut base = identifier("", stream);
    // `sqlite_…` is SQLite's own, and `xpt_…` is the catalogue's.
    if ["sqlite_", "xpt_"].iter().any(|own| base.starts_with(own)) || is_reserved(&base) {
        base = identifier("s_", stream);
    }
    if nth == 0 {
        base
    } else {
        with_suffix(&base, &format!("_{}", nth + 1))
    }
}
