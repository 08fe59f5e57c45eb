//! What types and fields say of themselves, as documentation.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::schema::json::{self, Json, Shape};
use crate::schema::place;

/// Collects what named types say of themselves; `namespace` is the one around.
pub(super) fn collect(json: Json<'_>, namespace: &str, found: &mut BTreeMap<String, String>) {
    match json::shape(json) {
        Shape::Array => each(json, |_, branch| collect(branch, namespace, found)),
        Shape::Object => {
            let named = place(json, namespace);
            let inner = named.as_ref().map_or(namespace, |(_, inner)| inner);
            each(json, |key, part| match key {
                "doc" => {
                    if let (Some((full, _)), Some(doc)) = (&named, json::string(part)) {
                        found.insert(full.clone(), doc.into_owned());
                    }
                }
                "type" | "items" | "values" => collect(part, inner, found),
                // A field has a name, but is no type.
                "fields" => each(part, |_, field| {
                    each(field, |key, part| {
                        if key == "type" {
                            collect(part, inner, found);
                        }
                    });
                }),
                _ => {}
            });
        }
        _ => {}
    }
}

/// Shows every part of an array or an object.
pub(super) fn each<'a>(json: Json<'a>, mut show: impl FnMut(&str, Json<'a>)) {
    let mut all = |key: &str, part: Json<'a>| {
        show(key, part);
        Ok::<_, Infallible>(())
    };
    let _ = match json::shape(json) {
        Shape::Array => json::items(json, |_, part| all("", part)),
        Shape::Object => json::entries(json, all),
        _ => Ok(()),
    };
}

/// Characters of a doc: the rest is in the schema, whose text a derived type has not much room for.
const CHARS_MAX: usize = 2_000;

/// A doc comment that says the text and runs nothing.
///
/// Blanks are put together and fences are escaped, since Markdown takes indented and fenced text for
/// code, and code in documentation is a test. What turns the direction of writing is left out: the
/// compiler refuses it.
pub(super) fn comment(indent: &str, doc: Option<&str>) -> String {
    let lines = doc.into_iter().flat_map(|doc| doc.split(['\n', '\r']));
    let lines = lines.map(|line| {
        let words: Vec<String> = line
            .split_whitespace()
            .map(|word| {
                let word: String = word.chars().filter(|c| is_plain(*c)).collect();
                word.replace("```", "\\`\\`\\`").replace("~~~", "\\~\\~\\~")
            })
            .collect();
        words.join(" ")
    });
    let mut out = String::new();
    let mut left = CHARS_MAX;
    for line in lines.filter(|line| !line.is_empty()) {
        match line.char_indices().nth(left) {
            None => out += &format!("{indent}/// {line}\n"),
            Some((end, _)) => {
                out += &format!("{indent}/// {}…\n", &line[..end]);
                break;
            }
        }
        left -= line.chars().count();
    }
    out
}

/// Whether a character may stand in a comment: no control, and nothing that turns the direction.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
