//! Records whose fields all have a default, of any type and any text.

use std::fmt::Write as _;

use super::random::Random;

/// The text of a record named `R`.
pub(crate) fn record(r: &mut Random) -> String {
    let mut made = Made { names: 0 };
    let mut fields = String::new();
    for i in 0..1 + r.below(4) {
        let (ty, default) = made.ty(r, 3);
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(
            fields,
            r#"{comma}{{"name":"f{i}","type":{ty},"default":{default}}}"#
        );
    }
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

struct Made {
    names: usize,
}

impl Made {
    fn name(&mut self) -> usize {
        self.names += 1;
        self.names
    }

    /// A type and a default of it, both as JSON.
    fn ty(&mut self, r: &mut Random, depth: usize) -> (String, String) {
        let choice = if depth > 0 { 14 } else { 10 };
        match r.below(choice) {
            0 => (quoted("null"), "null".to_owned()),
            1 => (quoted("boolean"), ["true", "false"][r.below(2)].to_owned()),
            2 => (quoted("int"), (r.below(1 << 32) as u32 as i32).to_string()),
            3 => (quoted("long"), (random_long(r)).to_string()),
            4 => (quoted("float"), number(r)),
            5 => (quoted("double"), number(r)),
            6 => (quoted("bytes"), latin1(r, 4)),
            7 => (quoted("string"), text(r)),
            8 => {
                let name = self.name();
                let symbol = ["A", "B_1", "_c"][r.below(3)];
                let ty =
                    format!(r#"{{"type":"enum","name":"E{name}","symbols":["A","B_1","_c"]}}"#);
                (ty, quoted(symbol))
            }
            9 => {
                let (name, size) = (self.name(), 1 + r.below(5));
                let ty = format!(r#"{{"type":"fixed","name":"F{name}","size":{size}}}"#);
                (ty, latin1_of(r, size))
            }
            10 => {
                let (items, default) = self.ty(r, depth - 1);
                let ty = format!(r#"{{"type":"array","items":{items}}}"#);
                (ty, format!("[{}]", vec![default; r.below(3)].join(",")))
            }
            11 => {
                let (values, default) = self.ty(r, depth - 1);
                let ty = format!(r#"{{"type":"map","values":{values}}}"#);
                let pairs = if r.below(2) == 0 {
                    String::new()
                } else {
                    format!("{}:{default}", text(r))
                };
                (ty, format!("{{{pairs}}}"))
            }
            12 => self.nested(r, depth - 1),
            _ => {
                let (ty, default) = self.ty(r, depth - 1);
                // Avro 1.12.1 takes no array as the default of a union: "Not an array".
                if ty.starts_with('[') || ty == quoted("null") || ty.contains("\"array\"") {
                    return (ty, default);
                }
                (format!(r#"[{ty},"null"]"#), default)
            }
        }
    }

    /// A record that gives some of its fields, and leaves the others to their own defaults.
    fn nested(&mut self, r: &mut Random, depth: usize) -> (String, String) {
        let name = self.name();
        let (mut fields, mut given) = (Vec::new(), Vec::new());
        for i in 0..r.below(3) {
            let (ty, default) = self.ty(r, depth);
            let own = r.below(2) == 0;
            let default_of = if own {
                format!(r#","default":{default}"#)
            } else {
                String::new()
            };
            fields.push(format!(r#"{{"name":"g{i}","type":{ty}{default_of}}}"#));
            if !own || r.below(2) == 0 {
                given.push(format!(r#""g{i}":{default}"#));
            }
        }
        let ty = format!(
            r#"{{"type":"record","name":"N{name}","fields":[{}]}}"#,
            fields.join(",")
        );
        (ty, format!("{{{}}}", given.join(",")))
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn random_long(r: &mut Random) -> i64 {
    (r.below(usize::MAX) as i64) >> r.below(64)
}

/// A number of few or many digits, with or without a fraction and an exponent.
fn number(r: &mut Random) -> String {
    let mut text = String::new();
    if r.below(2) == 0 {
        text.push('-');
    }
    let digits = |r: &mut Random, n: usize| -> String {
        (0..n)
            .map(|_| char::from(b'0' + r.below(10) as u8))
            .collect()
    };
    let _ = write!(text, "{}", 1 + r.below(9));
    let more = r.below(20);
    text.push_str(&digits(r, more));
    if r.below(3) > 0 {
        text.push('.');
        let more = 1 + r.below(20);
        text.push_str(&digits(r, more));
    }
    if r.below(3) == 0 {
        let _ = write!(
            text,
            "{}{}",
            ["e", "E", "e+", "e-"][r.below(4)],
            r.below(30)
        );
    }
    text
}

fn latin1(r: &mut Random, max: usize) -> String {
    let len = r.below(max + 1);
    latin1_of(r, len)
}

fn latin1_of(r: &mut Random, len: usize) -> String {
    let codes: String = (0..len)
        .map(|_| format!("\\u{:04x}", r.below(256)))
        .collect();
    quoted(&codes)
}

fn text(r: &mut Random) -> String {
    const PARTS: &[&str] = &[
        "a",
        " ",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "ü",
        "\\u00fc",
        "😀",
        "\\ud83d\\ude00",
        "\\u0000",
        "\u{2028}",
    ];
    let parts: String = (0..r.below(5))
        .map(|_| PARTS[r.below(PARTS.len())])
        .collect();
    quoted(&parts)
}
