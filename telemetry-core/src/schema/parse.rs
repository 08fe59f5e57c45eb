//! JSON text to checked arena.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::Fingerprint;

use super::{
    Decimal, EnumType, Field, FixedType, Kind, Node, NodeId, Primitive, RecordType, Schema,
    SchemaError, SchemaLimits, canonical,
};

pub(super) fn parse(json: &str, limits: SchemaLimits) -> Result<Schema, SchemaError> {
    let value = read(json, limits)?;
    let mut parser = Parser {
        limits,
        nodes: Vec::new(),
        names: BTreeMap::new(),
    };
    let root = parser.schema(&value, "", &Path::Root, 0)?;
    parser.check_defaults()?;
    let nodes = parser.nodes;
    let canonical = canonical::write(&nodes, root, false);
    Ok(Schema {
        fingerprint: Fingerprint::of(&canonical),
        text_fingerprint: Fingerprint::of(json),
        canonical,
        meaning: canonical::write(&nodes, root, true),
        nodes,
        root,
        json: json.to_owned(),
    })
}

/// The text as JSON, if it is no longer than the limit.
pub(super) fn read(json: &str, limits: SchemaLimits) -> Result<Value, SchemaError> {
    if json.len() > limits.json_bytes_max {
        return Err(SchemaError::Limit {
            path: "$".to_owned(),
            what: "size of the JSON text",
            found: json.len(),
            max: limits.json_bytes_max,
        });
    }
    serde_json::from_str(json).map_err(|e| SchemaError::Json {
        line: e.line(),
        column: e.column(),
        reason: e.to_string(),
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

struct Parser {
    limits: SchemaLimits,
    nodes: Vec<Node>,
    names: BTreeMap<String, NodeId>,
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

    fn schema(
        &mut self,
        value: &Value,
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
        match value {
            Value::String(name) => self.reference(name, namespace, path),
            Value::Array(branches) => self.union(branches, namespace, path, depth),
            Value::Object(object) => self.object(object, namespace, path, depth),
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
            return self.add(Kind::Primitive(primitive), path);
        }
        let full = qualify(name, namespace);
        self.names.get(&full).copied().ok_or_else(|| {
            path.rule(format!(
                "unknown type `{full}`: define it before its first use"
            ))
        })
    }

    fn union(
        &mut self,
        branches: &[Value],
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let mut ids = Vec::with_capacity(branches.len().min(16));
        let mut seen: Vec<String> = Vec::new();
        for (i, branch) in branches.iter().enumerate() {
            let path = Path::Index(path, i);
            let id = self.schema(branch, namespace, &path, depth + 1)?;
            let name = match &self.nodes[id.0 as usize].kind {
                Kind::Union(_) => return Err(path.rule("a union may not hold a union directly")),
                Kind::Primitive(p) => p.as_str(),
                Kind::Array(_) => "array",
                Kind::Map(_) => "map",
                Kind::Record(RecordType { name, .. })
                | Kind::Enum(EnumType { name, .. })
                | Kind::Fixed(FixedType { name, .. }) => name,
            };
            if seen.iter().any(|s| s == name) {
                return Err(path.rule(format!("the union already has a branch `{name}`")));
            }
            seen.push(name.to_owned());
            ids.push(id);
        }
        self.add(Kind::Union(ids), path)
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let kind = match object.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(inner @ (Value::Object(_) | Value::Array(_))) => {
                return self.schema(inner, namespace, &Path::Key(path, "type"), depth + 1);
            }
            _ => return Err(path.rule("an object needs a `type`")),
        };
        let id = match kind {
            "record" | "error" => self.record(object, namespace, path, depth)?,
            "enum" => self.enumeration(object, namespace, path)?,
            "fixed" => {
                let size = object
                    .get("size")
                    .and_then(Value::as_u64)
                    .and_then(|n| u32::try_from(n).ok())
                    .ok_or_else(|| path.rule("a fixed needs a `size` below 2^32"))?;
                let (name, _, aliases) = names(object, namespace, path)?;
                let kind = Kind::Fixed(FixedType {
                    name: name.clone(),
                    aliases,
                    size,
                });
                self.define(name, kind, path)?
            }
            "array" => {
                let items = self.part(object, "items", namespace, path, depth)?;
                self.add(Kind::Array(items), path)?
            }
            "map" => {
                let values = self.part(object, "values", namespace, path, depth)?;
                self.add(Kind::Map(values), path)?
            }
            name => {
                let id = self.reference(name, namespace, &Path::Key(path, "type"))?;
                if !matches!(self.nodes[id.0 as usize].kind, Kind::Primitive(_)) {
                    // A property beside a reference is the reference's affair, not the type's.
                    return Ok(id);
                }
                id
            }
        };
        if let Some(Value::String(logical)) = object.get("logicalType") {
            let node = &mut self.nodes[id.0 as usize];
            node.decimal = decimal(logical, &node.kind, object);
            node.logical = Some(logical.clone());
        }
        Ok(id)
    }

    /// A name or a symbol within its bound.
    fn named(&self, name: &str, path: &Path<'_>) -> Result<(), SchemaError> {
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
        object: &Map<String, Value>,
        key: &'static str,
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let value = object
            .get(key)
            .ok_or_else(|| path.rule(format!("`{key}` is missing")))?;
        self.schema(value, namespace, &Path::Key(path, key), depth + 1)
    }

    fn define(&mut self, name: String, kind: Kind, path: &Path<'_>) -> Result<NodeId, SchemaError> {
        self.named(&name, path)?;
        if self.names.contains_key(&name) {
            return Err(path.rule(format!("`{name}` is defined twice")));
        }
        let id = self.add(kind, path)?;
        self.names.insert(name, id);
        Ok(id)
    }

    fn enumeration(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        path: &Path<'_>,
    ) -> Result<NodeId, SchemaError> {
        let (name, _, aliases) = names(object, namespace, path)?;
        let at = Path::Key(path, "symbols");
        let Some(Value::Array(list)) = object.get("symbols") else {
            return Err(at.rule("an enum needs a list of `symbols`"));
        };
        let mut symbols: Vec<String> = Vec::with_capacity(list.len().min(64));
        for (i, symbol) in list.iter().enumerate() {
            let at = Path::Index(&at, i);
            self.named(symbol.as_str().unwrap_or_default(), &at)?;
            match symbol {
                Value::String(s) if is_name(s) && !symbols.contains(s) => symbols.push(s.clone()),
                Value::String(s) if is_name(s) => {
                    return Err(at.rule(format!("symbol `{s}` is there twice")));
                }
                _ => return Err(at.rule("a symbol is [A-Za-z_][A-Za-z0-9_]*")),
            }
        }
        let default = match object.get("default") {
            None => None,
            Some(Value::String(s)) if symbols.contains(s) => Some(s.clone()),
            Some(_) => {
                return Err(Path::Key(path, "default").rule("the default is none of the symbols"));
            }
        };
        let kind = Kind::Enum(EnumType {
            name: name.clone(),
            aliases,
            symbols,
            default,
        });
        self.define(name, kind, path)
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let (name, namespace, aliases) = names(object, namespace, path)?;
        // Defined before its fields are read, so that they can refer to it.
        let empty = RecordType {
            name: name.clone(),
            aliases: aliases.clone(),
            fields: Vec::new(),
        };
        let id = self.define(name.clone(), Kind::Record(empty), path)?;
        let at = Path::Key(path, "fields");
        let Some(Value::Array(list)) = object.get("fields") else {
            return Err(at.rule("a record needs a list of `fields`"));
        };
        let mut fields: Vec<Field> = Vec::with_capacity(list.len().min(64));
        for (i, value) in list.iter().enumerate() {
            let at = Path::Index(&at, i);
            let Value::Object(field) = value else {
                return Err(at.rule("a field is an object"));
            };
            let name = match field.get("name") {
                Some(Value::String(name)) if is_name(name) => name.clone(),
                _ => {
                    return Err(
                        Path::Key(&at, "name").rule("a field name is [A-Za-z_][A-Za-z0-9_]*")
                    );
                }
            };
            self.named(&name, &at)?;
            if fields.iter().any(|f| f.name == name) {
                return Err(at.rule(format!("field `{name}` is there twice")));
            }
            let event_time = field.get("xpt.eventTime") == Some(&Value::Bool(true));
            if event_time && fields.iter().any(|f| f.event_time) {
                return Err(at.rule("a record has at most one event time"));
            }
            fields.push(Field {
                node: self.part(field, "type", &namespace, &at, depth)?,
                aliases: strings(field, "aliases", &at)?,
                default: field.get("default").cloned(),
                doc: field.get("doc").and_then(Value::as_str).map(str::to_owned),
                event_time,
                name,
            });
        }
        self.nodes[id.0 as usize].kind = Kind::Record(RecordType {
            name,
            aliases,
            fields,
        });
        Ok(id)
    }

    /// Checks every default once all names are known.
    fn check_defaults(&self) -> Result<(), SchemaError> {
        for node in &self.nodes {
            let Kind::Record(record) = &node.kind else {
                continue;
            };
            for field in &record.fields {
                if let Some(default) = &field.default
                    && !self.fits(field.node, default, 0)
                {
                    return Err(SchemaError::Rule {
                        path: format!("{}.{}", record.name, field.name),
                        reason: format!("the default {default} is no value of the field's type"),
                    });
                }
            }
        }
        Ok(())
    }

    fn fits(&self, id: NodeId, value: &Value, depth: usize) -> bool {
        if depth > self.limits.depth_max {
            return false;
        }
        let each = |id: NodeId, value: &Value| self.fits(id, value, depth + 1);
        match &self.nodes[id.0 as usize].kind {
            Kind::Primitive(p) => match p {
                Primitive::Null => value.is_null(),
                Primitive::Boolean => value.is_boolean(),
                Primitive::Int => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
                Primitive::Long => value.as_i64().is_some(),
                Primitive::Float | Primitive::Double => value.is_number(),
                Primitive::String => value.is_string(),
                Primitive::Bytes => value.as_str().is_some_and(is_latin1),
            },
            Kind::Array(items) => value
                .as_array()
                .is_some_and(|list| list.iter().all(|v| each(*items, v))),
            Kind::Map(values) => value
                .as_object()
                .is_some_and(|map| map.values().all(|v| each(*values, v))),
            Kind::Union(branches) => branches.iter().any(|&b| each(b, value)),
            Kind::Record(record) => value.as_object().is_some_and(|map| {
                record.fields.iter().all(|f| match map.get(&f.name) {
                    Some(v) => each(f.node, v),
                    None => f.default.is_some(),
                })
            }),
            Kind::Enum(e) => value
                .as_str()
                .is_some_and(|s| e.symbols.iter().any(|symbol| symbol == s)),
            Kind::Fixed(fixed) => value
                .as_str()
                .is_some_and(|s| is_latin1(s) && s.chars().count() == fixed.size as usize),
        }
    }
}

/// The scale of a decimal. One that breaks the specification's rules is none: the type is read as
/// what it is built on.
fn decimal(logical: &str, kind: &Kind, object: &Map<String, Value>) -> Option<Decimal> {
    let number = |key: &str| {
        object
            .get(key)
            .map(|v| v.as_u64().and_then(|n| n.try_into().ok()))
    };
    let bytes = matches!(kind, Kind::Primitive(Primitive::Bytes) | Kind::Fixed(_));
    if logical != "decimal" || !bytes {
        return None;
    }
    let precision: u32 = number("precision")??;
    let scale = number("scale").unwrap_or(Some(0))?;
    (1 <= precision && scale <= precision).then_some(Decimal { precision, scale })
}

/// Bytes in JSON are text whose code points 0 to 255 are the bytes.
fn is_latin1(s: &str) -> bool {
    s.chars().all(|c| c <= '\u{ff}')
}

fn is_name(s: &str) -> bool {
    let mut bytes = s.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

pub(super) fn qualify(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.strip_prefix('.').unwrap_or(name).to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

/// Full name, namespace for what is inside, and full aliases of a named type.
fn names(
    object: &Map<String, Value>,
    outer: &str,
    path: &Path<'_>,
) -> Result<(String, String, Vec<String>), SchemaError> {
    let at = Path::Key(path, "name");
    let Some(Value::String(name)) = object.get("name") else {
        return Err(at.rule("a named type needs a `name`"));
    };
    let namespace = match object.get("namespace") {
        Some(Value::String(namespace)) => namespace,
        _ => outer,
    };
    let full = qualify(name, namespace);
    let good = full.split('.').all(is_name);
    if !good || Primitive::from_name(&full).is_some() {
        return Err(at.rule(format!("`{full}` is no name for a type")));
    }
    let inner: Box<str> = full.rsplit_once('.').map_or("", |(ns, _)| ns).into();
    let aliases = strings(object, "aliases", path)?
        .iter()
        .map(|alias| qualify(alias, &inner))
        .collect();
    Ok((full, inner.into(), aliases))
}

fn strings(
    object: &Map<String, Value>,
    key: &'static str,
    path: &Path<'_>,
) -> Result<Vec<String>, SchemaError> {
    match object.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list
            .iter()
            .enumerate()
            .map(|(i, v)| {
                v.as_str().map(str::to_owned).ok_or_else(|| {
                    Path::Index(&Path::Key(path, key), i).rule("an alias is a name in quotes")
                })
            })
            .collect(),
        Some(_) => Err(Path::Key(path, key).rule("`aliases` is a list of names")),
    }
}
