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
    SchemaError, SchemaLimits, canonical, defaults,
};

pub(super) fn parse(text: &str, limits: SchemaLimits) -> Result<Schema, SchemaError> {
    within(text, limits)?;
    let whole = json::whole(text).map_err(SchemaError::json)?;
    let mut parser = Parser {
        limits,
        nodes: Vec::new(),
        plain: [None; 8],
        named: Vec::new(),
    };
    let root = parser.schema(whole, "", &Path::Root, 0)?;
    let nodes = parser.nodes;
    defaults::check(&nodes, limits)?;
    let (fingerprint, array_fingerprint) = canonical::fingerprints(&nodes, root);
    Ok(Schema {
        fingerprint,
        array_fingerprint,
        text_fingerprint: Fingerprint::of(text),
        nodes,
        root,
        json: text.to_owned(),
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
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn render(&self) -> String {
        match self {
            Self::Root => "$".to_owned(),
            Self::Key(parent, key) => format!("{}.{key}", parent.render()),
            Self::Index(parent, i) => format!("{}[{i}]", parent.render()),
        }
    }

    fn rule(&self, reason: impl Into<String>) -> SchemaError {
        SchemaError::Rule {
            path: self.render(),
            reason: reason.into(),
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
        match self.place(&full) {
            Ok(at) => Ok(self.named[at]),
            Err(_) => Err(path.rule(format!(
                "unknown type `{full}`: define it before its first use"
            ))),
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
            let id = self.schema(branch, namespace, &path, depth + 1)?;
            let kind = &self.nodes[id.index()].kind;
            let name = kind.branch_name();
            if matches!(kind, Kind::Union(_)) {
                return Err(path.rule("a union may not hold a union directly"));
            }
            let same = |other: &NodeId| self.nodes[other.index()].kind.branch_name() == name;
            if ids.iter().any(same) {
                return Err(path.rule(format!("the union already has a branch `{name}`")));
            }
            ids.push(id);
            Ok(())
        })?;
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
                return self.schema(inner, namespace, &Path::Key(path, "type"), depth + 1);
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
                    .and_then(json::number)
                    .ok_or_else(|| path.rule("a fixed needs a `size` below 2^32"))?;
                let (name, aliases) = names(object, namespace, path)?;
                let kind = Kind::Fixed(Box::new(FixedType {
                    name,
                    aliases,
                    size,
                }));
                self.define(kind, path)?
            }
            "array" => {
                let items = self.part(object.items, "items", namespace, path, depth)?;
                self.add(Kind::Array(items), path)?
            }
            "map" => {
                let values = self.part(object.values, "values", namespace, path, depth)?;
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
            node.logical = Some(logical.into());
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
        self.schema(part, namespace, &Path::Key(path, key), depth + 1)
    }

    fn define(&mut self, kind: Kind, path: &Path<'_>) -> Result<NodeId, SchemaError> {
        let name = kind.name().unwrap_or_default();
        self.within(name, path)?;
        let Err(at) = self.place(name) else {
            return Err(path.rule(format!("`{name}` is defined twice")));
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
        let (name, aliases) = names(object, namespace, path)?;
        let at = Path::Key(path, "symbols");
        let mut symbols: Vec<String> = Vec::new();
        let rule = "an enum needs a list of `symbols`";
        list(object.symbols, &at, rule, |i, symbol| {
            let at = Path::Index(&at, i);
            let symbol = json::string(symbol).unwrap_or_default();
            self.within(&symbol, &at)?;
            if !is_name(&symbol) {
                return Err(at.rule("a symbol is [A-Za-z_][A-Za-z0-9_]*"));
            }
            symbols.push(symbol.into());
            Ok(())
        })?;
        if let Some(i) = first_repeat(&symbols) {
            let reason = format!("symbol `{}` is there twice", symbols[i]);
            return Err(Path::Index(&at, i).rule(reason));
        }
        let default = match object.default.map(json::string) {
            None => None,
            Some(Some(s)) if symbols.iter().any(|symbol| *symbol == s) => Some(s.into()),
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
        let (name, aliases) = names(object, namespace, path)?;
        let namespace = namespace_of(&name).to_owned();
        // Defined before its fields are read, so that they can refer to it.
        let empty = RecordType {
            name,
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
                let at = Path::Index(&at, i);
                let field = self.field(field, &namespace, &at, depth)?;
                if fields.iter().any(|f| f.name == field.name) {
                    return Err(at.rule(format!("field `{}` is there twice", field.name)));
                }
                if field.event_time && fields.iter().any(|f| f.event_time) {
                    return Err(at.rule("a record has at most one event time"));
                }
                fields.push(field);
                Ok(())
            },
        )?;
        if let Kind::Record(record) = &mut self.nodes[id.index()].kind {
            record.fields = fields;
        }
        Ok(id)
    }

    fn field(
        &mut self,
        json: Json<'_>,
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<Field, SchemaError> {
        if json::shape(json) != Shape::Object {
            return Err(path.rule("a field is an object"));
        }
        let field = Object::read(json);
        let name = field.name.and_then(json::string).unwrap_or_default();
        if !is_name(&name) {
            let at = Path::Key(path, "name");
            return Err(at.rule("a field name is [A-Za-z_][A-Za-z0-9_]*"));
        }
        self.within(&name, path)?;
        Ok(Field {
            node: self.part(field.kind, "type", namespace, path, depth)?,
            aliases: aliases(&field, path)?,
            default: field.default.map(|json| json.get().to_owned()),
            doc: field.doc.and_then(json::string).map(Cow::into_owned),
            event_time: field.event_time.is_some_and(|json| json.get() == "true"),
            name: name.into(),
        })
    }
}

/// The text of what is known to be a string.
fn text(json: Json<'_>) -> Cow<'_, str> {
    json::string(json).unwrap_or_default()
}

/// Position of the first item that was there before.
fn first_repeat(items: &[String]) -> Option<usize> {
    let mut order: Vec<u32> = (0..items.len() as u32).collect();
    let item = |i: u32| &items[i as usize];
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
    let precision: u32 = json::number(object.precision?)?;
    let scale = object.scale.map_or(Some(0), json::number)?;
    (1 <= precision && scale <= precision).then_some(Decimal { precision, scale })
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

/// Full name and aliases of a named type.
fn names(
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
    let good = full.split('.').all(is_name);
    if !good || Primitive::from_name(&full).is_some() {
        return Err(at.rule(format!("`{full}` is no name for a type")));
    }
    Ok((full.into_owned(), aliases(object, path)?))
}

fn aliases(object: &Object<'_>, path: &Path<'_>) -> Result<Vec<String>, SchemaError> {
    let mut aliases = Vec::new();
    if object.aliases.is_none() {
        return Ok(aliases);
    }
    let at = Path::Key(path, "aliases");
    list(
        object.aliases,
        &at,
        "`aliases` is a list of names",
        |i, alias| {
            let alias = json::string(alias)
                .ok_or_else(|| Path::Index(&at, i).rule("an alias is a name in quotes"))?;
            aliases.push(alias.into_owned());
            Ok(())
        },
    )?;
    Ok(aliases)
}
