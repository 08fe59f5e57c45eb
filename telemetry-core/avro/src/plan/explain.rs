//! A plan in words: where everything that is read comes from.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Plan, PlanError, PlanLimits, rules};
use crate::{EnumType, Kind, NodeId, RecordType, Schema};

/// Where one part of what is read comes from, or that nobody reads a part of what is written.
///
/// Paths are as in [`Incompatibility`](crate::Incompatibility): `Record.field`, `[]` for items,
/// `{}` for values of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The part of the reader's schema; `None` for what is not read.
    pub reader: Option<String>,
    /// The part of the writer's schema; `None` for what is not written.
    pub writer: Option<String>,
    /// What happens to it on the way, in words; empty if nothing does.
    pub how: String,
}

impl Plan {
    /// Says in words what a plan for these schemas does, field by field, outermost first.
    ///
    /// ```
    /// use telemetry_avro::{Plan, Schema};
    ///
    /// let old = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
    ///     {"name":"hr","type":"int"},{"name":"raw","type":"bytes"}]}"#)?;
    /// let new = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
    ///     {"name":"bpm","type":"double","aliases":["hr"]},
    ///     {"name":"source","type":"string","default":"strap"}]}"#)?;
    /// let says: Vec<String> = Plan::explain(&old, &new)?.iter().map(ToString::to_string).collect();
    /// assert_eq!(says, [
    ///     "Beat.bpm comes from Beat.hr: renamed by an alias, int becomes double",
    ///     r#"Beat.source is not written: takes its default "strap""#,
    ///     "Beat.raw is written and not read",
    /// ]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(writer: &Schema, reader: &Schema) -> Result<Vec<Origin>, PlanError> {
        Self::explain_with(writer, reader, PlanLimits::default())
    }

    /// The same within `limits`.
    pub fn explain_with(
        writer: &Schema,
        reader: &Schema,
        limits: PlanLimits,
    ) -> Result<Vec<Origin>, PlanError> {
        // The operations of a plan are the pairs that are walked here.
        Self::compile_with(writer, reader, limits)?;
        let mut walk = Walk {
            writer,
            reader,
            seen: BTreeSet::new(),
            jobs: Vec::new(),
            out: Vec::new(),
        };
        let (from, to) = (writer.root_id(), reader.root_id());
        let (w, r) = (root(writer), root(reader));
        let is_record = matches!(
            (&writer.root().kind, &reader.root().kind),
            (Kind::Record(_), Kind::Record(_))
        );
        if !is_record {
            let how = walk.change(from, to);
            walk.say(Some(&r), Some(&w), how);
        }
        walk.jobs.push((from, to, w, r));
        while let Some((from, to, w, r)) = walk.jobs.pop() {
            walk.pair(from, to, &w, &r);
        }
        Ok(walk.out)
    }
}

impl core::fmt::Display for Origin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (&self.reader, &self.writer) {
            (Some(reader), Some(writer)) => write!(f, "{reader} comes from {writer}")?,
            (Some(reader), None) => write!(f, "{reader} is not written")?,
            (None, Some(writer)) => write!(f, "{writer} is written and not read")?,
            (None, None) => {}
        }
        if self.how.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.how)
    }
}

fn root(schema: &Schema) -> String {
    match &schema.root().kind {
        Kind::Record(record) => record.name.clone(),
        _ => "$".to_owned(),
    }
}

struct Walk<'s> {
    writer: &'s Schema,
    reader: &'s Schema,
    seen: BTreeSet<(NodeId, NodeId)>,
    /// Pairs to walk, the next one last.
    jobs: Vec<(NodeId, NodeId, String, String)>,
    out: Vec<Origin>,
}

impl<'s> Walk<'s> {
    fn say(&mut self, reader: Option<&str>, writer: Option<&str>, how: String) {
        self.out.push(Origin {
            reader: reader.map(str::to_owned),
            writer: writer.map(str::to_owned),
            how,
        });
    }

    /// Says what the parts of a pair of types do.
    fn pair(&mut self, from: NodeId, to: NodeId, w: &str, r: &str) {
        if !self.seen.insert((from, to)) {
            return;
        }
        let (writer, reader) = (self.writer, self.reader);
        match (&writer.node(from).kind, &reader.node(to).kind) {
            (Kind::Record(wire), Kind::Record(record)) => self.record(wire, record, w, r),
            (Kind::Array(wire), Kind::Array(items)) => {
                self.jobs
                    .push((*wire, *items, format!("{w}[]"), format!("{r}[]")));
            }
            (Kind::Map(wire), Kind::Map(values)) => {
                self.jobs
                    .push((*wire, *values, format!("{w}{{}}"), format!("{r}{{}}")));
            }
            (Kind::Union(branches), _) => {
                for &branch in branches.iter().rev() {
                    self.jobs.push((branch, to, w.to_owned(), r.to_owned()));
                }
            }
            (_, Kind::Union(branches)) => {
                if let Some(i) = rules::branch(writer, from, reader, branches) {
                    self.jobs
                        .push((from, branches[i], w.to_owned(), r.to_owned()));
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, wire: &'s RecordType, record: &'s RecordType, w: &str, r: &str) {
        let mut read = BTreeSet::new();
        let mut parts = Vec::new();
        let written = rules::Fields::of(wire);
        for field in &record.fields {
            let path = format!("{r}.{}", field.name);
            let Some(i) = written.find(field) else {
                let how = match &field.default {
                    Some(default) => format!("takes its default {default}"),
                    None => "has no default".to_owned(),
                };
                self.say(Some(&path), None, how);
                continue;
            };
            read.insert(i);
            let found = &wire.fields[i];
            let mut how = Vec::new();
            if found.name != field.name {
                how.push("renamed by an alias".to_owned());
            }
            let change = self.change(found.node, field.node);
            if !change.is_empty() {
                how.push(change);
            }
            let from = format!("{w}.{}", found.name);
            self.say(Some(&path), Some(&from), how.join(", "));
            parts.push((found.node, field.node, from, path));
        }
        for (i, field) in wire.fields.iter().enumerate() {
            if !read.contains(&i) {
                self.say(None, Some(&format!("{w}.{}", field.name)), String::new());
            }
        }
        parts.reverse();
        self.jobs.append(&mut parts);
    }

    /// What becomes of a type at its own level.
    fn change(&self, from: NodeId, to: NodeId) -> String {
        if let (Kind::Enum(wire), Kind::Enum(read)) =
            (&self.writer.node(from).kind, &self.reader.node(to).kind)
        {
            return symbols(wire, read);
        }
        let (was, is) = (words(self.writer, from), words(self.reader, to));
        if was == is {
            return String::new();
        }
        format!("{was} becomes {is}")
    }
}

/// What becomes of symbols that the reader lacks.
fn symbols(wire: &EnumType, read: &EnumType) -> String {
    let lost = wire.symbols.iter().filter(|s| !read.symbols.contains(s));
    let lost: Vec<&str> = lost.map(String::as_str).collect();
    match (lost.as_slice(), &read.default) {
        ([], _) => String::new(),
        (lost, Some(default)) => format!("{} becomes {default}", lost.join(", ")),
        (lost, None) => format!("{} cannot be read", lost.join(", ")),
    }
}

/// A type in words, parts of records left out.
fn words(schema: &Schema, id: NodeId) -> String {
    let node = schema.node(id);
    let words = match &node.kind {
        Kind::Primitive(primitive) => primitive.as_str().to_owned(),
        Kind::Array(items) => format!("array of {}", words(schema, *items)),
        Kind::Map(values) => format!("map of {}", words(schema, *values)),
        Kind::Union(branches) => {
            let branches: Vec<String> = branches.iter().map(|b| words(schema, *b)).collect();
            branches.join(" or ")
        }
        Kind::Record(of) => of.name.clone(),
        Kind::Enum(of) => of.name.clone(),
        Kind::Fixed(of) => format!("{} of {} bytes", of.name, of.size),
    };
    match (&node.logical, node.decimal) {
        (Some(logical), Some(d)) => {
            format!("{words} ({logical} {}.{})", d.precision, d.scale)
        }
        (Some(logical), None) => format!("{words} ({logical})"),
        (None, _) => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn says(writer: &str, reader: &str) -> Vec<String> {
        let parse = |text| Schema::parse(text).unwrap();
        let said = Plan::explain(&parse(writer), &parse(reader)).unwrap();
        said.iter().map(Origin::to_string).collect()
    }

    #[test]
    fn goes_into_what_is_nested_once() {
        let writer = r#"{"type":"record","name":"Ride","fields":[
            {"name":"laps","type":{"type":"array","items":{"type":"record","name":"Lap","fields":[
                {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
                {"name":"next","type":["null","Lap"]}]}}}]}"#;
        let reader = r#"{"type":"record","name":"Ride","fields":[
            {"name":"rounds","aliases":["laps"],"type":{"type":"array","items":
                {"type":"record","name":"Lap","fields":[
                {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["X","A"],"default":"X"}},
                {"name":"next","type":["null","Lap"]},
                {"name":"m","type":"double"}]}}}]}"#;
        assert_eq!(
            says(writer, reader),
            [
                "Ride.rounds comes from Ride.laps: renamed by an alias",
                "Ride.rounds[].kind comes from Ride.laps[].kind: B becomes X",
                "Ride.rounds[].next comes from Ride.laps[].next",
                "Ride.rounds[].m is not written: has no default",
            ]
        );
    }

    #[test]
    fn says_what_becomes_of_a_bare_type() {
        assert_eq!(
            says(r#""int""#, r#"["null","long"]"#),
            ["$ comes from $: int becomes null or long"]
        );
    }
}
