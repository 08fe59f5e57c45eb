//! One schema out of several texts that refer to each other's types.

use alloc::borrow::{Cow, ToOwned};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

use super::json::{self, Json, Shape};
use super::parse::{self, Path, namespace_of, prepared, qualify, shallow, shown, simple};
use super::{Primitive, SchemaError, SchemaLimits, SchemaRules};

/// Puts the definitions of `others` that `json` refers to where it first refers to them.
///
/// Everything else is copied as it stands, to the last digit. The size of what comes out is within
/// `limits` too, however the texts multiply each other.
pub(super) fn bundle(
    json: &str,
    others: &[&str],
    rules: SchemaRules,
    limits: SchemaLimits,
) -> Result<String, SchemaError> {
    let mut bundle = Bundle {
        known: BTreeMap::new(),
        defined: BTreeSet::new(),
        out: String::new(),
        limits,
    };
    let read = |text| {
        parse::within(text, limits)?;
        let text = prepared(text, rules)?;
        shallow(&text, limits)?;
        Ok(text)
    };
    let others: alloc::vec::Vec<Cow<'_, str>> = others
        .iter()
        .map(|text| read(text))
        .collect::<Result<_, SchemaError>>()?;
    for other in &others {
        bundle.collect(json::whole(other)?, "")?;
    }
    let json = read(json)?;
    bundle.schema(json::whole(&json)?, "", Side::Own)?;
    Ok(bundle.out)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    /// The text that refers.
    Own,
    /// A definition taken from another text.
    Other,
}

struct Bundle<'a> {
    /// Definitions of the other texts, by full name, with the namespace they stand in.
    known: BTreeMap<String, (Json<'a>, String)>,
    /// What stands in the text so far.
    defined: BTreeSet<String>,
    out: String,
    limits: SchemaLimits,
}

/// Words that `"type"` of an object may be; anywhere else they are names.
const COMPLEX: [&str; 6] = ["record", "error", "enum", "fixed", "array", "map"];

/// The value of a key, the last of its name.
fn value<'a>(object: Json<'a>, name: &str) -> Option<Json<'a>> {
    let mut found = None;
    let _ = json::entries(object, |key, value| {
        if key == name {
            found = Some(value);
        }
        Ok::<_, ()>(())
    });
    found
}

/// Full name of a definition and namespace of what is inside.
pub(crate) fn place(object: Json<'_>, outer: &str) -> Option<(String, String)> {
    let kind = json::string(value(object, "type")?)?;
    if !matches!(&*kind, "record" | "error" | "enum" | "fixed") {
        return None;
    }
    let namespace = value(object, "namespace").and_then(json::string);
    let name = json::string(value(object, "name")?)?;
    let full = qualify(&name, namespace.as_deref().unwrap_or(outer)).into_owned();
    let inner = namespace_of(&full).to_owned();
    Some((full, inner))
}

impl<'a> Bundle<'a> {
    /// Notes every definition of a text.
    fn collect(&mut self, json: Json<'a>, outer: &str) -> Result<(), SchemaError> {
        match json::shape(json) {
            Shape::Array => json::items(json, |_, part| self.collect(part, outer)),
            Shape::Object => {
                let mut namespace = outer.to_owned();
                if let Some((full, inner)) = place(json, outer) {
                    self.note(full, json, outer)?;
                    namespace = inner;
                }
                json::entries(json, |key, part| match key {
                    "type" | "items" | "values" => self.collect(part, &namespace),
                    "fields" if json::shape(part) == Shape::Array => {
                        json::items(part, |_, field| match json::shape(field) {
                            Shape::Object => value(field, "type")
                                .map_or(Ok(()), |ty| self.collect(ty, &namespace)),
                            _ => Ok(()),
                        })
                    }
                    _ => Ok(()),
                })
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, full: String, json: Json<'a>, outer: &str) -> Result<(), SchemaError> {
        match self.known.get(&full) {
            Some((known, place)) if alike(known, json) && place == outer => {}
            Some(_) => {
                return Err(Path::Root.rule(format!(
                    "two of the texts define `{}` in different words: take one of them",
                    shown(&full)
                )));
            }
            None => drop(self.known.insert(full, (json, outer.to_owned()))),
        }
        Ok(())
    }

    /// Writes more, within the limit.
    fn put(&mut self, text: &str) -> Result<(), SchemaError> {
        self.out.push_str(text);
        let max = self.limits.json_bytes_max;
        if self.out.len() <= max {
            return Ok(());
        }
        Err(SchemaError::Limit {
            path: "$".to_owned(),
            what: "size of the JSON text",
            found: self.out.len(),
            max,
        })
    }

    fn put_string(&mut self, text: &str) -> Result<(), SchemaError> {
        self.put(&format!("{}", serde_json::Value::from(text)))
    }

    /// Writes a list, each of its items with `item`.
    fn list(
        &mut self,
        json: Json<'a>,
        mut item: impl FnMut(&mut Self, Json<'a>) -> Result<(), SchemaError>,
    ) -> Result<(), SchemaError> {
        self.put("[")?;
        json::items(json, |i, part| {
            if i > 0 {
                self.put(",")?;
            }
            item(self, part)
        })?;
        self.put("]")
    }

    /// Writes an object, each of its entries with `entry`, which may leave one out; `first` stands
    /// before them.
    fn object(
        &mut self,
        json: Json<'a>,
        first: &[(&str, &str)],
        mut entry: impl FnMut(&mut Self, &str, Json<'a>) -> Result<(), SchemaError>,
    ) -> Result<(), SchemaError> {
        self.put("{")?;
        let mut is_first = true;
        let mut comma = |bundle: &mut Self| {
            let text = if is_first { "" } else { "," };
            is_first = false;
            bundle.put(text)
        };
        for (key, text) in first {
            comma(self)?;
            self.put_string(key)?;
            self.put(":")?;
            self.put_string(text)?;
        }
        json::entries(json, |key, part| {
            if first.iter().any(|(known, _)| *known == key) {
                return Ok(());
            }
            comma(self)?;
            self.put_string(key)?;
            self.put(":")?;
            entry(self, key, part)
        })?;
        self.put("}")
    }

    fn schema(&mut self, json: Json<'a>, outer: &str, side: Side) -> Result<(), SchemaError> {
        match json::shape(json) {
            Shape::String => self.name(json, outer),
            Shape::Array => self.list(json, |bundle, part| bundle.schema(part, outer, side)),
            Shape::Object => self.definition(json, outer, side),
            _ => self.put(json.get()),
        }
    }

    fn definition(&mut self, json: Json<'a>, outer: &str, side: Side) -> Result<(), SchemaError> {
        let mut namespace = outer.to_owned();
        let mut first = alloc::vec::Vec::new();
        let placed = place(json, outer);
        if let Some((full, inner)) = &placed {
            let known = self.known.get(full);
            if side == Side::Own && known.is_some_and(|(known, _)| !alike(known, json)) {
                return Err(Path::Root.rule(format!(
                    "`{}` is defined here and in another text, in different words: take one of them",
                    shown(full)
                )));
            }
            let again = !self.defined.insert(full.clone());
            if again && side == Side::Other {
                return self.put_string(full);
            }
            namespace.clone_from(inner);
            // It may stand in another namespace than in its own text.
            if side == Side::Other {
                first = alloc::vec![("name", simple(full)), ("namespace", inner.as_str())];
            }
        }
        self.object(json, &first, |bundle, key, part| match key {
            "type" if is_complex(part) => bundle.put(part.get()),
            "type" | "items" | "values" => bundle.schema(part, &namespace, side),
            "fields" if json::shape(part) == Shape::Array => bundle.list(part, |bundle, field| {
                if json::shape(field) != Shape::Object {
                    return bundle.put(field.get());
                }
                bundle.object(field, &[], |bundle, key, part| match key {
                    "type" => bundle.schema(part, &namespace, side),
                    _ => bundle.put(part.get()),
                })
            }),
            _ => bundle.put(part.get()),
        })
    }

    fn name(&mut self, json: Json<'a>, outer: &str) -> Result<(), SchemaError> {
        let name = json::string(json).unwrap_or_default();
        let mut full = qualify(&name, outer).into_owned();
        let knows = |bundle: &Self, name: &str| {
            bundle.defined.contains(name) || bundle.known.contains_key(name)
        };
        // As the parser does: a name that is not in the namespace around may be in none.
        if !knows(self, &full) && knows(self, &name) {
            full = name.clone().into_owned();
        }
        if Primitive::from_name(&name).is_some() || self.defined.contains(&full) {
            return self.put(json.get());
        }
        match self.known.get(&full).cloned() {
            Some((definition, namespace)) => self.schema(definition, &namespace, Side::Other),
            // The parser says what is wrong with it, and where.
            None => self.put(json.get()),
        }
    }
}

/// Whether two definitions are one, however they are set.
fn alike(a: Json<'_>, b: Json<'_>) -> bool {
    let tree = |json: Json<'_>| serde_json::from_str::<serde_json::Value>(json.get()).ok();
    a.get() == b.get() || tree(a).is_some_and(|a| Some(a) == tree(b))
}

fn is_complex(json: Json<'_>) -> bool {
    json::string(json).is_some_and(|word| COMPLEX.contains(&&*word))
}
