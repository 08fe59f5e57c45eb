//! Parsing Canonical Form (Avro 1.12, "Transforming into Parsing Canonical Form").

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use core::fmt::Write as _;

use super::{Kind, Node, NodeId};

/// Writes the canonical form of `root`; with `meaning`, logical types and `xpt.*` stay in.
pub(super) fn write(nodes: &[Node], root: NodeId, meaning: bool) -> String {
    let mut form = Form {
        nodes,
        meaning,
        out: String::new(),
        defined: BTreeSet::new(),
    };
    form.node(root);
    form.out
}

struct Form<'a> {
    nodes: &'a [Node],
    meaning: bool,
    out: String,
    defined: BTreeSet<&'a str>,
}

impl<'a> Form<'a> {
    fn node(&mut self, id: NodeId) {
        let node = &self.nodes[id.0 as usize];
        let logical = Some(node).filter(|n| self.meaning && n.logical.is_some());
        match &node.kind {
            Kind::Primitive(p) => match logical {
                None => self.text(p.as_str()),
                Some(_) => {
                    self.out.push_str("{\"type\":");
                    self.text(p.as_str());
                    self.logical(logical);
                    self.out.push('}');
                }
            },
            Kind::Array(items) => {
                self.out.push_str("{\"type\":\"array\",\"items\":");
                self.node(*items);
                self.logical(logical);
                self.out.push('}');
            }
            Kind::Map(values) => {
                self.out.push_str("{\"type\":\"map\",\"values\":");
                self.node(*values);
                self.logical(logical);
                self.out.push('}');
            }
            Kind::Union(branches) => {
                self.out.push('[');
                self.list(branches, |form, &branch| form.node(branch));
                self.out.push(']');
            }
            Kind::Record(record) => {
                if !self.open(&record.name, "record") {
                    return;
                }
                self.out.push_str(",\"fields\":[");
                self.list(&record.fields, |form, field| {
                    form.out.push_str("{\"name\":");
                    form.text(&field.name);
                    form.out.push_str(",\"type\":");
                    form.node(field.node);
                    if form.meaning && field.event_time {
                        form.out.push_str(",\"xpt.eventTime\":true");
                    }
                    form.out.push('}');
                });
                self.out.push(']');
                self.logical(logical);
                self.out.push('}');
            }
            Kind::Enum(e) => {
                if !self.open(&e.name, "enum") {
                    return;
                }
                self.out.push_str(",\"symbols\":[");
                self.list(&e.symbols, |form, symbol| form.text(symbol));
                self.out.push(']');
                self.logical(logical);
                self.out.push('}');
            }
            Kind::Fixed(fixed) => {
                if !self.open(&fixed.name, "fixed") {
                    return;
                }
                // Writing to a String cannot fail.
                let _ = write!(self.out, ",\"size\":{}", fixed.size);
                self.logical(logical);
                self.out.push('}');
            }
        }
    }

    /// Opens a named type; only its name, and `false`, where it is already defined.
    fn open(&mut self, name: &'a str, kind: &str) -> bool {
        if !self.defined.insert(name) {
            self.text(name);
            return false;
        }
        self.out.push_str("{\"name\":");
        self.text(name);
        self.out.push_str(",\"type\":");
        self.text(kind);
        true
    }

    fn list<T>(&mut self, items: &'a [T], mut each: impl FnMut(&mut Self, &'a T)) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            each(self, item);
        }
    }

    fn logical(&mut self, node: Option<&Node>) {
        let Some(logical) = node.and_then(|n| n.logical.as_deref()) else {
            return;
        };
        self.out.push_str(",\"logicalType\":");
        self.out
            .push_str(&serde_json::Value::from(logical).to_string());
        if let Some(decimal) = node.and_then(|n| n.decimal) {
            // Writing to a String cannot fail.
            let _ = write!(
                self.out,
                ",\"precision\":{},\"scale\":{}",
                decimal.precision, decimal.scale
            );
        }
    }

    /// Names and symbols need no escapes: their alphabet is checked by the parser.
    fn text(&mut self, name: &str) {
        self.out.push('"');
        self.out.push_str(name);
        self.out.push('"');
    }
}
