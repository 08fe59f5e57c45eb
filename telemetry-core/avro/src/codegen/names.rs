//! Names of Avro as names of Rust: the rules are in the documentation of the module above.

use std::collections::{BTreeMap, BTreeSet};

/// Gives each of several Avro names a Rust name of its own.
///
/// A name that is its own Rust name keeps it, whatever comes before; the others take what is free in
/// their order: the plain name, or the plain name with a number from 2.
pub(super) fn apart<'n>(
    names: impl Iterator<Item = &'n str> + Clone,
    plain: impl Fn(&str) -> String,
    numbered: impl Fn(&str, usize) -> String,
) -> Vec<String> {
    let mut taken: BTreeSet<String> = names
        .clone()
        .filter(|name| plain(name) == **name)
        .map(str::to_owned)
        .collect();
    let mut free = |name: &str| {
        let plain = plain(name);
        if plain == name {
            return plain;
        }
        let mut candidate = plain.clone();
        let mut number = 2;
        while !taken.insert(candidate.clone()) {
            candidate = numbered(&plain, number);
            number += 1;
        }
        candidate
    };
    names.map(&mut free).collect()
}

/// The Rust names of types: of named ones by full name, and what else is taken.
#[derive(Default)]
pub(super) struct Types {
    of: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Types {
    /// Names every type of these full names, in this order.
    pub(super) fn new(full_names: &[String]) -> Self {
        let mut types = Self::default();
        // Those first whose simple name is its own Rust name.
        for own in [true, false] {
            for full in full_names {
                let plain = camel(simple(full));
                if !types.of.contains_key(full) && (plain == simple(full)) == own {
                    let rust = types.free([plain, camel(full)]);
                    types.of.insert(full.clone(), rust);
                }
            }
        }
        types
    }

    /// The Rust name of a named type.
    pub(super) fn of(&self, full: &str) -> String {
        self.of.get(full).cloned().unwrap_or_else(|| camel(full))
    }

    /// A name for a type that Avro gives none.
    pub(super) fn more(&mut self, plain: &str) -> String {
        self.free([plain.to_owned()])
    }

    /// Takes the first of these that is free, or the last with a number.
    fn free<const N: usize>(&mut self, candidates: [String; N]) -> String {
        let last = candidates.last().cloned().unwrap_or_default();
        let more = (2..).map(|number| numbered_type(&last, number));
        let mut all = candidates.into_iter().chain(more);
        // There is always another number.
        all.find(|name| self.taken.insert(name.clone()))
            .unwrap_or(last)
    }
}

pub(super) fn numbered_type(plain: &str, number: usize) -> String {
    let between = if plain.ends_with(|c: char| c.is_ascii_digit()) {
        "_"
    } else {
        ""
    };
    format!("{plain}{between}{number}")
}

pub(super) fn numbered_field(plain: &str, number: usize) -> String {
    format!("{plain}_{number}")
}

pub(super) fn simple(full: &str) -> &str {
    full.rsplit_once('.').map_or(full, |(_, name)| name)
}

/// The words of an Avro name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        let starts = (c.is_ascii_uppercase() && !before.is_ascii_uppercase())
            || before == '_'
            || words.is_empty();
        if c != '_' {
            if starts {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(c.to_ascii_lowercase());
            }
        }
        before = c;
    }
    words
}

/// The name of a type or a variant.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::new();
    for word in words(name) {
        let mut chars = word.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.extend(chars);
    }
    match out.as_str() {
        "Self" => "Self_".to_owned(),
        _ => guard(out, 'N'),
    }
}

/// The name of a type that belongs to a part of another.
pub(super) fn within(outer: &str, part: &str) -> String {
    // An underscore goes at the end of a name alone.
    let plain = |name: &str| name.trim_end_matches('_').to_owned();
    format!("{}{}", plain(outer), plain(part))
}

/// The name of a field, without what makes a keyword raw.
pub(super) fn snake(name: &str) -> String {
    let name = guard(words(name).join("_"), 'n');
    match name.as_str() {
        // These cannot be raw.
        "self" | "super" | "crate" => format!("{name}_"),
        _ => name,
    }
}

/// A name that starts as Rust wants it.
fn guard(name: String, with: char) -> String {
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name
    } else {
        format!("{with}{name}")
    }
}

/// A field's name in code: raw where it is a keyword.
pub(super) fn keyword(name: &str) -> String {
    const KEYWORDS: &[&str] = &[
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do",
        "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in",
        "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
        "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe",
        "unsized", "use", "virtual", "where", "while", "yield",
    ];
    if KEYWORDS.contains(&name) {
        return format!("r#{name}");
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fold_stay_apart() {
        let fields = |names: &[&str]| apart(names.iter().copied(), snake, numbered_field);
        assert_eq!(fields(&["fooBar", "foo_bar"]), ["foo_bar_2", "foo_bar"]);
        assert_eq!(fields(&["_id", "id", "ID"]), ["id_2", "id", "id_3"]);
        assert_eq!(fields(&["self", "type", "1"]), ["self_", "type", "n1"]);
        let symbols = |names: &[&str]| apart(names.iter().copied(), camel, numbered_type);
        assert_eq!(symbols(&["m", "M"]), ["M2", "M"]);
        assert_eq!(symbols(&["SELF", "V1", "v1"]), ["Self_", "V1", "V1_2"]);
    }

    #[test]
    fn types_of_one_simple_name_take_their_namespace() {
        let names = ["a.x", "b.x", "b.X", "c.d.X"].map(str::to_owned);
        let types = Types::new(&names);
        let rust: Vec<_> = names.iter().map(|name| types.of(name)).collect();
        assert_eq!(rust, ["AX", "BX", "X", "CDX"]);
    }
}
