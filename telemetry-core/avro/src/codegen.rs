//! Types from schemas: what a build script, or a person, makes of `.avsc` files.
//!
//! ```
//! use telemetry_avro::codegen::generate;
//!
//! let place = r#"{"type":"record","name":"geo.Place","fields":[{"name":"lat","type":"double"}]}"#;
//! let ride = r#"{"type":"record","name":"Ride","fields":[{"name":"startedAt","type":"geo.Place"}]}"#;
//! let code = generate(&[ride, place])?;
//! assert!(code.contains("pub started_at: Place,"));
//! # Ok::<(), telemetry_avro::codegen::CodegenError>(())
//! ```
//!
//! A build script reads the files, writes the code to `OUT_DIR`, and the crate includes it:
//! `include!(concat!(env!("OUT_DIR"), "/schemas.rs"));`. The code names `telemetry_avro` with the
//! feature `derive`, and nothing else outside `std`.
//!
//! Names become Rust's: `startedAt` is the field `started_at`, `HEART_RATE` the variant `HeartRate`,
//! each with its Avro name in an attribute. A union of null and one type is an `Option` (where null
//! comes last, only as a field); another one is an enum named after its record and field. What types and
//! fields say of themselves becomes their documentation; `timestamp-micros` and `uuid` become the
//! [`Timestamp`](crate::Timestamp) and the [`Uuid`](crate::Uuid) that the derive has for them, and other
//! logical types stay attributes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;

use crate::schema::json::{self, Json, Shape};
use crate::schema::place;
use crate::{Field, Kind, Node, NodeId, Primitive, RecordType, Schema, SchemaError};

/// Makes Rust types of schemas, which may refer to each other's types in any order.
///
/// A type that several of them hold is made once.
pub fn generate(schemas: &[&str]) -> Result<String, CodegenError> {
    generate_for("telemetry_avro", schemas)
}

/// The same for a crate that knows this one as `krate`: renamed, or as `telemetry_core`, which
/// re-exports it.
pub fn generate_for(krate: &str, schemas: &[&str]) -> Result<String, CodegenError> {
    let mut out = Generator {
        code: format!("// Made from Avro schemas by {krate}::codegen.\n"),
        krate: krate.to_owned(),
        made: BTreeMap::new(),
        docs: BTreeMap::new(),
        open: Vec::new(),
    };
    for text in schemas {
        // A text that is no JSON is no schema either, which is said below.
        if let Some(json) = json::known(text) {
            docs(json, "", &mut out.docs);
        }
    }
    for (i, text) in schemas.iter().enumerate() {
        let others: Vec<&str> = schemas
            .iter()
            .enumerate()
            .filter_map(|(j, other)| (i != j).then_some(*other))
            .collect();
        let schema = Schema::parse_with_references(text, &others)?;
        out.ty(&schema, schema.root_id(), "Root")?;
    }
    Ok(out.code)
}

/// Schemas that no types can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodegenError {
    /// A text is no schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Two Avro types would be one Rust type.
    #[error("`{first}` and `{second}` both become `{rust}`: generate them into different modules")]
    Name {
        /// The Rust name.
        rust: String,
        /// The full name that has it.
        first: String,
        /// The full name that wants it.
        second: String,
    },
    /// A default that the derive has no way to say.
    #[error("{path}: the default of a union that starts with null is null")]
    Default {
        /// Record and field.
        path: String,
    },
}

crate::error_codes!(CodegenError {
    Schema(_) => 1150,
    Name { .. } => 1151,
    Default { .. } => 1152,
});

struct Generator {
    code: String,
    /// The crate that the code names.
    krate: String,
    /// Full Avro name by Rust name.
    made: BTreeMap<String, String>,
    /// What named types say of themselves, by full name.
    docs: BTreeMap<String, String>,
    /// Full names of the records that are being described, from the root.
    open: Vec<String>,
}

/// A type as a field names it.
struct Use {
    rust: String,
    /// Whether it leads back to a record that is being described, other than by a collection.
    back: bool,
    /// Whether that record is not the one of the field itself.
    further: bool,
}

impl Use {
    fn plain(rust: impl Into<String>) -> Self {
        Self {
            rust: rust.into(),
            back: false,
            further: false,
        }
    }

    /// The same inside another type; a collection is a box itself.
    fn within(self, rust: String, collection: bool) -> Self {
        Self {
            rust,
            back: self.back && !collection,
            ..self
        }
    }

    fn boxed(mut self) -> Self {
        if self.back {
            self.rust = format!("Box<{}>", self.rust);
            self.back = false;
        }
        self
    }
}

impl Generator {
    /// What tells the derives where their crate is, unless they know.
    fn renamed(&self) -> Option<String> {
        let known = ["telemetry_avro", "telemetry_core"].contains(&self.krate.as_str());
        (!known).then(|| format!("crate = {:?}", self.krate))
    }

    /// Takes a Rust name for an Avro type; `false` if it is made already.
    fn claim(&mut self, rust: &str, full: &str) -> Result<bool, CodegenError> {
        match self.made.get(rust) {
            None => {
                self.made.insert(rust.to_owned(), full.to_owned());
                Ok(true)
            }
            Some(known) if known == full => Ok(false),
            Some(known) => Err(CodegenError::Name {
                rust: rust.to_owned(),
                first: known.clone(),
                second: full.to_owned(),
            }),
        }
    }

    /// The Rust type of a node, which is made if it has a name; `place` names a union.
    fn ty(&mut self, schema: &Schema, id: NodeId, place: &str) -> Result<Use, CodegenError> {
        let node = schema.node(id);
        Ok(match &node.kind {
            Kind::Primitive(_) if let Some(made) = made_type(node) => {
                Use::plain(format!("{}::{made}", self.krate))
            }
            Kind::Primitive(p) => Use::plain(match p {
                Primitive::Null => "()",
                Primitive::Boolean => "bool",
                Primitive::Int => "i32",
                Primitive::Long => "i64",
                Primitive::Float => "f32",
                Primitive::Double => "f64",
                Primitive::Bytes => "Vec<u8>",
                Primitive::String => "String",
            }),
            Kind::Array(items) => {
                let items = self.ty(schema, *items, &format!("{place}Item"))?;
                let rust = format!("Vec<{}>", items.rust);
                items.within(rust, true)
            }
            Kind::Map(values) => {
                let values = self.ty(schema, *values, &format!("{place}Value"))?;
                let rust = format!("std::collections::BTreeMap<String, {}>", values.rust);
                values.within(rust, true)
            }
            Kind::Union(branches) => match branches[..] {
                [null, other] if is_null(schema, null) && !is_null(schema, other) => {
                    let inner = self.ty(schema, other, place)?.boxed();
                    let rust = format!("Option<{}>", inner.rust);
                    inner.within(rust, false)
                }
                _ => self.union(schema, branches, place)?,
            },
            Kind::Record(record) => self.record(schema, record)?,
            Kind::Enum(e) => {
                let rust = camel(simple(&e.name));
                if self.claim(&rust, &e.name)? {
                    let mut code = self.head("AvroType", "Copy, Eq, ", &rust, &e.name, &e.aliases);
                    let _ = writeln!(code, "pub enum {rust} {{");
                    for symbol in &e.symbols {
                        let variant = camel(symbol);
                        let mut attributes = Vec::new();
                        if variant != *symbol {
                            attributes.push(format!("rename = {symbol:?}"));
                        }
                        if e.default.as_ref() == Some(symbol) {
                            attributes.push("default".to_owned());
                        }
                        code += &attribute("    ", &attributes);
                        let _ = writeln!(code, "    {variant},");
                    }
                    self.code += &code;
                    self.code += "}\n";
                }
                Use::plain(rust)
            }
            Kind::Fixed(fixed) => {
                let rust = camel(simple(&fixed.name));
                if self.claim(&rust, &fixed.name)? {
                    let mut code =
                        self.head("AvroType", "Copy, Eq, ", &rust, &fixed.name, &fixed.aliases);
                    code += &attribute("", &logical(schema, id));
                    let _ = writeln!(code, "pub struct {rust}(pub [u8; {}]);", fixed.size);
                    self.code += &code;
                }
                Use::plain(rust)
            }
        })
    }

    fn union(
        &mut self,
        schema: &Schema,
        branches: &[NodeId],
        place: &str,
    ) -> Result<Use, CodegenError> {
        let mut code = format!(
            "\n#[allow(missing_docs)]\n#[derive({krate}::AvroType, Clone, Debug, PartialEq)]\n\
             {}pub enum {place} {{\n",
            attribute("", self.renamed().as_slice()),
            krate = self.krate,
        );
        for &branch in branches {
            if is_null(schema, branch) {
                code += "    Null,\n";
                continue;
            }
            let found = self.ty(schema, branch, place)?;
            let variant = match &schema.node(branch).kind {
                Kind::Primitive(p) => camel(p.as_str()),
                Kind::Array(_) => "Array".to_owned(),
                Kind::Map(_) => "Map".to_owned(),
                _ => found.rust.clone(),
            };
            if found.further || found.back {
                code += "    #[avro(recursive)]\n";
            }
            let _ = writeln!(code, "    {variant}({}),", found.boxed().rust);
        }
        code += "}\n";
        // A union has no name: where it stands is what it is called.
        if self.claim(place, &format!("the union {place}"))? {
            self.code += &code;
        }
        Ok(Use::plain(place))
    }

    fn record(&mut self, schema: &Schema, record: &RecordType) -> Result<Use, CodegenError> {
        let rust = camel(simple(&record.name));
        if let Some(at) = self.open.iter().position(|name| *name == record.name) {
            return Ok(Use {
                rust,
                back: true,
                further: at + 1 < self.open.len(),
            });
        }
        if !self.claim(&rust, &record.name)? {
            return Ok(Use::plain(rust));
        }
        self.open.push(record.name.clone());
        let mut code = self.head("AvroRecord", "", &rust, &record.name, &record.aliases);
        let _ = writeln!(code, "pub struct {rust} {{");
        for field in &record.fields {
            let place = format!("{rust}{}", camel(&field.name));
            let found = match null_last(schema, field.node) {
                Some(inner) => {
                    let inner = self.ty(schema, inner, &place)?.boxed();
                    let rust = format!("Option<{}>", inner.rust);
                    inner.within(rust, false)
                }
                None => self.ty(schema, field.node, &place)?,
            };
            code += &self.field(schema, record, field, found)?;
        }
        code += "}\n";
        self.open.pop();
        self.code += &code;
        Ok(Use::plain(rust))
    }

    /// What stands before a named type.
    fn head(&self, derive: &str, more: &str, rust: &str, full: &str, aliases: &[String]) -> String {
        let mut attributes: Vec<String> = self.renamed().into_iter().collect();
        if simple(full) != rust {
            attributes.push(format!("name = {:?}", simple(full)));
        }
        if let Some((namespace, _)) = full.rsplit_once('.') {
            attributes.push(format!("namespace = {namespace:?}"));
        }
        attributes.extend(aliases.iter().map(|alias| format!("alias = {alias:?}")));
        format!(
            "\n{}#[allow(missing_docs)]\n\
             #[derive({krate}::{derive}, Clone, {more}Debug, PartialEq)]\n{}",
            documentation("", self.docs.get(full).map(String::as_str)),
            attribute("", &attributes),
            krate = self.krate,
        )
    }

    fn field(
        &self,
        schema: &Schema,
        record: &RecordType,
        field: &Field,
        found: Use,
    ) -> Result<String, CodegenError> {
        let name = keyword(&snake(&field.name));
        let mut attributes = Vec::new();
        if name.trim_start_matches("r#") != field.name {
            attributes.push(format!("rename = {:?}", field.name));
        }
        let aliases = field.aliases.iter();
        attributes.extend(aliases.map(|alias| format!("alias = {alias:?}")));
        let mut rust = found.rust.clone();
        if field.event_time {
            attributes.push("event_time".to_owned());
            rust = rust.replace("i64", &format!("{}::Timestamp", self.krate));
        } else if !matches!(schema.node(field.node).kind, Kind::Fixed(_)) {
            attributes.extend(logical(schema, inner(schema, field.node)));
        }
        if found.further {
            attributes.push("recursive".to_owned());
        }
        let null_last = null_last(schema, field.node).is_some();
        if null_last {
            attributes.push("null_last".to_owned());
        }
        if let Some(default) = &field.default {
            let nullable = rust.starts_with("Option<") && !null_last;
            if nullable && default != "null" {
                return Err(CodegenError::Default {
                    path: format!("{}.{}", record.name, field.name),
                });
            }
            if !nullable {
                // A schema keeps only JSON.
                if let Some(json) = json::known(default) {
                    let default = literal(schema, field.node, json);
                    attributes.push(format!("default = {default}"));
                }
            }
        }
        let mut code = documentation("    ", field.doc.as_deref());
        code += &attribute("    ", &attributes);
        let rust = Use { rust, ..found }.boxed().rust;
        let _ = writeln!(code, "    pub {name}: {rust},");
        Ok(code)
    }
}

fn is_null(schema: &Schema, id: NodeId) -> bool {
    matches!(schema.node(id).kind, Kind::Primitive(Primitive::Null))
}

/// Collects what named types say of themselves; `namespace` is the one around.
fn docs(json: Json<'_>, namespace: &str, found: &mut BTreeMap<String, String>) {
    match json::shape(json) {
        Shape::Array => each(json, |_, branch| docs(branch, namespace, found)),
        Shape::Object => {
            let named = place(json, namespace);
            let inner = named.as_ref().map_or(namespace, |(_, inner)| inner);
            each(json, |key, part| match key {
                "doc" => {
                    if let (Some((full, _)), Some(doc)) = (&named, json::string(part)) {
                        found.insert(full.clone(), doc.into_owned());
                    }
                }
                "type" | "items" | "values" => docs(part, inner, found),
                // A field has a name, but is no type.
                "fields" => each(part, |_, field| {
                    each(field, |key, part| {
                        if key == "type" {
                            docs(part, inner, found);
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
fn each<'a>(json: Json<'a>, mut show: impl FnMut(&str, Json<'a>)) {
    let all = |key: &str, part: Json<'a>| {
        show(key, part);
        Ok::<_, Infallible>(())
    };
    let mut all = all;
    let _ = match json::shape(json) {
        Shape::Array => json::items(json, |_, part| all("", part)),
        Shape::Object => json::entries(json, all),
        _ => Ok(()),
    };
}

/// A doc comment.
fn documentation(indent: &str, doc: Option<&str>) -> String {
    let lines = doc.into_iter().flat_map(str::lines);
    lines.map(|line| format!("{indent}/// {line}\n")).collect()
}

/// The type of this crate that means as much as a logical type.
fn made_type(node: &Node) -> Option<&'static str> {
    match (&node.kind, node.logical.as_deref()?) {
        (Kind::Primitive(Primitive::Long), "timestamp-micros") => Some("Timestamp"),
        (Kind::Primitive(Primitive::String), "uuid") => Some("Uuid"),
        _ => None,
    }
}

/// What may be there, of a union that names null last.
fn null_last(schema: &Schema, id: NodeId) -> Option<NodeId> {
    match &schema.node(id).kind {
        Kind::Union(branches) => match branches[..] {
            [other, null] if is_null(schema, null) && !is_null(schema, other) => Some(other),
            _ => None,
        },
        _ => None,
    }
}

fn attribute(indent: &str, parts: &[String]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    format!("{indent}#[avro({})]\n", parts.join(", "))
}

/// The type of a value that is there.
fn inner(schema: &Schema, id: NodeId) -> NodeId {
    match &schema.node(id).kind {
        Kind::Union(branches) => match branches[..] {
            [null, other] if is_null(schema, null) => other,
            [other, null] if is_null(schema, null) => other,
            _ => id,
        },
        _ => id,
    }
}

/// The attributes of a logical type, where the derive takes one.
fn logical(schema: &Schema, id: NodeId) -> Vec<String> {
    let node = schema.node(id);
    let Some(name) = &node.logical else {
        return Vec::new();
    };
    if made_type(node).is_some() || !matches!(node.kind, Kind::Primitive(_) | Kind::Fixed(_)) {
        return Vec::new();
    }
    let mut parts = vec![format!("logical = {name:?}")];
    if let Some(decimal) = node.decimal {
        parts.push(format!("precision = {}", decimal.precision));
        parts.push(format!("scale = {}", decimal.scale));
    }
    parts
}

/// A default as the derive takes it.
fn literal(schema: &Schema, id: NodeId, json: Json<'_>) -> String {
    let text = || json::string(json).unwrap_or_default();
    match (&schema.node(id).kind, json::shape(json)) {
        (Kind::Primitive(Primitive::Bytes) | Kind::Fixed(_), Shape::String) => {
            // Code points 0 to 255 stand for the bytes.
            let bytes: String = text()
                .chars()
                .map(|c| format!("\\x{:02x}", u32::from(c) & 0xff))
                .collect();
            format!("b\"{bytes}\"")
        }
        (Kind::Array(items), Shape::Array) => {
            let mut values = Vec::new();
            each(json, |_, item| values.push(literal(schema, *items, item)));
            format!("[{}]", values.join(", "))
        }
        (Kind::Map(values), Shape::Object) => {
            let mut pairs = Vec::new();
            each(json, |key, value| {
                pairs.push(format!("{key:?}: {}", literal(schema, *values, value)));
            });
            format!("{{{}}}", pairs.join(", "))
        }
        (Kind::Record(record), Shape::Object) => {
            let mut pairs = Vec::new();
            each(json, |key, value| {
                if let Some(field) = record.fields.iter().find(|f| f.name == key) {
                    pairs.push(format!("{key:?}: {}", literal(schema, field.node, value)));
                }
            });
            format!("{{{}}}", pairs.join(", "))
        }
        // The default of a union is one of its first branch.
        (Kind::Union(branches), _) => match branches.first() {
            Some(&first) => literal(schema, first, json),
            None => json.get().to_owned(),
        },
        (_, Shape::String) => format!("{:?}", text()),
        _ => json.get().to_owned(),
    }
}

fn simple(full: &str) -> &str {
    full.rsplit_once('.').map_or(full, |(_, name)| name)
}

/// The words of an Avro name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for c in name.chars() {
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

fn camel(name: &str) -> String {
    let mut out = String::new();
    for word in words(name) {
        let mut chars = word.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.extend(chars);
    }
    guard(out)
}

fn snake(name: &str) -> String {
    guard(words(name).join("_"))
}

/// A name that starts as Rust wants it.
fn guard(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name
    } else {
        format!("n{name}")
    }
}

/// A field's name, raw where it is a keyword.
fn keyword(name: &str) -> String {
    const KEYWORDS: &[&str] = &[
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do",
        "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in",
        "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
        "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe",
        "unsized", "use", "virtual", "where", "while", "yield",
    ];
    match name {
        // These cannot be raw.
        "self" | "super" | "crate" => format!("{name}_"),
        name if KEYWORDS.contains(&name) => format!("r#{name}"),
        name => name.to_owned(),
    }
}
