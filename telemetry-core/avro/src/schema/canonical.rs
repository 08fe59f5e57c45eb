//! Parsing Canonical Form (Avro 1.12, "Transforming into Parsing Canonical Form").

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

use super::{Kind, Node, NodeId};
use crate::Fingerprint;
use crate::fingerprint::Hasher;

/// Writes the canonical form of `root`; with `meaning`, logical types and `xpt.*` stay in.
pub(super) fn write(nodes: &[Node], root: NodeId, meaning: bool) -> String {
    let mut out = String::new();
    Form::write(nodes, root, meaning, &mut out);
    out
}

/// Fingerprints of the canonical form, and of the array of it, without the form itself: where
/// references stand inside namespaces it can be many times longer than the text.
pub(super) fn fingerprints(nodes: &[Node], root: NodeId) -> (Fingerprint, Fingerprint) {
    let mut prints = Prints(Hasher::new(), Hasher::of_array());
    Form::write(nodes, root, false, &mut prints);
    (prints.0.finish(), prints.1.finish_array())
}

struct Prints(Hasher, Hasher);

impl Write for Prints {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0 = self.0.update(text.as_bytes());
        self.1 = self.1.update(text.as_bytes());
        Ok(())
    }
}

struct Form<'a, W> {
    nodes: &'a [Node],
    meaning: bool,
    out: &'a mut W,
    /// Which types stand in the form so far.
    defined: Vec<bool>,
}

impl<'a, W: Write> Form<'a, W> {
    fn write(nodes: &'a [Node], root: NodeId, meaning: bool, out: &'a mut W) {
        let mut form = Form {
            nodes,
            meaning,
            out,
            defined: vec![false; nodes.len()],
        };
        form.node(root);
    }

    /// Neither a text nor a fingerprint refuses what is written.
    fn put(&mut self, text: &str) {
        let _ = self.out.write_str(text);
    }

    fn node(&mut self, id: NodeId) {
        let node = &self.nodes[id.0 as usize];
        let logical = Some(node).filter(|n| self.meaning && n.logical.is_some());
        match &node.kind {
            Kind::Primitive(p) => match logical {
                None => self.text(p.as_str()),
                Some(_) => {
                    self.put("{\"type\":");
                    self.text(p.as_str());
                    self.logical(logical);
                    self.put("}");
                }
            },
            Kind::Array(items) => {
                self.put("{\"type\":\"array\",\"items\":");
                self.node(*items);
                self.logical(logical);
                self.put("}");
            }
            Kind::Map(values) => {
                self.put("{\"type\":\"map\",\"values\":");
                self.node(*values);
                self.logical(logical);
                self.put("}");
            }
            Kind::Union(branches) => {
                self.put("[");
                self.list(branches, |form, &branch| form.node(branch));
                self.put("]");
            }
            Kind::Record(record) => {
                if !self.open(id, &record.name, "record") {
                    return;
                }
                self.put(",\"fields\":[");
                self.list(&record.fields, |form, field| {
                    form.put("{\"name\":");
                    form.text(&field.name);
                    form.put(",\"type\":");
                    form.node(field.node);
                    if form.meaning && field.event_time {
                        form.put(",\"xpt.eventTime\":true");
                    }
                    form.put("}");
                });
                self.put("]");
                self.logical(logical);
                self.put("}");
            }
            Kind::Enum(e) => {
                if !self.open(id, &e.name, "enum") {
                    return;
                }
                self.put(",\"symbols\":[");
                self.list(&e.symbols, |form, symbol| form.text(symbol));
                self.put("]");
                self.logical(logical);
                self.put("}");
            }
            Kind::Fixed(fixed) => {
                if !self.open(id, &fixed.name, "fixed") {
                    return;
                }
                // As in `put`.
                let _ = write!(self.out, ",\"size\":{}", fixed.size);
                self.logical(logical);
                self.put("}");
            }
        }
    }

    /// Opens a named type; only its name, and `false`, where it is already defined.
    fn open(&mut self, id: NodeId, name: &str, kind: &str) -> bool {
        if core::mem::replace(&mut self.defined[id.index()], true) {
            self.text(name);
            return false;
        }
        self.put("{\"name\":");
        self.text(name);
        self.put(",\"type\":");
        self.text(kind);
        true
    }

    fn list<T>(&mut self, items: &'a [T], mut each: impl FnMut(&mut Self, &'a T)) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.put(",");
            }
            each(self, item);
        }
    }

    fn logical(&mut self, node: Option<&Node>) {
        let Some(logical) = node.and_then(|n| n.logical.as_deref()) else {
            return;
        };
        self.put(",\"logicalType\":");
        self.put(&serde_json::Value::from(logical).to_string());
        if let Some(decimal) = node.and_then(|n| n.decimal) {
            // As in `put`.
            let _ = write!(
                self.out,
                ",\"precision\":{},\"scale\":{}",
                decimal.precision, decimal.scale
            );
        }
    }

    /// Names and symbols need no escapes: their alphabet is checked by the parser.
    fn text(&mut self, name: &str) {
        self.put("\"");
        self.put(name);
        self.put("\"");
    }
}
