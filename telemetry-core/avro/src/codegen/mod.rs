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
//! # Names
//! Names become Rust's: `startedAt` is the field `started_at`, `HEART_RATE` the variant `HeartRate`,
//! each with its Avro name in an attribute.
//!
//! - A name that is its own Rust name keeps it. Where several names of a record, an enum or a union
//!   become one, the others take it with a number, in their order: `foo_bar`, `foo_bar_2`.
//! - A type whose simple name is taken by an earlier one has its namespace in front: of `a.X` and `b.X`
//!   the second is `BX`. What is added behind renames nothing.
//! - `self`, `super`, `crate` and `Self` end with `_`, other keywords are raw, and what begins with a digit
//!   begins with `n`.
//! - A union of null and one type is an `Option` (where null comes last, only as a field). Another one is
//!   an enum named after its record and field, with a variant a branch: named types first, then what the
//!   others are called (`Int`, `Array`).
//!
//! # Meaning
//! What types and fields say of themselves becomes their documentation. `timestamp-micros` and `uuid`
//! become the [`Timestamp`](crate::Timestamp) and the [`Uuid`](crate::Uuid) that the derive has for them.
//! Another logical type is an attribute of its field; where no field says it, in arrays, maps and unions,
//! it is a type of its own, such as `TimestampMillis(pub i64)`. One that breaks its rules is ignored, as
//! the specification wants.

mod docs;
mod literal;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::schema::json;
use crate::{
    EnumType, Field, FixedType, Kind, Node, NodeId, Primitive, RecordType, Schema, SchemaError,
    SchemaLimits, SchemaRules,
};
use docs::comment;
use literal::literal;
use names::{apart, camel, keyword, numbered_field, numbered_type, simple, snake, within};

/// Makes Rust types of schemas, which may refer to each other's types in any order, within the default
/// limits.
///
/// A type that several of them hold is made once.
pub fn generate(schemas: &[&str]) -> Result<String, CodegenError> {
    generate_for("telemetry_avro", schemas, SchemaLimits::default())
}

/// The same within `limits`, for a crate that knows this one as `krate`: renamed, or as
/// `telemetry_core`, which re-exports it.
pub fn generate_for(
    krate: &str,
    schemas: &[&str],
    limits: SchemaLimits,
) -> Result<String, CodegenError> {
    let mut parsed = Vec::with_capacity(schemas.len());
    for (i, text) in schemas.iter().enumerate() {
        let others: Vec<&str> = schemas
            .iter()
            .enumerate()
            .filter_map(|(j, other)| (i != j).then_some(*other))
            .collect();
        let rules = SchemaRules::Strict;
        parsed.push(Schema::parse_with_references_as(
            text, &others, rules, limits,
        )?);
    }
    let nodes = parsed.iter().flat_map(Schema::nodes);
    let full_names: Vec<String> = nodes
        .filter_map(|node| node.kind.name().map(str::to_owned))
        .collect();
    let mut out = Generator {
        code: format!("// Made from Avro schemas by {krate}::codegen.\n"),
        krate: krate.to_owned(),
        types: names::Types::new(&full_names),
        made: BTreeSet::new(),
        newtypes: BTreeMap::new(),
        docs: BTreeMap::new(),
        open: Vec::new(),
    };
    for schema in &parsed {
        // A schema keeps only JSON.
        if let Some(json) = json::known(schema.json()) {
            docs::collect(json, "", &mut out.docs);
        }
    }
    for schema in &parsed {
        out.fits(schema)?;
        out.ty(schema, schema.root_id(), "Root")?;
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
    /// A schema whose text has no room in a derived type.
    #[error(
        "{path}: the schema takes up to {found} bytes, a derived type has room for {max}: shorten its \
         docs, split it, or read it as a `Value`"
    )]
    Large {
        /// The type at its root.
        path: String,
        /// Bytes that it takes at most.
        found: usize,
        /// Bytes that there are.
        max: usize,
    },
    /// A type that has no value, and so no Rust type.
    #[error("{path}: {what} has no value: give it one, or leave it out")]
    Empty {
        /// The type, or the record and field that hold it.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// A default that the derive has no way to say.
    #[error(
        "{path}: an optional field that begins with null has the default null: make null its default, \
         or put null last: {suggestion}"
    )]
    Default {
        /// Record and field.
        path: String,
        /// The type with null last, as JSON.
        suggestion: String,
    },
}

crate::error_codes!(CodegenError {
    Schema(_) => 1150,
    Large { .. } => 1154,
    Empty { .. } => 1153,
    Default { .. } => 1152,
});

struct Generator {
    code: String,
    /// The crate that the code names.
    krate: String,
    types: names::Types,
    /// Full names of the types that are made already.
    made: BTreeSet<String>,
    /// Types that are a logical type, by what they are: base, logical type, precision and scale.
    newtypes: BTreeMap<String, String>,
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
            self.rust = format!("::std::boxed::Box<{}>", self.rust);
            self.back = false;
        }
        self
    }

    fn optional(self) -> Self {
        let inner = self.boxed();
        let rust = format!("::std::option::Option<{}>", inner.rust);
        inner.within(rust, false)
    }
}

impl Generator {
    /// What tells the derives where their crate is, unless they know.
    fn renamed(&self) -> Option<String> {
        let known = ["telemetry_avro", "telemetry_core"].contains(&self.krate.as_str());
        (!known).then(|| format!("crate = {:?}", self.krate))
    }

    /// The Rust type of a node, which is made if it has a name; `place` names a union.
    fn ty(&mut self, schema: &Schema, id: NodeId, place: &str) -> Result<Use, CodegenError> {
        let node = schema.node(id);
        Ok(match &node.kind {
            Kind::Primitive(p) if !logical(node).is_empty() => Use::plain(self.newtype(*p, node)),
            Kind::Primitive(p) => Use::plain(self.primitive(*p, node)),
            Kind::Array(items) => {
                let items = self.ty(schema, *items, &format!("{place}Item"))?;
                let rust = format!("::std::vec::Vec<{}>", items.rust);
                items.within(rust, true)
            }
            Kind::Map(values) => {
                let values = self.ty(schema, *values, &format!("{place}Value"))?;
                let rust = format!(
                    "::std::collections::BTreeMap<::std::string::String, {}>",
                    values.rust
                );
                values.within(rust, true)
            }
            Kind::Union(branches) => match branches[..] {
                [null, other] if is_null(schema, null) && !is_null(schema, other) => {
                    self.ty(schema, other, place)?.optional()
                }
                _ => self.union(schema, branches, place)?,
            },
            Kind::Record(record) => self.record(schema, record)?,
            Kind::Enum(e) => self.enumeration(e)?,
            Kind::Fixed(fixed) => self.fixed(fixed, node),
        })
    }

    /// Refuses a schema whose text, as the derive writes it, may be too long.
    fn fits(&self, schema: &Schema) -> Result<(), CodegenError> {
        let doc = |text: &str| {
            let said = comment("", Some(text));
            said.len() + said.matches(['"', '\\']).count() + r#","doc":"""#.len()
        };
        let aliases = |all: &[String]| {
            let texts: usize = all.iter().map(|text| 2 * text.len() + 3).sum();
            texts + r#","aliases":[]"#.len()
        };
        let mut found = schema.canonical().len();
        for node in schema.nodes() {
            if let Some(logical) = &node.logical {
                let around =
                    r#"{"type":,"logicalType":"","precision":4294967295,"scale":4294967295}"#;
                found += around.len() + logical.len();
            }
            let name = node.kind.name();
            found += name.and_then(|n| self.docs.get(n)).map_or(0, |d| doc(d));
            match &node.kind {
                Kind::Record(record) => {
                    found += aliases(&record.aliases);
                    for field in &record.fields {
                        found += aliases(&field.aliases) + field.doc.as_deref().map_or(0, doc);
                        found += r#","default":null"#.len();
                        // A byte may be an escape of six.
                        found += field.default.as_ref().map_or(0, |d| 6 * d.len());
                    }
                }
                Kind::Enum(of) => found += aliases(&of.aliases) + r#","default":"""#.len() * 2,
                Kind::Fixed(of) => found += aliases(&of.aliases),
                _ => {}
            }
        }
        let max = crate::typed::SCHEMA_BYTES_MAX;
        if found <= max {
            return Ok(());
        }
        let path = schema.root().kind.branch_name().to_owned();
        Err(CodegenError::Large { path, found, max })
    }

    fn primitive(&self, p: Primitive, node: &Node) -> String {
        if let Some(made) = made_type(node) {
            return format!("{}::{made}", self.krate);
        }
        match p {
            Primitive::Null => "()",
            Primitive::Boolean => "bool",
            Primitive::Int => "i32",
            Primitive::Long => "i64",
            Primitive::Float => "f32",
            Primitive::Double => "f64",
            Primitive::Bytes => "::std::vec::Vec<u8>",
            Primitive::String => "::std::string::String",
        }
        .to_owned()
    }

    /// The type that is a logical type on a primitive.
    fn newtype(&mut self, p: Primitive, node: &Node) -> String {
        let attributes = logical(node);
        let key = format!("{} {}", p.as_str(), attributes.join(", "));
        if let Some(known) = self.newtypes.get(&key) {
            return known.clone();
        }
        let mut plain = camel(node.logical.as_deref().unwrap_or_default());
        if let Some(decimal) = node.decimal {
            plain = format!("{plain}{}x{}", decimal.precision, decimal.scale);
        }
        let rust = self.types.more(&plain);
        let copy = match p {
            Primitive::Bytes | Primitive::String => "",
            _ => "Copy, ",
        };
        let mut parts: Vec<String> = self.renamed().into_iter().collect();
        parts.extend(attributes);
        let inner = self.primitive(p, node);
        let krate = &self.krate;
        let code = format!(
            "\n#[allow(missing_docs, non_camel_case_types)]\n#[derive({krate}::AvroType, Clone, {copy}Debug, PartialEq)]\n\
             {}pub struct {rust}(pub {inner});\n",
            attribute("", &parts),
        );
        self.code += &code;
        self.newtypes.insert(key, rust.clone());
        rust
    }

    fn enumeration(&mut self, e: &EnumType) -> Result<Use, CodegenError> {
        let rust = self.types.of(&e.name);
        if !self.made.insert(e.name.clone()) {
            return Ok(Use::plain(rust));
        }
        if e.symbols.is_empty() {
            return Err(CodegenError::Empty {
                path: e.name.clone(),
                what: "an enum without a symbol",
            });
        }
        let mut code = self.head("AvroType", "Copy, Eq, ", &rust, &e.name, &e.aliases);
        let _ = writeln!(code, "pub enum {rust} {{");
        let symbols = e.symbols.iter().map(String::as_str);
        let variants = apart(symbols, camel, numbered_type);
        for (symbol, variant) in e.symbols.iter().zip(variants) {
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
        Ok(Use::plain(rust))
    }

    fn fixed(&mut self, fixed: &FixedType, node: &Node) -> Use {
        let rust = self.types.of(&fixed.name);
        if self.made.insert(fixed.name.clone()) {
            let mut code = self.head("AvroType", "Copy, Eq, ", &rust, &fixed.name, &fixed.aliases);
            code += &attribute("", &logical(node));
            let _ = writeln!(code, "pub struct {rust}(pub [u8; {}]);", fixed.size);
            self.code += &code;
        }
        Use::plain(rust)
    }

    fn union(
        &mut self,
        schema: &Schema,
        branches: &[NodeId],
        place: &str,
    ) -> Result<Use, CodegenError> {
        if branches.iter().all(|&branch| is_null(schema, branch)) {
            return Err(CodegenError::Empty {
                path: place.to_owned(),
                what: "a union without a type other than null",
            });
        }
        let rust = self.types.more(place);
        let mut code = format!(
            "\n#[allow(missing_docs, non_camel_case_types)]\n#[derive({krate}::AvroType, Clone, Debug, PartialEq)]\n\
             {}pub enum {rust} {{\n",
            attribute("", self.renamed().as_slice()),
            krate = self.krate,
        );
        let mut found = Vec::new();
        let mut plain = Vec::new();
        for &branch in branches {
            let part = match is_null(schema, branch) {
                true => None,
                false => Some(self.ty(schema, branch, place)?),
            };
            let kind = &schema.node(branch).kind;
            plain.push(match (&part, kind.name()) {
                (Some(part), Some(_)) => part.rust.clone(),
                _ => kind.branch_name().to_owned(),
            });
            found.push(part);
        }
        let variants = apart(plain.iter().map(String::as_str), camel, numbered_type);
        for (part, variant) in found.into_iter().zip(variants) {
            let Some(part) = part else {
                let _ = writeln!(code, "    {variant},");
                continue;
            };
            if part.further || part.back {
                code += "    #[avro(recursive)]\n";
            }
            let _ = writeln!(code, "    {variant}({}),", part.boxed().rust);
        }
        self.code += &code;
        self.code += "}\n";
        Ok(Use::plain(rust))
    }

    fn record(&mut self, schema: &Schema, record: &RecordType) -> Result<Use, CodegenError> {
        let rust = self.types.of(&record.name);
        if let Some(at) = self.open.iter().position(|name| *name == record.name) {
            return Ok(Use {
                rust,
                back: true,
                further: at + 1 < self.open.len(),
            });
        }
        if !self.made.insert(record.name.clone()) {
            return Ok(Use::plain(rust));
        }
        self.open.push(record.name.clone());
        let mut code = self.head("AvroRecord", "", &rust, &record.name, &record.aliases);
        let _ = writeln!(code, "pub struct {rust} {{");
        let names = record.fields.iter().map(|field| field.name.as_str());
        let names = apart(names, snake, numbered_field);
        for (field, name) in record.fields.iter().zip(names) {
            let place = within(&rust, &camel(&field.name));
            code += &self.field(schema, record, field, &name, &place)?;
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
            "\n{}#[allow(missing_docs, non_camel_case_types)]\n\
             #[derive({krate}::{derive}, Clone, {more}Debug, PartialEq)]\n{}",
            comment("", self.docs.get(full).map(String::as_str)),
            attribute("", &attributes),
            krate = self.krate,
        )
    }

    fn field(
        &mut self,
        schema: &Schema,
        record: &RecordType,
        field: &Field,
        name: &str,
        place: &str,
    ) -> Result<String, CodegenError> {
        let mut attributes = Vec::new();
        if name != field.name {
            attributes.push(format!("rename = {:?}", field.name));
        }
        let aliases = field.aliases.iter();
        attributes.extend(aliases.map(|alias| format!("alias = {alias:?}")));
        let optional = Optional::of(schema, field.node);
        let inner = schema.node(optional.inner);
        let mut found = match &inner.kind {
            // The field says what a primitive means, so the type need not.
            Kind::Primitive(p) => {
                if field.event_time {
                    attributes.push("event_time".to_owned());
                    Use::plain(format!("{}::Timestamp", self.krate))
                } else {
                    attributes.extend(logical(inner));
                    Use::plain(self.primitive(*p, inner))
                }
            }
            _ => self.ty(schema, optional.inner, place)?,
        };
        if optional.is_optional {
            found = found.optional();
        }
        if found.further {
            attributes.push("recursive".to_owned());
        }
        if optional.null_last {
            attributes.push("null_last".to_owned());
        }
        let default = field.default.as_deref().and_then(json::known);
        if let Some(default) = default {
            let null_first = optional.is_optional && !optional.null_last;
            if null_first && default.get() != "null" {
                return Err(CodegenError::Default {
                    path: format!("{}.{}", record.name, field.name),
                    suggestion: format!("[\"{}\", \"null\"]", inner.kind.branch_name()),
                });
            }
            if !null_first {
                attributes.push(format!(
                    "default = {}",
                    literal(schema, field.node, default)
                ));
            }
        }
        let mut code = comment("    ", field.doc.as_deref());
        code += &attribute("    ", &attributes);
        let _ = writeln!(code, "    pub {}: {},", keyword(name), found.boxed().rust);
        Ok(code)
    }
}

/// A field's type, seen through a union with null.
struct Optional {
    /// The type of a value that is there.
    inner: NodeId,
    is_optional: bool,
    null_last: bool,
}

impl Optional {
    fn of(schema: &Schema, id: NodeId) -> Self {
        let (inner, is_optional, null_last) = match &schema.node(id).kind {
            Kind::Union(branches) => match branches[..] {
                [null, other] if is_null(schema, null) && !is_null(schema, other) => {
                    (other, true, false)
                }
                [other, null] if is_null(schema, null) && !is_null(schema, other) => {
                    (other, true, true)
                }
                _ => (id, false, false),
            },
            _ => (id, false, false),
        };
        Self {
            inner,
            is_optional,
            null_last,
        }
    }
}

fn is_null(schema: &Schema, id: NodeId) -> bool {
    matches!(schema.node(id).kind, Kind::Primitive(Primitive::Null))
}

/// The type of this crate that means as much as a logical type.
fn made_type(node: &Node) -> Option<&'static str> {
    match (&node.kind, node.logical.as_deref()?) {
        (Kind::Primitive(Primitive::Long), "timestamp-micros") => Some("Timestamp"),
        (Kind::Primitive(Primitive::String), "uuid") => Some("Uuid"),
        _ => None,
    }
}

fn attribute(indent: &str, parts: &[String]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    format!("{indent}#[avro({})]\n", parts.join(", "))
}

/// The attributes of a logical type, where the derive takes one.
fn logical(node: &Node) -> Vec<String> {
    let Some(name) = &node.logical else {
        return Vec::new();
    };
    let takes_one = match &node.kind {
        Kind::Primitive(p) => *p != Primitive::Null,
        Kind::Fixed(_) => true,
        _ => false,
    };
    if made_type(node).is_some() || !takes_one {
        return Vec::new();
    }
    let mut parts = vec![format!("logical = {name:?}")];
    if let Some(decimal) = node.decimal {
        parts.push(format!("precision = {}", decimal.precision));
        parts.push(format!("scale = {}", decimal.scale));
    }
    parts
}
