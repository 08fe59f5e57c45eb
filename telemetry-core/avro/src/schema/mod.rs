//! Avro schemas: a flat arena of nodes, parsed from JSON, with canonical form and fingerprint.

mod canonical;
mod defaults;
pub(crate) mod json;
mod logical;
mod parse;
mod references;

#[cfg(feature = "std")]
pub(crate) use references::place;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::Fingerprint;
pub(crate) use logical::{Change, change, digits};

/// A checked Avro schema.
///
/// Nodes refer to each other by [`NodeId`], so recursive types are plain data. Two schemas are
/// equal when their JSON texts are. It is read without a tree of the JSON, and takes less memory
/// than 16 times its text.
///
/// ```
/// use telemetry_avro::Schema;
///
/// let schema = Schema::parse(r#"{"type":"record","name":"Beat","doc":"one beat",
///     "fields":[{"name":"bpm","type":["null","int"],"default":null}]}"#)?;
/// assert_eq!(
///     schema.canonical(),
///     r#"{"name":"Beat","type":"record","fields":[{"name":"bpm","type":["null","int"]}]}"#
/// );
/// # Ok::<(), telemetry_avro::SchemaError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
    json: String,
    fingerprint: Fingerprint,
    array_fingerprint: Fingerprint,
    text_fingerprint: Fingerprint,
}

/// Where a node is in its schema's arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u32);

/// One type of a schema.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is on the wire.
    pub kind: Kind,
    /// The `logicalType` property, e.g. `timestamp-micros`.
    pub logical: Option<Box<str>>,
    /// How a `decimal` is scaled; `None` for any other type.
    pub decimal: Option<Decimal>,
}

/// The scale of a logical type `decimal`: a value is its unscaled integer × 10⁻ˢᶜᵃˡᵉ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Most digits, at least 1.
    pub precision: u32,
    /// Digits behind the point, at most `precision`.
    pub scale: u32,
}

/// What a type puts on the wire.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A type without parts.
    Primitive(Primitive),
    /// Items of one type.
    Array(NodeId),
    /// Text keys, values of one type.
    Map(NodeId),
    /// One of several types.
    Union(Vec<NodeId>),
    /// Named fields in order.
    Record(Box<RecordType>),
    /// One of several symbols.
    Enum(Box<EnumType>),
    /// A fixed number of bytes.
    Fixed(Box<FixedType>),
}

impl Kind {
    /// Full name of a named type.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Record(of) => Some(&of.name),
            Self::Enum(of) => Some(&of.name),
            Self::Fixed(of) => Some(&of.name),
            Self::Primitive(_) | Self::Array(_) | Self::Map(_) | Self::Union(_) => None,
        }
    }

    /// Other full names that a named type answers to.
    pub fn full_aliases(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (name, aliases) = match self {
            Self::Record(of) => (of.name.as_str(), of.aliases.as_slice()),
            Self::Enum(of) => (of.name.as_str(), of.aliases.as_slice()),
            Self::Fixed(of) => (of.name.as_str(), of.aliases.as_slice()),
            Self::Primitive(_) | Self::Array(_) | Self::Map(_) | Self::Union(_) => ("", &[][..]),
        };
        aliases.iter().map(move |alias| full_alias(alias, name))
    }

    /// What a union calls a branch of this type.
    pub fn branch_name(&self) -> &str {
        match self {
            Self::Primitive(p) => p.as_str(),
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(_) | Self::Enum(_) | Self::Fixed(_) => self.name().unwrap_or_default(),
        }
    }
}

/// The full name that an alias means: one without a namespace is in the namespace of its type's
/// full name (Avro 1.12, "Aliases").
pub(crate) fn full_alias<'a>(alias: &'a str, full_name: &str) -> Cow<'a, str> {
    parse::qualify(alias, parse::namespace_of(full_name))
}

/// The primitive types of Avro.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Primitive {
    /// No value.
    Null,
    /// 0 or 1.
    Boolean,
    /// 32-bit signed.
    Int,
    /// 64-bit signed.
    Long,
    /// IEEE 754 single.
    Float,
    /// IEEE 754 double.
    Double,
    /// Any bytes.
    Bytes,
    /// UTF-8 text.
    String,
}

impl Primitive {
    /// The type's name in schemas.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }
}

/// A record's name and fields.
#[derive(Clone, Debug)]
pub struct RecordType {
    /// Full name, `namespace.name`.
    pub name: String,
    /// Other names it answers to, as they are written: see [`Kind::full_aliases`].
    pub aliases: Vec<String>,
    /// Fields in wire order.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name, `[A-Za-z_][A-Za-z0-9_]*`.
    pub name: String,
    /// Names it had before.
    pub aliases: Vec<String>,
    /// Its type.
    pub node: NodeId,
    /// What a reader takes when the writer has no such field, as JSON text.
    pub default: Option<String>,
    /// What it means, for people.
    pub doc: Option<String>,
    /// Whether it is the record's event time (`xpt.eventTime`).
    pub event_time: bool,
}

/// An enum's name and symbols.
#[derive(Clone, Debug)]
pub struct EnumType {
    /// Full name.
    pub name: String,
    /// Other names it answers to, as they are written: see [`Kind::full_aliases`].
    pub aliases: Vec<String>,
    /// Symbols in wire order.
    pub symbols: Vec<String>,
    /// What a reader takes for a symbol it does not know.
    pub default: Option<String>,
}

/// A fixed's name and size.
#[derive(Clone, Debug)]
pub struct FixedType {
    /// Full name.
    pub name: String,
    /// Other names it answers to, as they are written: see [`Kind::full_aliases`].
    pub aliases: Vec<String>,
    /// Size in bytes.
    pub size: u32,
}

/// What is asked of a schema's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchemaRules {
    /// A new schema: everything that the specification says.
    #[default]
    Strict,
    /// A schema that data was written with. It is history and cannot be changed any more, so what other
    /// libraries let pass is read as they read it: any text as a name, defaults that are no value of
    /// their type (which are forgotten), comments, a byte order mark, halves of surrogate pairs.
    /// Everything that decides what is on the wire stays a rule.
    AsWritten,
}

/// Bounds on a schema text, for texts that strangers send.
#[derive(Clone, Copy, Debug)]
pub struct SchemaLimits {
    /// Bytes of JSON. 1 MiB: documented schemas of some thousand columns.
    pub json_bytes_max: usize,
    /// Types in the arena, plain primitives once. 65,536: a record of 400 nullable fields has 402
    /// or a few more.
    pub nodes_max: usize,
    /// Bytes of a name, with its namespace, and of a symbol. 256: beyond what is in use, and a
    /// namespace is kept with each of its names, however seldom the text says it.
    pub name_bytes_max: usize,
    /// Records, arrays and maps inside each other, as in [`DecodeLimits`](crate::DecodeLimits). 64:
    /// keeps recursion within any thread's stack. Who raises it sees to the stack.
    pub depth_max: usize,
}

impl Default for SchemaLimits {
    fn default() -> Self {
        Self {
            json_bytes_max: 1 << 20,
            nodes_max: 65_536,
            name_bytes_max: 256,
            depth_max: 64,
        }
    }
}

impl Schema {
    /// Parses and checks a new schema within the default limits.
    pub fn parse(json: &str) -> Result<Self, SchemaError> {
        Self::parse_as(json, SchemaRules::Strict, SchemaLimits::default())
    }

    /// Parses and checks a new schema within `limits`.
    pub fn parse_with(json: &str, limits: SchemaLimits) -> Result<Self, SchemaError> {
        Self::parse_as(json, SchemaRules::Strict, limits)
    }

    /// Parses a schema that data was written with, within the default limits: see
    /// [`SchemaRules::AsWritten`].
    ///
    /// ```
    /// use telemetry_avro::{Plan, Schema};
    ///
    /// let old = r#"{"type":"record","name":"Beat","fields":[{"name":"heart-rate","type":"int"}]}"#;
    /// assert!(Schema::parse(old).is_err());
    /// let old = Schema::parse_written(old)?;
    /// // An alias leads back to a name that is none.
    /// let new = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
    ///     {"name":"heart_rate","type":"int","aliases":["heart-rate"]}]}"#)?;
    /// assert!(Plan::compile(&old, &new)?.problems().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse_written(json: &str) -> Result<Self, SchemaError> {
        Self::parse_as(json, SchemaRules::AsWritten, SchemaLimits::default())
    }

    /// Parses a schema by `rules` within `limits`.
    pub fn parse_as(
        json: &str,
        rules: SchemaRules,
        limits: SchemaLimits,
    ) -> Result<Self, SchemaError> {
        parse::parse(json, rules, limits)
    }

    /// Parses a schema that refers to types which `others` define, within the default limits.
    ///
    /// Its [`json`](Self::json) holds everything it needs: it can be announced, registered and
    /// parsed alone. Two texts may define a type in the same words, but not in others.
    ///
    /// ```
    /// use telemetry_avro::Schema;
    ///
    /// let place = r#"{"type":"record","name":"geo.Place","fields":[
    ///     {"name":"lat","type":"double"},{"name":"lon","type":"double"}]}"#;
    /// let ride = r#"{"type":"record","name":"Ride","fields":[
    ///     {"name":"from","type":"geo.Place"},{"name":"to","type":"geo.Place"}]}"#;
    /// let schema = Schema::parse_with_references(ride, &[place])?;
    /// assert_eq!(Schema::parse(schema.json())?, schema);
    /// # Ok::<(), telemetry_avro::SchemaError>(())
    /// ```
    pub fn parse_with_references(json: &str, others: &[&str]) -> Result<Self, SchemaError> {
        let (rules, limits) = (SchemaRules::Strict, SchemaLimits::default());
        Self::parse_with_references_as(json, others, rules, limits)
    }

    /// The same by `rules` within `limits`.
    pub fn parse_with_references_as(
        json: &str,
        others: &[&str],
        rules: SchemaRules,
        limits: SchemaLimits,
    ) -> Result<Self, SchemaError> {
        let whole = references::bundle(json, others, rules, limits)?;
        parse::parse(&whole, rules, limits)
    }

    /// The text it was parsed from; what was read [as it was written](SchemaRules::AsWritten) is JSON
    /// here.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The Parsing Canonical Form (Avro 1.12, "Parsing Canonical Form for Schemas").
    ///
    /// It names a schema and does not replace its text: by the specification it has no namespaces,
    /// so a type without one that stands inside a type with one is another when it is parsed again.
    pub fn canonical(&self) -> String {
        canonical::write(&self.nodes, self.root, false)
    }

    /// The canonical form with logical types and `xpt.*` properties kept.
    ///
    /// A stream holds one meaning per fingerprint: two texts of one fingerprint may differ in
    /// doc, aliases and defaults, but not in this.
    pub fn meaning(&self) -> String {
        canonical::write(&self.nodes, self.root, true)
    }

    /// CRC-64-AVRO of the canonical form.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// CRC-64-AVRO of the text itself: unlike the others it tells aliases and defaults apart.
    pub const fn text_fingerprint(&self) -> Fingerprint {
        self.text_fingerprint
    }

    /// MD5 of the canonical form, which some registries name a schema by.
    #[cfg(feature = "std")]
    pub fn md5(&self) -> [u8; 16] {
        use md5::Digest as _;
        md5::Md5::digest(self.canonical()).into()
    }

    /// SHA-256 of the canonical form.
    #[cfg(feature = "std")]
    pub fn sha256(&self) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest(self.canonical()).into()
    }

    /// Fingerprint of the array of this schema: the schema of a batch.
    pub const fn array_fingerprint(&self) -> Fingerprint {
        self.array_fingerprint
    }

    /// The type the schema is about.
    pub fn root(&self) -> &Node {
        self.node(self.root)
    }

    /// The id of the type the schema is about.
    pub const fn root_id(&self) -> NodeId {
        self.root
    }

    /// Every type of the schema, in the order of their ids.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of an id taken from this schema.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// One type of this schema as a schema of its own, e.g. of a field whose datum is kept alone.
    ///
    /// Its text is [the meaning](Self::meaning) of the part: without docs, aliases and defaults.
    ///
    /// ```
    /// use telemetry_avro::Schema;
    ///
    /// let ride = Schema::parse(r#"{"type":"record","name":"Ride","fields":[
    ///     {"name":"laps","type":{"type":"array","items":"int"}}]}"#)?;
    /// let laps = ride.part(ride.record().expect("a record").fields[0].node);
    /// assert_eq!(laps.json(), r#"{"type":"array","items":"int"}"#);
    /// # Ok::<(), telemetry_avro::SchemaError>(())
    /// ```
    pub fn part(&self, root: NodeId) -> Self {
        let json = canonical::write(&self.nodes, root, true);
        let (fingerprint, array_fingerprint) = canonical::fingerprints(&self.nodes, root);
        Self {
            nodes: self.nodes.clone(),
            root,
            text_fingerprint: Fingerprint::of(&json),
            json,
            fingerprint,
            array_fingerprint,
        }
    }

    /// The root, if it is a record.
    pub fn record(&self) -> Option<&RecordType> {
        match &self.root().kind {
            Kind::Record(record) => Some(record),
            _ => None,
        }
    }

    /// Position of the root record's event-time field, if it has one.
    pub fn event_time(&self) -> Option<usize> {
        self.record()?.fields.iter().position(|f| f.event_time)
    }

    /// The type of a field that is a primitive or a nullable primitive.
    ///
    /// `None` for anything else.
    pub fn flat(&self, field: &Field) -> Option<FlatType> {
        let node = self.node(field.node);
        match &node.kind {
            Kind::Primitive(primitive) => Some(FlatType {
                primitive: *primitive,
                null_branch: None,
            }),
            Kind::Union(branches) => {
                let [a, b] = branches.as_slice() else {
                    return None;
                };
                let primitive = |id: &NodeId| match self.node(*id).kind {
                    Kind::Primitive(p) => Some(p),
                    _ => None,
                };
                match (primitive(a)?, primitive(b)?) {
                    (Primitive::Null, p) => Some(FlatType {
                        primitive: p,
                        null_branch: Some(0),
                    }),
                    (p, Primitive::Null) => Some(FlatType {
                        primitive: p,
                        null_branch: Some(1),
                    }),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The logical type of a field, looked up through a nullable union.
    pub fn logical(&self, field: &Field) -> Option<&str> {
        let node = self.node(field.node);
        match &node.kind {
            Kind::Union(branches) => branches
                .iter()
                .find_map(|&b| self.node(b).logical.as_deref()),
            _ => node.logical.as_deref(),
        }
    }
}

impl NodeId {
    /// Position in [`Schema::nodes`].
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

/// A field type that is a primitive, perhaps nullable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlatType {
    /// The type of a value that is there.
    pub primitive: Primitive,
    /// Which branch of the union is null: 0 or 1; `None` if the value is always there.
    pub null_branch: Option<u8>,
}

/// A text that is no schema. Paths are JSON paths, e.g. `$.fields[2].type`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Over a bound of [`SchemaLimits`].
    #[error("{path}: {what} {found} is over the limit of {max}")]
    Limit {
        /// Where it was noticed.
        path: String,
        /// Which bound.
        what: &'static str,
        /// What was found.
        found: usize,
        /// What is allowed.
        max: usize,
    },
    /// Not JSON.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the JSON parser said.
        reason: String,
    },
    /// JSON that breaks a rule of Avro.
    #[error("{path}: {reason}")]
    Rule {
        /// Where.
        path: String,
        /// Which rule, and what to do.
        reason: String,
    },
}

impl SchemaError {
    fn json(error: serde_json::Error) -> Self {
        Self::Json {
            line: error.line(),
            column: error.column(),
            reason: reason(&error),
        }
    }
}

/// What a JSON parser says, without the position that it says as well.
fn reason(error: &serde_json::Error) -> String {
    let mut reason = error.to_string();
    if let Some(at) = reason.rfind(" at line ") {
        reason.truncate(at);
    }
    reason
}

impl core::str::FromStr for Schema {
    type Err = SchemaError;

    /// The same as [`Schema::parse`].
    fn from_str(json: &str) -> Result<Self, SchemaError> {
        Self::parse(json)
    }
}

crate::error_codes!(SchemaError {
    Limit { .. } => 1030,
    Json { .. } => 1031,
    Rule { .. } => 1032,
});

#[cfg(test)]
mod tests;
