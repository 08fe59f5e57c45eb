//! Arbitrary schemas, the same in every run.

use std::collections::BTreeSet;

use super::random::Random;

/// A schema in the making.
pub(crate) struct Arbitrary {
    random: Random,
    /// Full names so far.
    names: Vec<String>,
    types: usize,
}

impl Arbitrary {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            names: Vec::new(),
            types: 0,
        }
    }

    pub(crate) fn schema(mut self) -> String {
        self.record(3)
    }

    fn name(&mut self) -> String {
        const NAMES: &[&str] = &[
            "X", "x", "Option", "Vec", "Box", "String", "Self", "self", "Some", "fooBar",
            "foo_bar", "FooBar", "Int", "Array", "_1", "Null", "Result", "str", "Entry", "Clone",
        ];
        let namespaces = ["", "a.", "b.", "std."];
        let plain = format!("{}{}", self.pick(&namespaces), self.pick(NAMES));
        let mut name = plain.clone();
        while self.names.contains(&name) {
            name = format!("{plain}{}", self.names.len());
        }
        self.names.push(name.clone());
        name
    }

    fn record(&mut self, depth: usize) -> String {
        const FIELDS: &[&str] = &[
            "fooBar", "foo_bar", "FooBar", "_id", "id", "self", "type", "crate", "value", "a1",
            "_1",
        ];
        const DOCS: &[&str] = &[
            "",
            "Row.\\n\\n    x -> y",
            "```\\nlet x;\\n```",
            "one\\rtwo \\u202e",
        ];
        let name = self.name();
        let mut fields: Vec<String> = Vec::new();
        let mut used = BTreeSet::new();
        for _ in 0..1 + self.random.below(3) {
            let field = self.pick(FIELDS);
            if used.insert(field) {
                let (ty, default) = self.ty(depth);
                let doc = self.pick(DOCS);
                let default = default.map_or(String::new(), |d| format!(r#","default":{d}"#));
                fields.push(format!(
                    r#"{{"name":"{field}","doc":"{doc}","aliases":["old-{field}"],"type":{ty}{default}}}"#
                ));
            }
        }
        let doc = self.pick(DOCS);
        let name = if name.contains('.') {
            name
        } else {
            format!(".{name}")
        };
        let (namespace, simple) = name.rsplit_once('.').unwrap();
        format!(
            r#"{{"type":"record","name":"{simple}","namespace":"{namespace}","doc":"{doc}","fields":[{}]}}"#,
            fields.join(",")
        )
    }

    /// A type, and perhaps a default of it.
    fn ty(&mut self, depth: usize) -> (String, Option<String>) {
        self.types += 1;
        let parts = depth > 0 && self.types < 5;
        let choice = if parts { 9 } else { 4 };
        match self.random.below(choice) {
            0 | 1 => {
                let (ty, default) = self.pick(&[
                    ("null", "null"),
                    ("boolean", "true"),
                    ("int", "-0"),
                    ("long", "-9"),
                    ("float", "7"),
                    ("double", "12345678901234567890"),
                    ("bytes", r#""\u00ff\u0000""#),
                    ("string", r#""a\"b\\""#),
                ]);
                (format!("\"{ty}\""), self.maybe(default))
            }
            2 => {
                let ty = self.pick(&[
                    r#"{"type":"long","logicalType":"timestamp-millis"}"#,
                    r#"{"type":"long","logicalType":"timestamp-micros"}"#,
                    r#"{"type":"int","logicalType":"date"}"#,
                    r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
                    r#"{"type":"bytes","logicalType":"decimal"}"#,
                    r#"{"type":"string","logicalType":"uuid"}"#,
                    r#"{"type":"string","logicalType":"date"}"#,
                    r#"{"type":"int","logicalType":"vendor-thing"}"#,
                ]);
                (ty.to_owned(), None)
            }
            3 => {
                let name = self.name();
                let name = if name.contains('.') {
                    name
                } else {
                    format!(".{name}")
                };
                let (namespace, simple) = name.rsplit_once('.').unwrap();
                let head = format!(r#""name":"{simple}","namespace":"{namespace}""#);
                match self.random.below(3) {
                    0 => (
                        format!(
                            r#"{{"type":"enum",{head},"symbols":["m","M","SELF","Null"],"default":"m"}}"#
                        ),
                        self.maybe("\"SELF\""),
                    ),
                    1 => (
                        format!(
                            r#"{{"type":"fixed",{head},"size":16,"logicalType":"decimal","precision":30,"scale":2}}"#
                        ),
                        None,
                    ),
                    _ => (
                        format!(
                            r#"{{"type":"fixed",{head},"size":2,"logicalType":"decimal","precision":30}}"#
                        ),
                        self.maybe(r#""\u00ff\u0001""#),
                    ),
                }
            }
            4 => {
                let (items, _) = self.ty(depth - 1);
                (
                    format!(r#"{{"type":"array","items":{items}}}"#),
                    self.maybe("[]"),
                )
            }
            5 => {
                let (values, _) = self.ty(depth - 1);
                (
                    format!(r#"{{"type":"map","values":{values}}}"#),
                    self.maybe("{}"),
                )
            }
            6 => (self.record(depth - 1), None),
            7 => {
                let (inner, default) = self.ty(depth - 1);
                if inner.starts_with('[') || inner == "\"null\"" {
                    return (inner, default);
                }
                match self.random.below(2) {
                    0 => (format!(r#"["null",{inner}]"#), self.maybe("null")),
                    _ => (format!(r#"[{inner},"null"]"#), default),
                }
            }
            _ => {
                let record = self.record(depth - 1);
                let union = format!(
                    r#"["null","bytes",{record},{{"type":"long","logicalType":"timestamp-millis"}},{{"type":"array","items":"int"}}]"#
                );
                (union, self.maybe("7"))
            }
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.below(of.len())]
    }

    fn maybe(&mut self, default: &str) -> Option<String> {
        (self.random.below(2) == 0).then(|| default.to_owned())
    }
}
