//! JSON read where it stands: no tree is built, so a stranger's text costs little more than itself.

use alloc::borrow::{Cow, ToOwned as _};
use alloc::string::String;
use core::fmt;

use serde_core::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::SchemaError;

/// One value of a text.
pub(crate) type Json<'a> = &'a RawValue;

/// The whole text as one value, with every number and escape in it checked. Nothing here recurses.
pub(super) fn whole(text: &str) -> Result<Json<'_>, SchemaError> {
    let whole = serde_json::from_str(text).map_err(SchemaError::json)?;
    match unreadable(text) {
        None => Ok(whole),
        Some((at, reason)) => {
            let before = &text[..at];
            let line = before.rfind('\n').map_or(0, |end| end + 1);
            Err(SchemaError::Json {
                line: before.matches('\n').count() + 1,
                column: at - line + 1,
                reason: reason.to_owned(),
            })
        }
    }
}

/// The first string or number of a JSON text that follows the grammar and still says nothing.
fn unreadable(text: &str) -> Option<(usize, &'static str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let len = match byte {
            b'"' => {
                let mut inside = rest.iter().copied();
                inside.next();
                skip_string(&mut inside);
                let len = rest.len() - inside.len();
                let token = &text[at..at + len];
                if token.contains('\\') && serde_json::from_str::<Text<'_>>(token).is_err() {
                    return Some((at, "half of a surrogate pair"));
                }
                len
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |b: &&u8| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let len = rest.iter().take_while(is_part).count();
                let number = text[at..at + len].parse::<f64>();
                if !number.is_ok_and(f64::is_finite) {
                    return Some((at, "number out of range"));
                }
                len
            }
            _ => 1,
        };
        at += len;
    }
    None
}

/// How many arrays and objects are inside each other; told without recursion.
pub(super) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

/// Goes behind the end of a string.
fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

/// What other libraries read as JSON, as JSON: a byte order mark goes, comments become blanks, halves
/// of surrogate pairs become U+FFFD.
pub(super) fn tidied(text: &str) -> Cow<'_, str> {
    let text = text.trim_start_matches('\u{feff}');
    if !text.contains("//") && !text.contains("/*") && !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '/']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = if from.starts_with('"') {
            tidied_string(from, &mut out)
        } else if from.starts_with("//") {
            from.find('\n').map_or("", |end| &from[end..])
        } else if let Some(inside) = from.strip_prefix("/*") {
            out.push(' ');
            inside.find("*/").map_or("", |end| &inside[end + 2..])
        } else {
            out.push('/');
            &from[1..]
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Copies the string that `text` begins with; gives what is behind it.
fn tidied_string<'a>(text: &'a str, out: &mut String) -> &'a str {
    out.push('"');
    let mut rest = &text[1..];
    while let Some(at) = rest.find(['"', '\\']) {
        out.push_str(&rest[..at]);
        let from = &rest[at..];
        if let Some(behind) = from.strip_prefix('"') {
            out.push('"');
            return behind;
        }
        let escape = |text: &str| {
            let digits = text.strip_prefix("\\u")?.get(..4)?;
            u16::from_str_radix(digits, 16).ok()
        };
        let len = match (escape(from), from.get(6..).and_then(escape)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                rest = &from[6..];
                continue;
            }
            (Some(_), _) => 6,
            // A backslash, and the one character that it stands before.
            (None, _) => 1 + from[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&from[..len]);
        rest = &from[len..];
    }
    out.push_str(rest);
    ""
}

/// A part of a text that was checked before.
pub(crate) fn known(text: &str) -> Option<Json<'_>> {
    serde_json::from_str(text).ok()
}

/// What a value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

pub(crate) fn shape(json: Json<'_>) -> Shape {
    match json.get().as_bytes().first() {
        Some(b'n') => Shape::Null,
        Some(b't' | b'f') => Shape::Boolean,
        Some(b'"') => Shape::String,
        Some(b'[') => Shape::Array,
        Some(b'{') => Shape::Object,
        _ => Shape::Number,
    }
}

/// The text of a string.
pub(crate) fn string(json: Json<'_>) -> Option<Cow<'_, str>> {
    serde_json::from_str(json.get()).ok().map(|Text(text)| text)
}

/// A whole number that fits. `-0` is one: 0.
pub(crate) fn integer<N: TryFrom<i64>>(json: Json<'_>) -> Option<N> {
    N::try_from(json.get().parse::<i64>().ok()?).ok()
}

/// A number, rounded exactly.
pub(crate) fn float(json: Json<'_>) -> Option<f64> {
    // A text or a word is no number, though Rust reads `inf` as one.
    (shape(json) == Shape::Number).then(|| json.get().parse().ok())?
}

/// Shows every item of an array, until one is refused.
pub(crate) fn items<'a, E>(
    json: Json<'a>,
    mut each: impl FnMut(usize, Json<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut i = 0;
    walk(json, |_, item| {
        each(i, item)?;
        i += 1;
        Ok(())
    })
}

/// Shows every entry of an object, until one is refused.
pub(crate) fn entries<'a, E>(
    json: Json<'a>,
    mut each: impl FnMut(&str, Json<'a>) -> Result<(), E>,
) -> Result<(), E> {
    walk(json, |key, value| each(key.unwrap_or_default(), value))
}

fn walk<'a, E>(
    json: Json<'a>,
    each: impl FnMut(Option<&str>, Json<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut refused = None;
    let walk = Walk {
        each,
        refused: &mut refused,
    };
    // The text is known to be JSON: all that can end a walk early is a refusal.
    let _ = serde_json::Deserializer::from_str(json.get()).deserialize_any(walk);
    refused.map_or(Ok(()), Err)
}

struct Walk<'r, F, E> {
    each: F,
    refused: &'r mut Option<E>,
}

impl<'a, F, E> Walk<'_, F, E>
where
    F: FnMut(Option<&str>, Json<'a>) -> Result<(), E>,
{
    fn show<D: serde_core::de::Error>(
        &mut self,
        key: Option<&str>,
        value: Json<'a>,
    ) -> Result<(), D> {
        (self.each)(key, value).map_err(|error| {
            *self.refused = Some(error);
            D::custom("refused")
        })
    }
}

impl<'a, F, E> Visitor<'a> for Walk<'_, F, E>
where
    F: FnMut(Option<&str>, Json<'a>) -> Result<(), E>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            self.show(None, item)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while let Some((Text(key), value)) = entries.next_entry()? {
            self.show(Some(&key), value)?;
        }
        Ok(())
    }
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Text<'a> {
    fn deserialize<D: Deserializer<'a>>(input: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'a> Visitor<'a> for Take {
            type Value = Text<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(text.into())))
            }
        }
        input.deserialize_str(Take)
    }
}
