//! JSON text to checked arena, read where it stands.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Fingerprint;

use super::json::{self, Json, Shape};
use super::{
    Decimal, EnumType, Field, FixedType, Kind, Node, NodeId, Primitive, RecordType, Schema,
    SchemaError, SchemaLimits, SchemaRules, canonical, defaults, logical,
};

pub(super) fn parse(
    text: &str,
    rules: SchemaRules,
    limits: SchemaLimits,
) -> Result<Schema, SchemaError> {
    within(text, limits)?;
    let text = prepared(text, rules)?;
    shallow(&text, limits)?;
    let whole = json::whole(&text)?;
    let mut parser = Parser {
        rules,
        limits,
        nodes: Vec::new(),
        plain: [None; 8],
        named: Vec::new(),
    };
    let root = parser.schema(whole, "", &Path::Root, 0)?;
    let mut nodes = parser.nodes;
    defaults::check(&mut nodes, rules, limits)?;
    let (fingerprint, array_fingerprint) = canonical::fingerprints(&nodes, root);
    Ok(Schema {
        fingerprint,
        array_fingerprint,
        text_fingerprint: Fingerprint::of(&text),
        nodes,
        root,
        json: text.into_owned(),
    })
}

/// The text as JSON.
pub(super) fn prepared(text: &str, rules: SchemaRules) -> Result<Cow<'_, str>, SchemaError> {
    match rules {
        SchemaRules::AsWritten => Ok(json::tidied(text)),
        SchemaRules::Strict if text.starts_with('\u{feff}') => {
            Err(Path::Root.rule("the text begins with a byte order mark (EF BB BF): remove it"))
        }
        SchemaRules::Strict => Ok(Cow::Borrowed(text)),
    }
}

/// Refuses a text whose values nest deeper than any schema within the limits needs.
pub(super) fn shallow(text: &str, limits: SchemaLimits) -> Result<(), SchemaError> {
    /// A record in a record takes four levels: its object, its fields, the field, a union. Some more
    /// are left for defaults and foreign properties.
    const LEVELS: usize = 4;
    const MORE: usize = 64;
    let max = limits.depth_max.saturating_mul(LEVELS).saturating_add(MORE);
    let found = json::depth(text);
    if found <= max {
        return Ok(());
    }
    Err(SchemaError::Limit {
        path: "$".to_owned(),
        what: "nesting of the JSON text",
        found,
        max,
    })
}

/// Refuses a text that is longer than the limit.
pub(super) fn within(text: &str, limits: SchemaLimits) -> Result<(), SchemaError> {
    if text.len() <= limits.json_bytes_max {
        return Ok(());
    }
    Err(SchemaError::Limit {
        path: "$".to_owned(),
        what: "size of the JSON text",
        found: text.len(),
        max: limits.json_bytes_max,
    })
}

/// The way from the root to a value: rendered only for an error.
pub(super) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
    /// A field of a record: where, and both names.
    Field(&'a Path<'a>, usize, &'a str, &'a str),
}

impl Path<'_> {
    fn render(&self) -> String {
        match self {
            Self::Root => "$".to_owned(),
            Self::Key(parent, key) => format!("{}.{key}", parent.render()),
            Self::Index(parent, i) | Self::Field(parent, i, ..) => {
                format!("{}[{i}]", parent.render())
            }
        }
    }

    /// The innermost field on the way: its record's name and its own.
    fn field(&self) -> Option<(&str, &str)> {
        match self {
            Self::Root => None,
            Self::Key(parent, _) | Self::Index(parent, _) => parent.field(),
            Self::Field(_, _, record, field) => Some((record, field)),
        }
    }

    pub(super) fn rule(&self, reason: impl Into<String>) -> SchemaError {
        let mut reason = reason.into();
        if let Some((record, field)) = self.field() {
            reason += &format!(" (field `{}` of `{}`)", shown(field), shown(record));
        }
        SchemaError::Rule {
            path: self.render(),
            reason,
        }
    }
}

/// The properties of an object that mean something here; the last of one name counts.
#[derive(Default)]
struct Object<'a> {
    kind: Option<Json<'a>>,
    name: Option<Json<'a>>,
    namespace: Option<Json<'a>>,
    aliases: Option<Json<'a>>,
    fields: Option<Json<'a>>,
    symbols: Option<Json<'a>>,
    items: Option<Json<'a>>,
    values: Option<Json<'a>>,
    size: Option<Json<'a>>,
    default: Option<Json<'a>>,
    doc: Option<Json<'a>>,
    logical: Option<Json<'a>>,
    precision: Option<Json<'a>>,
    scale: Option<Json<'a>>,
    event_time: Option<Json<'a>>,
    protocol: Option<Json<'a>>,
}

impl<'a> Object<'a> {
    fn read(json: Json<'a>) -> Self {
        let mut object = Self::default();
        // Nothing is refused here.
        let _ = json::entries(json, |key, value| {
            let place = match key {
                "type" => &mut object.kind,
                "name" => &mut object.name,
                "namespace" => &mut object.namespace,
                "aliases" => &mut object.aliases,
                "fields" => &mut object.fields,
                "symbols" => &mut object.symbols,
                "items" => &mut object.items,
                "values" => &mut object.values,
                "size" => &mut object.size,
                "default" => &mut object.default,
                "doc" => &mut object.doc,
                "logicalType" => &mut object.logical,
                "precision" => &mut object.precision,
                "scale" => &mut object.scale,
                "xpt.eventTime" => &mut object.event_time,
                "protocol" => &mut object.protocol,
                _ => return Ok::<_, ()>(()),
            };
            *place = Some(value);
            Ok(())
        });
        object
    }
}

/// An array's items, or else the rule that it breaks.
fn list<'a>(
    json: Option<Json<'a>>,
    path: &Path<'_>,
    rule: &str,
    each: impl FnMut(usize, Json<'a>) -> Result<(), SchemaError>,
) -> Result<(), SchemaError> {
    match json {
        Some(json) if json::shape(json) == Shape::Array => json::items(json, each),
        _ => Err(path.rule(rule)),
    }
}

struct Parser {
    rules: SchemaRules,
    limits: SchemaLimits,
    nodes: Vec<Node>,
    /// Primitives without a logical type: one node each, however often they are used.
    plain: [Option<NodeId>; 8],
    /// Named types in the order of their names.
    named: Vec<NodeId>,
}

impl Parser {
    fn add(&mut self, kind: Kind, path: &Path<'_>) -> Result<NodeId, SchemaError> {
        if self.nodes.len() >= self.limits.nodes_max {
            return Err(SchemaError::Limit {
                path: path.render(),
                what: "number of types",
                found: self.nodes.len() + 1,
                max: self.limits.nodes_max,
            });
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node {
            kind,
            logical: None,
            decimal: None,
        });
        Ok(id)
    }

    fn plain(&mut self, primitive: Primitive, path: &Path<'_>) -> Result<NodeId, SchemaError> {
        if let Some(id) = self.plain[primitive as usize] {
            return Ok(id);
        }
        let id = self.add(Kind::Primitive(primitive), path)?;
        self.plain[primitive as usize] = Some(id);
        Ok(id)
    }

    fn schema(
        &mut self,
        json: Json<'_>,
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        if depth > self.limits.depth_max {
            return Err(SchemaError::Limit {
                path: path.render(),
                what: "nesting",
                found: depth,
                max: self.limits.depth_max,
            });
        }
        match json::shape(json) {
            Shape::String => self.reference(&text(json), namespace, path),
            Shape::Array => self.union(json, namespace, path, depth),
            Shape::Object => self.object(&Object::read(json), namespace, path, depth),
            _ => Err(path.rule("a schema is a name, an object or an array of branches")),
        }
    }

    fn reference(
        &mut self,
        name: &str,
        namespace: &str,
        path: &Path<'_>,
    ) -> Result<NodeId, SchemaError> {
        if let Some(primitive) = Primitive::from_name(name) {
            return self.plain(primitive, path);
        }
        let full = qualify(name, namespace);
        // A name that is not in the namespace around may be in none.
        match self.place(&full).or_else(|_| self.place(name)) {
            Ok(at) => Ok(self.named[at]),
            Err(_) => Err(path.rule(match meant(name) {
                Some(meant) => format!("unknown type `{}`: write `{meant}`", shown(name)),
                None => format!(
                    "unknown type `{}`: define it before its first use",
                    shown(&full)
                ),
            })),
        }
    }

    /// Where a name stands among the named types, or where it belongs.
    fn place(&self, full: &str) -> Result<usize, usize> {
        self.named.binary_search_by(|id| {
            let name = self.nodes[id.index()].kind.name();
            name.unwrap_or_default().cmp(full)
        })
    }

    fn union(
        &mut self,
        json: Json<'_>,
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let mut ids: Vec<NodeId> = Vec::new();
        json::items(json, |i, branch| {
            let path = Path::Index(path, i);
            let id = self.schema(branch, namespace, &path, depth)?;
            if matches!(self.nodes[id.index()].kind, Kind::Union(_)) {
                return Err(path.rule("a union may not hold a union directly"));
            }
            ids.push(id);
            Ok(())
        })?;
        let names = ids
            .iter()
            .map(|id| self.nodes[id.index()].kind.branch_name());
        let names: Vec<&str> = names.collect();
        if let Some(i) = first_repeat(&names) {
            let reason = format!("the union already has a branch `{}`", shown(names[i]));
            return Err(Path::Index(path, i).rule(reason));
        }
        self.add(Kind::Union(ids), path)
    }

    fn object(
        &mut self,
        object: &Object<'_>,
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let kind = match object.kind {
            Some(kind) if json::shape(kind) == Shape::String => text(kind),
            Some(inner) if matches!(json::shape(inner), Shape::Object | Shape::Array) => {
                return self.schema(inner, namespace, &Path::Key(path, "type"), depth);
            }
            _ if object.protocol.is_some() => {
                return Err(path.rule("this is a protocol (.avpr): take a schema of its `types`"));
            }
            _ => return Err(path.rule("an object needs a `type`")),
        };
        let logical = object.logical.and_then(json::string);
        let id = match &*kind {
            "record" | "error" => self.record(object, namespace, path, depth)?,
            "enum" => self.enumeration(object, namespace, path)?,
            "fixed" => {
                let size = object
                    .size
                    .and_then(json::integer)
                    .ok_or_else(|| path.rule("a fixed needs a `size` below 2^32"))?;
                let (name, aliases) = self.names(object, namespace, path)?;
                let kind = Kind::Fixed(Box::new(FixedType {
                    name,
                    aliases,
                    size,
                }));
                self.define(kind, path)?
            }
            "array" => {
                let items = self.part(object.items, "items", namespace, path, depth + 1)?;
                self.add(Kind::Array(items), path)?
            }
            "map" => {
                let values = self.part(object.values, "values", namespace, path, depth + 1)?;
                self.add(Kind::Map(values), path)?
            }
            name => match Primitive::from_name(name) {
                Some(primitive) if logical.is_some() => {
                    self.add(Kind::Primitive(primitive), path)?
                }
                // A property beside a reference is the reference's affair, not the type's.
                _ => return self.reference(name, namespace, &Path::Key(path, "type")),
            },
        };
        if let Some(logical) = logical {
            let node = &mut self.nodes[id.index()];
            node.decimal = decimal(&logical, &node.kind, object);
            // One that breaks its rules is ignored (Avro 1.12, "Logical Types").
            if logical::applies(&logical, &node.kind, node.decimal) {
                node.logical = Some(logical.into());
            }
        }
        Ok(id)
    }

    /// A name or a symbol within its bound.
    fn within(&self, name: &str, path: &Path<'_>) -> Result<(), SchemaError> {
        if name.len() <= self.limits.name_bytes_max {
            return Ok(());
        }
        Err(SchemaError::Limit {
            path: path.render(),
            what: "length of a name",
            found: name.len(),
            max: self.limits.name_bytes_max,
        })
    }

    fn part(
        &mut self,
        part: Option<Json<'_>>,
        key: &'static str,
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let part = part.ok_or_else(|| path.rule(format!("`{key}` is missing")))?;
        self.schema(part, namespace, &Path::Key(path, key), depth)
    }

    fn define(&mut self, kind: Kind, path: &Path<'_>) -> Result<NodeId, SchemaError> {
        let name = kind.name().unwrap_or_default();
        self.within(name, path)?;
        let Err(at) = self.place(name) else {
            return Err(path.rule(format!("`{}` is defined twice", shown(name))));
        };
        let id = self.add(kind, path)?;
        self.named.insert(at, id);
        Ok(id)
    }

    fn enumeration(
        &mut self,
        object: &Object<'_>,
        namespace: &str,
        path: &Path<'_>,
    ) -> Result<NodeId, SchemaError> {
        let (name, aliases) = self.names(object, namespace, path)?;
        let at = Path::Key(path, "symbols");
        let mut symbols: Vec<String> = Vec::new();
        let rule = "an enum needs a list of `symbols`";
        list(object.symbols, &at, rule, |i, symbol| {
            let at = Path::Index(&at, i);
            let symbol = json::string(symbol).unwrap_or_default();
            self.within(&symbol, &at)?;
            if !self.is_name(&symbol) {
                return Err(at.rule("a symbol is [A-Za-z_][A-Za-z0-9_]*"));
            }
            symbols.push(symbol.into());
            Ok(())
        })?;
        if let Some(i) = first_repeat(&symbols) {
            let reason = format!("symbol `{}` is there twice", shown(&symbols[i]));
            return Err(Path::Index(&at, i).rule(reason));
        }
        let default = match object.default.map(json::string) {
            None => None,
            Some(Some(s)) if symbols.iter().any(|symbol| *symbol == s) => Some(s.into()),
            Some(_) if self.rules == SchemaRules::AsWritten => None,
            Some(_) => {
                return Err(Path::Key(path, "default").rule("the default is none of the symbols"));
            }
        };
        let kind = Kind::Enum(Box::new(EnumType {
            name,
            aliases,
            symbols,
            default,
        }));
        self.define(kind, path)
    }

    fn record(
        &mut self,
        object: &Object<'_>,
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let (name, aliases) = self.names(object, namespace, path)?;
        // Defined before its fields are read, so that they can refer to it.
        let empty = RecordType {
            name: name.clone(),
            aliases,
            fields: Vec::new(),
        };
        let id = self.define(Kind::Record(Box::new(empty)), path)?;
        let at = Path::Key(path, "fields");
        let mut fields: Vec<Field> = Vec::new();
        list(
            object.fields,
            &at,
            "a record needs a list of `fields`",
            |i, field| {
                let mut field = self.field(field, (&at, i), &name, depth)?;
                if field.event_time && fields.iter().any(|f| f.event_time) {
                    if self.rules == SchemaRules::Strict {
                        let at = Path::Index(&at, i);
                        return Err(at.rule("a record has at most one event time"));
                    }
                    field.event_time = false;
                }
                fields.push(field);
                Ok(())
            },
        )?;
        let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
        if let Some(i) = first_repeat(&names) {
            let reason = format!("field `{}` is there twice", shown(names[i]));
            return Err(Path::Index(&at, i).rule(reason));
        }
        if let Kind::Record(record) = &mut self.nodes[id.index()].kind {
            record.fields = fields;
        }
        Ok(id)
    }

    fn field(
        &mut self,
        json: Json<'_>,
        (fields, i): (&Path<'_>, usize),
        record: &str,
        depth: usize,
    ) -> Result<Field, SchemaError> {
        if json::shape(json) != Shape::Object {
            return Err(Path::Index(fields, i).rule("a field is an object"));
        }
        let field = Object::read(json);
        let name = field.name.and_then(json::string).unwrap_or_default();
        if !self.is_name(&name) {
            let reason = format!(
                "`{}` is no name for a field of `{}`: a name is [A-Za-z_][A-Za-z0-9_]*",
                shown(&name),
                shown(record)
            );
            return Err(Path::Key(&Path::Index(fields, i), "name").rule(reason));
        }
        let path = &Path::Field(fields, i, record, &name);
        self.within(&name, path)?;
        let namespace = namespace_of(record);
        Ok(Field {
            node: self.part(field.kind, "type", namespace, path, depth + 1)?,
            aliases: self.aliases(&field, path)?,
            default: field.default.map(|json| json.get().to_owned()),
            doc: field.doc.and_then(json::string).map(Cow::into_owned),
            event_time: field.event_time.is_some_and(|json| json.get() == "true"),
            name: name.clone().into(),
        })
    }

    /// Whether a name is one. What was written under another cannot be changed any more.
    fn is_name(&self, name: &str) -> bool {
        match self.rules {
            SchemaRules::Strict => is_name(name),
            SchemaRules::AsWritten => !name.is_empty(),
        }
    }

    /// Full name and aliases of a named type.
    fn names(
        &self,
        object: &Object<'_>,
        outer: &str,
        path: &Path<'_>,
    ) -> Result<(String, Vec<String>), SchemaError> {
        let at = Path::Key(path, "name");
        let Some(name) = object.name.and_then(json::string) else {
            return Err(at.rule("a named type needs a `name`"));
        };
        let namespace = object.namespace.and_then(json::string);
        let full = qualify(&name, namespace.as_deref().unwrap_or(outer));
        let good = match self.rules {
            SchemaRules::Strict => full.split('.').all(is_name),
            SchemaRules::AsWritten => !simple(&full).is_empty(),
        };
        if !good || Primitive::from_name(&full).is_some() {
            return Err(at.rule(format!("`{}` is no name for a type", shown(&full))));
        }
        Ok((full.into_owned(), self.aliases(object, path)?))
    }

    /// Any text may be an alias: the only way back from a name that is none.
    fn aliases(&self, object: &Object<'_>, path: &Path<'_>) -> Result<Vec<String>, SchemaError> {
        let mut aliases = Vec::new();
        if object.aliases.is_none() {
            return Ok(aliases);
        }
        let at = Path::Key(path, "aliases");
        let rule = "`aliases` is a list of names";
        let read = list(object.aliases, &at, rule, |i, alias| {
            let alias = json::string(alias)
                .ok_or_else(|| Path::Index(&at, i).rule("an alias is a name in quotes"))?;
            aliases.push(alias.into_owned());
            Ok(())
        });
        match self.rules {
            SchemaRules::Strict => read.map(|()| aliases),
            SchemaRules::AsWritten => Ok(aliases),
        }
    }
}

/// The text of what is known to be a string.
fn text(json: Json<'_>) -> Cow<'_, str> {
    json::string(json).unwrap_or_default()
}

/// Position of the first item that was there before.
fn first_repeat(items: &[impl AsRef<str>]) -> Option<usize> {
    let mut order: Vec<u32> = (0..items.len() as u32).collect();
    let item = |i: u32| items[i as usize].as_ref();
    order.sort_unstable_by_key(|&i| (item(i), i));
    let repeats = order.windows(2).filter(|w| item(w[0]) == item(w[1]));
    repeats.map(|w| w[1] as usize).min()
}

/// The scale of a decimal. One that breaks the specification's rules is none: the type is read as
/// what it is built on.
fn decimal(logical: &str, kind: &Kind, object: &Object<'_>) -> Option<Decimal> {
    let bytes = matches!(kind, Kind::Primitive(Primitive::Bytes) | Kind::Fixed(_));
    if logical != "decimal" || !bytes {
        return None;
    }
    let precision: u32 = json::integer(object.precision?)?;
    let scale = object.scale.map_or(Some(0), json::integer)?;
    let most = match kind {
        Kind::Fixed(fixed) => logical::digits(fixed.size.into()),
        _ => u64::MAX,
    };
    (1 <= precision && scale <= precision && u64::from(precision) <= most)
        .then_some(Decimal { precision, scale })
}

/// The primitive that somebody means who writes another language's word for it.
fn meant(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    if let Some(primitive) = Primitive::from_name(&lower) {
        return Some(primitive.as_str());
    }
    Some(match lower.as_str() {
        "str" | "text" | "varchar" | "utf8" => "string",
        "bool" => "boolean",
        "integer" | "int32" | "i32" | "short" | "byte" => "int",
        "int64" | "i64" | "bigint" => "long",
        "float32" | "f32" => "float",
        "float64" | "f64" => "double",
        "binary" => "bytes",
        "none" | "nil" | "void" => "null",
        _ => return None,
    })
}

/// What of a text an error shows.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

fn is_name(s: &str) -> bool {
    let mut bytes = s.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

pub(super) fn qualify<'a>(name: &'a str, namespace: &str) -> Cow<'a, str> {
    if name.contains('.') || namespace.is_empty() {
        name.strip_prefix('.').unwrap_or(name).into()
    } else {
        format!("{namespace}.{name}").into()
    }
}

/// The namespace of a full name, empty for none.
pub(super) fn namespace_of(full: &str) -> &str {
    full.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}

/// The last part of a full name.
pub(super) fn simple(full: &str) -> &str {
    full.rsplit_once('.').map_or(full, |(_, name)| name)
}
