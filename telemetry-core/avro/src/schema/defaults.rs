//! Whether defaults are values of their types.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::json::{self, Json, Shape};
use super::parse::shown;
use super::{Kind, Node, NodeId, Primitive, SchemaError, SchemaLimits, SchemaRules};

/// Checks every default once all types are known.
///
/// Unions are tried branch by branch, so a default that fits none may be looked at again and again:
/// what that costs is bounded too. A default that does not fit what was written is forgotten: nobody
/// who reads with another schema needs it.
pub(super) fn check(
    nodes: &mut [Node],
    rules: SchemaRules,
    limits: SchemaLimits,
) -> Result<(), SchemaError> {
    // Each level of nesting looks at the text inside it, a few branches each.
    let bytes_max = limits
        .json_bytes_max
        .saturating_mul(limits.depth_max)
        .saturating_mul(4);
    let mut unfit = Vec::new();
    let mut check = Check {
        nodes,
        depth_max: limits.depth_max,
        bytes_left: bytes_max,
    };
    for (at, node) in check.nodes.iter().enumerate() {
        let Kind::Record(record) = &node.kind else {
            continue;
        };
        for (i, field) in record.fields.iter().enumerate() {
            let Some(default) = &field.default else {
                continue;
            };
            let path = || format!("{}.{}", record.name, field.name);
            let fits = match json::known(default) {
                Some(json) => check.fits(field.node, json, 0),
                None => Ok(false),
            };
            match fits {
                Ok(true) => {}
                Ok(false) if rules == SchemaRules::AsWritten => unfit.push((at, i)),
                Ok(false) => {
                    return Err(SchemaError::Rule {
                        path: path(),
                        reason: format!(
                            "the default {} is no value of the field's type, {}",
                            shown(default),
                            words(check.nodes, field.node)
                        ),
                    });
                }
                Err(Exhausted) => {
                    return Err(SchemaError::Limit {
                        path: path(),
                        what: "bytes looked at to check defaults",
                        found: bytes_max.saturating_add(1),
                        max: bytes_max,
                    });
                }
            }
        }
    }
    for (at, i) in unfit {
        if let Kind::Record(record) = &mut nodes[at].kind {
            record.fields[i].default = None;
        }
    }
    Ok(())
}

/// A type as an error names it.
fn words(nodes: &[Node], id: NodeId) -> String {
    let word = |id: &NodeId| format!("`{}`", shown(nodes[id.index()].kind.branch_name()));
    match &nodes[id.index()].kind {
        Kind::Union(branches) => {
            let words: Vec<String> = branches.iter().take(8).map(word).collect();
            format!("a union of {}", words.join(", "))
        }
        _ => word(&id),
    }
}

struct Check<'s> {
    nodes: &'s [Node],
    depth_max: usize,
    bytes_left: usize,
}

/// The bound on looking is reached.
struct Exhausted;

/// Why looking at parts ends early.
enum Stop {
    /// One of them does not fit.
    Unfit,
    Exhausted,
}

impl Check<'_> {
    fn fits(&mut self, id: NodeId, json: Json<'_>, depth: usize) -> Result<bool, Exhausted> {
        if depth > self.depth_max {
            return Ok(false);
        }
        let left = self.bytes_left.checked_sub(json.get().len());
        self.bytes_left = left.ok_or(Exhausted)?;
        let nodes = self.nodes;
        let shape = json::shape(json);
        let depth = depth + 1;
        let done = match (&nodes[id.index()].kind, shape) {
            (Kind::Primitive(p), _) => return Ok(primitive(*p, json, shape)),
            (Kind::Array(part), Shape::Array) => {
                json::items(json, |_, item| self.part(*part, item, depth))
            }
            (Kind::Map(part), Shape::Object) => {
                json::entries(json, |_, value| self.part(*part, value, depth))
            }
            (Kind::Union(branches), _) => {
                for &branch in branches {
                    if self.fits(branch, json, depth)? {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            (Kind::Record(record), Shape::Object) => {
                let mut given = vec![false; record.fields.len()];
                let done = json::entries(json, |key, value| {
                    let Some(i) = record.fields.iter().position(|f| f.name == key) else {
                        return Ok(());
                    };
                    given[i] = true;
                    self.part(record.fields[i].node, value, depth)
                });
                let whole =
                    (record.fields.iter().zip(given)).all(|(f, g)| g || f.default.is_some());
                done.and(if whole { Ok(()) } else { Err(Stop::Unfit) })
            }
            (Kind::Enum(e), Shape::String) => {
                let symbol = json::string(json).unwrap_or_default();
                return Ok(e.symbols.iter().any(|s| *s == symbol));
            }
            (Kind::Fixed(fixed), Shape::String) => {
                let text = json::string(json).unwrap_or_default();
                return Ok(is_latin1(&text) && text.chars().count() == fixed.size as usize);
            }
            _ => Err(Stop::Unfit),
        };
        match done {
            Ok(()) => Ok(true),
            Err(Stop::Unfit) => Ok(false),
            Err(Stop::Exhausted) => Err(Exhausted),
        }
    }

    fn part(&mut self, id: NodeId, json: Json<'_>, depth: usize) -> Result<(), Stop> {
        match self.fits(id, json, depth) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Stop::Unfit),
            Err(Exhausted) => Err(Stop::Exhausted),
        }
    }
}

fn primitive(primitive: Primitive, json: Json<'_>, shape: Shape) -> bool {
    match primitive {
        Primitive::Null => shape == Shape::Null,
        Primitive::Boolean => shape == Shape::Boolean,
        Primitive::Int => json::integer::<i32>(json).is_some(),
        Primitive::Long => json::integer::<i64>(json).is_some(),
        Primitive::Float | Primitive::Double => shape == Shape::Number,
        Primitive::String => shape == Shape::String,
        Primitive::Bytes => json::string(json).is_some_and(|s| is_latin1(&s)),
    }
}

/// Bytes in JSON are text whose code points 0 to 255 are the bytes.
fn is_latin1(s: &str) -> bool {
    s.chars().all(|c| c <= '\u{ff}')
}
