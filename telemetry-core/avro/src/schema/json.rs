//! JSON read where it stands: no tree is built, so a stranger's text costs little more than itself.

use alloc::borrow::Cow;
use core::fmt;

use serde_core::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One value of a text.
pub(super) type Json<'a> = &'a RawValue;

/// The whole text as one value, with every number and escape in it checked.
pub(super) fn whole(text: &str) -> Result<Json<'_>, serde_json::Error> {
    serde_json::from_str::<Checked>(text)?;
    serde_json::from_str(text)
}

/// A part of a text that was checked before.
pub(super) fn known(text: &str) -> Option<Json<'_>> {
    serde_json::from_str(text).ok()
}

/// What a value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

pub(super) fn shape(json: Json<'_>) -> Shape {
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
pub(super) fn string(json: Json<'_>) -> Option<Cow<'_, str>> {
    serde_json::from_str(json.get()).ok().map(|Text(text)| text)
}

/// A whole number that fits.
pub(super) fn number<'a, N: Deserialize<'a>>(json: Json<'a>) -> Option<N> {
    serde_json::from_str(json.get()).ok()
}

/// Shows every item of an array, until one is refused.
pub(super) fn items<'a, E>(
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
pub(super) fn entries<'a, E>(
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

/// Any value, looked at to its last digit and kept nowhere.
struct Checked;

impl<'a> Deserialize<'a> for Checked {
    fn deserialize<D: Deserializer<'a>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Self)
    }
}

impl<'a> Visitor<'a> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}
